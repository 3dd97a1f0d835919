"""The bytes in a compressed stream that nobody vouches for: gzip, zstd, xz or none, bounded.

Source: RFC 1952; RFC 8878; the .xz file format 1.1.0; OCI image-spec v1.1, layer.md.
"""

import sys
import zlib
from collections.abc import Callable
from typing import Any, Protocol

_READ_SIZE = 256 * 1024
_GZIP = 31  # zlib's window bits for "a gzip header and nothing else"
_ZSTD_WINDOW_LOG = 27  # 128 MiB: what `zstd --long` may ask for, and no more
_XZ_MEMORY = 256 << 20


class Readable(Protocol):
    """Gives the next bytes, up to *size*, and none at its end."""

    def read(self, size: int, /) -> bytes: ...


class CannotExpand(Exception):
    """The stream is damaged, cut, or expands to more than is allowed."""


class Expanded:
    """What *stream* holds, expanded on the way.

    Its first bytes tell how it was compressed, unless *is_gzip* does.  At most *limit* bytes are
    given.  Several gzip members, zstd frames or xz streams are one.
    """

    def __init__(self, stream: Readable, limit: int, *, is_gzip: bool | None = None) -> None:
        self._stream = stream
        self._limit = self._left = limit
        self._input = b""
        self._decoder: Any = None
        self._begin: Callable[[], Any] | None = None
        if is_gzip is None:
            self._input = stream.read(_READ_SIZE)
            self._begin = _codec_of(self._input)
        elif is_gzip:
            self._begin = _Gzip
            self._decoder = _Gzip()  # nothing at all is no gzip data
        self._output = bytearray()
        self._is_over = False

    def read(self, size: int) -> bytes:
        """The next *size* bytes, fewer at the end.  Raises: CannotExpand, OSError."""
        while len(self._output) < size and not self._is_over:
            self._fill()
        data = bytes(self._output[:size])
        del self._output[:size]
        return data

    def skip(self, size: int) -> bool:
        """Pass over *size* bytes; False when it ends before that.  Raises: as `read`."""
        while size:
            passed = len(self.read(min(size, _READ_SIZE)))
            if not passed:
                return False
            size -= passed
        return True

    def _fill(self) -> None:
        # What a decoder has not taken yet comes first: a little may expand to a lot.
        is_hungry = self._decoder is None or self._decoder.is_hungry
        data = (self._input or self._stream.read(_READ_SIZE)) if is_hungry else b""
        self._input = b""
        if self._begin is None or (self._decoder is None and not data):
            self._is_over = not data
            self._give(data)
            return
        if is_hungry and not data:
            raise CannotExpand("ends in the middle of its compressed data")
        self._decoder = self._decoder or self._begin()
        given = self._decoder.decode(data)
        if self._decoder.rest is not None:
            self._input, self._decoder = self._decoder.rest, None
        self._give(given)

    def _give(self, data: bytes) -> None:
        if len(data) > self._left:
            raise CannotExpand(f"expands to more than {self._limit} bytes")
        self._left -= len(data)
        self._output += data


class _Gzip:
    """One gzip member; *rest* is what follows its end, None before."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP)
        self.rest: bytes | None = None

    @property
    def is_hungry(self) -> bool:
        return not self._inflater.unconsumed_tail

    def decode(self, data: bytes) -> bytes:
        try:
            given = self._inflater.decompress(self._inflater.unconsumed_tail + data, _READ_SIZE)
        except zlib.error as error:
            raise CannotExpand(f"is no sound gzip data ({error})") from None
        if self._inflater.eof:
            self.rest = self._inflater.unused_data
        return given


class _Framed:
    """One zstd frame or xz stream, by a decoder with the interface of lzma's."""

    def __init__(self, name: str, decoder: Any, failures: tuple[type[Exception], ...]) -> None:
        self._name = name
        self._decoder = decoder
        self._failures = failures
        self.rest: bytes | None = None

    @property
    def is_hungry(self) -> bool:
        return bool(self._decoder.needs_input)

    def decode(self, data: bytes) -> bytes:
        try:
            given: bytes = self._decoder.decompress(data, _READ_SIZE)
        except self._failures as error:
            raise CannotExpand(f"is no sound {self._name} data ({error})") from None
        if self._decoder.eof:
            self.rest = self._decoder.unused_data
        return given


def _zstd() -> _Framed:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    options = {int(zstd.DecompressionParameter.window_log_max): _ZSTD_WINDOW_LOG}
    return _Framed("zstd", zstd.ZstdDecompressor(options=options), (zstd.ZstdError,))


def _xz() -> _Framed:
    import lzma

    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return _Framed("xz", decoder, (lzma.LZMAError,))


def _codec_of(head: bytes) -> Callable[[], Any] | None:
    if head.startswith(b"\x1f\x8b"):
        return _Gzip
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return _zstd
    return _xz if head.startswith(b"\xfd7zXZ\0") else None
