"""An image's root file system as a sandbox is to see it, described: nothing is unpacked to disk.

Files that everybody may read and nobody write are read-only binds of the store's blobs; others,
small ones and programs (blobs may not be executed) are written into the sandbox's own tmpfs, by
bubblewrap itself or, where its arguments do not reach, by `tmpfs.py`.  Rights are those of
`root.rights`.
Source: bwrap(1), --ro-bind, --file, --perms; OCI image-spec v1.1, layer.md.
"""

import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import SinkError
from scratchtasks.store.blobs import ContentStore

from .root import members, plain_path, rights
from .trial import Trial

FILE = "\x01"

_LARGE = 1 << 16
"""From this size on, it is worth while to ask the store for a blob."""

_CHUNK = 1 << 20

_BINDABLE = 0o444


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """An entry.  Of a file, *size* bytes, either those of the *blob* with this path or, of the
    tree's content, those from *start* on; of a symlink, where it leads."""

    kind: str
    mode: int
    link: str = ""
    blob: str = ""
    start: int = 0
    size: int = 0

    @property
    def is_bound(self) -> bool:
        return bool(self.blob) and self.mode == _BINDABLE

    @property
    def source(self) -> str | list[int]:
        """Where the guard finds the file's bytes."""
        return self.blob or [self.start, self.size]


@dataclass(frozen=True, slots=True)
class Tree:
    """What is at each path, parents first; *volumes* stay writable in a root that is not.

    *implied* is the mode of folders that no layer names, and of the root; *passwd* is what
    /etc/passwd holds.
    """

    nodes: dict[str, _Node]
    volumes: tuple[str, ...]
    implied: int
    passwd: bytes

    def bubblewrap_args(self) -> tuple[list[str], list[str | list[int]]]:
        """Arguments that make bubblewrap make it, and the files in these: each `--file` is followed
        by FILE and a number, that of a path or of a piece of the content (start, size)."""
        args: list[str] = []
        files: list[str | list[int]] = []
        for path, node in self.nodes.items():
            target, perms = f"/{path}", ["--perms", f"{node.mode:04o}"]
            if node.kind == "symlink":
                args += ["--symlink", node.link, target]
            elif node.kind == "dir":
                args += [*perms, "--tmpfs" if target in self.volumes else "--dir", target]
            elif node.is_bound:
                args += ["--ro-bind", node.blob, target]
            else:
                args += [*perms, "--file", f"{FILE}{len(files)}", target]
                files.append(node.source)
        return [*args, "--chmod", f"{self.implied:04o}", "/"], files

    def steps(self) -> Iterator[tuple[str, str, int, str | list[int]]]:
        """What `tmpfs.plant` has to do: kind, absolute path, mode, and where to find the rest."""
        yield "dir", "/", self.implied, ""
        first: dict[_Node, str] = {}
        for path, node in self.nodes.items():
            target = f"/{path}"
            if node.kind != "file":
                yield node.kind, target, node.mode, node.link
            elif node.is_bound:  # each time: no link leads to what is mounted
                yield "bind", target, node.mode, node.blob
            elif (shared := first.setdefault(node, target)) != target:
                yield "link", target, node.mode, shared
            else:
                yield "file", target, node.mode, node.source


def tree_of(
    trial: Trial, store: ContentStore, where: str, content: BinaryIO, most: int
) -> Tree | None:
    """The root file system of *trial*'s image, with the folders that Docker would make in it.

    What is no blob of the store is written to *content* (empty); None when that would be more
    than *most* bytes, copies of blobs included.

    Raises: SinkError (a layer that is not what it should be); StoreError (missing, damaged).
    """
    made = _Making(trial, store, where, content, most)
    for layer in trial.image.layers:
        for member, data in members(layer, store, where):
            path = plain_path(member, where)
            owner = (member.uid, member.gid)
            if member.isdir():
                made.add(path, _Node("dir", made.rights(member.mode, owner)))
            elif member.issym():
                made.add(path, _Node("symlink", 0, link=member.linkname))
            elif member.islnk():
                made.link(path, posixpath.normpath(member.linkname))
            elif data is not None:
                node = made.file(data, member.size, made.rights(member.mode, owner))
                if node is None:
                    return None
                made.add(path, node)
            else:
                raise SinkError(where, f"/{path}: neither file, folder nor link")
    for path in (trial.workdir, *trial.volumes, "/proc", "/dev"):
        made.add_folder(path.strip("/"))
    return made.tree()


class _Making:
    """A tree in the making."""

    def __init__(
        self, trial: Trial, store: ContentStore, where: str, content: BinaryIO, most: int
    ) -> None:
        self._trial = trial
        self._store = store
        self._where = where
        self._content = content
        self._left = most
        self._implied = self.rights(0o755, (0, 0))
        self._nodes: dict[str, _Node] = {}

    def rights(self, mode: int, owner: tuple[int, int]) -> int:
        return rights(mode, owner, (self._trial.uid, self._trial.gid))

    def file(self, data: BinaryIO, size: int, mode: int) -> _Node | None:
        """The file that *data* holds: from the store, if it has a blob of just these bytes.

        None if memory should not hold it.
        """
        start, sha256 = self._content.tell(), hashlib.sha256()
        while chunk := data.read(_CHUNK):
            sha256.update(chunk)
            if size <= self._left:
                self._content.write(chunk)
        digest = Digest(f"sha256:{sha256.hexdigest()}")
        node = _Node("file", mode, start=start, size=size)
        if size >= _LARGE and self._store.has(Descriptor("", digest, size)):
            self._content.seek(start)
            self._content.truncate()
            node = _Node("file", mode, blob=self._store.path(digest), size=size)
        if not node.is_bound:
            self._left -= size
        return node if self._left >= 0 else None

    def add(self, path: str, node: _Node) -> None:
        """Put *node* at *path*, in place of what a lower layer has there."""
        self.add_folder(posixpath.dirname(path))
        old = self._nodes.get(path)
        is_clash = old is not None and (old.kind == "dir") != (node.kind == "dir")
        above = self._nodes.get(posixpath.dirname(path))
        if is_clash or (above is not None and above.kind != "dir"):
            what = f"/{path}: a folder in one layer, a file in another"
            raise SinkError(self._where, what)
        self._nodes[path] = node

    def link(self, path: str, shared: str) -> None:
        node = self._nodes.get(shared)
        if node is None or node.kind == "dir":
            what = f"/{shared}: a hard link to what is not in the image"
            raise SinkError(self._where, what)
        self.add(path, node)

    def add_folder(self, path: str) -> None:
        """Make the folder *path* and those above it, unless something is there."""
        if path and path not in self._nodes:
            self.add_folder(posixpath.dirname(path))
            above = self._nodes.get(posixpath.dirname(path))
            if above is None or above.kind == "dir":
                self._nodes[path] = _Node("dir", self._implied)

    def tree(self) -> Tree:
        volumes = self._trial.volumes if self._trial.definition.read_only else ()
        passwd = self._nodes.get("etc/passwd")
        return Tree(
            nodes=dict(sorted(self._nodes.items())),
            volumes=volumes,
            implied=self._implied,
            passwd=self._read(passwd) if passwd is not None and passwd.kind == "file" else b"",
        )

    def _read(self, node: _Node) -> bytes:
        if node.blob:
            with open(node.blob, "rb") as file:
                return file.read()
        self._content.seek(node.start)
        return self._content.read(node.size)
