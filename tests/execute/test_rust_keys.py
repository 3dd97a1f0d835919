"""What changes the key of a Rust binary, and what does not."""

import os
import pwd
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.platform import Platform
from scratchtasks.execute.extras import packaged_toolchains
from scratchtasks.execute.operation import World
from scratchtasks.execute.rust.environment import cargo_home, fetching_env

from .golang_workspace import write
from .rust_workspace import ARM64, Run, WorldAt, lock, manifest, rust_actions

MAIN = 'fn main() { println!("{} {}", include_str!("../text.txt"), common::twice(1)); }\n'
BUILD = 'fn main() { println!("cargo:rerun-if-changed=../schema"); }\n'
ROOT = """[workspace]
resolver = "2"
members = ["a", "b", "common"]
[workspace.dependencies]
itoa = "1"
fnv = "1"
common = { path = "common" }
"""
FILES = {
    "Cargo.toml": ROOT,
    "a/Cargo.toml": manifest("a", "common.workspace = true", "itoa.workspace = true"),
    "a/build.rs": BUILD,
    "a/src/main.rs": MAIN,
    "a/text.txt": "text\n",
    "a/README.md": "a\n",
    "b/Cargo.toml": manifest("b", "fnv.workspace = true"),
    "b/src/main.rs": "fn main() {}\n",
    "common/Cargo.toml": manifest("common"),
    "common/src/lib.rs": "pub fn twice(n: i32) -> i32 { 2 * n }\n",
    "schema/one.sql": "one\n",
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose binary a is built, to be copied."""
    root = tmp_path_factory.mktemp("built") / "ws"
    write(root, FILES)
    lock(root)
    return root


@pytest.fixture
def mono(built: Path, tmp_path: Path, world_at: WorldAt) -> World:
    """A copy of it, whose stamps and cache say that a is fresh."""
    if not (built / ".scratch/stamps").exists():
        world = world_at(built)
        Run(world, rust_actions("a")).build()
        world.files.save()
        shutil.rmtree(built / ".scratch/cargo")
    root = tmp_path / "ws"
    shutil.copytree(built, root)
    return world_at(root)


def is_fresh(world: World) -> bool:
    verdict = Run(world, rust_actions("a")).verdict()
    assert verdict.error is None, verdict.error
    return verdict.fresh


def test_the_key_does_not_know_the_folder(mono: World) -> None:
    run = Run(mono, rust_actions("a"))
    assert run.verdict().fresh
    # The stat cache came along, so nothing was asked of cargo.
    assert run.cargo_calls() == []


def test_nothing_to_do_starts_no_process(mono: World) -> None:
    Run(mono, rust_actions("a")).verdict()
    run = Run(mono, rust_actions("a"))
    assert run.verdict().fresh
    assert run.processes.calls == []


def drop(name: str) -> Callable[[Path], None]:
    return lambda root: os.unlink(root / name)


def put(name: str, text: str) -> Callable[[Path], None]:
    return lambda root: write(root, {name: text})


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new))

    return change


def relock_b(root: Path) -> None:
    """Another entry in Cargo.lock, which only b needs."""
    dependencies = ("fnv.workspace = true", 'either = "1"')
    write(root, {"b/Cargo.toml": manifest("b", *dependencies)})
    lock(root)


@pytest.mark.parametrize(
    "change",
    [
        put("a/README.md", "more\n"),
        put("a/tests/new.rs", "#[test] fn t() {}\n"),
        put("b/src/main.rs", "fn main() { broken }\n"),
        put("b/src/new.rs", "\n"),
        relock_b,
        edit("Cargo.toml", 'fnv = "1"', 'fnv = { version = "1", default-features = false }'),
        put("Cargo.toml", ROOT + "# a comment\n"),
    ],
)
def test_what_is_outside_the_closure_rebuilds_nothing(
    mono: World, change: Callable[[Path], None]
) -> None:
    change(Path(mono.root))
    assert is_fresh(mono)


@pytest.mark.parametrize(
    "change",
    [
        put("a/src/main.rs", MAIN + "// more\n"),
        put("a/text.txt", "other\n"),
        put("a/src/new.rs", "\n"),
        put("common/src/lib.rs", "pub fn twice(n: i32) -> i32 { n + n }\n"),
        put("common/build.rs", "fn main() {}\n"),
        put("common/Cargo.toml", manifest("common", extra='description = "x"')),
        put("schema/one.sql", "two\n"),
        put("schema/two.sql", "two\n"),
        put("schema/sub/three.sql", "three\n"),
        put(".cargo/config.toml", "[env]\nX = '1'\n"),
        put("a/.cargo/config.toml", "[env]\nX = '1'\n"),
        put("Cargo.toml", ROOT + "[profile.release]\nlto = true\n"),
        drop("a/build.rs"),
    ],
)
def test_what_is_inside_rebuilds(mono: World, change: Callable[[Path], None]) -> None:
    change(Path(mono.root))
    assert not is_fresh(mono)


OUTDATED = manifest("b", "fnv.workspace = true", "itoa.workspace = true")


@pytest.mark.parametrize(
    ("members", "change"),
    [
        ('["a", "b", "common"]', put("b/Cargo.toml", "no manifest\n")),
        ('["a", "b", "common"]', put("b/Cargo.toml", OUTDATED)),
        ('["a", "b", "common"]', drop("b/Cargo.toml")),
        ('["a", "b", "common"]', drop("b/src/main.rs")),
        ('["[a-c]*"]', put("cli/src/lib.rs", "")),
    ],
    ids=["broken", "not as Cargo.lock has it", "gone", "empty", "another that has none"],
)
def test_a_member_that_keeps_cargo_from_all_others_is_told_as_by_a_clean_build(
    mono: World, members: str, change: Callable[[Path], None]
) -> None:
    root = Path(mono.root)
    write(root, {"Cargo.toml": ROOT.replace('["a", "b", "common"]', members)})
    assert is_fresh(mono)
    change(root)
    error = Run(mono, rust_actions("a")).verdict().error
    assert str(error).splitlines()[0] == "//a:binary: cargo metadata failed"


def test_a_change_back_is_a_hit(mono: World) -> None:
    source = Path(mono.root, "a/text.txt")
    first = Run(mono, rust_actions("a")).build()
    source.write_text("other\n")
    Run(mono, rust_actions("a")).build()
    assert is_fresh(mono)
    source.write_text("text\n")
    run = Run(mono, rust_actions("a"))
    assert run.build() == first
    assert "build" not in run.cargo_calls()


def test_another_platform_is_another_key(mono: World) -> None:
    run = Run(mono, rust_actions("a", platform=ARM64))
    assert run.verdict().reason == "it was never built here"


def error(world: World, **options: object) -> str:
    run = Run(world, rust_actions("a", **options))  # type: ignore[arg-type]
    with pytest.raises(ScratchError) as caught:
        run.build()
    return str(caught.value)


def test_a_target_that_is_not_installed(mono: World) -> None:
    message = error(mono, platform=Platform("linux", "ppc64le"))
    assert message.startswith("//a:binary: Rust 1.")
    assert message.endswith(
        " has no standard library for linux/ppc64le (wanted powerpc64le-unknown-linux-musl)\n"
        "    hint: rustup target add powerpc64le-unknown-linux-musl"
    )


def test_no_rust_at_all(mono: World) -> None:
    world = replace(mono, env={"PATH": "/nowhere", "HOME": mono.root})
    assert error(world) == (
        "//a:binary: rustc was not found\n"
        "    hint: install Rust with rustup, or put cargo and rustc on PATH"
    )


def test_an_empty_home_is_the_users_own_to_cargo_too(mono: World) -> None:
    home = pwd.getpwuid(os.getuid()).pw_dir
    world = replace(mono, env={"HOME": ""})
    assert (fetching_env(world)["HOME"], cargo_home(world)) == (home, f"{home}/.cargo")


def test_a_toolchain_that_is_not_installed_is_not_downloaded(mono: World) -> None:
    write(mono.root, {"rust-toolchain.toml": '[toolchain]\nchannel = "1.61.0"\n'})
    assert error(mono).startswith("//a:binary: rustc cannot be used: toolchain '1.61.0")


def test_a_toolchain_file_is_heeded(mono: World) -> None:
    before = Run(mono, rust_actions("a")).verdict().description["identity"]
    write(mono.root, {"a/rust-toolchain": "nightly\n"})
    run = Run(mono, rust_actions("a", platform=Platform("linux", "amd64")))
    verdict = run.verdict()
    assert verdict.error is not None or verdict.description["identity"] != before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"crate": ".."}, "//a:binary: binary.crate is a workspace without a package of its own\n"
         "    hint: give the folder of one of its members: a, b, common"),
        ({"crate": "src"}, "//a:binary: there is no a/src/Cargo.toml\n"
         "    hint: binary.crate is the folder that has it, relative to the service's"),
        ({"crate": "../common"}, "//a:binary: crate common has no binary target"),
        ({"binary": "ab"}, "//a:binary: crate a has no binary target 'ab'\n"
         "    hint: did you mean 'a'?"),
        ({"features": ["nope"]}, "//a:binary: cargo metadata failed"),
    ],
)  # fmt: skip
def test_declarations_that_do_not_fit(
    mono: World, options: dict[str, object], message: str
) -> None:
    assert error(mono, **options) == message


def test_a_lock_file_that_is_out_of_date(mono: World) -> None:
    write(mono.root, {"a/Cargo.toml": manifest("a", 'either = "1"')})
    assert error(mono) == (
        "//a:binary: cargo metadata failed\n"
        "    hint: run `cargo generate-lockfile` or `cargo update -w`, and commit Cargo.lock"
    )


def test_c_without_a_compiler_for_it(
    mono: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("scratchtasks.execute.packaged.find_package", lambda name: None)
    write(mono.root, {"a/Cargo.toml": manifest("a") + '[build-dependencies]\ncc = "1"\n'})
    lock(Path(mono.root))
    assert error(mono, platform=ARM64) == (
        "//a:binary: one of its crates compiles C, and there is no C compiler for linux/arm64\n"
        "    hint: pip install 'scratchtasks[zig]', or install aarch64-linux-musl-gcc (musl-tools)"
    )


def test_a_compiler_for_c_is_told_of_where_a_crate_has_c(mono: World) -> None:
    """Then it is an input like any other, and scratch.lock pins what came from PyPI."""
    actions = {action.name: action for action in rust_actions("a", platform=ARM64)}
    assert packaged_toolchains(actions, actions, mono) == []
    write(mono.root, {"a/Cargo.toml": manifest("a") + '[build-dependencies]\ncc = "1"\n'})
    lock(Path(mono.root))
    mono.files.forget_scan()
    assert packaged_toolchains(actions, actions, mono) == ["ziglang"]


def test_a_toolchain_that_is_too_old(mono: World, tmp_path: Path) -> None:
    folder = tmp_path / "old/bin"
    folder.mkdir(parents=True)
    for name, said in (("rustc", "release: 1.73.0"), ("cargo", "cargo 1.73.0")):
        text = f'#!/bin/sh\n[ "$1" = --print ] && echo {folder.parent} || echo "{said}"\n'
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    assert error(replace(mono, env={"PATH": f"{folder}:/bin", "HOME": mono.root})) == (
        "Rust: too old (wanted 1.74 or newer, got 1.73)\n"
        "    hint: rustup update, or another rust-toolchain.toml"
    )
