"""An image's root file system, put together by bubblewrap in memory: nothing is unpacked to disk.

Files that everybody may read and nobody write are read-only binds of the store's blobs; others,
small ones and programs (blobs may not be executed) are written into the sandbox's own tmpfs.
Rights are those of `root.rights`.
Source: bwrap(1), --ro-bind, --file, --perms; OCI image-spec v1.1, layer.md.
"""

import hashlib
import posixpath
from dataclasses import dataclass, field
from typing import BinaryIO

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import SinkError
from scratchtasks.store.blobs import ContentStore

from .root import members, plain_path, rights
from .trial import Trial

_MOST_ARGS = 8500
"""bubblewrap takes 9,000."""

_MOST_BYTES = 1 << 26
"""Of content that is not in the store as a blob of its own."""

_LARGE = 1 << 16
"""From this size on, it is worth while to ask the store for a blob."""

_CHUNK = 1 << 20

_BINDABLE = 0o444


@dataclass(frozen=True, slots=True)
class _Node:
    """An entry: of a file, *data* or the path of a *blob*; of a symlink, where it leads."""

    kind: str
    mode: int
    link: str = ""
    data: bytes = b""
    blob: str = ""


@dataclass(slots=True)
class Composed:
    """*args* for bubblewrap, in which each `--file` is followed by FILE and a number: that of one
    of *files*, which are paths, or sizes of pieces of *data* in order.  *passwd* is /etc/passwd.
    """

    args: list[str] = field(default_factory=list)
    files: list[str | int] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    passwd: bytes = b""


FILE = "\x01"


def compose(trial: Trial, store: ContentStore, where: str) -> Composed | None:
    """The root file system of *trial*'s image; None when it is too large for bubblewrap's
    arguments, or for memory.

    Raises: SinkError (a layer that is not what it should be); StoreError (missing, damaged).
    """
    tree = _Tree(trial, store, where)
    for layer in trial.image.layers:
        for member, content in members(layer, store, where):
            path = plain_path(member, where)
            owner = (member.uid, member.gid)
            if member.isdir():
                tree.add(path, _Node("dir", tree.rights(member.mode, owner)))
            elif member.issym():
                tree.add(path, _Node("symlink", 0, link=member.linkname))
            elif member.islnk():
                tree.link(path, posixpath.normpath(member.linkname))
            elif content is not None:
                node = tree.file(content, member.size, tree.rights(member.mode, owner))
                if node is None:
                    return None
                tree.add(path, node)
            else:
                raise SinkError(where, f"/{path}: neither file, folder nor link")
    for path in (trial.workdir, *trial.volumes):
        tree.add_folder(path.strip("/"))
    composed = tree.composed()
    return composed if len(composed.args) <= _MOST_ARGS else None


class _Tree:
    def __init__(self, trial: Trial, store: ContentStore, where: str) -> None:
        self._trial = trial
        self._store = store
        self._where = where
        self._implied = self.rights(0o755, (0, 0))
        self._nodes: dict[str, _Node] = {}
        self._kept = 0

    def rights(self, mode: int, owner: tuple[int, int]) -> int:
        return rights(mode, owner, (self._trial.uid, self._trial.gid))

    def file(self, content: BinaryIO, size: int, mode: int) -> _Node | None:
        """The file that *content* holds: from the store, if it has a blob of just these bytes.

        None if it has not, and memory should not hold it.
        """
        data, sha256 = bytearray(), hashlib.sha256()
        while chunk := content.read(_CHUNK):
            sha256.update(chunk)
            if self._kept + size <= _MOST_BYTES:
                data += chunk
        digest = Digest(f"sha256:{sha256.hexdigest()}")
        if size >= _LARGE and self._store.has(Descriptor("", digest, size)):
            return _Node("file", mode, blob=self._store.path(digest))
        self._kept += size
        return _Node("file", mode, data=bytes(data)) if self._kept <= _MOST_BYTES else None

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

    def composed(self) -> Composed:
        made = Composed()
        volumes = self._trial.volumes if self._trial.definition.read_only else ()
        for path in sorted(self._nodes):
            node, target = self._nodes[path], f"/{path}"
            perms = ["--perms", f"{node.mode:04o}"]
            if node.kind == "symlink":
                made.args += ["--symlink", node.link, target]
            elif node.kind == "dir":
                made.args += [*perms, "--tmpfs" if target in volumes else "--dir", target]
            elif node.blob and node.mode == _BINDABLE:
                made.args += ["--ro-bind", node.blob, target]
            else:
                made.args += [*perms, "--file", f"{FILE}{len(made.files)}", target]
                made.files.append(node.blob or len(node.data))
                made.data += node.data
        made.args += ["--chmod", f"{self._implied:04o}", "/"]
        passwd = self._nodes.get("etc/passwd")
        made.passwd = passwd.data if passwd is not None else b""
        return made
