"""Small shell scripts between cargo and compilers, so that no checkout's path shows in a binary.

cargo hashes the absolute path of a package that lies outside its workspace into `-C metadata`,
and through it into symbol names and their order.  Flags set by RUSTFLAGS would replace those of
the user's `.cargo/config.toml` and be hashed too.  So both are settled between the two.
"""

import os
import shlex
from collections.abc import Sequence

from scratchtasks.core.digest import key_of
from scratchtasks.store.atomic import write_atomic

from ..operation import World
from .environment import cargo_home, own_home
from .toolchain import Rust

_RUSTC = """#!/bin/sh
# Started by cargo as: this rustc arguments...
root={root} home={home} sources={sources}
last= id= cross=
for arg do
  case $last in
    -C|--codegen) case $arg in
      metadata=*|extra-filename=*|incremental=*|linker=*|link-arg=*|link-args=*) ;;
      *) id="$id $arg" ;; esac ;;
    --crate-name|--crate-type|--cfg|--edition) id="$id $arg" ;;
    --target) id="$id $arg" cross=yes ;;
  esac
  last=$arg
done
# They are other paths on each machine, and rustc needs none of them.
unset CARGO_HOME RUSTUP_HOME
[ "$HOME" != {own_home} ] || unset HOME
[ -z "$cross" ] || set -- "$@" -C target-feature=+crt-static
[ -n "$CARGO_MANIFEST_DIR" ] || exec "$@"
name=${{CARGO_MANIFEST_DIR##*/}}
case $CARGO_MANIFEST_DIR in
  "$home"/*) shown=/cargo/$name ;;
  "$root") name=. shown=/workspace ;;
  "$root"/*) name=${{CARGO_MANIFEST_DIR#"$root"/}} shown=/workspace/$name ;;
  *) shown=/outside/$name ;;
esac
# rustc takes any words for the metadata that tells crates apart.
id="metadata=$CARGO_PKG_NAME $CARGO_PKG_VERSION $name$id"
for arg do
  shift
  case $arg in
    metadata=*) set -- "$@" "$id" ;;
    *) set -- "$@" "$arg" ;;
  esac
done
# Of several that match, rustc takes the last.
set -- "$@" "--remap-path-prefix=$root=/workspace" "--remap-path-prefix=$home=/cargo" \\
  "--remap-path-prefix=$sources" "--remap-path-prefix=$CARGO_MANIFEST_DIR=$shown"
[ -z "$OUT_DIR" ] || set -- "$@" "--remap-path-prefix=$OUT_DIR=/out/$CARGO_PKG_NAME"
exec "$@"
"""

_CC = """#!/bin/sh
# The cc crate adds rustc's name of the target, which zig does not know.
for arg do
  shift
  case $arg in
    --target=*) ;;
    *) set -- "$@" "$arg" ;;
  esac
done
# What changes with every call keeps zig from trusting its cache, which goes by mtime.
read -r id </proc/sys/kernel/random/uuid
exec {argv} "$@" {maps} "-ffile-prefix-map=/uncached/$id="
"""


def rustc_wrapper(world: World, rust: Rust) -> str:
    """The path of the script that stands before rustc; its name changes with its text."""
    library = os.path.join(rust.sysroot, "lib", "rustlib", "src", "rust")
    text = _RUSTC.format(
        root=shlex.quote(os.path.realpath(world.root)),
        home=shlex.quote(cargo_home(world)),
        sources=shlex.quote(f"{library}=/rustc/{rust.commit}"),
        own_home=shlex.quote(own_home(world)),
    )
    return script(world, "rustc", text)


def c_script(world: World, name: str, argv: Sequence[str]) -> str:
    """The path of a script that starts the C compiler *argv*; *name* is for people."""
    maps = [f"-ffile-prefix-map={os.path.realpath(world.root)}=/workspace"]
    maps.append(f"-ffile-prefix-map={cargo_home(world)}=/cargo")
    return script(world, name, _CC.format(argv=shlex.join(argv), maps=shlex.join(maps)))


def script(world: World, name: str, text: str) -> str:
    """The path of an executable that holds *text*; it never changes once it is there."""
    path = os.path.join(world.scratch, "tools", f"{name}-{key_of(text)[:16]}")
    if not os.access(path, os.X_OK):
        write_atomic(path, text.encode("utf-8", "surrogateescape"), mode=0o755)
    return path
