"""Globs over a folder of the workspace, together with the inputs that decide what they match."""

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence

from scratchtasks.core.action import Input
from scratchtasks.core.errors import StageError
from scratchtasks.core.frozen import dataclass
from scratchtasks.store.atomic import NOTHING, read_error

OUTPUTS = frozenset({".scratch", "dist"})
"""Folders of the root that builds write to: whatever read them would never be up to date."""


@dataclass(frozen=True, slots=True)
class Matches:
    """*paths* below the root, sorted; *inputs* say which files matched and why no others."""

    paths: tuple[str, ...]
    inputs: tuple[Input, ...]


def match(root: str, folder: str, patterns: Sequence[str], where: str) -> Matches:
    """The files below *folder* that *patterns* name; `**` crosses folders, `*` does not.

    `**` does not follow symlinks, which may lead back to where they are; no sign enters OUTPUTS.

    Raises: StageError for a pattern that matches nothing; StoreError for what cannot be read.
    """
    found: dict[str, None] = {}
    inputs: dict[Input, None] = {}
    for pattern in patterns:
        paths = list(_walk(root, folder, pattern.split("/"), inputs))
        for path in paths:
            found.setdefault(path)
            inputs.setdefault(Input("file", path))
        if not paths:
            raise StageError(where, f"no file matches {_joined(folder, pattern)!r}")
    return Matches(tuple(sorted(found)), tuple(inputs))


def _walk(root: str, folder: str, parts: Sequence[str], inputs: dict[Input, None]) -> Iterator[str]:
    head, rest = parts[0], parts[1:]
    if head == "**":
        names = _names(root, folder, "*", inputs)
        yield from _walk(root, folder, rest or ["*"], inputs)
        for name in names:
            below = _joined(folder, name)
            if not name.startswith(".") and _is_folder(os.path.join(root, below)):
                yield from _walk(root, below, parts, inputs)
    elif not any(sign in head for sign in "*?["):
        path = os.path.normpath(_joined(folder, head))
        if rest:
            yield from _walk(root, path, rest, inputs)
            return
        # That there is none is what to notice when one comes, unless all names are watched.
        if Input("names", folder, "*") not in inputs:
            inputs.setdefault(Input("file", path))
        if stat.S_ISREG(_mode(os.path.join(root, path))):
            yield path
    else:
        for name in _names(root, folder, "*" if rest else _suffix(head), inputs):
            path = _joined(folder, name)
            if fnmatch.fnmatchcase(name, head):
                mode = _mode(os.path.join(root, path))
                if rest and stat.S_ISDIR(mode):
                    yield from _walk(root, path, rest, inputs)
                elif not rest and stat.S_ISREG(mode):
                    yield path


def _suffix(sign: str) -> str:
    """The pattern of an Input that sees all names that *sign* matches, and few others."""
    is_plain = sign.startswith("*.") and not set(sign[1:]) & set("*?[|")
    return sign[1:] if is_plain else "*"


def _is_folder(path: str) -> bool:
    return not os.path.islink(path) and stat.S_ISDIR(_mode(path))


def _mode(path: str) -> int:
    """The mode of what *path* leads to, 0 for nothing.  Raises: StoreError."""
    try:
        return os.stat(path).st_mode
    except ValueError:
        return 0
    except OSError as error:
        if error.errno in NOTHING:
            return 0
        raise read_error(path, error) from error


def _names(root: str, folder: str, pattern: str, inputs: dict[Input, None]) -> list[str]:
    inputs.setdefault(Input("names", folder, pattern))
    place = os.path.join(root, folder)
    try:
        names = sorted(os.listdir(place))
    except OSError as error:
        # One that cannot be read is no empty one: what is in it would be left out.
        if error.errno in NOTHING:
            return []
        raise read_error(place, error) from error
    is_root = os.path.normpath(folder or ".") == "."
    return [name for name in names if name not in OUTPUTS] if is_root else names


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
