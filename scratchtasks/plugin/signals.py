"""Ctrl-C and SIGTERM during a run: children end, finished work is kept, no traceback.

doit alone does this badly: a SIGINT to it hangs until the running command ends by itself, and a
SIGTERM loses the database and leaves compilers running.
"""

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

from scratchtasks.store.owner import stat_of_process

from .events import Events, Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PR_SET_PDEATHSIG = 1  # prctl(2)
_SAME = 0.25
"""Seconds within which a second signal is taken for an echo of the first."""

_HEADSTART = 1.0
"""Seconds that a user's own command gets after a SIGINT, which a terminal sends to it as well."""

_PATIENCE = 4.0
"""Seconds that the interpreter waits at its exit for children; *cancel* kills its own after 3."""

_GOING = 0.1
"""Seconds that a process which was killed takes at most to be gone with all its threads."""

_SHORT = frozenset(
    {
        ("multiprocessing.queues", "_finalize_close"),
        ("multiprocessing.queues", "put"),
        ("multiprocessing.util", "__call__"),
        ("multiprocessing.util", "__init__"),
    }
)
"""Functions, with their modules, in which a queue of `-P process` changes: none takes long."""

_LINE = b"interrupted; finished work is kept\n"


class Process(NamedTuple):
    """*started* tells it from a later process with the same *pid*."""

    pid: int
    started: str
    session: int


def install(cancel: Callable[[], None], events: Events) -> None:
    """From now on SIGINT, SIGTERM and SIGHUP end the run.

    The first signal calls *cancel* (which must take no lock: it runs inside the handler), emits
    Interrupted, sends SIGTERM to the commands of users' own tasks (after a SIGINT: a second
    later, if they still run), and raises SystemExit with 128 + the signal's number in the main
    thread, so that doit closes its database and runs teardowns.  A second signal kills all
    children and exits at once.

    Signals that were ignored (nohup) stay so.  Outside the main thread this does nothing.

    Workers of doit's -P process end with this process, however it ends: they would wait for it for
    ever, and hold the workspace's lock.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    ending = _Ending(cancel, events)
    for number in _SIGNALS:
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            signal.signal(number, ending.handle)
    signal.set_wakeup_fd(ending.bell, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=partial(ending.fork, os.getpid()))
    atexit.register(ending.wait)


@contextmanager
def shielded() -> Iterator[None]:
    """What is inside `with` comes to its end: a signal that would end the process waits for that,
    and only one more does not.

    Outside the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before: dict[int, Callable[[int, FrameType | None], Any]] = {}

    def wait(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            before[number](number, frame)

    for number in _SIGNALS:
        handler = signal.getsignal(number)
        if callable(handler):
            before[number] = handler
            signal.signal(number, wait)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    if came:
        signal.raise_signal(came[0])


def end_with_parent(parent: int) -> None:
    """Have this process get SIGTERM when the process *parent*, which has started it, is gone.

    Where the kernel is not Linux nothing is changed.
    """
    if sys.platform != "linux":
        return
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before
        signal.raise_signal(signal.SIGTERM)


def interrupted() -> int:
    """Tell of a Ctrl-C that came before the run had its own handler; returns the exit code."""
    sys.stderr.write(_LINE.decode())
    return 128 + signal.SIGINT


def leave_threads(code: int) -> None:
    """At the very end of an interrupted run: end this process with *code* if threads of it are
    still at work.

    They die with it in any case; but C libraries tidy up before that, and OpenSSL takes away what
    a thread that loads certificates is about to use: the process would end by SIGSEGV.
    """
    if threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, full, or none
                stream.flush()
        os._exit(code)


class _Ending:
    """The end of one run, begun by a signal.

    Python runs a handler once the main thread is back in Python code, and a signal that comes
    just before that thread waits for a lock (doit waiting for its workers) does not wake it: the
    run would go on as if nothing had happened.  Hence a watcher, which the C part of signal
    handling tells through the pipe *bell*, and which sends the signal again until it is heard.
    """

    def __init__(self, cancel: Callable[[], None], events: Events) -> None:
        self.has_begun = False
        self._is_heard = False
        self._cancel = cancel
        self._events = events
        self._has_left = False
        self._parent = 0
        self._began = 0.0
        self._children: list[Process] = []
        self._is_winding_down = threading.Lock()
        ear, self.bell = os.pipe()
        os.set_blocking(self.bell, False)
        threading.Thread(target=self._watch, args=(ear,), name="signals", daemon=True).start()

    def fork(self, parent: int) -> None:
        """In a child that *parent* has just forked: leave its watcher in peace."""
        if not self._has_left:
            self._has_left = True
            fd = signal.set_wakeup_fd(-1)
            if fd != self.bell:
                signal.set_wakeup_fd(fd)
            os.close(self.bell)
        if "multiprocessing.popen_fork" in sys.modules:  # else one that scans: it ends by itself
            self._parent = parent
            end_with_parent(parent)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if _is_queue_changing(frame):
            if self._has_left:  # elsewhere the watcher asks again in a moment
                signal.signal(signal.SIGALRM, lambda _, frame: self.handle(number, frame))
                signal.setitimer(signal.ITIMER_REAL, _SAME / 10)
            return
        code = 128 + number
        sys.unraisablehook = _nothing_of  # the reporter raises a lost SystemExit again
        if self._has_left:  # a worker of doit's -P process
            self._cancel()
            if _has_gone(self._parent):  # who would have told them
                _send(signal.SIGTERM, _descendants())
            raise SystemExit(code)
        if not self.has_begun:
            self._began = time.monotonic()
            self.has_begun = True  # handlers may be interrupted by handlers
            self._is_winding_down.acquire()
            _leave_queues()
            self._cancel()
            self._events.emit(Interrupted(number))
            self._children = _descendants()
            self._is_heard = True
            os.write(self.bell, bytes([number]))  # others may have taken the wakeup fd
            raise SystemExit(code)
        if time.monotonic() - self._began > _SAME:
            # A shell may have died of the first signal and left its command to init.
            _send(signal.SIGKILL, {*_descendants(), *self._children})
            os._exit(code)

    def wait(self) -> None:
        """At the interpreter's exit: children that were told to end get the time for it."""
        if not self._has_left:
            self._is_winding_down.acquire(timeout=_HEADSTART + _PATIENCE + 1)

    def _watch(self, ear: int) -> None:
        number = 0
        while number not in _SIGNALS:  # some other may have a handler of somebody's
            (number,) = os.read(ear, 1)
        while not self._is_heard:
            main = threading.main_thread().ident
            assert main is not None
            if not self.has_begun:
                signal.pthread_kill(main, number)
            time.sleep(_SAME / 10)
        self._wind_down(number)

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


def _has_gone(parent: int) -> bool:
    """Whether our *parent* is gone, or goes just now: a thread of it that was killed may outlive
    the one that has forked us, whose end we are told of."""
    end = time.monotonic() + _GOING
    while os.getppid() == parent:
        if time.monotonic() > end:
            return False
        time.sleep(_GOING / 20)
    return True


def _is_queue_changing(frame: FrameType | None) -> bool:
    """Whether *frame* is in the middle of what an exception must not end: it would leave a lock
    that is held for ever, or a thread that nobody tells to end.
    """
    while frame is not None:
        place = frame.f_globals.get("__name__"), frame.f_code.co_name
        if place in _SHORT:
            return True
        if place == ("multiprocessing.queues", "_finalize_join"):  # which may take its time
            return False
        frame = frame.f_back
    return False


def _leave_queues() -> None:
    """Have the interpreter's exit wait for no queue of `-P process`, should one be left half made
    after all.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        atexit.unregister(util._exit_function)


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
                state, parent, _, session, *rest = stat_of_process(int(name))
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


def _nothing_of(lost: Any) -> None:
    """Says nothing of an exception that Python has lost: of an interrupted run, or of what that
    left half made."""
