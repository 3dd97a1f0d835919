"""One look at many files: which of them stat otherwise than was noted, and what large ones hold."""

import os
from array import array
from collections.abc import Callable, Iterable, Sequence
from errno import ENAMETOOLONG
from stat import S_ISREG

from scratchtasks.core.errors import StoreError

from .notes import ABSENT, Notes
from .signature import Content, read_file

_WORTH_A_FORK = 8_000
"""Paths from which on a second process pays: it costs 5 ms, a stat 3 µs."""

_LARGE = 256 * 1024
"""Bytes from which on a file is worth a thread: they take 0.2 ms to hash."""

_FEW = 12 * 1024 * 1024
"""Bytes, of all of them, that are hashed sooner than threads are imported: in 10 ms."""


def read_large(paths: Iterable[str]) -> dict[str, Content]:
    """What the large regular files among *paths* hold, hashed on all cores.

    Left out is what cannot be read: whoever needs it will find out why.
    """
    sizes = {path: size for path in paths if (size := _size(path)) >= _LARGE}
    if sum(sizes.values()) <= _FEW:
        found = [(path, _content(path)) for path in sizes]
    else:
        from scratchtasks.core.parallel import map_all

        found = list(zip(sizes, map_all(_content, list(sizes)), strict=True))
    return {path: content for path, content in found if content is not None}


def _size(path: str) -> int:
    """Of the regular file *path*, in bytes; 0 for anything else."""
    try:
        info = os.stat(path)
    except (OSError, ValueError):
        return 0
    return info.st_size if S_ISREG(info.st_mode) else 0


def _content(path: str) -> Content | None:
    try:
        return read_file(path)
    except StoreError:
        return None


def moved(
    paths: Sequence[str], notes: Notes, stat: Callable[[str], os.stat_result] = os.stat
) -> list[int]:
    """The numbers of those *paths* whose stat differs from their note, in order.

    The note () never holds.  *stat* is os.stat or os.lstat; what it cannot tell counts as moved.
    Large scans are shared with a forked process, for the interpreter's lock is held at each
    call.
    """
    if len(paths) < _WORTH_A_FORK or (os.cpu_count() or 1) < 2:
        return _moved(paths, notes, stat, 0, len(paths))
    half = len(paths) // 2
    here, there = os.pipe()
    with open(here, "rb") as pipe:
        try:
            child = os.fork()
        except OSError:  # no more processes for this user, or in this container
            os.close(there)
            return _moved(paths, notes, stat, 0, len(paths))
        if not child:
            _answer(there, paths, notes, stat, half)
        os.close(there)
        try:
            first = _moved(paths, notes, stat, 0, half)
            data = pipe.read()
        finally:
            _, status = os.waitpid(child, 0)
    if status:
        return [*first, *_moved(paths, notes, stat, half, len(paths))]
    found = array("L")
    found.frombytes(data)
    return [*first, *found]


def _answer(
    there: int,
    paths: Sequence[str],
    notes: Notes,
    stat: Callable[[str], os.stat_result],
    first: int,
) -> None:
    """What the forked process does: nothing of its parent's, whatever happens."""
    code = 1
    try:
        data = array("L", _moved(paths, notes, stat, first, len(paths))).tobytes()
        with open(there, "wb") as pipe:
            pipe.write(data)
        code = 0
    finally:
        os._exit(code)


def _moved(
    paths: Sequence[str],
    notes: Notes,
    stat: Callable[[str], os.stat_result],
    first: int,
    last: int,
) -> list[int]:
    found = []
    known = zip(paths[first:last], notes.encoded(first, last), strict=True)
    for number, (path, note) in enumerate(known, first):
        try:
            info = stat(path)
        except (FileNotFoundError, NotADirectoryError):
            if note != ABSENT:
                found.append(number)
            continue
        except (OSError, ValueError) as error:
            if note != ABSENT or getattr(error, "errno", 0) != ENAMETOOLONG:
                found.append(number)
            continue
        # signature_of spelt out: a call more would double the cost.
        if note != (
            info.st_size,
            info.st_mtime_ns,
            info.st_ctime_ns,
            info.st_ino,
            info.st_dev,
        ):
            found.append(number)
    return found
