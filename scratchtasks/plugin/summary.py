"""The last line of a run."""

from collections.abc import Mapping

from .display import duration


def summary(count: int, noun: str, counts: Mapping[str, int], seconds: float) -> str:
    """The last line: `4 images, 1 rebuilt, 3 from cache, 0.41 s`.

    *counts* are those of the *count* images or tasks (*noun*) by outcome: ran, hit, current,
    failed.  What has none (because the run stopped, or for another's failure) was not built.
    """
    total = f"{count} {noun}{'s' * (count != 1)}"
    ran, hit, current, failed = (
        counts.get(outcome, 0) for outcome in ("ran", "hit", "current", "failed")
    )
    if current == count:
        return f"{total} up to date, {duration(seconds)}"
    parts = (
        (ran, "rebuilt" if noun == "image" else "ran"),
        (hit, "from cache"),
        (current, "up to date"),
        (failed, "failed"),
        (max(0, count - ran - hit - current - failed), "not built"),
    )
    told = ", ".join(f"{number} {what}" for number, what in parts if number)
    return f"{total}, {told}, {duration(seconds)}"
