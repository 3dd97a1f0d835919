"""Many small files as one blob: a plain tar with sorted names, so equal files give equal bytes."""

import io
from collections.abc import Mapping
from typing import BinaryIO

from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StageError
from scratchtasks.core.tree import FileEntry, with_parents
from scratchtasks.oci.expand import CannotExpand, Expanded
from scratchtasks.oci.tar import tar_chunks
from scratchtasks.oci.untar import Malformed, TarReader


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """*files* (content by plain relative path) as one tar.  Raises: StageError for bad paths."""
    contents = {digest_of(data): data for data in files.values()}
    entries = [
        FileEntry(path=path, digest=digest_of(data), size=len(data)) for path, data in files.items()
    ]
    return b"".join(tar_chunks(with_parents(entries), lambda digest: io.BytesIO(contents[digest])))


def unpack_files(stream: BinaryIO, limit: int, where: str) -> dict[str, bytes]:
    """The files of a tar, by path; at most *limit* bytes in all.

    *stream* may be compressed.  Links are left out.

    Raises: StageError for damage, hostile paths, and more than *limit* bytes.
    """
    reader = TarReader(Expanded(stream, limit))
    try:
        return {
            member.path: reader.read(member.size)
            for member in reader.members()
            if member.kind == "file"
        }
    except (Malformed, CannotExpand) as error:
        raise StageError(where, str(error)) from None
