"""What other roots and zones mean, source by source, and what must not be missing from them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.target import Service

from .alarms import root_alarms, zone_alarms
from .proposal import Alarm
from .roots import Root, RootsDiff, diff_roots, expiring, roots_of
from .tzif import parse_tzif
from .zones import ZonesDiff, diff_zones, zone_ids

T = TypeVar("T")
R = TypeVar("R")


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

    What was pinned until now may have been deleted upstream and be nowhere in the store, or not be
    sound: then a note says that it cannot be compared, and everything that is named counts as
    having been there.

    Raises: ScratchError when what is to be pinned cannot be fetched or read.
    """
    notes: list[str] = []
    alarms: list[Alarm] = []
    zone_diffs: dict[str, ZonesDiff] = {}
    for swap in zones:
        files = swap.new()
        before = _or_note(_old_zones, swap, notes)
        if before is not None:
            zone_diffs[swap.name] = diff_zones(before, files, now)
        known = _named(swap.services) if before is None else zone_ids(before)
        alarms += zone_alarms(swap.services, known, zone_ids(files))
    root_diffs: dict[str, RootsDiff] = {}
    for pems in roots:
        after = roots_of(pems.new(), pems.name)
        have = _or_note(_old_roots, pems, notes)
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


def _or_note(read: Callable[[Swap[T]], R], swap: Swap[T], notes: list[str]) -> R | None:
    try:
        return read(swap)
    except ScratchError as error:
        why = f"{error.where}: {error.what}".removeprefix(f"{swap.was}: ")
        notes.append(f"{swap.was} cannot be compared with: {why}")
        return None


def _old_zones(swap: ZonesSwap) -> Mapping[str, bytes]:
    files = swap.old()
    for zone in zone_ids(files):
        parse_tzif(files[zone], zone)
    return files


def _old_roots(swap: RootsSwap) -> tuple[Root, ...]:
    return roots_of(swap.old(), swap.was)


def _named(services: Iterable[Service]) -> set[str]:
    return {zone for service in services for zone in service.zones}
