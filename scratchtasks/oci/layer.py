"""Layers: file entries in, one compressed tar and its two digests out.

Source: OCI image-spec v1.1, layer.md; config.md, layer DiffID.
"""

import hashlib
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import Protocol

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import DiffID, Digest
from scratchtasks.core.errors import StageError
from scratchtasks.core.tree import FileEntry, with_parents

from . import media
from .gzip import THREADS, GzipWriter
from .tar import OpenBlob, write_tar

_NO_DIRS: Mapping[str, FileEntry] = MappingProxyType({})


class Writer(Protocol):
    """Where a layer's blob goes: a store's BlobWriter, a file, a socket."""

    def write(self, data: bytes | bytearray | memoryview, /) -> object: ...


def pack_layer(
    entries: Iterable[FileEntry],
    open_blob: OpenBlob,
    out: Writer,
    *,
    mtime: int = 0,
    kind: str = "",
    compress: bool = True,
    known_dirs: Mapping[str, FileEntry] = _NO_DIRS,
    threads: int = THREADS,
) -> Layer:
    """Write *entries* to *out* as one layer, in one pass; equal entries give equal bytes.

    Missing parent folders are added, root's with mode 0755, or as *known_dirs* (folders of the
    layers below, by path) has them: a later layer must not reset the 1777 of /tmp.  *mtime* is
    seconds since 1970; *threads* changes the time it takes and nothing else.

    Returns: Layer; its blob's size counts the bytes written, its DiffID hashes the raw tar.
    Raises: StageError (see write_tar, and names that would delete files of lower layers);
    StoreError (a blob is missing or damaged).
    """
    raw = hashlib.sha256()
    blob = hashlib.sha256()
    size = 0

    def write_blob(data: bytes | bytearray | memoryview) -> None:
        nonlocal size
        blob.update(data)
        size += len(data)
        out.write(data)

    with ExitStack() as stack:
        write = (
            stack.enter_context(GzipWriter(write_blob, threads)).write if compress else write_blob
        )

        def write_raw(data: bytes | memoryview) -> None:
            raw.update(data)
            write(data)

        write_tar(_complete(entries, known_dirs), open_blob, write_raw, mtime)
    return Layer(
        Descriptor(
            media.LAYER_GZIP if compress else media.LAYER_TAR,
            Digest("sha256:" + blob.hexdigest()),
            size,
        ),
        DiffID("sha256:" + raw.hexdigest()),
        kind,
    )


def _complete(
    entries: Iterable[FileEntry], known_dirs: Mapping[str, FileEntry]
) -> Iterable[FileEntry]:
    given: set[str] = set()
    present = []
    for entry in entries:
        if entry.path.rpartition("/")[2].startswith(".wh."):
            raise StageError(
                f"/{entry.path}", "a name that begins with '.wh.' means deletion in an image layer"
            )
        given.add(entry.path)
        present.append(entry)
    yield from present  # write_tar refuses duplicates; with_parents would fold them
    for entry in with_parents(present):
        if entry.path in given:
            continue
        known = known_dirs.get(entry.path, entry)
        if known.kind != "dir":
            raise StageError(
                f"/{entry.path}",
                f"a {known.kind} in a lower layer, a folder in this one",
            )
        yield known
