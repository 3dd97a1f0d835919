"""From two sets of pins to what their difference means, through what the pinned files hold."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.target import Pin, Service

from .alarms import root_alarms, zone_alarms
from .proposal import Alarm, Move
from .roots import Root, RootsDiff, diff_roots, expiring, roots_of
from .zones import ZonesDiff, diff_zones, zone_ids

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """How a pin is read: *certificates* gives DER in order, *zones* files by path below zoneinfo/.

    Both fetch and verify what is not at hand, and raise ScratchError.
    """

    certificates: Callable[[Pin], Sequence[bytes]]
    zones: Callable[[Pin], Mapping[str, bytes]]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What moves mean."""

    roots: RootsDiff
    zones: ZonesDiff
    alarms: tuple[Alarm, ...]
    notes: tuple[str, ...]


def meaning_of(
    moves: Iterable[Move],
    pins: Mapping[str, Pin],
    services: Sequence[Service],
    required: Mapping[str, Sequence[str]],
    contents: Contents,
    *,
    now: float,
    warn_days: int,
) -> Meaning:
    """What *moves* away from *pins* mean for *services*; *required* as root_alarms has it.

    What was pinned until now may have been deleted upstream and be nowhere in the store: then a
    note says that it cannot be compared, and everything that is named counts as having been there.

    Raises: ScratchError when what is to be pinned cannot be fetched or read.
    """
    moved = {move.new.name: move for move in moves if move.is_moved}
    notes: list[str] = []
    alarms: list[Alarm] = []
    zones = ZonesDiff(removed={}, renamed={})
    if "tzdata" in moved:
        new = contents.zones(moved["tzdata"].new)
        old = _or_note(lambda: contents.zones(pins["tzdata"]), pins["tzdata"], notes)
        if old is not None:
            zones = diff_zones(old, new, now)
        before = _named(services) if old is None else zone_ids(old)
        alarms += zone_alarms(services, before, zone_ids(new))
    roots = RootsDiff()
    if "certifi" in moved:
        after = _roots(moved["certifi"].new, contents)
        have = _or_note(lambda: _roots(pins["certifi"], contents), pins["certifi"], notes)
        if have is not None:
            roots = diff_roots(have, after, now, warn_days)
        else:
            roots = RootsDiff(expiring=expiring(after, now, warn_days))
        alarms += root_alarms(required, have, after)
    return Meaning(roots, zones, tuple(alarms), tuple(notes))


def _roots(pin: Pin, contents: Contents) -> tuple[Root, ...]:
    return roots_of(contents.certificates(pin), f"{pin.name} {pin.version}")


def _or_note(read: Callable[[], T], pin: Pin, notes: list[str]) -> T | None:
    try:
        return read()
    except ScratchError as error:
        notes.append(f"{pin.name} {pin.version} cannot be compared with: {error.what}")
        return None


def _named(services: Iterable[Service]) -> set[str]:
    return {zone for service in services for zone in service.zones}
