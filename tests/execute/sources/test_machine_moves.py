"""The machine's own roots and zones as sources, on a machine that is upgraded between two nights.

What stands in /etc/ssl/certs and /usr/share/zoneinfo is mounted there for each run alone.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.config.lockfile import parse_lockfile
from tests.refresh.wheels import bundle, zone_files
from tests.scenarios.workspaces import DODO, LOADER, Ran, Site, site_of

ROOTS, ZONES = "machine:/etc/ssl/certs", "machine:/usr/share/zoneinfo"
SERVICE = """\
[image]
essentials = [{essentials}]
entrypoint = ["/usr/bin/run"]
files = [{{ src = "run.sh", dest = "/usr/bin/run", mode = "0755" }}]
"""
MACHINE = '[certs]\nsource = "machine"\n[zoneinfo]\nsource = "machine"\n'


class Machine:
    """A state of the machine: its roots as certifi's release has them, its zones as tzdata's."""

    def __init__(self, folder: Path, certifi: str, tzdata: str, version: str) -> None:
        self.certs, self.zones = folder / "certs", folder / "zoneinfo"
        lines = bundle(f"certifi-{certifi}").splitlines(keepends=True)
        pem = b"".join(line for line in lines if not line.startswith(b"#"))
        self.certs.mkdir(parents=True)
        (self.certs / "ca-certificates.crt").write_bytes(pem)
        for name in ("UTC", "Asia/Almaty", "Europe/Paris"):
            path = self.zones / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(zone_files(f"tzdata-{tzdata}")[name])
        (self.zones / "tzdata.zi").write_text(f"# version {version}\n")

    def run(self, site: Site, *words: str) -> Ran:
        """Run doit on it."""
        mounts = ["--bind", str(self.certs), "/etc/ssl/certs"]
        mounts += ["--bind", str(self.zones), "/usr/share/zoneinfo"]
        done = subprocess.run(
            ["bwrap", "--dev-bind", "/", "/", *mounts, sys.executable, "-m", "doit", *words],
            cwd=site.root, env=site.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        return Ran(done.returncode, done.stdout, done.stderr)

    def refresh(self, site: Site, *words: str) -> tuple[int, dict[str, Any]]:
        ran = self.run(site, "refresh", "--json", *words)
        assert ran.out, ran
        told: dict[str, Any] = json.loads(ran.out)
        return ran.code, told


@pytest.fixture
def old(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "old", "2024.7.4", "2023.3", "2023c")


@pytest.fixture
def new(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "new", "2026.10.18", "2026.6", "2026f")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A service that ships both, and one that ships neither."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "services/api/service.toml": SERVICE.format(essentials='"certs", "zoneinfo"') + MACHINE,
        "services/plain/service.toml": SERVICE.format(essentials='"tmp"'),
        **{f"services/{name}/run.sh": "#!/bin/sh\n" for name in ("api", "plain")},
    }
    return site_of(tmp_path / "ws", files)


def lock_of(site: Site) -> str:
    return (site.root / "scratch.lock").read_text()


def test_a_machine_that_was_upgraded(site: Site, old: Machine, new: Machine) -> None:
    assert old.run(site).code == 0
    before, lock = site.images(), lock_of(site)
    pins = parse_lockfile(lock)
    assert list(pins) == [ROOTS, ZONES]
    assert old.refresh(site, "--check")[0] == 0

    # What was pinned is in the store: an upgrade alone moves no image.
    assert new.run(site, "--locked").out.startswith("2 images up to date")
    assert (site.images(), lock_of(site)) == (before, lock)

    code, told = new.refresh(site, "--build")
    assert (code, told["outcome"], told["alarms"]) == (10, "refreshed", [])
    moved = {move["name"]: (move["why"], move["old"]["sha256"]) for move in told["moves"]}
    now = parse_lockfile(lock_of(site))
    assert moved == {
        ROOTS: (f"{pins[ROOTS].version} → {now[ROOTS].version}", pins[ROOTS].sha256),
        ZONES: ("2023c → 2026f", pins[ZONES].sha256),
    }
    assert {move["name"]: move["new"]["sha256"] for move in told["moves"]} == {
        name: pin.sha256 for name, pin in now.items()
    }
    (roots,), (zones,) = told["roots"], told["zones"]
    assert (roots["source"], zones["source"]) == (ROOTS, ZONES)
    assert len(roots["removed"]) > 20
    assert [change["zone"] for change in zones["changed"]] == ["Asia/Almaty"]
    after = site.images()
    assert {image["name"]: (image["old"], image["new"]) for image in told["images"]} == {
        name: (before[name], after[name]) for name in before
    }
    assert (after["plain"] == before["plain"], after["api"] == before["api"]) == (True, False)
    assert new.refresh(site)[0] == 0


def test_a_machine_that_was_not_upgraded_is_refused(
    site: Site, old: Machine, new: Machine, tmp_path: Path
) -> None:
    assert old.run(site).code == 0
    had = parse_lockfile(lock_of(site))
    assert new.refresh(site)[0] == 10
    wants = parse_lockfile(lock_of(site))
    there = site.copy_to(tmp_path / "there")  # another machine: nothing is in its store
    ran = old.run(there, "--locked")
    assert ran.code == 1
    faults = []
    for name in (ROOTS, ZONES):
        path = name.removeprefix("machine:")
        faults.append(
            f"{name} {wants[name].version}: digest mismatch: scratch.lock says "
            f"sha256:{wants[name].sha256}, this machine's {path} has sha256:{had[name].sha256}\n"
            "    hint: the machine that wrote the lock had others: `doit refresh` takes these\n"
        )
    assert any(ran.err == f"error: {fault}" for fault in faults), ran.err
    assert new.run(there, "--locked").code == 0
    # Back to what it has itself, if that is what is wanted.
    shutil.rmtree(there.root / ".scratch")
    assert old.refresh(there, "--accept")[0] == 10
    assert parse_lockfile(lock_of(there)) == had
    assert os.path.exists(there.root / "dist/api")
