"""The machine's own roots and zones: held to what was pinned, on every machine."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.source import MACHINE_ROOTS, MACHINE_ZONES, FromMachine
from scratchtasks.execute.operation import Job, World
from scratchtasks.execute.sources.fetch import Fetch
from scratchtasks.execute.sources.resolve import resolve_pin
from scratchtasks.execute.sources.tree import unpack_files
from scratchtasks.rules.fetch import fetch
from tests.execute.test_essentials_certs import certificate

from .debian_root import BUNDLE


def run(source: FromMachine, what: str, world: World) -> bytes:
    action = fetch(source, what)
    outcome = Fetch().run([Job(action)], world)[action.name]
    if isinstance(outcome, ScratchError):
        raise outcome
    return world.store.read(outcome.outputs["file"].digest)


def pinned(source: FromMachine, what: str, world: World) -> World:
    pin, note = resolve_pin(fetch(source, what), world)
    assert note == ""
    return replace(world, pins={pin.name: pin})


def refusal(source: FromMachine, what: str, world: World) -> str:
    with pytest.raises(ScratchError) as caught:
        run(source, what, world)
    return str(caught.value)


def test_debian_s_bundle_and_zones_are_taken_as_they_are(debian: Path, world: World) -> None:
    roots = FromMachine(path=str(debian / "etc/ssl/certs"))
    assert run(roots, "roots", pinned(roots, "roots", world)) == (debian / BUNDLE).read_bytes()
    zones = FromMachine(path=str(debian / "usr/share/zoneinfo"))
    locked = pinned(zones, "zones", world)
    version = (debian / "usr/share/zoneinfo/tzdata.zi").read_text().split()[2]
    assert locked.pins[f"machine:{zones.path}"].version == version
    tree = run(zones, "zones", locked)
    files = unpack_files(io.BytesIO(tree), 1 << 26, "zones")
    paris = debian / "usr/share/zoneinfo/Europe/Paris"
    assert files["Europe/Paris"] == paris.read_bytes()
    assert not [path for path in files if path.startswith(("posix/", "right/"))]
    assert "localtime" not in files


def test_this_very_machine_can_be_asked(world: World) -> None:
    for source, what in ((MACHINE_ROOTS, "roots"), (MACHINE_ZONES, "zones")):
        pin, _ = resolve_pin(fetch(source, what), world)
        assert (pin.name, pin.kind) == (f"machine:{source.path}", "machine")
        assert len(pin.date) == 10


def test_single_files_make_a_bundle_where_there_is_none(tmp_path: Path, world: World) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    for name in "ba":
        (folder / f"{name}.pem").write_bytes(certificate(name).rstrip())
    (folder / "README").write_text("not a certificate")
    os.symlink("a.pem", folder / "12ab34cd.0")
    source = FromMachine(path=str(folder))
    got = run(source, "roots", pinned(source, "roots", world))
    assert got == certificate("a") + certificate("b")


def test_another_machine_is_held_to_the_lock(
    tmp_path: Path, world: World, world_at: Callable[..., World]
) -> None:
    folder = tmp_path / "certs"
    folder.mkdir()
    source = FromMachine(path=str(folder))
    (folder / "ca-certificates.crt").write_bytes(certificate("a"))
    here = pinned(source, "roots", world)
    pin = here.pins[f"machine:{folder}"]
    assert run(source, "roots", here) == certificate("a")
    (folder / "ca-certificates.crt").write_bytes(certificate("b"))
    other, _ = resolve_pin(fetch(source, "roots"), world)
    there = replace(world_at(tmp_path / "there"), pins=here.pins)
    assert refusal(source, "roots", there) == (
        f"machine:{folder} {pin.version}: digest mismatch: scratch.lock says sha256:{pin.sha256}, "
        f"this machine's {folder} has sha256:{other.sha256}\n"
        "    hint: the machine that wrote the lock had others: `doit refresh` takes these"
    )
    assert run(source, "roots", here) == certificate("a")  # what was pinned is kept


def test_what_is_not_there_is_said(tmp_path: Path, world: World) -> None:
    (tmp_path / "empty").mkdir()
    for path, what, error in (
        (tmp_path / "empty", "roots", "holds no certificate"),
        (tmp_path / "none", "roots", "cannot be read: no such file or directory"),
        (tmp_path / "none", "zones", "cannot be read: no such file or directory"),
    ):
        package = "tzdata" if what == "zones" else "ca-certificates"
        with pytest.raises(ScratchError) as caught:
            resolve_pin(fetch(FromMachine(path=str(path)), what), world)
        assert str(caught.value) == (
            f"{path}: {error}\n"
            f"    hint: install your distribution's {package}, or choose another source"
        )
