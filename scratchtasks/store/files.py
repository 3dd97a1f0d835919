"""What files hold, near the cost of asking when they changed: the stat cache.

A power loss can leave a file short, or full of zeros, although it was renamed into place.  An
fsync for each blob would rule that out at 5 to 33 ms a time.  Instead the kernel's boot id is
kept with the digests: those of files that we wrote ourselves hold for the boot they were
recorded in and are computed again after it.  Only where there is no boot id do we fsync.
"""

import os
import stat
import time
from collections.abc import Callable, Iterable, Mapping
from threading import Lock
from typing import TypeVar, cast

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Digest, digest_of

from .database import Entry, Saved, read_saved, write_saved
from .probes import KEPT_DAYS, REFRESH_DAYS, Probes
from .signature import (
    Content,
    Note,
    Signature,
    boot_id,
    is_settled,
    list_folder,
    note_of,
    read_file,
    read_head,
    signature_of,
    stat_of,
    value_at,
)
from .trees import Trees

_Made = TypeVar("_Made")

_DAY = 86_400 * 10**9
_RECENT = ".recent"
"""Ends the name of the file with what was learnt by runs that did not read all."""

_LARGE = 1 << 20
"""Bytes: some 8,000 files, which take 10 ms to read and as long to write."""

_CACHED = frozenset({"file", "head", "names"})


class FileStates:
    """Digests of files, and folder listings, that are computed only where stat moved.

    One per process; may be used from several threads.  What `observe` said holds until
    `forget_scan`: one run sees one state of the workspace.  Relative paths are below *root*;
    *database* is the file that keeps what was learnt.  With *few* it is not read where it is
    large, for to hash what a few services have costs less; what is learnt then is kept beside it.
    *env* is the user's environment.
    """

    def __init__(
        self, root: str, database: str, *, few: bool = False, env: Mapping[str, str] | None = None
    ) -> None:
        self._prefix = root.rstrip("/") + "/"
        self._env = env or {}
        self._database = database
        self._lock = Lock()
        self._day = time.time_ns() // _DAY
        self._ours: tuple[str, ...] = ()
        self._memo: dict[Input, str] = {}
        self._past: dict[Input, str] = {}
        self._notes: dict[tuple[str, str], Note] = {}
        self._made: dict[str, object] = {}
        self._young: dict[str, Signature] = {}
        self._boot = boot_id()
        self._few = few and _size(database) > _LARGE
        saved = Saved() if self._few else self._read(database)
        recent = self._read(database + _RECENT)
        self._entries = {**saved.entries, **recent.entries}
        self.probes = Probes({**saved.probes, **recent.probes}, self._day)
        self.trees = Trees(recent.trees)
        self._swept = max(saved.swept, recent.swept)
        self._is_dirty = False

    @property
    def must_sync(self) -> bool:
        """Whether files under `guard` need an fsync, for want of a boot id."""
        return not self._boot

    def guard(self, folder: str) -> None:
        """Say that we write the files below *folder*, and do so without fsync."""
        self._ours = (*self._ours, folder.rstrip("/") + "/")

    def observe(self, item: Input) -> str:
        """The value of *item*, as core.action.Input defines it; a folder's `file` is "dir".

        Raises: StoreError when it is there but cannot be read.
        """
        value = self._memo.get(item)
        return self.observe_all((item,))[item] if value is None else value

    def observe_all(self, items: Iterable[Input], *, fresh: bool = False) -> dict[Input, str]:
        """The value of each of *items*; see `observe`.

        *fresh* looks at the disk even for what this scan has seen before.
        """
        memo, entries, prefix, day = self._memo, self._entries, self._prefix, self._day
        clock = time.time_ns()
        values: dict[Input, str] = {}
        for item in items:
            value = None if fresh else memo.get(item)
            if value is None:
                kind, path, pattern = item
                if path[:1] != "/":
                    path = prefix + path
                key = path if kind == "file" else _key(kind, path, pattern)
                # The usual case is spelt out here: a call more would double its cost.
                entry = entries.get(key) if kind in _CACHED else None
                info = None
                if entry is not None:
                    try:
                        info = os.stat(path)
                    except (OSError, ValueError):
                        pass  # _look tells missing from unreadable
                if (
                    entry is not None
                    and info is not None
                    and (seen := entry[0]) == signature_of(info)
                    and seen[1] < clock > seen[2]
                    and 0 <= day - entry[2] < REFRESH_DAYS
                ):
                    value = entry[1]
                else:
                    value = self._look(kind, path, pattern)
                memo[item] = value
            values[item] = value
        return values

    def look(self, path: str) -> os.stat_result | None:
        """What stat says of the absolute *path*, symlinks followed; None when it is not there.

        For whatever decides something without being an input: it is noted, see `looks`.
        Raises: StoreError when that cannot be told.
        """
        clock = time.time_ns()
        info = stat_of(path)
        self._take_note("look", path, None if info is None else note_of(info, clock))
        return info

    def take_looks(self, looks: Iterable[tuple[str, Note]]) -> None:
        """Note what somebody else has seen of absolute paths, as `look` does."""
        for path, note in looks:
            self._take_note("look", path, note)

    def notes_of(self, paths: Iterable[str]) -> dict[str, Note]:
        """A Note of each of *paths* as it is now, for whoever looks at what is in them next."""
        clock = time.time_ns()
        found = {path: stat_of(self._absolute(path)) for path in paths}
        return {path: info and note_of(info, clock) for path, info in found.items()}

    @property
    def looks(self) -> dict[str, Note]:
        """The Note of each path that was asked about by `look`."""
        return {path: note for (kind, path), note in self._notes.items() if kind == "look"}

    @property
    def observed(self) -> dict[Input, str]:
        """Everything that was observed so far, with the latest value."""
        return {**self._past, **self._memo}

    def note(self, item: Input, value: str) -> Note:
        """The stat of *item*'s path that proves that its value still is *value*, if any does."""
        if not value and item.kind != "link":
            return None
        path = self._absolute(item.path)
        if item.kind not in _CACHED:
            return self._notes.get((item.kind, path), ())
        entry = self._entries.get(_key(item.kind, path, item.pattern))
        return entry[0] if entry is not None and entry[1] == value else ()

    def digest(self, path: str) -> Digest | None:
        """The digest of the file *path* (symlinks followed) as it is now; None without one.

        Raises: StoreError when it is there but cannot be read.
        """
        found = self.content(path)
        return found and found[0]

    def content(self, path: str) -> tuple[Digest, int] | None:
        """Like `digest`, together with the size in bytes."""
        path = self._absolute(path)
        info = stat_of(path)
        if info is None or not stat.S_ISREG(info.st_mode):
            self._drop(path)
            return None
        found = self._known(path, info)
        if found is None:
            found = self._learn(path, read_file(path))
        return None if found is None else (Digest(found[1]), found[0][0])

    def once(self, name: str, make: Callable[[], _Made]) -> _Made:
        """What *make* returned for *name* in this scan: it looks at files that many depend on.

        Threads that ask at the same time may each call it.
        """
        made = self._made.get(name)
        if made is None:
            made = self._made[name] = make()
        return cast(_Made, made)

    def forget_scan(self) -> None:
        """Look at the disk again from now on."""
        self._made = {}
        self._past.update(self._memo)
        self._memo = {}

    def adopt(self, path: str, digest: Digest) -> None:
        """Record that *path*, which we have just written, holds *digest*.

        A file as young as that is read again when this run asks for it, unless it is under
        `guard`: until the clock has ticked, a write by somebody else would not show.

        Raises: StoreError when *path* cannot be looked at.
        """
        path = self._absolute(path)
        clock = time.time_ns()
        info = stat_of(path)
        if info is None:
            return
        signature = signature_of(info)
        self._learn(path, Content(digest, signature, is_settled(signature, clock)), is_ours=True)
        self._young[path] = signature
        if not path.startswith(self._ours):
            self.forget_scan()

    def learn(self, contents: Mapping[str, Content]) -> None:
        """Know what was read already, by path; it counts while stat stays as it was then."""
        for path, content in contents.items():
            self._learn(self._absolute(path), content)

    def save(self) -> None:
        """Keep what was learnt for the next run, if there is anything new.

        Drops, once a day, what has not been used for 30 days or is of files that are gone.

        Raises: StoreError when the disk is full.
        """
        with self._lock:
            if not (self._is_dirty or self.probes.is_dirty or self.trees.is_dirty):
                return
            self._settle()
            recent = self._entries
            if not self._few:
                if self._swept != self._day:
                    self._sweep()
                saved = Saved(self._boot, self._swept, self._entries, self.probes.saved())
                write_saved(self._database, saved)
                # Compilers and their libraries lie outside, and every run looks at them.
                outside = (item for item in recent.items() if not item[0].startswith(self._prefix))
                recent = dict(outside)
            kept = self.probes.saved(), self.trees.saved()
            write_saved(self._database + _RECENT, Saved(self._boot, self._swept, recent, *kept))
            self._is_dirty = self.probes.is_dirty = self.trees.is_dirty = False

    def _read(self, path: str) -> Saved:
        saved = read_saved(path)
        if saved.boot != self._boot:
            saved.entries = {path: e for path, e in saved.entries.items() if not e[3]}
        return saved

    def _settle(self) -> None:
        """Trust the stamps of files that we wrote ourselves and that have come of age since."""
        clock = time.time_ns()
        young, self._young = self._young, {}
        for path, signature in young.items():
            entry = self._entries.get(path)
            info = stat_of(path)
            if entry is None or entry[0] or info is None or signature_of(info) != signature:
                continue
            if is_settled(signature, clock):
                self._entries[path] = (signature, *entry[1:])
            else:
                self._young[path] = signature  # what this run still asks for

    def _sweep(self) -> None:
        for key in [
            key
            for key, entry in self._entries.items()
            if abs(self._day - entry[2]) > KEPT_DAYS or not os.path.exists(key.split("\0")[0])
        ]:
            del self._entries[key]
        self.probes.sweep()
        self._swept = self._day

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else self._prefix + path

    def _look(self, kind: str, path: str, pattern: str) -> str:
        if kind == "env":
            # Not its text, which may be a secret.
            text = self._env.get(path.removeprefix(self._prefix))
            return "" if text is None else digest_of(text.encode("utf-8", "surrogateescape"))
        if kind not in _CACHED:
            value, note = value_at(kind, path)
            self._take_note(kind, path, note)
            return value
        info = stat_of(path)
        key = _key(kind, path, pattern)
        if info is None:
            self._drop(key)
            return ""
        if kind != "names" and not stat.S_ISREG(info.st_mode):
            return "dir" if stat.S_ISDIR(info.st_mode) else "other"
        found = self._known(key, info)
        if found is None:
            found = self._learn(key, self._look_inside(kind, path, pattern))
        return found[1] if found else ""

    def _look_inside(self, kind: str, path: str, pattern: str) -> Content | None:
        if kind == "names":
            return list_folder(path, pattern)
        if kind == "file":
            return read_file(path)
        found = read_head(path)
        if found is None:
            return None
        self._learn(path, found[0])  # whoever asks for a head asks for the whole next
        return found[1]

    def _known(self, key: str, info: os.stat_result) -> Entry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        signature = signature_of(info)
        if not entry[0] and self._young.get(key) == signature and key.startswith(self._ours):
            return (signature, *entry[1:])
        if entry[0] != signature:
            return None
        # A stamp in the future means that a clock was set back: the same stamp may come again.
        if max(entry[0][1], entry[0][2]) >= time.time_ns():
            return None
        if not 0 <= self._day - entry[2] < REFRESH_DAYS:
            entry = (entry[0], entry[1], self._day, entry[3])
            self._keep(key, entry)
        return entry

    def _learn(self, key: str, found: Content | None, *, is_ours: bool = False) -> Entry | None:
        if found is None:
            self._drop(key)
            return None
        old = self._entries.get(key)
        # With few, it may be ours by what was not read.
        is_ours = is_ours or self._few or key.startswith(self._ours) or bool(old and old[3])
        entry = (found.signature, found.value, self._day, is_ours)
        # Kept even if its signature cannot be trusted: that a file is ours must not be forgotten.
        self._keep(key, entry if found.settled else ((), *entry[1:]))
        return entry

    def _take_note(self, kind: str, path: str, note: Note) -> None:
        if self._notes.setdefault((kind, path), note) != note:
            self._notes[kind, path] = ()  # it changed while we were at work: trust neither

    def _keep(self, key: str, entry: Entry) -> None:
        with self._lock:
            self._entries[key] = entry
            self._is_dirty = True

    def _drop(self, key: str) -> None:
        with self._lock:
            if self._entries.pop(key, None) is not None:
                self._is_dirty = True


def _key(kind: str, path: str, pattern: str) -> str:
    """The name of the entry of what was found at the absolute *path*."""
    if kind == "file":
        return path
    return f"{path}\0{pattern}" if kind == "names" else f"{path}\0\0{kind}"


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
