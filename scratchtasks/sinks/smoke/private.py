"""Private folders that go when they are no longer used, even if their user was killed."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from scratchtasks.store.atomic import remove_tree

_PREFIX = "smoke-"
_YOUNG = 60
"""Seconds in which a folder may not have been locked yet by who made it."""


@contextmanager
def private_folder(parent: str) -> Iterator[str]:
    """A new folder in *parent* (absolute, made if missing), removed in the end.

    Also removes those that were left there by processes that are gone.

    Raises: OSError when *parent* cannot be written to.
    """
    os.makedirs(parent, exist_ok=True)
    _sweep(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as path:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)  # let go by the kernel, however we end
            yield path
        finally:
            os.close(lock)


def _sweep(parent: str) -> None:
    for name in os.listdir(parent):
        if name.startswith(_PREFIX):
            _remove_unused(os.path.join(parent, name))


def _remove_unused(path: str) -> None:
    try:
        lock = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return  # somebody else was quicker
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(lock).st_mtime > _YOUNG:
            remove_tree(path)
    except OSError:
        return  # in use, or not to be removed
    finally:
        os.close(lock)
