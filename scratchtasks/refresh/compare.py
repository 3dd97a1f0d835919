"""What other roots and zones mean, source by source, and what must not be missing from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Service

from .alarms import root_alarms, zone_alarms
from .proposal import Alarm
from .roots import RootsDiff, diff_roots, expiring, roots_of
from .zones import ZonesDiff, diff_zones, zone_ids

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap(Generic[T]):
    """A source whose content is another from now on; *services* are those that use it.

    *name* is the source's in scratch.lock, *was* what was pinned, for people.  *old* and *new*
    fetch and verify what is not at hand, and raise ScratchError.
    """

    name: str
    was: str
    old: Callable[[], T]
    new: Callable[[], T]
    services: Sequence[Service] = ()


RootsSwap = Swap[Sequence[bytes]]
"""Certificates as DER, in order."""

ZonesSwap = Swap[Mapping[str, bytes]]
"""Files by path below zoneinfo/."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What swaps mean, by the name of their source."""

    roots: Mapping[str, RootsDiff]
    zones: Mapping[str, ZonesDiff]
    alarms: tuple[Alarm, ...] = ()
    notes: tuple[str, ...] = ()


def meaning_of(
    roots: Iterable[RootsSwap], zones: Iterable[ZonesSwap], *, now: float, warn_days: int
) -> Meaning:
    """What all swaps mean, and what their services name that would disappear.

    What was pinned until now may have been deleted upstream and be nowhere in the store: then a
    note says that it cannot be compared, and everything that is named counts as having been there.

    Raises: ScratchError when what is to be pinned cannot be fetched or read.
    """
    notes: list[str] = []
    alarms: list[Alarm] = []
    zone_diffs: dict[str, ZonesDiff] = {}
    for swap in zones:
        files = swap.new()
        before = _or_note(swap, notes)
        if before is not None:
            zone_diffs[swap.name] = diff_zones(before, files, now)
        known = _named(swap.services) if before is None else zone_ids(before)
        alarms += zone_alarms(swap.services, known, zone_ids(files))
    root_diffs: dict[str, RootsDiff] = {}
    for pems in roots:
        after = roots_of(pems.new(), pems.name)
        ders = _or_note(pems, notes)
        have = None if ders is None else roots_of(ders, pems.was)
        if have is None:
            root_diffs[pems.name] = RootsDiff(expiring=expiring(after, now, warn_days))
        else:
            root_diffs[pems.name] = diff_roots(have, after, now, warn_days)
        alarms += root_alarms(pems.services, have, after)
    return Meaning(
        roots={name: diff for name, diff in root_diffs.items() if diff},
        zones={name: diff for name, diff in zone_diffs.items() if diff},
        alarms=tuple(alarms),
        notes=tuple(notes),
    )


def _or_note(swap: Swap[T], notes: list[str]) -> T | None:
    try:
        return swap.old()
    except ScratchError as error:
        notes.append(f"{swap.was} cannot be compared with: {error.what}")
        return None


def _named(services: Iterable[Service]) -> set[str]:
    return {zone for service in services for zone in service.zones}
