"""Ctrl-C and SIGTERM during a run: children end, finished work is kept, no traceback.

doit alone does this badly: a SIGINT to it hangs until the running command ends by itself, and a
SIGTERM loses the database and leaves compilers running.
"""

import _thread
import atexit
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

from .events import Events, Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HEADSTART = 1.0
"""Seconds that a user's own command gets after a SIGINT, which a terminal sends to it as well."""

_PATIENCE = 3.0
"""Seconds that the interpreter waits at its exit for users' own commands."""

_LINE = b"interrupted; finished work is kept\n"

Process = tuple[int, str]
"""A pid and its start time, which tells it from a later process of the same number."""


def install(cancel: Callable[[], None], events: Events) -> Callable[[], None]:
    """From now on SIGINT, SIGTERM and SIGHUP end the run; returns what undoes that.

    The first signal calls *cancel* (which must take no lock: it runs inside the handler), emits
    Interrupted, sends SIGTERM to the commands of users' own tasks (after a SIGINT: a second
    later, if they still run), and raises SystemExit with 128 + the signal's number in the main
    thread, so that doit closes its database and runs teardowns.  A second signal kills all
    children and exits at once.

    Signals that were ignored (nohup) stay so.  Outside the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return _nothing
    ending = _Ending(cancel, events)
    before = {
        number: old
        for number in _SIGNALS
        if (old := signal.getsignal(number)) not in (signal.SIG_IGN, None)
    }
    for number in before:
        signal.signal(number, ending.handle)
    atexit.register(ending.wait)

    def undo() -> None:
        for number, old in before.items():
            signal.signal(number, old)
        if not ending.has_begun:
            atexit.unregister(ending.wait)

    return undo


class _Ending:
    """The end of one run, begun by a signal."""

    def __init__(self, cancel: Callable[[], None], events: Events) -> None:
        self.has_begun = False
        self._cancel = cancel
        self._events = events
        self._pid = os.getpid()
        self._is_winding_down = _thread.allocate_lock()

    def handle(self, number: int, _frame: FrameType | None) -> NoReturn:
        code = 128 + number
        if os.getpid() != self._pid:  # a worker of doit's -P process
            self._cancel()
            raise SystemExit(code)
        if self.has_begun:
            for pid, _ in _descendants(any_session=True):
                _send(pid, signal.SIGKILL)
            os._exit(code)
        self.has_begun = True
        self._cancel()
        self._events.emit(Interrupted(number))
        self._is_winding_down.acquire()
        # Not threading.Thread: the main thread may hold that module's locks at this very moment.
        _thread.start_new_thread(self._wind_down, (number, _descendants()))
        raise SystemExit(code)

    def wait(self) -> None:
        """At the interpreter's exit: commands that were told to end get the time for it."""
        if os.getpid() == self._pid:
            self._is_winding_down.acquire(timeout=_HEADSTART + _PATIENCE + 1)

    def _wind_down(self, number: int, commands: list[Process]) -> None:
        """Not in the handler, because printing takes locks."""
        try:
            self._events.show(_LINE)
            if number == signal.SIGINT:
                commands = _wait_for(commands, _HEADSTART)
            for pid, _ in commands:
                _send(pid, signal.SIGTERM)
            # No SIGKILL: what a user's own command does when it ends is not for us to cut short.
            _wait_for(commands, _PATIENCE)
        finally:
            self._is_winding_down.release()


def _wait_for(processes: list[Process], seconds: float) -> list[Process]:
    """Those of *processes* that still run after *seconds* at most."""
    end = time.monotonic() + seconds
    while True:
        running = {(pid, started) for pid, (_, started, _) in _running().items()}
        processes = [process for process in processes if process in running]
        if not processes or time.monotonic() > end:
            return processes
        time.sleep(0.02)


def _descendants(any_session: bool = False) -> list[Process]:
    """Our children and theirs, those of our own session only: the rest is *cancel*'s."""
    children: dict[int, list[Process]] = {}
    own = os.getsid(0)
    for pid, (parent, started, session) in _running().items():
        if any_session or session == own:
            children.setdefault(parent, []).append((pid, started))
    found = list(children.get(os.getpid(), ()))
    for pid, _ in found:  # grows while it is walked
        found += children.get(pid, ())
    return found


def _running() -> dict[int, tuple[int, str, int]]:
    """Parent, start time and session of every process but zombies; empty without a /proc."""
    processes = {}
    for name in _listing("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if fields[0] not in (b"Z", b"X"):
                processes[int(name)] = (int(fields[1]), fields[19].decode(), int(fields[3]))
    return processes


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        pass


def _nothing() -> None:
    """What undoes nothing."""
