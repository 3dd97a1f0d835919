"""Begin to compile as soon as the scan knows what was edited, while the run gets ready.

Between the scan and the compiler's start a run imports, declares, analyses and finds out what is
stale.  Where nothing but Go sources of one program were edited, and none of what `go list` reads of
them, all of that leads to the compilation that its last stamp tells of.
"""

import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from scratchtasks.core.errors import StoreError
from scratchtasks.execute.changes import file_clock
from scratchtasks.execute.golang.headstart import OP, foretell
from scratchtasks.execute.headstart import HeadStart
from scratchtasks.execute.process import Processes
from scratchtasks.store.atomic import remove_tree
from scratchtasks.store.lock import WorkspaceLock

if TYPE_CHECKING:
    from .near import Edit


class _Waits(Exception):
    """Another run is at work."""


class Ahead:
    """A compilation that runs already, by *processes*; *lock* is the workspace's, and held."""

    def __init__(self, start: HeadStart, processes: Processes, lock: WorkspaceLock) -> None:
        self.start = start
        self.processes = processes
        self.lock = lock

    def close(self) -> None:
        """Leave nothing of it behind."""
        with suppress(OSError):  # the next run's affair
            self.start.close()


def begin_ahead(
    edit: "Edit",
    root: str,
    env: Mapping[str, str],
    show: Callable[[bytes], None],
    watch_signals: Callable[[Callable[[], None]], None],
) -> Ahead | None:
    """Begin to compile what *edit* asks for, if that is known and this run is the only one.

    *watch_signals* is told before that what a signal is to do.
    """
    told = foretell(root, edit.folder, edit.name, edit.files, env)
    if told is None:
        return None
    processes, scratch = Processes(show), os.path.join(root, ".scratch")
    lock = WorkspaceLock(os.path.join(scratch, "lock"))
    try:
        lock.acquire(_refuse)
        above = os.path.join(scratch, "tmp")
        os.makedirs(above, exist_ok=True)
        clock = file_clock(scratch)
        folder = tempfile.mkdtemp(dir=above)
    except (_Waits, OSError, StoreError):
        lock.release()
        return None
    watch_signals(processes.cancel)
    try:
        start = HeadStart(
            op=OP,
            key=told.key,
            command=told.command(folder, root, env),
            folder=folder,
            clock=clock,
            root=root,
            reads=told.reads,
            begin=processes.begin,
        )
    except RuntimeError:  # no more threads for this user: they may be had later
        remove_tree(folder)
        lock.release()
        return None
    except BaseException:
        remove_tree(folder)
        raise
    return Ahead(start, processes, lock)


def _refuse(_: int) -> None:
    raise _Waits
