"""An image's root file system in memory, seen by this process and its children alone.

A part of the guard, which imports it where bubblewrap's arguments do not reach.
Source: mount(2), mount_namespaces(7), user_namespaces(7), tmpfs(5).
"""

import os
from collections.abc import Iterable

from .enter import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_REC,
    MS_SLAVE,
    make_read_only,
    mount,
    unshare,
)


def plant(
    root: str, steps: Iterable[tuple[str, str, int, str | tuple[int, int]]], content: int
) -> None:
    """Mount a tmpfs on the folder *root* in namespaces of our own, and do in it what *steps* say:
    see `tree.Tree.steps`.  Pieces are those of the file *content* (a descriptor).

    The mode of each file is its owner's, who is whoever runs us.  All is gone when the last
    process of these namespaces has ended.  We must have one thread only.

    Raises: OSError, where this machine does not let us, or memory does not suffice.
    """
    unshare(CLONE_NEWUSER | CLONE_NEWNS, os.geteuid(), os.getegid())
    mount("", "/", flags=MS_REC | MS_SLAVE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700")
    folders = []
    for kind, path, mode, source in steps:
        target = root + path
        if kind == "dir":
            folders.append((target, mode))
            if path != "/":
                os.mkdir(target, 0o700)
        elif kind == "symlink":
            assert isinstance(source, str)
            os.symlink(source, target)
        elif kind == "link":
            os.link(f"{root}{source}", target, follow_symlinks=False)
        elif kind == "bind":
            assert isinstance(source, str)
            with open(target, "xb"):
                pass
            mount(source, target, flags=MS_BIND)
            make_read_only(target)
        else:
            _write(target, mode, source, content)
    for target, mode in reversed(folders):  # we need to write to them until now
        os.chmod(target, mode)


def _write(target: str, mode: int, source: str | tuple[int, int], content: int) -> None:
    with open(target, "xb") as file:
        if isinstance(source, str):
            with open(source, "rb") as blob:
                _copy(blob.fileno(), 0, os.fstat(blob.fileno()).st_size, file.fileno())
        else:
            _copy(content, *source, file.fileno())
        os.fchmod(file.fileno(), mode)


def _copy(source: int, start: int, size: int, target: int) -> None:
    """Append *size* bytes of *source*, from *start* on, to *target*.  Raises: OSError."""
    while size:
        sent = os.sendfile(target, source, start, size)
        if not sent:
            raise OSError("a file has become shorter")
        start, size = start + sent, size - sent
