"""A patch of Go's standard library, with the version and the compilers as they were."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .workspaces import QUICK, TWO_SERVICES, Site, lone_go, site_of

PAGE = """package main

import (
	"html"
	"os"
)

func main() { os.Stdout.WriteString(html.EscapeString("<")) }
"""
FILES = {
    **TWO_SERVICES,
    "scratch.toml": QUICK,
    "services/web/main.go": PAGE,
    "services/api/main.go": lone_go("api"),
}
ESCAPE = "src/html/escape.go"


@pytest.fixture
def goroot(tmp_path: Path) -> Path:
    """A GOROOT of our own: a copy of the sources that builds read, and links to the rest."""
    real = Path(os.path.realpath(str(shutil.which("go")))).parent.parent
    root = tmp_path / "goroot"
    root.mkdir()
    for part in real.iterdir():
        if part.name not in ("bin", "src", "api", "doc", "misc", "test"):
            (root / part.name).symlink_to(part)
    (root / "bin").mkdir()
    shutil.copy2(real / "bin/go", root / "bin/go")
    left_out = shutil.ignore_patterns("testdata", "*_test.go", "cmd")
    shutil.copytree(real / "src", root / "src", ignore=left_out)
    return root


def _in_place(path: Path, old: str, new: str) -> None:
    """Change *old* to *new*, and leave the folder and the file's time as they were."""
    info, text = path.stat(), path.read_text()
    assert old in text
    with path.open("r+") as file:
        file.write(text.replace(old, new))
        file.truncate()
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


def _add(path: Path) -> None:
    path.write_text("package html\n\nfunc init() { println(1) }\n")


EDITS: dict[str, Callable[[Path], None]] = {
    "in place": lambda root: _in_place(root / ESCAPE, "&lt;", "&LT;"),
    "a file more": lambda root: _add(root / "src/html/more.go"),
}


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_patch_of_what_a_program_imports_is_noticed(
    tmp_path: Path, goroot: Path, edit: Callable[[Path], None]
) -> None:
    site = _at_rest(tmp_path, goroot)
    before = site.images()
    edit(goroot)
    assert "//services/web:binary GoCompile" in site.doit().actions
    after = site.images()
    assert {name for name in after if after[name] != before[name]} == {"web"}
    assert after == site.clean_build(tmp_path / "clean")


def test_what_no_program_imports_and_a_touch_leave_all_as_it_is(
    tmp_path: Path, goroot: Path
) -> None:
    site = _at_rest(tmp_path, goroot)
    os.utime(goroot / ESCAPE)
    assert site.doit().actions == []
    _in_place(goroot / "src/archive/tar/reader.go", "package tar", "package tar // patched")
    assert site.doit().actions == []
    assert site.images() == site.clean_build(tmp_path / "clean")


def _at_rest(tmp_path: Path, goroot: Path) -> Site:
    site = site_of(tmp_path / "ws", FILES)
    site.env["PATH"] = f"{goroot}/bin:{os.environ['PATH']}"
    site.doit()
    assert site.doit().summary == "2 images up to date"
    return site
