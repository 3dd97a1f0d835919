"""What of a machine's C compiler goes into a key, with the machine's own gcc."""

from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.execute.cc_tools import helper_programs
from scratchtasks.execute.operation import World
from scratchtasks.execute.toolchains import find_program

from .golang_workspace import Recording


@pytest.fixture
def gcc(world: World) -> str:
    path = find_program("gcc", world)
    assert path is not None
    return path


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def names(found: list[object]) -> set[str]:
    return {str(each[0]) for each in found if isinstance(each, list)}


def again(world: World) -> tuple[World, Recording]:
    """*world* in its next run, and what it starts."""
    world.files.forget_scan()
    processes = Recording(lambda message: None)
    return replace(world, processes=processes), processes


def test_what_gcc_is_made_of(world: World, gcc: str) -> None:
    found = names(list(helper_programs(gcc, world)))
    assert {"gcc", "as", "ld", "cc1", "collect2"} <= found
    # Most of binutils is in a library.
    assert any(name.startswith("libbfd") for name in found)


def test_asked_once(world: World, gcc: str) -> None:
    first = helper_programs(gcc, world)
    world, processes = again(world)
    assert helper_programs(gcc, world) == first
    assert processes.calls == []


@pytest.mark.parametrize("helper", ["as", "ld"])
def test_another_helper_on_path(world: World, gcc: str, tmp_path: Path, helper: str) -> None:
    folder, own = tmp_path / "first", find_program(helper, world)
    folder.mkdir()
    world = replace(world, env={**world.env, "PATH": f"{folder}:{world.env['PATH']}"})
    first = helper_programs(gcc, world)
    script(folder / helper, f'exec {own} "$@"')
    world.files.forget_scan()
    second = helper_programs(gcc, world)
    assert second != first
    script(folder / helper, f'echo >&2; exec {own} "$@"')
    world.files.forget_scan()
    assert helper_programs(gcc, world) not in (first, second)


def test_a_script_around_a_compiler(world: World, gcc: str, tmp_path: Path) -> None:
    """As musl-gcc is: the compiler on PATH, with specs of its own."""
    specs = tmp_path / "musl.specs"
    specs.write_text("*cpp_options:\n-nostdinc\n\n")
    folder = tmp_path / "bin"
    folder.mkdir()
    world = replace(world, env={**world.env, "PATH": f"{folder}:{world.env['PATH']}"})
    wrapper = str(script(tmp_path / "musl-gcc", f'exec gcc "$@" -specs={specs}'))
    first = helper_programs(wrapper, world)
    assert {"musl-gcc", "musl.specs", "gcc", "cc1", "ld"} <= names(list(first))
    specs.write_text("*cpp_options:\n-nostdinc -DX\n\n")
    world.files.forget_scan()
    second = helper_programs(wrapper, world)
    assert second != first
    script(folder / "gcc", f'exec {gcc} "$@"')
    world.files.forget_scan()
    assert helper_programs(wrapper, world) != second


def test_flags_that_name_helpers(world: World, gcc: str, tmp_path: Path) -> None:
    plain = helper_programs(gcc, world)
    assert helper_programs(gcc, world, ["-Wl,-z,now", "-lm"]) == plain
    assert "ld.gold" in names(list(helper_programs(gcc, world, ["-fuse-ld=gold"])))
    own = tmp_path / "own"
    before = helper_programs(gcc, world, ["-B", "own"], str(tmp_path))
    script(own / "ld", f'exec {find_program("ld", world)} "$@"')
    world.files.forget_scan()
    after = helper_programs(gcc, world, ["-B", "own"], str(tmp_path))
    assert before == plain != after


def test_a_compiler_that_does_not_know_the_questions(world: World, tmp_path: Path) -> None:
    world = replace(world, env={"PATH": str(tmp_path / "nothing")})
    driver = script(tmp_path / "tcc", "echo no such option >&2; exit 1")
    found = helper_programs(str(driver), world)
    assert names(list(found)) == {"tcc"}


def test_a_compiler_that_cannot_be_started(world: World, tmp_path: Path) -> None:
    driver = tmp_path / "cc"
    driver.write_bytes(b"\x7fELF")
    driver.chmod(0o755)
    with pytest.raises(ScratchError):
        helper_programs(str(driver), world)
