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
from collections.abc import Callable, Iterable
from types import FrameType
from typing import NamedTuple, NoReturn

from .events import Events, Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_HEADSTART = 1.0
"""Seconds that a user's own command gets after a SIGINT, which a terminal sends to it as well."""

_PATIENCE = 4.0
"""Seconds that the interpreter waits at its exit for children; *cancel* kills its own after 3."""

_LINE = b"interrupted; finished work is kept\n"


class Process(NamedTuple):
    """*started* tells it from a later process with the same *pid*."""

    pid: int
    started: str
    session: int


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
        self._children: list[Process] = []
        self._is_winding_down = _thread.allocate_lock()

    def handle(self, number: int, _frame: FrameType | None) -> NoReturn:
        code = 128 + number
        if os.getpid() != self._pid:  # a worker of doit's -P process
            self._cancel()
            raise SystemExit(code)
        if self.has_begun:
            # A shell may have died of the first signal and left its command to init.
            _send(signal.SIGKILL, {*_descendants(), *self._children})
            os._exit(code)
        self.has_begun = True
        self._cancel()
        self._events.emit(Interrupted(number))
        self._is_winding_down.acquire()
        # Not threading.Thread: the main thread may hold that module's locks at this very moment.
        self._children = _descendants()
        _thread.start_new_thread(self._wind_down, (number,))
        raise SystemExit(code)

    def wait(self) -> None:
        """At the interpreter's exit: commands that were told to end get the time for it."""
        if os.getpid() == self._pid:
            self._is_winding_down.acquire(timeout=_HEADSTART + _PATIENCE + 1)

    def _wind_down(self, number: int) -> None:
        """Not in the handler, because printing takes locks."""
        try:
            self._events.show(_LINE)
            left = self._children
            if number == signal.SIGINT:
                left = _wait_for(left, _HEADSTART)
            _send(signal.SIGTERM, left)
            left = _wait_for(left, _PATIENCE)
            # What a user's own command does when it ends is not for us to cut short.
            own = os.getsid(0)
            _send(signal.SIGKILL, [process for process in left if process.session != own])
        finally:
            self._is_winding_down.release()


def _wait_for(processes: Iterable[Process], seconds: float) -> list[Process]:
    """Those of *processes* that still run after *seconds* at most."""
    end = time.monotonic() + seconds
    while True:
        running = {process for children in _running().values() for process in children}
        left = [process for process in processes if process in running]
        if not left or time.monotonic() >= end:
            return left
        time.sleep(0.02)


def _descendants() -> list[Process]:
    """Our children, their children and so on."""
    running = _running()
    found = list(running.get(os.getpid(), ()))
    for process in found:  # grows while it is walked
        found += running.get(process.pid, ())
    return found


def _running() -> dict[int, list[Process]]:
    """All processes but zombies, by their parent's pid; empty without a /proc."""
    children: dict[int, list[Process]] = {}
    for name in _listing("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent, _, session, *rest = file.read().rpartition(b")")[2].split()
            except OSError:
                continue
            if state not in (b"Z", b"X"):
                process = Process(int(name), rest[15].decode(), int(session))
                children.setdefault(int(parent), []).append(process)
    return children


def _listing(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _send(number: int, processes: Iterable[Process]) -> None:
    for process in _wait_for(processes, 0):  # not to a stranger that got the pid of an ended one
        try:
            os.kill(process.pid, number)
        except (ProcessLookupError, PermissionError):
            continue


def _nothing() -> None:
    """What undoes nothing."""
