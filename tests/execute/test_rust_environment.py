"""What of the user's environment a Rust binary may know: nothing that its key does not."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from scratchtasks.core.errors import ActionFailed

from .golang_workspace import write
from .rust_workspace import Run, WorldAt, execute, lock, manifest, rust_actions

READ = (
    *("USER", "LOGNAME", "HOME", "GIT_SHA", "GIT_SSH_COMMAND", "SSL_CERT_FILE", "https_proxy"),
    *("CARGO_TERM_COLOR", "CARGO_REGISTRIES_OURS_TOKEN", "CARGO_NET_RETRY", "RUSTUP_DIST_SERVER"),
    *("SSH_AUTH_SOCK", "CARGO_PROFILE_RELEASE_LTO", "RUSTFLAGS"),
)
SAY = 'fn main() {{ println!("{{:?}}", {0}); }}\n'


def crate(root: Path, main: str, script: str = "") -> None:
    """A crate s without dependencies; *script* is the body of its build script's main."""
    files = {"s/Cargo.toml": manifest("s"), "s/src/main.rs": main}
    if script:
        files["s/build.rs"] = f"fn main() {{\n{script}}}\n"
    write(root, files)
    lock(root / "s")


def is_fresh(run: Run) -> bool:
    verdict = run.verdict()
    assert verdict.error is None, verdict.error
    return verdict.fresh


def test_a_variable_is_not_there_however_it_is_called(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, SAY.format('option_env!("GIT_HASH")'))
    one, other = ({**os.environ, "GIT_HASH": text} for text in ("aaaa", "bbbb"))
    binary = Run(world_at(root, one), rust_actions("s")).build()
    assert execute(binary, tmp_path / "program") == "None\n"
    assert is_fresh(Run(world_at(root, other), rust_actions("s")))


def test_config_says_what_is_there(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, SAY.format('(option_env!("GIT_HASH"), option_env!("HOME"))'))
    said = []
    for text in ("aaaa", "bbbb"):
        home = 'HOME = { value = "/h", force = true }'
        write(root, {"s/.cargo/config.toml": f'[env]\nGIT_HASH = "{text}"\n{home}\n'})
        env = {**os.environ, "GIT_HASH": "cccc"}
        said.append(execute(Run(world_at(root, env), rust_actions("s")).build(), tmp_path / "p"))
    assert said == ['(Some("aaaa"), Some("/h"))\n', '(Some("bbbb"), Some("/h"))\n']


@pytest.mark.parametrize("declares", [True, False])
def test_a_build_script_sees_the_same_for_everybody(
    tmp_path: Path, world_at: WorldAt, declares: bool
) -> None:
    root = tmp_path / "x"
    names = ", ".join(f'"{name}"' for name in READ)
    script = f"for name in [{names}] {{\n"
    if declares:
        script += 'println!("cargo:rerun-if-env-changed={name}");\n'
    script += 'println!("cargo:rustc-env=SEEN_{name}={:?}", std::env::var(name)); }\n'
    seen = ", ".join(f'env!("SEEN_{name}")' for name in READ)
    crate(root, SAY.format(f"[{seen}]"), script)
    binaries: list[bytes] = []
    home = str(tmp_path / "home")
    os.symlink(os.path.expanduser("~"), home)
    for value in (None, "one", "other"):
        theirs = {name: f"http://{value}" for name in READ if name != "HOME"}
        env = {**os.environ, **({**theirs, "HOME": home} if value else {})}
        run = Run(world_at(root, env), rust_actions("s"))
        assert is_fresh(run) == bool(binaries)
        # Not what the cache knows, but what comes out.
        shutil.rmtree(root / ".scratch", ignore_errors=True)
        binaries.append(Run(world_at(root, env), rust_actions("s")).build())
    assert binaries[0] == binaries[1] == binaries[2]


@pytest.mark.parametrize("name", ["PATH", "CARGO_HOME"])
def test_a_place_that_a_build_script_declares(tmp_path: Path, world_at: WorldAt, name: str) -> None:
    root = tmp_path / "x"
    script = f"""
        println!("cargo::rerun-if-env-changed={name}");
        println!("cargo::rustc-env=SEEN={{}}", std::env::var("{name}").unwrap());
    """
    crate(root, SAY.format('env!("SEEN")'), script)
    more = {"PATH": f"{os.environ['PATH']}:{tmp_path}", "CARGO_HOME": f"{tmp_path}/cargo"}
    envs = [dict(os.environ), {**os.environ, name: more[name]}]
    first, second = (Run(world_at(root, env), rust_actions("s")).build() for env in envs)
    assert more[name] in execute(second, tmp_path / "program")
    assert more[name].encode() not in first
    run = Run(world_at(root, envs[0]), rust_actions("s"))
    assert f"the variable {name} " in run.verdict().reason
    assert run.build() == first
    assert "build" not in run.cargo_calls()


def test_a_place_that_a_source_declares(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, SAY.format('(env!("PATH"), option_env!("HOME"), option_env!("CARGO_HOME"))'))
    longer = {**os.environ, "PATH": f"{os.environ['PATH']}:{tmp_path}"}
    first = Run(world_at(root), rust_actions("s")).build()
    run = Run(world_at(root, longer), rust_actions("s"))
    assert not is_fresh(run)
    said = [execute(binary, tmp_path / "program") for binary in (first, run.build())]
    paths = (os.environ["PATH"], longer["PATH"])
    assert said == [f'("{path}", None, None)\n' for path in paths]


def test_other_crates_do_not_know_path(tmp_path: Path, world_at: WorldAt) -> None:
    root = tmp_path / "x"
    crate(root, "fn main() {}\n", 'println!("cargo:rerun-if-changed=build.rs");\n')
    Run(world_at(root), rust_actions("s")).build()
    longer = {**os.environ, "PATH": f"{os.environ['PATH']}:{tmp_path}"}
    assert is_fresh(Run(world_at(root, longer), rust_actions("s")))


def git_dependency(folder: Path) -> str:
    """A line for Cargo.toml: the crate dep in a repository made in *folder*."""
    write(folder, {"Cargo.toml": manifest("dep"), "src/lib.rs": "pub const N: u8 = 7;\n"})
    for argv in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "x"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *who, *argv], cwd=folder, check=True)
    return f'dep = {{ git = "{folder.as_uri()}" }}'


def test_what_was_fetched_and_is_gone_is_fetched_again(
    tmp_path: Path, world_at: WorldAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metadata may come from a cache, and cargo's folder be empty."""
    root, home = tmp_path / "x", tmp_path / "cargo"
    monkeypatch.setenv("CARGO_HOME", str(home))
    files = {"s/Cargo.toml": manifest("s", git_dependency(tmp_path / "dep"))}
    write(root, {**files, "s/src/main.rs": SAY.format("dep::N")})
    lock(root / "s")
    Run(world_at(root), rust_actions("s")).build()
    shutil.rmtree(home)
    write(root, {"s/src/main.rs": SAY.format("dep::N + 1")})
    without = Run(replace(world_at(root), is_offline=True), rust_actions("s"))
    with pytest.raises(ActionFailed):
        without.build()
    assert b"offline" in b"".join(without.shown)
    run = Run(world_at(root), rust_actions("s"))
    assert execute(run.build(), tmp_path / "program") == "8\n"
    assert run.cargo_calls()[-3:] == ["build", "fetch", "build"]
    assert "metadata" not in run.cargo_calls()
    assert b"".join(run.shown) == b""
