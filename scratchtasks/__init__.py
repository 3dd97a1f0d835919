"""scratchtasks: static binaries and FROM scratch images as doit tasks, cached and exact.

The public names are imported when they are first used, so that a plugin entry point costs
nothing for projects that do not use it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .declare import accounts as accounts
    from .declare import c_binary as c_binary
    from .declare import ca_certificates as ca_certificates
    from .declare import files as files
    from .declare import folder as folder
    from .declare import genrule as genrule
    from .declare import go_binary as go_binary
    from .declare import hosts as hosts
    from .declare import nsswitch as nsswitch
    from .declare import os_release as os_release
    from .declare import prebuilt as prebuilt
    from .declare import rust_binary as rust_binary
    from .declare import scratch_image as scratch_image
    from .declare import services_file as services_file
    from .declare import tmp as tmp
    from .declare import zoneinfo as zoneinfo
    from .plugin.workspace import Workspace as Workspace

_HOMES = {
    "Workspace": "plugin.workspace",
    **dict.fromkeys(
        (
            "accounts",
            "c_binary",
            "ca_certificates",
            "files",
            "folder",
            "genrule",
            "go_binary",
            "hosts",
            "nsswitch",
            "os_release",
            "prebuilt",
            "rust_binary",
            "scratch_image",
            "services_file",
            "tmp",
            "zoneinfo",
        ),
        "declare",
    ),
}

__all__ = list(_HOMES)


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
