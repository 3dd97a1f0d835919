"""Which local files a finished binary was made of, by what cargo wrote beside it."""

import os
from collections.abc import Iterable, Iterator

from .depinfo import parse_rust_deps

_SAYS = ("cargo:rerun-if-changed=", "cargo::rerun-if-changed=")


def local_files(executable: str, silent: Iterable[str]) -> tuple[str, ...]:
    """The absolute paths, sorted, of the local files *executable* was compiled from.

    They come from cargo's dep file: sources of path packages, `include_str!`, and what build
    scripts named, folders with all in them.  *silent* are folders of packages whose build
    script named nothing: it may have read any file of its package.
    """
    with open(executable + ".d", encoding="utf-8", errors="surrogateescape") as file:
        named = parse_rust_deps(file.read())
    found: set[str] = set()
    for path in named:
        found.update(_below(path) if os.path.isdir(path) else (path,))
    for folder in silent:
        found.update(_below(folder, is_package=True))
    return tuple(sorted(found))


def is_silent(out_dir: str) -> bool:
    """Whether the build script that wrote to *out_dir* named none of the files it reads.

    Variables alone do not count, although cargo is content with them: the crate `cc` names its
    variables and none of the sources it compiles.
    """
    path = os.path.join(os.path.dirname(out_dir), "output")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return not any(line.startswith(_SAYS) for line in file)
    except FileNotFoundError:
        return True


def _below(folder: str, is_package: bool = False) -> Iterator[str]:
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
        yield from (os.path.join(place, name) for name in names)
