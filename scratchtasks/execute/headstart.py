"""A compilation that was begun before anything was analysed, from what the last one was.

What it gives is used only for an action with the very key that was foretold, by the very command,
if nothing that the key is made of was written since before the compiler started.  Otherwise it is
as if it had never been.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence

from scratchtasks.core.digest import ActionKey
from scratchtasks.store.atomic import remove_tree

from .process import Begun, Finished

Row = tuple[str, str]
"""Kind and path of an Input."""


class HeadStart:
    """The command *argv* in *cwd* with *env*, which was *begun* for the one action of *op* that
    will have *key*.

    It writes into *folder* alone.  What was written at *clock* or later, in ns as files of the
    workspace *root* have their time, it may not have read; *reads* are what the action's key, and
    that of the probe behind it, are made of.
    """

    def __init__(
        self,
        *,
        op: str,
        key: ActionKey,
        command: tuple[tuple[str, ...], str, Mapping[str, str]],
        folder: str,
        clock: int,
        root: str,
        reads: Sequence[Row],
        begin: Callable[..., Begun],
    ) -> None:
        self.op = op
        self.folder = folder
        self._key = key
        self._command = command
        self.clock = clock
        """From before it was begun."""
        self.began = time.perf_counter()
        self._root = root
        self._reads = reads
        self._pid = os.getpid()
        self._is_dropped = self._is_agreed = False
        argv, cwd, env = command
        self._begun: Begun | None = begin(argv, cwd=cwd, env=env)

    def agree(self, keys: Sequence[ActionKey]) -> bool:
        """Whether it was begun for the one action that *keys* are of, and all that this reads rests
        since; else it is as good as gone."""
        is_there = self._begun is not None and not self._is_dropped
        self._is_agreed = is_there and keys == [self._key] and self._rests()
        if not self._is_agreed:
            self.drop()
        return self._is_agreed

    def finish(self, command: tuple[tuple[str, ...], str, Mapping[str, str]]) -> Finished | None:
        """How it ended, if it is what *command* would have been, else None; once.

        Raises: as Processes.run.
        """
        begun, is_it = self._begun, self._is_agreed and command == self._command
        if begun is None or not is_it or os.getpid() != self._pid:
            self.drop()
            return None
        self._is_agreed = False
        finished = begun.end()
        self._begun = None
        return finished

    def drop(self) -> None:
        """Have it ended, and its result never used; returns at once."""
        self._is_dropped, self._is_agreed = True, False
        if self._begun is not None and os.getpid() == self._pid:
            self._begun.stop()

    def close(self) -> None:
        """See to it that nothing of it is left, neither running nor on the disk."""
        if os.getpid() != self._pid:
            return
        self.drop()
        if self._begun is not None:
            self._begun.wait()
            self._begun = None
        remove_tree(self.folder)

    def _rests(self) -> bool:
        from scratchtasks.core.action import Input

        from .changes import changed_at, is_swapped

        if os.getpid() != self._pid:
            return False
        folders = set[str]()
        for kind, path in self._reads:
            if kind == "env":
                continue
            folders.add(os.path.dirname(path))
            try:
                if changed_at(self._root, Input("file", path)) >= self.clock:
                    return False
            except OSError:
                return False
        return not is_swapped(self._root, folders, self.clock, is_sure=False)
