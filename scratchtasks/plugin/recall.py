"""What has moved since the last runs: nothing, what some services depend on, or who knows what.

Light to import, for a run with nothing to do needs no more than this.
"""

import os
import time
from collections.abc import Collection, Mapping

from scratchtasks.core.errors import StoreError
from scratchtasks.store.scan import moved, read_large
from scratchtasks.store.signature import Content, Note, value_at

from .memo import Memo, read_meanings, split

_MOST = 0.5
"""The share of services from which on it costs less to look at everything."""


def stale_services(
    memo: Memo, folder: str, environment: str, only: Collection[str] = ()
) -> set[str] | None:
    """The names of the services that have to be looked at; None when that is all of them.

    With *only*, no more is looked at than what those services depend on; one that is unknown
    means all.  *folder* and *environment* are where *memo* was read from.  The current folder is
    the workspace's root.  What moved and means the same (a file was touched) gets its new note in
    *memo*, whose token is "" then: it is to be written again.  *memo* gets the contents of large
    files that have moved.
    """
    if time.time_ns() <= memo.latest or time.time() >= memo.expires:
        return None  # the clock was set back, or something has expired
    if only:
        if not read_meanings(memo, folder, environment) or not memo.services.keys() >= set(only):
            return None
        looked = sorted(set(memo.common).union(*(memo.services[n].watched for n in only)))
        paths = [memo.paths[number] for number in looked]
        numbers = [looked[number] for number in moved(paths, memo.notes.picked(looked))]
    else:
        numbers = moved(memo.paths, memo.notes)
        if not numbers and not memo.unknown:
            return set()
        if not read_meanings(memo, folder, environment):
            return None
    memo.contents = read_large(memo.paths[number] for number in numbers if _is_read(memo, number))
    stale = {name for name, known in memo.services.items() if not known.digest}
    memo.changed = {number for number in numbers if not _means_the_same(memo, number)}
    if not memo.changed.isdisjoint(memo.common):
        return None
    for name, known in memo.services.items():
        if not memo.changed.isdisjoint(known.watched):
            stale.add(name)
    return stale if len(stale) <= len(memo.services) * _MOST else None


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
        memo.notes[number] = note
        memo.token = ""
        memo.latest = max(memo.latest, *(note or ())[1:3], 0)
    return True


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
