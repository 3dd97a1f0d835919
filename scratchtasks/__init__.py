"""scratchtasks: static binaries and FROM scratch images as doit tasks, cached and exact.

The public names are imported when they are first used, so that a plugin entry point costs
nothing for projects that do not use it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plugin.workspace import Workspace as Workspace

_HOMES = {"Workspace": "plugin.workspace"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'scratchtasks' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"scratchtasks.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(_HOMES)
