"""Of a binary of several sources, those are compiled that an edit reaches, and no others."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.execute.operation import World
from scratchtasks.execute.process import Finished

from .golang_workspace import Recording, write
from .test_c import build, c_action, with_zig

HOME = "tools/hello"
FILES = {
    f"{HOME}/src/main.c": "int one(void), two(void);\nint main(void) { return one() + two(); }\n",
    f"{HOME}/src/one.c": '#include "n.h"\nint one(void) { return N; }\n',
    f"{HOME}/src/two.c": "int two(void) { return 2; }\n",
    f"{HOME}/include/n.h": "#define N 1\n",
}
ALL = ["src/main.c", "src/one.c", "src/two.c"]


class Builds:
    """Builds of one tree, each noting what its compiler is started for."""

    def __init__(self, world: World, cc: str) -> None:
        self.world, self.cc = world, cc
        write(world.root, FILES)

    def __call__(self, change: dict[str, str] | None = None, **params: Any) -> list[str]:
        """The sources that are compiled after *change* (below the service's folder)."""
        write(self.world.root, {f"{HOME}/{name}": text for name, text in (change or {}).items()})
        processes = Recording(lambda message: None)
        try:
            self.binary = build(replace(self.world, processes=processes), self.action(**params))
        except ScratchError as error:
            self.binary = str(error).encode()
        argvs = [call for call in processes.calls if "-c" in call]
        return sorted(argv[argv.index("-c") + 1] for argv in argvs)

    def action(self, **params: Any) -> Any:
        return c_action(cc=self.cc, **params)


@pytest.fixture(params=["gcc", ""], ids=["gcc", "zig"])
def builds(request: Any, tmp_path: Path, world_at: Callable[..., World], zig_cache: Path) -> Builds:
    return Builds(with_zig(world_at(tmp_path / "ws"), zig_cache), request.param)


def test_what_an_edit_reaches_is_compiled(
    builds: Builds, tmp_path: Path, world_at: Callable[..., World], zig_cache: Path
) -> None:
    assert builds() == ALL
    first = builds.binary
    assert builds({"src/two.c": "int two(void) { return 3; }\n"}) == ["src/two.c"]
    assert builds({"include/n.h": "#define N 7\n"}) == ["src/one.c"]
    # A header that comes earlier on the way, and a source more.
    assert builds({"src/n.h": "#define N 8\n"}) == ["src/one.c"]
    assert builds({"src/three.c": "int three;\n"}) == ["src/three.c"]
    shutil.copytree(Path(builds.world.root, HOME), tmp_path / "copy" / HOME)
    copy = with_zig(world_at(tmp_path / "copy"), zig_cache)
    assert builds.binary == build(copy, builds.action())
    # Back again, step by step in another order: what was compiled is known.
    for name in ("n.h", "three.c"):
        Path(builds.world.root, HOME, "src", name).unlink()
    changed_back = {name: FILES[f"{HOME}/{name}"] for name in ("src/two.c", "include/n.h")}
    assert builds(changed_back) == []
    assert builds.binary == first


def test_what_all_sources_share_compiles_all(builds: Builds) -> None:
    assert builds() == ALL
    assert builds(cflags=["-Iinclude", "-DX"]) == ALL
    assert builds(ldflags=["-Wl,-z,norelro"]) == []


def test_one_that_does_not_compile_costs_the_others_nothing(builds: Builds) -> None:
    assert builds({"src/two.c": "no\n", "src/one.c": "neither\n"}) == ALL
    assert builds.binary == b"//tools/hello:binary: src/one.c, src/two.c did not compile"
    # What failed is tried again each time, and only that.
    assert builds() == ["src/one.c", "src/two.c"]
    assert builds({name: FILES[f"{HOME}/{name}"] for name in ALL[1:]}) == ["src/one.c", "src/two.c"]


def test_flags_that_make_no_object(builds: Builds) -> None:
    assert builds(cflags=["-Iinclude", "-fsyntax-only"]) == ALL
    assert builds.binary == f"//tools/hello:binary: {', '.join(ALL)} did not compile".encode()


def test_a_damaged_object_is_made_again(builds: Builds) -> None:
    builds()
    first = builds.binary
    for folder, _, names in os.walk(os.path.join(builds.world.scratch, "blobs")):
        for name in names:
            path = Path(folder, name)
            path.chmod(0o644)
            path.write_bytes(b"no object")
    assert builds() == ALL
    assert builds.binary == first


class Meddling(Recording):
    """Calls *meddle* once, as soon as src/one.c is compiled."""

    def __init__(self, meddle: Callable[[], None]) -> None:
        super().__init__(lambda message: None)
        self.meddle = meddle

    def run(self, argv: Sequence[str], **given: Any) -> Finished:
        done = super().run(argv, **given)
        if "src/one.c" in argv and "-c" in argv:
            meddle, self.meddle = self.meddle, lambda: None
            meddle()
        return done


def test_what_changed_meanwhile_is_in_no_object(builds: Builds) -> None:
    header, said = f"{HOME}/include/n.h", dict[str, bytes]()
    for text in ("#define N 9\n", "#define N 7\n"):
        builds({"include/n.h": text})
        said[text] = builds.binary
    shutil.rmtree(os.path.join(builds.world.scratch, "actions"))
    shutil.rmtree(os.path.join(builds.world.scratch, "stamps"))
    processes = Meddling(lambda: write(builds.world.root, {header: "#define N 9\n"}))
    binary = build(replace(builds.world, processes=processes), builds.action())
    assert binary == said["#define N 9\n"]
    # Nor is what was compiled first taken for what it is not.
    assert builds({"include/n.h": "#define N 7\n"}) == ["src/one.c"]
    assert builds.binary == said["#define N 7\n"]
