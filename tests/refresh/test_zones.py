"""What a new tzdata changes, against zoneinfo sampled hour by hour."""

import io
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from scratchtasks.refresh.tzif import Zone
from scratchtasks.refresh.wording import change_text, zones_heading
from scratchtasks.refresh.zones import (
    Difference,
    ZoneChange,
    ZonesDiff,
    diff_zones,
    first_difference,
    ten_years_after,
    zone_ids,
)

from .wheels import zone_files

OLD, NEW = zone_files("tzdata-2023.3"), zone_files("tzdata-2026.6")
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC).timestamp()
UNTIL = ten_years_after(NOW)
HOUR = 3600


SINCE = int(datetime(2015, 1, 1, tzinfo=UTC).timestamp())


@cache
def diff(since: int = 0) -> ZonesDiff:
    return diff_zones(OLD, NEW, NOW, since)


@cache
def info(release: str, zone: str) -> ZoneInfo:
    files = OLD if release == "old" else NEW
    return ZoneInfo.from_file(io.BytesIO(files[zone]))


def sampled(zone: str, since: int) -> int | None:
    """The first full hour from *since* on at which zoneinfo's offsets differ."""
    old, new, at = info("old", zone), info("new", zone), datetime.fromtimestamp
    hours = range(since, UNTIL, HOUR)
    return next((m for m in hours if at(m, old).utcoffset() != at(m, new).utcoffset()), None)


def pairs(zones: Iterable[str]) -> list[str]:
    """One of *zones* for each pair of contents: links are sampled once."""
    return list({(OLD[zone], NEW[zone]): zone for zone in zones}.values())


def check_first(change: ZoneChange, since: int) -> None:
    hour, first = sampled(change.zone, since), change.first
    assert hour is not None
    assert hour - HOUR < first.moment <= hour, change
    for release, offset in (("old", first.old), ("new", first.new)):
        # The second after: zoneinfo's rule of the last change begins behind it.
        seen = datetime.fromtimestamp(first.moment + 1, info(release, change.zone)).utcoffset()
        assert seen is not None
        assert seen.total_seconds() == offset, change


def test_what_came_and_what_went() -> None:
    before, after = set(zone_ids(OLD)), set(zone_ids(NEW))
    assert set(diff().added) == after - before == {"America/Coyhaique"}
    assert (diff().removed, diff().renamed) == ({}, {})
    other = {zone for zone in before & after if OLD[zone] != NEW[zone]}
    assert {c.zone for c in diff().changed} | set(diff().rewritten) == other


def test_first_differences_are_those_of_zoneinfo_hour_by_hour() -> None:
    changes = {change.zone: change for change in diff(SINCE).changed}
    assert len(changes) > 20
    for zone in pairs(changes):
        check_first(changes[zone], SINCE)


def test_differences_of_half_a_century_ago_are_exact_too() -> None:
    changes = {change.zone: change for change in diff().changed}
    assert len(changes) > 40
    old = pairs(zone for zone, change in changes.items() if change.first.moment < 10**9)
    for zone in [*old, "Asia/Almaty"]:
        check_first(changes[zone], 0)


def test_coming_differences_are_those_of_zoneinfo_hour_by_hour() -> None:
    now = int(NOW)
    changes = {change.zone: change for change in diff().changed}
    for zone in pairs(changes):
        hour, coming = sampled(zone, now), changes[zone].coming
        assert (coming is None) == (hour is None), zone
        if coming is not None and hour is not None:
            assert hour - HOUR < coming.moment <= hour
            assert changes[zone].is_now == (hour == now)


def test_rewritten_zones_keep_their_time_hour_by_hour() -> None:
    assert sampled(diff().rewritten[0], 0) is None
    for zone in pairs(diff().rewritten)[::12]:
        assert sampled(zone, SINCE) is None, zone


def test_known_news() -> None:
    """Facts from tzdata's own NEWS: Kazakhstan became one zone on 2024-03-01."""
    almaty = next(change for change in diff().changed if change.zone == "Asia/Almaty")
    assert almaty.first == Difference(1709229600, 21600, 18000)
    assert (almaty.is_now, almaty.same_as) == (True, "")
    choibalsan = next(change for change in diff().changed if change.zone == "Asia/Choibalsan")
    assert choibalsan.same_as == "Asia/Ulaanbaatar"  # 2024b
    assert change_text(choibalsan) == (
        "from 1983-03-31 16:00 UTC: +10:00 → +09:00 (1 h earlier), in the past only; "
        "now the same as Asia/Ulaanbaatar"
    )


def test_equal_data_is_no_news() -> None:
    assert not diff_zones(NEW, NEW, NOW)
    assert zones_heading(diff_zones(NEW, NEW, NOW)) == "as they were"


def without(files: Mapping[str, bytes], *zones: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name not in zones}


def test_a_renamed_zone_is_told_as_such() -> None:
    new = without(NEW, "Europe/Kyiv", "Europe/Kiev", "Europe/Uzhgorod", "Europe/Zaporozhye")
    old = {**new, "Europe/Kiev": NEW["Europe/Kyiv"]}
    new["Europe/Kyiv"] = NEW["Europe/Kyiv"]
    found = diff_zones(old, new, NOW)
    assert found == ZonesDiff(removed={}, renamed={"Europe/Kiev": "Europe/Kyiv"})


def test_a_zone_that_went_and_has_a_twin() -> None:
    found = diff_zones(NEW, without(NEW, "US/Pacific", "Asia/Kathmandu", "Asia/Katmandu"), NOW)
    assert found.removed == {
        "Asia/Kathmandu": "", "Asia/Katmandu": "", "US/Pacific": "America/Los_Angeles",
    }  # fmt: skip
    assert (found.added, found.renamed, found.changed) == ((), {}, ())


def test_other_folders_are_no_zones() -> None:
    files = {"UTC": NEW["UTC"], "right/UTC": NEW["UTC"], "posix/UTC": NEW["UTC"], "zone.tab": b"#"}
    assert zone_ids(files) == ["UTC"]


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (Zone((), (), 0), Zone((), (), 0), None),
        (Zone((), (), 0), Zone((50,), (3600,), 0), Difference(50, 0, 3600)),
        (Zone((50,), (3600,), 0), Zone((50, 60), (3600, 0), 0), Difference(60, 3600, 0)),
        (Zone((), (), 0), Zone((5,), (3600,), 0), Difference(10, 0, 3600)),
        (Zone((), (), 0), Zone((101,), (3600,), 0), None),
        (Zone((50, 70), (60, 0), 0), Zone((60, 70), (60, 0), 0), Difference(50, 60, 0)),
    ],
)
def test_first_differences(old: Zone, new: Zone, found: Difference | None) -> None:
    assert first_difference(old, new, 10, 100) == found


def test_ten_years() -> None:
    leap_day = datetime(2024, 2, 29, 3, 4, 5, tzinfo=UTC)
    assert (
        ten_years_after(leap_day.timestamp())
        == datetime(2034, 2, 28, 3, 4, 5, tzinfo=UTC).timestamp()
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (ZoneChange("X", Difference(0, -12600, 20)),
         "from 1970-01-01 00:00 UTC: -03:30 → +00:00:20 (3 h 30 min 20 s later), in the past only"),
        (ZoneChange("X", Difference(0, 3600, 0), Difference(86400, 7200, 3600)),
         "from 1970-01-01 00:00 UTC: +01:00 → +00:00 (1 h earlier); "
         "next from 1970-01-02 00:00 UTC: +02:00 → +01:00 (1 h earlier)"),
        (ZoneChange("X", Difference(0, 3600, 0), Difference(86400, 7200, 3600), True),
         "from 1970-01-01 00:00 UTC: +01:00 → +00:00 (1 h earlier); "
         "today +02:00 → +01:00 (1 h earlier)"),
        (ZoneChange("X", Difference(9, 0, 60), Difference(9, 0, 60), False),
         "from 1970-01-01 00:00 UTC: +00:00 → +00:01 (1 min later)"),
    ],
)  # fmt: skip
def test_changes_in_words(change: ZoneChange, text: str) -> None:
    assert change_text(change) == text
