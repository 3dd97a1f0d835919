"""The action cache: what was made from which inputs, and which inputs were seen to be read."""

import hashlib
import json
import os
import time
from collections.abc import Iterable
from threading import Lock
from typing import Any

from scratchtasks.core.action import ActionResult, Input, result_from_json
from scratchtasks.core.digest import ActionKey, canonical_json
from scratchtasks.core.errors import StoreError

from .atomic import discard, read_error, write_atomic
from .blobs import ContentStore

_SETS = 16
TOUCH = 3600
"""Seconds between two notes of an entry's use; `collect` removes the least recently used."""


class ActionCache:
    """Results by ActionKey, in *folder* (absolute); an entry counts only with all its blobs."""

    def __init__(self, folder: str, store: ContentStore) -> None:
        self._folder = folder
        self._store = store
        self._reasons: dict[ActionKey, str] = {}
        self._lock = Lock()

    def get(self, key: ActionKey) -> ActionResult | None:
        """The result stored for *key*, if every blob it names is whole; see `why_missed`.

        Raises: StoreError when an entry or blob is there but cannot be read.
        """
        path = self._path("results", key)
        value, reason = _read_entry(path, key)
        result = None
        if not reason:
            try:
                result = result_from_json(value)
            except (KeyError, TypeError, ValueError, AttributeError, StoreError):
                discard(path)
                reason = "its entry is damaged: it is no action result"
        if result is not None:
            reason = next(filter(None, map(self._store.fault, result.outputs.values())), "")
        if result is None or reason:
            self._reasons[key] = reason
            return None
        self._reasons.pop(key, None)
        _touch(path)
        return result

    def why_missed(self, key: ActionKey) -> str:
        """Why the last `get` of *key* found nothing, in plain words; "" if it did."""
        return self._reasons.get(key, "")

    def put(self, key: ActionKey, result: ActionResult) -> None:
        """Store *result* for *key*; its blobs must be in the store by then.

        Raises: StoreError when the disk is full.
        """
        write_entry(self._path("results", key), key, result.to_json())
        self._reasons.pop(key, None)

    def input_sets(self, base: ActionKey) -> tuple[tuple[Input, ...], ...]:
        """The sets of inputs that the description *base* was seen to read, newest first, ≤ 16.

        Raises: StoreError when they are there but cannot be read.
        """
        path = self._path("inputs", base)
        value, reason = _read_entry(path, base)
        if reason:
            return ()
        try:
            sets = tuple(tuple(Input(*item) for item in items) for items in value)
        except TypeError:
            discard(path)
            return ()
        _touch(path)
        return sets

    def add_input_set(self, base: ActionKey, inputs: Iterable[Input]) -> None:
        """Remember that *base* was seen to read *inputs* (in any order), as the newest set.

        Raises: StoreError when the disk is full.
        """
        new = tuple(sorted(set(inputs)))
        with self._lock:
            known = self.input_sets(base)
            if known[:1] == (new,):
                return
            sets = (new, *(old for old in known if old != new))[:_SETS]
            write_entry(
                self._path("inputs", base), base, [[list(item) for item in s] for s in sets]
            )

    def _path(self, kind: str, key: ActionKey) -> str:
        return f"{self._folder}/{kind}/{key[:2]}/{key}"


def write_entry(path: str, key: str, value: Any) -> None:
    """Write *value* (JSON) at *path*, with a checksum over *key* and it.  Raises: StoreError."""
    payload = canonical_json(value)
    write_atomic(path, _checksum(key, payload) + b"\n" + payload)


def read_entry(path: str, key: str) -> Any:
    """What write_entry wrote.  Raises: OSError; ValueError when damaged or of another key."""
    with open(path, "rb") as file:
        checksum, _, payload = file.read().partition(b"\n")
    if checksum != _checksum(key, payload):
        raise ValueError("checksum differs")
    # Names of files that are not UTF-8 come back as they went in (canonical_json).
    return json.loads(payload.decode("utf-8", "surrogateescape"))


def _read_entry(path: str, key: ActionKey) -> tuple[Any, str]:
    try:
        return read_entry(path, key), ""
    except (FileNotFoundError, NotADirectoryError):
        return None, "nothing is stored for it"
    except ValueError as error:
        discard(path)
        return None, f"its entry is damaged: {error}"
    except OSError as error:
        raise read_error(path, error) from error


def _checksum(key: str, payload: bytes) -> bytes:
    # With the key in it, an entry that ended up under another name is noticed, too.
    name = key.encode("utf-8", "surrogateescape")
    return hashlib.sha256(b"action 1\n%s\n%s" % (name, payload)).hexdigest().encode()


def _touch(path: str) -> None:
    try:
        if abs(time.time() - os.stat(path).st_mtime) > TOUCH:
            os.utime(path)
    except OSError:
        pass  # gone meanwhile, or a read-only cache: then nobody collects it either
