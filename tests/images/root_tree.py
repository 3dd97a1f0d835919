"""The root file system that a stack of layers makes, as one flat table."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_KINDS = {tarfile.REGTYPE: "file", tarfile.DIRTYPE: "dir", tarfile.SYMTYPE: "symlink"}


@dataclass(frozen=True, slots=True)
class Node:
    """What stands at one path; *content* is the SHA-256 of a file, or where a symlink points."""

    kind: str
    mode: int
    uid: int
    gid: int
    content: str = ""


@dataclass(frozen=True, slots=True)
class Tree:
    """All nodes by path, without a leading slash; *links* are the paths that are hard links."""

    nodes: dict[str, Node]
    links: frozenset[str]
    mtimes: frozenset[int]


def tree_of(layers: Iterable[bytes]) -> Tree:
    """The tree that *layers* (tars, compressed or not, lowest first) make together."""
    nodes: dict[str, Node] = {}
    links: set[str] = set()
    mtimes: set[int] = set()
    for layer in layers:
        with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
            for member in archive:
                path = member.name.strip("/")
                assert not path.rpartition("/")[2].startswith(".wh."), f"a whiteout: {path}"
                mtimes.add(int(member.mtime))
                if member.islnk():
                    nodes[path] = nodes[member.linkname.strip("/")]
                    links.add(path)
                else:
                    nodes[path] = _node(archive, member)
    return Tree(nodes, frozenset(links), frozenset(mtimes))


def _node(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Node:
    content = member.linkname
    file = archive.extractfile(member) if member.isfile() else None
    if file is not None:
        content = hashlib.sha256(file.read()).hexdigest()
    # Some writers put the type of file into the mode as well.
    return Node(_KINDS[member.type], member.mode & 0o7777, member.uid, member.gid, content)


def saved_image(archive: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The config and the layers, lowest first, of the one image in what `docker save` wrote."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as saved:

        def read(name: str) -> bytes:
            file = saved.extractfile(name)
            assert file is not None, name
            return file.read()

        (image,) = json.loads(read("manifest.json"))
        config: dict[str, Any] = json.loads(read(image["Config"]))
        return config, [read(name) for name in image["Layers"]]
