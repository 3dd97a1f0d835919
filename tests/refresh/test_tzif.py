"""TZif and POSIX TZ rules against zoneinfo, at moments far and near."""

import io
import struct
import time
from datetime import UTC, datetime
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.errors import StageError
from scratchtasks.refresh.posix_tz import (
    MalformedRule,
    Rule,
    days_before_year,
    parse_rule,
    year_of,
)
from scratchtasks.refresh.tzif import Zone, parse_tzif
from scratchtasks.refresh.zones import zone_ids

from .wheels import zone_files

FILES = zone_files("tzdata-2026.6")
IDS = zone_ids(FILES)
LAST = int(datetime(2400, 1, 1, tzinfo=UTC).timestamp())


@cache
def theirs(data: bytes) -> ZoneInfo:
    return ZoneInfo.from_file(io.BytesIO(data))


@cache
def ours(data: bytes) -> Zone:
    return parse_tzif(data, "zone")


def offset_of(zone: ZoneInfo, moment: int) -> int:
    offset = datetime.fromtimestamp(moment, zone).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@settings(max_examples=800)
@given(st.sampled_from(IDS), st.integers(0, LAST))
def test_offsets_are_those_of_zoneinfo(zone: str, moment: int) -> None:
    data = FILES[zone]
    assert ours(data).offset_at(moment) == offset_of(theirs(data), moment)


def test_offsets_around_every_change() -> None:
    nearby = (
        (FILES[zone], near)
        for zone in IDS[::9]
        for moment in ours(FILES[zone]).changes(1, 2_200_000_000)[::2]
        for near in (moment - 1, moment, moment + 1)
    )
    for data, near in nearby:
        assert ours(data).offset_at(near) == offset_of(theirs(data), near)


def footer_only(rule: str) -> bytes:
    """A TZif file, version 3, that knows nothing but *rule*."""

    def block(width: int) -> bytes:
        head = struct.pack(">4sc15x6I", b"TZif", b"3", 0, 0, 0, 0, 1, 4)
        return head + struct.pack(">iBB", 0, 0, 0) + b"LMT\0"

    return block(4) + block(8) + b"\n" + rule.encode() + b"\n"


RULES = (
    "UTC0",
    "CET-1CEST,M3.5.0,M10.5.0/3",
    "EST5EDT,M3.2.0,M11.1.0",
    "NZST-12NZDT,M9.5.0,M4.1.0/3",
    "IST-1GMT0,M10.5.0,M3.5.0/1",  # Ireland: winter is what is saved
    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
    "IST-2IDT,M3.4.4/26,M10.5.0",
    "WGT3WGST,M3.5.0/-2,M10.5.0/-1",
    "EST5EDT4,0/0,J365/25",  # summer time all year
    "AAA3BBB,J60,J300/4:30:15",
)

DAYS = ("AAA3BBB,59/1,300", "AAA3BBB,1/5,J59", *(rule for rule in RULES if "365" not in rule))
"""zoneinfo counts zero-based days from one, and has J59 on 29 February; glibc reads POSIX right
but for summer time that goes on over New Year."""


@settings(max_examples=400)
@given(st.sampled_from(RULES), st.integers(0, LAST))
def test_rules_are_those_of_zoneinfo(rule: str, moment: int) -> None:
    data = footer_only(rule)
    assert ours(data).offset_at(moment) == offset_of(theirs(data), moment)


@pytest.mark.parametrize("rule", RULES)
def test_rules_at_their_own_changes(rule: str) -> None:
    data = footer_only(rule)
    changes = ours(data).changes(0, LAST)
    assert len(changes) > 700 or rule == "UTC0"
    for moment in changes[:200]:
        for near in (moment - 1, moment):
            if near >= 0:
                assert ours(data).offset_at(near) == offset_of(theirs(data), near)


@pytest.mark.parametrize("rule", DAYS)
def test_rules_are_those_of_the_c_library(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", rule)
        time.tzset()
        for change in parse_rule(rule).changes(2028) + parse_rule(rule).changes(2027):
            for near in (change[0] - 1, change[0], change[0] + 86400):
                assert parse_rule(rule).offset_at(near) == time.localtime(near).tm_gmtoff
    time.tzset()


@given(st.integers(-(10**11), 10**11))
def test_years(moment: int) -> None:
    year = year_of(moment)
    assert days_before_year(year) * 86400 <= moment < days_before_year(year + 1) * 86400


@given(st.integers(1, 9998))
def test_days_before_a_year(year: int) -> None:
    days = (datetime(year, 1, 1) - datetime(1970, 1, 1)).days
    assert days_before_year(year) == days


@pytest.mark.parametrize(
    "text",
    ["", "CET", "CET-1CEST", "CET-1CEST,M3.5.0", "CET-1,M3.5.0,M10.5.0", "CE-1",
     "CET-1CEST,M13.1.0,1", "CET-1CEST,M1.6.0,1", "CET-1CEST,M1.1.7,1", "CET-1CEST,J0,1",
     "CET-1CEST,J366,1", "CET-1CEST,366,1", "CET-1CEST,M3.5.0,M10.5.0,1"],
)  # fmt: skip
def test_malformed_rules(text: str) -> None:
    with pytest.raises(MalformedRule):
        parse_rule(text)


def first_version(zone: Zone) -> bytes:
    """*zone* as the oldest readers know it: 32 bits and no rule."""
    kept = [(m, o) for m, o in zip(zone.moments, zone.offsets, strict=True) if abs(m) < 2**31]
    kinds = list(dict.fromkeys([zone.earliest, *(offset for _, offset in kept)]))
    head = struct.pack(">4sc15x6I", b"TZif", b"\0", 0, 0, 0, len(kept), len(kinds), 4)
    moments = b"".join(struct.pack(">i", moment) for moment, _ in kept)
    numbers = bytes(kinds.index(offset) for _, offset in kept)
    return head + moments + numbers + b"".join(map(_kind, kinds)) + b"ABC\0"


def _kind(offset: int) -> bytes:
    return struct.pack(">iBB", offset, 0, 0)


def test_version_1_has_no_rule() -> None:
    data = first_version(ours(FILES["Europe/Paris"]))
    zone = parse_tzif(data, "Europe/Paris")
    assert zone.rule is None
    assert len(zone.moments) == 100
    for moment in range(0, 2_100_000_000, 10_000_000):
        assert zone.offset_at(moment) == offset_of(theirs(data), moment)


def test_version_4_is_read_as_3() -> None:
    data = FILES["Europe/Paris"]
    second = data.index(b"TZif", 4)
    newer = data[:4] + b"4" + data[5 : second + 4] + b"4" + data[second + 5 :]
    assert parse_tzif(newer, "x") == ours(data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "cut short"),
        (b"GIF8" + bytes(60), "no TZif at its beginning"),
        (b"TZif1" + bytes(60), "version b'1'"),
        (FILES["Europe/Paris"][:60], "cut short"),
        (FILES["Europe/Paris"][:500], "cut short"),
        (FILES["Europe/Paris"].rstrip(b"\n"), "no footer"),
        (footer_only("CET-1CEST"), "CET-1CEST"),
        (footer_only("é"), "'ascii' codec can't decode"),
        (b"TZif\0" + bytes(39), "no offset at all"),
    ],
)
def test_damage_is_told(data: bytes, what: str) -> None:
    with pytest.raises(StageError) as caught:
        parse_tzif(data, "tzdata 1: Europe/Paris")
    assert str(caught.value).startswith(f"tzdata 1: Europe/Paris: is no sound TZif file ({what}")


def test_moments_out_of_order_are_damage() -> None:
    data = bytearray(FILES["Europe/Paris"])
    second = data.index(b"TZif", 4) + 44
    data[second : second + 8], data[second + 8 : second + 16] = (
        data[second + 8 : second + 16], data[second : second + 8],
    )  # fmt: skip
    with pytest.raises(StageError, match="its moments are not in order"):
        parse_tzif(bytes(data), "x")


@settings(max_examples=300)
@given(st.sampled_from(IDS), st.integers(0, 4000), st.binary(min_size=1, max_size=4))
def test_any_damage_is_a_clean_error_or_another_zone(zone: str, at: int, noise: bytes) -> None:
    data = FILES[zone]
    at %= len(data)
    try:
        parsed = parse_tzif(data[:at] + noise + data[at + len(noise) :], zone)
    except StageError:
        return
    assert isinstance(parsed.offset_at(1_800_000_000), int)


def test_a_rule_without_summer_time_has_no_changes() -> None:
    assert Rule(3600).changes(2026) == []


def test_a_last_moment_beyond_all_years_costs_no_time() -> None:
    zone = Zone((2**62,), (3600,), 0, parse_rule("CET-1CEST,M3.5.0,M10.5.0/3"))
    assert zone.changes(0, 2_000_000_000) == []
