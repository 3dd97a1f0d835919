"""Equal inputs give equal digests: from any folder, umask, locale, time zone, order and -n."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .workspaces import TWO_SERVICES, Site, shop, site_of

FILES = {
    **TWO_SERVICES,
    **{f"services/web/static/{name}.txt": name for name in ("b", "a", "Z", "é", "_", "10", "9")},
    "services/web/service.toml": TWO_SERVICES["services/web/service.toml"]
    + 'dirs = [{ path = "/var/lib/web" }]\nplatforms = ["linux/amd64", "linux/arm64"]\n',
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The digests of FILES, built in the plainest way."""
    site = site_of(tmp_path_factory.mktemp("plain") / "ws", FILES)
    site.doit()
    assert set(site.images()) == {"api", "web"}
    return site.images()


@pytest.mark.parametrize("name", ["größe 日本/a'b\"$c", "-n", "100% [1]*"])
def test_any_folder(name: str, tmp_path: Path, expected: dict[str, str]) -> None:
    site = site_of(tmp_path / name, FILES)
    assert site.doit().err == ""
    assert site.images() == expected
    assert site.doit().summary == "2 images up to date"


@pytest.mark.parametrize("mask", [0o077, 0o000])
def test_any_umask(mask: int, tmp_path: Path, expected: dict[str, str]) -> None:
    site = Site(tmp_path / "ws")
    before = os.umask(mask)
    try:
        site.write(FILES)
        site.doit()
    finally:
        os.umask(before)
    assert site.images() == expected


@pytest.mark.parametrize(
    "env",
    [
        {"LC_ALL": "C", "TZ": "UTC", "USER": "somebody", "SOURCE_DATE_EPOCH": ""},
        {"LANG": "tr_TR.UTF-8", "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "1"},
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "2"},
    ],
)
def test_any_environment(env: dict[str, str], tmp_path: Path, expected: dict[str, str]) -> None:
    site = site_of(tmp_path / "ws", FILES)
    site.doit(env=env)
    assert site.images() == expected
    assert site.doit().summary == "2 images up to date"  # another environment is no reason


def test_names_of_files_that_python_cannot_have_are_refused(tmp_path: Path) -> None:
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    text = FILES["services/web/service.toml"].replace('"static"', '"größe"')
    site = site_of(tmp_path / "ws", {**FILES, "services/web/service.toml": text})
    (site.root / "services/web/static").rename(site.root / "services/web/größe")
    ran = site.run(env=env)
    assert (ran.code, ran.err) == (
        3,
        "ERROR: names of files: Python takes them for ascii (wanted utf-8)\n"
        "    hint: set LC_ALL=C.UTF-8, without PYTHONUTF8=0\n",
    )


@pytest.mark.parametrize("args", [("-n", "4"), ("-n", "1", "image:web", "image:api")])
def test_any_order_of_work(args: tuple[str, ...], tmp_path: Path, expected: dict[str, str]) -> None:
    site = site_of(tmp_path / "ws", FILES)
    site.doit(*args)
    assert site.images() == expected


def test_any_order_of_files(tmp_path: Path, expected: dict[str, str]) -> None:
    site = site_of(tmp_path / "ws", dict(reversed(FILES.items())))
    (site.root / "sitecustomize.py").write_text(_BACKWARDS)
    site.doit(env={"PYTHONPATH": str(site.root)})
    assert (site.root / "was_used").exists()
    assert site.images() == expected


def test_any_time_of_files(tmp_path: Path, expected: dict[str, str]) -> None:
    site = site_of(tmp_path / "ws", FILES)
    for number, path in enumerate(sorted(site.root.rglob("*"))):
        os.utime(path, ns=(number * 10**15, number * 10**15))
    site.doit()
    assert site.images() == expected


@pytest.mark.parametrize("change", [shutil.copytree, shutil.move])
def test_a_moved_workspace_is_up_to_date_at_most_from_the_cache(
    change: Callable[[Path, Path], object], tmp_path: Path, expected: dict[str, str]
) -> None:
    site = site_of(tmp_path / "ws", FILES)
    site.doit()
    change(site.root, tmp_path / "moved")
    moved = Site(tmp_path / "moved")
    assert moved.doit().actions == []
    assert moved.images() == expected


def test_source_date_epoch_dates_images(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    undated = site.images()
    epoch = {"SOURCE_DATE_EPOCH": "1700000000"}
    ran = site.doit(env=epoch)
    assert [action for action in ran.actions if action.endswith("Compile")] == []
    assert ran.summary == "2 images, 2 rebuilt"
    dated = site.images()
    assert not set(dated.values()) & set(undated.values())
    assert created(site, "api") == "2023-11-14T22:13:20Z"
    assert site.doit(env=epoch).summary == "2 images up to date"
    site.doit()
    assert site.images() == undated
    assert created(site, "api") == "1970-01-01T00:00:00Z"
    site.doit(env=epoch)
    assert site.images() == dated


@pytest.mark.parametrize("text", ["yesterday", "-1", "253402300800", "٣", "9" * 5000])
def test_a_source_date_epoch_that_is_none(text: str, tmp_path: Path) -> None:
    ran = shop(tmp_path).run(env={"SOURCE_DATE_EPOCH": text})
    wanted = "SOURCE_DATE_EPOCH: wanted seconds since 1970 up to the year 9999, got "
    assert (ran.code, ran.out) == (3, "")
    assert ran.err == f"ERROR: {wanted}{text!r}\n"


_BACKWARDS = """
import glob, os, pathlib

_listdir, _scandir = os.listdir, os.scandir


class _Entries:
    def __init__(self, entries):
        self._entries = iter(entries)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass


def backwards(path="."):
    pathlib.Path(__file__).with_name("was_used").touch()
    return sorted(_listdir(path), reverse=True)


os.listdir = backwards
os.scandir = lambda path=".": _Entries(sorted(_scandir(path), key=lambda e: e.name)[::-1])
"""


def created(site: Site, name: str) -> str:
    """The `created` of the image's config."""
    layout = site.root / "dist" / name / "blobs"
    manifest = json.loads((layout / site.images()[name].replace(":", "/")).read_text())
    config = json.loads((layout / manifest["config"]["digest"].replace(":", "/")).read_text())
    return str(config["created"])
