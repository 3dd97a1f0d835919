"""Whatever changes, a build in the changed tree gives what a clean build of a copy gives."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from scratchtasks.core.errors import ActionFailed, StoreError
from scratchtasks.execute.rust.wrappers import script
from scratchtasks.store import proven

from .golang_workspace import write
from .rust_workspace import Run, WorldAt, lock, manifest, rust_actions
from .test_rust_sources import CALLS, VENDORED, library

PRINTS = 'fn main() { println!("{}", SAID); }\n'
READS = """fn main() {{
    {says}
    println!("cargo:rustc-env=SAID={{}}", std::fs::read_to_string("{file}").unwrap());
}}
"""
LINKS = """fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-search=native=lib");
    println!("cargo:rustc-link-lib=static=numbers");
}
"""
IN_SOURCE = '#[link(name = "numbers", kind = "static")]\n' + CALLS
OVERRIDE = """[target.{}.numbers]
rustc-link-search = ["lib"]
rustc-link-lib = ["static=numbers"]
"""


def check(
    tmp_path: Path, world_at: WorldAt, files: dict[str, str], *states: Callable[[Path], None]
) -> None:
    """In each of *states* of the crate s, which all differ, a build gives what a clean one does."""
    root, copy = tmp_path / "x", tmp_path / "copy"
    write(root, {"s/Cargo.toml": manifest("s"), **files})
    seen: set[bytes] = set()
    for make in states:
        make(root)
        if not seen:
            lock(root / "s")
        made = Run(world_at(root), rust_actions("s")).build()
        shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(".scratch"))
        assert made == Run(world_at(copy), rust_actions("s")).build()
        assert made not in seen
        assert Run(world_at(root), rust_actions("s")).verdict().fresh
        seen.add(made)
        shutil.rmtree(copy)


def writes(name: str, *texts: str) -> list[Callable[[Path], None]]:
    return [partial(write, files={name: text}) for text in texts]


def points(name: str, *targets: str) -> list[Callable[[Path], None]]:
    def point(root: Path, target: str) -> None:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).unlink(missing_ok=True)
        os.symlink(target, root / name)

    return [partial(point, target=target) for target in targets]


@pytest.mark.parametrize("key", ["", 'workspace = "../libs"'])
def test_what_a_crate_inherits_from_a_workspace_of_its_own(
    tmp_path: Path, world_at: WorldAt, key: str
) -> None:
    place = "elsewhere/util" if key else "libs/util"
    root = '[workspace]\nmembers = ["{}"]\n[workspace.package]\ndescription = "{}"\n'
    member = f"../{place}" if key else "util"
    extra = f"description.workspace = true\n{key.replace('../', '../../')}"
    files = {
        "s/Cargo.toml": manifest("s", f'util = {{ path = "../{place}" }}'),
        "s/src/main.rs": PRINTS.replace("SAID", "util::SAID"),
        f"{place}/Cargo.toml": manifest("util", extra=extra),
        f"{place}/src/lib.rs": 'pub const SAID: &str = env!("CARGO_PKG_DESCRIPTION");\n',
    }
    texts = (root.format(member, word) for word in ("old", "new"))
    check(tmp_path, world_at, files, *writes("libs/Cargo.toml", *texts))


@pytest.mark.parametrize(
    "files",
    [
        {"s/src/main.rs": CALLS, "s/build.rs": LINKS},
        {
            "s/src/main.rs": IN_SOURCE,
            "s/.cargo/config.toml": '[build]\nrustflags = ["-L", "native=lib"]\n',
        },
        {
            "s/src/main.rs": IN_SOURCE,
            "s/.cargo/config.toml": "[target.'cfg(unix)']\nrustflags = '-Lnative=lib'\n",
        },
        {
            "s/src/main.rs": CALLS,
            "s/Cargo.toml": manifest("s", extra='links = "numbers"'),
            "s/build.rs": "fn main() { panic!() }\n",
            "s/.cargo/config.toml": "".join(
                OVERRIDE.format(f"x86_64-unknown-linux-{libc}") for libc in ("musl", "gnu")
            ),
        },
    ],
    ids=["a relative folder", "flags", "flags of a target", "instead of a build script"],
)
def test_a_library_that_is_linked(tmp_path: Path, world_at: WorldAt, files: dict[str, str]) -> None:
    files = {name: text.replace("unsafe extern", "extern") for name, text in files.items()}
    files = {name: text.replace("safe fn", "fn") for name, text in files.items()}
    main = files["s/src/main.rs"].replace("number())", "unsafe { number() })")

    def made(number: int) -> Callable[[Path], None]:
        def make(root: Path) -> None:
            library(root / "s/lib", number)

        return make

    check(tmp_path, world_at, {**files, "s/src/main.rs": main}, made(1), made(2))


def test_dep_files_that_cargos_configuration_makes_relative(
    tmp_path: Path, world_at: WorldAt
) -> None:
    files = {
        "s/.cargo/config.toml": '[build]\ndep-info-basedir = "."\n',
        "s/src/main.rs": "mod said;\n" + PRINTS.replace("SAID", "said::X"),
    }
    texts = (f"pub const X: u8 = {number};\n" for number in range(2))
    check(tmp_path, world_at, files, *writes("s/src/said.rs", *texts))


@pytest.mark.parametrize(
    ("file", "says"),
    [
        (".words/said", ""),
        ("words/target/said", ""),
        ("words/linked/said", ""),
        ("words/linked/said", 'println!("cargo:rerun-if-changed=words");'),
    ],
)
def test_what_a_build_script_may_have_read(
    tmp_path: Path, world_at: WorldAt, file: str, says: str
) -> None:
    files = {
        "s/build.rs": READS.format(says=says, file=file),
        "s/src/main.rs": PRINTS.replace("SAID", 'env!("SAID")'),
    }
    states = writes(f"s/{file}", "old", "new")
    if "linked" in file:
        states = points("s/words/linked", "../../one", "../../two")
        states += writes("two/said", "newer")
        write(tmp_path / "x", {"one/said": "old", "two/said": "new"})
        # It leads back to where it is.
        points("s/words/again", "..")[0](tmp_path / "x")
    check(tmp_path, world_at, files, *states)


@pytest.mark.parametrize(
    ("link", "main"),
    [
        ("s/words", PRINTS.replace("SAID", 'include_str!("../words/said.rs")')),
        ("s/src/words", "mod words { pub mod said; }\n" + PRINTS.replace("SAID", "words::said::X")),
    ],
)
def test_a_symlink_among_the_sources(
    tmp_path: Path, world_at: WorldAt, link: str, main: str
) -> None:
    text = "pub const X: u8 = {};\n"
    files = {f"{name}/said.rs": text.format(n) for n, name in enumerate(("one", "two"))}
    up = "../" * link.count("/")
    states = points(link, f"{up}one", f"{up}two")
    check(tmp_path, world_at, {**files, "s/src/main.rs": main}, *states)


@pytest.mark.parametrize(
    ("there", "appears", "empty"),
    [
        ("s/src/said.rs", "s/src/said/mod.rs", ""),
        ("s/src/said.rs", "s/src/said/mod.rs", "s/src/said/README"),
        ("s/src/said/mod.rs", "s/src/said.rs", ""),
    ],
)
def test_a_second_file_for_one_module(
    tmp_path: Path, world_at: WorldAt, there: str, appears: str, empty: str
) -> None:
    root = tmp_path / "x"
    main = "mod said;\n" + PRINTS.replace("SAID", "said::X")
    files = {"s/Cargo.toml": manifest("s"), "s/src/main.rs": main}
    write(root, {**files, there: "pub const X: u8 = 1;\n", **({empty: ""} if empty else {})})
    lock(root / "s")
    made = Run(world_at(root), rust_actions("s")).build()
    write(root, {appears: "pub const X: u8 = 2;\n"})
    with pytest.raises(ActionFailed, match=r"^//s:binary: cargo build failed$"):
        Run(world_at(root), rust_actions("s")).build()
    (root / there).unlink()
    assert Run(world_at(root), rust_actions("s")).build() != made


@pytest.mark.parametrize("file", ["leaf/src/lib.rs", "said", "words/said", "leaf/words"])
def test_a_crate_that_only_one_from_elsewhere_leads_to(
    tmp_path: Path, world_at: WorldAt, file: str
) -> None:
    """As `[patch]` makes them; cargo's dep file tells nothing of them."""
    place = {"said": "../../said", "leaf/words": "../words"}.get(file, "")
    said = f'pub const SAID: &str = include_str!("{place}");\n'
    source = "pub const SAID: &str = {};\n".format
    states = writes(file, *(("old", "new") if place else (source('"old"'), source('"new"'))))
    files = {
        "s/.cargo/config.toml": VENDORED,
        "s/Cargo.toml": manifest("s", 'mid = "0.1"', "[patch.crates-io]", 'leaf.path = "../leaf"'),
        "s/src/main.rs": PRINTS.replace("SAID", "mid::SAID"),
        "vendor/mid/Cargo.toml": manifest("mid", 'leaf = "0.1"'),
        "vendor/mid/.cargo-checksum.json": '{"files": {}}',
        "vendor/mid/src/lib.rs": "pub use leaf::SAID;\n",
        "leaf/Cargo.toml": manifest("leaf"),
        "leaf/src/lib.rs": said,
    }
    if file == "words/said":
        says = 'println!("cargo:rerun-if-changed=../words");'
        files["leaf/build.rs"] = READS.format(says=says, file="../words/said")
        files["leaf/src/lib.rs"] = source('env!("SAID")')
        states = writes(file, "old", "new")
    check(tmp_path, world_at, files, *states)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def zero(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(bytes(4096))


@pytest.mark.parametrize("damage", [cut, zero])
def test_object_code_that_a_power_loss_has_eaten_is_made_again(
    damage: Callable[[Path], None],
    tmp_path: Path,
    world_at: WorldAt,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write(tmp_path, {"s/Cargo.toml": manifest("s"), "s/src/main.rs": 'fn main() { print!("s") }'})
    lock(tmp_path / "s")
    made = Run(world_at(tmp_path), rust_actions("s")).build()
    scratch = tmp_path / ".scratch"
    (program,) = scratch.glob("cargo/*/*/release/s")
    damage(program)
    for folder in ("actions", "blobs", "stamps"):
        shutil.rmtree(scratch / folder)
    monkeypatch.setattr(proven, "boot_id", lambda: "another")
    assert Run(world_at(tmp_path), rust_actions("s")).build() == made


@pytest.mark.parametrize("damage", [cut, zero])
def test_a_script_that_was_cut_short_is_written_again(
    damage: Callable[[Path], None], world_at: WorldAt, tmp_path: Path
) -> None:
    path = script(world_at(tmp_path), "rustc", "#!/bin/sh\nexec true\n")
    damage(Path(path))
    assert script(world_at(tmp_path), "rustc", "#!/bin/sh\nexec true\n") == path
    assert Path(path).read_text() == "#!/bin/sh\nexec true\n"


def test_a_cargo_folder_that_cannot_be_locked_is_told(tmp_path: Path, world_at: WorldAt) -> None:
    write(tmp_path, {"s/Cargo.toml": manifest("s"), "s/src/main.rs": "fn main() {}"})
    lock(tmp_path / "s")
    Run(world_at(tmp_path), rust_actions("s")).build()
    (path,) = (tmp_path / ".scratch" / "cargo").glob("*.lock")
    path.unlink()
    path.mkdir()
    write(tmp_path, {"s/src/main.rs": "fn main() { print!(); }"})
    with pytest.raises(StoreError) as caught:
        Run(world_at(tmp_path), rust_actions("s")).build()
    hint = "    hint: move it elsewhere"
    assert str(caught.value) == f"{path}: cannot be written: is a directory\n{hint}"
