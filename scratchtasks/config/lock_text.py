"""Rewriting scratch.lock: the canonical text of new pins with the comments that people wrote."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scratchtasks.core.target import Pin

from .lockfile import format_lockfile

_TABLE = re.compile(r"\s*\[([^\[\]]+)\]\s*(#.*)?")
_WORD = r"[A-Za-z0-9_-]+|\"[^\"]*\""
_KEY = re.compile(rf"\s*((?:{_WORD})(?:\.(?:{_WORD}))*)\s*=\s*(.*)")
_BARE = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|[^#\"']")


@dataclass(slots=True)
class _Comments:
    """What people wrote by place: *above* lines, and *beside* at the end of one.

    A place is (table, key); (table, "") is the table's header, ("", "") the top of the file.
    """

    above: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    beside: dict[tuple[str, str], str] = field(default_factory=dict)
    below: list[str] = field(default_factory=list)


def rewrite_lockfile(text: str | None, pins: Mapping[str, Pin]) -> str:
    """*pins* as scratch.lock, with the comments of its present *text* where they stood.

    Comments above or beside a table's header or a key go with it, and are gone with it; those at
    the end of the file stay there.  Without comments, `format_lockfile`; in any case
    `parse_lockfile` reads *pins* from it.
    """
    canonical = format_lockfile(pins)
    if text is None or "#" not in text:
        return canonical
    ours = _comments_of(canonical).above
    theirs = _comments_of(text)
    lines: list[str] = []
    table = ""
    for line in canonical.splitlines():
        place, table = _place_of(line, table)
        if place is None:
            lines.append(line)
            continue
        own = ours.get(place, [])
        added = [each for each in theirs.above.get(place, []) if each not in own]
        beside = theirs.beside.get(place)
        lines += [*added, f"{line}  {beside}" if beside else line]
    if theirs.below:
        lines += ["", *theirs.below]
    return "\n".join(lines) + "\n"


def _comments_of(text: str) -> _Comments:
    comments = _Comments()
    pending: list[str] = []
    table = ""
    for raw in text.removeprefix("\ufeff").splitlines():
        line = raw.strip()
        if line.startswith("#"):
            pending.append(line)
            continue
        place, table = _place_of(raw, table)
        if place is None:
            continue
        if pending:
            comments.above.setdefault(place, []).extend(pending)
            pending = []
        beside = _comment_beside(line)
        if beside:
            comments.beside[place] = beside
    comments.below = pending
    return comments


def _place_of(line: str, table: str) -> tuple[tuple[str, str] | None, str]:
    """Where *line* of *table* belongs, and the table after it; None for blank and odd lines."""
    header = _TABLE.fullmatch(line)
    if header is not None:
        name = re.sub(r"\s", "", header[1]).replace('"', "")
        return (name, ""), name
    key = _KEY.match(line)
    return ((table, key[1]), table) if key is not None else (None, table)


def _comment_beside(line: str) -> str:
    at = 0
    while at < len(line):
        match = _BARE.match(line, at)
        if match is None:
            return line[at:].strip() if line[at] == "#" else ""
        at = match.end()
    return ""
