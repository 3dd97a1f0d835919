"""Trees: what is to be in an image, path by path, before it is a layer."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any, Literal

from .digest import Digest, Json, parse_digest
from .errors import StageError
from .frozen import dataclass

Kind = Literal["file", "dir", "symlink", "hardlink"]

_NAME_MAX = 255
"""Bytes that Linux takes for a name.  No engine can unpack what has more."""

_PATH_MAX = 4095 - 255
"""Bytes that Linux takes for a path, less some for the folder that an engine unpacks to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """One path of an image.

    *path* is relative to the root, without a leading slash, `/`-separated, no `.` or `..`.
    *mode* is octal permission bits with setuid/setgid/sticky; *size* is bytes.
    *digest* names the content of a file; *link* the target of a symlink (as written), or the
    path of the file that a hard link shares (same form as *path*).
    *origin* says for people where it came from, and is no part of equality.
    """

    path: str
    kind: Kind = "file"
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    digest: Digest | None = None
    size: int = 0
    link: str = ""
    origin: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Json]:
        return {
            "path": self.path,
            "kind": self.kind,
            "mode": self.mode,
            "uid": self.uid,
            "gid": self.gid,
            "digest": self.digest,
            "size": self.size,
            "link": self.link,
            "origin": self.origin,
        }


def entry_from_json(value: Mapping[str, Any]) -> FileEntry:
    """The inverse of FileEntry.to_json.  Raises: KeyError, TypeError, StoreError if damaged."""
    digest = value["digest"]
    return FileEntry(**{**value, "digest": None if digest is None else parse_digest(digest)})


def check_path(path: str, where: str) -> str:
    """*path* as it stands in a FileEntry: `/srv/www/` → `srv/www`.

    Raises: StageError for a relative path, `.`/`..` segments, NUL, or the root itself, and for
    what is too long for Linux.
    """
    plain = path.strip("/")
    if not path.startswith("/") or not plain or "\0" in path:
        raise StageError(where, f"wanted an absolute path inside the image, got {path!r}")
    if any(part in ("", ".", "..") for part in plain.split("/")):
        raise StageError(where, f"wanted a path without '.', '..' or '//', got {path!r}")
    check_length(plain, where)
    return plain


def check_length(path: str, where: str) -> None:
    """Raises: StageError when *path*, as it stands in a FileEntry, or a name in it is too long."""
    size = _size(path) + 1
    if size <= _NAME_MAX:
        return
    longest = max(map(_size, path.split("/")))
    shown = f"in {('/' + path)[:30] + '…'!r}"
    if longest > _NAME_MAX:
        raise StageError(where, f"wanted names of at most {_NAME_MAX} bytes, got {longest} {shown}")
    if size > _PATH_MAX:
        raise StageError(where, f"wanted a path of at most {_PATH_MAX} bytes, got {size} {shown}")


def _size(text: str) -> int:
    # Whether it is UTF-8 is asked elsewhere.
    return len(text.encode("utf-8", "surrogatepass"))


def merge_trees(trees: Iterable[Iterable[FileEntry]], where: str) -> tuple[FileEntry, ...]:
    """All entries of *trees*, sorted by path; equal entries fold into the first.

    Raises: StageError when two sources want different things at one path (naming both), or
    when a path lies below something that is not a folder.
    """
    merged: dict[str, FileEntry] = {}
    for tree in trees:
        for entry in tree:
            other = merged.setdefault(entry.path, entry)
            if other is not entry and other != entry:
                raise StageError(
                    where,
                    f"two sources for /{entry.path}: {_shown(other)} and {_shown(entry)}",
                    "leave one of them out, or give them the same content, mode and owner",
                )
    checked = set[str]()
    for path in merged:
        parent = path.rpartition("/")[0]
        while parent and parent not in checked:
            checked.add(parent)
            above = merged.get(parent)
            if above is not None and above.kind != "dir":
                raise StageError(
                    where,
                    f"/{path} lies below /{parent}, which is a {above.kind} "
                    f"from {above.origin or 'elsewhere'}",
                )
            parent = parent.rpartition("/")[0]
    return tuple(merged[path] for path in sorted(merged))


def with_parents(entries: Iterable[FileEntry]) -> tuple[FileEntry, ...]:
    """*entries* plus every missing parent folder (0755, root), sorted: parents come first."""
    by_path = {entry.path: entry for entry in entries}
    for path in list(by_path):
        parent = path.rpartition("/")[0]
        while parent and parent not in by_path:
            by_path[parent] = FileEntry(path=parent, kind="dir", mode=0o755)
            parent = parent.rpartition("/")[0]
    return tuple(by_path[path] for path in sorted(by_path))


def _shown(entry: FileEntry) -> str:
    what = entry.digest or entry.link or "folder"
    rights = f"{entry.mode:04o} {entry.uid}:{entry.gid}"
    return f"{entry.origin or 'unknown'} ({entry.kind} {rights} {what[:19]})"
