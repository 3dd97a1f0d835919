"""What is at a path of an image, its layers applied in order, read no further than needed.

Layers are asked from the top: one that mentions a path, or hides it, is the last one asked.
Source: OCI image-spec v1.1, layer.md, "Applying Changesets".
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from scratchtasks.core.links import HOPS, TooManyLinks, follow

from .untar import Member

_WHITEOUT = ".wh."
_OPAQUE = ".wh..wh..opq"


class Node(NamedTuple):
    """What is at a path: a *member*, the *number* of it in *layer* (0 is the lowest).

    *layer* is -1 for a folder that no layer has an entry for.
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

    Paths are relative to the root and plain.  *load*'s exceptions pass through.
    """

    def __init__(self, count: int, load: Callable[[int], Iterable[Member]]) -> None:
        self._count = count
        self._load = load
        self._layers: dict[int, _Layer] = {}

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

    def _find(self, path: str, below: int) -> Node | None:
        end = follow(path, lambda plain: self._at(plain, below))
        return None if end.rest else end.node

    def _at(self, path: str, below: int) -> Node | None:
        """What is at *path*, whose folders are no symlinks, in the layers *below* a number."""
        node = self._look_up(path, below)
        hops = 0
        while node is not None and node.member.kind == "hardlink":
            hops += 1
            if hops > HOPS:
                raise TooManyLinks
            # A hard link is to what its own layer, or one below, has there.
            link, layers = node.member.link, node.layer + 1
            node = self._look_up(link, layers) or self._find(link, layers)
        return node

    def _look_up(self, path: str, below: int) -> Node | None:
        if not path:
            return _implied(path)
        is_implied = False
        for number in reversed(range(below)):
            layer = self._layer(number)
            if path in layer.members:
                return Node(number, *layer.members[path])
            is_implied = is_implied or path in layer.names
            if layer.is_hiding(path):
                break
        return _implied(path) if is_implied else None

    def _layer(self, number: int) -> "_Layer":
        layer = self._layers.get(number)
        if layer is None:
            layer = self._layers[number] = _Layer(self._load(number))
            # What lies in a folder without an entry goes to where a symlink below leads.
            for folder in layer.implied():
                below = self._look_up(folder, number)
                if below is not None and below.member.kind == "symlink":
                    real = self._find(folder, number)
                    if real is not None and real.member.kind == "dir":
                        layer.move(folder, real.member.path)
        return layer


class _Layer:
    """The members of a layer by path with their numbers; *names* by folder, implied ones too."""

    def __init__(self, members: Iterable[Member]) -> None:
        self.members: dict[str, tuple[int, Member]] = {}
        self.names: dict[str, set[str]] = {}
        self.gone: set[str] = set()
        self.opaque: set[str] = set()
        for number, member in enumerate(members):
            folder, _, name = member.path.rpartition("/")
            if name == _OPAQUE:
                self.opaque.add(folder)
            elif name.startswith(_WHITEOUT):
                hidden = name.removeprefix(_WHITEOUT)
                if hidden and not hidden.startswith(_WHITEOUT):  # aufs's own are `.wh..wh.…`
                    self.gone.add(f"{folder}/{hidden}" if folder else hidden)
            elif name:
                self._add(member.path, number, member)

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
        return found is not None and found[1].kind != "dir"

    def implied(self) -> list[str]:
        """Folders of members that are no members themselves, the upper ones first."""
        return sorted(folder for folder in self.names if folder and folder not in self.members)

    def move(self, folder: str, place: str) -> None:
        """Have all that is in *folder* in *place* instead."""
        inside = f"{folder}/"
        to = f"{place}/" if place else ""
        moved = {path: at for path, at in self.members.items() if path.startswith(inside)}
        for path, (number, member) in moved.items():
            del self.members[path]
            self._add(to + path.removeprefix(inside), number, member)
        for known in (self.gone, self.opaque):
            for path in [path for path in known if f"{path}/".startswith(inside)]:
                known.remove(path)
                known.add((to + f"{path}/".removeprefix(inside)).rstrip("/"))
        for path in [path for path in self.names if f"{path}/".startswith(inside)]:
            del self.names[path]
        above, _, name = folder.rpartition("/")
        self.names.get(above, set()).discard(name)

    def _add(self, path: str, number: int, member: Member) -> None:
        self.members[path] = number, member._replace(path=path)
        while path:
            path, _, name = path.rpartition("/")
            names = self.names.setdefault(path, set())
            if name in names:
                break
            names.add(name)


def _implied(path: str) -> Node:
    return Node(-1, -1, Member(path, "dir", 0o755, 0, ""))


def _above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition("/")[0]
        yield path
