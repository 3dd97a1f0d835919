"""A session, its policy and upstream become one Proposal."""

import os
from collections.abc import Mapping
from dataclasses import replace

from scratchtasks.core.errors import ConfigError, ConfigErrors
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Pin
from scratchtasks.execute.extras import PROJECTS
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.compare import meaning_of
from scratchtasks.refresh.index import Release
from scratchtasks.refresh.policy import Policy, choose, policy_of
from scratchtasks.refresh.proposal import Move, Proposal, pins_after
from scratchtasks.refresh.upstream import RunModule, releases_of

from .compiled import compilers_moved
from .compilers import compiler_moves, compilers_of
from .contents import expiring_authorities, wheel_of
from .elsewhere import moved_sources
from .forecast import forecast
from .swaps import swaps

_MAX_WHEEL = 64 << 20
"""Bytes; some hundred times what certifi and tzdata have today."""


def propose(
    session: Session, locked: Mapping[str, Pin] | None, now: float, run_module: RunModule
) -> Proposal:
    """What is new upstream for *session*'s pins, and what taking it would mean.

    *locked* are the pins in scratch.lock, None without one; *now* is seconds since 1970.

    Raises: ScratchError when upstream cannot be asked or what it has is not sound.
    """
    policy = policy_of(session.declared.refresh)
    pins = session.world.pins
    found = look_up(session, policy, now, run_module)
    moves = tuple(
        _fetched(move, session) if move.new.kind == "pypi" else move for move in found.moves
    )
    used = {name for action in session.graph.actions.values() for name in pins_of(action)}
    moved = {move.new.name for move in moves}
    missing = [
        Move(None, pin, "was not in scratch.lock")
        for name, pin in pins.items()
        if name in used and name not in (locked or {}) and name not in moved
    ]
    roots, zones = swaps(session, moves)
    meaning = meaning_of(roots, zones, now=now, warn_days=policy.warn_days)
    after = pins_after(pins, moves)
    world = replace(session.world, pins=after)
    compilers = compilers_moved(session, found.compilers, moves, world)
    fates, unbuildable = forecast(session, after, compilers) if moves else ((), ())
    return Proposal(
        moves=(*moves, *missing),
        roots=meaning.roots,
        zones=meaning.zones,
        alarms=(*meaning.alarms, *unbuildable),
        images=fates,
        expiring=tuple(expiring_authorities(session, now, policy.warn_days)),
        notes=(*found.notes, *meaning.notes),
        is_new_lock=locked is None and bool(used),
    )


@dataclass(frozen=True, slots=True)
class LookUp:
    """What upstream has for each pin that is looked up, and what the policy makes of it.

    *notes* tell of releases that wait.  *compilers* are the pins of compilers as they are, or
    would be for what is installed.
    """

    moves: tuple[Move, ...]
    notes: tuple[str, ...]
    releases: Mapping[str, tuple[Release, ...]]
    compilers: Mapping[str, Pin]


def look_up(session: Session, policy: Policy, now: float, run_module: RunModule) -> LookUp:
    """Ask upstream about every pin that *policy* lets move: the index, then other sources.

    Raises: ConfigErrors with all that is wrong with the index's; ScratchError of a source.
    """
    used = {name for action in session.graph.actions.values() for name in pins_of(action)}
    used |= session.declared.locked
    asked = {
        name: pin
        for name, pin in session.world.pins.items()
        if name in used and pin.kind == "pypi" and policy.rule(name) != "pinned"
    }
    locked = session.declared.locked
    compilers = {
        project: pin
        for project, pin in compilers_of(session).items()
        if policy.rule(PROJECTS[project]) != "pinned" or project not in locked
    }
    # A private index need not have them: that is a note, no error.
    releases = releases_of([*asked, *compilers], run_module, now, optional=compilers)
    moves: list[Move] = []
    notes = [
        f"[refresh] has a policy for {name}, which nothing here is fetched from"
        for name in policy.rules
        if ":" in name and name not in used
    ]
    faults: list[ConfigError] = []
    for name, pin in asked.items():
        try:
            choice = choose(pin, releases[name], policy, now)
        except ConfigError as error:
            faults.append(error)
            continue
        found = choice.release
        if found is None:
            notes += [choice.why] * bool(choice.why)
            continue
        if found.size > _MAX_WHEEL:
            what = f"wanted at most {_MAX_WHEEL} bytes, the index says {found.size}"
            faults.append(ConfigError(found.filename, what))
            continue
        new = Pin(
            name=name,
            version=found.version,
            sha256=found.sha256,
            size=found.size,
            filename=found.filename,
            date=found.date,
        )
        moves.append(Move(pin, new, choice.why))
    try:
        pinned, told = compiler_moves(compilers, locked, releases, policy, now)
        moves += pinned
        notes += told
    except ConfigError as error:
        faults.append(error)
    if faults:
        raise ConfigErrors(tuple(faults))
    elsewhere, told = moved_sources(session, lambda name: policy.rule(name) != "pinned")
    moves += elsewhere
    notes += told
    return LookUp(tuple(moves), tuple(notes), releases, compilers)


def _fetched(move: Move, session: Session) -> Move:
    """*move* once its wheel is in the store and verified; its size is the file's own."""
    path = wheel_of(move.new, session.world)
    return replace(move, new=replace(move.new, size=os.path.getsize(path)))
