"""What was made once is not made again: not for dist/, not after a switch, not for doit's sake."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .workspaces import ETC, LOADER, TWO_SERVICES, Site, main_go, shop, site_of

FIRST = [
    f"{ETC} Stage",
    "//services/api:binary GoCompile",
    "//services/api:image Image",
    "//services/api:rootfs Rootfs",
    "//services/web:binary GoCompile",
    "//services/web:image Image",
    "//services/web:rootfs Rootfs",
]
"""What a build from nothing runs."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """TWO_SERVICES, built; tests that use it leave it so."""
    site = shop(tmp_path_factory.mktemp("restored"))
    site.doit()
    return site


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    site = shop(tmp_path)
    assert site.doit().actions == FIRST
    ran = site.doit()
    assert ran.actions == []
    assert ran.summary == "2 images up to date"
    assert ran.err == ""


@pytest.mark.parametrize("lost", ["dist", "dist/images.json", "dist/api", "dist/api/index.json"])
def test_what_is_lost_in_dist_is_restored_without_compiling(lost: str, built: Site) -> None:
    before = {
        path: path.read_bytes() for path in (built.root / "dist").rglob("*") if path.is_file()
    }
    path = built.root / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    ran = built.doit()
    assert ran.actions == []
    assert "from cache" in ran.summary
    after = {path: path.read_bytes() for path in (built.root / "dist").rglob("*") if path.is_file()}
    assert after == before
    assert built.doit().summary == "2 images up to date"


def test_a_blob_damaged_in_dist_alone_is_restored(built: Site) -> None:
    images = built.images()
    manifest = built.root / "dist/api/blobs" / images["api"].replace(":", "/")
    manifest.unlink()
    manifest.write_text("{}")
    assert built.doit().actions == []
    assert manifest.read_bytes()[:1] == b"{"
    assert len(manifest.read_bytes()) > 100
    assert built.images() == images


@pytest.mark.parametrize("loader", [LOADER, ""], ids=["ours", "doit's"])
def test_the_summary_forgets_a_service_that_is_gone(loader: str, tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.write({"pyproject.toml": loader})
    site.doit()
    (site.root / "services/web/service.toml").unlink()
    assert site.doit().actions == []
    assert list(site.images()) == ["api"]


def test_what_is_only_asked_removes_no_image_of_a_service_that_is_gone(built: Site) -> None:
    images = built.images()
    (built.root / "services/web").rename(built.root / "aside")
    assert built.doit("why").out == "1 image up to date\n"
    built.doit("info", "image:api")
    built.doit("list", "--status")
    (built.root / "aside").rename(built.root / "services/web")
    assert built.images() == images
    assert built.doit().summary == "2 images up to date"


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_when_the_last_service_is_gone_so_is_dist(options: tuple[str, ...], built: Site) -> None:
    (built.root / "services").rename(built.root / "aside")
    assert built.doit(*options).err.startswith("scratchtasks: no service.toml in services/*\n")
    assert not (built.root / "dist").exists()
    (built.root / "aside").rename(built.root / "services")
    assert built.doit().actions == []
    assert list(built.images()) == ["api", "web"]


def test_what_is_surely_ours_goes_though_the_summary_was_lost(built: Site) -> None:
    """A folder is, if its index is what we write for that name and its blobs are links of ours."""
    dist = built.root / "dist"
    (dist / "images.json").unlink()
    (built.root / "services/web").rename(built.root / "aside")
    shutil.copytree(dist / "web", dist / "copied", copy_function=os.link)  # of another name
    shutil.copytree(dist / "web", dist / "noted", copy_function=os.link)
    (dist / "noted/index.json").unlink()
    index = (dist / "web/index.json").read_text()
    (dist / "noted/index.json").write_text(index.replace("web:latest", "noted:latest"))
    (dist / "noted/notes.txt").touch()
    shutil.copytree(dist / "noted", dist / "other")  # none of it is linked
    (dist / "other/notes.txt").unlink()
    (dist / "other/index.json").write_text(index.replace("web:latest", "other:latest"))
    (dist / "mine").mkdir()
    (dist / "file").touch()
    theirs = ["copied", "file", "mine", "noted", "other"]
    assert built.doit().err == ""
    assert sorted(os.listdir(dist)) == sorted(["api", "images.json", *theirs])
    assert list(built.images()) == ["api"]
    shutil.rmtree(dist)
    (built.root / "aside").rename(built.root / "services/web")
    built.doit()


@pytest.mark.parametrize("options", [(), ("-n", "2", "-P", "process")])
def test_with_the_summary_lost_the_last_service_leaves_no_image(
    options: tuple[str, ...], built: Site
) -> None:
    (built.root / "dist/images.json").unlink()
    (built.root / "services").rename(built.root / "aside")
    built.doit(*options)
    assert not (built.root / "dist").exists()
    (built.root / "aside").rename(built.root / "services")
    built.doit()


def test_names_in_the_summary_that_no_service_can_have_remove_nothing(
    built: Site, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(built.root / "dist/api", mine)
    summary = built.root / "dist/images.json"
    told = json.loads(summary.read_text())
    names = [f"../../../{tmp_path.name}/mine", str(mine), "..", "\ud800", "a\0b", ""]
    assert (built.root / "dist" / names[0]).samefile(mine)
    told["images"] += [{**told["images"][0], "name": name} for name in names]
    summary.write_text(json.dumps(told))
    files = sorted(mine.rglob("*"))
    assert built.doit().err == ""
    assert sorted(mine.rglob("*")) == files
    assert list(built.images()) == ["api", "web"]


def test_switching_back_and_forth_compiles_once(built: Site) -> None:
    one = built.images()
    branch = {"services/api/main.go": main_go("API"), "lib/lib.go": 'package lib\n\nconst Word="2"'}
    built.write(branch)
    assert built.doit().actions == [
        "//services/api:binary GoCompile",
        "//services/api:image Image",
        "//services/api:rootfs Rootfs",
    ]
    other = built.images()
    assert other["api"] != one["api"]
    assert other["web"] == one["web"]
    for files, images in ((TWO_SERVICES, one), (branch, other), (TWO_SERVICES, one)):
        built.write({name: files[name] for name in branch})
        ran = built.doit()
        assert ran.actions == []
        assert ran.summary == "2 images, 1 from cache, 1 up to date"
        assert built.images() == images


@pytest.mark.parametrize("command", ["forget", "clean"])
def test_forget_and_clean_cost_no_compilation(command: str, built: Site) -> None:
    images = built.images()
    built.doit(command)
    ran = built.doit()
    assert ran.actions == []
    assert ran.summary == "2 images, 2 from cache"
    assert built.images() == images
    assert built.doit().summary == "2 images up to date"


def test_clean_removes_the_layout_and_the_stamps(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    site.doit("clean", "image:api")
    assert not (site.root / "dist/api").exists()
    assert not (site.root / ".scratch/stamps/services/api/image.json").exists()
    assert (site.root / "dist/web/index.json").exists()


def test_clean_leaves_what_compilers_keep(tmp_path: Path) -> None:
    """Go's standard library in GOCACHE, cargo's crates, zig's libc: all cost minutes."""
    alone = {"services/api/main.go": 'package main\n\nfunc main() { println("api") }\n'}
    site = site_of(tmp_path / "ws", {**TWO_SERVICES, **alone})
    shutil.rmtree(site.root / "services/web")
    cache = tmp_path / "gocache"
    site.env["GOCACHE"] = str(cache)
    site.write({".scratch/cargo/0/crate": "", ".scratch/zig/libc": ""})
    site.doit()
    kept = {path for path in cache.rglob("*-a") if path.is_file()}
    assert kept
    site.doit("clean")
    assert not (site.root / "dist/api").exists()
    assert {path for path in kept if path.is_file()} == kept
    assert (site.root / ".scratch/cargo/0/crate").exists()
    assert (site.root / ".scratch/zig/libc").exists()


@pytest.mark.parametrize(
    "lost",
    [".scratch/stamps", ".scratch/doit.db", ".scratch/files.db", ".scratch/lock"],
)
def test_bookkeeping_can_be_lost(lost: str, built: Site) -> None:
    images = built.images()
    path = built.root / lost
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    assert built.doit().actions == []
    assert built.images() == images


def test_losing_the_cache_costs_time_only(tmp_path: Path) -> None:
    site = shop(tmp_path)
    site.doit()
    images = site.images()
    shutil.rmtree(site.root / ".scratch")
    assert site.doit().actions == FIRST
    assert site.images() == images


_COUNTING = """package main

import (
	"os"
	"syscall"
)

func main() {
	calls, _ := os.OpenFile(%s, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	calls.WriteString(os.Args[1] + "\\n")
	syscall.Exec(%s, os.Args, os.Environ())
}
"""


def counting_go(folder: Path, calls: Path) -> Path:
    """A folder for PATH with a `go` that appends each of its subcommands to the file *calls*.

    It is a binary in a whole GOROOT, because a launcher named go is refused.
    """
    real = shutil.which("go")
    assert real is not None
    real = os.path.realpath(real)
    folder.mkdir()
    for part in Path(real).parent.parent.iterdir():
        if part.name != "bin":
            (folder / part.name).symlink_to(part)
    source = folder.with_suffix(".go")
    source.write_text(_COUNTING % (json.dumps(str(calls)), json.dumps(real)))
    (folder / "bin").mkdir()
    argv = [real, "build", "-o", str(folder / "bin" / "go"), source.name]
    subprocess.run(argv, cwd=source.parent, check=True)
    return folder / "bin"


def test_one_compiler_call_makes_all_stale_go_binaries(tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    site = shop(tmp_path)
    path = f"{counting_go(tmp_path / 'go', calls)}:{site.environment()['PATH']}"
    for name in ("three", "four"):
        site.write(
            {
                f"services/{name}/{each}": TWO_SERVICES[f"services/api/{each}"]
                for each in ("main.go", "service.toml")
            }
        )
    site.doit(env={"PATH": path})
    assert calls.read_text().split().count("build") == 1
    assert calls.read_text().split().count("list") == 1
    calls.unlink()
    site.write({"lib/lib.go": 'package lib\n\nconst Word = "three of four use it"\n'})
    ran = site.doit(env={"PATH": path})
    assert ran.summary == "4 images, 3 rebuilt, 1 up to date"
    assert calls.read_text().split().count("build") == 1


def test_what_cannot_be_cleaned_is_told_and_the_rest_goes(built: Site) -> None:
    notes = built.root / "dist" / "api" / "notes"
    notes.touch()
    ran = built.run("clean", "image:web", "image:api")
    assert ran.err == (
        f"error: {notes.parent}: holds 'notes', which is no part of the image\n"
        "    hint: move it elsewhere, or delete the folder yourself\n"
    )
    assert list(built.images()) == ["api"]
    notes.unlink()
    built.doit()


def test_the_summary_forgets_what_is_cleaned_beside_other_tasks(built: Site) -> None:
    built.doit("list")  # what is shown is known then without a look at every service
    built.doit("clean", "image:web", "binary:api")
    assert list(built.images()) == ["api"]
    built.doit()
