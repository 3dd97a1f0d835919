"""Layers, applied in any order of files, links and whiteouts: the kernel and umoci know it all."""

import ctypes
import io
import os
import shutil
import stat
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, digest_of, hex_of
from scratchtasks.core.links import TooManyLinks
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Image, User
from scratchtasks.oci import lookup, media
from scratchtasks.oci.image import config_bytes, manifest_bytes
from scratchtasks.oci.layout import LAYOUT_FILE, index_json
from scratchtasks.oci.lookup import Layers
from scratchtasks.oci.untar import Malformed, Member

_OPENAT2 = 437
_RESOLVE_IN_ROOT = 0x10
LIBC = ctypes.CDLL(None, use_errno=True)


class How(ctypes.Structure):
    """Source: openat2(2), struct open_how."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def read_in(root: str, path: str) -> bytes | None:
    """What a process whose root is *root* reads at *path*: b"/" for a folder, None for nothing."""
    here = os.open(root, os.O_PATH)
    try:
        how = How(os.O_RDONLY | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        fd = LIBC.syscall(_OPENAT2, here, path.encode(), ctypes.byref(how), ctypes.sizeof(how))
    finally:
        os.close(here)
    if fd < 0:
        return None
    try:
        return b"/" if stat.S_ISDIR(os.fstat(fd).st_mode) else os.read(fd, 100)
    finally:
        os.close(fd)


names = st.sampled_from(["a", "b", "c"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
links = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=3).map("/".join)


@st.composite
def layer(draw: st.DrawFn) -> list[Member]:
    """Members in an order in which they can be unpacked, every folder among them."""
    kinds: dict[str, tuple[str, str]] = {}
    for path in draw(st.lists(paths, max_size=5)):
        above = [path[:i] for i, char in enumerate(path) if char == "/"]
        if path in kinds or any(kinds.get(each, ("dir",))[0] != "dir" for each in above):
            continue
        kinds |= dict.fromkeys(above, ("dir", ""))
        kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "gone", "opaque"]))
        link = draw(st.sampled_from(["", "/"])) + draw(links) if kind == "symlink" else ""
        kinds[path] = kind, link
    members: list[Member] = []
    files = [path for path, (kind, _) in kinds.items() if kind == "file"]
    for path, (kind, link) in kinds.items():
        folder, _, name = path.rpartition("/")
        if kind == "gone":
            members.append(Member(f"{folder}/.wh.{name}".lstrip("/"), "file", 0o644, 0, ""))
        elif kind == "opaque":
            members += [
                Member(path, "dir", 0o755, 0, ""),
                Member(f"{path}/.wh..wh..opq", "file", 0o644, 0, ""),
            ]
        elif kind == "hardlink":
            if files and files[0] < path:
                members.append(Member(path, "hardlink", 0o644, 0, files[0]))
        else:
            members.append(Member(path, kind, 0o755, 0, link))
    return sorted(members, key=lambda each: (each.kind == "hardlink", each.path))


def apply(members: Iterable[Member], root: str, number: int) -> None:
    """Unpack a layer as runtimes do: what it hides goes first, then what it brings comes."""
    for member in members:
        folder, _, name = member.path.rpartition("/")
        place = os.path.join(root, folder)
        if name == ".wh..wh..opq":
            if os.path.isdir(place) and not any_link(root, folder):
                for each in os.listdir(place):
                    remove(os.path.join(place, each))
        elif name.startswith(".wh.") and not any_link(root, folder) and os.path.isdir(place):
            remove(os.path.join(place, name[4:]))
    for index, member in enumerate(members):
        path = os.path.join(root, member.path)
        if ".wh." in member.path:
            continue
        if member.kind == "dir":
            if os.path.islink(path) or not os.path.isdir(path):
                remove(path)
                os.mkdir(path)
            continue
        remove(path)
        if member.kind == "symlink":
            os.symlink(member.link, path)
        elif member.kind == "hardlink":
            os.link(os.path.join(root, member.link), path)
        else:
            Path(path).write_bytes(f"{index} of {number}".encode())


def any_link(root: str, folder: str) -> bool:
    parts = folder.split("/") if folder else []
    return any(os.path.islink(os.path.join(root, *parts[: i + 1])) for i in range(len(parts)))


def remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def found_in(layers: Layers, path: str) -> bytes | None:
    """The same as `read_in`, by what is under test."""
    try:
        node = layers.find(path)
    except TooManyLinks:
        return None
    if node is None:
        return None
    if node.member.kind == "dir":
        return b"/"
    return f"{node.number} of {node.layer}".encode()


@settings(max_examples=150)
@given(st.lists(layer(), min_size=1, max_size=4))
def test_the_kernel_finds_the_same_at_every_path(stack: Sequence[list[Member]]) -> None:
    layers = Layers(len(stack), lambda number: stack[number])
    with tempfile.TemporaryDirectory() as root:
        for number, members in enumerate(stack):
            apply(members, root, number)
        check_same(layers, root)


def check_same(layers: Layers, root: str) -> None:
    """Whether *layers* have the same as the disk below *root*, at every path there can be."""
    every = ["a", "b", "c"]
    every += [f"{x}/{y}" for x in "abc" for y in ("a", "b", "c", "..")]
    every += [f"{x}/{y}/{z}" for x in "abc" for y in "abc" for z in "abc"]
    for path in every:
        assert found_in(layers, path) == read_in(root, path), path
    for folder in ("", "a", "a/b"):
        real = os.path.join(root, folder)
        if not any_link(root, folder) and os.path.isdir(real):
            assert layers.names(folder) == sorted(os.listdir(real))


def member(path: str, kind: str = "file", link: str = "") -> Member:
    return Member(path, kind, 0o755, 0, link)


@st.composite
def wild(draw: st.DrawFn) -> list[Member]:
    """Members in any order: folders without an entry, paths that come twice, links on the way."""
    members: list[Member] = []
    for path in draw(st.lists(paths, max_size=8)):
        kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "gone", "opaque"]))
        folder, _, name = path.rpartition("/")
        before = [each.path for each in members if each.kind in ("file", "symlink")]
        if kind == "symlink":
            members.append(member(path, kind, draw(st.sampled_from(["", "/"])) + draw(links)))
        elif kind == "hardlink" and before:
            members.append(member(path, kind, draw(st.sampled_from(before))))
        elif kind == "gone":
            members.append(member(f"{folder}/.wh.{name}".lstrip("/")))
        elif kind == "opaque":
            members.append(member(f"{path}/.wh..wh..opq"))
        else:
            members.append(member(path, "dir" if kind == "dir" else "file"))
    return members


def blob(folder: Path, data: bytes, media_type: str) -> Descriptor:
    digest = digest_of(data)
    (folder / "blobs/sha256" / hex_of(digest)).write_bytes(data)
    return Descriptor(media_type, digest, len(data))


_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
}


def tar_of(members: Iterable[Member], number: int) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for index, each in enumerate(members):
            data = f"{index} of {number}".encode() if each.kind == "file" else b""
            info = tarfile.TarInfo(each.path)
            info.type, info.mode, info.linkname = _TYPES[each.kind], each.mode, each.link
            info.uid, info.gid, info.size = os.geteuid(), os.getegid(), len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def umoci_unpacks(stack: Iterable[Iterable[Member]], place: Path) -> Path | None:
    """The root file system that umoci makes of *stack* below *place*; None when it refuses."""
    image = place / "image"
    (image / "blobs/sha256").mkdir(parents=True)
    (image / "oci-layout").write_bytes(LAYOUT_FILE)
    tars = [tar_of(members, number) for number, members in enumerate(stack)]
    layers = [Layer(blob(image, tar, media.LAYER_TAR), DiffID(digest_of(tar)), "") for tar in tars]
    platform = Platform("linux", "amd64")
    about = Image(platforms=(platform,), user=User("a", 1, 1), entrypoint=("/a",))
    config = blob(image, config_bytes(about, platform, layers), media.CONFIG)
    manifest = manifest_bytes(config, [layer.blob for layer in layers])
    (image / "index.json").write_bytes(index_json("a", blob(image, manifest, media.MANIFEST)))
    rootless = [] if os.geteuid() == 0 else ["--rootless"]
    bundle = place / "bundle"
    done = subprocess.run(
        ["umoci", "unpack", *rootless, "--image", f"{image}:latest", bundle],
        capture_output=True,
        check=False,
    )
    return None if done.returncode else bundle / "rootfs"


@settings(max_examples=100)
@given(st.lists(wild(), min_size=1, max_size=3))
@example([[member("z", "dir"), member("z/b"), member("a", "symlink", "z"), member("a/b")]])
@example([[member("z", "dir"), member("a", "symlink", "z"), member("a/b")]])
@example([[member("a"), member("h", "hardlink", "a"), member("a")]])
@example([[member("z/b"), member("a", "symlink", "z")], [member("a/b"), member("a", "dir")]])
@example([[member("a/b")], [member("a"), member("a", "dir"), member("a/c")]])
@example([[member("a", "symlink", "b")], [member("a/c"), member(".wh.a"), member("a/b")]])
def test_umoci_unpacks_the_same(stack: Sequence[list[Member]]) -> None:
    layers = Layers(len(stack), lambda number: stack[number])
    with tempfile.TemporaryDirectory() as place:
        root = umoci_unpacks(stack, Path(place))
        if root is not None:
            check_same(layers, str(root))


def test_folders_without_an_entry_follow_the_links_below() -> None:
    lower = [
        Member("usr", "dir", 0o755, 0, ""),
        Member("usr/lib", "dir", 0o755, 0, ""),
        Member("lib", "symlink", 0o777, 0, "usr/lib"),
    ]
    upper = [Member("lib/x/y", "file", 0o644, 0, ""), Member("new/z", "file", 0o644, 0, "")]
    layers = Layers(2, [lower, upper].__getitem__)
    assert found_in(layers, "usr/lib/x/y") == b"0 of 1"
    assert found_in(layers, "lib/x/y") == b"0 of 1"
    assert found_in(layers, "new/z") == b"1 of 1"
    assert found_in(layers, "new") == b"/"
    assert layers.names("") == ["lib", "new", "usr"]
    assert layers.names("usr/lib/x") == ["y"]


def test_layers_ask_one_another_for_folders_but_not_without_end() -> None:
    stack = [[member(f"usr/lib/{number}")] for number in range(200)]
    layers = Layers(127, stack.__getitem__)
    assert found_in(layers, "usr/lib/3") == b"0 of 3"
    with pytest.raises(Malformed) as caught:
        Layers(200, stack.__getitem__).find("usr/lib/3")
    assert str(caught.value) == "needs more than 127 others to tell where its folders are"


LINK = "holds the hard link 'a' to"


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member("a", "hardlink", "b"), member("b")], f"{LINK} 'b', which is no file by then"),
        ([member("a", "hardlink", "a")], f"{LINK} 'a', which is no file by then"),
        ([member("b/c"), member("a", "hardlink", "b")], f"{LINK} 'b', which is no file by then"),
        ([member("a"), member("a/b")], "holds entries in 'a', which is no folder there"),
        (
            [member("a", "symlink", "b"), member("b", "symlink", "a"), member("a/b/c")],
            "holds entries in 'a/b', which is no folder there",
        ),
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    members: list[Member], message: str, tmp_path: Path
) -> None:
    assert umoci_unpacks([members], tmp_path) is None
    layers = Layers(1, [members].__getitem__)
    for ask in (lambda: layers.find("c"), lambda: layers.names("")):
        with pytest.raises(Malformed) as caught:
            ask()
        assert str(caught.value) == message


DEEP = "/".join(["a"] * 200)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([member(f"{DEEP}/{DEEP}/b")], "holds more than 256 folders in one another"),
        (
            [member(f"{DEEP}/x", "symlink", DEEP), member(f"{DEEP}/x/b")],
            "holds more than 256 folders in one another",
        ),
        (
            [member(f"{number}/{DEEP}/b") for number in range(10)],
            "holds paths of more than 300000 characters",
        ),
        (
            [member("a" * 4000 + f"/{number}", "symlink", "b" * 4000) for number in range(40)],
            "holds paths of more than 300000 characters",
        ),
    ],
)
def test_what_would_take_all_time_or_memory_is_refused(
    members: list[Member], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookup, "_ROOM", 300_000)
    with pytest.raises(Malformed) as caught:
        Layers(1, [members].__getitem__).find("c")
    assert str(caught.value) == message
