"""The `env` of a Rust binary: who sees it, and that nothing is stale when it changes."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from scratchtasks.config.names import RUST_ENV_NAME
from scratchtasks.config.spot import Spot
from scratchtasks.core.errors import ConfigError

from .golang_workspace import write
from .rust_workspace import Run, WorldAt, execute, lock, manifest, rust_actions

NAME = "GIT_HASH"
MACRO = f"""#[proc_macro]
pub fn seen(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{
    format!("{{:?}}", std::env::var("{NAME}").unwrap_or_default()).parse().unwrap()
}}
"""
MAIN = f"""fn main() {{
    println!("{{}} {{}} {{}}", option_env!("{NAME}").unwrap_or(""), env!("SEEN"), m::seen!());
}}
"""
LIBRARY = f"""pub fn seen() -> String {{
    format!("{{:?}} {{}}", option_env!("{NAME}"), env!("SEEN"))
}}
"""
SCRIPT = f"""fn main() {{
    SAYS
    println!("cargo::rustc-env=SEEN={{}}", std::env::var("{NAME}").unwrap_or_default());
}}
"""


def crate(root: Path, says: str) -> None:
    """A crate s that sees the variable in every way there is; *says* is for its build script."""
    files = {
        "m/Cargo.toml": manifest("m") + "[lib]\nproc-macro = true\n",
        "m/src/lib.rs": MACRO,
        "s/Cargo.toml": manifest("s", 'm = { path = "../m" }'),
        "s/build.rs": SCRIPT.replace("SAYS", says),
        "s/src/main.rs": MAIN,
    }
    write(root, files)
    lock(root / "s")


def run_at(world_at: WorldAt, root: Path, value: str) -> Run:
    return Run(world_at(root), rust_actions("s", env={NAME: value}))


def clean_build(world_at: WorldAt, root: Path, env: Mapping[str, str]) -> bytes:
    """What a first build in a copy of *root* gives."""
    copy = root.parent / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".scratch"))
    return Run(world_at(copy), rust_actions("s", env=env)).build()


@pytest.mark.parametrize(
    "says",
    [
        "",
        'println!("cargo::rerun-if-changed=build.rs");',
        f'println!("cargo::rerun-if-env-changed={NAME}");',
    ],
)
def test_a_changed_value_is_seen_everywhere(tmp_path: Path, world_at: WorldAt, says: str) -> None:
    root = tmp_path / "x"
    crate(root, says)
    for value in ("aaaa", "b'b \"$B", "cccc"):
        run = run_at(world_at, root, value)
        assert not run.verdict().fresh
        binary = run.build()
        assert execute(binary, tmp_path / "p") == f"{value} {value} {value}\n"
        assert binary == clean_build(world_at, root, {NAME: value})
        assert run_at(world_at, root, value).verdict().fresh
    # Each value has made its results, and all of them are one folder of cargo's.
    again = run_at(world_at, root, "aaaa")
    assert execute(again.build(), tmp_path / "p") == "aaaa aaaa aaaa\n"
    assert "build" not in again.cargo_calls()
    assert len([path for path in (root / ".scratch/cargo").iterdir() if path.is_dir()]) == 1


def test_no_more_is_asked_of_cargo_than_to_build(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, "")
    run_at(world_at, root, "aaaa").build()
    run = run_at(world_at, root, "bbbb")
    run.build()
    assert [call for call in run.cargo_calls() if call != "-V"] == ["build"]


def test_env_goes_before_config_but_where_that_forces(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, "")
    said = []
    for force in ("false", "true"):
        line = f'{NAME} = {{ value = "config", force = {force} }}'
        write(root, {"s/.cargo/config.toml": f"[env]\n{line}\n"})
        said.append(execute(run_at(world_at, root, "aaaa").build(), tmp_path / "p"))
    assert said == ["aaaa aaaa aaaa\n", "config config config\n"]


def test_a_changed_config_is_seen_everywhere(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, 'println!("cargo::rerun-if-changed=build.rs");')
    for value in ("aaaa", "bbbb"):
        write(root, {"s/.cargo/config.toml": f'[env]\n{NAME} = "{value}"\n'})
        binary = Run(world_at(root), rust_actions("s")).build()
        assert execute(binary, tmp_path / "p") == f"{value} {value} {value}\n"
        assert binary == clean_build(world_at, root, {})


def vendored(root: Path) -> None:
    """A crate s that depends on a crate dep, which is not the user's own."""
    files = {
        "s/.cargo/config.toml": (
            '[source.crates-io]\nreplace-with = "v"\n[source.v]\ndirectory = "../v d\'s"\n'
        ),
        "v d's/dep/.cargo-checksum.json": '{"files": {}, "package": null}',
        "v d's/dep/Cargo.toml": manifest("dep"),
        "v d's/dep/build.rs": SCRIPT.replace(
            "SAYS", 'println!("cargo::rerun-if-changed=build.rs");'
        ),
        "v d's/dep/src/lib.rs": LIBRARY,
        "s/Cargo.toml": manifest("s", 'dep = "0.1"'),
        "s/src/main.rs": (
            f'fn main() {{ println!("{{:?}} {{}}", option_env!("{NAME}"), dep::seen()); }}\n'
        ),
    }
    write(root, files)
    lock(root / "s")


def test_crates_from_elsewhere_see_nothing_and_are_kept(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "it's"
    vendored(root)
    said, built = [], []
    for value in ("aaaa", "bbbb"):
        binary = run_at(world_at, root, value).build()
        said.append(execute(binary, tmp_path / "p"))
        assert binary == clean_build(world_at, root, {NAME: value})
        outputs = root.glob(".scratch/cargo/*/*/release/build/dep-*/output")
        built.append([path.stat().st_mtime_ns for path in outputs])
    assert said == [f'Some("{value}") None \n' for value in ("aaaa", "bbbb")]
    assert built[0] == built[1] != []


def two_crates(root: Path) -> None:
    """Binary crates a and b of one cargo workspace; both say what their common library sees."""
    files = {
        "Cargo.toml": '[workspace]\nresolver = "2"\nmembers = ["a", "b", "common"]\n',
        "common/Cargo.toml": manifest("common"),
        "common/build.rs": SCRIPT.replace("SAYS", ""),
        "common/src/lib.rs": LIBRARY,
    }
    for name in "ab":
        files[f"{name}/Cargo.toml"] = manifest(name, 'common = { path = "../common" }')
        files[f"{name}/src/main.rs"] = 'fn main() { println!("{}", common::seen()); }\n'
    write(root, files)
    lock(root)


def test_crates_with_equal_variables_share_a_call(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "ws"
    two_crates(root)
    run = Run(world_at(root), *(rust_actions(name, env={NAME: "x"}) for name in "ab"))
    assert run.batch_key(0) == run.batch_key(1) != ""
    said = [execute(binary, tmp_path / "p") for binary in run.build_together()]
    assert run.cargo_calls().count("build") == 1
    assert said == ['Some("x") x\n'] * 2


def test_crates_with_other_variables_do_not(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "ws"
    two_crates(root)
    pairs = [
        rust_actions(name, env=env)
        for name, env in (("a", {NAME: "x"}), ("b", {NAME: "y"}), ("a", {}), ("b", {"OTHER": "x"}))
    ]
    keys = [Run(world_at(root), pair).batch_key() for pair in pairs]
    assert len({*keys, ""}) == 5


def test_each_of_two_keeps_its_own(tmp_path: Path, world_at: WorldAt) -> None:
    """They share a library, and cargo has but one place for it."""
    root = tmp_path / "ws"
    two_crates(root)
    for word in ("one", "two"):
        for name, value in (("a", "x"), ("b", "y")):
            main = f'fn main() {{ println!("{word} {{}}", common::seen()); }}\n'
            write(root, {f"{name}/src/main.rs": main})
            binary = Run(world_at(root), rust_actions(name, env={NAME: value})).build()
            assert execute(binary, tmp_path / "p") == f'{word} Some("{value}") {value}\n'


def test_no_name_that_is_ours_or_cargos_is_free(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    listing = 'std::env::vars().map(|pair| pair.0).collect::<Vec<_>>().join(" ")'
    files = {
        "s/Cargo.toml": manifest("s"),
        "s/build.rs": f'fn main() {{ println!("cargo::rustc-env=SEEN={{}}", {listing}); }}\n',
        "s/src/main.rs": 'fn main() { println!("{}", env!("SEEN")); }\n',
    }
    write(root, files)
    lock(root / "s")
    names = execute(run_at(world_at, root, "1").build(), tmp_path / "p").split()
    assert {"PATH", "HOME", "CARGO_HOME", "OUT_DIR", "RUSTC_WRAPPER", NAME} <= set(names)
    assert [name for name in names if is_free(name)] == [NAME]


def is_free(name: str) -> bool:
    try:
        RUST_ENV_NAME.read(name, Spot("service.toml"))
    except ConfigError:
        return False
    return True
