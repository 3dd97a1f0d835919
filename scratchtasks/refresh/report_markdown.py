"""The report as the body of a pull request: Markdown tables, long ones folded away."""

import re
from collections.abc import Iterable, Iterator, Sequence

from scratchtasks.core.errors import count_of, printable

from .proposal import Proposal
from .roots import Root
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

_LONG = 10
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~])")


_MOST = 60_000
"""Characters; GitHub refuses bodies of more than 65,536."""


def markdown_report(proposal: Proposal, outcome: str) -> str:
    """*proposal* and its *outcome*, a word of json_report's, as GitHub-flavoured Markdown, fit for
    GitLab too.

    What would be too long for the body of a pull request has its long tables cut, and says so.
    """
    text = ""
    for rows in (1000, 100, 25, 5, 0):
        text = "\n".join(_lines(proposal, outcome, rows)) + "\n"
        if len(text) <= _MOST:
            break
    return text


def _lines(proposal: Proposal, outcome: str, most: int) -> Iterator[str]:
    yield f"## Nightly refresh: {headline(proposal, outcome)}"
    if proposal.alarms:
        yield f"\n### {alarms_heading(outcome).capitalize()}\n"
        yield from (f"- **{_plain(a.where)}**: {_plain(a.what)}" for a in proposal.alarms[:most])
        if len(proposal.alarms) > most:
            yield f"- and {len(proposal.alarms) - most} more"
    if proposal.moves:
        yield "\n### Pins\n"
        rows = [(m.new.name, move_text(m), m.new.date or "?", m.why) for m in proposal.moves]
        yield from _table(("pin", "version", "released", "why"), rows)
    if proposal.notes:
        yield ""
        yield from (f"- {_plain(note)}" for note in proposal.notes)
    for source, diff in proposal.roots.items():
        yield f"\n### CA roots of {_plain(source)}\n"
        for title, roots in (
            ("added", diff.added),
            ("removed", diff.removed),
            ("about to expire", diff.expiring),
        ):
            listed = list(map(_root, roots))
            yield from _folded(f"{len(roots)} {title}", _ROOT_HEAD, listed, most)
    for source, zones in proposal.zones.items():
        yield from _zones(source, zones, most)
    if proposal.images:
        yield f"\n### Images\n\n{images_heading(proposal.images)}.\n"
        rows = [
            (
                image.name,
                short(image.old) or "?",
                short(image.new) or "?",
                "; ".join(
                    filter(None, ("" if image.reasons else "byte-identical", reasons_text(image)))
                ),
            )
            for image in sorted(proposal.images, key=lambda image: not image.reasons)
        ]
        head = ("image", "digest", "new digest", "why")
        yield from _folded(count_of(len(rows), "image"), head, rows, most)
    if proposal.expiring:
        yield "\n### Private CAs that expire\n"
        expiring = [
            (e.root.days[1], e.path, e.root.subject, ", ".join(e.services))
            for e in proposal.expiring
        ]
        head = ("last day", "file", "subject", "services")
        yield from _folded(count_of(len(expiring), "certificate"), head, expiring, most)


_ROOT_HEAD = ("subject", "valid from", "to", "SHA-256 fingerprint")


def _root(root: Root) -> tuple[str, ...]:
    return (root.subject, *root.days, root.sha256)


def _zones(source: str, zones: ZonesDiff, most: int) -> Iterator[str]:
    yield f"\n### Time zones of {_plain(source)}\n\n{zones_heading(zones)}.\n"
    yield from (f"- added: {_plain(zone)}" for zone in zones.added[:most])
    for zone, like in list(zones.removed.items())[:most]:
        same = f" (the same time: {_plain(like)})" if like else ""
        yield f"- removed: {_plain(zone)}{same}"
    renamed = list(zones.renamed.items())[:most]
    yield from (f"- renamed: {_plain(old)} → {_plain(new)}" for old, new in renamed)
    coming = [(c.zone, change_text(c)) for c in zones.changed if c.coming is not None]
    past = [(c.zone, change_text(c)) for c in zones.changed if c.coming is None]
    head = ("zone", "local time")
    yield from _folded(f"{len(coming)} with other local time", head, coming, most)
    yield from _folded(f"{len(past)} corrected in the past", head, past, most)


def _folded(
    title: str, head: Sequence[str], rows: Sequence[Sequence[str]], most: int
) -> Iterator[str]:
    if not rows:
        return
    if len(rows) > most:
        title, rows = f"{title}, the first {most} of them", rows[:most]
    if len(rows) <= _LONG:
        yield f"\n**{title}**\n"
        yield from _table(head, rows)
    else:
        yield f"\n<details><summary>{title}</summary>\n"
        yield from _table(head, rows)
        yield "\n</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_plain, row))} |"


def _plain(text: str) -> str:
    """*text* without any meaning to Markdown: names come from certificates and upstream."""
    return _SPECIAL.sub(r"\\\1", printable(text)).replace("@", "&#64;")  # calls nobody
