"""Small shell scripts between cargo and compilers, so that no checkout's path shows in a binary.

cargo hashes the absolute path of a package that lies outside its workspace into `-C metadata`,
and through it into symbol names and their order.  Flags set by RUSTFLAGS would replace those of
the user's `.cargo/config.toml` and be hashed too.  So both are settled between the two.

So is who sees the `env` of a binary: crates of the user's own.  Crates from elsewhere keep their
object code when it changes, and cargo does not know what their build scripts and macros read.
"""

import os
import shlex
from collections.abc import Sequence

from scratchtasks.core.digest import key_of
from scratchtasks.store.atomic import read_regular, write_atomic

from ..operation import World
from .environment import cargo_home, own_home
from .toolchain import Rust

_RUSTC = """#!/bin/sh
# Started by cargo as: this rustc arguments...
# What the script calls _so is no variable that a binary's `env` may have.
_root={root} _home={home} _sources={sources}
_last= _id= _cross= _crate= _dir= _extra= _theirs= _env=$SCRATCH_ENV
for _arg do
  case $_last in
    -C|--codegen) case $_arg in
      extra-filename=*) _extra=${{_arg#*=}} ;;
      metadata=*|incremental=*|linker=*|link-arg=*|link-args=*) ;;
      *) _id="$_id $_arg" ;; esac ;;
    --crate-name) _crate=$_arg _id="$_id $_arg" ;;
    --crate-type|--cfg|--edition) _id="$_id $_arg" ;;
    --target) _id="$_id $_arg" _cross=yes ;;
    --out-dir) _dir=$_arg ;;
  esac
  _last=$_arg
done
# They are other paths on each machine, and rustc needs none of them.
unset CARGO_HOME RUSTUP_HOME SCRATCH_ENV
[ "$HOME" != {own_home} ] || unset HOME
[ -z "$_cross" ] || set -- "$@" -C target-feature=+crt-static
[ -n "$CARGO_MANIFEST_DIR" ] || exec "$@"
_name=${{CARGO_MANIFEST_DIR##*/}}
case $CARGO_MANIFEST_DIR in
  "$_home"/*) _shown=/cargo/$_name ;;
  "$_root") _name=. _shown=/workspace ;;
  "$_root"/*) _name=${{CARGO_MANIFEST_DIR#"$_root"/}} _shown=/workspace/$_name ;;
  *) _shown=/outside/$_name ;;
esac
case $CARGO_MANIFEST_DIR in "$_home"/registry/*|"$_home"/git/*) _theirs=yes ;; esac
# Vendored crates have this file, be they in the workspace.
[ ! -e "$CARGO_MANIFEST_DIR/.cargo-checksum.json" ] || _theirs=yes
[ -z "$_theirs" ] || [ -z "$_env" ] || unset $_env
# rustc takes any words for the metadata that tells crates apart.
_id="metadata=$CARGO_PKG_NAME $CARGO_PKG_VERSION $_name$_id"
for _arg do
  shift
  case $_arg in
    metadata=*) set -- "$@" "$_id" ;;
    *) set -- "$@" "$_arg" ;;
  esac
done
# Of several that match, rustc takes the last.
set -- "$@" "--remap-path-prefix=$_root=/workspace" "--remap-path-prefix=$_home=/cargo" \\
  "--remap-path-prefix=$_sources" "--remap-path-prefix=$CARGO_MANIFEST_DIR=$_shown"
[ -z "$OUT_DIR" ] || set -- "$@" "--remap-path-prefix=$OUT_DIR=/out/$CARGO_PKG_NAME"
# Build scripts are started by cargo itself, so those of others become scripts that hide `env`.
case $_theirs$_crate in yesbuild_script_*) ;; *) exec "$@" ;; esac
"$@" || exit
_made=$_dir/$_crate$_extra
mv "$_made" "$_made.program" || exit
_quoted=$(printf %s "$_made.program" | sed "s/'/'\\\\\\\\''/g")
cat >"$_made" <<END
#!/bin/sh
[ -z "\\$SCRATCH_ENV" ] || unset \\$SCRATCH_ENV
unset SCRATCH_ENV
exec '$_quoted' "\\$@"
END
chmod +x "$_made"
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
    """The path of an executable that holds *text*, which its name tells.  Raises: StoreError."""
    path = os.path.join(world.scratch, "tools", f"{name}-{key_of(text)[:16]}")
    data = text.encode("utf-8", "surrogateescape")
    # A power loss may have cut it short: a shell would do what is left of it.
    if read_regular(path) != data or not os.access(path, os.X_OK):
        write_atomic(path, data, mode=0o755)
    return path
