"""What other pins would make of each image, by making the layers that they touch.

Layers come from the real operations, so that nothing is guessed; only compilers are never
started, and an image whose binary is not at hand gets its reasons without its digest.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Pin
from scratchtasks.execute.engine import Engine, How
from scratchtasks.execute.operation import Done, Job
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.plan import run_probes
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Alarm, Fate

Layers = Mapping[str, ActionResult | ScratchError]


class _Nobody:
    """Is told what happens and says nothing."""

    def started(self, actions: Sequence[Action], reason: str) -> None:
        """Nothing."""

    def finished(self, action: Action, how: How, seconds: float, reason: str) -> None:
        """Nothing."""


def forecast(
    session: Session, pins: Mapping[str, Pin]
) -> tuple[tuple[Fate, ...], tuple[Alarm, ...]]:
    """The Fate of every image under *pins*, and an Alarm for each that could not be built then.

    An image without reasons is byte-identical.  Binaries and rules are taken as they are.
    """
    images = {name: _image_action(session, name) for name in session.graph.services}
    names = {dep for action in images.values() for _, dep in _staged(session, action)}
    before = _layers(session, names, session.world.pins, "before")
    after = _layers(session, names, pins, "after")
    run_probes(session.engine, _behind(session, images.values()))
    fates, alarms = [], []
    for name, action in images.items():
        reasons = []
        for kind, dep in _staged(session, action):
            new = after[dep]
            if isinstance(new, ScratchError):
                alarms.append(Alarm(str(action.label), f"cannot be built: {new}"))
            reasons.append(_reason(kind, before[dep], new))
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


def _image_action(session: Session, name: str) -> Action:
    return session.graph.actions[session.graph.tasks[f"image:{name}"].actions[-1]]


def _staged(session: Session, image: Action) -> Iterator[tuple[str, str]]:
    """The essential layers of *image*: their kind, and the action that makes each."""
    for alias, dep in image.deps.items():
        if session.graph.actions[dep].op == "essentials":
            yield alias.removeprefix("layer:"), dep


def _behind(session: Session, images: Iterable[Action]) -> list[str]:
    """Names of all actions behind *images*, dependencies first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        for dep in session.graph.actions[name].deps.values():
            visit(dep)
        found[name] = None

    for image in images:
        for dep in image.deps.values():
            visit(dep)
    return list(found)


def _layers(session: Session, names: set[str], pins: Mapping[str, Pin], folder: str) -> Layers:
    """The results of the layer actions *names* under *pins*, or why there is none.

    Made with stamps of their own: the session's say what is in `dist/`.
    """
    scratch = os.path.join(session.world.scratch, "refresh", folder)
    world = replace(session.world, pins=pins, scratch=scratch)
    actions = {name: session.graph.actions[name] for name in names}
    engine = Engine(world, actions, OPERATIONS, _Nobody())
    made: dict[str, ActionResult | ScratchError] = {}
    for name in sorted(names):
        try:
            made[name] = engine.build(name)
        except ScratchError as error:
            made[name] = error
    return made


def _reason(kind: str, old: ActionResult | ScratchError, new: ActionResult | ScratchError) -> str:
    if isinstance(new, ScratchError):
        return f"{kind} cannot be made any more"
    versions = _versions(new)
    if isinstance(old, ScratchError):
        return f"{kind}: {versions}, and what it was cannot be told"
    if old.outputs["layer"].digest != new.outputs["layer"].digest:
        return f"{kind}: {_versions(old)} → {versions}"
    if _versions(old) != versions:
        return f"{kind}: the same files, now of {versions} (annotation only)"
    return ""


def _versions(result: ActionResult) -> str:
    return ", ".join(f"{name} {version}" for name, version in result.facts["versions"].items())


def _digest(session: Session, image: Action, layers: Layers, pins: Mapping[str, Pin]) -> str:
    """The digest of *image* with *layers*; "" when something else that it needs is not built."""
    deps: dict[str, ActionResult] = {}
    for alias, dep in image.deps.items():
        result = layers[dep] if dep in layers else session.engine.verdict(dep).result
        if result is None or isinstance(result, ScratchError):
            return ""
        deps[alias] = result
    world = replace(session.world, pins=pins)
    outcome = OPERATIONS[image.op].run([Job(image, deps)], world)[image.name]
    return outcome.outputs["top"].digest if isinstance(outcome, Done) else ""
