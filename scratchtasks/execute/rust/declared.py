"""Variables that a crate says it depends on: build scripts to cargo, rustc in its dep files."""

import glob
import re
from collections.abc import Iterable

from scratchtasks.core.action import Input

_SAYS = re.compile(r"^cargo::?rerun-if-env-changed=(.+)$", re.MULTILINE)
_ENV_DEP = re.compile(r"^# env-dep:([^=\n]+)", re.MULTILINE)

_MADE_OF = {
    "PATH": ("PATH",),
    "CARGO_HOME": ("CARGO_HOME", "HOME"),
    "RUSTUP_HOME": ("RUSTUP_HOME", "HOME"),
}
"""What of the user's environment compilation sees (`places_env`), and what that is made of."""


def env_inputs(target_folder: str, outputs: Iterable[str]) -> frozenset[Input]:
    """The user's variables that what was built in cargo's *target_folder* declares to read.

    *outputs* are the texts that its build scripts wrote for cargo.  All other variables are ours,
    or not there at all.  A name in an older dep file that lies there counts too: that costs a
    rebuild at worst.
    """
    names = {name for text in outputs for name in _SAYS.findall(text)}
    for place in ("release", "*/release"):
        for path in glob.glob(f"{glob.escape(target_folder)}/{place}/deps/*.d"):
            with open(path, encoding="utf-8", errors="surrogateescape") as file:
                names.update(_ENV_DEP.findall(file.read()))
    return frozenset(Input("env", source) for name in names for source in _MADE_OF.get(name, ()))
