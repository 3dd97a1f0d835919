"""Compilers and linkers of Rust: what they are made of counts, not only what they are called."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from scratchtasks.execute.rust.toolchain import Rust, find_rust

from .golang_workspace import write
from .rust_workspace import Run, WorldAt, execute, lock, manifest, rust_actions
from .test_cc_tools import script

PARTS = (
    "bin/cargo",
    "lib/librustc_driver-*.so",
    "lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld",
    "lib/rustlib/x86_64-unknown-linux-gnu/lib/libstd-*.so",
    "lib/rustlib/x86_64-unknown-linux-musl/lib/libstd-*.rlib",
    "lib/rustlib/x86_64-unknown-linux-musl/lib/self-contained/rcrt1.o",
)


def crate(root: Path) -> None:
    write(
        root,
        {"s/Cargo.toml": manifest("s"), "s/src/main.rs": 'fn main() { println!("here"); }\n'},
    )
    lock(root / "s")


def reason(run: Run) -> str:
    """Why the crate s is to be built; "" when it is up to date."""
    verdict = run.verdict()
    assert verdict.error is None, verdict.error
    assert verdict.fresh == (not verdict.reason)
    return verdict.reason


@pytest.fixture(scope="module")
def toolchain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the machine's Rust, of hard links where that can be."""

    def link(source: str, target: str) -> None:
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    argv = ["rustc", "--print", "sysroot"]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    copy = tmp_path_factory.mktemp("rust") / "sysroot"
    ignore = shutil.ignore_patterns("share", "aarch64-*")
    shutil.copytree(done.stdout.strip(), copy, copy_function=link, ignore=ignore, symlinks=True)
    return copy


def test_every_part_of_a_toolchain_counts(
    toolchain: Path, tmp_path: Path, world_at: WorldAt
) -> None:
    root = tmp_path / "x"
    crate(root)
    env = {**os.environ, "PATH": f"{toolchain}/bin:{os.environ['PATH']}"}
    world = world_at(root, env)
    Run(world, rust_actions("s")).build()
    assert reason(Run(world, rust_actions("s"))) == ""
    for pattern in PARTS:
        (part,) = toolchain.glob(pattern)
        kept = part.with_name("kept")
        part.rename(kept)
        part.write_bytes(kept.read_bytes() + b"\n")
        part.chmod(0o755)
        assert "identity.rust[1] changed" in reason(Run(world, rust_actions("s"))), pattern
        kept.rename(part)
        assert reason(Run(world, rust_actions("s"))) == "", pattern


def test_nothing_to_do_starts_no_process_where_cc_links(
    tmp_path: Path, world_at: WorldAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rust, "has_std", lambda self, triple, world: triple == self.host)
    root = tmp_path / "x"
    crate(root)
    world = world_at(root)
    Run(world, rust_actions("s")).build()
    run = Run(world, rust_actions("s"))
    assert reason(run) == ""
    assert run.processes.calls == []


def test_another_ld_on_path(
    tmp_path: Path, world_at: WorldAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rust, "has_std", lambda self, triple, world: triple == self.host)
    root, tools = tmp_path / "x", tmp_path / "tools"
    crate(root)
    tools.mkdir()
    world = world_at(root, {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    Run(world, rust_actions("s")).build()
    script(tools / "ld", f'exec {shutil.which("ld")} "$@"')
    run = Run(world, rust_actions("s"))
    assert "identity.linker changed" in reason(run)
    assert execute(run.build(), tmp_path / "program") == "here\n"
    (tools / "ld").unlink()
    assert Run(world, rust_actions("s")).verdict().word == "hit"


@pytest.mark.parametrize("name", ["tools/own-cc", "own-cc"])
def test_a_linker_of_the_configuration(tmp_path: Path, world_at: WorldAt, name: str) -> None:
    root, tools = tmp_path / "x", tmp_path / "x/tools"
    crate(root)
    linker = script(tools / name.rpartition("/")[2], 'exec cc "$@"')
    table = f'[target.x86_64-unknown-linux-musl]\nlinker = "{name}"\n'
    write(root, {".cargo/config.toml": table})
    world = world_at(root, {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"})
    first = Run(world, rust_actions("s")).build()
    assert execute(first, tmp_path / "program") == "here\n"
    script(linker, 'exec cc -Wl,-z,separate-code "$@"')
    run = Run(world, rust_actions("s"))
    assert "identity.linkers[0][" in reason(run)
    run.build()


def test_a_toolchain_that_is_linked_anew(
    toolchain: Path, tmp_path: Path, world_at: WorldAt
) -> None:
    """As `rustup toolchain link` does it, under the name that it had."""
    rustup, root = tmp_path / "rustup", tmp_path / "x"
    real = subprocess.run(["rustc", "--print", "sysroot"], check=True, capture_output=True)
    places = (real.stdout.decode().strip(), str(toolchain))
    write(rustup, {"settings.toml": 'version = "12"\ndefault_toolchain = "ours"\n'})
    link = rustup / "toolchains/ours"
    link.parent.mkdir()
    root.mkdir()
    world = world_at(root, {**os.environ, "RUSTUP_HOME": str(rustup)})
    for place in places:
        link.unlink(missing_ok=True)
        os.symlink(place, link)
        world.files.forget_scan()
        assert find_rust(world, str(root), "//s:binary").sysroot == place
