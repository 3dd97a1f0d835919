"""Reading a layer's blob that nobody vouches for: hashed, inflated and bounded on the way.

Source: RFC 1952; OCI image-spec v1.1, layer.md.
"""

import hashlib
import zlib
from typing import BinaryIO

from scratchtasks.core.digest import DiffID, Digest

_READ_SIZE = 256 * 1024
_GZIP = 31  # zlib's window bits for "a gzip header and nothing else"


class LayerReader:
    """The uncompressed bytes of a layer, with both digests known once all is read.

    Damage ends the tar early and is told in `fault`; the raw bytes are still hashed to their
    end.  At most *limit* uncompressed bytes are given, and not much more than *size* bytes of
    the blob are read: what goes on for ever is a fault as well.
    """

    def __init__(self, stream: BinaryIO, *, is_gzip: bool, size: int, limit: int) -> None:
        self.fault = ""
        self.blob_size = 0
        self._size = size
        self._stream = stream
        self._left = limit
        self._is_gzip = is_gzip
        self._inflater = zlib.decompressobj(_GZIP) if is_gzip else None
        self._input = b""
        self._output = bytearray()
        self._blob = hashlib.sha256()
        self._raw = hashlib.sha256()
        self._is_over = False

    def read(self, size: int) -> bytes:
        """The next *size* bytes of the tar, fewer at its end."""
        while len(self._output) < size and not self._is_over:
            self._fill()
        data = bytes(self._output[:size])
        del self._output[:size]
        return data

    def drain(self) -> None:
        """Read what is left of the tar and of the blob."""
        while self.read(_READ_SIZE):
            pass
        while self._next_input():
            pass

    @property
    def blob_digest(self) -> Digest:
        """Of the bytes of the blob read so far; of all after `drain`."""
        return Digest("sha256:" + self._blob.hexdigest())

    @property
    def diff_id(self) -> DiffID:
        """Of the uncompressed bytes read so far; of all after `drain`."""
        return DiffID("sha256:" + self._raw.hexdigest())

    def _next_input(self) -> bytes:
        data = self._stream.read(_READ_SIZE) if self.blob_size <= self._size else b""
        self._blob.update(data)
        self.blob_size += len(data)
        return data

    def _fill(self) -> None:
        if not self._is_gzip:
            self._give(self._next_input())
            return
        data = self._input or self._next_input()
        if not data:
            self._end("" if self._inflater is None else "gzip: ends in the middle")
            return
        if self._inflater is None:  # the member before has ended, another begins
            self._inflater = zlib.decompressobj(_GZIP)
        try:
            inflated = self._inflater.decompress(data, _READ_SIZE)
        except zlib.error as error:
            self._end(f"gzip: {error}")
            return
        if self._inflater.eof:
            self._input = self._inflater.unused_data
            self._inflater = None
        else:
            self._input = self._inflater.unconsumed_tail
        if inflated:
            self._give(inflated)

    def _give(self, data: bytes) -> None:
        if not data:
            self._end("")
            return
        if len(data) > self._left:
            self._end("inflates to more than is allowed")
            return
        self._left -= len(data)
        self._raw.update(data)
        self._output += data

    def _end(self, fault: str) -> None:
        self.fault = fault
        self._is_over = True
