"""A finished layer in one pass, put together from the parts that builds use one after another."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, Digest
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci import media
from scratchtasks.oci.gzip import THREADS, GzipWriter
from scratchtasks.oci.layer import NO_DIRS, complete
from scratchtasks.oci.tar import OpenBlob, tar_chunks


class Writer(Protocol):
    """Where a layer's blob goes."""

    def write(self, data: bytes | bytearray | memoryview, /) -> object: ...


def pack_layer(
    entries: Iterable[FileEntry],
    open_blob: OpenBlob,
    out: Writer,
    *,
    mtime: int = 0,
    kind: str = "",
    compress: bool = True,
    known_dirs: Mapping[str, FileEntry] = NO_DIRS,
    threads: int = THREADS,
) -> Layer:
    """Write *entries* to *out* as one layer."""
    raw, blob = hashlib.sha256(), hashlib.sha256()
    size = 0

    def write(data: bytes | bytearray | memoryview) -> None:
        nonlocal size
        blob.update(data)
        size += len(data)
        out.write(data)

    chunks = tar_chunks(complete(entries, known_dirs), open_blob, mtime)
    if compress:
        with GzipWriter(write, threads) as gzip:
            for chunk in chunks:
                raw.update(chunk)
                gzip.write(chunk)
    else:
        for chunk in chunks:
            raw.update(chunk)
            write(chunk)
    media_type = media.LAYER_GZIP if compress else media.LAYER_TAR
    descriptor = Descriptor(media_type, Digest("sha256:" + blob.hexdigest()), size)
    return Layer(descriptor, DiffID("sha256:" + raw.hexdigest()), kind)
