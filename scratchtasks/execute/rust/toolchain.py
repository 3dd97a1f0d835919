"""Which rustc, target triple and linker: asked per folder, as rustup decides per folder."""

import os
import re
from collections.abc import Mapping

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json, key_of
from scratchtasks.core.errors import ToolchainMissing
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.home import home_of
from scratchtasks.core.platform import Platform

from ..cc_tools import helper_programs
from ..operation import World
from ..toolchains import (
    ask_tool,
    check_version,
    find_program,
    is_file,
    is_folder,
    tool_digests,
)
from .config import ancestors
from .environment import fetching_env, rustup_home

TOOLCHAIN_FILES = ("rust-toolchain.toml", "rust-toolchain")

_OLDEST = (1, 74)
"""The first cargo that knows --keep-going."""

_INSTALL = "install Rust with rustup, or put cargo and rustc on PATH"

_LINKED = (
    *("crt1.o", "rcrt1.o", "crti.o", "crtn.o"),
    *("crtbegin.o", "crtbeginS.o", "crtbeginT.o", "crtend.o", "crtendS.o"),
    *("libc.a", "libm.a", "libpthread.a", "libgcc.a", "libgcc_eh.a", "libstdc++.a"),
)
"""What a driver adds to a static link, by the names it knows."""

_ARCHITECTURES = {
    # musl triple, gnu triple, prefix of a GNU cross compiler
    "amd64": ("x86_64-unknown-linux-musl", "x86_64-unknown-linux-gnu", "x86_64-linux-gnu"),
    "arm64": ("aarch64-unknown-linux-musl", "aarch64-unknown-linux-gnu", "aarch64-linux-gnu"),
    "arm": (
        "armv7-unknown-linux-musleabihf",
        "armv7-unknown-linux-gnueabihf",
        "arm-linux-gnueabihf",
    ),
    "386": ("i686-unknown-linux-musl", "i686-unknown-linux-gnu", "i686-linux-gnu"),
    "riscv64": (
        "riscv64gc-unknown-linux-musl",
        "riscv64gc-unknown-linux-gnu",
        "riscv64-linux-gnu",
    ),
    "s390x": ("s390x-unknown-linux-musl", "s390x-unknown-linux-gnu", "s390x-linux-gnu"),
    "ppc64le": (
        "powerpc64le-unknown-linux-musl",
        "powerpc64le-unknown-linux-gnu",
        "powerpc64le-linux-gnu",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rust:
    """A toolchain: absolute *sysroot*, *cargo* and *rustc*; *host* is its own triple.

    *identity* is key material; *commit* names the sources of its standard library.
    """

    sysroot: str
    cargo: str
    rustc: str
    host: str
    release: str
    commit: str
    identity: Json

    def has_std(self, triple: str, world: World) -> bool:
        """Whether the standard library for *triple* is installed."""
        return is_folder(os.path.join(self.sysroot, "lib", "rustlib", triple, "lib"), world)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is compiled for: *linker* is what cargo is told, "" for rustc's own choice."""

    triple: str
    linker: str
    cc: str = ""
    """A GNU C compiler for the target, where it also links; "" for musl."""
    identity: Json = None

    @property
    def is_musl(self) -> bool:
        return "-musl" in self.triple


def find_rust(world: World, folder: str, where: str) -> Rust:
    """The toolchain that rustup, or PATH, selects in *folder* (absolute).

    Starts no process unless something that the answer depends on has changed.
    Raises: ToolchainMissing.
    """
    sysroot = _sysroot(world, folder, where)
    rustc = os.path.join(sysroot, "bin", "rustc")
    cargo = os.path.join(sysroot, "bin", "cargo")
    if not is_file(cargo, world):
        found = find_program("cargo", world)
        if found is None:
            raise ToolchainMissing(where, "cargo was not found", _INSTALL)
        cargo = found
    env = {"PATH": world.env.get("PATH", os.defpath), "HOME": home_of(world.env)}
    # rustc itself is a small program; the name of its library, which is in it, is a hash.
    version = ask_tool([rustc, "-vV"], env, tool_digests([rustc], world), world)
    cargo_version = ask_tool([cargo, "-V"], env, tool_digests([cargo], world), world)
    said = dict(line.split(": ", 1) for line in version.splitlines() if ": " in line)
    release = said.get("release", "")
    number = tuple(map(int, re.findall(r"\d+", release)[:2]))
    check_version("Rust", number, _OLDEST, "rustup update, or another rust-toolchain.toml")
    return Rust(
        sysroot=sysroot,
        cargo=cargo,
        rustc=rustc,
        host=said.get("host", ""),
        release=release,
        commit=said.get("commit-hash", ""),
        identity=[version, cargo_version],
    )


def _sysroot(world: World, folder: str, where: str) -> str:
    proxy = find_program("rustc", world)
    if proxy is None:
        raise ToolchainMissing(where, "rustc was not found", _INSTALL)
    env = fetching_env(world)
    rustup = rustup_home(world)
    chosen = [os.path.join(place, name) for place in ancestors(folder) for name in TOOLCHAIN_FILES]
    key: Json = [
        "rustc sysroot",
        [proxy, folder, rustup],
        tool_digests([proxy, os.path.join(rustup, "settings.toml"), *chosen], world),
        {name: value for name, value in env.items() if name.startswith("RUSTUP_")},
        _toolchains(os.path.join(rustup, "toolchains"), world),
    ]

    def ask() -> str:
        argv = [proxy, "--print", "sysroot"]
        done = world.processes.run(argv, cwd=folder, env=env, show_stderr=False)
        if done.code:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise ToolchainMissing(where, f"rustc cannot be used: {said.removeprefix('error: ')}")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    return world.files.probes.ask(key, ask)


def _toolchains(folder: str, world: World) -> Json:
    """Which there are in rustup's *folder*, and where those lead that `rustup toolchain link` has
    made: made anew, one keeps its name."""
    listed = world.files.observe(Input("names", folder, "*"))
    names = sorted(os.listdir(folder)) if listed else []
    links = (world.files.observe(Input("link", os.path.join(folder, name))) for name in names)
    return [listed, *links]


def find_target(world: World, rust: Rust, platform: Platform, where: str) -> Target:
    """The triple for *platform*: musl where its standard library is installed, else gnu.

    Raises: ToolchainMissing that names the `rustup target add` which is needed.
    """
    musl, gnu, prefix = _ARCHITECTURES[platform.architecture]
    is_native = rust.host.partition("-")[0] == musl.partition("-")[0]
    if rust.has_std(musl, world):
        lld = os.path.join(rust.sysroot, "lib", "rustlib", rust.host, "bin", "rust-lld")
        if is_file(lld, world):
            # One linker for all, and part of the toolchain: no machine's own gcc shows.
            return Target(triple=musl, linker="rust-lld", identity=["rust-lld"])
        cc = find_program("cc", world) if is_native else None
        if cc is not None:
            return Target(triple=musl, linker=cc, identity=cc_identity(cc, world))
    if rust.has_std(gnu, world):
        cc = find_program("cc" if is_native else f"{prefix}-gcc", world)
        if cc is not None:
            identity = cc_identity(cc, world)
            return Target(triple=gnu, linker=cc, cc=cc, identity=identity)
    raise ToolchainMissing(
        where,
        f"Rust {rust.release} has no standard library for {platform} (wanted {musl})",
        f"rustup target add {musl}",
    )


def cc_identity(cc: str, world: World) -> Json:
    """What of the machine's C compiler goes into a binary: programs, and parts of its C library."""
    return world.files.once(f"cc {cc}", lambda: _cc_identity(cc, world))


def _cc_identity(cc: str, world: World) -> Json:
    env: Mapping[str, str] = {"PATH": world.env.get("PATH", os.defpath), "LC_ALL": "C"}
    helpers = helper_programs(cc, world)
    version = ask_tool([cc, "--version"], env, helpers, world)
    places = (ask_tool([cc, f"-print-file-name={name}"], env, helpers, world) for name in _LINKED)
    parts = tool_digests([place for place in places if os.path.isabs(place)], world)
    return ["cc", version.partition("\n")[0], key_of(helpers, parts)]
