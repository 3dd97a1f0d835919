"""Libraries that build scripts or cargo's configuration have linked: neither a dep file nor cargo
tells when they change."""

import os
import re
from collections.abc import Collection, Iterable, Iterator

from scratchtasks.core.frozen import dataclass

_SAYS = re.compile(r"^cargo::?rustc-(link-search|link-lib|flags|link-arg(?:-\w+)?)=(.*)$", re.M)
_FLAG = re.compile(r"-([lL])\s*(\S+)")
_SEPARATOR = re.compile(r"[\s,:=]")


@dataclass(frozen=True, slots=True)
class Linked:
    """Absolute paths: *files* that may be linked, there or not, and *folders* whose libraries a
    `#[link]` in a source may name too."""

    files: frozenset[str]
    folders: frozenset[str]


def linked_by(outputs: Iterable[str], places: Collection[str], root: str, ours: str) -> Linked:
    """What may be linked because of *outputs*, the texts that build scripts wrote for cargo.

    Each library in each folder that is searched, for one that comes earlier would be taken; of
    folders of the workspace *root* every library.  What lies below *ours* was made by the build.
    *places* are the folders in which rustc may have been started.
    """
    says = [found for text in outputs for found in _instructions(text)]
    folders = (os.path.join(place, path) for path in map(_folder, says) if path for place in places)
    searched = {path for path in map(os.path.normpath, folders) if not _is_in(path, ours)}
    names = {name for name in map(_library, says) if name}
    files = {os.path.join(folder, name) for folder in searched for name in names}
    own = frozenset(folder for folder in searched if _is_in(folder, root))
    for folder in own:
        files.update(os.path.join(folder, name) for name in _libraries(folder))
    arguments = (value for kind, value in says if kind.startswith("link-arg"))
    named = {os.path.join(place, path) for a in arguments for path in _named(a) for place in places}
    files.update(path for path in named if os.path.isfile(path) and not _is_in(path, ours))
    return Linked(frozenset(files), own)


def _instructions(text: str) -> Iterator[tuple[str, str]]:
    for kind, value in _SAYS.findall(text):
        if kind == "flags":
            for flag, of_flag in _FLAG.findall(value):
                yield "link-lib" if flag == "l" else "link-search", of_flag
        else:
            yield kind, value.strip()


def _folder(instruction: tuple[str, str]) -> str:
    """The folder that `[KIND=]PATH` has searched for libraries, else ""."""
    kind, value = instruction
    path = re.sub(r"^(native|all|dependency|crate|framework)=", "", value)
    return path if kind == "link-search" else ""


def _library(instruction: tuple[str, str]) -> str:
    """The name of the file that `[KIND[:MODIFIERS]=]NAME[:RENAME]` asks for, else ""."""
    kind, value = instruction
    if kind != "link-lib":
        return ""
    how, _, name = value.rpartition("=")
    name = name.partition(":")[0]
    return name if "+verbatim" in how else f"lib{name}.a"


def _named(argument: str) -> list[str]:
    """What may be the paths of files in a linker's *argument*: `-Wl,--version-script=x.map`."""
    words = [word for word in _SEPARATOR.split(argument) if word]
    return [*words, *(word[2:] for word in words if word.startswith("-T"))]


def _libraries(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if name.endswith(".a")]
    except OSError:
        return []


def _is_in(path: str, folder: str) -> bool:
    return f"{os.path.normpath(path)}/".startswith(folder.rstrip("/") + "/")
