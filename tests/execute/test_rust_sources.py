"""What a Rust binary is made of besides the sources of its own packages."""

import os
import subprocess
from pathlib import Path

import pytest

from scratchtasks.core.errors import ActionFailed

from .golang_workspace import write
from .rust_workspace import Run, WorldAt, execute, lock, manifest, rust_actions

VENDORED = """[source.crates-io]
replace-with = "ours"
[source.ours]
directory = "../vendor"
"""
CALLS = """unsafe extern "C" { safe fn number() -> i32; }
fn main() { println!("{}", number()); }
"""


def library(folder: Path, number: int) -> Path:
    """The static library numbers in *folder*, with a function that returns *number*."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "n.c").write_text(f"int number(void) {{ return {number}; }}\n")
    made = folder / "libnumbers.a"
    made.unlink(missing_ok=True)
    subprocess.run(["gcc", "-c", "n.c", "-o", "n.o"], cwd=folder, check=True)
    subprocess.run(["ar", "rcs", made.name, "n.o"], cwd=folder, check=True)
    return made


@pytest.mark.parametrize("kind", ["static=", "static:+whole-archive=", ""])
def test_a_library_of_the_machine(tmp_path: Path, world_at: WorldAt, kind: str) -> None:
    """As -sys crates link one, that say nothing of its file."""
    root, first, second = tmp_path / "x", tmp_path / "first", tmp_path / "second"
    first.mkdir()
    library(second, 1)
    says = (
        "rerun-if-changed=build.rs",
        f"rustc-link-search=native={first}",
        f"rustc-link-search={second}",
        f"rustc-link-lib={kind}numbers",
    )
    script = "".join(f'println!("cargo:{line}");\n' for line in says)
    files = {
        "s/Cargo.toml": manifest("s").replace("2021", "2024"),
        "s/build.rs": f"fn main() {{\n{script}}}\n",
        "s/src/main.rs": CALLS,
    }
    write(root, files)
    lock(root / "s")
    world = world_at(root)

    def built() -> str:
        return execute(Run(world, rust_actions("s")).build(), tmp_path / "program")

    assert built() == "1\n"
    library(second, 2)
    assert built() == "2\n"
    library(first, 3)  # it comes earlier
    assert built() == "3\n"
    run = Run(world, rust_actions("s"))
    assert run.verdict().fresh
    assert not any(item.path.startswith(".scratch") for item in run.verdict().record)


@pytest.mark.parametrize("is_checked", [False, True])
def test_vendored_crates(tmp_path: Path, world_at: WorldAt, is_checked: bool) -> None:
    """A crate that was patched where it is vendored, as some do who empty its list of files."""
    root = tmp_path / "x"
    write(root, {"s/Cargo.toml": manifest("s", 'itoa = "1"'), "s/src/main.rs": "fn main() {}\n"})
    lock(root / "s")
    subprocess.run(["cargo", "vendor", "--quiet", "../vendor"], cwd=root / "s", check=True)
    write(root, {"s/.cargo/config.toml": VENDORED})
    sums = root / "vendor/itoa/.cargo-checksum.json"
    if not is_checked:
        text = sums.read_text()
        sums.write_text('{"files":{},' + text[text.index('"package"') :])
    source = root / "vendor/itoa/src/lib.rs"
    write(root, {"s/src/main.rs": 'fn main() { println!("{}", itoa::Buffer::new().format(7)); }\n'})
    world = world_at(root)
    said = execute(Run(world, rust_actions("s")).build(), tmp_path / "program")
    assert said == "7\n"
    assert Run(world, rust_actions("s")).verdict().fresh
    os.utime(source)
    assert Run(world, rust_actions("s")).verdict().fresh
    source.write_text(source.read_text().replace("b'0' + ", "b'1' + "))
    if is_checked:
        # Cargo would refuse it: the list of digests counts, and with it the crate as published.
        assert Run(world, rust_actions("s")).verdict().fresh
        sums.write_text(sums.read_text() + "\n")
        with pytest.raises(ActionFailed):
            Run(world, rust_actions("s")).build()
    else:
        patched = Run(world, rust_actions("s")).build()
        assert execute(patched, tmp_path / "program") != said
