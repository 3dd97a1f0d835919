"""Accounts, hosts and the other small files of /etc, to the last byte."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import StageError
from scratchtasks.core.target import User
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.essentials.accounts import accounts_tree, users_of
from scratchtasks.execute.essentials.etc_files import (
    hosts_file,
    nsswitch_file,
    os_release_file,
    services_file,
    tmp_folders,
)


def texts(user: User) -> tuple[str, str, FileEntry]:
    """passwd, group and the home folder."""
    (passwd, users), (group, groups), (home, _) = accounts_tree(user)
    assert (passwd.path, group.path) == ("etc/passwd", "etc/group")
    assert (passwd.mode, group.mode) == (0o644, 0o644)
    return users.decode(), groups.decode(), home


def test_the_images_user_stands_beside_root_and_nobody() -> None:
    passwd, group, home = texts(User("app", 1001, 1002))
    assert passwd == (
        "root:x:0:0:root:/root:/sbin/nologin\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n"
        "app:x:1001:1002:app:/home/app:/sbin/nologin\n"
    )
    assert group == "root:x:0:\nnobody:x:65534:\napp:x:1002:\n"
    assert home == FileEntry(path="home/app", kind="dir", mode=0o700, uid=1001, gid=1002)
    assert users_of(User("app", 1001, 1002)) == {
        "root": (0, 0), "nobody": (65534, 65534), "app": (1001, 1002),
    }  # fmt: skip


def test_root_and_nobody_may_be_the_images_user() -> None:
    passwd, group, home = texts(User("root", 0, 0))
    assert passwd.count("\n") == 2
    assert (home.path, home.uid) == ("root", 0)
    passwd, group, home = texts(User("nobody", 65534, 65534))
    assert "nobody:x:65534:65534:nobody:/home/nobody:/sbin/nologin\n" in passwd
    assert group == "root:x:0:\nnobody:x:65534:\n"
    assert (home.path, home.uid) == ("home/nobody", 65534)


def test_a_user_may_join_roots_group() -> None:
    passwd, group, _ = texts(User("app", 1001, 0))
    assert passwd.endswith("app:x:1001:0:app:/home/app:/sbin/nologin\n")
    assert group == "root:x:0:\nnobody:x:65534:\n"


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (User("app", 65534, 7), "accounts: user app has uid 65534, which is nobody's"),
        (User("app", 0, 0), "accounts: user app has uid 0, which is root's"),
        (User("root", 5, 0),
         "accounts: user root has 5:0, but root is 0:0 everywhere\n"
         "    hint: give the user another name"),
        (User("nobody", 65534, 99),
         "accounts: user nobody has 65534:99, but nobody is 65534:65534 everywhere\n"
         "    hint: give the user another name"),
        (User("a:0:0", 7, 7),
         "user 'a:0:0': wanted a name of at most 32 letters, digits, '_', '.' and '-'"),
        (User("app\nroot2", 7, 7),
         "user 'app\\nroot2': wanted a name of at most 32 letters, digits, '_', '.' and '-'"),
        (User("..", 7, 7),
         "user '..': wanted a name of at most 32 letters, digits, '_', '.' and '-'"),
        (User("app", -1, 7), "user 'app': wanted a uid of 0 to 2147483647, got -1"),
        (User("app", 7, 2**31), "user 'app': wanted a gid of 0 to 2147483647, got 2147483648"),
    ],
)  # fmt: skip
def test_clashes_name_both_sides(user: User, message: str) -> None:
    with pytest.raises(StageError) as caught:
        accounts_tree(user)
    assert str(caught.value) == message


@given(st.text(max_size=40), st.integers(-5, 2**33), st.integers(-5, 2**33))
def test_every_account_file_has_unique_names_and_ids(name: str, uid: int, gid: int) -> None:
    try:
        passwd, group, _ = texts(User(name, uid, gid))
    except StageError:
        return
    for text, fields in ((passwd, 7), (group, 4)):
        rows = [line.split(":") for line in text.splitlines()]
        assert {len(row) for row in rows} == {fields}
        assert len({row[0] for row in rows}) == len({row[2] for row in rows}) == len(rows)


LOOPBACK = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\nfe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"
)


def test_hosts_holds_loopback_and_sorted_entries() -> None:
    entry, data = hosts_file({"Web": "2001:DB8:0::1", "db.internal": "10.0.0.7"})
    assert (entry.path, entry.mode) == ("etc/hosts", 0o644)
    assert data.decode() == LOOPBACK + "2001:db8::1\tweb\n10.0.0.7\tdb.internal\n"
    assert hosts_file({})[1].decode() == LOOPBACK
    # Versions of Python show this one in two forms.
    for mapped in ("::ffff:10.0.0.7", "::FFFF:A00:7"):
        assert hosts_file({"db": mapped})[1].decode() == f"{LOOPBACK}::ffff:10.0.0.7\tdb\n"


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"localhost": "10.0.0.1"},
         "hosts: 'localhost': is 127.0.0.1 in every image and cannot be moved"),
        ({"IP6-AllNodes": "10.0.0.1"},
         "hosts: 'IP6-AllNodes': is ff02::1 in every image and cannot be moved"),
        ({"db": "10.0.0.256"}, "hosts: 'db': wanted an IP address, got '10.0.0.256'"),
        ({"db": "10.0.0.7\n6.6.6.6 bank.example.com"},
         "hosts: 'db': wanted an IP address, got '10.0.0.7\\n6.6.6.6 bank.example.com'"),
        ({"db": "fe80::1%eth0"},
         "hosts: 'db': wanted an address without a zone, got 'fe80::1%eth0'"),
        ({"d b": "10.0.0.7"}, "hosts: 'd b': wanted a host name such as db.internal"),
        ({"db\n6.6.6.6 x": "10.0.0.7"},
         "hosts: 'db\\n6.6.6.6 x': wanted a host name such as db.internal"),
        ({"db\n": "10.0.0.7"}, "hosts: 'db\\n': wanted a host name such as db.internal"),
        ({"": "10.0.0.7"}, "hosts: '': wanted a host name such as db.internal"),
        ({"-db": "10.0.0.7"}, "hosts: '-db': wanted a host name such as db.internal"),
        ({"a" * 64: "10.0.0.7"},
         f"hosts: '{'a' * 64}': wanted a host name such as db.internal"),
        ({"DB": "10.0.0.7", "db": "10.0.0.8"}, "hosts: 'db': is the same name as 'DB'"),
    ],
)  # fmt: skip
def test_wrong_hosts_entries_are_refused(entries: dict[str, str], message: str) -> None:
    with pytest.raises(StageError) as caught:
        hosts_file(entries)
    assert str(caught.value) == message


NAMES = st.text("ab-._ #\n\tA\u00e9\u0130", max_size=8)


@given(st.dictionaries(NAMES, st.ip_addresses().map(str) | NAMES, max_size=4))
def test_accepted_hosts_are_exactly_what_was_asked_for(entries: dict[str, str]) -> None:
    try:
        _, data = hosts_file(entries)
    except StageError:
        return
    rows = [line.split("\t") for line in data.decode().removeprefix(LOOPBACK).splitlines()]
    assert {name: address for address, name in rows} == {
        name.lower(): str(ipaddress.ip_address(address)) for name, address in entries.items()
    }


def test_the_static_files() -> None:
    assert nsswitch_file()[1] == b"passwd: files\ngroup: files\nhosts: files dns\n"
    assert nsswitch_file()[0].path == "etc/nsswitch.conf"
    assert os_release_file()[1].decode().splitlines()[:2] == ['NAME="scratch"', "ID=scratch"]
    assert os_release_file()[0].path == "etc/os-release"
    assert [(entry.path, entry.kind, entry.mode) for entry, _ in tmp_folders()] == [
        ("tmp", "dir", 0o1777), ("var/tmp", "dir", 0o1777),
    ]  # fmt: skip


def test_services_are_unique_and_sorted_by_port() -> None:
    entry, data = services_file()
    rows = [line.split("\t") for line in data.decode().splitlines()]
    ports = [(int(port), protocol) for _, value in rows for port, protocol in [value.split("/")]]
    assert entry.path == "etc/services"
    assert ports == sorted(set(ports))
    assert {protocol for _, protocol in ports} == {"tcp", "udp"}
    assert ["https", "443/tcp"] in rows
    assert ["domain", "53/udp"] in rows
