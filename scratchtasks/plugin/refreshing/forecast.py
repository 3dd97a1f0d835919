"""What other pins would make of each image, by making the layers that they touch.

Layers come from the real operations, so that nothing is guessed; only compilers are never
started, and an image whose binary is not at hand gets its reasons without its digest.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace

from scratchtasks.core.action import Action, ActionResult
from scratchtasks.core.errors import ScratchError, SinkError, StoreError
from scratchtasks.core.target import Pin
from scratchtasks.execute.engine import Engine, Nobody
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.plan import run_probes
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.proposal import Alarm, Fate

from .assembled import Known, Results
from .compiled import Compiled, recompiled
from .parts import parts_of

TOUCHED = frozenset({"essentials", "fetch"})
"""Operations that pins touch; all others take what these give, or nothing of them."""


def forecast(
    session: Session, pins: Mapping[str, Pin], compilers: Mapping[str, str]
) -> tuple[tuple[Fate, ...], tuple[Alarm, ...]]:
    """The Fate of every image under *pins*, and an Alarm for each that could not be built then.

    *compilers* are those that move, as `compilers_moved` says.  An image without reasons is
    byte-identical.

    Raises: StoreError, SinkError: a full disk says nothing of what there is to build from.
    """
    behind = _behind(session)
    # An old compiler is not fetched only to learn what it made.
    world = replace(session.world, is_offline=True)
    engine = Engine(world, session.graph.actions, OPERATIONS, Nobody())
    run_probes(engine, behind)
    world = replace(session.world, pins=pins)
    now = Known(
        engine=engine,
        world=session.world,
        results=results_under(session, behind, session.world.pins, "before"),
        compiled={},
    )
    then = Known(
        engine=engine,
        world=world,
        results=results_under(session, behind, pins, "after"),
        compiled=recompiled(engine, behind, compilers, world),
    )
    for error in then.results.values():
        if isinstance(error, StoreError | SinkError):
            raise error
    found = [_fate(session, name, now, then) for name in session.graph.services]
    return tuple(fate for fate, _ in found), tuple(alarm for _, all_ in found for alarm in all_)


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
    engine = Engine(world, touched, OPERATIONS, Nobody())
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


def _fate(session: Session, name: str, now: Known, then: Known) -> tuple[Fate, list[Alarm]]:
    image = session.graph.actions[session.graph.tasks[f"image:{name}"].actions[-1]]
    sure: list[str] = []
    perhaps: list[str] = []
    alarms: list[Alarm] = []
    for alias, part in parts_of(session, name).items():
        compiled = then.compiled.get(part.name)
        if compiled is not None:
            error = compiled.error
            perhaps.append(_recompiled(alias, compiled))
        elif part.name in then.results:
            new = then.results[part.name]
            error = new if isinstance(new, ScratchError) else None
            sure.append(_reason(alias, part, now.results[part.name], new))
        else:
            continue
        if error is not None:
            alarms.append(Alarm(str(image.label), f"cannot be built: {_without_hint(error)}"))
    reasons = tuple(dict.fromkeys(reason for reason in (*sure, *perhaps) if reason))
    if reasons:
        old, why_old = now.digest(image)
        new_digest, why_new = then.digest(image)
    else:
        old, why_old = now.digest_as_built(image)
        new_digest, why_new = old, ""
    if old and new_digest == old:
        reasons = ()
    fate = Fate(
        name=name,
        reasons=reasons,
        old=old,
        new=new_digest,
        unknown=why_old or why_new,
        is_sure=any(sure) or bool(old and new_digest),
    )
    return fate, alarms


def _without_hint(error: ScratchError) -> str:
    """*error* on one line: an alarm is an item of a list."""
    return str(error).partition("\n    hint: ")[0]


def _recompiled(alias: str, compiled: Compiled) -> str:
    """Why an image with the binary *alias* (`binary:api@linux/amd64`) may get a new digest."""
    name = alias.partition("@")[0].replace(":", " ")
    if compiled.error is not None:
        return f"{name} cannot be compiled any more: {compiled.by}"
    return f"{name} {'may change' if compiled.result is None else 'changes'}: {compiled.by}"


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
