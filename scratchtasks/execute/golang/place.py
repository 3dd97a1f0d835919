"""Where a Go program lives: its module, its go.work, and the files that steer both."""

import os
import re
from collections.abc import Iterator

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ActionFailed
from scratchtasks.core.frozen import dataclass

from ..operation import Job, World


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Absolute paths: *folder* holds package main, *module* its go.mod.

    *work* is the go.work in force, or `off`.  *cwd* is where go commands run: the folder of
    go.work where that is in the workspace, so that one command serves all its modules, else
    the module's.  *mod* is `vendor` where a vendor/modules.txt applies, else `readonly`.
    """

    folder: str
    module: str
    work: str
    cwd: str
    mod: str

    @property
    def argument(self) -> str:
        """*folder* as go commands take it, relative to *cwd*."""
        relative = os.path.relpath(self.folder, self.cwd)
        # A folder may be called `.cmd`, which by itself is an import path.
        return relative if relative.split("/")[0] in (".", "..") else f"./{relative}"


def find_place(job: Job, world: World) -> Place:
    """The place of *job*'s package.  Raises: ActionFailed without such a folder or a go.mod."""
    params, label = job.action.params, job.where
    folder = os.path.normpath(f"{world.root}/{params['folder']}/{params['package']}")
    if not os.path.isdir(folder):
        raise ActionFailed(
            label,
            f"no such folder: {shown(folder, world.root)}",
            "package is relative to the folder of service.toml",
        )
    module = _above(folder, "go.mod")
    if not module:
        raise ActionFailed(
            label,
            f"no go.mod in {shown(folder, world.root) or '.'} or a folder above it",
            "go mod init example.com/name",
        )
    work = world.env.get("GOWORK") or _above(module, "go.work") or "off"
    home = module
    if work != "off":
        work = work if world.env.get("GOWORK") else f"{work}/go.work"
        over = os.path.dirname(work)
        if is_inside(module, over) and is_inside(over, world.root):
            home = over
    vendored = os.path.dirname(work) if work != "off" else module
    has_vendor = os.path.isfile(f"{vendored}/vendor/modules.txt")
    mod = "vendor" if has_vendor else "readonly"
    return Place(folder=folder, module=module, work=work, cwd=home, mod=mod)


def outside(world: World) -> dict[str, Json]:
    """Key material from outside the workspace: GOWORK, and the nearest go.work above the root."""
    own = world.env.get("GOWORK", "")
    if own in ("", "off"):
        above = _above(os.path.dirname(world.root), "go.work", world)
        return {"GOWORK": own, "go.work above": above and os.path.relpath(above, world.root)}
    return {"GOWORK": shown(os.path.normpath(own), world.root), "go.work above": ""}


def steering_files(place: Place, world: World) -> set[str]:
    """Absolute paths of the files that decide which module versions and folders count.

    Some do not exist: it is their absence that matters.
    """
    files = {f"{place.module}/{name}" for name in ("go.mod", "go.sum", "vendor/modules.txt")}
    files |= _local_modules(f"{place.module}/go.mod", "replace")
    if not world.env.get("GOWORK"):
        for folder in _upwards(place.module):
            if is_inside(place.module, world.root) and not is_inside(folder, world.root):
                break  # those are `outside`
            files.add(f"{folder}/go.work")
            if os.path.isfile(f"{folder}/go.work"):
                break
    if place.work != "off":
        over = os.path.dirname(place.work)
        files |= {place.work, f"{place.work}.sum", f"{over}/vendor/modules.txt"}
        files |= _local_modules(place.work, "replace")
        for used in _local_modules(place.work, "use"):
            files |= {used, f"{used.removesuffix('.mod')}.sum"}
            files |= _local_modules(used, "replace")
    return files


def nested_modules(folder: str, module: str) -> Iterator[str]:
    """The go.mod files above *folder* that would take it out of *module*; none of them exists."""
    for above in _upwards(os.path.dirname(folder)):
        if above == module or not is_inside(above, module):
            return
        yield f"{above}/go.mod"


def as_inputs(paths: set[str], world: World) -> tuple[Input, ...]:
    """*paths* (absolute) as what `go list` reads of them, sorted."""
    return tuple(
        Input("head" if path.endswith(".go") else "file", shown(path, world.root))
        for path in sorted(paths)
    )


def is_inside(path: str, folder: str) -> bool:
    """Whether absolute *path* is *folder* or below it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def shown(path: str, root: str) -> str:
    """Absolute *path* relative to *root* where it lies inside ("" for *root*), else as it is."""
    if not is_inside(path, root):
        return path
    return "" if path == root else os.path.relpath(path, root)


def _upwards(folder: str) -> Iterator[str]:
    yield folder
    while folder != os.path.dirname(folder):
        folder = os.path.dirname(folder)
        yield folder


def _above(folder: str, name: str, world: World | None = None) -> str:
    """The nearest folder from *folder* upwards that has a file *name*, or ""."""
    for above in _upwards(folder):
        path = os.path.join(above, name)
        if world.files.observe(Input("file", path)) if world else os.path.isfile(path):
            return above
    return ""


_TOKEN = re.compile(r'//.*|"(?:[^"\\]|\\.)*"|`[^`]*`|[()]|(?:(?!//)[^\s()"`])+')


def _local_modules(path: str, verb: str) -> set[str]:
    """The go.mod files of the folders that directives *verb* in go.mod or go.work *path* name.

    Source: go.dev/ref/mod#go-mod-file-lexical; a replacement is a folder if it starts with a dot
    or slash.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().splitlines()
    except OSError:
        return set()
    found, block = set(), ""
    for line in lines:
        words = [word for word in _TOKEN.findall(line) if not word.startswith("//")]
        if words[1:] == ["("]:
            block = words[0]
        elif words == [")"]:
            block = ""
        elif words and (block or words[0]) == verb:
            target = words[-1].strip('"`')
            if verb == "use" or target.startswith(("./", "../", "/")) or target in (".", ".."):
                folder = os.path.normpath(os.path.join(os.path.dirname(path), target))
                found.add(f"{folder}/go.mod")
    return found
