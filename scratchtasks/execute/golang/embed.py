"""What `//go:embed` patterns look at: a file added where one matches changes the binary.

Go lists the files that match now.  What could match later is seen through the listings of the
folders that a pattern reaches.  Source: go.dev/pkg/embed, "Directives"; pkg.go.dev/path#Match.
"""

import os
import re
from collections.abc import Iterable

_META = re.compile(r"\\.|\[(?:\\.|[^]\\])*]|.", re.DOTALL)


def embedded_folders(package: str, patterns: Iterable[str]) -> set[str]:
    """The absolute folders whose listings decide what *patterns* of folder *package* embed."""
    found: set[str] = set()
    for pattern in patterns:
        takes_all = pattern.startswith("all:")
        segments = pattern.removeprefix("all:").split("/")
        reached = [package]
        for segment in segments:
            if any(char in segment for char in "*?[\\"):
                found.update(reached)
                reached = [
                    path for folder in reached for path in _subfolders(folder, _superset(segment))
                ]
            else:
                reached = [os.path.normpath(os.path.join(folder, segment)) for folder in reached]
                reached = [path for path in reached if os.path.isdir(path)]
        for folder in reached:
            _add_tree(folder, takes_all, found)
    return found


def _superset(segment: str) -> re.Pattern[str]:
    """Matches all that Go's path.Match does for *segment*, and little more."""
    parts = []
    for part in _META.findall(segment):
        if part == "*":
            parts.append(".*")
        elif part == "?" or len(part) > 2:
            parts.append(".")
        else:
            parts.append(re.escape(part[-1]))
    return re.compile("".join(parts), re.DOTALL)


def _subfolders(folder: str, name: re.Pattern[str]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return sorted(
                entry.path
                for entry in entries
                if name.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            )
    except OSError:  # gone since Go looked: its listing will say so
        return []


def _add_tree(folder: str, takes_all: bool, found: set[str]) -> None:
    found.add(folder)
    for path in _subfolders(folder, re.compile(".*", re.DOTALL)):
        if takes_all or not os.path.basename(path).startswith((".", "_")):
            _add_tree(path, takes_all, found)
