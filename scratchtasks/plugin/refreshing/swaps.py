"""Which sources of roots and zones have another content after a proposal, and who uses them."""

from collections.abc import Iterable
from functools import partial

from scratchtasks.core.target import Service
from scratchtasks.plugin.session import Session
from scratchtasks.refresh.compare import RootsSwap, Swap, ZonesSwap
from scratchtasks.refresh.proposal import Move

from .contents import certificates_of, zones_of


def swaps(
    session: Session, moves: Iterable[Move]
) -> tuple[tuple[RootsSwap, ...], tuple[ZonesSwap, ...]]:
    """The swaps that *moves* of wheels bring about."""
    services: tuple[Service, ...] = tuple(session.graph.services.values())
    roots: list[RootsSwap] = []
    zones: list[ZonesSwap] = []
    for move in moves:
        old = move.old
        if old is None or not move.is_moved:
            continue
        was = f"{old.name} {old.version}"
        if old.name == "certifi":
            roots.append(
                Swap(
                    name=old.name,
                    was=was,
                    old=partial(certificates_of, old, session.world),
                    new=partial(certificates_of, move.new, session.world),
                    services=services,
                )
            )
        elif old.name == "tzdata":
            zones.append(
                Swap(
                    name=old.name,
                    was=was,
                    old=partial(zones_of, old, session.world),
                    new=partial(zones_of, move.new, session.world),
                    services=services,
                )
            )
    return tuple(roots), tuple(zones)
