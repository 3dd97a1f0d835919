"""Files from other images, out of a real registry that serves a real Debian root."""

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import ScratchError, SinkError, StageError
from scratchtasks.core.platform import Platform, host_platform, parse_platform
from scratchtasks.core.source import FromImage
from scratchtasks.execute.operation import Done, Job, World
from scratchtasks.execute.process import Cancelled
from scratchtasks.execute.sources.bounds import Bounds
from scratchtasks.execute.sources.fetch import Fetch
from scratchtasks.execute.sources.resolve import missing_blobs, resolve_pin
from scratchtasks.rules.fetch import fetch
from tests.registry.proxy import Fault, Proxy

from .debian_root import (
    BUNDLE,
    Entry,
    Layout,
    compressed,
    folder,
    hardlink,
    layer_of,
    symlink,
    tar_of,
)

AMD64 = Platform("linux", "amd64")
Pinned = Callable[..., World]


def run(
    image: str,
    path: str,
    world: World,
    what: str = "file",
    platform: Platform | None = AMD64,
    bounds: Bounds | None = None,
) -> Done:
    """What the fetch of *path* gives.  Raises: ScratchError."""
    action = fetch(FromImage(image=image, path=path), what, platform)
    outcome = Fetch(bounds).run([Job(action)], world)[action.name]
    if isinstance(outcome, ScratchError):
        raise outcome
    return outcome


def content(image: str, path: str, world: World, **more: Any) -> bytes:
    return world.store.read(run(image, path, world, **more).outputs["file"].digest)


def refusal(image: str, path: str, world: World, **more: Any) -> str:
    with pytest.raises(ScratchError) as caught:
        run(image, path, world, **more)
    return str(caught.value)


@pytest.fixture
def push(host: str, tmp_path: Path) -> Callable[..., str]:
    """Pushes an image of layers, each a tar and how it is compressed; returns its name."""

    def make(*layers: tuple[bytes, str], name: str = "", ends: Sequence[str] | None = None) -> str:
        layout = Layout(tmp_path / "layout")
        packed = [compressed(tar, how) for tar, how in layers]
        if ends is not None:
            packed = [(data, end) for (data, _), end in zip(packed, ends, strict=True)]
        path = f"{host}/{name or tmp_path.name.lower().replace('_', '-').strip('-')}:1"
        layout.push(layout.manifest(packed), path)
        return path

    return make


def test_a_file_of_debian_comes_out_byte_for_byte(host: str, debian: Path, pinned: Pinned) -> None:
    image = f"{host}/debian:12"
    world = pinned(image)
    mime = content(image, "/etc/mime.types", world)
    assert mime == (debian / "etc/mime.types").read_bytes()
    assert content(image, f"/{BUNDLE}", world) == (debian / BUNDLE).read_bytes()
    # /etc/os-release is a symlink to ../usr/lib/os-release.
    assert os.readlink(debian / "etc/os-release") == "../usr/lib/os-release"
    release = content(image, "/etc/os-release", world)
    assert release == (debian / "usr/lib/os-release").read_bytes()


def test_zones_of_debian_are_all_there(host: str, debian: Path, pinned: Pinned) -> None:
    image = f"{host}/debian:12"
    tree = content(image, "/usr/share/zoneinfo", pinned(image), what="zones")
    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        got = {info.name for info in archive if info.isfile()}
        paris = archive.extractfile("Europe/Paris")
        assert paris is not None
        zoneinfo = debian / "usr/share/zoneinfo"
        assert paris.read() == (zoneinfo / "Europe/Paris").read_bytes()
    assert got == {
        str(path.relative_to(zoneinfo))
        for path in zoneinfo.rglob("*")
        if path.is_file() and path.relative_to(zoneinfo).parts[0] not in ("posix", "right")
        and path.name not in ("localtime", "posixrules")
    }  # fmt: skip


def test_each_platform_has_its_own_and_nothing_is_pulled_twice(
    host: str, proxy: Proxy, debian: Path, pinned: Pinned
) -> None:
    image = f"{proxy.host}/debian:12"
    world = pinned(image)
    assert (world.pins[f"image:{image}"].version, world.pins[f"image:{image}"].date) == (
        "12",
        "2026-10-20",
    )
    for platform in (AMD64, parse_platform("linux/arm64")):
        mime = content(image, "/etc/mime.types", world, platform=platform)
        assert mime == (debian / "etc/mime.types").read_bytes()
    blobs = [seen.path for seen in proxy.seen if "/blobs/" in seen.path]
    assert len(blobs) == len(set(blobs)) == 3  # a config for the date, a layer for each platform
    del proxy.seen[:]
    content(image, "/etc/debian_version", world)
    content(image, "/usr/share/zoneinfo", world, what="zones", platform=None)
    assert proxy.seen == []
    assert refusal(image, "/etc/mime.types", world, platform=parse_platform("linux/s390x")) == (
        f"image {image}: has no image for linux/s390x\n    hint: it has: linux/amd64, linux/arm64"
    )


def test_a_tag_that_moves_changes_nothing_until_it_is_pinned_anew(
    push: Callable[..., str], pinned: Pinned
) -> None:
    image = push((layer_of(Entry("etc/a", b"old")), "gzip"))
    world = pinned(image)
    push((layer_of(Entry("etc/a", b"new")), "gzip"))
    assert content(image, "/etc/a", world) == b"old"
    assert content(image, "/etc/a", pinned(image, given=world)) == b"new"


def test_layers_apply_in_order_however_they_are_compressed(
    push: Callable[..., str], pinned: Pinned
) -> None:
    base = layer_of(
        folder("etc"), Entry("etc/a", b"1"), Entry("etc/gone", b"1"), Entry("etc/kept", b"1"),
        folder("opt"), folder("opt/x"), Entry("opt/x/old", b"1"),
        folder("usr"), folder("usr/lib"), Entry("usr/lib/run", b"elf", mode=0o755),
        symlink("lib", "usr/lib"), symlink("abs", "/etc/../../../etc/a"), symlink("loop", "loop2"),
        symlink("loop2", "/loop"), symlink("chain", "chain2"), symlink("chain2", "/abs"),
        symlink("up", "../../../../etc/kept"), symlink("dangling", "/nowhere"),
    )  # fmt: skip
    middle = layer_of(
        Entry("etc/.wh.gone"), Entry("etc/a", b"2"), folder("opt"), folder("opt/x"),
        Entry("opt/x/.wh..wh..opq"), Entry("opt/x/new", b"2"),
        hardlink("etc/hard", "etc/a"), hardlink("etc/harder", "etc/hard"), Entry("lib/extra", b"2"),
    )  # fmt: skip
    top = layer_of(
        Entry("./etc/b", b"3"), hardlink("etc/lower", "etc/kept"), form=tarfile.GNU_FORMAT
    )
    image = push((base, "gzip"), (middle, "zstd"), (top, ""))
    world = pinned(image)
    read = {
        path: content(image, path, world)
        for path in ("/etc/a", "/etc/b", "/etc/kept", "/opt/x/new", "/abs", "/chain", "/up",
                     "/etc/hard", "/etc/harder", "/etc/lower", "/lib/run", "/usr/lib/extra",
                     "/lib/extra")
    }  # fmt: skip
    assert read == {
        "/etc/a": b"2", "/etc/b": b"3", "/etc/kept": b"1", "/opt/x/new": b"2", "/abs": b"2",
        "/chain": b"2", "/up": b"1", "/etc/hard": b"2", "/etc/harder": b"2", "/etc/lower": b"1",
        "/lib/run": b"elf", "/usr/lib/extra": b"2", "/lib/extra": b"2",
    }  # fmt: skip
    assert run(image, "/lib/run", world).facts["mode"] == 0o755
    where = f"image {image} (linux/amd64)"
    assert refusal(image, "/etc/gone", world) == f"{where}: has no /etc/gone"
    assert refusal(image, "/opt/x/old", world) == f"{where}: has no /opt/x/old"
    assert refusal(image, "/etc/kepd", world) == (
        f"{where}: has no /etc/kepd\n    hint: did you mean 'kept'?"
    )
    assert refusal(image, "/opt", world) == f"{where}: /opt is a folder (wanted a file)"
    assert refusal(image, "/loop", world) == f"{where}: holds symlinks that lead in a circle"
    assert refusal(image, "/dangling", world) == (
        f"{where}: /dangling is a symlink that leads to nothing"
    )
    assert refusal(image, "/etc/a/b", world) == f"{where}: has no /etc/a/b"


def test_only_the_layers_that_tell_are_pulled(
    push: Callable[..., str], proxy: Proxy, pinned: Pinned
) -> None:
    base = layer_of(folder("etc"), Entry("etc/a", b"1"), Entry("etc/b", os.urandom(100_000)))
    image = push((base, "gzip"), (layer_of(folder("etc"), Entry("etc/a", b"2")), "gzip"))
    image = image.replace(image.partition("/")[0], proxy.host)
    world = pinned(image)
    del proxy.seen[:]
    assert content(image, "/etc/a", world) == b"2"
    assert sum("/blobs/" in seen.path for seen in proxy.seen) == 1
    with pytest.raises(StageError, match="has no /etc/c"):
        run(image, "/etc/c", world)
    assert sum("/blobs/" in seen.path for seen in proxy.seen) == 2


def test_a_download_that_breaks_off_goes_on_where_it_was(
    push: Callable[..., str], proxy: Proxy, pinned: Pinned
) -> None:
    data = os.urandom(3 << 20)
    image = push((layer_of(Entry("data", data)), ""))
    image = image.replace(image.partition("/")[0], proxy.host)
    world = pinned(image)
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, times=2, half=1 << 20))
    del proxy.seen[:]
    assert content(image, "/data", world) == data
    ranges = [seen.headers.get("Range") for seen in proxy.seen if "/blobs/" in seen.path]
    assert ranges[0] is None
    assert len(ranges) == 3
    assert all(each and each.startswith("bytes=") for each in ranges[1:])


def test_other_bytes_than_were_asked_for_are_refused(
    push: Callable[..., str], proxy: Proxy, pinned: Pinned
) -> None:
    image = push((layer_of(Entry("a", b"1")), ""))
    image = image.replace(image.partition("/")[0], proxy.host)
    world = pinned(image)
    forged = layer_of(Entry("a", b"2"))
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, status=200, body=forged))
    layer = hashlib.sha256(layer_of(Entry("a", b"1"))).hexdigest()
    told = hashlib.sha256(forged).hexdigest()
    repository = image.removesuffix(":1")
    assert refusal(image, "/a", world) == (
        f"{repository}@sha256:{layer}: digest mismatch: the registry sent sha256:{told}"
    )
    proxy.faults.append(
        Fault(lambda seen: "/blobs/" in seen.path, status=200, body=forged + bytes(512))
    )
    assert refusal(image, "/a", world) == (
        f"{repository}@sha256:{layer}: wanted {len(forged)} bytes, the registry sent more"
    )
    assert content(image, "/a", world) == b"1"


def test_a_blob_that_the_registry_has_lost_is_named(
    push: Callable[..., str], proxy: Proxy, pinned: Pinned
) -> None:
    image = push((layer_of(Entry("a", b"1")), ""))
    image = image.replace(image.partition("/")[0], proxy.host)
    world = pinned(image)
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, status=404))
    layer = hashlib.sha256(layer_of(Entry("a", b"1"))).hexdigest()
    path = image.removesuffix(":1").partition("/")[2]
    assert refusal(image, "/a", world) == (
        f"GET {proxy.host}/v2/{path}/blobs/sha256:{layer}: 404 NOT FOUND"
    )


def test_an_edited_hash_names_both_digests(host: str, pinned: Pinned) -> None:
    image = f"{host}/debian:12"
    world = pinned(image)
    pin = world.pins[f"image:{image}"]
    edited = replace(pin, sha256="0" * 64)
    assert refusal(image, "/etc/mime.types", replace(world, pins={pin.name: edited})) == (
        f"image:{image}: digest mismatch: scratch.lock says sha256:{'0' * 64}, "
        f"which the registry does not have; the tag now is sha256:{pin.sha256}\n"
        "    hint: `doit refresh` takes it"
    )


def test_a_digest_that_is_gone_is_no_tag_that_moved(host: str, pinned: Pinned) -> None:
    world = pinned(f"{host}/debian:12")
    (pin,) = world.pins.values()
    image = f"{host}/debian@sha256:{'0' * 64}"
    gone = replace(pin, name=f"image:{image}", version="digest", sha256="0" * 64)
    assert refusal(image, "/etc/mime.types", replace(world, pins={gone.name: gone})) == (
        f"image {image} (linux/amd64): sha256:{'0' * 64} is not in the registry"
    )


def test_without_network_the_store_has_to_do(push: Callable[..., str], pinned: Pinned) -> None:
    tar = layer_of(Entry("a", b"1"))
    image = push((tar, ""))
    world = replace(pinned(image), is_offline=True)
    layer = hashlib.sha256(tar).hexdigest()
    action = fetch(FromImage(image=image, path="/a"), "file", AMD64)
    assert missing_blobs(action, world) == [f"{image}: sha256:{layer} ({len(tar):,} bytes)"]
    assert refusal(image, "/a", world) == (
        f"image {image}: sha256:{layer}: is not in the store, and --offline forbids to fetch it\n"
        "    hint: run once without --offline"
    )
    run(image, "/a", replace(world, is_offline=False))
    assert content(image, "/a", world) == b"1"
    assert missing_blobs(action, world) == []


def test_an_unreachable_registry_and_an_unknown_image_are_clear(
    host: str, proxy: Proxy, world: World
) -> None:
    def resolve(image: str) -> str:
        with pytest.raises(ScratchError) as caught:
            resolve_pin(fetch(FromImage(image=image, path="/a"), "file"), world)
        return str(caught.value)

    assert resolve(f"{host}/nothing:1") == (
        f"image {host}/nothing:1: the registry has no 1 in {host}/nothing"
    )
    portal = b"<html><title>Welcome to the hotel</title></html>"
    proxy.faults.append(Fault(lambda seen: "/manifests/" in seen.path, 3, status=200, body=portal))
    assert resolve(f"{proxy.host}/debian:12") == (
        f"GET {proxy.host}/v2/debian/manifests/12: answered 200, but with no manifest (got '')\n"
        "    hint: something before the registry may have answered in its place"
    )
    artifact = Fault(lambda seen: "/manifests/" in seen.path, 3, 200, body=b'{"schemaVersion": 2}')
    proxy.faults[:] = [artifact]
    assert resolve(f"{proxy.host}/debian:12") == (
        f"image {proxy.host}/debian:12: is no OCI or Docker image (it has neither layers nor "
        "manifests)"
    )
    proxy.faults.clear()
    assert resolve("127.0.0.1:9/x:1") == (
        "HEAD 127.0.0.1:9/v2/x/manifests/1: no connection: Connection refused"
    )


@pytest.mark.parametrize(
    ("tar", "what"),
    [
        (layer_of(Entry("../../etc/passwd", b"x")),
         "a layer holds the path '../../etc/passwd', which leads out of its root"),
        (layer_of(Entry("/../etc/passwd", b"x")),
         "a layer holds the path '/../etc/passwd', which leads out of its root"),
        (layer_of(hardlink("a", "../../etc/passwd")),
         "a layer holds the path '../../etc/passwd', which leads out of its root"),
        (layer_of(hardlink("a", "b"), Entry("b", b"x")),
         "a layer holds the hard link 'a' to 'b', which is no file by then"),
        (b"this is no tar at all" * 100, "a layer holds 'his is n' where a number belongs"),
        (layer_of(Entry("b", b"x" * 2000))[:1500], "a layer ends in the middle of a file"),
        (gzip.compress(layer_of(Entry("b", b"x" * 2000)), mtime=0)[:-30],
         "a layer ends in the middle of its compressed data"),
        (compressed(layer_of(Entry("b", b"x" * 2000)), "zstd")[0][:-30],
         "a layer ends in the middle of its compressed data"),
    ],
)  # fmt: skip
def test_hostile_and_damaged_layers_are_refused(
    push: Callable[..., str], pinned: Pinned, tar: bytes, what: str, tmp_path: Path
) -> None:
    image = push((tar, ""), name=f"hostile-{hashlib.sha256(tar).hexdigest()[:12]}")
    assert refusal(image, "/a", pinned(image)) == f"image {image} (linux/amd64): {what}"
    assert not (tmp_path / "etc").exists()


def test_absolute_paths_in_a_layer_count_from_the_root(
    push: Callable[..., str], pinned: Pinned
) -> None:
    # As ko writes them: `/ko-app/api` in the folder `ko-app`.
    image = push(
        (layer_of(Entry("etc/old", b"old"), Entry("etc/gone", b"")), "gzip"),
        (layer_of(Entry("/ko-app/api", b"api"), Entry("/etc/.wh.gone", b"")), "gzip"),
    )
    world = pinned(image)
    assert content(image, "/ko-app/api", world) == b"api"
    assert content(image, "/etc/old", world) == b"old"
    assert refusal(image, "/etc/gone", world).startswith(f"image {image} (linux/amd64): has no")


def test_bombs_are_bounded(push: Callable[..., str], pinned: Pinned) -> None:
    zeros = layer_of(Entry("etc/zeros", bytes(4 << 20)), Entry("etc/a", b"1"))
    image = push((zeros, "gzip"))
    world = pinned(image)
    where = f"image {image} (linux/amd64)"
    few = Bounds(expanded=1 << 20)
    assert refusal(image, "/etc/a", world, bounds=few) == (
        f"{where}: a layer expands to more than 1048576 bytes"
    )
    assert refusal(image, "/etc/zeros", world, bounds=Bounds(file=1000)) == (
        f"{where}: /etc/zeros has 4194304 bytes (at most 1000)"
    )
    assert refusal(image, "/etc", world, what="zones", bounds=Bounds(folder=1000)) == (
        f"{where}: /etc holds more than 1000 bytes"
    )
    assert refusal(image, "/etc/a", world, bounds=Bounds(layer=100)).startswith(
        f"{where}: has a layer of "
    )
    assert content(image, "/etc/a", world) == b"1"


def test_what_docker_build_makes_of_debian_gives_the_same(
    debian: Path, push: Callable[..., str], pinned: Pinned
) -> None:
    """The same root, cut in two layers by path: nothing depends on how it was cut."""
    whole = tar_of(debian)
    parts: list[list[Entry]] = [[], []]
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        for number, info in enumerate(archive):
            file = archive.extractfile(info) if info.isfile() else None
            data = file.read() if file else b""
            entry = Entry(info.name, data, info.type, info.linkname, info.mode)
            parts[number % 2].append(entry)
    image = push(*((layer_of(*part), "zstd") for part in parts))
    world = pinned(image)
    for path in ("etc/os-release", "etc/mime.types", "usr/share/zoneinfo/Europe/Paris"):
        assert content(image, f"/{path}", world) == (debian / path).read_bytes()


def test_sink_errors_are_the_registrys_own_words(proxy: Proxy, host: str, pinned: Pinned) -> None:
    image = f"{proxy.host}/debian:12"
    world = pinned(image)
    body = b'{"errors":[{"code":"DENIED","message":"not for you"}]}'
    proxy.faults.append(Fault(lambda seen: "/blobs/" in seen.path, status=403, body=body))
    with pytest.raises(SinkError) as caught:
        run(image, "/etc/mime.types", world)
    assert str(caught.value).splitlines()[1:] == [
        f"    hint: may this account read debian? docker login {proxy.host}"
    ]
    assert ": 403 DENIED: not for you" in str(caught.value)


def test_a_program_for_another_machine_is_refused(push: Callable[..., str], pinned: Pinned) -> None:
    program = Path("/usr/bin/true").read_bytes()
    image = push((layer_of(Entry("bin/true", program, mode=0o755), Entry("a", b"1")), "gzip"))
    world = pinned(image)
    host = Platform("linux", host_platform().architecture)
    other = parse_platform("linux/s390x")
    assert content(image, "/bin/true", world, platform=host) == program
    assert content(image, "/a", world, platform=other) == b"1"
    assert refusal(image, "/bin/true", world, platform=other).startswith(
        f"/bin/true of image {image}: wanted linux/s390x (S/390, 64 bit, big-endian), got "
    )


def test_many_files_of_one_image_are_read_together_and_each_fails_alone(
    push: Callable[..., str], pinned: Pinned
) -> None:
    image = push((layer_of(Entry("a", b"1"), Entry("b", b"2")), "gzip"))
    world = pinned(image)
    jobs = [
        Job(fetch(FromImage(image=image, path=path), "file", AMD64)) for path in ("/a", "/b", "/c")
    ]
    assert len({Fetch().batch_key(job, world) for job in jobs}) == 1
    a, b, c = Fetch().run(jobs, world).values()
    assert isinstance(a, Done)
    assert isinstance(b, Done)
    assert (a.outputs["file"].size, b.outputs["file"].size) == (1, 1)
    assert str(c) == f"image {image} (linux/amd64): has no /c"


def test_tasks_that_want_the_same_layer_at_once_pull_it_once(proxy: Proxy, pinned: Pinned) -> None:
    image = f"{proxy.host}/debian:12"
    world = pinned(image)
    del proxy.seen[:]
    with ThreadPoolExecutor(8) as pool:
        done = pool.map(lambda _: content(image, "/etc/mime.types", world), range(8))
    assert len(set(done)) == 1
    assert sum("/blobs/" in seen.path for seen in proxy.seen) == 1


def test_a_cancelled_run_ends_in_the_middle_of_a_download(
    push: Callable[..., str], pinned: Pinned
) -> None:
    image = push((layer_of(Entry("a", os.urandom(1 << 20))), ""))
    world = pinned(image)
    world.processes.cancel()
    with pytest.raises(Cancelled):
        run(image, "/a", world)
    assert not list(Path(world.scratch, "blobs/tmp").iterdir())
