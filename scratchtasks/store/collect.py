"""What `doit cache` does: how large the store is, and shrinking it to a limit.

Results go in the order of their last use, each with the blobs that only it names.  The caller
holds the workspace lock and tells which blobs current images are made of.
"""

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from typing import NamedTuple

from scratchtasks.core.action import result_from_json
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import StoreError

from .actions import TOUCH, read_entry
from .atomic import TEMP_PREFIX, read_error, remove, remove_tree, storage_error, temp_beside

_YOUNG = 3600
"""Seconds. A blob that no entry names may be one whose entry is about to be written."""

_STALE = 86_400
"""Seconds after which an unfinished file is one that a dead process left."""

_UNUSED = 7 * 86_400
"""Seconds without a build in it after which a target folder of cargo's goes."""


class Usage(NamedTuple):
    """*blobs_bytes* of *files* blobs, and the number of results that name them."""

    blobs_bytes: int
    actions: int
    files: int


class Collected(NamedTuple):
    """Bytes freed in the store (in results, sets, blobs and trees), and how many blobs went.

    Where `dist/` has a hard link to a blob, the disk gets the bytes when that goes, too.
    """

    freed: int
    blobs: int


class _File(NamedTuple):
    used: float
    path: str
    size: int


def measure(scratch: str) -> Usage:
    """How much is in the store under *scratch* (absolute).

    A blob counts once, however many hard links it has.  Raises: StoreError when unreadable.
    """
    blobs = [file.size for file in _files(f"{scratch}/blobs/sha256")]
    return Usage(sum(blobs), sum(1 for _ in _files(f"{scratch}/actions/results")), len(blobs))


def collect(scratch: str, limit: int, keep: Set[Digest]) -> Collected:
    """Remove the least recently used from *scratch* until results and blobs fit *limit* bytes.

    First go blobs that no result names, then results and the blobs that only they named.
    Blobs in *keep* never go, nor do results that name no others; blobs that no result named
    before go only when older than an hour.
    Within the limit nothing goes but what nobody can use: files and uploads that a dead process
    left unfinished a day ago, input sets without a result, trees that were unpacked from what
    is not in *keep*, and target folders of cargo that no build has used for a week: another
    compiler has another one.

    Raises: StoreError when the store cannot be read or written.
    """
    try:
        now = time.time()
        faults = _remove_stale(scratch)
        trees = _remove_trees(f"{scratch}/blobs/trees", keep)
        targets = _remove_targets(f"{scratch}/cargo", now)
        done = _Collection(scratch, keep).shrink(limit, now)
        _raise_first(faults)
        return Collected(done.freed + trees + targets, done.blobs)
    except OSError as error:
        raise storage_error(scratch, error) from error


class _Collection:
    def __init__(self, scratch: str, keep: Set[Digest]) -> None:
        self._keep = keep
        self._blobs = {
            Digest("sha256:" + os.path.basename(file.path)): file
            for file in _files(f"{scratch}/blobs/sha256")
        }
        self._results = sorted(_files(f"{scratch}/actions/results"))
        self._sets = tuple(_files(f"{scratch}/actions/inputs"))
        self._names = [_named(file.path) for file in self._results]
        self._uses = Counter(digest for names in self._names for digest in names)
        self._bytes = sum(file.size for file in (*self._results, *self._sets))
        self._bytes += sum(file.size for file in self._blobs.values())
        self._freed = 0
        self._removed = 0

    def shrink(self, limit: int, now: float) -> Collected:
        # Blobs used first, oldest first: their order in time is the only one there is.
        for digest, blob in sorted(self._blobs.items(), key=lambda item: item[1]):
            if self._bytes - self._freed <= limit:
                break
            if now - blob.used > _YOUNG:
                self._remove_unnamed(digest)
        oldest = now
        for file, names in zip(self._results, self._names, strict=True):
            # A result that names only what stays anyhow would free nothing and cost its making.
            if self._bytes - self._freed <= limit or (names and names <= self._keep):
                oldest = min(oldest, file.used)
                continue
            # The result before its blobs: what is interrupted here leaves no result without.
            self._remove(file)
            self._uses.subtract(names)
            for digest in names:
                self._remove_unnamed(digest)
        # What a description was seen to read is used whenever a result for it is, give or take
        # the hour that notes of use are apart: these have no result left.
        for file in self._sets:
            if file.used < oldest - TOUCH:
                self._remove(file)
        return Collected(self._freed, self._removed)

    def _remove_unnamed(self, digest: Digest) -> None:
        if digest in self._blobs and digest not in self._keep and self._uses[digest] <= 0:
            self._remove(self._blobs.pop(digest))
            self._removed += 1

    def _remove(self, file: _File) -> None:
        remove(file.path)
        self._freed += file.size


def _remove_trees(folder: str, keep: Set[Digest]) -> int:
    """Remove the trees in *folder* that are not of *keep*; returns their bytes."""
    freed = 0
    for entry in _scan(folder):
        if entry.name.startswith(TEMP_PREFIX):
            continue  # somebody is at work, or the next one who is takes it away
        if entry.is_dir() and f"sha256:{entry.name}" not in keep:
            freed += _remove_whole(entry.path)
    return freed


def _remove_targets(folder: str, now: float) -> int:
    """Remove the target folders of cargo in *folder* that nobody uses; returns their bytes."""
    freed = 0
    for entry in _scan(folder):
        # Each build makes a file in it.
        if entry.is_dir() and now - entry.stat().st_mtime > _UNUSED:
            freed += _remove_whole(entry.path)
            remove(f"{entry.path}.lock")
    return freed


def _remove_whole(path: str) -> int:
    """Remove the folder *path* so that nobody ever finds half of it; returns its bytes."""
    size = size_of(path)
    gone = temp_beside(path)
    os.rename(path, gone)
    remove_tree(gone)
    return size


def size_of(folder: str) -> int:
    """Bytes in all files below *folder*, however deep; 0 without one."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:
                continue  # a compiler at work
    return total


def _named(path: str) -> frozenset[Digest]:
    try:
        result = result_from_json(read_entry(path, os.path.basename(path)))
    except FileNotFoundError:
        return frozenset()
    except (KeyError, TypeError, ValueError, AttributeError, StoreError):
        return frozenset()  # damaged: names nothing, and goes when its time comes
    return frozenset(blob.digest for blob in result.outputs.values())


def _files(folder: str) -> Iterator[_File]:
    """The finished files two levels below *folder*, where names are spread by their start."""
    for group in _scan(folder):
        if group.is_dir(follow_symlinks=False):
            for entry in _scan(group.path):
                if not entry.name.startswith(TEMP_PREFIX):
                    try:
                        info = entry.stat(follow_symlinks=False)
                    except FileNotFoundError:
                        continue
                    yield _File(info.st_mtime, entry.path, info.st_size)


def _scan(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise read_error(folder, error) from error


def remove_leftovers(scratch: str) -> None:
    """Remove what killed runs were at work on in *scratch* a day ago or more: temporary folders,
    and unfinished blobs and trees.  The caller holds the workspace lock.

    Raises: StoreError, once all has gone that can: another user's files cannot.
    """
    _raise_first(_leftovers(scratch))


def _leftovers(scratch: str) -> list[StoreError]:
    faults = _remove_old(scratch, "", "blobs/tmp", "blobs/trees")
    return faults + _remove_old(scratch, "tmp", start="")


def _remove_stale(scratch: str) -> list[StoreError]:
    faults = _leftovers(scratch) + _remove_old(scratch, "cargo")
    for kind in ("actions/results", "actions/inputs"):
        groups = (f"{kind}/{group.name}" for group in _scan(f"{scratch}/{kind}"))
        faults += _remove_old(scratch, *groups)
    # Where those of killed runs would have gone on.
    return faults + _remove_old(scratch, "uploads", start="")


def _remove_old(scratch: str, *folders: str, start: str = TEMP_PREFIX) -> list[StoreError]:
    """Remove what is old and has a name with that *start* in *folders* of *scratch*; returns what
    was in the way, which keeps nothing else back."""
    faults: list[StoreError] = []
    now = time.time()
    for folder in folders:
        try:
            entries = _scan(os.path.join(scratch, folder))
        except StoreError as error:
            faults.append(error)
            continue
        for entry in entries:
            try:
                if entry.name.startswith(start):
                    age = now - entry.stat(follow_symlinks=False).st_mtime
                    if age > _STALE:
                        remove_tree(entry.path)
            except FileNotFoundError:
                continue
            except OSError as error:
                faults.append(storage_error(entry.path, error))
    return faults


def _raise_first(faults: Sequence[StoreError]) -> None:
    if faults:
        raise faults[0]
