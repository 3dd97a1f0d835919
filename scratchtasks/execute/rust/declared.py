"""Variables that a crate says it depends on: build scripts to cargo, rustc in its dep files."""

import glob
import os
import re
from collections.abc import Iterable, Iterator

from scratchtasks.core.action import Input

_SAYS = re.compile(r"^cargo::?rerun-if-env-changed=(.+)$", re.MULTILINE)
_ENV_DEP = re.compile(r"^# env-dep:([^=\n]+)", re.MULTILINE)

_MADE_OF = {
    "PATH": ("PATH",),
    "CARGO_HOME": ("CARGO_HOME", "HOME"),
    "RUSTUP_HOME": ("RUSTUP_HOME", "HOME"),
}
"""What of the user's environment compilation sees (`places_env`), and what that is made of."""


def env_inputs(target_folder: str, out_dirs: Iterable[str]) -> frozenset[Input]:
    """The user's variables that what was built in cargo's *target_folder* declares to read.

    *out_dirs* are those of its build scripts.  All other variables are ours, or not there at all.
    A name in an older dep file that lies there counts too: that costs a rebuild at worst.
    """
    names = {name for path in _outputs(out_dirs) for name in _SAYS.findall(_text(path))}
    for place in ("release", "*/release"):
        for path in glob.glob(f"{glob.escape(target_folder)}/{place}/deps/*.d"):
            names.update(_ENV_DEP.findall(_text(path)))
    return frozenset(Input("env", source) for name in names for source in _MADE_OF.get(name, ()))


def _outputs(out_dirs: Iterable[str]) -> Iterator[str]:
    return (os.path.join(os.path.dirname(out_dir), "output") for out_dir in out_dirs)


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""
