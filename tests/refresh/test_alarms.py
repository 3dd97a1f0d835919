"""What must not disappear in silence."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from scratchtasks.config.service import parse_service
from scratchtasks.config.workspace import WorkspaceDefaults
from scratchtasks.core.errors import StageError
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Pin, Service
from scratchtasks.execute.essentials.pem import parse_pem
from scratchtasks.refresh.alarms import root_alarms, zone_alarms
from scratchtasks.refresh.compare import Contents, Meaning, meaning_of
from scratchtasks.refresh.proposal import Alarm, Move
from scratchtasks.refresh.roots import Root

from .wheels import bundle, pin_of, zone_files

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
    assert list(root_alarms({HOME: require}, old, [B])) == alarms


def meaning(
    services: Sequence[Service], required: Mapping[str, Sequence[str]], *, has_old: bool = True
) -> Meaning:
    def held(pin: Pin) -> str:
        if not has_old and pin.version in ("2024.7.4", "2023.3"):
            raise StageError(f"{pin.name} {pin.version}", "cannot be fetched: gone")
        return f"{pin.name}-{pin.version}"

    contents = Contents(
        certificates=lambda pin: parse_pem(bundle(held(pin)), pin.name),
        zones=lambda pin: zone_files(held(pin)),
    )
    old = {"certifi": pin_of("certifi-2024.7.4"), "tzdata": pin_of("tzdata-2023.3")}
    new = (pin_of("certifi-2026.10.18"), pin_of("tzdata-2026.6"))
    moves = [Move(old[pin.name], pin) for pin in new]
    return meaning_of(moves, old, services, required, contents, now=1_795_700_000, warn_days=30)


def test_real_pins_and_what_would_disappear() -> None:
    found = meaning([service("")], {HOME: ("Baltimore CyberTrust Root", "ISRG Root X1")})
    assert found.alarms == (
        Alarm(f"{HOME}: certs.require[0]", "root Baltimore CyberTrust Root is gone"),
    )
    assert len(found.roots.removed) > 20
    assert found.zones.added == ("America/Coyhaique",)
    assert found.notes == ()


def test_what_was_pinned_is_nowhere_any_more() -> None:
    services = [service('[zoneinfo]\nzones = ["UTC", "Mars/Base"]')]
    found = meaning(services, {HOME: ("Baltimore CyberTrust Root",)}, has_old=False)
    assert found.alarms == (
        Alarm(f"{HOME}: zoneinfo.zones[1]", "zone Mars/Base is gone"),
        Alarm(f"{HOME}: certs.require[0]", "root Baltimore CyberTrust Root is gone"),
    )
    assert found.notes == (
        "tzdata 2023.3 cannot be compared with: cannot be fetched: gone",
        "certifi 2024.7.4 cannot be compared with: cannot be fetched: gone",
    )
    assert not found.zones


def test_pins_that_stay_mean_nothing() -> None:
    pin = pin_of("tzdata-2026.6")
    moves = [Move(pin, replace(pin, date="")), Move(None, pin)][:1]
    contents = Contents(certificates=lambda pin: [], zones=lambda pin: {})
    found = meaning_of(moves, {"tzdata": pin}, [], {}, contents, now=0, warn_days=0)
    assert (found.alarms, found.notes) == ((), ())
    assert not found.roots
    assert not found.zones
