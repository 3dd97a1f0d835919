"""zig as a C compiler: one program that makes static musl binaries for every platform.

Found on PATH, else the PyPI package `ziglang`.
"""

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from scratchtasks.core.errors import ToolchainMissing
from scratchtasks.core.platform import Platform
from scratchtasks.store.lock import WorkspaceLock
from scratchtasks.store.proven import ProvenFolder
from scratchtasks.store.signature import signature_of, stat_of

from .operation import World
from .packaged import find_packaged
from .toolchains import Toolchain, ask_tool, find_program, packaged_as, tool_digests

_PROJECT = "ziglang"
_OLDEST = (0, 12)
_HINT = "pip install 'scratchtasks[zig]', or put zig 0.12 or newer on PATH"

_TARGETS = {
    "amd64": "x86_64-linux-musl",
    "arm64": "aarch64-linux-musl",
    "arm": "arm-linux-musleabihf",
    "386": "x86-linux-musl",
    "riscv64": "riscv64-linux-musl",
    "s390x": "s390x-linux-musl",
    "ppc64le": "powerpc64le-linux-musl",
}


def zig_flags(platform: Platform) -> tuple[str, ...]:
    """What zig's compilers are given for *platform*, before all flags of others; key material.

    For sources without optimization zig switches UBSan on, as no other compiler does.  Its runtime
    is in no binary that links with -O2, or by Rust's linker: they would lack `__ubsan_handle_…`.
    """
    return "-target", _TARGETS[platform.architecture], "-fno-sanitize=undefined"


def find_zig(world: World, where: str) -> Toolchain:
    """The zig to use; *where* is who needs it, for the message.

    Raises: ToolchainMissing when there is none, or only one that is too old; ScratchError when the
    one that is pinned cannot be had.
    """
    too_old = ""
    for path in _places(world):
        digest = tool_digests([path], world)[0]
        env = {"PATH": world.env.get("PATH", os.defpath)}
        version = ask_tool([path, "version"], env, digest, world)
        if _parsed(version) >= _OLDEST:
            identity = ["zig", version, digest]
            is_packaged = packaged_as(os.path.dirname(path), _PROJECT, world)
            return Toolchain(
                path=path,
                version=version,
                identity=identity,
                package=_PROJECT if is_packaged else "",
            )
        too_old = f"; {path} is too old (wanted 0.12 or newer, got {version})"
    raise ToolchainMissing(where, f"zig, which compiles C here, was not found{too_old}", _HINT)


def _places(world: World) -> Iterator[str]:
    """The programs there are, the machine's own first."""
    program = find_program("zig", world)
    beside = [os.path.dirname(program)] if program else []
    if program and not packaged_as(beside[0], _PROJECT, world):
        yield program
        beside = []
    package = find_packaged(_PROJECT, "ziglang", "zig", world, beside)
    if package:
        yield os.path.join(package, "zig")


def zig_env(world: World) -> dict[str, str]:
    """Where zig keeps its own builds of libc: below `.scratch`, for they cost a minute each."""
    return dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), _cache(world))


@contextmanager
def zig_at_work(world: World) -> Iterator[None]:
    """For whatever starts a compiler with `zig_env`: its builds of libc are whole, or made anew.

    Raises: StoreError.
    """
    folder = os.path.realpath(_cache(world))
    proven, builds = ProvenFolder(folder), os.path.join(folder, "o")
    with _alone(folder):
        proven.check()
    before = stat_of(builds)
    try:
        yield
    finally:
        # What it compiles for us is not kept, but for a file of no bytes.
        after = stat_of(builds)
        if after and (not before or signature_of(after) != signature_of(before)):
            with _alone(folder):
                proven.record()


def _cache(world: World) -> str:
    return os.path.join(world.scratch, "zig")


def _alone(folder: str) -> WorkspaceLock:
    lock = WorkspaceLock(f"{folder}.lock")
    lock.acquire(lambda _: None)
    return lock


def uncached() -> str:
    """A flag that changes nothing but makes zig compile in earnest.

    zig's own cache takes a header for unchanged when size and mtime are, and does not see a new
    one that comes earlier on the include path: both would give a stale object.
    """
    return f"-ffile-prefix-map=/uncached/{secrets.token_hex(8)}="


def _parsed(version: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return tuple(map(int, found.groups())) if found else ()
