"""What is in a finished image, path by path, read from its layers without unpacking them.

Source: OCI image-spec v1.1, layer.md.
"""

import posixpath
from dataclasses import replace
from typing import Literal

from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.image import PlatformImage
from scratchtasks.store.blobs import ContentStore

from .root import members, plain_path

Kind = Literal["file", "dir", "symlink"]

_MOST_LINKS = 40
_MOST_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class Entry:
    """A path of an image; *link* is where a symlink leads; the content is in layer *layer*, under
    the path *held*."""

    kind: Kind
    mode: int
    uid: int
    gid: int
    link: str = ""
    layer: int = 0
    held: str = ""

    @property
    def shown_mode(self) -> str:
        """As Go's os.FileMode shows it: `-rwxr-xr-x`, `dtrwxrwxrwx`, `Lrwxrwxrwx`."""
        flags = {"dir": "d", "symlink": "L", "file": ""}[self.kind]
        flags += "".join(
            letter for letter, bit in (("u", 0o4000), ("g", 0o2000), ("t", 0o1000))
            if self.mode & bit
        )  # fmt: skip
        bits = "".join(
            letter if self.mode >> (8 - number) & 1 else "-"
            for number, letter in enumerate("rwxrwxrwx")
        )
        return (flags or "-") + bits


class Contents:
    """The entries of *image* by path, without a leading slash; the root is "".

    Raises: SinkError (a layer that is not what it should be); StoreError (missing, damaged).
    """

    def __init__(self, image: PlatformImage, store: ContentStore, where: str) -> None:
        self._image = image
        self._store = store
        self._where = where
        self.entries: dict[str, Entry] = {"": Entry("dir", 0o755, 0, 0)}
        for number in range(len(image.layers)):
            self._add_layer(number)

    def find(self, path: str, *, follow: bool) -> tuple[str, Entry] | None:
        """The entry that *path* means, and its own path: links to folders are followed, and with
        *follow*, or a slash behind it, one at the end too.  None when there is none, or too many
        links.
        """
        is_folder = path.endswith("/")
        follow = follow or is_folder
        todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
        here, links = "", 0
        while todo:
            part = todo.pop()
            if part == "..":
                here = posixpath.dirname(here)
                continue
            entry = self.entries.get(below := f"{here}/{part}".lstrip("/"))
            if entry is None:
                return None
            if entry.kind == "symlink" and (todo or follow):
                links += 1
                if links > _MOST_LINKS:
                    return None
                todo += [each for each in entry.link.split("/") if each not in ("", ".")][::-1]
                here = "" if entry.link.startswith("/") else here
                continue
            if (todo or is_folder) and entry.kind != "dir":
                return None
            here = below
        return here, self.entries[here]

    def programs(self) -> list[str]:
        """The absolute paths of all files that somebody may execute, sorted."""
        files = [path for path, entry in self.entries.items() if entry.kind == "file"]
        return sorted(f"/{path}" for path in files if self.entries[path].mode & 0o111)

    def read(self, entry: Entry) -> bytes:
        """What the file *entry* holds.  Raises: SinkError, for one of more than 64 MiB too."""
        layer = self._image.layers[entry.layer]
        found = b""
        for member, content in members(layer, self._store, self._where):
            if content is not None and plain_path(member, self._where) == entry.held:
                found = content.read(_MOST_BYTES + 1)
        if len(found) > _MOST_BYTES:
            raise SinkError(self._where, f"/{entry.held}: too large to look into")
        return found

    def _add_layer(self, number: int) -> None:
        for member, content in members(self._image.layers[number], self._store, self._where):
            path = plain_path(member, self._where)
            self._add_parents(path)
            mode, uid, gid = member.mode & 0o7777, member.uid, member.gid
            if member.isdir():
                self.entries[path] = Entry("dir", mode, uid, gid)
            elif member.issym():
                self.entries[path] = Entry("symlink", mode, uid, gid, member.linkname)
            elif member.islnk():
                shared = self.entries.get(posixpath.normpath(member.linkname.lstrip("/")))
                if shared is None:
                    what = f"/{path}: a hard link to what is not in the image"
                    raise SinkError(self._where, what)
                self.entries[path] = replace(shared)
            elif content is not None:
                self.entries[path] = Entry("file", mode, uid, gid, layer=number, held=path)

    def _add_parents(self, path: str) -> None:
        parent = posixpath.dirname(path)
        while parent and parent not in self.entries:
            self.entries[parent] = Entry("dir", 0o755, 0, 0)
            parent = posixpath.dirname(parent)
