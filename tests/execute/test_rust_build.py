"""Rust binaries, with the real cargo: what is made, and that it is what the sources say."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scratchtasks.core.errors import ActionFailed, ScratchError
from scratchtasks.core.platform import host_platform
from scratchtasks.execute.operation import World
from scratchtasks.execute.rust.toolchain import Rust

from .golang_workspace import write
from .rust_workspace import AMD64, ARM64, Run, WorldAt, execute, lock, manifest, rust_actions

MAIN = """fn main() {
    let n = std::env::args().count();
    println!("{} {}", itoa::Buffer::new().format(common::twice(n)), env!("CARGO_PKG_VERSION"));
    if n > 3 {
        panic!("too many in {}", file!());
    }
}
"""
COMMON = "pub fn twice<T: std::ops::Add<Output = T> + Copy>(n: T) -> T { n + n }\n"


def lone_crate(root: Path) -> None:
    """A crate that is no workspace member, with a path dependency outside its own folder."""
    common, itoa = 'common = { path = "../../libs/common" }', 'itoa = "1"'
    files = {
        "services/w/Cargo.toml": manifest("w", common, itoa),
        "services/w/src/main.rs": MAIN,
        "libs/common/Cargo.toml": manifest("common"),
        "libs/common/src/lib.rs": COMMON,
    }
    write(root, files)
    lock(root / "services/w")


def cargo_workspace(root: Path, names: str = "ab") -> None:
    """Binary crates *names* in one cargo workspace, which share the library crate common."""
    members = ", ".join(f'"{name}"' for name in (*names, "common"))
    files = {
        "Cargo.toml": f'[workspace]\nresolver = "2"\nmembers = [{members}]\n',
        "common/Cargo.toml": manifest("common", extra="[features]\nloud = []\n"),
        "common/src/lib.rs": COMMON
        + 'pub fn say() -> &\'static str { if cfg!(feature = "loud") { "LOUD" } else { "low" } }\n',
    }
    for name in names:
        files[f"{name}/Cargo.toml"] = manifest(name, 'common = { path = "../common" }')
        files[f"{name}/src/main.rs"] = f'fn main() {{ println!("{name} {{}}", common::say()); }}\n'
    write(root, files)
    lock(root)


def test_the_same_bytes_from_any_folder(tmp_path: Path, world_at: WorldAt) -> None:
    binaries = []
    for name in ("one", "a longer, ünusual = name"):
        world = world_at(tmp_path / name)
        lone_crate(tmp_path / name)
        binaries.append(Run(world, rust_actions("services/w")).build())
    assert binaries[0] == binaries[1]
    for part in (os.fsencode(tmp_path), b".cargo", b"/root", b"/home"):
        assert part not in binaries[0]
    assert execute(binaries[0], tmp_path / "program", "x") == "4 0.1.0\n"
    done = subprocess.run([tmp_path / "program", "1", "2", "3"], check=False, capture_output=True)
    assert b"panicked at src/main.rs:5:9:\ntoo many in src/main.rs\n" in done.stderr


def test_arm64_without_a_cross_compiler(tmp_path: Path, world: World) -> None:
    lone_crate(Path(world.root))
    binary = Run(world, rust_actions("services/w", platform=ARM64)).build()
    assert binary[0x12:0x14] == b"\xb7\0"


def test_one_call_for_all_and_the_same_bytes_as_alone(tmp_path: Path, world_at: WorldAt) -> None:
    cargo_workspace(tmp_path / "x")
    together = Run(world_at(tmp_path / "x"), rust_actions("a"), rust_actions("b"))
    keys = {together.batch_key(number) for number in (0, 1)}
    assert len(keys) == 1
    assert "" not in keys
    binaries = together.build_together()
    assert together.cargo_calls().count("build") == 1
    cargo_workspace(tmp_path / "y")
    alone = Run(world_at(tmp_path / "y"), rust_actions("a"), rust_actions("b"))
    assert binaries == [alone.build(0), alone.build(1)]
    assert execute(binaries[1], tmp_path / "program") == "b low\n"


def test_what_one_asks_for_does_not_change_the_other(tmp_path: Path, world_at: WorldAt) -> None:
    """cargo unites the features of what it builds in one call; we must not."""
    root = tmp_path / "x"
    world = world_at(root)
    cargo_workspace(root)
    loud = 'common = { path = "../common", features = ["loud"] }'
    write(root, {"b/Cargo.toml": manifest("b", loud)})
    run = Run(world, rust_actions("a"), rust_actions("b"))
    binaries = run.build_together()
    assert run.cargo_calls().count("build") == 2
    said = [execute(binary, tmp_path / "program") for binary in binaries]
    assert said == ["a low\n", "b LOUD\n"]


def test_features_and_bins(tmp_path: Path, world: World) -> None:
    shown = '#[cfg(feature = "x")] println!("x"); #[cfg(feature = "y")] println!("y");'
    text = f"fn main() {{ {shown} }}\n"
    features = '[features]\ndefault = ["x"]\nx = []\ny = []\n'
    files = {
        "s/Cargo.toml": manifest("s", extra=features),
        "s/src/main.rs": text,
        "s/src/bin/other.rs": text.replace("{ #", '{ println!("other"); #', 1),
    }
    write(world.root, files)
    lock(Path(world.root, "s"))
    program = tmp_path / "program"
    said = [
        execute(Run(world, rust_actions("s", **options)).build(), program)
        for options in (
            {},
            {"features": ["y"]},
            {"features": ["y"], "default_features": False},
            {"binary": "other", "default_features": False},
        )
    ]
    assert said == ["x\n", "x\ny\n", "y\n", "other\n"]


def test_a_stale_object_is_never_used(tmp_path: Path, world: World) -> None:
    """cargo goes by mtime, and would take each of these edits for nothing."""
    root = Path(world.root)
    lone_crate(root)
    library = root / "libs/common/src/lib.rs"
    said = []
    for text in (COMMON, COMMON.replace("n + n", "n + n + n"), COMMON):
        library.write_text(text)
        os.utime(library, (10**9, 10**9))
        binary = Run(world, rust_actions("services/w")).build()
        said.append(execute(binary, tmp_path / "program").split()[0])
        # What the cache holds is right now also a matter of cargo's own folder.
        subprocess.run(["rm", "-rf", root / ".scratch/actions", root / ".scratch/stamps"])
    assert said == ["2", "3", "2"]


def test_unchanged_libraries_are_not_compiled_again(tmp_path: Path, world: World) -> None:
    root = Path(world.root)
    lone_crate(root)
    Run(world, rust_actions("services/w")).build()
    objects = list(root.glob(".scratch/cargo/*/*/release/deps/libcommon-*.rlib"))
    before = [path.stat().st_mtime_ns for path in objects]
    write(root, {"services/w/src/main.rs": MAIN + "// more\n"})
    Run(world, rust_actions("services/w")).build()
    assert len(objects) == 1
    assert [path.stat().st_mtime_ns for path in objects] == before


def test_warnings_are_shown_once(world: World) -> None:
    root = Path(world.root)
    lone_crate(root)
    write(root, {"services/w/src/main.rs": MAIN + "fn unused() {}\n"})
    run = Run(world, rust_actions("services/w"))
    run.build()
    assert b"".join(run.shown).count(b"function `unused` is never used") == 1


def test_a_failure_keeps_what_the_others_made(tmp_path: Path, world: World) -> None:
    root = Path(world.root)
    cargo_workspace(root, "abc")
    write(root, {"b/src/main.rs": "fn main() { broken }\n"})
    run = Run(world, *(rust_actions(name) for name in "abc"))
    results = run.engine.run(run.names)
    said = [
        str(result)
        if isinstance(result, ScratchError)
        else execute(run.binary(result), tmp_path / "program")
        for result in (results[name] for name in run.names)
    ]
    assert said == ["a low\n", "//b:binary: cargo build failed", "c low\n"]
    assert isinstance(results[run.names[1]], ActionFailed)
    assert b"".join(run.shown).count(b"cannot find value `broken`") == 1
    write(root, {"b/src/main.rs": 'fn main() { println!("mended"); }\n'})
    mended = Run(world, rust_actions("b")).build()
    assert execute(mended, tmp_path / "program") == "mended\n"


def test_the_users_environment_does_not_reach_the_binary(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    text = 'fn main() { println!("{:?} {:?}", option_env!("MINE"), option_env!("OURS")); }\n'
    config = '[env]\nOURS = "yes"\n[build]\nrustflags = ["--cfg", "mine"]\n'
    files = {
        "s/Cargo.toml": manifest("s"),
        "s/src/main.rs": text.replace("{ p", '{ if cfg!(mine) { println!("mine"); } p', 1),
        "s/.cargo/config.toml": config,
    }
    write(root, files)
    lock(root / "s")
    env = {**os.environ, "MINE": "1", "RUSTFLAGS": "--cfg nothing", "CARGO_BUILD_TARGET": "x"}
    binary = Run(world_at(root, env), rust_actions("s")).build()
    # What .cargo/config.toml sets is part of the key and therefore counts.
    assert execute(binary, tmp_path / "program") == 'mine\nNone Some("yes")\n'


def test_a_crate_that_compiles_c(tmp_path: Path, world: World, zig_cache: Path) -> None:
    root = Path(world.root)
    os.symlink(zig_cache, os.path.join(world.scratch, "zig"))
    # Without optimization, as parts of aws-lc are, zig would want its runtime of UBSan.
    build = 'fn main() { cc::Build::new().opt_level(0).file("f.c").compile("f"); }\n'
    main = 'extern "C" { fn f(n: i32) -> i32; }\nfn main() { println!("{}", unsafe { f(20) }); }\n'
    files = {
        "s/Cargo.toml": manifest("s") + '[build-dependencies]\ncc = "1"\n',
        "s/build.rs": build,
        "s/src/main.rs": main,
        "s/f.c": "int f(int n) { return 2 * n + 2; }\n",
    }
    write(root, files)
    lock(root / "s")
    run = Run(world, rust_actions("s"))
    assert execute(run.build(), tmp_path / "program") == "42\n"
    # The build script does not say what it reads, so all of its package counts.
    assert "s/f.c" in {item.path for item in run.verdict().record}
    write(root, {"s/f.c": "int f(int n) { return 2 * n + 3; }\n"})
    assert execute(Run(world, rust_actions("s")).build(), tmp_path / "program") == "43\n"


@pytest.mark.parametrize("text", ["", "#![windows_subsystem = 3]\nfn main() {"])
def test_a_broken_crate(world: World, text: str) -> None:
    root = Path(world.root)
    write(root, {"s/Cargo.toml": manifest("s"), "s/src/main.rs": text})
    lock(root / "s")
    with pytest.raises(ActionFailed, match=r"^//s:binary: cargo build failed$"):
        Run(world, rust_actions("s")).build()


def test_gnu_where_there_is_no_musl(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rust, "has_std", lambda self, triple, world: triple == self.host)
    lone_crate(Path(world.root))
    if host_platform() != AMD64:
        pytest.fail("this test knows amd64 only")
    binary = Run(world, rust_actions("services/w")).build()
    assert execute(binary, tmp_path / "program") == "2 0.1.0\n"
    assert b"GLIBC" in binary


def test_a_cargo_that_keeps_its_fingerprints_elsewhere(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scratchtasks.execute.rust.freshness._fingerprints", lambda path: [])
    test_a_stale_object_is_never_used(tmp_path, world)


def test_a_crate_at_the_root_of_the_workspace(tmp_path: Path, world: World) -> None:
    root = Path(world.root)
    write(root, {"Cargo.toml": manifest("r"), "src/main.rs": 'fn main() { println!("r"); }\n'})
    lock(root)
    run = Run(world, rust_actions(""))
    assert execute(run.build(), tmp_path / "program") == "r\n"
    assert {item.path for item in run.verdict().record if item.kind == "file"} == {
        "Cargo.toml",
        "src/main.rs",
        ".cargo/config.toml",
        ".cargo/config",
    }


def test_two_calls_at_once_share_one_folder(tmp_path: Path, world: World) -> None:
    cargo_workspace(Path(world.root))
    run = Run(world, rust_actions("a"), rust_actions("b"))
    with ThreadPoolExecutor() as pool:
        binaries = list(pool.map(run.build, (0, 1)))
    said = [execute(binary, tmp_path / f"program{n}") for n, binary in enumerate(binaries)]
    assert said == ["a low\n", "b low\n"]


LISTING = """fn main() {
    let names = std::fs::read_dir("../data").unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    let path = std::env::var("OUT_DIR").unwrap() + "/list.txt";
    std::fs::write(path, names.join(" ")).unwrap();
    SAYS
}
"""
GENERATED = 'fn main() { println!("{}", include_str!(concat!(env!("OUT_DIR"), "/list.txt"))); }\n'


@pytest.mark.parametrize("is_silent", [False, True])
def test_a_file_added_to_a_folder_that_a_build_script_reads(
    is_silent: bool, tmp_path: Path, world: World
) -> None:
    folder = "../data" if not is_silent else "data"
    says = 'println!("cargo:rerun-if-changed=../data");' if not is_silent else ""
    root = Path(world.root)
    crate = root / "w"
    files = {
        "w/Cargo.toml": manifest("w"),
        "w/build.rs": LISTING.replace("../data", folder).replace("SAYS", says),
        "w/src/main.rs": GENERATED,
        f"w/{folder}/one.sql": "",
    }
    write(root, files)
    lock(crate)
    run = Run(world, rust_actions("w"))
    assert execute(run.build(), tmp_path / "program") == "one.sql\n"
    assert Run(world, rust_actions("w")).verdict().fresh
    added = crate / folder / "two.sql"
    added.write_text("")
    assert execute(Run(world, rust_actions("w")).build(), tmp_path / "program") == (
        "one.sql two.sql\n"
    )
    added.unlink()
    assert execute(Run(world, rust_actions("w")).build(), tmp_path / "program") == "one.sql\n"


def test_a_crate_at_the_root_does_not_read_what_builds_write(tmp_path: Path, world: World) -> None:
    root = Path(world.root)
    says = 'println!("cargo:rerun-if-changed=.");'
    script = LISTING.replace("../data", "src").replace("SAYS", says)
    files = {"Cargo.toml": manifest("w"), "build.rs": script, "src/main.rs": GENERATED}
    write(root, {**files, "dist/w/index.json": "1"})
    lock(root)
    assert execute(Run(world, rust_actions("")).build(), tmp_path / "program") == "main.rs\n"
    write(root, {"dist/w/index.json": "2"})
    assert Run(world, rust_actions("")).verdict().fresh


def test_a_registrys_password_is_not_shown(tmp_path: Path, world_at: WorldAt) -> None:
    url = "http://me:s3cret@127.0.0.1:1/index/"
    config = f'[source.crates-io]\nreplace-with = "o"\n[source.o]\nregistry = "sparse+{url}"\n'
    files = {"s/Cargo.toml": manifest("s", 'itoa = "1"'), "s/src/main.rs": "fn main() {}\n"}
    write(tmp_path, {**files, "s/.cargo/config.toml": f"{config}[net]\nretry = 0\n"})
    (tmp_path / "s/Cargo.lock").write_text("version = 4\n")
    run = Run(world_at(tmp_path), rust_actions("s"))
    assert str(run.verdict().error).startswith("//s:binary: cargo metadata failed")
    said = b" ".join(run.shown).decode()
    assert "`http://127.0.0.1:1/index/config.json`" in said
    assert "s3cret" not in said
