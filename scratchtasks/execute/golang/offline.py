"""Which modules a Go program lacks while nothing may be fetched: Go itself names packages only."""

from collections.abc import Iterable, Mapping
from typing import Any

from scratchtasks.core.errors import NotInStore

from ..operation import Job, World
from .environment import go_env
from .packages import values_in
from .place import Place
from .toolchain import find_go

_DISABLED = b"module lookup disabled by GOPROXY=off"


def is_refused(output: bytes) -> bool:
    """Whether Go says in *output* that it would have had to fetch a module."""
    return _DISABLED in output


def lacking(job: Job, packages: Iterable[str], place: Place, world: World) -> NotInStore:
    """The error for the program of *job*, which lacks the modules of *packages* (import paths).

    None are named where Go could not even read what its modules require: then it is all modules
    that are not there.  What the lacking ones need in turn is not known before they are there.
    """
    platform = job.action.platform
    assert platform is not None
    done = world.processes.run(
        [find_go(world).path, "list", "-m", "-e", "-json=Path,Version,Replace,Error", "all"],
        cwd=place.cwd,
        env=go_env(world.env, platform, place.mod, place.work, place.cwd),
        show_stderr=False,
    )
    modules = {each["Path"]: each for each in values_in(done.stdout)}
    paths = [_module_of(package, modules) for package in packages] or [
        path for path, each in modules.items() if is_refused(str(each.get("Error")).encode())
    ]
    names = sorted({_shown(modules.get(path, {"Path": path})) for path in paths})
    label = job.where
    return NotInStore(
        f"{label}: {', '.join(names)}",
        "not in Go's module cache, and --offline forbids to fetch it",
        "run once without --offline",
    )


def _module_of(package: str, modules: Mapping[str, Any]) -> str:
    """The path of the module that has *package*: the longest that fits, as Go chooses it."""
    path = package
    while path not in modules and "/" in path:
        path = path.rpartition("/")[0]
    return path if path in modules else package


def _shown(module: Mapping[str, Any]) -> str:
    """*module*, or what replaces it, as Go writes it: `path@version`."""
    told = module.get("Replace") or module
    return f"{told['Path']}@{told['Version']}" if told.get("Version") else str(told["Path"])
