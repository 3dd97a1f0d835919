"""Go's standard library: its sources are compiled like any other, and may be patched like any.

A distribution's update may leave VERSION and the compilers alone.  So all that a build for linux
may read of it is part of the toolchain's identity; a run with nothing to do looks at the packages
that are in programs, and at no others.
"""

import os
from collections.abc import Iterator, Set

from scratchtasks.store.trees import read_tree

from ..operation import World
from ..toolchains import Toolchain

_MACHINES = frozenset({"386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x"})
_OTHER_MACHINES = frozenset({"loong64", "mips", "mipsle", "mips64", "mips64le", "ppc64", "wasm"})
_OTHER_SYSTEMS = frozenset(
    {
        *("aix", "android", "darwin", "dragonfly", "freebsd", "illumos", "ios", "js", "netbsd"),
        *("openbsd", "plan9", "solaris", "wasip1", "windows"),
    }
)
"""Ends of names by which Go leaves a file out.  One that is missing here costs a look."""


def library_digest(root: str, world: World) -> str:
    """The digest of all that builds may read of the library in GOROOT *root* (absolute).

    Raises: StoreError for what cannot be read.
    """
    if not _is_ours(root, world):
        return world.files.trees.digest(root, lambda: _read_by_builds(root))
    place = os.path.relpath(root, world.scratch)
    return world.files.probes.ask(
        ["go library", place], lambda: read_tree(root, lambda: _read_by_builds(root)).digest
    )


def look_at_packages(packages: str, go: Toolchain, machine: str, world: World) -> None:
    """Note what was seen of the library's *packages* (import paths, separated by blanks): a
    program for *machine* (GOARCH) is made of them."""
    root = os.path.dirname(os.path.dirname(go.path))
    if _is_ours(root, world):
        return

    def look() -> str:
        trees = world.files.trees
        if not trees.is_new(root, f"{machine} {packages}"):
            return packages
        folders = {f"{root}/src/{path}" for path in packages.split()}
        # go.mod, modules.txt and the headers that all assembly may include.
        folders |= {f"{root}/src", f"{root}/src/vendor", f"{root}/pkg/include"}
        world.files.take_looks(trees.looks(root, folders, lambda name: _is_read(name, {machine})))
        return packages

    world.files.once(f"go packages {root} {machine} {packages}", look)


def _is_ours(root: str, world: World) -> bool:
    """Whether we unpacked *root* ourselves, from bytes whose digest its path names: what was read
    of it once holds."""
    return root.startswith(os.path.join(world.scratch, ""))


def _read_by_builds(root: str) -> Iterator[str]:
    """The files and folders (with `/`) of the library in *root*, but for commands and tests.

    The stat cache keeps what it gave by *root* alone: to change it, raise that one's number.
    """
    for part in (f"{root}/src", f"{root}/pkg/include"):
        yield f"{part}/"
        for folder, below, names in os.walk(part, followlinks=True):
            below[:] = [
                name
                for name in below
                if name != "testdata" and f"{folder}/{name}" != f"{root}/src/cmd"
            ]
            yield from (f"{folder}/{name}/" for name in below)
            yield from (f"{folder}/{name}" for name in names if _is_read(name, _MACHINES))


def _is_read(name: str, machines: Set[str]) -> bool:
    """Whether Go may take the file *name* for linux on one of *machines*, as far as its name tells.

    Source: go/build, goodOSArchFile; what stands before the first `_` is no constraint.
    """
    stem, suffix = os.path.splitext(name)
    if suffix not in (".go", ".s"):
        return True
    *_, system, last = "", "", *stem.split("_")[1:]
    if last in _MACHINES or last in _OTHER_MACHINES:
        return last in machines and system not in _OTHER_SYSTEMS
    # Of tests Go leaves out the sources, and not the assembly.
    return not name.endswith("_test.go") and last not in _OTHER_SYSTEMS
