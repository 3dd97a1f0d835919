"""Layers, applied in any order of files, links and whiteouts: the kernel is the oracle."""

import ctypes
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.links import TooManyLinks
from scratchtasks.oci.lookup import Layers
from scratchtasks.oci.untar import Member

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
    for member in members:
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
            Path(path).write_bytes(f"{member.path} of {number}".encode())


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
    return f"{node.member.path} of {node.layer}".encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(layer(), min_size=1, max_size=4))
def test_the_kernel_finds_the_same_at_every_path(stack: Sequence[list[Member]]) -> None:
    layers = Layers(len(stack), lambda number: stack[number])
    with tempfile.TemporaryDirectory() as root:
        for number, members in enumerate(stack):
            apply(members, root, number)
        every = ["a", "b", "c"]
        every += [f"{x}/{y}" for x in "abc" for y in ("a", "b", "c", "..")]
        every += [f"{x}/{y}/{z}" for x in "abc" for y in "abc" for z in "abc"]
        for path in every:
            assert found_in(layers, path) == read_in(root, path), path
        for folder in ("", "a", "a/b"):
            real = os.path.join(root, folder)
            if not any_link(root, folder) and os.path.isdir(real):
                assert layers.names(folder) == sorted(os.listdir(real))


def test_folders_without_an_entry_follow_the_links_below() -> None:
    lower = [
        Member("usr", "dir", 0o755, 0, ""),
        Member("usr/lib", "dir", 0o755, 0, ""),
        Member("lib", "symlink", 0o777, 0, "usr/lib"),
    ]
    upper = [Member("lib/x/y", "file", 0o644, 0, ""), Member("new/z", "file", 0o644, 0, "")]
    layers = Layers(2, [lower, upper].__getitem__)
    assert found_in(layers, "usr/lib/x/y") == b"usr/lib/x/y of 1"
    assert found_in(layers, "lib/x/y") == b"usr/lib/x/y of 1"
    assert found_in(layers, "new/z") == b"new/z of 1"
    assert found_in(layers, "new") == b"/"
    assert layers.names("") == ["lib", "new", "usr"]
    assert layers.names("usr/lib/x") == ["y"]


def test_hard_links_in_a_circle_end() -> None:
    members = [Member("a", "hardlink", 0, 0, "b"), Member("b", "hardlink", 0, 0, "a")]
    with pytest.raises(TooManyLinks):
        Layers(1, [members].__getitem__).find("a")
