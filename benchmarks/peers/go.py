"""The bare Go compiler: the floor of every build of Go services."""

import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ..process import environment, expect, run

FLAGS = ("-trimpath", "-buildvcs=false", "-ldflags=-s -w")
"""What ours passes: the same flags give the same bytes."""


@cache
def go_program() -> str:
    """The real `go`, not a launcher script, which would cost 30 to 90 ms a call."""
    found = shutil.which("go")
    expect(found is not None, "go: not found on PATH")
    root = run([str(found), "env", "GOROOT"], Path.home()).out.strip()
    return f"{root}/bin/go"


def go_environment(**more: str) -> dict[str, str]:
    """The environment of ours for Go: static binaries for this machine."""
    return environment(CGO_ENABLED="0", GOTOOLCHAIN="local", **more)


def go_build(cwd: Path, out: Path | str, packages: Sequence[str], **env: str) -> None:
    """One `go build` of *packages* to *out*, a file or, ending in a slash, a folder."""
    run([go_program(), "build", *FLAGS, f"-o={out}", *packages], cwd, go_environment(**env))


def go_install(folder: Path, package: str, version: str) -> Path:
    """The program of *package* in *folder*, installed through the module proxy if it is not."""
    name = package.rpartition("/")[2]
    program = folder / f"{name}-{version}"
    if not program.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        env = environment(GOBIN=str(folder), CGO_ENABLED="0", GOFLAGS="-buildvcs=false")
        run([go_program(), "install", f"{package}@{version}"], folder, env)
        (folder / name).rename(program)
    return program
