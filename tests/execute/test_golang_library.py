"""Go's standard library as a part of the toolchain: all that builds read, and only as it is now."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.execute.golang.library import library_digest, look_at_packages
from scratchtasks.execute.golang.packages import closure_of, read_packages, standard_of
from scratchtasks.execute.operation import World
from scratchtasks.execute.toolchains import Toolchain

from .golang_workspace import WorldAt, write

MACHINES = ("386", "amd64", "arm", "arm64", "ppc64le", "riscv64", "s390x")
FILES = {
    "src/go.mod": "module std\n",
    "src/html/escape.go": "package html\n",
    "src/html/escape_amd64.s": "TEXT\n",
    "src/html/escape_arm64.s": "TEXT\n",
    "src/html/escape_windows.go": "package html\n",
    "src/html/escape_test.go": "package html\n",
    "src/html/testdata/x.go": "package x\n",
    "src/net/net.go": "package net\n",
    "src/cmd/go/main.go": "package main\n",
    "pkg/include/textflag.h": "#define X\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path / "goroot", FILES)
    return tmp_path / "goroot"


def _edit(name: str) -> Callable[[Path], None]:
    return lambda root: write(root, {name: "// patched\n"})


def _in_place(root: Path) -> None:
    path = root / "src/html/escape.go"
    info = path.stat()
    with path.open("r+") as file:
        file.write("PACKAGE")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))


SEEN: dict[str, Callable[[Path], object]] = {
    "a source": _edit("src/html/escape.go"),
    "a source in place, with its time put back": _in_place,
    "assembly": _edit("src/html/escape_amd64.s"),
    "a new source": _edit("src/html/more.go"),
    "a new package": _edit("src/html/inner/inner.go"),
    "a source less": lambda root: (root / "src/html/escape.go").unlink(),
    "a package less": lambda root: shutil.rmtree(root / "src/net"),
    "a header": _edit("pkg/include/textflag.h"),
    "no headers": lambda root: shutil.rmtree(root / "pkg"),
    "another module": _edit("src/go.mod"),
    "another name": lambda root: (root / "src/net/net.go").rename(root / "src/net/dial.go"),
}
UNSEEN: dict[str, Callable[[Path], object]] = {
    "a test": _edit("src/html/escape_test.go"),
    "test data": _edit("src/html/testdata/x.go"),
    "a source for another system": _edit("src/html/escape_windows.go"),
    "a command": _edit("src/cmd/go/main.go"),
    "a touch": lambda root: os.utime(root / "src/html/escape.go"),
    "nothing": lambda root: None,
}


def _digests(root: Path, world_at: WorldAt, change: Callable[[Path], object]) -> list[str]:
    """The digest before and after *change*, in one run and in the next, and one of a new look."""
    first = world_at(root.parent / "ws")
    found = [library_digest(str(root), first)]
    time.sleep(0.07)  # old enough to be believed
    first.files.forget_scan()
    library_digest(str(root), first)
    first.files.save()
    change(root)
    first.files.forget_scan()
    return [
        *found,
        *(library_digest(str(root), world) for world in (first, world_at(root.parent / "ws"))),
        library_digest(str(root), world_at(root.parent / "other")),
    ]


@pytest.mark.parametrize("change", SEEN.values(), ids=SEEN)
def test_what_a_build_may_read_changes_the_digest(
    root: Path, world_at: WorldAt, change: Callable[[Path], object]
) -> None:
    before, *after = _digests(root, world_at, change)
    assert len(set(after)) == 1
    assert before not in after


@pytest.mark.parametrize("change", UNSEEN.values(), ids=UNSEEN)
def test_what_no_build_reads_does_not(
    root: Path, world_at: WorldAt, change: Callable[[Path], object]
) -> None:
    assert len(set(_digests(root, world_at, change))) == 1


def test_it_is_the_same_in_another_place(root: Path, world_at: WorldAt) -> None:
    other = shutil.copytree(root, root.parent / "elsewhere")
    world = world_at(root.parent / "ws")
    assert library_digest(str(root), world) == library_digest(str(other), world)


def test_a_distributions_links_are_followed(root: Path, world_at: WorldAt) -> None:
    (root.parent / "share").mkdir()
    linked = root.parent / "linked"
    (linked / "pkg").mkdir(parents=True)
    (linked / "src").symlink_to(root / "src")
    (linked / "pkg/include").symlink_to(root / "pkg/include")
    before, after, *_ = _digests(linked, world_at, _edit("src/html/escape.go"))
    assert before != after


def test_what_we_unpacked_is_read_once(root: Path, world_at: WorldAt) -> None:
    world = world_at(root.parent / "ws")
    ours = shutil.copytree(root, f"{world.scratch}/blobs/trees/00/files/go")
    digest = library_digest(ours, world)
    assert digest == library_digest(str(root), world)
    shutil.rmtree(ours)
    assert library_digest(ours, world) == digest
    look_at_packages("html", _go(Path(ours)), "amd64", world)
    assert not world.files.looks


def test_the_packages_of_a_program_are_looked_at_and_no_others(
    root: Path, world_at: WorldAt
) -> None:
    world = world_at(root.parent / "ws")
    library_digest(str(root), world)
    look_at_packages("html unsafe", _go(root), "amd64", world)
    assert {os.path.relpath(path, root) for path in world.files.looks} == {
        *("src", "src/go.mod", "pkg/include", "pkg/include/textflag.h"),
        *("src/html", "src/html/escape.go", "src/html/escape_amd64.s"),
    }


def test_packages_that_change_in_a_run_are_looked_at_again(root: Path, world_at: WorldAt) -> None:
    time.sleep(0.07)
    world = world_at(root.parent / "ws")

    def notes() -> tuple[object, object]:
        world.files.forget_scan()
        library_digest(str(root), world)
        look_at_packages("html net", _go(root), "amd64", world)
        looks = world.files.looks
        return looks[f"{root}/src/html/escape.go"], looks[f"{root}/src/net/net.go"]

    first = notes()
    assert all(first)
    assert notes() == first
    write(root, {"src/html/escape.go": "package html // patched\n"})
    assert notes() == ((), first[1])  # which of both a compiler has read nobody knows


def _go(root: Path) -> Toolchain:
    return Toolchain(path=f"{root}/bin/go", version="", identity="")


@pytest.mark.parametrize("machine", MACHINES)
def test_all_that_go_reads_for_a_program_is_looked_at(
    machine: str, tmp_path: Path, world: World
) -> None:
    """Whatever Go names of the library is what a run with nothing to do sees."""
    program = os.path.realpath(str(shutil.which("go")))
    root = os.path.dirname(os.path.dirname(program))
    fields = "ImportPath,Dir,Imports,ImportMap,Standard,GoFiles,SFiles,HFiles,SysoFiles,EmbedFiles"
    imports = "".join(f'import _ "{name}"\n' for name in ("net/http", "crypto/tls", "html"))
    write(
        tmp_path / "x",
        {
            "go.mod": "module x\n\ngo 1.21\n",
            "main.go": f"package main\n\n{imports}\nfunc main() {{}}\n",
        },
    )
    env = {**os.environ, "GOOS": "linux", "GOARCH": machine, "CGO_ENABLED": "0", "GOWORK": "off"}
    argv = [program, "list", "-deps", f"-json={fields}", "."]
    done = subprocess.run(argv, cwd=tmp_path / "x", env=env, capture_output=True, check=True)
    packages = read_packages(done.stdout)
    standard = standard_of(closure_of(packages["x"], packages), packages, machine)
    assert standard == sorted(name for name, each in packages.items() if each.is_standard)
    library_digest(root, world)
    look_at_packages(" ".join(standard), _go(Path(root)), machine, world)
    read = {path for name in standard for path in packages[name].sources}
    read |= {packages[name].folder for name in standard}
    assert read - world.files.looks.keys() == set()
