"""What `//go:embed` patterns look at: a file added where one matches changes the binary.

Go lists the files that match now.  What could match later is seen through listings of the folders
that a pattern reaches.  Source: go.dev/pkg/embed, "Directives"; pkg.go.dev/path#Match.
"""

import os
import re
from collections.abc import Iterable

_META = re.compile(r"\\.|\[(?:\\.|[^]\\])*]|.", re.DOTALL)


def embedded_listings(package: str, patterns: Iterable[str]) -> set[tuple[str, str]]:
    """The listings that decide what *patterns* of folder *package* embed: absolute folders, each
    with what to look for in it, as Input has it."""
    found: set[tuple[str, str]] = set()
    for pattern in patterns:
        takes_all = pattern.startswith("all:")
        reached = [package]
        for segment in pattern.removeprefix("all:").split("/"):
            found.update((folder, _names(segment)) for folder in reached)
            name = _superset(segment)
            # Go refuses what lies behind a symlink, but matches it first.
            reached = [path for folder in reached for path in _subfolders(folder, name)]
        for folder in reached:
            if not os.path.islink(folder):
                _add_tree(folder, takes_all, found)
    return found


def _names(segment: str) -> str:
    """What *segment* of a pattern looks for in a folder, be it there or not: its own name, and
    that of the file that makes the folder another module."""
    return "*" if any(char in segment for char in "*?[\\|!") else f"{segment}|go.mod"


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
        names = filter(name.fullmatch, os.listdir(folder))
    except OSError:  # gone since Go looked: its listing will say so
        return []
    return [path for path in (f"{folder}/{name}" for name in names) if os.path.isdir(path)]


def _add_tree(folder: str, takes_all: bool, found: set[tuple[str, str]]) -> None:
    found.add((folder, "*"))
    for path in _subfolders(folder, re.compile(".*", re.DOTALL)):
        is_hidden = os.path.basename(path).startswith((".", "_"))
        if (takes_all or not is_hidden) and not os.path.islink(path):
            _add_tree(path, takes_all, found)
