"""The report for people: plain lines, coloured on a terminal."""

from collections.abc import Iterable, Iterator, Sequence

from scratchtasks.core.errors import printable

from .proposal import Proposal
from .roots import Root, RootsDiff
from .wording import (
    alarms_heading,
    change_text,
    headline,
    images_heading,
    move_text,
    reasons_text,
    short,
    zones_heading,
)
from .zones import ZonesDiff

_COLORS = {"+": "32", "-": "31", "~": "33", "!": "33", "✗": "31", "=": "2"}


def text_report(proposal: Proposal, outcome: str, *, is_colored: bool) -> str:
    """*proposal* and its *outcome*, a word of json_report's, as lines of text; with *is_colored*,
    ANSI colours."""
    lines = (printable(line) for line in _lines(proposal, outcome))
    return "".join(f"{_colored(line, is_colored)}\n" for line in lines)


def table(rows: Sequence[Sequence[str]]) -> list[str]:
    """*rows* as aligned columns, two spaces apart; the last column is as long as it likes."""
    if not rows:
        return []
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns[:-1]] + [0]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _lines(proposal: Proposal, outcome: str) -> Iterator[str]:
    yield headline(proposal, outcome)
    moves = [(m.new.name, move_text(m), m.new.date or "-", m.why) for m in proposal.moves]
    yield from (f"  ~ {line}" for line in table(moves))
    yield from (f"  = {note}" for note in proposal.notes)
    for source, roots in proposal.roots.items():
        yield from _roots(source, roots)
    for source, zones in proposal.zones.items():
        yield from _zones(source, zones)
    if proposal.images:
        yield f"images: {images_heading(proposal.images)}"
        rows = [
            (image.name, short(image.old) or "?", short(image.new) or "?", reasons_text(image))
            for image in proposal.images
            if image.reasons
        ]
        yield from (f"  ~ {line}" for line in table(rows))
        stay = [image.name for image in proposal.images if not image.reasons]
        if stay:
            yield f"  = byte-identical: {', '.join(stay)}"
    if proposal.expiring:
        yield "private CAs that expire:"
        for each in proposal.expiring:
            services = ", ".join(each.services)
            yield f"  ! {each.root.days[1]}  {each.path}  {each.root.subject}  ({services})"
    if proposal.alarms:
        yield f"{alarms_heading(outcome)}:"
        yield from (f"  ✗ {alarm.where}: {alarm.what}" for alarm in proposal.alarms)


def _roots(source: str, roots: RootsDiff) -> Iterator[str]:
    yield (
        f"CA roots of {source}: {len(roots.added)} added, {len(roots.removed)} removed, "
        f"{len(roots.expiring)} about to expire"
    )
    yield from _root_lines("+", roots.added)
    yield from _root_lines("-", roots.removed)
    yield from _root_lines("!", roots.expiring)


def _root_lines(sign: str, roots: Iterable[Root]) -> Iterator[str]:
    for root in roots:
        yield f"  {sign} {root.subject}"
        yield f"      {root.days[0]} to {root.days[1]}  sha256 {root.sha256}"


def _zones(source: str, zones: ZonesDiff) -> Iterator[str]:
    yield f"zones of {source}: {zones_heading(zones)}"
    yield from (f"  + {zone}" for zone in zones.added)
    for zone, like in zones.removed.items():
        yield f"  - {zone}" + (f" (the same time: {like})" if like else "")
    yield from (f"  ~ {old} is now called {new}" for old, new in zones.renamed.items())
    order = sorted(zones.changed, key=lambda change: (change.coming is None, change.zone))
    yield from (f"  ~ {line}" for line in table([(c.zone, change_text(c)) for c in order]))


def _colored(line: str, is_colored: bool) -> str:
    sign = line[2:3] if line.startswith("  ") else ""
    if not is_colored:
        return line
    if sign in _COLORS:
        return f"\033[{_COLORS[sign]}m{line}\033[0m"
    return line if line.startswith(" ") else f"\033[1m{line}\033[0m"
