"""Whether git would say again what a Memo knows it has said: asked, or seen without asking."""

import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from scratchtasks.store.signature import stat_note

from .memo import Memo, Tree

if TYPE_CHECKING:
    from subprocess import Popen

_YOUNG = 2_000_000_000
"""ns. A stamp farther from now than that, which proves nothing yet, will not do so soon."""

_MANY = 10_000
"""Paths that nothing but git's answer depends on, from which on git, on another core beside the
scan, is the faster one to look at them."""


class Asking:
    """Git at work inside `with`, from `begin` on: what does it say now of what it *said*, by its
    arguments, in the folder *root*?"""

    def __init__(self, said: Mapping[str, str], root: str, env: Mapping[str, str]) -> None:
        self._said, self._root, self._env = said, root, env
        self._running = ExitStack()
        self._asked: dict[str, Popen[str]] = {}
        self._is_lost = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def begin(self) -> None:
        """Have git begin, unless it has."""
        from .templates import begin_git

        for args in self._said.keys() - self._asked:
            try:
                git = begin_git(args.split(" "), self._root, self._env)
            except OSError:
                self._is_lost = True
            else:
                self._asked[args] = self._running.enter_context(git)

    def changed(self) -> dict[str, str] | None:
        """What it says now of what it said otherwise, once it has answered, by its arguments; {}
        where it was not asked, None where it has no answer."""
        changed = {}
        for args, git in self._asked.items():
            answer = git.communicate()[0].strip()
            if git.returncode:
                return None
            if answer != self._said[args]:
                changed[args] = answer
        return None if self._is_lost else changed


def settle_tree(memo: Memo, root: str, env: Mapping[str, str]) -> None:
    """Find the tree of *memo*, which is complete, and add what it lacks to its paths.

    It stays None where something has just changed.
    """
    from .git_tree import TreePaths, tree_paths

    used = set(memo.common).union(*(known.watched for known in memo.services.values()))
    numbers = {path: number for number, path in enumerate(memo.paths)}
    found = tree_paths(root, env) or TreePaths()
    names = {path: path.removeprefix(f"{root}/") for path in sorted(found.own | found.rest)}
    if not names or sum(numbers.get(name) not in used for name in names.values()) > _MANY:
        memo.tree = Tree()
        return
    clock = time.time_ns()
    notes = {path: stat_note(path, clock) for path in names}
    unclear = [path for path, note in notes.items() if note == ()]
    # With a stamp from the future, git writes its index anew each time: that is young then.
    if not all(_is_young(path, clock) for path in unclear):
        memo.tree = Tree()
        return
    if unclear:
        return
    with Asking(memo.git, root, env) as asking:
        asking.begin()
        if asking.changed() != {}:
            return
    for path, note in notes.items():
        number = numbers.get(names[path])
        if number in used and memo.notes[number] != note:
            if memo.notes[number] != ():
                return
            # What it holds is read each time, and tells nothing about stat: under another name.
            names[path] = f"/.{path}"
    for path, name in names.items():
        number = numbers.setdefault(name, len(memo.paths))
        if number == len(memo.paths):
            memo.paths.append(name)
            memo.notes.append(notes[path])
            memo.meanings.append("")
        elif number not in used:
            memo.notes[number] = notes[path]
    memo.latest = max(memo.latest, *(max(note[1:3]) for note in notes.values() if note))
    rest = {numbers[name] for name in names.values()} - used
    memo.tree = Tree([numbers[names[path]] for path in found.own], sorted(rest))


def _is_young(path: str, clock: int) -> bool:
    try:
        info = os.stat(path)
    except OSError as error:
        return isinstance(error, FileNotFoundError | NotADirectoryError)  # gone by now
    return abs(max(info.st_mtime_ns, info.st_ctime_ns) - clock) < _YOUNG
