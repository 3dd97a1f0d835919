"""Reading a layer's blob that nobody vouches for: hashed, inflated and bounded on the way.

Source: OCI image-spec v1.1, layer.md.
"""

import hashlib

from scratchtasks.core.digest import DiffID, Digest

from .expand import CannotExpand, Expanded, Readable

_READ_SIZE = 256 * 1024


class LayerReader:
    """The uncompressed bytes of a layer, with both digests known once all is read.

    Damage ends the tar early and is told in `fault`; the raw bytes are still hashed to their
    end.  At most *limit* uncompressed bytes are given, and not much more than *size* bytes of
    the blob are read: what goes on for ever is a fault as well.
    """

    def __init__(self, stream: Readable, *, is_gzip: bool, size: int, limit: int) -> None:
        self.fault = ""
        self._blob = _Hashed(stream, size)
        self._raw = hashlib.sha256()
        self._tar = Expanded(self._blob, limit, is_gzip=is_gzip)

    def read(self, size: int) -> bytes:
        """The next *size* bytes of the tar, fewer at its end."""
        if self.fault:
            return b""
        try:
            data = self._tar.read(size)
        except CannotExpand as error:
            self.fault = str(error)
            return b""
        self._raw.update(data)
        return data

    def drain(self) -> None:
        """Read what is left of the tar and of the blob."""
        while self.read(_READ_SIZE):
            pass
        while self._blob.read(_READ_SIZE):
            pass

    @property
    def blob_size(self) -> int:
        """The bytes of the blob read so far; all after `drain`."""
        return self._blob.size

    @property
    def blob_digest(self) -> Digest:
        """Of the bytes of the blob read so far; of all after `drain`."""
        return Digest("sha256:" + self._blob.sha256.hexdigest())

    @property
    def diff_id(self) -> DiffID:
        """Of the uncompressed bytes read so far; of all after `drain`."""
        return DiffID("sha256:" + self._raw.hexdigest())


class _Hashed:
    """*stream*, its bytes counted and hashed, and read until they are more than *most*."""

    def __init__(self, stream: Readable, most: int) -> None:
        self._stream = stream
        self._most = most
        self.size = 0
        self.sha256 = hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._stream.read(size) if self.size <= self._most else b""
        self.sha256.update(data)
        self.size += len(data)
        return data
