"""Options of all commands, and variables of the environment; light, for every run reads them."""

from collections.abc import Mapping
from typing import Any

from scratchtasks.core.errors import ConfigError

SWITCHES = {"locked": "SCRATCH_LOCKED", "offline": "SCRATCH_OFFLINE"}
"""What can be switched on, as an option or as a variable."""

OPTIONS = (
    {
        "section": "scratchtasks",
        "name": "locked",
        "long": "locked",
        "type": bool,
        "default": False,
        "help": "refuse to run with an input that scratch.lock does not pin (SCRATCH_LOCKED=1)",
    },
    {
        "section": "scratchtasks",
        "name": "offline",
        "long": "offline",
        "type": bool,
        "default": False,
        "help": "fetch nothing: what is in the store has to do (SCRATCH_OFFLINE=1)",
    },
    {
        "section": "scratchtasks",
        "name": "profile",
        "long": "profile",
        "type": str,
        "default": "",
        "help": "write where the time went into this file, a Chrome trace for ui.perfetto.dev",
    },
)
"""What doit knows of, ahead of a command's name and behind it."""

PUSH_OPTIONS = {"--dry-run": "is_dry", "--json": "as_json"}
"""What `push` takes, behind task names, and the attribute of Pushes that it sets."""

LOCK = "scratch.lock"

TRIED_LOCK = "SCRATCHTASKS_LOCK"
"""Names the lock that `doit refresh --build` tries out before it takes the place of the old one,
for the doit that does it."""


def lock_of(env: Mapping[str, str]) -> str:
    """The lock that counts in *env*, absolute or relative to the root."""
    return env.get(TRIED_LOCK) or LOCK


def is_set(env: Mapping[str, str], name: str) -> bool:
    """Whether the switch *name* of *env* is on.  Raises: ConfigError for other words."""
    value = env.get(name, "").lower()
    if value in ("", "0", "no", "false", "off"):
        return False
    if value in ("1", "yes", "true", "on"):
        return True
    raise ConfigError(name, f"wanted 1 or 0, got {value[:40]!a}")


def take_switches(options: Mapping[str, Any], words: list[str], env: Mapping[str, str]) -> set[str]:
    """The switches that are on, by *options*, *env* or one of *words*, which goes: doit takes what
    stands behind task names for tasks.

    Raises: ConfigError.
    """
    found = set()
    for name, variable in SWITCHES.items():
        if is_set(env, variable) or options.get(name):
            found.add(name)
        elif f"--{name}" in words:
            words.remove(f"--{name}")
            found.add(name)
    return found


def take_profile(options: Mapping[str, Any], words: list[str]) -> str | None:
    """The file that --profile names, among *options* or *words*, where it goes."""
    for number, word in enumerate(words):
        name, joint, value = word.partition("=")
        if name == "--profile":
            path = value if joint else "".join(words[number + 1 : number + 2])
            del words[number : number + 1 + (not joint)]
            return path
    return options.get("profile") or None
