"""Moments, offsets and counts in words, the same for all kinds of report."""

from datetime import UTC, datetime

from .proposal import Fate, Move, Proposal
from .zones import Difference, ZoneChange, ZonesDiff


def offset_text(seconds: int) -> str:
    """*seconds* east of UTC as `+05:30`, with seconds only where there are any."""
    sign = "-" if seconds < 0 else "+"
    minutes, rest = divmod(abs(seconds), 60)
    text = f"{sign}{minutes // 60:02}:{minutes % 60:02}"
    return f"{text}:{rest:02}" if rest else text


def shift_text(difference: Difference) -> str:
    """How far clocks are moved: `1 h later`, `30 min earlier`."""
    seconds = difference.new - difference.old
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "min"), (rest, "s"))
    size = " ".join(f"{count} {unit}" for count, unit in parts if count)
    return f"{size} {'earlier' if seconds < 0 else 'later'}"


def moment_text(moment: int) -> str:
    """*moment* (UTC seconds since 1970) to the minute."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")


def change_text(change: ZoneChange) -> str:
    """What changes in a zone: what is to come, else what was corrected."""
    first, coming = change.first, change.coming
    text = f"from {_difference_text(first)}"
    if coming is None:
        text += ", in the past only"
    elif change.is_now:
        if (coming.old, coming.new) != (first.old, first.new):
            text += f"; today {_offsets_text(coming)}"
    elif coming.moment != first.moment:
        text += f"; next from {_difference_text(coming)}"
    return f"{text}; now the same as {change.same_as}" if change.same_as else text


def _difference_text(difference: Difference) -> str:
    return f"{moment_text(difference.moment)}: {_offsets_text(difference)}"


def _offsets_text(difference: Difference) -> str:
    offsets = f"{offset_text(difference.old)} → {offset_text(difference.new)}"
    return f"{offsets} ({shift_text(difference)})"


def zones_heading(zones: ZonesDiff) -> str:
    """How many zones there are of each sort."""
    coming = sum(change.coming is not None for change in zones.changed)
    past = len(zones.changed) - coming
    counts = (
        (len(zones.added), "added"),
        (len(zones.removed), "removed"),
        (len(zones.renamed), "renamed"),
        (coming, "with other local time"),
        (past, "corrected in the past"),
        (len(zones.rewritten), "with other bytes and the same local time"),
    )
    return ", ".join(f"{count} {what}" for count, what in counts if count) or "as they were"


def move_text(move: Move) -> str:
    """The versions of a move."""
    if move.old is None:
        return move.new.version
    if move.old.version == move.new.version:
        digests = f"{move.old.sha256[:12]} → {move.new.sha256[:12]}"
        return f"{move.new.version} ({digests})" if move.is_moved else move.new.version
    return f"{move.old.version} → {move.new.version}"


def headline(proposal: Proposal, outcome: str) -> str:
    """The first line of every report; *outcome* is a word of json_report's."""
    moved = sum(move.is_moved for move in proposal.moves)
    if not proposal.is_news:
        return "nothing new: every pin is where its policy wants it"
    if not moved:
        return "scratch.lock is new" if proposal.is_new_lock else "scratch.lock is completed"
    return (
        f"{moved} pin{'s' if moved > 1 else ''} {'moved' if outcome == 'refreshed' else 'to move'}"
    )


def alarms_heading(outcome: str) -> str:
    """What becomes of what the alarms tell of."""
    if outcome == "refused":
        return "would disappear (nothing is changed without --accept)"
    return f"{'would disappear' if outcome == 'proposed' else 'disappears'} (accepted)"


def images_heading(images: tuple[Fate, ...]) -> str:
    """How many images move, may move, and stay."""
    moving = sum(bool(image.reasons) and image.is_sure for image in images)
    perhaps = sum(bool(image.reasons) and not image.is_sure for image in images)
    more = f", {perhaps} may" if perhaps else ""
    return f"{moving} of {len(images)} get a new digest{more}"


def reasons_text(image: Fate) -> str:
    """Why *image* gets a new digest, and why that is not told where it is not known; "" for one
    that stays as it is."""
    unknown = f"digest not known: {image.unknown}" if image.unknown else ""
    return "; ".join(filter(None, (*image.reasons, unknown)))


def short(digest: str) -> str:
    """*digest* as people compare it."""
    return digest.removeprefix("sha256:")[:12]
