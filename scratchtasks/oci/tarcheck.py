"""Whether a layer's tar is well-formed and harmless, header by header.

Strict on purpose: it accepts what `tar.py` may write and nothing else, so that no two
extractors can read the same layer in two ways.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from .tar import BLOCK, HEADER, TYPES, checksum, padding

MAX_ENTRIES = 1_000_000
_MAX_PAX = 1 << 20
_SKIP_SIZE = 1 << 18
_OCTAL = re.compile(rb"([0-7]+)[ \0]*")
_PAX_NUMBERS = (b"uid", b"gid", b"size", b"mtime")
_KINDS = {flag: kind for kind, flag in TYPES.items()}


class Seen(NamedTuple):
    """What a path was in the layers so far."""

    kind: str
    mode: int
    uid: int
    gid: int


class Malformed(Exception):
    """The tar cannot be read any further."""


def check_tar(read: Callable[[int], bytes], lower: dict[str, Seen]) -> Iterator[str]:
    """Yield each fault of the tar that *read* gives; stops at the first that hides the rest.

    *read* returns the asked number of bytes, fewer at the end.  *lower* holds the paths of the
    layers below and gains those of this one.
    """
    here: dict[str, Seen] = {}
    try:
        while True:
            entry = _next_entry(read, len(here))
            if entry is None:
                break
            path, link, found, size = entry
            yield from _path_faults(path, link, found, here, lower)
            here[path.rstrip("/")] = found
            _skip(read, size)
            if len(here) > MAX_ENTRIES:
                raise Malformed(f"more than {MAX_ENTRIES} entries")
        if read(BLOCK) != bytes(BLOCK):
            raise Malformed("one zero block at the end, wanted two")
        if read(1):
            raise Malformed("bytes after the end of the tar")
    except Malformed as error:
        yield f"tar: {error}"
    lower.update(here)


def _next_entry(read: Callable[[int], bytes], count: int) -> tuple[str, str, Seen, int] | None:
    pax: dict[bytes, bytes] = {}
    header = _block(read)
    if not any(header):
        return None
    fields = _fields(header, count)
    if fields[7] == b"x":
        pax = _read_pax(read, _number(fields[4], "size"))
        fields = _fields(_block(read), count)
    name, mode, uid, gid, size, _, _, flag, link, _, _, _, _, prefix = fields
    kind = _KINDS.get(flag)
    if kind is None:
        raise Malformed(f"entry {count + 1}: type {flag!r} is not one that a layer may hold")
    path = pax.get(b"path") or b"/".join(filter(None, (_text(prefix), _text(name))))
    numbers = {key: _pax_number(pax[key]) for key in _PAX_NUMBERS if key in pax}
    found = Seen(
        kind,
        _number(mode, "mode"),
        numbers.get(b"uid", _number(uid, "uid")),
        numbers.get(b"gid", _number(gid, "gid")),
    )
    length = numbers.get(b"size", _number(size, "size"))
    if length and kind != "file":
        raise Malformed(f"entry {count + 1}: a {kind} with {length} bytes of content")
    return _decoded(path), _decoded(pax.get(b"linkpath") or _text(link)), found, length


def _path_faults(
    path: str, link: str, found: Seen, here: Mapping[str, Seen], lower: Mapping[str, Seen]
) -> Iterator[str]:
    plain = path.removesuffix("/") if found.kind == "dir" else path
    if any(part in ("", ".", "..") for part in plain.split("/")) or "\0" in plain:
        yield f"tar: {path!r} leaves the root or is not plain"
        return
    if (found.kind == "dir") != path.endswith("/"):
        yield f"tar: {path!r}: only a folder ends with a slash"
    if plain in here:
        yield f"tar: {path!r} is there twice"
    parent = plain.rpartition("/")[0]
    if parent:
        above = here.get(parent)
        if above is None:
            yield f"tar: {path!r} comes before its folder"
        elif above.kind != "dir":
            yield f"tar: {path!r} lies below a {above.kind}"
    if found.kind == "hardlink":
        shared = here.get(link)
        if shared is None or shared.kind != "file":
            yield f"tar: {path!r} is a hard link to {link!r}, which is no file before it"
        elif shared[1:] != found[1:]:
            yield f"tar: {path!r} changes mode or owner of {link!r}, which it shares"
    elif found.kind == "symlink" and (not link or "\0" in link):
        yield f"tar: {path!r} is a symlink to {link!r}"
    below = lower.get(plain)
    if below is not None and below != found and "dir" in (below.kind, found.kind):
        yield f"tar: {path!r} is {_shown(found)}, a lower layer has {_shown(below)}"


def _shown(seen: Seen) -> str:
    return f"a {seen.kind} {seen.mode:04o} {seen.uid}:{seen.gid}"


def _block(read: Callable[[int], bytes]) -> bytes:
    block = read(BLOCK)
    if len(block) != BLOCK:
        raise Malformed("ends without two zero blocks")
    return block


def _fields(header: bytes, count: int) -> tuple[bytes, ...]:
    fields: tuple[bytes, ...] = HEADER.unpack(header)
    said = _number(fields[6], "checksum")
    if said != checksum(header):
        raise Malformed(
            f"entry {count + 1}: checksum: header says {said}, its bytes sum to {checksum(header)}"
        )
    if fields[9] != b"ustar\0" or fields[10] != b"00":
        raise Malformed(f"entry {count + 1}: wanted a ustar header, got {fields[9]!r}")
    return fields


def _read_pax(read: Callable[[int], bytes], size: int) -> dict[bytes, bytes]:
    if size > _MAX_PAX:
        raise Malformed(f"a pax header of {size} bytes")
    whole = read(size + padding(size))
    if len(whole) < size + padding(size):
        raise Malformed("ends inside a pax header")
    body = whole[:size]
    records: dict[bytes, bytes] = {}
    while body:
        digits = body.partition(b" ")[0]
        length = _pax_number(digits)
        key, equals, value = body[len(digits) + 1 : length].partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(body):
            raise Malformed("a pax record without key, value or end")
        if key not in (*_PAX_NUMBERS, b"path", b"linkpath") or key in records or value == b"\n":
            raise Malformed(f"pax record {key!r} is unknown, empty or there twice")
        records[key] = value[:-1]
        body = body[length:]
    return records


def _skip(read: Callable[[int], bytes], size: int) -> None:
    left = size + padding(size)
    while left:
        data = read(min(left, _SKIP_SIZE))
        if not data:
            raise Malformed(f"ends {left} bytes before the end of a file")
        left -= len(data)


def _number(field: bytes, name: str) -> int:
    match = _OCTAL.fullmatch(field)
    if match is None:
        raise Malformed(f"{name}: wanted octal digits, got {field!r}")
    return int(match[1], 8)


def _pax_number(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise Malformed(f"wanted a number in a pax record, got {text[:40]!r}")
    return int(text)


def _text(field: bytes) -> bytes:
    return field.rstrip(b"\0")


def _decoded(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        raise Malformed(f"wanted a name in UTF-8, got {name!r}") from None
