"""Which sources of roots and zones have another content after a proposal, and who uses them."""

from collections.abc import Iterable
from functools import partial

from scratchtasks.core.action import Action
from scratchtasks.core.target import Service
from scratchtasks.execute.sources.pinned import pins_of
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.compare import RootsSwap, Swap, ZonesSwap
from scratchtasks.refresh.proposal import Move

from .contents import certificates_of, zones_of
from .elsewhere import certificates_from, fetches, has_content, zones_from
from .parts import parts_of


def swaps(
    session: Session, moves: Iterable[Move]
) -> tuple[tuple[RootsSwap, ...], tuple[ZonesSwap, ...]]:
    """The swaps that *moves* bring about."""
    roots: list[RootsSwap] = []
    zones: list[ZonesSwap] = []
    for move in moves:
        old, new = move.old, move.new
        if old is None or not move.is_moved:
            continue
        was = f"{old.name} {old.version}"
        if old.kind == "pypi":
            world = session.world
            if old.name == "certifi":
                roots.append(
                    Swap(
                        name=old.name,
                        was=was,
                        old=partial(certificates_of, old, world),
                        new=partial(certificates_of, new, world),
                        services=_users(session, "certs", ""),
                    )
                )
            elif old.name == "tzdata":
                zones.append(
                    Swap(
                        name=old.name,
                        was=was,
                        old=partial(zones_of, old, world),
                        new=partial(zones_of, new, world),
                        services=_users(session, "zoneinfo", ""),
                    )
                )
            continue
        for action in _fetches_of(session, old.name):
            world, pins = session.world, session.world.pins
            before, after = {**pins, old.name: old}, {**pins, new.name: new}
            if not has_content(action, after, world):
                continue  # the forecast says which images cannot be built then
            if action.params["what"] == "roots":
                roots.append(
                    Swap(
                        name=_name(session, action),
                        was=was,
                        old=partial(certificates_from, action, before, world),
                        new=partial(certificates_from, action, after, world),
                        services=_users(session, "certs", action.name),
                    )
                )
            elif action.params["what"] == "zones":
                zones.append(
                    Swap(
                        name=_name(session, action),
                        was=was,
                        old=partial(zones_from, action, before, world),
                        new=partial(zones_from, action, after, world),
                        services=_users(session, "zoneinfo", action.name),
                    )
                )
    return tuple(roots), tuple(zones)


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
