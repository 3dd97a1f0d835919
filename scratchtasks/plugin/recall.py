"""What has moved since the last runs: nothing, what some services depend on, or who knows what.

Light to import, for a run with nothing to do needs no more than this.
"""

import os
import time
from collections.abc import Callable, Collection, Mapping

from scratchtasks.core.errors import StoreError
from scratchtasks.store.scan import moved, read_large
from scratchtasks.store.signature import Content, Note, stat_note, value_at

from .memo import Memo, read_meanings, split
from .near import Edit

_MOST = 0.5
"""The share of services from which on it costs less to look at everything."""


def stale_services(
    memo: Memo,
    folder: str,
    environment: str,
    only: Collection[str] = (),
    ask_git: Callable[[], None] = lambda: None,
) -> set[str] | None:
    """The names of the services that have to be looked at; None when that is all of them.

    With *only*, no more is looked at than what those services depend on; one that is unknown
    means all.  *folder* and *environment* are where *memo* was read from.  The current folder is
    the workspace's root.  What moved and means the same (a file was touched) gets its new note in
    *memo*, whose token is "" then: it is to be written again.  *memo* gets the contents of large
    files that have moved.

    *ask_git* is called unless nothing has moved on which depends what git says.
    """
    if time.time_ns() <= memo.latest or time.time() >= memo.expires:
        return None  # the clock was set back, or something has expired
    if only and not (
        read_meanings(memo, folder, environment) and memo.services.keys() >= set(only)
    ):
        return None
    numbers = _moved(memo, only, ask_git)
    if not only:
        if not numbers and not memo.unknown:
            return set()
        if not read_meanings(memo, folder, environment):
            return None
    memo.contents = read_large(memo.paths[number] for number in numbers if _is_read(memo, number))
    stale = {name for name, known in memo.services.items() if not known.digest}
    rest = frozenset(memo.tree.rest if memo.tree and memo.looked else ())
    memo.changed = {n for n in numbers if n not in rest and not _means_the_same(memo, n)}
    if memo.looked:
        _take_looks(memo, rest, set(numbers) - memo.changed - rest)
    if not memo.changed.isdisjoint(memo.common):
        return None
    for name, known in memo.services.items():
        if not memo.changed.isdisjoint(known.watched):
            stale.add(name)
    return few_of(memo, stale)


def edit_of(memo: Memo, name: str) -> Edit | None:
    """What has changed for the service *name* of *memo*, if it is what Go files hold and nobody
    else's affair; None otherwise."""
    known, files = memo.services[name], dict[str, str]()
    if not known.digest or not memo.changed or not memo.changed.issubset(known.watched):
        return None
    for number in memo.changed:
        path, meanings = memo.paths[number], split(memo.meanings[number])
        if [kind for kind, _, _ in meanings] != ["file"] or not path.endswith(".go"):
            return None
        try:
            value, note = value_at("file", path)
        except StoreError:
            return None
        if not value or not note:  # gone, or written just now
            return None
        files[path] = value
    return Edit(name, known.folder, files)


def few_of(memo: Memo, stale: set[str]) -> set[str] | None:
    """*stale*, or None if that is so many that it costs less to look at everything."""
    return stale if len(stale) <= len(memo.services) * _MOST else None


def _moved(memo: Memo, only: Collection[str], ask_git: Callable[[], None]) -> list[int]:
    """The numbers of the paths that have moved, of those that the services *only*, () for all,
    and git's answer depend on."""
    wanted = set(memo.common).union(*(memo.services[name].watched for name in only))
    tree = memo.tree
    if tree is None or not tree.own:
        ask_git()  # beside the scan
        if not only:
            return moved(memo.paths, memo.notes)
        looked = sorted(wanted)
        found = moved([memo.paths[n] for n in looked], memo.notes.picked(looked))
        return [looked[number] for number in found]
    numbers = moved(memo.paths, memo.notes)
    clock = time.time_ns()
    # Where there was no note, nothing of git's depended on it.
    memo.looked = {n: stat_note(memo.paths[n], clock) for n in numbers if memo.notes[n] != ()}
    if memo.looked:
        ask_git()
    if not only:
        return numbers
    wanted.update(tree.rest)
    return [number for number in numbers if number in wanted]


def _take_looks(memo: Memo, rest: Collection[int], same: Collection[int]) -> None:
    """Have the tree of *memo* go on from the looks that were taken before git was asked; where
    they cannot tell what git reads now, it is to be looked for again.

    *rest* is that of the tree; *same* were found to mean the same later than that.
    """
    from .git_tree import attributes_in

    assert memo.tree is not None
    is_lost = not memo.looked.keys().isdisjoint(memo.tree.own)
    for number, note in memo.looked.items():
        if number in rest:
            _set_note(memo, number, note)
        is_lost |= number in same and memo.notes[number] != note
        is_lost |= note == () or os.path.lexists(attributes_in(memo.paths[number]))
    if is_lost:
        memo.tree, memo.token = None, ""


def _is_read(memo: Memo, number: int) -> bool:
    """Whether it counts what the file of path *number* holds."""
    return any(kind == "file" for kind, _, _ in split(memo.meanings[number]))


def _means_the_same(memo: Memo, number: int) -> bool:
    """Whether what path *number* stands for is as it was; then it gets a new note."""
    path, meanings = memo.paths[number], split(memo.meanings[number])
    notes = set[Note]()
    for meaning in meanings:
        try:
            same, note = _look(memo.contents, path, *meaning)
        except (StoreError, OSError):
            return False
        if not same:
            return False
        notes.add(note)
    if not meanings:
        return False
    notes.discard(_ANY)
    note = notes.pop() if len(notes) == 1 else ()
    if note != memo.notes[number]:
        _set_note(memo, number, note)
    return True


def _set_note(memo: Memo, number: int, note: Note) -> None:
    memo.notes[number] = note
    memo.token = ""
    memo.latest = max(memo.latest, *(note or ())[1:3], 0)


_ANY: Note = (-1,)
"""The note of a look that stat of the path says nothing about."""


def _look(
    contents: Mapping[str, Content], path: str, kind: str, pattern: str, value: str
) -> tuple[bool, Note]:
    if kind == "same":
        return os.path.samefile(f"{path}/{pattern}", value), _ANY
    if kind == "file" and path in contents:
        found = contents[path]
        return found.value == value, found.signature if found.settled else ()
    now, note = value_at(kind, path, pattern)
    return now == value, note
