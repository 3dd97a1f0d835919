"""Which local files a finished binary was made of, by what cargo wrote beside it."""

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from .depinfo import parse_rust_deps

_SAYS = ("cargo:rerun-if-changed=", "cargo::rerun-if-changed=")


def local_sources(
    executable: str, silent: Iterable[str], ours: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The local files *executable* was compiled from, and the folders that were read as a whole.

    Absolute paths, sorted.  They come from cargo's dep file: sources of path packages,
    `include_str!`, and what build scripts named, folders with all in them.  *silent* are folders
    of packages whose build script named nothing: it may have read any file of its package.
    *ours* are folders that builds write to: nothing in them is a source, not even what a build
    script made.
    """
    with open(executable + ".d", encoding="utf-8", errors="surrogateescape") as file:
        named = parse_rust_deps(file.read())
    folders: set[str] = set()
    files = {path for path in named if not os.path.isdir(path)}
    walks = [*map(_below, filter(os.path.isdir, named))]
    walks += [_below(folder, is_package=True) for folder in silent]
    for place, names in itertools.chain(*walks):
        folders.add(place)
        files.update(os.path.join(place, name) for name in names)
    made = tuple(f"{folder}/" for folder in ours)

    def theirs(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(p for p in paths if not f"{os.path.normpath(p)}/".startswith(made)))

    return theirs(files), theirs(folders)


def is_silent(out_dir: str) -> bool:
    """Whether the build script that wrote to *out_dir* named none of the files it reads.

    Variables alone do not count, although cargo is content with them: the crate `cc` names its
    variables and none of the sources it compiles.
    """
    return not any(line.startswith(_SAYS) for line in output_of(out_dir).splitlines())


def output_of(out_dir: str) -> str:
    """What the build script that wrote to *out_dir* said to cargo."""
    try:
        path = os.path.join(os.path.dirname(out_dir), "output")
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _below(folder: str, is_package: bool = False) -> Iterator[tuple[str, list[str]]]:
    """*folder* and those below it, each with the names of its files."""
    for place, folders, names in os.walk(folder):
        if is_package:
            # As cargo lists a package's files: neither hidden ones nor packages inside it.
            folders[:] = [
                name
                for name in folders
                if not name.startswith(".")
                and name != "target"
                and not os.path.exists(os.path.join(place, name, "Cargo.toml"))
            ]
        yield place, names
