"""Folders of services are those that glob finds, unless something cannot be looked into."""

import glob
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.errors import ConfigError
from scratchtasks.plugin.service_folders import SERVICE_FILE, service_folders
from tests.scenarios.workspaces import shop

PARTS = st.sampled_from(["a", "b", ".h", "*", "**", "?", "[ab]", ".*", "*b", ".", ""])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for folder in ("", "a", "a/b", "a/b/a", "a/.h/b", "b", "b/bb/a", ".h", ".h/a"):
        (root / folder).mkdir(parents=True, exist_ok=True)
        if folder not in ("a", "b/bb/a"):
            (root / folder / SERVICE_FILE).touch()
    (root / "b" / "a").touch()
    (root / "b" / "b").symlink_to("../a")
    (root / "a" / "nothing").symlink_to("nothing")
    return root


@given(parts=st.lists(PARTS, min_size=1, max_size=4))
def test_what_glob_finds_is_found(parts: list[str], tree: Path) -> None:
    faults: list[ConfigError] = []
    pattern = "/".join(parts).lstrip("/")
    wanted = glob.glob(f"{pattern or '.'}/{SERVICE_FILE}", root_dir=tree, recursive=True)
    found = [os.path.normpath(path) for path in service_folders(str(tree), pattern, faults)]
    assert sorted(set(found)) == sorted({os.path.normpath(os.path.dirname(w)) for w in wanted})
    assert faults == []


def test_links_that_lead_back_are_not_followed_for_ever(tmp_path: Path) -> None:
    for folder in ("ws/a/x", "ws/b", "far/c"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / SERVICE_FILE).touch()
    links = {"a/me": ".", "a/x/up": "..", "a/b": "../b", "b/a": "../a", "b/far": "../../far"}
    for name, target in {**links, "../far/back": "../ws"}.items():
        (tmp_path / "ws" / name).symlink_to(target)
    faults: list[ConfigError] = []
    found = service_folders(str(tmp_path / "ws"), "**", faults)
    assert sorted(found) == ["a/b", "a/b/far/c", "a/x", "b", "b/a/x", "b/far/c"]
    assert faults == []


@pytest.mark.parametrize("pattern", ["a/*", "a/far", "a/far/*", "a/*/**"])
def test_a_folder_that_cannot_be_looked_into_is_told(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "far").symlink_to("x" * 300)  # root may look into all others
    faults: list[ConfigError] = []
    assert service_folders(str(tmp_path), pattern, faults) == []
    assert "\n".join(map(str, faults)) == (
        "a/far: cannot be looked into for a service: file name too long\n"
        "    hint: if there is none, have Workspace(services=[…]) name other folders only"
    )


def test_no_image_goes_for_a_folder_that_cannot_be_looked_into(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    shutil.rmtree(site.root / "services" / "web")
    (site.root / "services" / "web").symlink_to("x" * 300)
    ran = site.run()
    assert (ran.code, ran.out, ran.err) == (
        3,
        "",
        "ERROR: services/web: cannot be looked into for a service: file name too long\n"
        "    hint: if there is none, have Workspace(services=[…]) name other folders only\n",
    )
    assert site.images() == images
