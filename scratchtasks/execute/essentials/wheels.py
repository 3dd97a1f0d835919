"""What the wheels of certifi and tzdata hold."""

from ..pins import read_folder, read_member

MAX_ROOTS = 8 << 20
MAX_ZONES = 16 << 20
"""Bytes; some ten times what is there today, far below what would hurt."""


def roots_in(wheel: str) -> bytes:
    """Mozilla's roots as PEM, of certifi's *wheel* (a path).  Raises: StageError."""
    return read_member(wheel, "certifi/cacert.pem", MAX_ROOTS)


def zones_in(wheel: str) -> dict[str, bytes]:
    """The files below zoneinfo/ of tzdata's *wheel* (a path).  Raises: StageError."""
    return read_folder(wheel, "tzdata/zoneinfo", MAX_ZONES)
