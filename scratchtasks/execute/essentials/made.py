"""What an essential is made of: entries of the image, each with the bytes it holds."""

from scratchtasks.core.digest import digest_of
from scratchtasks.core.tree import FileEntry

Made = tuple[FileEntry, bytes]
"""An entry and its content; b"" for all but files."""


def file_of(path: str, data: bytes, origin: str) -> Made:
    """A file 0644 of root's at *path* (relative to the image's root) that holds *data*."""
    entry = FileEntry(path=path, digest=digest_of(data), size=len(data), origin=origin)
    return entry, data


def text_of(path: str, lines: list[str], origin: str) -> Made:
    """A text file of *lines*, each of which is ended by a newline."""
    return file_of(path, "".join(f"{line}\n" for line in lines).encode(), origin)


def folder_of(path: str, mode: int, origin: str, uid: int = 0, gid: int = 0) -> Made:
    """A folder with *mode* (octal permission bits) and numeric owner."""
    entry = FileEntry(path=path, kind="dir", mode=mode, uid=uid, gid=gid, origin=origin)
    return entry, b""


def symlink_of(path: str, link: str, origin: str) -> Made:
    """A symlink at *path* to *link*, as written."""
    return FileEntry(path=path, kind="symlink", mode=0o777, link=link, origin=origin), b""


def hardlink_of(path: str, link: str, origin: str) -> Made:
    """A second name *path* for the file at *link*, which must sort before it."""
    return FileEntry(path=path, kind="hardlink", link=link, origin=origin), b""
