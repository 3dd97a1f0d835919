"""Files in a Debian package, without dpkg.

Source: deb(5); ar(5), "The common ar format".
"""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from typing import BinaryIO

from scratchtasks.core.errors import StageError
from scratchtasks.oci.expand import CannotExpand, Expanded
from scratchtasks.oci.untar import Malformed, TarReader

_MAGIC = b"!<arch>\n"
_HEADER = 60
_MAX_MEMBERS = 16


def read_deb(
    stream: BinaryIO, is_wanted: Callable[[str], bool], limit: int, where: str
) -> dict[str, bytes]:
    """The regular files of the package whose path (`usr/share/…`) *is_wanted*, by path.

    At most *limit* bytes are unpacked.  Raises: StageError for what is no sound package.
    """
    data = _data_of(stream, where)
    try:
        reader = TarReader(Expanded(data, limit))
        return {
            member.path: b"".join(iter(lambda: reader.read(1 << 18), b""))
            for member in reader.members()
            if member.kind == "file" and is_wanted(member.path)
        }
    except (Malformed, CannotExpand) as error:
        raise StageError(where, f"is no sound Debian package: it {error}") from None


def built_on(data: bytes) -> str:
    """The day (`2026-10-18`) that the package *data* says it was made, "" when it does not."""
    text = data[len(_MAGIC) + 16 : len(_MAGIC) + 28].strip()
    if not text.isdigit() or not 0 < int(text) < 253402300800:
        return ""
    return f"{datetime.fromtimestamp(int(text), UTC):%Y-%m-%d}"


def _data_of(stream: BinaryIO, where: str) -> BinaryIO:
    """The member `data.tar*` of an ar archive."""
    if stream.read(len(_MAGIC)) == _MAGIC:
        for _ in range(_MAX_MEMBERS):
            header = stream.read(_HEADER)
            name, size = header[:16].rstrip(b" /"), header[48:58].strip()
            if len(header) < _HEADER or header[58:] != b"`\n" or not size.isdigit():
                break
            if name.startswith(b"data.tar"):
                return io.BytesIO(stream.read(int(size)))
            stream.seek(int(size) + int(size) % 2, io.SEEK_CUR)
    raise StageError(where, "is no sound Debian package: it has no data.tar")
