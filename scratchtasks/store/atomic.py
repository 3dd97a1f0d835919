"""Files appear whole or not at all: written under a temporary name, then renamed."""

import errno
import os
import stat

from scratchtasks.core.errors import StoreError

TEMP_PREFIX = ".tmp-"
"""How names of unfinished files start; `collect` removes those that were left behind."""

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OTHERS = "is it another user's, of a run under sudo? `chown` gives it back to you"
_HINTS = {
    # A rename takes the place of anything but a folder, which may hold what somebody wants.
    errno.EISDIR: "move it elsewhere",
    errno.EACCES: _OTHERS,
    errno.EPERM: _OTHERS,
}
_IN_THE_WAY = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ENOENT})
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENXIO})
"""Nothing there, a file where a folder should be, a socket."""


NOTHING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""How a path fails that leads nowhere, a link to itself among them; all else may be there."""


def write_atomic(path: str, data: bytes, mode: int = 0o644, sync: bool = False) -> None:
    """Put *data* at *path* so that a reader, or a crash, sees the old file or the new one.

    *mode* holds octal permission bits, exact under any umask.  Missing parent folders are made.
    *sync* waits until the bytes and the name are on the disk (5 to 33 ms); without it a power
    loss may leave a short file, so what is written must carry a checksum of its own.

    Raises: StoreError when the disk is full or *path* cannot be written; no part stays behind.
    """
    temp = temp_beside(path)
    try:
        try:
            fd = create(temp)
            try:
                write_all(fd, data)
                os.fchmod(fd, mode)
                if sync:
                    os.fsync(fd)
            finally:
                os.close(fd)
            os.replace(temp, path)
        except BaseException:
            remove(temp)
            raise
        if sync:
            sync_folder(os.path.dirname(path))
    except OSError as error:
        raise storage_error(path, error) from error


def read_regular(path: str, limit: int = -1) -> bytes | None:
    """What the file *path* holds, *limit* bytes at most; None where there is no regular file.

    Raises: StoreError when it cannot be read.
    """
    try:
        # O_NONBLOCK: opening a FIFO must not hang before we can see that it is one.
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise read_error(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        with open(fd, "rb", buffering=0, closefd=False) as file:
            return file.read(limit)
    except OSError as error:
        raise read_error(path, error) from error
    finally:
        os.close(fd)


def read_named(path: str) -> bytes | None:
    """What the file *path* holds, which a user has named or made; None where there is nothing.

    Raises: StoreError when it cannot be read, or is anything but a regular file.
    """
    data = read_regular(path)
    if data is None and os.path.lexists(path):
        what = "a link to nothing" if not os.path.exists(path) else "a FIFO, socket or device"
        raise StoreError(path, f"wanted a file, got {'a folder' if os.path.isdir(path) else what}")
    return data


def temp_beside(path: str) -> str:
    """A fresh temporary name in *path*'s folder, unique among processes and threads."""
    return os.path.join(os.path.dirname(path), temp_name())


def temp_name() -> str:
    """A file name that nothing else has: the pid for people, 64 random bits for machines."""
    return f"{TEMP_PREFIX}{os.getpid()}-{os.urandom(8).hex()}"


def create(path: str) -> int:
    """A descriptor to write the new file *path* (0600 for now); makes missing parent folders.

    Raises: OSError.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return os.open(path, flags, 0o600)


def write_all(fd: int, data: bytes | bytearray | memoryview) -> None:
    """Write all of *data* to *fd*, however many calls it takes.  Raises: OSError."""
    view = memoryview(data)
    while view.nbytes:
        view = view[os.write(fd, view) :]


def remove(path: str) -> bool:
    """Delete *path* if it is there and say whether it was.  Raises: OSError otherwise."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def remove_tree(path: str) -> None:
    """Delete *path* and, if it is a folder, all that is in it, though some may not be written to:
    an image's, say.  Raises: OSError.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        remove(path)
        return
    import shutil

    try:
        shutil.rmtree(path)
    except PermissionError:
        os.chmod(path, 0o700)
        for folder, names, _ in os.walk(path):
            for inner in (os.path.join(folder, name) for name in names):
                if not os.path.islink(inner):
                    os.chmod(inner, 0o700)
        shutil.rmtree(path)


def make_folder(path: str) -> None:
    """Make the folder *path* unless it is there, and those above it.  Raises: StoreError."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error


def discard(path: str) -> bool:
    """`remove` for what is ours.  Raises: StoreError when it cannot go."""
    try:
        return remove(path)
    except OSError as error:
        raise storage_error(path, error) from error


def sync_folder(folder: str) -> None:
    """Wait until renames inside *folder* are on the disk.  Raises: OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def storage_error(path: str, error: OSError) -> StoreError:
    """*error*, met while writing *path*, as the message a user should see."""
    if error.errno in _FULL:
        return StoreError(
            path,
            f"cannot be written: {_reason(error)}",
            "free some space; `doit cache --collect` shrinks .scratch to its limit",
        )
    hint = _HINTS.get(error.errno or 0, "")
    if error.errno in _IN_THE_WAY and (blocker := _no_folder(path)):
        hint = f"{blocker} is no folder"
    return StoreError(path, f"cannot be written: {_reason(error)}", hint)


def _no_folder(path: str) -> str:
    """The uppermost of *path* and the folders above it that is there and no folder, or ""."""
    above = os.path.dirname(path)
    if above != path and (found := _no_folder(above)):
        return found
    return path if os.path.lexists(path) and not os.path.isdir(path) else ""


def read_error(path: str, error: OSError) -> StoreError:
    """*error*, met while reading *path*, as the message a user should see."""
    return StoreError(path, f"cannot be read: {_reason(error)}")


def _reason(error: OSError) -> str:
    # os.strerror and not str(error): the latter repeats the path, or names the temporary file.
    return os.strerror(error.errno).lower() if error.errno else str(error)
