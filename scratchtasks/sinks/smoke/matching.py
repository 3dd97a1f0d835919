"""Patterns are looked for by a process of its own: this file, as a program.

Python's search for a pattern may take for ever (`(a+)+$`; `.*key.*` in a long line), where Go's,
for which structure tests are written, takes a moment; and no other thread has a turn meanwhile, so
that not even Ctrl-C would end it.
"""

from __future__ import annotations

import json
import re
import signal
import sys
from collections.abc import Callable, Sequence

PATIENCE = 5.0
"""Seconds of processor time for all that is looked for at once."""

_SHOWN = 80
"""Characters of a match that are told."""


class Endless(Exception):
    """A pattern that is not found, nor missed, in time; the message says which."""


def first_matches(
    searches: Sequence[tuple[str, str]], to_python: Callable[[str], str] = str
) -> list[str | None]:
    """How what each pattern, made one of Python's by *to_python*, finds first in its text begins;
    None for nothing.

    Raises: Endless.
    """
    import subprocess

    if not any(pattern for pattern, _ in searches):  # as most trials want nothing of their output
        return ["" for _ in searches]
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__],
        input=json.dumps([PATIENCE, [(to_python(what), text) for what, text in searches]]).encode(),
        stdout=subprocess.PIPE,
        env={},
        check=False,
        start_new_session=True,  # Ctrl-C is ours
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    if len(found) < len(searches):
        pattern, text = searches[len(found)]
        raise Endless(
            f"{pattern!r} cannot be looked for in {len(text)} characters within {PATIENCE:g} s"
        )
    return found


def main() -> None:
    """Print what is found, a line of JSON each, until the time is up."""
    seconds, searches = json.load(sys.stdin)
    signal.setitimer(signal.ITIMER_PROF, seconds)  # SIGPROF ends us
    for pattern, text in searches:
        match = re.search(pattern, text)
        print(json.dumps(match and match[0][:_SHOWN]), flush=True)


if __name__ == "__main__":
    main()
