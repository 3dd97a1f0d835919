"""The files of a Rust toolchain: a version does not tell who built it, nor what was done to it."""

import os

from scratchtasks.core.action import Input
from scratchtasks.core.digest import key_of
from scratchtasks.core.parallel import map_all

from ..cc_tools import libraries_of
from ..operation import World
from ..toolchains import is_file
from .toolchain import Rust

_COMPILER = ("librustc_driver", "libLLVM", "libstd-")
"""Libraries that make code, as against those that any program loads."""

_SANITIZER = "librustc-"
_SHARES = 4
_LIBRARY = (".rlib", ".rmeta", ".a", ".o", ".so")


def compiler_digest(rust: Rust, triple: str, world: World) -> str:
    """A digest of all by which *rust* compiles for *triple*: programs, their libraries, std.

    The standard library of the host counts, for build scripts and macros are made of it.
    Some 600 MB are read when one of them has changed.
    """
    name = "\0".join(("rust", rust.rustc, rust.cargo, triple))
    return world.files.once(name, lambda: _digest(rust, triple, world))


def _digest(rust: Rust, triple: str, world: World) -> str:
    lld = os.path.join(rust.sysroot, "lib", "rustlib", rust.host, "bin", "rust-lld")
    programs = [rust.cargo, rust.rustc, *([lld] if is_file(lld, world) else [])]
    loaded = (path for path in libraries_of(programs, world) if _name(path).startswith(_COMPILER))
    paths = [*programs, *loaded]
    for each in dict.fromkeys((rust.host, triple)):
        folder = os.path.join(rust.sysroot, "lib", "rustlib", each, "lib")
        paths += [*_parts(folder, world), *_parts(os.path.join(folder, "self-contained"), world)]
    items = [Input("file", path) for path in paths]
    # To hash them takes a second of one core; to see that they are the same, next to nothing.
    map_all(world.files.observe_all, [items[start::_SHARES] for start in range(_SHARES)])
    values = world.files.observe_all(items)
    return key_of(*([_name(item.path), values[item]] for item in items))


def _parts(folder: str, world: World) -> list[str]:
    """What rustc links of *folder*."""
    if not world.files.observe(Input("names", folder, "*")):
        return []
    names = (name for name in os.listdir(folder) if not name.startswith(_SANITIZER))
    return sorted(os.path.join(folder, name) for name in names if name.endswith(_LIBRARY))


_name = os.path.basename
