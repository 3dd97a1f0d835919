"""One run at a time in a workspace, by a lock that the kernel drops when its holder dies."""

import fcntl
import os
import stat
import threading
from collections.abc import Callable

from scratchtasks.core.errors import StoreError

from .atomic import storage_error
from .owner import owner_in, stat_of_process, this_process


class WorkspaceLock:
    """An exclusive flock(2) on the file *path* (absolute, `.scratch/lock`).

    The file holds who the holder is, for messages and its own children: what counts is the
    kernel's lock, so neither `kill -9` nor a power loss leaves a stale one.  Programs that we
    start do not inherit it.  Also a context manager that releases on exit.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._turn = threading.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd >= 0

    def acquire(self, on_wait: Callable[[int], None]) -> None:
        """Take the lock, waiting for as long as somebody else has it; Ctrl-C ends the wait.

        *on_wait* is called, once, only if there is a wait, with the pid of the holder (0 when
        it cannot be told, or is one of another container or machine).  Taking a lock that this
        object holds does nothing; threads that take it at once get it together.

        Raises: StoreError when the file cannot be written or locked, or is no file.
        """
        is_told = False

        def wait(fd: int) -> None:
            nonlocal is_told
            if not is_told:
                is_told = True
                on_wait(_holder(fd))
            # Restarted by Python after every signal whose handler does not raise.
            fcntl.flock(fd, fcntl.LOCK_EX)

        # Another thread's descriptor would be waited for like another process's, for ever.
        with self._turn:
            while self._fd < 0:
                try:
                    self._fd = self._locked(wait)
                except OSError as error:
                    raise storage_error(self._path, error) from error

    def release(self) -> None:
        """Let the next one in; does nothing when the lock is not held."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.ftruncate(fd, 0)
            finally:
                os.close(fd)

    def __enter__(self) -> "WorkspaceLock":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _locked(self, wait: Callable[[int], None]) -> int:
        """A descriptor that holds the lock; -1 if the file was deleted while we waited for it."""
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o644)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                what = "wanted a file, got a FIFO or a device"
                raise StoreError(self._path, what, "move it elsewhere")
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait(fd)
            if not _is_at(fd, self._path):
                os.close(fd)
                return -1
            _write_owner(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd


def is_ancestor(pid: int) -> bool:
    """Whether process *pid* started this one, or started what did; False for 0, and without a
    /proc."""
    current = os.getpid()
    while current > 1 and pid:  # what `docker exec` starts has the parent 0
        try:
            current = int(stat_of_process(current)[1])
        except (OSError, ValueError, IndexError):
            return False
        if current == pid:
            return True
    return False


def _write_owner(fd: int) -> None:
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{this_process()}\n".encode(), 0)
    except OSError:
        pass  # on a full disk one must still be able to collect


def _holder(fd: int) -> int:
    owner, here = owner_in(os.pread(fd, 200, 0).decode(errors="replace").strip()), this_process()
    # Pids are of one pid namespace: in a container the holder may be 1, as our own first ancestor.
    is_here = owner is not None and (owner.space, owner.boot) == (here.space, here.boot)
    return owner.pid if owner is not None and is_here else 0


def _is_at(fd: int, path: str) -> bool:
    # `rm -rf .scratch` takes the name away from the file we lock; the next run would make a new
    # one and both would go ahead.
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except FileNotFoundError:
        return False
