"""Deterministic tar archives: equal entries give equal bytes, in whatever order they come.

Headers are packed by hand: the standard library's `tarfile` takes five times as long.
Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header".
"""

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import BinaryIO

from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.core.tree import FileEntry, check_path

OpenBlob = Callable[[Digest], BinaryIO]
"""Gives a new stream over a blob's bytes; the caller closes it.  Raises: StoreError."""

BLOCK = 512
READ_SIZE = 256 * 1024

# name mode uid gid size mtime checksum type link magic version (uname gname) major minor prefix
HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s64x8s8s155s12x")
TYPES: Mapping[str, bytes] = {"file": b"0", "hardlink": b"1", "symlink": b"2", "dir": b"5"}

_NAME_SIZE = 100
_PREFIX_SIZE = 155
_DEVICE = b"0000000\0"


def tar_chunks(
    entries: Iterable[FileEntry], open_blob: OpenBlob, mtime: int = 0
) -> Iterator[bytes]:
    """*entries* as one tar, in chunks of up to 512 KiB; the same set gives the same bytes.

    Sorted by path, a hard link after the file it shares and with that file's mode and owner
    (extractors apply a link's header to the shared file).  *mtime* is seconds since 1970, for
    every entry.  That content is what its digest says is for *open_blob* to make sure of.

    Raises: StageError (two entries for one path, a path that leaves the root, a hard link to
    nothing, a path below a non-folder); StoreError (a blob of another size than its entry).
    """
    if mtime < 0:
        raise ValueError(f"mtime: wanted seconds since 1970, got {mtime}")
    by_path: dict[str, FileEntry] = {}
    for entry in entries:
        if entry.path in by_path:
            raise StageError(f"/{entry.path}", "two entries for one path")
        by_path[entry.path] = entry
    for entry in sorted(by_path.values(), key=_order):
        _check(entry, by_path)
        rights = by_path[entry.link] if entry.kind == "hardlink" else entry
        yield _head(entry, rights, mtime)
        if entry.kind == "file":
            yield from _content(entry, open_blob)
    yield bytes(2 * BLOCK)


def padding(size: int) -> int:
    """Bytes between content of *size* bytes and the next block."""
    return -size % BLOCK


def checksum(header: bytes) -> int:
    """The sum of *header*'s bytes, its own checksum field counted as spaces."""
    return sum(header[:148]) + 8 * 0x20 + sum(header[156:])


def _order(entry: FileEntry) -> tuple[str, bool, str]:
    if entry.kind == "hardlink":
        return max(entry.path, entry.link), True, entry.path
    return entry.path, False, ""


def _check(entry: FileEntry, by_path: Mapping[str, FileEntry]) -> None:
    where = f"/{entry.path}"
    if check_path(where, where) != entry.path:
        raise StageError(where, "wanted a path without a slash at its start or end")
    above = by_path.get(entry.path.rpartition("/")[0])
    if above is not None and above.kind != "dir":
        raise StageError(where, f"lies below /{above.path}, which is a {above.kind}")
    if entry.kind == "file" and entry.digest is None:
        raise StageError(where, "a file without content")
    if entry.kind == "hardlink":
        shared = by_path.get(entry.link)
        if shared is None or shared.kind != "file":
            raise StageError(
                where, f"a hard link to /{entry.link}, which is not a file of this layer"
            )
    if entry.kind == "symlink" and (not entry.link or "\0" in entry.link):
        raise StageError(where, f"wanted a symbolic link's target, got {entry.link!r}")
    if not 0 <= entry.mode <= 0o7777:
        raise StageError(where, f"wanted a mode up to 07777, got {entry.mode:#o}")
    if min(entry.uid, entry.gid, entry.size) < 0:
        raise StageError(
            where,
            "wanted numbers from 0 up for owner and size, "
            f"got {entry.uid}:{entry.gid}, {entry.size} bytes",
        )


def _head(entry: FileEntry, rights: FileEntry, mtime: int) -> bytes:
    """All header blocks of *entry*: its ustar header, after a pax header where it needs one."""
    path = _encoded(entry.path, entry.path)
    link = _encoded(entry.link, entry.path) if entry.kind in ("hardlink", "symlink") else b""
    if entry.kind == "dir":
        path += b"/"
    # A symbolic link's own mode means nothing; 0777 is what every Linux shows for it.
    mode = 0o777 if entry.kind == "symlink" else rights.mode
    size = entry.size if entry.kind == "file" else 0
    extra: dict[bytes, bytes] = {}
    prefix, name = _split_path(path, extra)
    header = _pack(
        name,
        prefix,
        mode,
        _octal(b"uid", rights.uid, 8, extra),
        _octal(b"gid", rights.gid, 8, extra),
        _octal(b"size", size, 12, extra),
        _octal(b"mtime", mtime, 12, extra),
        TYPES[entry.kind],
        _fitted(b"linkpath", link, extra),
    )
    return _pax(extra, mtime) + header if extra else header


def _pack(
    name: bytes,
    prefix: bytes,
    mode: int,
    uid: bytes,
    gid: bytes,
    size: bytes,
    mtime: bytes,
    kind: bytes,
    link: bytes,
) -> bytes:
    header = HEADER.pack(
        name, b"%07o\0" % mode, uid, gid, size, mtime, b" " * 8, kind, link,
        b"ustar\0", b"00", _DEVICE, _DEVICE, prefix,
    )  # fmt: skip
    return b"%b%06o\0 %b" % (header[:148], sum(header), header[156:])


def _encoded(text: str, path: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise StageError(
            "/" + path.encode(errors="backslashreplace").decode(),
            f"wanted a name in UTF-8, got {text!r}",
            "rename it: container tools disagree on other encodings",
        ) from None


def _split_path(path: bytes, extra: dict[bytes, bytes]) -> tuple[bytes, bytes]:
    if path.isascii() and len(path) > _NAME_SIZE:
        cut = path.rfind(b"/", 1, min(_PREFIX_SIZE + 1, len(path) - 1))
        if cut > 0 and len(path) - cut - 1 <= _NAME_SIZE:
            return path[:cut], path[cut + 1 :]
    return b"", _fitted(b"path", path, extra)


def _fitted(key: bytes, value: bytes, extra: dict[bytes, bytes]) -> bytes:
    """*value* for a 100-byte field; what does not fit goes to *extra*, a stand-in stays."""
    if len(value) <= _NAME_SIZE and value.isascii():
        return value
    extra[key] = value
    return value.decode().encode("ascii", "replace")[:_NAME_SIZE]


def _octal(key: bytes, value: int, width: int, extra: dict[bytes, bytes]) -> bytes:
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    extra[key] = b"%d" % value
    return b"%0*o\0" % (width - 1, 0)


def _pax(extra: Mapping[bytes, bytes], mtime: int) -> bytes:
    body = b"".join(_record(key, extra[key]) for key in sorted(extra))
    zero: dict[bytes, bytes] = {}
    header = _pack(
        b"././@PaxHeader",
        b"",
        0o644,
        b"0000000\0",
        b"0000000\0",
        b"%011o\0" % len(body),
        _octal(b"mtime", mtime, 12, zero),
        b"x",
        b"",
    )
    return header + body + bytes(padding(len(body)))


def _record(key: bytes, value: bytes) -> bytes:
    """`LENGTH key=value\\n`, where LENGTH counts its own digits too."""
    rest = b" %b=%b\n" % (key, value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%b" % (length, rest)


def _content(entry: FileEntry, open_blob: OpenBlob) -> Iterator[bytes]:
    """The bytes of *entry*'s blob, padded to a block."""
    assert entry.digest is not None
    left = entry.size
    with open_blob(entry.digest) as blob:
        while left and (chunk := blob.read(min(READ_SIZE, left))):
            yield chunk
            left -= len(chunk)
        is_longer = bool(blob.read(1))
    if left or is_longer:
        has = f"more than {entry.size}" if is_longer else str(entry.size - left)
        what = f"wanted {entry.size} bytes for /{entry.path}, got {has}"
        raise StoreError(f"blob {entry.digest}", what)
    if tail := padding(entry.size):
        yield bytes(tail)
