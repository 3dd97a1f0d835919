"""Reading tars that others wrote: every dialect that layers come in, nothing taken on trust.

Unlike `tarcheck.py`, which accepts our own form alone.  Nothing is ever extracted to a path of
the archive: paths are only compared.
Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from .tar import BLOCK, HEADER, checksum, padding

MAX_ENTRIES = 1_000_000
_MAX_TEXT = 1 << 20
"""Bytes of a long name or pax header; they are read into memory."""

_MAX_PATH = 4096
"""Characters of a path or of what a link leads to: PATH_MAX, which no file system goes beyond."""

_OCTAL = re.compile(rb"[ \0]*([0-7]*)[ \0]*")
_KINDS = {
    b"0": "file", b"\0": "file", b"7": "file", b"1": "hardlink", b"2": "symlink", b"5": "dir",
    b"3": "device", b"4": "device", b"6": "device",
}  # fmt: skip


class Malformed(Exception):
    """The tar cannot be read any further."""


class Member(NamedTuple):
    """An entry: *path* and a hard link's *link* are relative to the root, plain, "" for the root.

    *kind* is file, dir, symlink, hardlink or device.  A symlink's *link* is as written.
    """

    path: str
    kind: str
    mode: int
    size: int
    link: str


class Source(Protocol):
    """Where a tar is read from, such as `expand.Expanded`."""

    def read(self, size: int) -> bytes: ...
    def skip(self, size: int) -> bool: ...


class TarReader:
    """The members of a tar in order; the content of the last one may be read before the next."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Every entry.  Raises: Malformed for damage, for paths that lead out of the root, for
        more than MAX_ENTRIES; what *source* raises."""
        count = 0
        named: dict[str, str] = {}
        world: dict[str, str] = {}
        while (header := self._header()) is not None:
            name, mode, _, _, size_field, _, _, flag, link, magic, _, _, _, prefix = header
            size = _number(size_field)
            if flag in (b"x", b"g", b"L", b"K"):
                text = self._text(size)
                if flag == b"x":
                    named |= _pax(text)
                elif flag == b"g":
                    world |= _pax(text)
                else:
                    named["path" if flag == b"L" else "linkpath"] = _decoded(text.rstrip(b"\0"))
                continue
            kind = _KINDS.get(flag)
            given = {**world, **named}
            named = {}
            if kind is None or any(key.startswith("GNU.sparse.") for key in given):
                raise Malformed(f"holds an entry of type {_shown(flag)}, which layers do not have")
            path = given.get("path") or _joined(name, prefix, magic)
            if kind == "file" and path.endswith("/"):
                kind = "dir"  # as tars older than POSIX say it
            if "size" in given:
                size = _decimal(given["size"])
            self._left = size if kind == "file" else 0
            self._padding = padding(self._left)
            count += 1
            if count > MAX_ENTRIES:
                raise Malformed(f"holds more than {MAX_ENTRIES} entries")
            target = given.get("linkpath") or _decoded(link.split(b"\0", 1)[0])
            if len(path) > _MAX_PATH or len(target) > _MAX_PATH:
                raise Malformed(f"holds a path of more than {_MAX_PATH} characters")
            if kind == "hardlink":
                target = _plain(target)
            yield Member(_plain(path), kind, _number(mode) & 0o7777, self._left, target)
            if not self._source.skip(self._left + self._padding):
                raise Malformed("ends in the middle of a file")

    def read(self, size: int) -> bytes:
        """Up to *size* bytes of the present member's content, b"" at its end.

        Raises: Malformed when the tar ends before; what *source* raises.
        """
        data = self._source.read(min(size, self._left))
        if not data and self._left and size:
            raise Malformed("ends in the middle of a file")
        self._left -= len(data)
        return data

    def _header(self) -> tuple[bytes, ...] | None:
        block = self._source.read(BLOCK)
        if not any(block):
            return None  # two zero blocks, or a tar that just ends: both are found in the wild
        if len(block) < BLOCK:
            raise Malformed("ends in the middle of a header")
        fields: tuple[bytes, ...] = HEADER.unpack(block)
        # Old programs summed up signed bytes.
        signed = checksum(block) - 256 * sum(b > 127 for b in block[:148] + block[156:])
        if _number(fields[6]) not in (checksum(block), signed):
            raise Malformed("holds a header whose checksum is wrong")
        return fields

    def _text(self, size: int) -> bytes:
        if size > _MAX_TEXT:
            raise Malformed(f"holds a name of {size} bytes")
        whole = self._source.read(size + padding(size))
        if len(whole) < size:
            raise Malformed("ends in the middle of a long name")
        return whole[:size]


def _joined(name: bytes, prefix: bytes, magic: bytes) -> str:
    short = name.split(b"\0", 1)[0]
    above = prefix.split(b"\0", 1)[0]
    # GNU's own format keeps times where POSIX has the prefix.
    return _decoded(above + b"/" + short if above and magic == b"ustar\0" else short)


def _plain(path: str) -> str:
    # An absolute path counts from the root, as engines take it: ko writes such.
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in path:
        raise Malformed(f"holds the path {path[:200]!a}, which leads out of its root")
    return "/".join(parts)


def _pax(text: bytes) -> Mapping[str, str]:
    records: dict[str, str] = {}
    start = 0
    while start < len(text):  # never cut off: a header may have 200,000 records
        digits = text[start : start + 8].partition(b" ")[0]
        end = start + (int(digits) if digits.isdigit() and len(digits) < 8 else 0)
        key, equals, value = text[start + len(digits) + 1 : end].partition(b"=")
        if not equals or not value.endswith(b"\n") or end > len(text):
            raise Malformed("holds a pax record without length, key or end")
        if key in (b"path", b"linkpath", b"size") or key.startswith(b"GNU.sparse."):
            records[_decoded(key)] = _decoded(value[:-1])
        start = end
    return records


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # GNU's base 256
        if field[0] != 0x80:
            raise Malformed("holds a negative number")
        value = int.from_bytes(field[1:], "big")
    else:
        found = _OCTAL.match(field)
        assert found is not None
        if field[found.end() : found.end() + 1]:
            raise Malformed(f"holds {_shown(field)} where a number belongs")
        value = int(found[1] or b"0", 8)
    if value >= 1 << 62:
        raise Malformed("holds a number that is too large")
    return value


def _decimal(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Malformed(f"holds {text[:40]!a} where a number belongs")
    return int(text)


def _decoded(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _shown(field: bytes) -> str:
    return ascii(field.decode("latin-1"))
