"""Find the stale actions that are best made together: by one compiler call, or side by side."""

from collections.abc import Iterable, Sequence

from scratchtasks.core.action import Action
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all
from scratchtasks.core.platform import Platform

from .engine import Engine

Batch = tuple[str, ...]
"""Names of actions that one call makes."""

Chain = tuple[str, ...]
"""Names of actions, each after those that it needs."""

_COMPILERS = frozenset({"c_build", "cargo_build", "go_build"})
"""Operations that wait for a program, which leaves cores idle while it links."""

_OWN_WORK = frozenset({"prebuilt", "rootfs", "image"})
"""Operations that do their work in this process, and leave cores idle if made one by one: while
one layer is compressed, Python is free for another image's small files."""


@dataclass(frozen=True, slots=True)
class Plan:
    """*batches* first, side by side; then *groups* of chains, one after the other, the chains side
    by side.

    Or *later*: the actions for which that can only be told when the run gets to them.  Nothing in
    a plan is needed for a right result, only for a quick one.
    """

    batches: tuple[Batch, ...] = ()
    groups: tuple[tuple[Chain, ...], ...] = ()
    later: tuple[str, ...] = ()


def run_probes(engine: Engine, names: Iterable[str]) -> None:
    """Run the stale probes among *names* (`go list` …), those that go together in one call, and
    the calls side by side.

    A probe that fails keeps its error for the action that asks for it.
    """
    probes = [name for name in names if engine.actions[name].is_probe]
    map_all(engine.run, _batches(engine, probes))
    for name in probes:
        try:
            engine.build(name)
        except ScratchError:
            continue


def run_batches(engine: Engine, batches: Sequence[Batch], workers: int) -> None:
    """Run *batches* on *workers* threads (0: one for each core).  Raises: Cancelled.

    The first of each operation and platform goes ahead of its like: what the others need too, of
    a standard library say, is in the compiler's cache by then, and is compiled once.
    """
    first: dict[tuple[str, Platform | None], Batch] = {}
    for batch in batches:
        action = engine.actions[batch[0]]
        first.setdefault((action.op, action.platform), batch)
    ahead = list(first.values())
    map_all(engine.run, ahead, workers)
    map_all(engine.run, [batch for batch in batches if batch not in ahead], workers)


def plan(engine: Engine, names: Sequence[str], together: int, *, with_singles: bool = True) -> Plan:
    """What is best made together of the actions *names*, which come after those they need.

    A group has *together* chains at most.  Compiler calls that make a single action are batches
    *with_singles* only: without, they are left to doit, which has several tasks at work.
    """
    others = [name for name in names if not engine.actions[name].is_probe]
    batches = _batches(engine, others)
    if not with_singles or len(batches) < 2:
        batches = [batch for batch in batches if len(batch) > 1]
    shared = [name for name in others if _is_shared(engine, name)]
    chains = _chains(engine, others, {*shared, *(name for batch in batches for name in batch)})
    if len(chains) < 2:
        return Plan(tuple(batches))
    groups = [chains[at : at + together] for at in range(0, len(chains), together)]
    if shared:
        groups.insert(0, [(name,) for name in shared])
    return Plan(tuple(batches), tuple(map(tuple, groups)))


def failures_of(engine: Engine, names: Iterable[str]) -> list[tuple[Action, str]]:
    """Those of *names* that cannot be made as all is now, each with its error; for one that waits
    for another the other's."""
    found = ((name, engine.verdict(name).error) for name in names)
    return [(engine.actions[name], str(error)) for name, error in found if error is not None]


def _batches(engine: Engine, names: Iterable[str]) -> list[Batch]:
    groups: dict[tuple[str, str], list[str]] = {}
    for name in names:
        verdict = engine.verdict(name)
        if verdict.job is None or verdict.result is not None:
            continue
        action = verdict.job.action
        try:
            key = engine.operation(action).batch_key(verdict.job, engine.world)
        except ScratchError:
            continue  # the action itself reports it when it is built
        if key or action.op in _COMPILERS:
            groups.setdefault((action.op, key or name), []).append(name)
    return [tuple(group) for group in groups.values()]


def _is_shared(engine: Engine, name: str) -> bool:
    """Whether *name* is a stale layer of essentials, which many root file systems wait for."""
    if engine.actions[name].op != "essentials":
        return False
    verdict = engine.verdict(name)
    return verdict.job is not None and verdict.result is None


def _chains(engine: Engine, names: Iterable[str], before: set[str]) -> list[Chain]:
    """The stale actions of our own work that need nothing but those *before* and each other."""
    chains: dict[str, list[str]] = {}  # by each of their names
    for name in names:
        action, verdict = engine.actions[name], engine.verdict(name)
        if action.op not in _OWN_WORK or verdict.error or verdict.result is not None:
            continue
        stale = [dep for dep in action.deps.values() if engine.verdict(dep).result is None]
        joined = {id(chains[dep]): chains[dep] for dep in stale if dep in chains}
        if not all(dep in chains or dep in before for dep in stale):
            continue
        chain = [*(each for part in joined.values() for each in part), name]
        chains.update(dict.fromkeys(chain, chain))
    return list(map(tuple, {id(chain): chain for chain in chains.values()}.values()))
