"""Which local files a finished binary was made of, by what cargo and rustc wrote beside it."""

import glob
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

from .depinfo import parse_rust_deps

_SAYS = ("cargo:rerun-if-changed=", "cargo::rerun-if-changed=")


def named_by_cargo(executable: str) -> list[str]:
    """What cargo's dep file says of *executable*: sources of path packages, `include_str!`, and
    what build scripts named.  Absolute paths.

    It goes no further than crates from elsewhere: of what `[patch]` puts behind one, nothing.
    """
    return _named_in(executable + ".d")


def named_by_rustc(library: str, workspace: str) -> list[str]:
    """The sources of *library* by rustc's dep file, if that stands beside it; absolute paths.

    rustc is started in cargo's *workspace*, but for packages outside of it, whose paths are
    absolute.
    """
    folder, name = os.path.split(library)
    stem = name.removeprefix("lib").rpartition(".")[0]
    try:
        names = _named_in(os.path.join(folder, f"{stem}.d"))
    except FileNotFoundError:
        return []
    return [os.path.join(workspace, name) for name in names]


def named_by_script(out_dir: str, package: str) -> list[str]:
    """What the build script that wrote to *out_dir* named; absolute paths, it ran in *package*."""
    lines = [line for line in output_of(out_dir).splitlines() if line.startswith(_SAYS)]
    return [os.path.join(package, line.partition("=")[2]) for line in lines]


def local_sources(
    named: Sequence[str], silent: Iterable[str], ours: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The local files a binary was compiled from, and the folders that were read as a whole.

    Absolute paths, sorted: all that are *named*, folders with all in them.  *silent* are folders
    of packages whose build script named nothing: it may have read any file of its package.
    *ours* are folders that builds write to: nothing in them is a source, not even what a build
    script made.
    """
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


def rivals(files: Iterable[str]) -> Iterator[str]:
    """The files that would stand for the same modules as *files*: `x/mod.rs` for `x.rs`, and the
    other way round.  rustc refuses to have both."""
    for path in files:
        if path.endswith("/mod.rs"):
            yield f"{os.path.dirname(path)}.rs"
        elif path.endswith(".rs"):
            yield f"{path[:-3]}/mod.rs"


def paths_through_links(target_folder: str, workspace: str, home: str) -> dict[str, str]:
    """The paths that rustc's dep files in *target_folder* spell with symlinks in them, each with
    where it leads, which is all that cargo tells of it.

    rustc is started in cargo's *workspace*, but for packages outside of it, whose paths are
    absolute; what is in cargo's *home* nobody edits.
    """
    named: set[str] = set()
    for place in ("release", "*/release"):
        for dep_file in glob.glob(f"{glob.escape(target_folder)}/{place}/deps/*.d"):
            named.update(_named_in(dep_file))
    paths = (os.path.join(workspace, name) for name in named if not name.startswith(f"{home}/"))
    leads = {path: os.path.realpath(path) for path in paths}
    return {path: real for path, real in leads.items() if os.path.normpath(path) != real}


def is_silent(out_dir: str) -> bool:
    """Whether the build script that wrote to *out_dir* named none of the files it reads.

    Variables alone do not count, although cargo is content with them: the crate `cc` names its
    variables and none of the sources it compiles.
    """
    return not named_by_script(out_dir, "")


def output_of(out_dir: str) -> str:
    """What the build script that wrote to *out_dir* said to cargo."""
    try:
        path = os.path.join(os.path.dirname(out_dir), "output")
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def _named_in(dep_file: str) -> list[str]:
    with open(dep_file, encoding="utf-8", errors="surrogateescape") as file:
        return parse_rust_deps(file.read())


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
