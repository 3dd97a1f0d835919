"""A folder that a compiler keeps to itself, held to what was in it when it was last left.

Compilers sync no more of what they write than we do, so a power loss may leave files of theirs
short, or full of zeros.  They take those for whole: a binary is made of them, or none any more.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from scratchtasks.core.errors import StoreError
from scratchtasks.core.parallel import map_all

from .actions import read_entry, write_entry
from .atomic import remove, storage_error
from .signature import boot_id, read_file, signature_of

_RECORD = "proven.json"

_File = tuple[list[int], str]
"""A signature, and the digest of a file that had it."""


class ProvenFolder:
    """The folder *path* (absolute).  It is looked through once after each boot of the machine, or
    where another one's files came here, and cleared unless it is whole.

    Whoever calls any of this is alone.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._record = os.path.join(path, _RECORD)

    def check(self) -> None:
        """Make sure that the folder is there, and holds what `record` saw or nothing at all.

        Raises: StoreError when it cannot be cleared, or written to.
        """
        boot, files = self._read()
        if boot and boot == boot_id():
            return
        found = self._look({})
        if {name: digest for name, (_, digest) in files.items()} != {
            name: digest for name, (_, digest) in found.items()
        }:
            self.clear()
            found = {}
        self._write(found)

    def record(self) -> None:
        """Write down what is in the folder now; what has been written since the last time is read.

        Raises: StoreError when the disk is full.
        """
        files = self._read()[1]
        found = self._look(files)
        if found != files:
            self._write(found)

    def clear(self) -> None:
        """Throw everything away.  Raises: StoreError."""
        try:
            os.makedirs(self._path, exist_ok=True)
            with os.scandir(self._path) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        shutil.rmtree(entry.path)
                    else:
                        remove(entry.path)
        except OSError as error:
            raise storage_error(self._path, error) from error

    def _look(self, known: dict[str, _File]) -> dict[str, _File]:
        found: dict[str, _File] = {}
        new: dict[str, list[int]] = {}
        start = len(self._path) + 1
        for path, signature in _files(self._path):
            name = path[start:]
            if name in known and known[name][0] == signature:
                found[name] = known[name]
            elif name != _RECORD:
                new[name] = signature
        digests = map_all(lambda name: _digest(os.path.join(self._path, name)), list(new))
        return found | dict(zip(new, zip(new.values(), digests, strict=True), strict=True))

    def _read(self) -> tuple[str, dict[str, _File]]:
        try:
            value: Any = read_entry(self._record, _RECORD)
            return value["boot"], {name: (list(s), d) for name, (s, d) in value["files"].items()}
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return "", {}

    def _write(self, files: dict[str, _File]) -> None:
        listed = {name: [signature, digest] for name, (signature, digest) in files.items()}
        write_entry(self._record, _RECORD, {"boot": boot_id(), "files": listed})


def _files(folder: str) -> Iterator[tuple[str, list[int]]]:
    """What is below *folder*; left out is what goes meanwhile, or nobody can read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(entry.path)
                else:
                    with suppress(OSError):
                        info = entry.stat(follow_symlinks=False)
                        yield entry.path, list(signature_of(info))
    except OSError:
        return


def _digest(path: str) -> str:
    try:
        found = None if os.path.islink(path) else read_file(path)
        return found.value if found else os.readlink(path)
    except (OSError, StoreError):
        return ""
