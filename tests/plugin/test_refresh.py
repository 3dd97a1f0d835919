"""`doit refresh`, `doit pins` and `doit schedule` as their user runs them."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.config.lockfile import format_lockfile
from tests.refresh.index_server import Index, serving
from tests.refresh.wheels import UPLOADED, pin_of, wheel
from tests.registry.proxy import Proxy

from .shipyard import FAILS, PASSES, Yard

OLD = {"certifi": pin_of("certifi-2026.7.22"), "tzdata": pin_of("tzdata-2023.3")}
NEW = {"certifi": pin_of("certifi-2026.7.22"), "tzdata": pin_of("tzdata-2026.6")}
LOCK = format_lockfile(OLD).replace("[pins.tzdata]", "# Zones.\n[pins.tzdata]")


@pytest.fixture
def index() -> Iterator[Index]:
    """Has what OLD and NEW pin."""
    with serving() as index:
        for release in ("certifi-2026.7.22", "tzdata-2023.3", "tzdata-2026.6"):
            path = wheel(release)
            index.add(path.name, path.read_bytes(), uploaded=UPLOADED[release])
        yield index


@pytest.fixture
def shop(yard: Yard, index: Index) -> Yard:
    """`zoned` ships zones and `plain` does not; both are built under the lock OLD."""
    yard.site.env |= {
        "PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": index.url, "PIP_RETRIES": "0",
        "PIP_FIND_LINKS": "", "PIP_CERT": "", "HOME": str(yard.site.root.parent),
    }  # fmt: skip
    yard.site.write({"scratch.lock": LOCK, "scratch.toml": '[image]\nessentials = ["tmp"]\n'})
    yard.service("zoned", smoke=PASSES)
    yard.service("plain")
    add(yard, "zoned", '[image]\nessentials = ["zoneinfo", "tmp"]', after="[image]")
    yard.doit()
    return yard


def add(yard: Yard, name: str, text: str, after: str) -> None:
    path = yard.site.root / f"services/{name}/service.toml"
    path.write_text(path.read_text().replace(after, text))


def lock(yard: Yard) -> str:
    return (yard.site.root / "scratch.lock").read_text()


def report(text: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(text)
    return value


def test_a_night_from_check_to_push(shop: Yard, proxy: Proxy) -> None:
    before = shop.site.images()
    ran = shop.run("refresh", "--check")
    assert (ran.code, lock(shop)) == (10, LOCK)
    assert "tzdata  2023.3 → 2026.6  2026-10-28  the newest release" in ran.out
    assert "images: 1 of 2 get a new digest" in ran.out
    assert "byte-identical: plain" in ran.out

    ran = shop.run("refresh", "--build", "--push", "--json")
    assert ran.code == 10, ran
    told = report(ran.out)
    assert told["outcome"] == "refreshed"
    assert lock(shop) == format_lockfile(NEW).replace("[pins.tz", "# Zones.\n[pins.tz")
    after = shop.site.images()
    fates = {image["name"]: (image["old"], image["new"]) for image in told["images"]}
    assert fates == {name: (before[name], after[name]) for name in before}
    assert after["plain"] == before["plain"]
    assert shop.in_registry("zoned") == after["zoned"] != before["zoned"]
    assert shop.in_registry("plain") == ""
    assert shop.doit().out.startswith("2 images up to date")

    proxy.seen.clear()
    ran = shop.run("refresh", "--build", "--push")
    assert (ran.code, proxy.seen) == (0, [])
    assert ran.out == "nothing new: every pin is where its policy wants it\n"


def test_nothing_says_where_to_push(shop: Yard) -> None:
    for path in shop.site.root.glob("services/*/service.toml"):
        path.write_text(path.read_text().partition("[push]")[0])
    ran = shop.run("refresh", "--push", "--json")
    assert (ran.code, report(ran.out)["outcome"]) == (10, "refreshed")
    assert ran.err.splitlines()[0] == "scratchtasks: push: no service has a [push] table"


def test_an_image_tells_what_it_ships(shop: Yard) -> None:
    ran = shop.doit("pins")
    head, row = (line.split("  ") for line in ran.out.splitlines())
    assert head[0] == "IMAGE"
    cells = [cell.strip() for cell in row if cell]
    assert cells[:4] == ["zoned", "zoneinfo", "tzdata 2023.3", "2023-03-29"]
    assert cells[5:] == ["the same", "tzdata 2026.6"]
    shop.site.write({"scratch.lock": format_lockfile(NEW)})
    told = report(shop.doit("pins", "--json").out)
    (image,) = told["images"]
    assert (image["ships"], image["locked"]) == ("tzdata 2023.3", "tzdata 2026.6")
    assert (image["released"], image["upstream"]) == ("2023-03-29", "")
    assert image["age_days"] > 1300
    assert told["upstream_fault"] == ""


@pytest.mark.parametrize("damage", ["[]", '{"manifests":[{"digest":5}]}'])
def test_pins_of_a_layout_that_is_damaged(damage: str, shop: Yard) -> None:
    (shop.site.root / "dist/zoned/index.json").write_text(damage)
    row = shop.doit("pins").out.splitlines()[1]
    assert [cell for cell in row.split("  ") if cell][2].strip() == "not built"


def test_pins_without_an_index(shop: Yard) -> None:
    ran = shop.doit("pins", env={"PIP_INDEX_URL": "http://127.0.0.1:1/simple"})
    assert "unknown" in ran.out.splitlines()[1]
    assert ran.out.splitlines()[2].startswith("upstream is not known: http://127.0.0.1:1/simple/")


def test_a_smoke_test_fails_and_all_is_as_it_was(shop: Yard, proxy: Proxy) -> None:
    add(shop, "zoned", FAILS, after=PASSES)
    before = shop.site.images()
    proxy.seen.clear()
    ran = shop.run("refresh", "--build", "--push")
    assert (ran.code, lock(shop), proxy.seen) == (3, LOCK, [])
    assert (
        "refresh: build: `doit image:zoned smoke:zoned` ended with status 1\n"
        "    hint: scratch.lock is as it was, and nothing was pushed"
    ) in ran.err
    assert shop.site.images() == before
    assert shop.doit().out.startswith("2 images up to date")


def test_a_registry_fails_and_the_lock_is_as_it_was(shop: Yard) -> None:
    path = shop.site.root / "services/zoned/service.toml"
    good = path.read_text()
    path.write_text(good.replace(shop.host, "127.0.0.1:1"))
    ran = shop.run("refresh", "--push", "--markdown")
    assert (ran.code, ran.out, lock(shop)) == (3, "", LOCK)
    assert ran.err.endswith(
        "ERROR: refresh: push: `doit push:zoned` ended with status 1\n"
        "    hint: scratch.lock is as it was; above is what became of the push\n"
    )
    path.write_text(good)
    ran = shop.run("refresh", "--push", "--markdown")  # the next night makes it good
    assert ran.code == 10
    assert ran.out.startswith("## Nightly refresh: 1 pin moved\n")
    assert shop.in_registry("zoned") == shop.site.images()["zoned"]


def test_what_cannot_be_put_back_does_not_hide_the_fault(shop: Yard) -> None:
    add(shop, "zoned", FAILS, after=PASSES)
    dodo = shop.site.root / "dodo.py"
    restored = (
        "import os\nassert 'SCRATCHTASKS_LOCK' in os.environ or not os.path.exists('tried')\n"
    )
    tried = "if 'SCRATCHTASKS_LOCK' in os.environ:\n    open('tried', 'w').close()\n"
    dodo.write_text(restored + tried + dodo.read_text())
    shop.doit()
    ran = shop.run("refresh", "--build")
    assert (ran.code, lock(shop)) == (3, LOCK)
    assert "AssertionError" in ran.err
    assert ran.err.endswith(
        "ERROR: refresh: build: `doit image:zoned smoke:zoned` ended with status 1\n"
        "    hint: scratch.lock is as it was, and nothing was pushed\n"
    )


@pytest.mark.parametrize("options", [(), ("--json",), ("--build",)])
def test_a_report_that_nobody_gets_moves_nothing(options: tuple[str, ...], shop: Yard) -> None:
    before = shop.site.images()
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-m", "doit", "refresh", *options],
            cwd=shop.site.root,
            env=shop.site.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=60,
            check=False,
        )
    assert (done.returncode, lock(shop)) == (3, LOCK)
    assert done.stderr.decode() == (
        "ERROR: standard output: cannot be written: no space left on device\n"
        "    hint: free some space; `doit cache --collect` shrinks .scratch to its limit\n"
    )
    assert shop.site.images() == before


def test_a_report_is_utf_8_whatever_the_locale(shop: Yard) -> None:
    ran = shop.run("refresh", env={"PYTHONIOENCODING": "ascii"})
    assert (ran.code, ran.err) == (10, "")
    assert "tzdata  2023.3 → 2026.6" in ran.out


def test_images_are_built_by_the_same_dodo_file(shop: Yard) -> None:
    root = shop.site.root
    (root / "dodo.py").rename(root / "tasks.py")
    ran = shop.run("refresh", "-f", "tasks.py", "--build")
    assert (ran.code, lock(shop) == LOCK) == (10, False), ran
    assert ran.err.splitlines()[-1].startswith("1 image, 1 rebuilt, ")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_trial_leaves_the_old_lock(number: int, shop: Yard) -> None:
    before = shop.site.images()
    aside = shop.site.root / ".scratch/refresh/scratch.lock"
    process = shop.site.start("refresh", "--build", start_new_session=True)
    while process.poll() is None and not aside.exists():
        time.sleep(0.01)
    assert process.poll() is None
    if number == signal.SIGKILL:
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    process.communicate(timeout=60)
    assert (process.returncode, lock(shop)) == (-9 if number == 9 else 143, LOCK)
    shop.doit()
    assert shop.site.images() == before
    assert shop.run("refresh", "--build").code == 10
    assert shop.site.images()["zoned"] != before["zoned"]


def test_what_a_killed_refresh_has_started_ends_too(shop: Yard) -> None:
    before = shop.site.images()
    dodo = shop.site.root / "dodo.py"
    late = "import os, time\nif 'SCRATCHTASKS_LOCK' in os.environ:\n    time.sleep(2)\n"
    late += "    open('went-on', 'w').close()\n"
    dodo.write_text(late + dodo.read_text())
    aside = shop.site.root / ".scratch/refresh/scratch.lock"
    process = shop.site.start("refresh", "--build")
    while process.poll() is None and not aside.exists():
        time.sleep(0.01)
    process.kill()  # as the kernel does when memory runs out: this one process
    process.communicate(timeout=60)
    time.sleep(3)
    assert not (shop.site.root / "went-on").exists()
    assert shop.site.images() == before


def test_what_would_disappear_is_refused(shop: Yard) -> None:
    add(shop, "zoned", '[zoneinfo]\nzones = ["UTC", "US/Pacific-New"]\n[smoke]', after="[smoke]")
    gone = pin_of("tzdata-2023.3")
    index_of_new = wheel("tzdata-2026.6").read_bytes()
    assert b"US/Pacific-New" not in index_of_new
    shop.site.write({"scratch.lock": format_lockfile({**OLD, "tzdata": gone})})
    ran = shop.run("refresh", "--json")
    # It is in neither: a build fails now and later, which is an alarm of its own.
    assert ran.code == 20
    told = report(ran.out)
    assert told["outcome"] == "refused"
    assert [alarm["where"] for alarm in told["alarms"]] == ["//services/zoned:image"]
    assert "no zone matches 'US/Pacific-New' in tzdata 2026.6" in told["alarms"][0]["what"]
    assert lock(shop) == format_lockfile({**OLD, "tzdata": gone})
    ran = shop.run("refresh", "--accept")
    assert ran.code == 10
    assert lock(shop) == format_lockfile(NEW)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("refresh", "now"), "refresh: takes no arguments, got 'now'"),
        (("refresh", "--json", "--markdown"), "refresh: wanted --json or --markdown, got both"),
        (("refresh", "--check", "--push"), "refresh: --check changes nothing, so it cannot build"),
        (("pins", "x"), "pins: takes no arguments, got 'x'"),
        (("schedule",), "schedule: wanted one of cron, github, gitlab, kubernetes, systemd"),
        (("schedule", "corn"), "schedule: unknown kind 'corn'; did you mean 'cron'?"),
    ],
)
def test_command_lines_that_mean_nothing(words: tuple[str, ...], message: str, yard: Yard) -> None:
    ran = yard.run(*words)
    assert (ran.code, ran.out) == (3, "")
    assert message in ran.err


def test_schedule_prints_for_this_workspace(yard: Yard) -> None:
    ran = yard.doit("schedule", "systemd")
    assert f"WorkingDirectory={yard.site.root}\n" in ran.out
    assert Path(ran.out.partition("ExecStart=")[2].split()[0]).name == "doit"


def test_a_scheduled_job_finds_the_compilers_of_this_shell(yard: Yard, tmp_path: Path) -> None:
    go = tmp_path / "go" / "bin" / "go"  # the official one is beside all folders of a scheduler
    go.parent.mkdir(parents=True)
    go.write_text("#!/bin/sh\n")
    go.chmod(0o755)
    env = {"PATH": f"{go.parent}:/usr/bin:/bin"}
    for kind, line in (("cron", "\nPATH="), ("systemd", "\nEnvironment=PATH=")):
        ran = yard.doit("schedule", kind, env=env)
        folders = ran.out.partition(line)[2].splitlines()[0].split(":")
        assert (folders[0], folders[-1]) == (str(go.parent), "/bin")
