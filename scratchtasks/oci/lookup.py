"""What is at a path of an image, its layers applied in order, read no further than needed.

Layers are asked from the top: one that mentions a path, or hides it, is the last one asked.  The
members of a layer are put in place one after the other, as programs unpack them: through the
symlinks that are there by then, and each in place of what was there before.
Source: OCI image-spec v1.1, layer.md, "Applying Changesets".
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from scratchtasks.core.links import TooManyLinks, follow

from .untar import Malformed, Member

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"

_NESTED = 256
"""Folders in one another: looking for one takes time with the cube of it."""

_ROOM = 1 << 28
"""Characters of the paths of a layer, those of folders without an entry too: all are in memory."""

_DEEP = 127
"""Layers that ask one another for a folder: Docker's own engine takes no more in an image."""


class Node(NamedTuple):
    """What is at a path: a *member*, the *number* of it in *layer* (0 is the lowest).

    A folder's member has the path at which it is.  *layer* is -1 for a folder that no layer has
    an entry for.  A hard link's Node is that of what it was a link to when it was made.
    """

    layer: int
    number: int
    member: Member

    @property
    def kind(self) -> str:
        return self.member.kind

    @property
    def link(self) -> str:
        return self.member.link


class Layers:
    """The root file system of *count* layers; *load* lists the members of one (0 is the lowest).

    Paths are relative to the root and plain.  Both methods raise Malformed for a layer that no
    program can unpack, and what *load* raises.
    """

    def __init__(self, count: int, load: Callable[[int], Iterable[Member]]) -> None:
        self._count = count
        self._load = load
        self._layers: dict[int, _Layer] = {}
        self._asking = 0

    def find(self, path: str) -> Node | None:
        """What *path* leads to, every symlink followed inside the root, None for nothing.

        Raises: TooManyLinks.
        """
        return self._find(path, self._count)

    def names(self, folder: str) -> list[str]:
        """The names in *folder*, itself no symlink, sorted."""
        found: set[str] = set()
        for number in reversed(range(self._count)):
            layer = self._layer(number)
            found |= layer.names.get(folder, set())
            if folder in layer.opaque or layer.is_hiding(folder) or layer.is_other(folder):
                break
        inside = f"{folder}/" if folder else ""
        return sorted(name for name in found if self._at(f"{inside}{name}", self._count))

    def _find(self, path: str, below: int, way: dict[str, bool] | None = None) -> Node | None:
        """What *path* leads to in the layers *below* a number.

        With a *way* missing folders count as made on it, and it gets each path that was looked
        at, and whether a symlink is there.
        """

        def look(plain: str) -> Node | None:
            if plain.count("/") > _NESTED:
                raise Malformed(f"holds more than {_NESTED} folders in one another")
            found = self._at(plain, below)
            if way is not None and plain:
                way[plain] = found is not None and found.kind == "symlink"
                found = found or _implied(plain)
            return found

        end = follow(path, look)
        return None if end.rest else end.node

    def _at(self, path: str, below: int) -> Node | None:
        """What is at *path*, whose folders are no symlinks, in the layers *below* a number."""
        if not path:
            return _implied(path)
        is_implied = False
        for number in reversed(range(below)):
            layer = self._layer(number)
            if path in layer.members:
                return layer.members[path]
            is_implied = is_implied or path in layer.names
            if layer.is_hiding(path):
                break
        return _implied(path) if is_implied else None

    def _layer(self, number: int) -> "_Layer":
        layer = self._layers.get(number)
        if layer is None:
            if self._asking == _DEEP:
                raise Malformed(f"needs more than {_DEEP} others to tell where its folders are")
            members = list(self._load(number))
            # What is in it by now is looked up while the rest is put in place.
            layer = self._layers[number] = _Layer()
            self._asking += 1
            try:
                for index, member in enumerate(members):
                    self._unpack(layer, Node(number, index, member))
            except BaseException:
                del self._layers[number]
                raise
            finally:
                self._asking -= 1
            layer.forget_way()
        return layer

    def _unpack(self, layer: "_Layer", node: Node) -> None:
        """Do with *layer* what unpacking *node* does to a disk."""
        folder, _, name = node.member.path.rpartition("/")
        if not name:
            return  # the root
        inside = self._inside(layer, node.layer, folder)
        if inside is None:
            if not name.startswith(_WHITEOUT):
                raise Malformed(f"holds entries in {folder[:200]!a}, which is no folder there")
        elif name == _OPAQUE:
            layer.hide(inside.rstrip("/"), layer.opaque)
        elif name.startswith(_WHITEOUT):
            hidden = name.removeprefix(_WHITEOUT)
            if hidden and not hidden.startswith(_WHITEOUT):  # aufs's own are `.wh..wh.…`
                layer.hide(inside + hidden, layer.gone)
        else:
            path = inside + name
            layer.clear(path, node.member.kind)
            if node.member.kind == "hardlink":
                node = self._linked(layer, path, node)
            layer.add(path, node)

    def _inside(self, layer: "_Layer", number: int, folder: str) -> str | None:
        """The path of *folder* by now, ready for a name in it; None if it is something else."""
        known = layer.places.get(folder)
        if known is None:
            try:
                found = self._find(folder, number + 1, layer.way)
            except TooManyLinks:
                found = None
            if found is None or found.kind != "dir":
                return None
            path = found.member.path
            known = layer.places[folder] = f"{path}/" if path else ""
        return known

    def _linked(self, layer: "_Layer", path: str, node: Node) -> Node:
        """What the hard link *node*, at *path*, is a link to."""
        folder, _, name = node.member.link.rpartition("/")
        inside = self._inside(layer, node.layer, folder)
        found = None
        if inside is not None and not f"{inside}{name}/".startswith(f"{path}/"):
            found = self._at(inside + name, node.layer + 1)
        if found is None or found.kind == "dir":
            what = f"{node.member.path[:200]!a} to {node.member.link[:200]!a}"
            raise Malformed(f"holds the hard link {what}, which is no file by then")
        return found


class _Layer:
    """What a layer has put in place so far, by path; *names* by folder, implied ones too.

    *places* are folders that were asked for, as they are written, with where they are, and *way*
    what was looked at for that: they are true until one of those is replaced.
    """

    def __init__(self) -> None:
        self.members: dict[str, Node] = {}
        self.names: dict[str, set[str]] = {}
        self.gone: set[str] = set()
        self.opaque: set[str] = set()
        self.places: dict[str, str] = {}
        self.way: dict[str, bool] = {}
        self.room = _ROOM

    def is_hiding(self, path: str) -> bool:
        """Whether what lower layers have at *path* is not to be seen."""
        if path in self.gone:
            return True
        return any(
            folder in self.gone or folder in self.opaque or self.is_other(folder)
            for folder in _above(path)
        )

    def is_other(self, path: str) -> bool:
        """Whether this layer has something else than a folder at *path*."""
        found = self.members.get(path)
        return found is not None and found.kind != "dir"

    def hide(self, path: str, among: set[str]) -> None:
        """Have *path* *among* those of which nothing in lower layers is seen."""
        among.add(path)
        if path in self.way:
            self.forget_way()

    def clear(self, path: str, kind: str) -> None:
        """Make room at *path* for a member of *kind*: only folders are merged."""
        if kind == "dir":
            if self.is_other(path):
                self.gone.add(path)  # what it has replaced in lower layers does not come back
            if self.way.get(path):
                self.forget_way()
            return
        if path in self.way:
            self.forget_way()
        todo = [path]
        while todo:
            folder = todo.pop()
            self.members.pop(folder, None)
            todo += [f"{folder}/{name}" for name in self.names.pop(folder, ())]

    def add(self, path: str, node: Node) -> None:
        """Put *node* at *path*.  Raises: Malformed once there is no room."""
        if node.member.kind == "dir":
            node = node._replace(member=node.member._replace(path=path))
        self.members[path] = node
        self.room -= len(path) + len(node.link)
        while path:
            if self.room < 0:
                raise Malformed(f"holds paths of more than {_ROOM} characters")
            path, _, name = path.rpartition("/")
            names = self.names.setdefault(path, set())
            if name in names:
                break
            names.add(name)
            self.room -= len(path)

    def forget_way(self) -> None:
        """Have every folder asked for again."""
        self.places.clear()
        self.way.clear()


def _implied(path: str) -> Node:
    return Node(-1, -1, Member(path, "dir", 0o755, 0, ""))


def _above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
