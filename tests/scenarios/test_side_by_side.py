"""Images that are made several at a time are those that are made one by one."""

import shutil
from pathlib import Path

import pytest

from .workspaces import DODO, LOADER, QUICK, Site

NAMES = [f"s{number:02}" for number in range(20)]


def _shop(root: Path, *, bad: str = "") -> Site:
    """Twenty services that ship a file each; the entrypoint of *bad* is not in its image."""
    site = Site(root)
    site.write({"dodo.py": DODO, "pyproject.toml": LOADER, "scratch.toml": QUICK})
    for name in NAMES:
        program = "/srv/other" if name == bad else "/srv/run"
        site.write(
            {
                f"services/{name}/run": f"#!/bin/{name}\n" * 30_000,
                f"services/{name}/service.toml": f'[image]\nentrypoint = ["{program}"]\n'
                'files = [{ src = "run", dest = "/srv/run", mode = "0755" }]\n',
            }
        )
    return site


def _digests(site: Site) -> dict[str, str]:
    return {name: (site.root / "dist" / name / "index.json").read_text() for name in NAMES}


def test_all_numbers_of_workers_give_the_same_images(tmp_path: Path) -> None:
    found = []
    for number, args in enumerate([(), ("-n", "1"), ("-n", "3"), ("-P", "process", "-n", "2")]):
        site = _shop(tmp_path / str(number))
        assert site.doit(*args).summary == "20 images, 20 rebuilt"
        assert site.doit().summary == "20 images up to date"
        found.append(_digests(site))
    assert found[0] == found[1] == found[2] == found[3]


@pytest.mark.parametrize("args", [(), ("-n", "2"), ("-n", "2", "-P", "process")])
def test_in_any_process_what_is_told_is_what_was_done(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    site = _shop(tmp_path)
    theirs = "\n\ndef task_mine():\n    return {'actions': ['true']}\n"
    site.write({"dodo.py": (site.root / "dodo.py").read_text() + theirs})
    for words in (("image",), ("mine", "image")):  # planned ahead, and once theirs has run
        site.write({"services/s07/run": " ".join(words)})
        ran = site.doit(*args, *words)
        assert "//services/s07:rootfs  Rootfs (linux/" in ran.out
        assert " rebuilt" in ran.summary
        assert " from cache" not in ran.summary
        shutil.rmtree(site.root / "dist")
        ran = site.doit(*args, *words)
        assert (ran.summary, "Rootfs" in ran.out) == ("20 images, 20 from cache", False)


def test_processes_that_doits_own_loader_starts_do_not_wait_for_each_other(tmp_path: Path) -> None:
    site = _shop(tmp_path)
    (site.root / "pyproject.toml").unlink()
    ran = site.doit("-P", "process", "-n", "3")
    assert ran.summary == "20 images, 20 rebuilt"
    assert "another doit is at work" not in ran.err


@pytest.mark.parametrize("args", [(), ("-n", "2")])
def test_one_that_fails_keeps_no_other_back_and_is_told_once(
    args: tuple[str, ...], tmp_path: Path
) -> None:
    site = _shop(tmp_path, bad="s07")
    ran = site.run("--continue", *args)
    assert ran.code != 0
    assert (ran.out + ran.err).count("/srv/other is not in the image") == 1
    made = {path.parent.name for path in (site.root / "dist").glob("*/index.json")}
    assert made == set(NAMES) - {"s07"}
    assert ran.summary.startswith("20 images, 19 rebuilt")
