"""Where compilers come from: the machine's PATH first, then PyPI (`packaged.py`).

What a tool says about itself is asked once per state of its files, so that a run with nothing
to do starts no subprocess.
"""

import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed, StoreError, ToolchainMissing
from scratchtasks.core.frozen import dataclass

if TYPE_CHECKING:
    from .operation import World


class Looks(Protocol):
    """Whoever may be asked what is at a path: FileStates, which notes it."""

    def look(self, path: str, /) -> os.stat_result | None:
        """What stat says of the absolute *path*; None when it is not there.  Raises: StoreError."""


class Sight(Protocol):
    """The part of a World that programs are looked for in."""

    @property
    def env(self) -> Mapping[str, str]:
        """The user's environment."""

    @property
    def files(self) -> Looks:
        """What is where."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolchain:
    """A compiler that was found: *path* is absolute, *version* as its makers write it.

    *identity* is key material: equal on two machines exactly when the same tools are there.
    *package* is the project on PyPI that it came from, "" for the machine's own.
    """

    path: str
    version: str
    identity: Json
    package: str = ""


def find_program(name: str, sight: Sight) -> str | None:
    """The absolute path of executable *name* on the user's PATH, or None.

    Entries that are relative or empty are left out: they would mean another program in every
    folder.
    """
    for folder in sight.env.get("PATH", os.defpath).split(os.pathsep):
        path = os.path.join(folder, name)
        if os.path.isabs(folder) and is_on_path(path, sight) and os.access(path, os.X_OK):
            return path
    return None


def is_on_path(path: str, sight: Sight) -> bool:
    """Whether *path*, in an absolute folder of PATH, is a file.

    Not where nobody may look, as in root's own folders after `su`: whoever starts a program
    passes over those.
    """
    try:
        return is_file(path, sight)
    except StoreError:
        # What may be looked at tells when it is opened.
        while (path := os.path.dirname(path)) != "/":
            with suppress(StoreError):
                sight.files.look(path)
                break
        return False


def find_package(name: str) -> str | None:
    """The absolute folder of the installed Python package *name*, without importing it."""
    from importlib.util import find_spec

    spec = find_spec(name)
    places = spec.submodule_search_locations if spec else None
    return os.path.abspath(next(iter(places))) if places else None


def packaged_as(folder: str, project: str, sight: Sight) -> str:
    """The version of *project* on PyPI that the package in *folder* (absolute) is of, or ""."""
    prefix = f"{project.replace('-', '_')}-"
    sight.files.look(os.path.dirname(folder))
    try:
        names = os.listdir(os.path.dirname(folder))
    except OSError:
        return ""
    found = (name for name in names if name.startswith(prefix) and name.endswith(".dist-info"))
    return next((name[len(prefix) : -len(".dist-info")] for name in sorted(found)), "")


def is_file(path: str, sight: Sight) -> bool:
    """Whether the absolute *path* is a file; what was seen of it is noted."""
    info = sight.files.look(path)
    return info is not None and stat.S_ISREG(info.st_mode)


def is_folder(path: str, sight: Sight) -> bool:
    """Whether the absolute *path* is a folder; what was seen of it is noted."""
    info = sight.files.look(path)
    return info is not None and stat.S_ISDIR(info.st_mode)


def tool_digests(paths: Sequence[str], world: "World") -> list[Json]:
    """The digests of tool files *paths* (absolute), in order; "" for one that is missing."""
    from scratchtasks.core.action import Input  # a head start has no need of it

    items = [Input("file", path) for path in paths]
    values = world.files.observe_all(items)
    return [values[item] for item in items]


def ask_tool(argv: Sequence[str], env: Mapping[str, str], key: Json, world: "World") -> str:
    """What *argv* prints, stripped; run once for each *key*, which must name all it depends on.

    Raises: ToolchainMissing when it cannot be started, ActionFailed when it ends with an error.
    """

    def make() -> str:
        done = world.processes.run(argv, cwd=world.root, env=env)
        if done.code:
            raise ActionFailed(" ".join(argv), f"ended with status {done.code}")
        return done.stdout.decode("utf-8", "surrogateescape").strip()

    return world.files.probes.ask([list(argv), dict(env), key], make)


def check_version(name: str, version: tuple[int, ...], wanted: tuple[int, ...], hint: str) -> None:
    """Raises: ToolchainMissing when *version* of *name* is older than *wanted*."""
    if version < wanted:
        shown = ".".join(map(str, wanted)), ".".join(map(str, version))
        raise ToolchainMissing(name, f"too old (wanted {shown[0]} or newer, got {shown[1]})", hint)
