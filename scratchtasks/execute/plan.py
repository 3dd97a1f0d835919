"""Find the stale actions that can be run together: one compiler call instead of a hundred."""

from collections.abc import Iterable

from scratchtasks.core.errors import ScratchError

from .engine import Engine

Batch = tuple[str, ...]


def run_probes(engine: Engine, names: Iterable[str]) -> None:
    """Run the stale probes among *names* (`go list` …), those that go together in one call.

    A probe that fails keeps its error for the action that asks for it.
    """
    probes = [name for name in names if engine.operation(engine.actions[name]).is_probe]
    for batch in _batches(engine, probes):
        engine.run(batch)
    for name in probes:
        try:
            engine.build(name)
        except ScratchError:
            continue


def compile_batches(engine: Engine, names: Iterable[str]) -> list[Batch]:
    """Groups of two or more stale actions among *names* that one call can make."""
    others = [name for name in names if not engine.operation(engine.actions[name]).is_probe]
    return [batch for batch in _batches(engine, others) if len(batch) > 1]


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
        if key:
            groups.setdefault((action.op, key), []).append(name)
    return [tuple(group) for group in groups.values()]
