"""One digest for thousands of files that seldom change, and the stats that prove that it holds."""

import hashlib
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from stat import S_ISDIR
from typing import NamedTuple

from .notes import Notes, notes_from
from .scan import moved
from .signature import Note, note_of, read_file, stat_of

SavedTree = tuple[str, bytes, str, int]
"""A Tree as the stat cache keeps it."""


class Tree(NamedTuple):
    """Absolute *paths* of files, and of the folders that decide which files those are (with `/` at
    the end), each with the Note of the look that gave *digest*; *latest* is their newest stamp, in
    ns."""

    paths: list[str]
    notes: Notes
    digest: str
    latest: int

    def is_current(self) -> bool:
        """Whether all of it stats as it did then."""
        # A stamp in the future means that a clock was set back: the same stamp may come again.
        return self.latest < time.time_ns() and not moved(self.paths, self.notes)

    def looks(
        self, folders: Collection[str], is_wanted: Callable[[str], bool]
    ) -> Iterator[tuple[str, Note]]:
        """Those of *folders* and of the files right in them with a name that *is_wanted*."""
        for path, note in zip(self.paths, self.notes, strict=True):
            folder, _, name = path.rpartition("/")
            if folder in folders and (not name or is_wanted(name)):
                yield path.rstrip("/"), note

    def saved(self) -> SavedTree:
        """This, for the stat cache to keep."""
        return "\0".join(self.paths), self.notes.tobytes(), self.digest, self.latest


class Trees:
    """The Trees that were read, in this run or an earlier one, by their root; *saved* as the stat
    cache has kept them.  May be used from several threads."""

    def __init__(self, saved: Mapping[str, SavedTree]) -> None:
        self._saved = dict(saved)
        self._known: dict[str, Tree] = {}
        self._asked: dict[tuple[str, str], Tree | None] = {}
        self.is_dirty = False
        """Whether there is something to save."""

    def digest(self, root: str, walk: Callable[[], Iterable[str]]) -> str:
        """That of all that *walk* finds below the absolute *root*, which is read again only where
        something has moved.

        *walk* gives the folders, too, that decide which files there are, with `/` at the end.
        What it finds may depend on nothing but *root*.  Raises: StoreError for what cannot be read.
        """
        known = self._tree(root)
        if known is None or not known.is_current():
            known = self._known[root] = read_tree(root, walk)
            self._saved[root] = known.saved()
            self.is_dirty = True
        return known.digest

    def is_new(self, root: str, question: str) -> bool:
        """Whether this *question* has not been asked of *root* as it was seen last."""
        known, before = self._tree(root), self._asked.get((root, question))
        self._asked[root, question] = known
        return known is None or known is not before

    def looks(
        self, root: str, folders: Collection[str], is_wanted: Callable[[str], bool]
    ) -> Iterator[tuple[str, Note]]:
        """What was seen last of the absolute *folders* below *root*, and of the files right in
        them with a name that *is_wanted*."""
        known = self._tree(root)
        return known.looks(folders, is_wanted) if known else iter(())

    def saved(self) -> dict[str, SavedTree]:
        """What to keep: those whose root is still there."""
        return {root: tree for root, tree in self._saved.items() if os.path.isdir(root)}

    def _tree(self, root: str) -> Tree | None:
        saved = self._saved.get(root)
        if root not in self._known and saved is not None:
            self._known[root] = _restored(saved)
        return self._known.get(root)


def _restored(saved: SavedTree) -> Tree:
    paths, notes, digest, latest = saved
    return Tree(paths.split("\0"), notes_from(notes), digest, latest)


def read_tree(root: str, walk: Callable[[], Iterable[str]]) -> Tree:
    """The Tree of the paths below *root* that *walk* finds; one that is not there counts as well.

    Raises: StoreError for what cannot be read.
    """
    clock = time.time_ns()  # from before a folder is listed: what comes after that shows
    paths = sorted(walk())
    notes = Notes()
    found, latest = hashlib.sha256(), 0
    for path in paths:
        value, note = _look(path, clock)
        found.update(os.fsencode(f"{path.removeprefix(root)}\0{value}\0"))
        notes.append(note)
        latest = max(latest, *(note or ())[1:3], 0)
    return Tree(paths, notes, f"sha256:{found.hexdigest()}", latest)


def _look(path: str, clock: int) -> tuple[str, Note]:
    info = stat_of(path)
    if info is None:
        return "", None
    if S_ISDIR(info.st_mode):
        return "dir", note_of(info, clock)
    content = read_file(path)
    if content is None:
        return "", ()
    return content.value, content.signature if content.settled else ()
