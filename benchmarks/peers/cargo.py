"""The bare Rust compiler, driven by cargo with what ours passes."""

import platform
from pathlib import Path

from ..process import environment, run


def cargo_build(cwd: Path, target_dir: Path) -> None:
    """One `cargo build` of the whole workspace, static, into *target_dir*."""
    triple = f"{platform.machine()}-unknown-linux-musl"
    env = environment(CARGO_PROFILE_RELEASE_STRIP="symbols", CARGO_INCREMENTAL="0")
    argv = ["cargo", "build", "--release", "--locked", "--quiet", "--workspace"]
    run([*argv, "--target", triple, "--target-dir", str(target_dir)], cwd, env)
