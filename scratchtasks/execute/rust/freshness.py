"""What cargo must not take for fresh.

cargo compares mtimes: a source replaced by an older file, or edited within the clock's grain,
keeps its old object code, which would then be stored under the new sources' key.  So the local
packages' fingerprints are removed unless every file they were made of is, by inode, size, mtime
and ctime, the one that the last complete build here has seen.

A power loss may have eaten object code: so the folder is held to what was last in it, too.

Nor does cargo know which variables macros read, and build scripts that do not say: so too where
the variables are not those of that build.
"""

import glob
import itertools
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypedDict

from scratchtasks.store.atomic import write_atomic
from scratchtasks.store.proven import ProvenFolder

_RECORD = "local-files.json"
_LINKED = "linked-files.json"
_HASHED = re.compile(r"-[0-9a-f]{16}")

Signature = list[int]


class Seen(TypedDict):
    """What a local package was made of: the *variables*' digest, its *files* by path."""

    variables: str
    files: dict[str, Signature]


class TargetFolder:
    """A cargo target folder, *path*, and what is known of the local packages built in it.

    *variables* is a digest of those that local packages see.  Use it under `locked`.
    """

    def __init__(self, path: str, variables: str) -> None:
        self.path, self._variables = path, variables
        self._record = os.path.join(path, _RECORD)
        self._linked = os.path.join(path, _LINKED)
        self._proven = ProvenFolder(path)
        self._seen: dict[str, Seen] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder: cargo's own lock does not cover what is removed before it runs.

        It is whole, or empty.  Raises: StoreError.
        """
        import fcntl

        os.makedirs(self.path, exist_ok=True)
        with open(self.path + ".lock", "ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._proven.check()
            try:
                yield
            finally:
                self._proven.record()

    def clock(self) -> int:
        """Now, in ns, as this file system stamps files."""
        path = os.path.join(self.path, "clock")
        write_atomic(path, b"")
        return os.stat(path).st_ctime_ns

    def distrust_changed(self, names: Iterable[str]) -> frozenset[str]:
        """Remove the fingerprints of those packages of *names* that may have changed.

        What is known of all of *names* is forgotten until `remember`: this build may not end.
        Returns: the names of the packages that cargo has to compile anew.
        """
        try:
            with open(self._record, encoding="utf-8") as file:
                self._seen = json.load(file)
        except (OSError, ValueError):
            self._seen = {}
        changed = frozenset(name for name in names if not self._is_as_seen(name))
        for name in changed:
            self._seen.pop(name, None)
        kept = {name: self._seen[name] for name in self._seen if name not in set(names)}
        write_atomic(self._record, json.dumps(kept).encode())
        for folder in _fingerprints(self.path):
            for entry in os.listdir(folder):
                found = _HASHED.search(entry)
                if found and entry[: found.start()] in changed:
                    shutil.rmtree(os.path.join(folder, entry))
        return changed

    def remember(self, packages: Mapping[str, Iterable[str]], before: int) -> None:
        """Record the files (absolute) that *packages* were made of.

        A package with a file that changed at or after *before* stays unknown: what cargo has
        seen of it cannot be told.
        """
        self._seen = {name: seen for name, seen in self._seen.items() if _is_unchanged(seen)}
        for name, paths in packages.items():
            seen = {path: _signature(path) for path in paths}
            if all(not mark or mark[3] < before for mark in seen.values()):
                known = self._seen[name]["files"] if name in self._seen else {}
                self._seen[name] = Seen(variables=self._variables, files={**known, **seen})
            else:
                self._seen.pop(name, None)
        write_atomic(self._record, json.dumps(self._seen).encode())

    def _is_as_seen(self, name: str) -> bool:
        seen = self._seen.get(name)
        return (
            seen is not None
            and seen["variables"] == self._variables
            and bool(seen["files"])
            and _is_unchanged(seen)
        )

    def outputs(self) -> list[str]:
        """What all build scripts that ever ran here wrote for cargo."""
        places = (f"{glob.escape(self.path)}/{place}release/build/*/output" for place in ("", "*/"))
        texts = []
        for path in itertools.chain.from_iterable(map(glob.iglob, places)):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                texts.append(file.read())
        return texts

    def clear_if_moved(self, linked: Iterable[str]) -> None:
        """Throw all object code away unless the files *linked* are those that are in it."""
        try:
            with open(self._linked, encoding="utf-8") as file:
                seen = json.load(file)
        except (OSError, ValueError):
            seen = {}
        if any(seen.get(path) != _signature(path) for path in linked):
            self.clear()

    def remember_linked(self, linked: Iterable[str], before: int) -> None:
        """Record the files *linked*, there or not; see `remember`."""
        marks = {path: _signature(path) for path in linked}
        seen = {path: mark for path, mark in marks.items() if not mark or mark[3] < before}
        write_atomic(self._linked, json.dumps(seen).encode())

    def clear(self) -> None:
        """Throw all object code away."""
        self._proven.clear()
        self._seen = {}


def _fingerprints(path: str) -> Iterator[str]:
    """The fingerprint folders of release builds, for the host and for every target."""
    for place in ("", *os.listdir(path)):
        folder = os.path.join(path, place, "release", ".fingerprint")
        if os.path.isdir(folder):
            yield folder


def _is_unchanged(seen: Seen) -> bool:
    return all(_signature(path) == mark for path, mark in seen["files"].items())


def _signature(path: str) -> Signature:
    try:
        info = os.stat(path)
    except OSError:
        return []
    return [info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns]
