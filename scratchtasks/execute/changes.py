"""Whether inputs changed while an action ran: by their values, and by stat, where those alone do
not tell."""

import os
import threading
from contextlib import suppress
from stat import S_ISLNK
from typing import TYPE_CHECKING

from scratchtasks.store.atomic import storage_error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scratchtasks.core.action import Input, InputRecord


class Changes:
    """What happens to files of the workspace *root*, on whose file system *scratch* is, while
    actions run; used from several threads."""

    def __init__(self, root: str, scratch: str) -> None:
        self._root = root
        self._scratch = scratch
        self._doubted = set[str]()

    def clock(self) -> int:
        """Now, as the workspace's file system tells time (a mount's clock may be another's).

        Raises: StoreError.
        """
        return file_clock(self._scratch)

    def are_in(
        self, name: str, before: "InputRecord", after: "InputRecord", clock: int, *, is_free: bool
    ) -> bool:
        """Whether an input of the action *name*, which began at *clock*, changed while it ran, so
        that its result may be a mixture.

        *before* is what was observed ahead of it; *after* has what only the run could name, too.
        *is_free*: a program ran that may make files for a while beside those that it reads.
        """
        new, old = set[str](), list["Input"]()
        for item, value in after.items():
            if item in before:
                if value != before[item]:
                    return True
                old.append(item)
            # What only the run could name was not observed before it: its time has to tell.
            elif changed_at(self._root, item) >= clock:
                return True
            else:
                new.add(os.path.dirname(item.path))
        if name in self._doubted:
            return is_swapped(self._root, new, clock, is_sure=True)
        # What is no input any more may only have been away when it was looked for.
        lost = [item for item, value in before.items() if value and item not in after]
        # What was changed and changed back may have been read in between; but an action that
        # writes what it reads, or beside it, does so each time.
        is_doubtful = (
            self._is_any_touched(old, after, clock, is_free=is_free)
            or self._is_any_touched(lost, before, clock, is_free=True)
            or is_swapped(self._root, new, clock, is_sure=False)
        )
        if is_doubtful:
            self._doubted.add(name)
        return is_doubtful

    def are_behind(self, name: str, before: "InputRecord", now: "InputRecord", clock: int) -> bool:
        """Whether what the probes of the action *name* had observed *before* it began at *clock*
        changed since: it reads what they do, and its key tells only what they made of it.

        *now* is what is observed after it.
        """
        if any(now[item] != value for item, value in before.items()):
            return True
        if name in self._doubted:
            return False
        is_doubtful = self._is_any_touched(before, before, clock, is_free=False)
        if is_doubtful:
            self._doubted.add(name)
        return is_doubtful

    def _is_any_touched(
        self, items: "Iterable[Input]", record: "InputRecord", clock: int, *, is_free: bool
    ) -> bool:
        """Whether one of *items*, whose values are as in *record*, was another for a while after
        *clock*: written, or come or gone, or in a folder that was."""
        folders = set[str]()
        for item in items:
            if item.kind == "env" or os.path.isabs(item.path):
                continue  # those outside the workspace never rest
            folders.add(os.path.dirname(item.path))
            if is_free and (item.kind == "names" or not record[item]):
                continue  # its own files come and go there
            if changed_at(self._root, item) > clock:
                return True
        return is_swapped(self._root, folders, clock, is_sure=True)


def file_clock(scratch: str) -> int:
    """Now, in ns, as the file system of *scratch* tells time (a mount's clock may be another's).

    Raises: StoreError when nothing can be written there.
    """
    path = os.path.join(scratch, f"clock.{os.getpid()}.{threading.get_ident()}")
    try:
        os.makedirs(scratch, exist_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            return os.fstat(fd).st_ctime_ns
        finally:
            os.close(fd)
            os.unlink(path)
    except OSError as error:
        raise storage_error(path, error) from error


def changed_at(root: str, item: "Input") -> int:
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
