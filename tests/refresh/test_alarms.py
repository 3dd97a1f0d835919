"""What must not disappear in silence."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from scratchtasks.config.service import parse_service
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import StageError
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Service
from scratchtasks.execute.essentials.pem import parse_pem
from scratchtasks.refresh.alarms import root_alarms, zone_alarms
from scratchtasks.refresh.compare import Meaning, RootsSwap, Swap, ZonesSwap, meaning_of
from scratchtasks.refresh.proposal import Alarm
from scratchtasks.refresh.roots import Root

from .wheels import bundle, zone_files

OLD, NEW = ["UTC", "Europe/Kiev", "US/Pacific"], ["UTC", "Europe/Kyiv", "US/Central"]
HOME = "services/api/service.toml"


def service(text: str) -> Service:
    return parse_service(
        '[image]\nentrypoint = ["/x"]\n' + text,
        origin=HOME,
        folder="services/api",
        defaults=WorkspaceDefaults(),
        host=Platform("linux", "amd64"),
    )


@pytest.mark.parametrize(
    ("text", "alarms"),
    [
        ("", []),
        ('[zoneinfo]\nzones = ["UTC", "US/*"]', []),
        ('[zoneinfo]\nzones = ["UTC", "Europe/Kiev"]',
         [("zoneinfo.zones[1]", "zone Europe/Kiev is gone")]),
        ('[zoneinfo]\nzones = ["*iev"]', [("zoneinfo.zones[0]", "no zone matches *iev any more")]),
        ('[zoneinfo]\nzones = ["Nowhere", "No*"]', []),
        ('env = { TZ = "Europe/Kiev" }', [("image.env.TZ", "zone Europe/Kiev is gone")]),
        ('env = { TZ = ":/usr/share/zoneinfo/US/Pacific" }',
         [("image.env.TZ", "zone US/Pacific is gone")]),
        ('env = { TZ = "CET-1CEST" }', []),
        ('essentials = ["tmp"]\nenv = { TZ = "Europe/Kiev" }', []),
    ],
)  # fmt: skip
def test_zones_that_services_name(text: str, alarms: list[tuple[str, str]]) -> None:
    found = list(zone_alarms([service(text)], OLD, NEW))
    assert found == [Alarm(f"{HOME}: {where}", what) for where, what in alarms]


A, B = Root("a" * 64, "CN=A,O=x", 0, 1), Root("b" * 64, "CN=B", 0, 1)


@pytest.mark.parametrize(
    ("require", "old", "alarms"),
    [
        ((), [A, B], []),
        (("A", "B"), [A, B], [Alarm(f"{HOME}: certs.require[0]", "root A is gone")]),
        (("sha256:" + "a" * 64,), [A, B],
         [Alarm(f"{HOME}: certs.require[0]", f"root sha256:{'a' * 64} is gone")]),
        (("CN=A,O=x", "never there"), [A, B],
         [Alarm(f"{HOME}: certs.require[0]", "root CN=A,O=x is gone")]),
        (("A",), None, [Alarm(f"{HOME}: certs.require[0]", "root A is gone")]),
        (("B",), None, []),
    ],
)  # fmt: skip
def test_roots_that_services_require(
    require: Sequence[str], old: Sequence[Root] | None, alarms: list[Alarm]
) -> None:
    assert list(root_alarms([requiring(*require)], old, [B])) == alarms


def requiring(*names: str) -> Service:
    certs: Any = SimpleNamespace(require=names)
    return replace(service(""), certs=certs)


def held(release: str) -> str:
    return release


def gone(release: str) -> str:
    raise StageError(release.replace("-", " "), "cannot be fetched: gone")


def meaning(services: Sequence[Service], old: Callable[[str], str] = held) -> Meaning:
    roots: RootsSwap = Swap(
        name="certifi",
        was="certifi 2024.7.4",
        old=lambda: parse_pem(bundle(old("certifi-2024.7.4")), "certifi"),
        new=lambda: parse_pem(bundle("certifi-2026.10.18"), "certifi"),
        services=services,
    )
    zones: ZonesSwap = Swap(
        name="tzdata",
        was="tzdata 2023.3",
        old=lambda: zone_files(old("tzdata-2023.3")),
        new=lambda: zone_files("tzdata-2026.6"),
        services=services,
    )
    return meaning_of([roots], [zones], now=1_795_700_000, warn_days=30)


def test_real_pins_and_what_would_disappear() -> None:
    found = meaning([requiring("Baltimore CyberTrust Root", "ISRG Root X1")])
    assert found.alarms == (
        Alarm(f"{HOME}: certs.require[0]", "root Baltimore CyberTrust Root is gone"),
    )
    assert len(found.roots["certifi"].removed) > 20
    assert found.zones["tzdata"].added == ("America/Coyhaique",)
    assert found.notes == ()


def test_what_was_pinned_is_nowhere_any_more() -> None:
    zoned = service('[zoneinfo]\nzones = ["UTC", "Mars/Base"]')
    found = meaning([zoned, requiring("Baltimore CyberTrust Root")], gone)
    assert found.alarms == (
        Alarm(f"{HOME}: zoneinfo.zones[1]", "zone Mars/Base is gone"),
        Alarm(f"{HOME}: certs.require[0]", "root Baltimore CyberTrust Root is gone"),
    )
    assert found.notes == (
        "tzdata 2023.3 cannot be compared with: cannot be fetched: gone",
        "certifi 2024.7.4 cannot be compared with: cannot be fetched: gone",
    )
    assert found.zones == {}


def test_what_was_pinned_is_not_sound() -> None:
    """A build holds neither to more than its form, and what is new makes it good."""
    roots: RootsSwap = Swap(
        name="image:x:1",
        was="image:x:1 1",
        old=lambda: [b"\x30\0"],
        new=lambda: parse_pem(bundle("certifi-2026.10.18"), "certifi"),
    )
    zones: ZonesSwap = Swap(
        name="tzdata",
        was="tzdata 2023.3",
        old=lambda: {**zone_files("tzdata-2026.6"), "Mars/Base": b"TZif2"},
        new=lambda: zone_files("tzdata-2026.6"),
    )
    found = meaning_of([roots], [zones], now=1_795_700_000, warn_days=30)
    zone_note, root_note = found.notes
    assert zone_note == (
        "tzdata 2023.3 cannot be compared with: Mars/Base: is no sound TZif file (cut short)"
    )
    assert root_note.startswith(
        "image:x:1 1 cannot be compared with: certificate 1: cannot be parsed (error parsing asn1"
    )
    assert (found.roots, found.zones, found.alarms) == ({}, {}, ())


def test_the_same_content_means_nothing() -> None:
    zones: ZonesSwap = Swap(name="tzdata", was="x", old=dict, new=dict)
    assert meaning_of([], [zones], now=0, warn_days=0) == Meaning(roots={}, zones={})
