"""What is wrong in dodo.py, without the frames that lead there."""

import os
from traceback import StackSummary, TracebackException

from . import sources


def fault_of(error: Exception, dodo: str) -> str:
    """What Python says of *error*, raised while the file *dodo* was at work: its lines, and those
    of what it calls."""
    told = TracebackException.from_exception(error)
    frames = list(told.stack)
    first = next((n for n, frame in enumerate(frames) if frame.filename == dodo), len(frames))
    kept = [frame for frame in frames[first:] if not _is_import(frame.filename)]
    told.stack = StackSummary.from_list(kept)
    lines = "".join(told.format())
    head = "Traceback (most recent call last):\n"
    return f"{os.path.basename(dodo)} ends with an error\n{lines.removeprefix(head).rstrip()}"


def _is_import(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename == sources.__file__
