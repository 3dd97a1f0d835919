"""The last line of a run."""

from collections.abc import Mapping
from types import MappingProxyType

from scratchtasks.core.errors import count_of

from .display import duration

_DONE = {"load": "loaded", "smoke": "tried out", "push": "pushed"}
_FAILED = {
    "load": ("load", "loads"),
    "smoke": ("smoke test", "smoke tests"),
    "push": ("push", "pushes"),
    "other": ("other task", "other tasks"),
}


def summary(
    count: int,
    noun: str,
    counts: Mapping[str, int],
    seconds: float,
    after: Mapping[tuple[str, str], int] = MappingProxyType({}),
) -> str:
    """The last line: `4 images, 1 rebuilt, 3 from cache, 0.41 s`.

    *counts* are those of the *count* images or tasks (*noun*) by outcome: ran, hit, current,
    failed (also for what it needs), and left, because the run stopped.  *after* counts what was
    done with them by kind (load, smoke, push, or any other task) and outcome (done, failed);
    where the other side had it all, nothing was done.
    """
    total = count_of(count, noun)
    words = {
        "ran": "rebuilt" if noun == "image" else "ran",
        "hit": "from cache",
        "current": "up to date",
        "failed": "failed",
        "left": "not looked at",
    }
    built = [f"{counts[how]} {word}" for how, word in words.items() if counts.get(how)]
    done = [
        f"{after[kind, 'done']} {what}" for kind, what in _DONE.items() if (kind, "done") in after
    ]
    failed = [
        f"{count_of(after[kind, 'failed'], *nouns)} failed"
        for kind, nouns in _FAILED.items()
        if (kind, "failed") in after
    ]
    if counts.get("current") == count:
        is_all_done = len(done) == 1 and not failed and done[0].startswith(f"{count} ")
        if is_all_done:
            return f"{total} {done[0].partition(' ')[2]}, {duration(seconds)}"
        total, built = f"{total} up to date", []
    return ", ".join((total, *built, *done, *failed, duration(seconds)))
