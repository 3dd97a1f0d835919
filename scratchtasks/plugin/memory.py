"""The memory of a workspace: asked before a run, written after it."""

import fcntl
import os
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import chdir, suppress
from functools import cached_property
from typing import TYPE_CHECKING

from scratchtasks.core.errors import StoreError
from scratchtasks.store.signature import boot_id

from .memo import (
    Known,
    Memo,
    drop_memos,
    environment_of,
    head_of,
    read_meanings,
    read_memo,
    write_memo,
)
from .near import Edit, edit_near
from .recall import edit_of, few_of, stale_services

if TYPE_CHECKING:
    from scratchtasks.store.signature import Content

    from .outline import Outline
    from .remember import Table
    from .session import Session


class Memory:
    """What earlier runs in *root* (absolute) knew, for *env*.

    *declared* gives a text of all that dodo.py declares, the folders of services included.
    """

    def __init__(self, root: str, env: Mapping[str, str], declared: Callable[[], str]) -> None:
        self._root = root
        self._env = env
        self._began = time.time_ns()
        self._folder = os.path.join(root, ".scratch", "memo")
        self._environment = environment_of(env, root)
        self._declared = declared
        self._memo: Memo | None = None
        self._stale: set[str] | None = None
        self._asked = frozenset[str]()
        self._table: Table | None = None
        self._git_says_more = False
        self.contents: Mapping[str, Content] = {}
        """What `ask` has read of large files that had moved."""

    def ask(
        self,
        only: Collection[str] = (),
        on_edit: Callable[[Edit], None] | None = None,
    ) -> bool:
        """Look at what the services *only*, () for all, depend on; False when everything has to
        be analysed.  What is known already is not looked at again.

        *on_edit* is told if nothing was edited but Go sources of one of them: at the end, and ahead
        of all else if it seems to be the one that was compiled last.
        """
        question = frozenset(only)
        if self._memo is not None and question == self._asked:
            return True
        self._memo, self._asked = None, question
        if _is_at_work(os.path.join(self._root, ".scratch", "lock")):
            return False
        if on_edit is not None:
            self._tell_near(only, on_edit)  # who may take the lock
        memo = read_memo(self._folder, self._environment, self._head)
        if memo is None:
            return False
        with chdir(self._root):  # where it is, nearly always
            self._stale = self._look(memo, only)
            self.contents = memo.contents
            if self._stale is None:
                return False
            self._memo = memo
            edit = self._edited(only)
        if on_edit is not None and edit is not None:
            on_edit(edit)
        return True

    @cached_property
    def _head(self) -> str:
        return head_of(self._root, self._declared(), boot_id())

    @property
    def watched(self) -> int:
        """How many paths were looked at."""
        assert self._memo is not None
        return len(self._memo.paths)

    @property
    def git(self) -> Mapping[str, str]:
        """What git says now, by its arguments, as far as is known."""
        return self._memo.git if self._memo is not None else {}

    @property
    def count(self) -> int:
        """How many services there are."""
        assert self._memo is not None
        return self._memo.count

    def forget(self) -> None:
        """Have everything analysed after all."""
        self._memo = self._stale = None

    def stale(self, names: Collection[str] = ()) -> set[str]:
        """Those of the services *names*, () for all, that have to be looked at."""
        assert self._stale is not None
        return self._stale.intersection(names) if names else self._stale

    def rest(self, names: Collection[str]) -> dict[str, str]:
        """The other services, beside *names*, with their folders."""
        memo = self._memo
        assert memo is not None
        return {n: known.folder for n, known in memo.services.items() if n not in names}

    def beside(
        self, names: Collection[str], on_edit: Callable[[Edit], None] | None = None
    ) -> dict[str, str] | None:
        """The other services, beside *names*, with their folders; None unless all are known.

        For a run that is about *names* only: what any of them depends on is not looked at, but to
        tell *on_edit*, as `ask` does.
        """
        if on_edit is not None:
            self._tell_near(names, on_edit)
        memo = read_memo(self._folder, self._environment, self._head)
        if memo is None or not read_meanings(memo, self._folder, self._environment):
            return None
        if not memo.services.keys() >= set(names):
            return None
        return {n: known.folder for n, known in memo.services.items() if n not in names}

    def freshen(self) -> None:
        """Keep what `ask` has learnt about files that were only touched.

        Where that cannot be written, nothing is lost but time.
        """
        memo = self._memo
        if memo is None or (memo.token and not self._is_unsettled(memo)):
            return
        if read_meanings(memo, self._folder, self._environment):
            for name in self._stale or ():  # nobody has looked at those
                memo.services[name] = Known(memo.services[name].folder)
            memo.unknown = len(self._stale or ())
            self._settle(memo)
            with suppress(StoreError):
                write_memo(memo, self._folder, self._environment)

    def prepare(self, session: "Session") -> None:
        """Do what `keep` can do before *session* has found out anything."""
        from .remember import Table

        self._table = Table(self._memo, (self._stale or set()).union(session.graph.services))

    def keep(self, session: "Session") -> None:
        """Remember what *session* has found out.  Raises: StoreError."""
        from scratchtasks.core.span import span

        from .remember import remembered

        missed = (self._stale or set()) - session.graph.services.keys()
        table, self._table = self._table, None
        with span(session.world.tell, "remember", "memo") as told:
            try:
                memo = remembered(session, self._head, self._began, self._memo, missed, table)
            except StoreError:  # what cannot be read was told of by whoever needed it
                return
            self._settle(memo)
            write_memo(memo, self._folder, self._environment)
            told["paths"] = len(memo.paths)

    def outline(self) -> "Outline | None":
        """The graph as it was analysed last, if nothing that declares it has changed."""
        from .outline import read_outline

        return read_outline(self._folder, self._head + self._environment)

    def keep_outline(self, session: "Session") -> None:
        """Remember the graph of *session*, which has all services.

        Where that cannot be written, nothing is lost but time.
        """
        from .outline import write_outline

        with suppress(StoreError):
            write_outline(session, self._folder, self._head + self._environment)

    def drop(self) -> None:
        """Forget what was up to date."""
        drop_memos(self._folder)

    def _look(self, memo: Memo, only: Collection[str]) -> set[str] | None:
        """The services of *memo* that have to be looked at; None when that is all of them.

        *memo* gets what git says now.  The current folder is the workspace's root.
        """
        where = (memo, self._folder, self._environment)
        if not memo.git:
            return stale_services(*where, only)
        from .git_again import Asking

        with Asking(memo.git, self._root, self._env) as git:
            stale = stale_services(*where, only, git.begin)
            said = None if stale is None else git.changed()
        if stale is None or said is None:
            return None
        if said:
            self._git_says_more = True
            if not read_meanings(*where):
                return None
            memo.git, memo.token = {**memo.git, **said}, ""
            stale |= {
                name
                for name, known in memo.services.items()
                if not said.keys().isdisjoint(known.git)
            }
        return few_of(memo, stale)

    def _tell_near(self, only: Collection[str], on_edit: Callable[[Edit], None]) -> None:
        edit = edit_near(self._root)
        if edit is not None and (not only or edit.name in only):
            on_edit(edit)

    def _edited(self, only: Collection[str]) -> Edit | None:
        """What was edited of the services *only*, () for all, if it is no more than Go sources of
        one of them."""
        stale, memo = self.stale(only), self._memo
        if memo is None or self._git_says_more or len(stale) != 1:
            return None
        return edit_of(memo, *stale)

    def _settle(self, memo: Memo) -> None:
        """Find out what git's answers in *memo* depend on, so that it need not be asked again."""
        if self._is_unsettled(memo):
            from .git_again import settle_tree

            settle_tree(memo, self._root, self._env)

    @staticmethod
    def _is_unsettled(memo: Memo) -> bool:
        return bool(memo.git) and memo.tree is None


def _is_at_work(lock: str) -> bool:
    """Whether a run holds *lock*: then what is on disk is about to change."""
    try:
        fd = os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # it may be a FIFO
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
