"""Switches that are variables of the environment; light, for it is read on every run."""

from collections.abc import Mapping

from scratchtasks.core.errors import ConfigError


def is_set(env: Mapping[str, str], name: str) -> bool:
    """Whether the switch *name* of *env* is on.  Raises: ConfigError for other words."""
    value = env.get(name, "").lower()
    if value in ("", "0", "no", "false", "off"):
        return False
    if value in ("1", "yes", "true", "on"):
        return True
    raise ConfigError(name, f"wanted 1 or 0, got {value[:40]!a}")
