"""Paths followed as the kernel follows them, inside a root that is only known, not unpacked."""

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, Protocol, TypeVar

HOPS = 40
"""Symlinks on the way to one file: Linux's own limit."""


class TooManyLinks(Exception):
    """Symlinks or hard links that lead in a circle."""


class Node(Protocol):
    """What is at a path; *link* is a symlink's target, as written."""

    @property
    def kind(self) -> str: ...
    @property
    def link(self) -> str: ...


AnyNode = TypeVar("AnyNode", bound=Node)


class End(NamedTuple, Generic[AnyNode]):
    """Where a path ends: at *node*, None for nothing, whose *path* has no symlink in it.

    *rest* is what would have to lie below that.
    """

    path: str
    node: AnyNode | None
    rest: tuple[str, ...]


def follow(path: str, look: Callable[[str], AnyNode | None]) -> End[AnyNode]:
    """Where *path* leads to, every symlink followed inside the root.

    *look* tells what is at a path whose folders are no symlinks, a folder at "".

    Raises: TooManyLinks.
    """
    todo = deque(path.split("/"))
    at: list[str] = []
    node = look("")
    hops = 0
    while todo:
        if node is None or node.kind != "dir":
            break
        part = todo.popleft()
        if part in ("", "."):
            continue
        # The root is its own parent.
        way = at[:-1] if part == ".." else [*at, part]
        node = look("/".join(way))
        if node is None or node.kind != "symlink":
            at = way
            continue
        hops += 1
        if hops > HOPS:
            raise TooManyLinks
        at = [] if node.link.startswith("/") else at
        todo.extendleft(reversed(node.link.split("/")))
        node = look("/".join(at))
    return End("/".join(at), node, tuple(todo))
