"""Which local files a finished binary was made of, by what cargo wrote beside it."""

import glob
import itertools
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

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
    made = tuple(f"{folder}/" for folder in ours)

    def is_made(path: str) -> bool:
        return f"{os.path.normpath(path)}/".startswith(made)

    walks = [_below(path, is_made) for path in named if os.path.isdir(path)]
    walks += [_below(folder, is_made, package=folder) for folder in silent]
    for place, names in itertools.chain(*walks):
        folders.add(place)
        files.update(os.path.join(place, name) for name in names)

    def theirs(paths: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(path for path in paths if not is_made(path)))

    return theirs(files), theirs(folders)


def spelt_sources(
    target_folder: str, places: Collection[str], files: Iterable[str], home: str
) -> frozenset[str]:
    """Those paths of *files* that have symlinks in them: rustc tells them, cargo where they lead.

    rustc was started in one of *places*; what is in cargo's *home* nobody edits.  What an older
    dep file in *target_folder* spells so counts too, if it is still one of *files*.
    """
    known = frozenset(files)
    found: set[str] = set()
    for place in ("release", "*/release"):
        for dep_file in glob.glob(f"{glob.escape(target_folder)}/{place}/deps/*.d"):
            with open(dep_file, encoding="utf-8", errors="surrogateescape") as file:
                found.update(parse_rust_deps(file.read()))
    theirs = (name for name in found if not name.startswith(f"{home}/"))
    paths = {os.path.join(place, name) for name in theirs for place in places}
    return frozenset(
        path
        for path in paths
        if os.path.normpath(path) not in known and os.path.realpath(path) in known
    )


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


def _below(
    folder: str,
    is_made: Callable[[str], bool],
    *,
    package: str = "",
    above: tuple[str, ...] = (),
) -> Iterator[tuple[str, list[str]]]:
    """*folder* and those below it, each with the names of its files; of *package*, its sources.

    Symlinks are followed, as cargo and build scripts do, unless they lead to a folder *above*.
    """
    try:
        entries = sorted(os.listdir(folder))
    except OSError:
        return  # gone since cargo looked, or not ours to read
    above = (*above, os.path.realpath(folder))
    names: list[str] = []
    for name in entries:
        path = os.path.join(folder, name)
        if not os.path.isdir(path):
            names.append(name)
        elif not (is_made(path) or os.path.realpath(path) in above or _is_other(path, package)):
            yield from _below(path, is_made, package=package, above=above)
    yield folder, names


def _is_other(path: str, package: str) -> bool:
    """Whether folder *path* in that of *package* has none of its sources: another package has
    them, cargo has made it, or git keeps it."""
    if not package:
        return False
    is_kept = os.path.basename(path) == ".git" or path == os.path.join(package, "target")
    return is_kept or os.path.exists(os.path.join(path, "Cargo.toml"))
