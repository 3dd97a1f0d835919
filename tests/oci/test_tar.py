"""The tar writer, read back by the standard library and by GNU tar."""

import io
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.tree import FileEntry, with_parents
from scratchtasks.oci.tar import tar_chunks

from .memory_blobs import MemoryBlobs

_NAMES = st.one_of(
    st.sampled_from(["a", "b", "a-b", "usr", "naïve", "東京", "x" * 100, "é" * 60]),
    st.text(
        st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"),
        min_size=1,
        max_size=130,
    ).filter(lambda name: name not in (".", "..")),
)
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_OWNERS = st.one_of(st.integers(0, 70_000), st.sampled_from([2_097_151, 2_097_152, 4_294_967_294]))


@st.composite
def trees(draw: st.DrawFn) -> tuple[MemoryBlobs, list[FileEntry]]:
    """Files, folders and links at random paths, none below something that is not a folder."""
    blobs = MemoryBlobs()
    entries: dict[str, FileEntry] = {}
    for path in draw(st.lists(_PATHS, unique=True, max_size=8)):
        parents = [path[:i] for i, c in enumerate(path) if c == "/"]
        if any(p in entries and entries[p].kind != "dir" for p in parents):
            continue
        if any(other.startswith(path + "/") for other in entries):
            continue
        files = sorted(p for p, e in entries.items() if e.kind == "file")
        kind = draw(st.sampled_from(["file", "dir", "symlink", *(["hardlink"] if files else [])]))
        rights: dict[str, Any] = {
            "mode": draw(st.integers(0, 0o7777)),
            "uid": draw(_OWNERS),
            "gid": draw(_OWNERS),
        }
        if kind == "file":
            entries[path] = blobs.file(path, draw(st.binary(max_size=1100)), **rights)
        elif kind == "symlink":
            entries[path] = FileEntry(path=path, kind="symlink", link=draw(_PATHS), **rights)
        elif kind == "hardlink":
            shared = draw(st.sampled_from(files))
            entries[path] = FileEntry(path=path, kind="hardlink", link=shared)
        else:
            entries[path] = FileEntry(path=path, kind="dir", **rights)
    return blobs, list(with_parents(entries.values()))


def packed(blobs: MemoryBlobs, entries: Iterable[FileEntry], mtime: int = 0) -> bytes:
    return b"".join(tar_chunks(entries, blobs.open, mtime))


@given(trees(), st.integers(0, 2**34))
def test_tarfile_reads_back_what_went_in(
    tree: tuple[MemoryBlobs, list[FileEntry]], mtime: int
) -> None:
    blobs, entries = tree
    by_path = {entry.path: entry for entry in entries}
    seen = set()
    with tarfile.open(fileobj=io.BytesIO(packed(blobs, entries, mtime)), errors="strict") as tar:
        for member in tar:
            entry = by_path[member.name]
            rights = by_path[entry.link] if entry.kind == "hardlink" else entry
            seen.add(entry.path)
            assert member.mode == (0o777 if entry.kind == "symlink" else rights.mode)
            assert (member.uid, member.gid, member.mtime) == (rights.uid, rights.gid, mtime)
            assert (member.uname, member.gname) == ("", "")
            assert member.linkname == entry.link
            assert entry.link in seen or entry.kind != "hardlink"
            assert {
                "file": member.isreg,
                "dir": member.isdir,
                "symlink": member.issym,
                "hardlink": member.islnk,
            }[entry.kind]()
            if entry.digest is not None:
                content = tar.extractfile(member)
                assert content is not None
                assert digest_of(content.read()) == entry.digest
    assert seen == by_path.keys()


_LINE = re.compile(r"(.)(.{9}) (\d+)/(\d+) +(\d+) 1970-01-01 00:00 (.*)")
_FIRST = {"file": "-", "dir": "d", "symlink": "l", "hardlink": "h"}
_ARROW = {"file": "", "dir": "/", "symlink": " -> ", "hardlink": " link to "}


@settings(max_examples=25)
@given(trees())
def test_gnu_tar_lists_what_went_in(tree: tuple[MemoryBlobs, list[FileEntry]]) -> None:
    blobs, entries = tree
    by_path = {entry.path: entry for entry in entries}
    listed = subprocess.run(
        ["tar", "--list", "-v", "--numeric-owner", "--utc", "--quoting-style=literal"],
        input=packed(blobs, entries),
        capture_output=True,
        check=True,
    )
    assert listed.stderr == b""
    found = set()
    for line in listed.stdout.decode().removesuffix("\n").split("\n") if entries else ():
        match = _LINE.fullmatch(line)
        assert match, line
        found.add((match[1], int(match[3]), int(match[4]), int(match[5]), match[6]))
    wanted = set()
    for entry in entries:
        rights = by_path[entry.link] if entry.kind == "hardlink" else entry
        name = entry.path + _ARROW[entry.kind] + entry.link
        wanted.add((_FIRST[entry.kind], rights.uid, rights.gid, entry.size, name))
    assert found == wanted


@given(trees(), st.randoms(use_true_random=False))
def test_order_does_not_show(tree: tuple[MemoryBlobs, list[FileEntry]], random: Any) -> None:
    blobs, entries = tree
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert packed(blobs, shuffled) == packed(blobs, entries)


def test_parents_come_first_and_hard_links_after_their_file() -> None:
    blobs = MemoryBlobs()
    entries = with_parents(
        [
            FileEntry(path="zone/Alias", kind="hardlink", link="zone/b/Paris"),
            blobs.file("zone/b/Paris", b"TZif", mode=0o600, uid=7, gid=8),
            FileEntry(path="zone/c", kind="hardlink", link="zone/b/Paris"),
        ]
    )
    with tarfile.open(fileobj=io.BytesIO(packed(blobs, entries))) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [
        "zone", "zone/b", "zone/b/Paris", "zone/Alias", "zone/c",
    ]  # fmt: skip
    assert {(m.mode, m.uid, m.gid) for m in members[2:]} == {(0o600, 7, 8)}


def test_plain_names_need_no_pax_header() -> None:
    blobs = MemoryBlobs()
    long = "usr/share/" + "d" * 90 + "/" + "f" * 100  # fits ustar's prefix and name
    data = packed(blobs, [blobs.file(long, b""), blobs.file("n" * 100, b"")])
    assert len(data) == 4 * 512
    assert b"PaxHeader" not in data


def test_a_file_of_8_gib_gets_a_pax_size() -> None:
    blobs = MemoryBlobs()
    digest = blobs.put(b"").digest
    for size in (8 * 1024**3 - 1, 8 * 1024**3):
        out = io.BytesIO()
        with pytest.raises(ScratchError):  # nobody has that many bytes here; the header is out
            out.writelines(
                tar_chunks([FileEntry(path="big", digest=digest, size=size)], blobs.open)
            )
        header = io.BytesIO(out.getvalue() + bytes(512))
        with tarfile.open(fileobj=header) as tar:
            member = tar.next()
            assert member is not None
            assert member.size == size
            assert member.pax_headers == ({"size": str(size)} if size >= 8 * 1024**3 else {})


@pytest.mark.parametrize("length", [*range(80, 110), *range(980, 1000)])
def test_pax_records_count_their_own_length(length: int) -> None:
    link = "é" * (length // 2) + "x" * (length % 2)
    entry = FileEntry(path="a", kind="symlink", link=link)
    with tarfile.open(fileobj=io.BytesIO(packed(MemoryBlobs(), [entry]))) as tar:
        assert tar.getmember("a").linkname == link


_EMPTY = digest_of(b"")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (
            [FileEntry(path="a", kind="dir"), FileEntry(path="a", kind="dir")],
            "/a: two entries for one path",
        ),
        (
            [FileEntry(path="../etc", kind="dir")],
            "/../etc: wanted a path without '.', '..' or '//', got '/../etc'",
        ),
        (
            [FileEntry(path="/etc", kind="dir")],
            "//etc: wanted a path without a slash at its start or end",
        ),
        (
            [FileEntry(path="", kind="dir")],
            "/: wanted an absolute path inside the image, got '/'",
        ),
        (
            [FileEntry(path="a", kind="symlink", link="b"), FileEntry(path="a/b", kind="dir")],
            "/a/b: lies below /a, which is a symlink",
        ),
        (
            [FileEntry(path="a", kind="hardlink", link="b")],
            "/a: a hard link to /b, which is not a file of this layer",
        ),
        (
            [FileEntry(path="a", kind="symlink", link="")],
            "/a: wanted a symbolic link's target, got ''",
        ),
        ([FileEntry(path="a")], "/a: a file without content"),
        (
            [FileEntry(path="a" * 256, kind="dir")],
            f"/{'a' * 256}: wanted names of at most 255 bytes, got 256 in '/{'a' * 29}…'",
        ),
        (
            [FileEntry(path="a", kind="dir", mode=0o10000)],
            "/a: wanted a mode up to 07777, got 0o10000",
        ),
        (
            [FileEntry(path="a", kind="dir", uid=-1)],
            "/a: wanted numbers from 0 up for owner and size, got -1:0, 0 bytes",
        ),
        (
            [FileEntry(path="caf\udce9", kind="dir")],
            "/caf\\udce9: wanted a name in UTF-8, got 'caf\\udce9'\n"
            "    hint: rename it: container tools disagree on other encodings",
        ),
        (
            [FileEntry(path="a", digest=_EMPTY, size=2)],
            f"blob {_EMPTY}: wanted 2 bytes for /a, got 0",
        ),
    ],
)
def test_what_cannot_be_packed(entries: list[FileEntry], message: str) -> None:
    blobs = MemoryBlobs()
    blobs.put(b"")
    with pytest.raises(ScratchError) as error:
        packed(blobs, entries)
    assert str(error.value) == message


def test_a_blob_of_another_size_than_its_entry() -> None:
    blobs = MemoryBlobs()
    entry = blobs.file("a", b"right")
    assert entry.digest is not None
    for content, got in ((b"right and more", "more than 5"), (b"rig", "3")):
        blobs.by_digest[entry.digest] = content
        with pytest.raises(ScratchError) as error:
            packed(blobs, [entry])
        assert str(error.value) == f"blob {entry.digest}: wanted 5 bytes for /a, got {got}"


_SCRIPT = """
import io, os, sys
sys.path[:0] = sys.argv[1:]
os.umask(int(os.environ["UMASK"], 8))
from memory_blobs import MemoryBlobs
blobs = MemoryBlobs()
print(blobs.image().digest)
"""


def test_surroundings_do_not_show() -> None:
    here = os.path.dirname(__file__)
    root = os.path.dirname(os.path.dirname(here))
    found = set()
    for umask, zone, locale, seed in [
        ("022", "UTC", "C", "0"),
        ("077", "Asia/Kathmandu", "C.UTF-8", "1"),
        ("000", "America/Los_Angeles", "POSIX", "2"),
    ]:
        env = {"UMASK": umask, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", _SCRIPT, root, here],
            env=env,
            cwd="/",
            capture_output=True,
            check=True,
        )
        found.add(done.stdout.decode().strip())
    assert found == {MemoryBlobs().image().digest}
