"""Which compilers of a run came from PyPI: scratch.lock pins those, and only those."""

from collections.abc import Callable, Collection

from scratchtasks.core.errors import ScratchError

from .golang.toolchain import find_go
from .operation import World
from .toolchains import Toolchain
from .zig import find_zig


def packaged_toolchains(ops: Collection[str], world: World) -> list[str]:
    """The PyPI projects that compilers for *ops* are from, sorted; none for the machine's own."""
    finders: list[Callable[[], Toolchain]] = []
    if "go_build" in ops:
        finders.append(lambda: find_go(world))
    if "c_build" in ops:
        finders.append(lambda: find_zig(world, "zig"))
    found = set()
    for find in finders:
        try:
            found.add(find().package)
        except ScratchError:
            pass  # building says it, where it can be understood
    return sorted(found - {""})
