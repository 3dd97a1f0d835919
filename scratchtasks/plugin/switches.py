"""What variables of the environment decide; light, for it is read on every run."""

from collections.abc import Mapping

from scratchtasks.core.errors import ConfigError

SWITCHES = {"locked": "SCRATCH_LOCKED", "offline": "SCRATCH_OFFLINE"}
"""What can be switched on, as an option or as a variable."""

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
