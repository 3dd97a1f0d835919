"""Subprocesses that can always be ended: own process group, message bytes untouched, no orphan.

Only the thread that started a child ever signals or reaps it, so `cancel` is nothing but a flag:
it is safe in a signal handler, from any thread, at any moment.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

from scratchtasks.core.errors import ActionFailed, ScratchError, ToolchainMissing
from scratchtasks.core.frozen import dataclass

if TYPE_CHECKING:
    import selectors
    import subprocess
    from typing import IO, BinaryIO

_TICK = 0.1
"""Seconds between two looks at the cancel flag and at a child whose pipes are silent."""

_DRAIN = 1.0
"""Seconds that pipes are still read after the child ended, when a grandchild holds them open."""

_GRACE = 3.0
"""Seconds between SIGTERM and SIGKILL."""


_USER = re.compile(r"(https?://)[^\s/?#'\"`]+@|(\w://[^\s/?#:@'\"`]*):[^\s/?#'\"`]*@")
"""In a URL: of https a user may be a token, of ssh it is only `git`."""

_PIECE = re.compile(r'(invalid (?:port|URL escape)) ".*?"')
"""Where something is no URL, Go tells which part of it is to blame: part of a password."""


class Cancelled(Exception):
    """The user ended the run; raised by `Processes.run` once its child is gone."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a process ended: *code* is its exit status, or minus the signal that ended it."""

    code: int
    stdout: bytes
    stderr: bytes


class Processes:
    """Runs programs for many threads at once and can end them all.

    *show* prints the bytes of a compiler's messages, atomically.
    """

    def __init__(self, show: Callable[[bytes], None]) -> None:
        self._show = show
        self._cancelled = False
        self._children: set[_Child] = set()
        self._chores: deque[Callable[[], object]] = deque()

    def meanwhile(self, chore: Callable[[], object]) -> None:
        """Have *chore* done while a program runs that the caller of `run` would wait for; in the
        order given, on that caller's thread, or never.  It should be short; that it failed is
        not told."""
        self._chores.append(chore)

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str,
        env: Mapping[str, str],
        show_stderr: bool = True,
        stdin: bytes | BinaryIO = b"",
    ) -> Finished:
        """Run *argv* to its end, in *cwd* with exactly *env*; stderr is shown once, at the end.

        *stdin* is what it reads, or the file.

        Nothing of the child's process group outlives this call, whichever way it returns.

        Raises: ToolchainMissing (no such program), ActionFailed (it cannot be started),
        Cancelled (after `cancel`); whatever a signal handler raises, once the child is gone.
        """
        child = _Child(argv, cwd, env, stdin)
        self._children.add(child)
        try:
            if self._cancelled:
                raise Cancelled
            child.run(self._chores)
        finally:
            self._children.discard(child)
        finished = child.finished()
        if show_stderr:
            self.show(finished.stderr)
        return finished

    def begin(self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> Begun:
        """Like `run`, but return once it runs, or could not be started: what is returned is to be
        ended, or stopped.

        Raises: whatever a signal handler raises.
        """
        child = _Child(argv, cwd, env, b"", tick=_TICK / 10)
        self._children.add(child)
        try:
            child.start(daemon=True)
            # Else two threads would share the interpreter until it is started.
            child.is_started.wait()
        except BaseException as raised:
            self._children.discard(child)
            child.give_up(raised)
        return Begun(child, self._chores, self._children.discard)

    def show(self, message: bytes) -> None:
        """Print *message*, what a program said on stderr, as it is; nothing when empty."""
        if message:
            self._show(message)

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def check(self) -> None:
        """For work that is no process: raises Cancelled from `cancel` on."""
        if self._cancelled:
            raise Cancelled

    def cancel(self) -> None:
        """End all that runs (SIGTERM, SIGKILL after 3 s); every `run` raises Cancelled from now on.

        Returns at once and takes no lock: fit for a signal handler.  The interpreter does not exit
        before the last child is gone.
        """
        self._cancelled = True
        for child in tuple(self._children):
            child.stopping = True


class Begun:
    """A program that `Processes.begin` has started."""

    def __init__(
        self,
        child: _Child,
        chores: deque[Callable[[], object]],
        leave: Callable[[_Child], None],
    ) -> None:
        self._child = child
        self._chores = chores
        self._leave = leave

    def end(self) -> Finished:
        """Wait for its end, doing chores.  Raises: as `Processes.run`."""
        self.wait(self._chores)
        return self._child.finished()

    def stop(self) -> None:
        """Have it ended soon; returns at once."""
        self._child.stopping = True

    def wait(self, chores: deque[Callable[[], object]] | None = None) -> None:
        """Return once nothing of it runs any more, with *chores* done meanwhile."""
        try:
            self._child.wait(deque() if chores is None else chores)
        finally:
            self._leave(self._child)


def without_passwords(said: bytes, urls: str = "") -> bytes:
    """What a program that fetches *said*, without the passwords in URLs, and those of *urls*, which
    may be none: they are separated by commas or bars, as in GOPROXY."""
    text = said.decode("utf-8", "surrogateescape")
    for url in re.split(r"[,|]", urls):
        user = re.sub(r"^\w*:?/*", "", url.rpartition("@")[0])
        if user:
            text = _PIECE.sub(r"\1", text.replace(f"{user}@", ""))
    text = _USER.sub(lambda found: found[1] or f"{found[2]}@", text)
    return text.encode("utf-8", "surrogateescape")


class _Child:
    """One process group, from its start to its last member's end."""

    def __init__(
        self,
        argv: Sequence[str],
        cwd: str,
        env: Mapping[str, str],
        stdin: bytes | BinaryIO,
        tick: float = _TICK,
    ) -> None:
        self.argv, self.cwd, self.env, self.stdin = tuple(argv), cwd, env, stdin
        self._tick = tick
        self.stopping = False
        self.code = 0
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.error: BaseException | None = None
        self._turn = threading.Lock()
        self.is_started = threading.Event()
        self._is_over = threading.Event()

    def run(self, chores: deque[Callable[[], object]]) -> None:
        """Start, read and reap, in a thread of its own; do *chores* until that is over."""
        try:
            self.start(daemon=False)
        except BaseException as raised:
            self.give_up(raised)
        self.wait(chores)

    def start(self, *, daemon: bool) -> None:
        """Begin, in a thread of its own.

        Not in the main thread, because a KeyboardInterrupt between fork and the assignment of
        its result would lose the child; a *daemon* thread is for a child that somebody ends ahead
        of the interpreter's exit, which drops those and waits for the others.
        """
        threading.Thread(target=self._work, name="process", daemon=daemon).start()

    def give_up(self, raised: BaseException) -> NoReturn:
        """End what was started, if anything was, and raise *raised*."""
        if not self._turn.acquire(blocking=False):  # else it has not begun, and now never will
            self.wait(deque(), raised)
        raise raised

    def wait(
        self, chores: deque[Callable[[], object]], interrupt: BaseException | None = None
    ) -> None:
        """Do *chores* until all is over; then raise *interrupt*, or what a signal has raised."""
        # Not Thread.join: once interrupted, it takes a living thread for ended.
        while not self._is_over.is_set():
            try:
                self.stopping = self.stopping or interrupt is not None
                if chores:
                    with suppress(Exception):  # taken by another thread; or fails again when due
                        chores.popleft()()
                else:
                    self._is_over.wait()
            except BaseException as raised:
                interrupt = raised
        if interrupt is not None:
            raise interrupt

    def finished(self) -> Finished:
        """How it ended.  Raises: what kept it from that."""
        if self.error is not None:
            raise self.error
        if self.stopping:
            raise Cancelled
        return Finished(self.code, bytes(self.stdout), bytes(self.stderr))

    def _work(self) -> None:
        try:
            if self.stopping or not self._turn.acquire(blocking=False):
                return
            with self._start() as process:
                self.is_started.set()
                try:
                    self._read(process)
                finally:
                    self._end(process)
        except BaseException as error:
            self.error = error
        finally:
            self.is_started.set()
            self._is_over.set()

    def _start(self) -> subprocess.Popen[bytes]:
        import subprocess

        with _as_file(self.stdin) as stdin:
            try:
                return subprocess.Popen(
                    self.argv,
                    cwd=self.cwd,
                    env=self.env,
                    stdin=stdin,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    start_new_session=True,
                )
            except OSError as error:
                raise self._refusal(error) from None

    def _refusal(self, error: OSError) -> ScratchError:
        program, why = self.argv[0], (error.strerror or str(error)).lower()
        if error.filename == self.cwd:
            return ActionFailed(program, f"cannot start in {self.cwd}: {why}")
        if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
            return ToolchainMissing(program, f"cannot be run: {why}", "is it installed, on PATH?")
        return ActionFailed(program, f"cannot be started: {why}")

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        """Read both pipes until the child ended and they are at EOF, or _DRAIN seconds later."""
        import selectors

        ended = asked = 0.0
        pause = self._tick / 200
        with selectors.DefaultSelector() as selector:
            for pipe, kept in ((process.stdout, self.stdout), (process.stderr, self.stderr)):
                assert pipe is not None
                selector.register(pipe, selectors.EVENT_READ, kept)
            while True:
                if selector.get_map():
                    _pump(selector, self._tick)
                else:
                    time.sleep(pause)
                    pause = min(2 * pause, self._tick)
                now = time.monotonic()
                ended = ended or (now if _has_ended(process.pid) else 0.0)
                if ended and (not selector.get_map() or now - ended > _DRAIN):
                    return
                if self.stopping and not asked:
                    asked = now
                    os.killpg(process.pid, signal.SIGTERM)
                if asked and now - asked > _GRACE:
                    return

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        """Kill what is left of the group, then reap.

        The child is still unreaped here, so its pid cannot name somebody else's group.
        """
        os.killpg(process.pid, signal.SIGKILL)
        self.code = process.wait()


def _pump(selector: selectors.BaseSelector, seconds: float) -> None:
    """Move what the pipes hold into their buffers; waits up to *seconds* for something."""
    for key, _ in selector.select(seconds):
        chunk = os.read(key.fd, 1 << 16)
        key.data.extend(chunk)
        if not chunk:
            selector.unregister(key.fileobj)


def _has_ended(pid: int) -> bool:
    """Whether child *pid* has ended; it stays unreaped."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


@contextmanager
def _as_file(data: bytes | BinaryIO) -> Iterator[IO[bytes]]:
    """*data* as an open file, which a child reads at its own pace."""
    if not isinstance(data, bytes):
        yield data
        return
    if not data:
        with open(os.devnull, "rb") as nothing:
            yield nothing
        return
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file
