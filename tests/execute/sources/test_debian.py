"""Debian's ca-certificates from a mirror: a real package, a real signature, real refusals."""

import lzma
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.source import DEBIAN_ROOTS, DebianMirror
from scratchtasks.core.target import Pin
from scratchtasks.execute.essentials.certs import check_certificates
from scratchtasks.execute.operation import Job, World
from scratchtasks.execute.sources import debian as debian_mirror
from scratchtasks.execute.sources.fetch import Fetch
from scratchtasks.execute.sources.resolve import missing_blobs, resolve_pin
from scratchtasks.rules.fetch import fetch
from tests.registry.servers import serving

from .debian_root import BUNDLE
from .mirror import INDEX, Mirror, Served, sha256

ACTION = fetch(DEBIAN_ROOTS, "roots")


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Mirror:
    """A key is slow to make: one for all tests."""
    folder = tmp_path_factory.mktemp("mirror")
    return Mirror(folder / "nowhere", folder / "gpg")


@pytest.fixture
def mirror(keys: Mirror, tmp_path: Path, packages: dict[str, Path]) -> Mirror:
    """A mirror with ca-certificates."""
    keys.folder = tmp_path / "mirror"
    keys.publish(packages["ca-certificates"])
    return keys


@pytest.fixture
def served(mirror: Mirror) -> Iterator[Served]:
    server = Served(mirror.folder)
    with serving(server):
        yield server


@pytest.fixture
def user(world: World, mirror: Mirror, served: Served) -> World:
    """A workspace that names the mirror and its keys."""
    return replace(world, debian=DebianMirror(url=served.url, keyring=str(mirror.keyring)))


def resolve(world: World) -> tuple[Pin, str]:
    return resolve_pin(ACTION, world)


def refusal(do: Callable[[World], object], world: World) -> str:
    with pytest.raises(ScratchError) as caught:
        do(world)
    return str(caught.value)


def roots(world: World) -> bytes:
    outcome = Fetch().run([Job(ACTION)], world)[ACTION.name]
    if isinstance(outcome, ScratchError):
        raise outcome
    return world.store.read(outcome.outputs["file"].digest)


def test_the_package_is_verified_pinned_and_gives_debian_s_own_bundle(
    user: World, served: Served, packages: dict[str, Path], debian: Path
) -> None:
    package = packages["ca-certificates"]
    pin, note = resolve(user)
    assert note == ""
    assert pin == Pin(
        name="debian:ca-certificates",
        version=package.name.split("_")[1],
        sha256=sha256(package.read_bytes()),
        size=package.stat().st_size,
        kind="debian",
        filename=package.name,
        date=pin.date,
    )
    assert pin.date.replace("-", "") >= pin.version[:8]  # built on the day of the release, or later
    locked = replace(user, pins={pin.name: pin})
    del served.asked[:]
    assert roots(locked) == (debian / BUNDLE).read_bytes()
    assert served.asked == []  # resolving has kept it
    check_certificates(roots(locked), "Debian")


def test_without_a_keyring_the_first_fetch_is_believed_and_said_so(
    user: World, tmp_path: Path
) -> None:
    bare = replace(user, debian=DebianMirror(url=user.debian.url), env={"PATH": str(tmp_path)})
    pin, note = resolve(bare)
    assert pin.name == "debian:ca-certificates"
    assert note == (
        f"{user.debian.url}/dists/stable/InRelease was not verified: no gpgv on this machine"
    )


def test_a_keyring_of_ones_own_asks_for_gpgv(user: World, tmp_path: Path) -> None:
    assert refusal(resolve, replace(user, env={"PATH": str(tmp_path)})) == (
        "sources.debian_keyring: there is no gpgv to check with\n"
        "    hint: install gpgv, or leave the key out: then the first fetch is believed"
    )


def test_who_is_not_in_the_keyring_is_not_believed(user: World) -> None:
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    others = replace(user, debian=DebianMirror(url=user.debian.url, keyring=keyring))
    where = f"{user.debian.url}/dists/stable/InRelease"
    assert refusal(resolve, others) == (
        f"{where}: is not signed by a key of {keyring}\n"
        "    hint: is it a mirror of Debian? [sources] debian_keyring names another keyring"
    )
    gone = replace(user, debian=DebianMirror(url=user.debian.url, keyring="keys/none.gpg"))
    assert refusal(resolve, gone) == "sources.debian_keyring: there is no file 'keys/none.gpg'"


def test_a_mirror_that_sends_other_bytes_is_caught_at_each_step(
    user: World, mirror: Mirror, packages: dict[str, Path]
) -> None:
    package = packages["ca-certificates"]
    pin, _ = resolve(user)
    url = user.debian.url
    index = (mirror.folder / "dists/stable" / INDEX).read_bytes()
    mirror.write(f"dists/stable/{INDEX}", index[:-1] + b"x")
    assert refusal(resolve, user) == (
        f"{url}/dists/stable/{INDEX}: digest mismatch: InRelease says sha256:{sha256(index)}, "
        f"the mirror sent sha256:{sha256(index[:-1] + b'x')}"
    )
    mirror.publish(package)
    pool = f"pool/main/c/ca-certificates/{package.name}"
    mirror.write(pool, b"forged")
    assert refusal(resolve, user) == (
        f"{url}/{pool}: digest mismatch: {INDEX} says sha256:{pin.sha256}, "
        f"the mirror sent sha256:{sha256(b'forged')}"
    )
    inrelease = (mirror.folder / "dists/stable/InRelease").read_bytes()
    mirror.write("dists/stable/InRelease", inrelease.replace(b"stable", b"forged"))
    assert "is not signed by a key of" in refusal(resolve, user)


def test_a_build_is_held_to_the_lock(
    world: World, user: World, mirror: Mirror, packages: dict[str, Path], tmp_path: Path,
    world_at: Callable[..., World],
) -> None:  # fmt: skip
    package = packages["ca-certificates"]
    pin, _ = resolve(user)
    other = replace(world_at(tmp_path / "other"), debian=user.debian, pins={pin.name: pin})
    shown = f"debian:ca-certificates {pin.version}"
    offline = replace(other, is_offline=True)
    assert missing_blobs(ACTION, offline) == [f"{shown}: sha256:{pin.sha256} ({pin.size:,} bytes)"]
    assert refusal(roots, offline) == (
        f"{shown}: is not in the store, and --offline forbids to fetch it\n"
        "    hint: run once without --offline"
    )
    pool = f"pool/main/c/ca-certificates/{package.name}"
    mirror.write(pool, b"forged")
    assert refusal(roots, other) == (
        f"{shown}: digest mismatch: scratch.lock says sha256:{pin.sha256}, "
        f"the mirror sent sha256:{sha256(b'forged')}"
    )
    (mirror.folder / pool).unlink()
    assert refusal(roots, other) == (
        f"GET {user.debian.url.removeprefix('http://')}/{pool}: answered 404\n"
        "    hint: `doit refresh` finds what the mirror has now"
    )
    mirror.publish(package)
    assert roots(other) == roots(replace(user, pins={pin.name: pin}))


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"Filename": "../../etc/passwd"},
         "does not say where ca-certificates is, or what it is"),
        ({"Filename": "pool/../../x.deb"},
         "does not say where ca-certificates is, or what it is"),
        ({"SHA256": "12"}, "does not say where ca-certificates is, or what it is"),
    ],
)  # fmt: skip
def test_an_index_that_leads_elsewhere_is_refused(
    user: World, mirror: Mirror, packages: dict[str, Path], changed: dict[str, str], what: str
) -> None:
    mirror.publish(packages["ca-certificates"], **changed)
    assert refusal(resolve, user) == f"{user.debian.url}/dists/stable/{INDEX}: {what}"


def test_what_an_index_may_cost_is_bounded(
    user: World, mirror: Mirror, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"{user.debian.url}/dists/stable/{INDEX}"
    endless = lzma.compress(b"Package: x\n" * (300 << 10))
    mirror.write(f"dists/stable/{INDEX}", endless)
    mirror.release({INDEX: endless})
    assert refusal(resolve, user) == f"{where}: is no index of packages"
    monkeypatch.setattr(debian_mirror, "_MAX_PACKED", 100)
    assert refusal(resolve, user) == (
        f"GET {where.removeprefix('http://')}: wanted at most 100 bytes, got more"
    )


def test_other_packages_and_damaged_ones_are_no_bundle(
    user: World, mirror: Mirror, packages: dict[str, Path], tmp_path: Path
) -> None:
    package = packages["ca-certificates"]
    data = package.read_bytes()

    def build(data: bytes) -> str:
        (tmp_path / package.name).write_bytes(data)
        pin = Pin(
            name="debian:ca-certificates", version=package.name.split("_")[1],
            sha256=sha256(data), size=len(data), kind="debian", filename=package.name,
        )  # fmt: skip
        mirror.write(f"pool/main/c/ca-certificates/{package.name}", data)
        return refusal(roots, replace(user, pins={pin.name: pin}))

    shown = f"debian:ca-certificates {package.name.split('_')[1]}"
    bad = f"{shown}: is no sound Debian package: it "
    assert build(b"no package") == f"{bad}has no data.tar"
    assert build(data[:-2000]) == f"{bad}ends in the middle of its compressed data"
    assert build(packages["media-types"].read_bytes()) == (
        f"{shown}: holds no certificate in /usr/share/ca-certificates/mozilla/"
    )
