"""What other pins would make of each image, by making the layers that they touch.

Layers come from the real operations, so that nothing is guessed; only compilers are never
started, and an image whose binary is not at hand gets its reasons without its digest.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Pin
from scratchtasks.execute.engine import Engine, How
from scratchtasks.execute.operation import Done, Job, World
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.plan import run_probes
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Alarm, Fate

from .parts import parts_of

Results = Mapping[str, ActionResult | ScratchError]

TOUCHED = frozenset({"essentials", "fetch"})
"""Operations that pins touch; all others take what these give, or nothing of them."""


class _Nobody:
    """Is told what happens and says nothing."""

    def started(self, actions: Sequence[Action], reason: str) -> None:
        """Nothing."""

    def finished(self, action: Action, how: How, seconds: float, reason: str, size: int) -> None:
        """Nothing."""


def forecast(
    session: Session, pins: Mapping[str, Pin]
) -> tuple[tuple[Fate, ...], tuple[Alarm, ...]]:
    """The Fate of every image under *pins*, and an Alarm for each that could not be built then.

    An image without reasons is byte-identical.  Binaries and rules are taken as they are.
    """
    images = {name: _image_action(session, name) for name in session.graph.services}
    behind = _behind(session)
    before = results_under(session, behind, session.world.pins, "before")
    after = results_under(session, behind, pins, "after")
    run_probes(session.engine, behind)
    fates, alarms = [], []
    for name, action in images.items():
        reasons = []
        for alias, part in parts_of(session, name).items():
            if part.name not in after:
                continue
            new = after[part.name]
            if isinstance(new, ScratchError):
                alarms.append(Alarm(str(action.label), f"cannot be built: {_without_hint(new)}"))
            reasons.append(_reason(alias, part, before[part.name], new))
        reasons = [reason for reason in reasons if reason]
        if reasons:
            old = _digest(session, action, before, session.world.pins)
            new_digest = _digest(session, action, after, pins)
        else:
            result = session.engine.verdict(action.name).result
            old = new_digest = result.outputs["top"].digest if result else ""
        if old and new_digest == old:
            reasons = []
        fates.append(Fate(name=name, reasons=tuple(reasons), old=old, new=new_digest))
    return tuple(fates), tuple(alarms)


def results_under(
    session: Session, names: Iterable[str], pins: Mapping[str, Pin], folder: str
) -> Results:
    """The results of those actions *names* that pins touch, under *pins*, or why there is none.

    *names* have dependencies first.  Made with stamps of their own, in *folder* of
    `.scratch/refresh`: the session's say what is in `dist/`.
    """
    actions = session.graph.actions
    touched = {name: actions[name] for name in names if actions[name].op in TOUCHED}
    scratch = os.path.join(session.world.scratch, "refresh", folder)
    world = replace(session.world, pins=pins, scratch=scratch)
    engine = Engine(world, touched, OPERATIONS, _Nobody())
    made: dict[str, ActionResult | ScratchError] = {}
    for name, action in touched.items():
        below = (made.get(dep) for dep in action.deps.values())
        failure = next((each for each in below if isinstance(each, ScratchError)), None)
        if failure is not None:
            made[name] = failure  # what a layer cannot be made of is why it cannot be made
            continue
        try:
            made[name] = engine.build(name)
        except ScratchError as error:
            made[name] = error
    return made


def _image_action(session: Session, name: str) -> Action:
    return session.graph.actions[session.graph.tasks[f"image:{name}"].actions[-1]]


def _behind(session: Session) -> list[str]:
    """Names of all actions that root file systems are made from, dependencies first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        for dep in session.graph.actions[name].deps.values():
            visit(dep)
        found[name] = None

    for service in session.graph.services:
        for part in parts_of(session, service).values():
            visit(part.name)
    return list(found)


def _without_hint(error: ScratchError) -> str:
    """*error* on one line: an alarm is an item of a list."""
    return str(error).partition("\n    hint: ")[0]


def _reason(
    alias: str, action: Action, old: ActionResult | ScratchError, new: ActionResult | ScratchError
) -> str:
    """Why an image that depends on *action* as *alias* gets a new digest, or ""."""
    kind = alias.removeprefix("layer:")
    if action.op == "fetch":
        kind = f"{action.params.get('image', '')}:{action.params.get('path', '')}"
    if isinstance(new, ScratchError):
        return f"{kind} cannot be made any more"
    if isinstance(old, ScratchError):
        return f"{kind}: {_versions(new)}, and what it was cannot be told"
    # Not the tree: it tells the origin of each file, which is in no image.
    output = "file" if action.op == "fetch" else "layer"
    if old.outputs[output].digest != new.outputs[output].digest:
        if _versions(old) == _versions(new):
            return f"{kind}: other bytes of {_versions(new)}"
        return f"{kind}: {_versions(old)} → {_versions(new)}"
    if old.facts.get("versions") != new.facts.get("versions"):
        return f"{kind}: the same files, now of {_versions(new)} (annotation only)"
    return ""


def _versions(result: ActionResult) -> str:
    facts = result.facts
    versions = facts.get("versions", {}).items()
    return ", ".join(f"{name} {version}" for name, version in versions) or facts.get("version", "?")


def _digest(session: Session, image: Action, results: Results, pins: Mapping[str, Pin]) -> str:
    """The digest of *image* with *results*; "" when something else that it needs is not built."""
    made = _made(session, image.name, results, replace(session.world, pins=pins))
    return made.outputs["top"].digest if made else ""


def _made(session: Session, name: str, results: Results, world: World) -> ActionResult | None:
    if name in results:
        result = results[name]
        return None if isinstance(result, ScratchError) else result
    action = session.graph.actions[name]
    if action.op not in ("image", "rootfs"):
        return session.engine.verdict(name).result
    deps: dict[str, ActionResult] = {}
    for alias, dep in action.deps.items():
        made = _made(session, dep, results, world)
        if made is None:
            return None
        deps[alias] = made
    outcome = OPERATIONS[action.op].run([Job(action, deps)], world)[name]
    return (
        ActionResult(outputs=outcome.outputs, facts=outcome.facts)
        if isinstance(outcome, Done)
        else None
    )
