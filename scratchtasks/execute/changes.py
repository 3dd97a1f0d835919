"""What stat tells of changes while an action ran, where values alone do not."""

import os
from contextlib import suppress
from stat import S_ISLNK

from scratchtasks.core.action import Input


def changed_at(root: str, item: Input) -> int:
    """When *item* last changed, in ns; for one that is not there, when it can have gone."""
    if item.kind == "env":
        return 0  # it was read once, before all runs
    path = os.path.join(root, item.path)
    try:
        # A symlink put in the place of a file may lead to an old one.
        return max(os.stat(path).st_ctime_ns, os.lstat(path).st_ctime_ns)
    except OSError:
        if os.path.isabs(item.path):
            return 0  # folders outside the workspace never rest
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        return os.stat(path).st_ctime_ns


def is_written(root: str, item: Input, clock: int) -> bool:
    """Whether the file or link *item*, which is there, was written after *clock* (in ns); False
    outside the workspace *root*.

    Listings do not count: programs make files for a while beside those that they read.
    """
    is_file = item.kind not in ("names", "env") and not os.path.isabs(item.path)
    return is_file and changed_at(root, item) > clock


def is_swapped(root: str, folders: set[str], clock: int, *, is_sure: bool) -> bool:
    """Whether one of *folders*, or one above it, got its name at *clock* (in ns) or after it.

    What was read in the other is gone then, and what is in this may be older than *clock*.
    Unless *is_sure*, one in the workspace counts where it cannot be told: names came or went both
    in it and beside it.
    """
    while folders := folders - {"", "/"}:
        for folder in folders:
            with suppress(OSError):
                info = os.lstat(os.path.join(root, folder))
                if info.st_ctime_ns < clock:
                    continue
                # An entry that comes or goes moves both stamps, another name only this one.
                if S_ISLNK(info.st_mode) or info.st_ctime_ns > info.st_mtime_ns:
                    return True
                if not is_sure and not os.path.isabs(folder):
                    beside = os.stat(os.path.join(root, os.path.dirname(folder)))
                    if beside.st_mtime_ns >= clock:
                        return True
        folders = set(map(os.path.dirname, folders))
    return False
