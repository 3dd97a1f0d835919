"""What a new tzdata changes: zones that come, go or are renamed, and local time that differs."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from scratchtasks.core.frozen import dataclass

from .tzif import Zone, parse_tzif

EPOCH = 0
YEARS_AHEAD = 10


@dataclass(frozen=True, slots=True)
class Difference:
    """From *moment* (UTC seconds since 1970) the offset is *new* where it was *old*.

    Offsets are seconds east of UTC; *new* - *old* is how far clocks are moved.
    """

    moment: int
    old: int
    new: int


@dataclass(frozen=True, slots=True)
class ZoneChange:
    """Local time in *zone* differs, first at *first*, and from today on first at *coming*.

    *coming* is None when only the past was corrected; *is_now*: clocks differ today already.
    *same_as* is a zone that it has become equal to.
    """

    zone: str
    first: Difference
    coming: Difference | None = None
    is_now: bool = False
    same_as: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZonesDiff:
    """*renamed* maps an old id to the new one with the same time; *removed* maps a gone id to one
    that has the same time, or "".

    *rewritten* are zones whose bytes differ, but whose local time does not in the window.
    """

    added: tuple[str, ...] = ()
    removed: Mapping[str, str]
    renamed: Mapping[str, str]
    changed: tuple[ZoneChange, ...] = ()
    rewritten: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.renamed or self.changed or self.rewritten)


def zone_ids(files: Mapping[str, bytes]) -> list[str]:
    """The ids among *files* (path below zoneinfo/ → content): TZif outside posix/ and right/."""
    return sorted(
        path
        for path, data in files.items()
        if data.startswith(b"TZif") and not path.startswith(("posix/", "right/"))
    )


def diff_zones(
    old: Mapping[str, bytes], new: Mapping[str, bytes], now: float, since: int = EPOCH
) -> ZonesDiff:
    """What differs from *old* to *new*, files by path below zoneinfo/.

    Local times are compared from *since* to ten years after *now*, both in seconds since 1970.

    Raises: StageError for a file that is no sound TZif.
    """
    until = ten_years_after(now)
    today = max(since, int(now))
    before, after = zone_ids(old), zone_ids(new)
    gone = [zone for zone in before if zone not in new]
    come = [zone for zone in after if zone not in old]
    renamed: dict[str, str] = {}
    removed: dict[str, str] = {}
    parsed: dict[bytes, Zone] = {}

    def zone_of(data: bytes, where: str) -> Zone:
        if data not in parsed:
            parsed[data] = parse_tzif(data, where)
        return parsed[data]

    def is_same(one: bytes, other: bytes, where: str) -> bool:
        if one == other:
            return True
        pair = zone_of(one, where), zone_of(other, where)
        return first_difference(*pair, since, until) is None

    for zone in gone:
        free = [each for each in come if each not in renamed.values()]
        twin = next((each for each in free if is_same(old[zone], new[each], zone)), "")
        if twin:
            renamed[zone] = twin
        else:
            removed[zone] = next((each for each in after if new[each] == old[zone]), "") or next(
                (each for each in after if is_same(old[zone], new[each], zone)), ""
            )
    changed, rewritten = [], []
    known: dict[tuple[bytes, bytes], tuple[Difference | None, Difference | None]] = {}
    for zone in after:
        if zone not in old or old[zone] == new[zone]:
            continue
        data = old[zone], new[zone]
        if data not in known:
            pair = zone_of(data[0], zone), zone_of(data[1], zone)
            known[data] = (
                first_difference(*pair, since, until),
                first_difference(*pair, today, until),
            )
        first, coming = known[data]
        if first is None:
            rewritten.append(zone)
        else:
            is_now = coming is not None and coming.moment == today
            twin = _new_twin(zone, old, new, after)
            changed.append(ZoneChange(zone, first, coming, is_now, twin))
    return ZonesDiff(
        added=tuple(zone for zone in come if zone not in renamed.values()),
        removed=removed,
        renamed=renamed,
        changed=tuple(changed),
        rewritten=tuple(rewritten),
    )


def first_difference(old: Zone, new: Zone, since: int, until: int) -> Difference | None:
    """The first moment from *since* to *until* at which the offsets differ; None without one.

    Exact: offsets are constant between the changes of the two.
    """
    for moment in sorted({since, *old.changes(since, until), *new.changes(since, until)}):
        offsets = old.offset_at(moment), new.offset_at(moment)
        if offsets[0] != offsets[1]:
            return Difference(moment, *offsets)
    return None


def ten_years_after(now: float) -> int:
    """The same second ten years later (29 February becomes 28), in seconds since 1970."""
    moment = datetime.fromtimestamp(int(now), UTC)
    year = moment.year + YEARS_AHEAD
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return int(moment.replace(year=year, day=day).timestamp())


def _new_twin(
    zone: str, old: Mapping[str, bytes], new: Mapping[str, bytes], ids: Iterable[str]
) -> str:
    """A zone that *zone* was unlike before and is the same file as now, preferring `Area/City`."""
    twins = [
        each
        for each in ids
        if each != zone and new[each] == new[zone] and each in old and old[each] != old[zone]
    ]
    return min(twins, key=lambda each: (old[each] != new[each], "/" not in each, each), default="")
