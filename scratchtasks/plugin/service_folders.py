"""The folders of services, and what keeps one from being found.

`glob` takes a folder that cannot be looked into for an empty one: its services would be gone, and
so would their images, from `dist/` and from what is pushed, without a word.
"""

import os
from fnmatch import filter as matching

from scratchtasks.core.errors import ConfigError
from scratchtasks.store.atomic import NOTHING

SERVICE_FILE = "service.toml"

_Names = tuple[str, ...]
_Place = tuple[str, _Names, _Names]
"""A folder, the parts of the pattern that are left for it, and the real folders, ending with `/`,
that were left through links on the way to it."""


def has_signs(pattern: str) -> bool:
    """Whether *pattern* may name several folders."""
    return any(sign in pattern for sign in "*?[")


def service_folders(root: str, pattern: str, faults: list[ConfigError]) -> list[str]:
    """The folders below *root* that *pattern* names and that hold SERVICE_FILE, relative to it
    and as glob.glob spells them; what cannot be looked into is added to *faults*.

    `**` stands for any folders, `*` for none that is hidden.  Links are followed, but for `**`
    not back to where it has come from: glob goes on through those until the kernel refuses.
    """
    found: dict[str, None] = {}
    seen = set[tuple[str, _Names]]()
    todo: list[_Place] = [("", tuple(filter(None, pattern.split("/"))), ())]
    while todo:
        folder, parts, left = todo.pop()
        if (folder, parts) in seen:
            continue
        seen.add((folder, parts))
        try:
            if parts:
                todo += _next(root, folder, parts, left)
            else:
                os.lstat(os.path.join(root, folder, SERVICE_FILE))
                found.setdefault(folder)
        except ValueError:
            continue
        except OSError as error:
            if error.errno in NOTHING:
                continue
            what = f"cannot be looked into for a service: {str(error.strerror).lower()}"
            hint = "if there is none, have Workspace(services=[…]) name other folders only"
            faults.append(ConfigError(folder or ".", what, hint))
    return list(found)


def _next(root: str, folder: str, parts: _Names, left: _Names) -> list[_Place]:
    """Where to look on.  Raises: OSError."""
    head, rest = parts[0], parts[1:]
    place = os.path.join(root, folder)
    if head == "**":
        with os.scandir(place) as entries:
            below = [entry for entry in entries if entry.name[0] != "." and _is_dir(entry)]
        found = [(folder, rest, left)]
        for entry in below:
            path, behind = os.path.join(folder, entry.name), left
            if entry.is_symlink():
                behind = (*left, os.path.join(os.path.realpath(place), ""))
                target = os.path.join(os.path.realpath(entry.path), "")
                if any(each.startswith(target) for each in behind):
                    continue
            found.append((path, parts, behind))
        return found
    names = [head]
    if has_signs(head):
        names = matching(os.listdir(place), head)
        names = [name for name in names if name[0] != "." or head[0] == "."]
    return [(os.path.join(folder, name), rest, left) for name in names]


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
