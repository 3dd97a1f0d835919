"""scratch.lock written anew: only what changed moves, the user's comments stay where they are."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from scratchtasks.core.errors import ConfigErrors
from scratchtasks.core.target import Pin

from .document import parse_toml
from .lockfile import HEADER, PIN, format_lockfile, parse_lockfile, pin_lines

_TABLE = re.compile(r"\s*\[")
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=")
_COMMENT = re.compile(r"[^#\"']*(?:\"[^\"]*\"[^#\"']*)?(#.*)")


@dataclass(slots=True)
class _Table:
    """The lines of one table as the user left them, *above* its header the comments to it."""

    above: list[str]
    header: str
    body: list[str] = field(default_factory=list)
    name: str = ""


def update_lock_text(old_text: str, pins: Mapping[str, Pin]) -> str:
    """The text of scratch.lock for *pins*, made from *old_text* ("" for a new file).

    Comments stay with their table and line, tables are sorted by name, and lines that need no
    change are kept as they are, so that a version control system sees what moved and no more.
    A table that is not in *pins* goes, with its comments.

    Raises: ConfigErrors when *old_text* is no sound lock.
    """
    if not old_text.strip():
        return format_lockfile(pins)
    parse_lockfile(old_text)
    head, tables = _split(old_text)
    try:
        _name(tables)
        known = {table.name: table for table in tables}
        parts = ["\n".join(head).rstrip("\n") + "\n"]
        for name in sorted(pins):
            lines = _merged(known[name], pins[name]) if name in known else pin_lines(pins[name])
            parts.append("\n".join(lines) + "\n")
        text = "\n".join(parts)
        if parse_lockfile(text) == dict(pins):
            return text
    except (ConfigErrors, KeyError, IndexError):
        pass
    # Valid TOML, but not in a form that this can edit: what the pins say comes first.
    comments = [line for line in head if line.startswith("#") and line not in HEADER]
    return "".join(f"{line}\n" for line in comments) + format_lockfile(pins)


def _split(text: str) -> tuple[list[str], list[_Table]]:
    """The lines before the first table, and the tables; blank lines between them are left out."""
    head: list[str] = []
    tables: list[_Table] = []
    waiting: list[str] = []
    for line in text.splitlines():
        if _TABLE.match(line):
            # A comment with a blank line after it speaks of what is before, or of the whole file.
            last = max((i for i, each in enumerate(waiting) if not each.strip()), default=-1)
            (tables[-1].body if tables else head).extend(waiting[: last + 1])
            tables.append(_Table(waiting[last + 1 :], line))
            waiting = []
        elif line.strip() and not line.lstrip().startswith("#"):
            target = tables[-1].body if tables else head
            target += [*waiting, line]
            waiting = []
        else:
            waiting.append(line)
    (tables[-1].body if tables else head).extend(waiting)
    for table in tables:
        while table.body and not table.body[-1].strip():
            table.body.pop()
    return head, tables


def _name(tables: list[_Table]) -> None:
    """Give each table the name of its pin, as TOML reads its header; KeyError for another."""
    for table in tables:
        found = parse_toml(table.header, "scratch.lock")["pins"]
        assert isinstance(found, Mapping)
        table.name = next(iter(found), "")


def _merged(table: _Table, pin: Pin) -> list[str]:
    """The table with the values of *pin*; comments keep their places."""
    fresh = {line.partition(" ")[0]: line for line in pin_lines(pin)[1:]}
    order = [each.key for each in PIN]
    lines: list[str] = []
    written: list[str] = []

    def write_up_to(key: str) -> None:
        """What has come to the pin and stands before *key*."""
        for each in order[: order.index(key)] if key else order:
            if each in fresh and each not in written and each not in later:
                lines.append(fresh[each])
                written.append(each)

    matches = [_KEY.match(line) for line in table.body]
    later = [match[1] for match in matches if match]
    for line, match in zip(table.body, matches, strict=True):
        if match is None:
            lines.append(line)
            continue
        key = match[1]
        later.remove(key)
        if key not in fresh:
            continue
        write_up_to(key)
        comment = _COMMENT.fullmatch(line)
        same = line.partition("#")[0].rstrip() == fresh[key]
        new = fresh[key] if comment is None else f"{fresh[key]}  {comment[1]}"
        lines.append(line if same else new)
        written.append(key)
    write_up_to("")
    return [*table.above, table.header, *lines]
