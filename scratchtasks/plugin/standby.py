"""A program: doit, imported and waiting for the word to go.

`watch` keeps one at hand, so that an edit does not wait for imports, and every run still starts
with a clean state and reads dodo.py anew.  It goes on a line on stdin, and leaves on its end.
"""

import os
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Import what a run needs, wait, and run doit with *arguments*; returns its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C is for whoever started us
    import_all()
    from .main import run

    if not sys.stdin.buffer.readline():
        return 0
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return run(arguments)


def import_all() -> None:
    """Import all that `up` can need."""
    import sqlite3  # noqa: F401

    import docker  # noqa: F401
    import tomli  # noqa: F401
    from doit import doit_cmd  # noqa: F401

    from scratchtasks.config import default_pins, lockfile, service, workspace  # noqa: F401
    from scratchtasks.core import go_head  # noqa: F401
    from scratchtasks.execute.operations import OPERATIONS
    from scratchtasks.sinks import engines  # noqa: F401
    from scratchtasks.sinks.docker import containers, podman  # noqa: F401

    from . import (  # noqa: F401
        backend,
        glance,
        headstart,
        loader,
        main,
        prepare,
        remember,
        running,
        signals,
        watched,
    )
    from .commands import up  # noqa: F401

    tuple(OPERATIONS.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
