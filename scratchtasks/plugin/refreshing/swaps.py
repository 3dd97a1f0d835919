"""Which sources of roots and zones have another content after a proposal, and who uses them."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from scratchtasks.core.action import Action
from scratchtasks.core.target import Pin, Service
from scratchtasks.execute.operation import World
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.compare import RootsSwap, Swap, ZonesSwap
from scratchtasks.refresh.proposal import Move

from .contents import certificates_of, zones_of
from .elsewhere import certificates_from, fetches, has_content, zones_from
from .parts import parts_of

T = TypeVar("T")


def swaps(
    session: Session, moves: Iterable[Move]
) -> tuple[tuple[RootsSwap, ...], tuple[ZonesSwap, ...]]:
    """The swaps that *moves* bring about."""
    roots: list[RootsSwap] = []
    zones: list[ZonesSwap] = []
    for move in moves:
        old = move.old
        if old is None or not move.is_moved:
            continue
        if old.kind == "pypi":
            if old.name == "certifi":
                roots.append(_of_wheel(old, move.new, certificates_of, "certs", session))
            elif old.name == "tzdata":
                zones.append(_of_wheel(old, move.new, zones_of, "zoneinfo", session))
            continue
        for action in _fetches_of(session, old.name):
            if not has_content(action, _with(move.new, session), session.world):
                continue  # the forecast says which images cannot be built then
            if action.params["what"] == "roots":
                roots.append(_of_fetch(old, move.new, action, certificates_from, "certs", session))
            elif action.params["what"] == "zones":
                zones.append(_of_fetch(old, move.new, action, zones_from, "zoneinfo", session))
    return tuple(roots), tuple(zones)


def _of_wheel(
    old: Pin, new: Pin, read: Callable[[Pin, World], T], kind: str, session: Session
) -> Swap[T]:
    return Swap(
        name=old.name,
        was=f"{old.name} {old.version}",
        old=partial(read, old, session.world),
        new=partial(read, new, session.world),
        services=_users(session, kind, ""),
    )


def _of_fetch(
    old: Pin,
    new: Pin,
    action: Action,
    read: Callable[[Action, Mapping[str, Pin], World], T],
    kind: str,
    session: Session,
) -> Swap[T]:
    return Swap(
        name=_name(session, action),
        was=f"{old.name} {old.version}",
        old=partial(read, action, _with(old, session), session.world),
        new=partial(read, action, _with(new, session), session.world),
        services=_users(session, kind, action.name),
    )


def _with(pin: Pin, session: Session) -> Mapping[str, Pin]:
    return {**session.world.pins, pin.name: pin}


def _fetches_of(session: Session, pin: str) -> list[Action]:
    return [action for action in fetches(session) if pins_of(action) == (pin,)]


def _name(session: Session, action: Action) -> str:
    """The pin's, and the path where services take the like from more than one."""
    (pin,) = pins_of(action)
    alike = [
        each for each in _fetches_of(session, pin) if each.params["what"] == action.params["what"]
    ]
    return pin if len(alike) == 1 else f"{pin} {action.params['path']}"


def _users(session: Session, kind: str, source: str) -> tuple[Service, ...]:
    """The services whose layer *kind* is made from the fetch action *source*, "" for a wheel."""
    users = []
    for name, service in session.graph.services.items():
        layer = parts_of(session, name).get(f"layer:{kind}")
        if layer is None:
            continue
        is_wheels = "source" not in layer.params and layer.params.get("public") is not False
        if layer.deps.get("source") == source if source else is_wheels:
            users.append(service)
    return tuple(users)
