"""How the stat cache is kept between runs: one checksummed file, ignored when damaged."""

import hashlib
import marshal
import sys
from dataclasses import dataclass, field

from .atomic import write_atomic
from .probes import SavedProbe
from .signature import Signature
from .trees import SavedTree

Entry = tuple[Signature, str, int, bool]
"""Signature (empty: not to be trusted), value, day last used, and whether it is of a file whose
bytes a power loss may have eaten."""

_MAGIC = f"scratchtasks-files 2 {sys.implementation.cache_tag}".encode()


@dataclass(slots=True)
class Saved:
    """What the file holds.  *swept* is the day (since the epoch) of the last clearing out."""

    boot: str = ""
    swept: int = 0
    entries: dict[str, Entry] = field(default_factory=dict)
    probes: dict[str, SavedProbe] = field(default_factory=dict)
    trees: dict[str, SavedTree] = field(default_factory=dict)


def read_saved(path: str) -> Saved:
    """What was saved at *path*; empty when it is missing, damaged or of another Python."""
    try:
        with open(path, "rb") as file:
            header, payload = file.readline(200), file.read()
    except OSError:
        return Saved()
    # marshal reads 100,000 entries in 40 ms, a fifth of json; it may crash on garbage, hence
    # nothing is given to it whose checksum does not hold.
    if header != _header(payload):
        return Saved()
    return Saved(*marshal.loads(payload))  # noqa: S302


def write_saved(path: str, saved: Saved) -> None:
    """Replace *path* by *saved*.  Raises: StoreError when the disk is full."""
    payload = marshal.dumps((saved.boot, saved.swept, saved.entries, saved.probes, saved.trees))
    write_atomic(path, _header(payload) + payload)


def _header(payload: bytes) -> bytes:
    return b"%s %s\n" % (_MAGIC, hashlib.sha256(payload).hexdigest().encode())
