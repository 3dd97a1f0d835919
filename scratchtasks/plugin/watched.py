"""What images depend on, file by file, and whether a change on disk concerns it."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import IO, TYPE_CHECKING

from scratchtasks.core.action import Input
from scratchtasks.core.names import is_match
from scratchtasks.execute.stamp import read_stamp
from scratchtasks.store.atomic import storage_error, write_atomic
from scratchtasks.store.signature import list_folder

from .service_folders import SERVICE_FILE
from .tasks import need_of

if TYPE_CHECKING:
    from .session import Session

Watched = Mapping[Input, str]
"""Inputs with absolute paths, and what was seen of each; "" if it was not there."""

_SETTINGS = ("dodo.py", "pyproject.toml", "doit.cfg", "scratch.toml", "scratch.lock")
_NOT_SOURCES = frozenset({"dist", "node_modules", "target", "__pycache__"})
_MOST = 20_000
"""Files that are looked at when nothing is known of a service yet."""


def inputs_of(
    session: "Session", names: Iterable[str], *, has_failed: bool = False
) -> dict[Input, str]:
    """The inputs of the images *names*: what was last seen to be read, and the files that say
    how they are built.

    Where a first build *has_failed* before all was known, they are all files of the workspace.
    """
    root = session.world.root
    found = {
        Input("file", path): "file" if os.path.exists(path) else ""
        for path in _settings(session, names)
    }
    for action in _actions(session, names):
        verdict = session.engine.verdict(action)
        stamp = read_stamp(session.world.scratch, session.graph.actions[action])
        record = dict(verdict.record)
        if stamp is None:
            found |= dict(_everything(root)) if has_failed else {}
        elif not verdict.fresh:  # what failed has not read all that the last success has
            record |= session.world.files.observe_all(stamp.record)
        for item, value in record.items():
            if item.kind == "env":
                continue  # that of a run that watches does not change
            found[item._replace(path=os.path.join(root, item.path))] = value
    return found


def write_inputs(path: str, session: "Session", names: Iterable[str], *, has_failed: bool) -> None:
    """Write the workspace's root and `inputs_of` to *path* as JSON: `{"root": path, "inputs":
    [[kind, path, pattern, value]]}`.  A *path* in `/dev/fd/` is a file of whoever has started us.

    Raises: StoreError.
    """
    inputs = inputs_of(session, names, has_failed=has_failed)
    listed = [[*item, inputs[item]] for item in sorted(inputs)]
    value = json.dumps({"root": session.world.root, "inputs": listed}).encode()
    if not path.startswith("/dev/fd/"):
        write_atomic(os.path.abspath(path), value)
        return
    try:
        with open(path, "wb") as file:
            file.write(value)
    except OSError as error:
        raise storage_error(path, error) from error


def read_inputs(file: IO[bytes]) -> tuple[str, dict[Input, str]] | None:
    """The root and the inputs that write_inputs wrote to *file*, which is empty afterwards; None
    when it did not come to that."""
    file.seek(0)
    try:
        told = json.loads(file.read())
    except ValueError:
        return None
    finally:
        file.truncate(0)
    return told["root"], {Input(*item): value for *item, value in told["inputs"]}


def seen_now(watched: Watched) -> dict[Input, str]:
    """*watched*, with what is there at this moment instead of what was seen before.

    Raises: StoreError when a folder cannot be read.
    """
    found = {}
    for item, value in watched.items():
        if item.kind == "names":
            listed = list_folder(item.path, item.pattern)
            found[item] = listed.value if listed else ""
        elif not os.path.lexists(item.path):
            found[Input("file", item.path)] = ""
        else:
            found[item] = value or item.kind
    return found


def folders(watched: Watched, root: str) -> set[str]:
    """The folders in which a change may concern *watched*; those that are not there are left out.

    Events come from a file's folder, for editors put a new file in an old one's place.  That a
    folder goes or comes is told by the one that holds it, so those above count too, from the
    workspace's *root* down: what lies above that is busier, and moves with all of the workspace.
    """
    inside = root.rstrip("/") + "/"
    found: set[str] = set()
    for item in watched:
        for path in _places(item):
            folder = path if item.kind == "names" else os.path.dirname(path)
            while not os.path.isdir(folder):
                folder = os.path.dirname(folder)
            while folder not in found:
                found.add(folder)
                if folder.startswith(inside):
                    folder = os.path.dirname(folder)
    return found


def concerned(changes: Iterable[tuple[bool, str]], watched: Watched) -> list[str]:
    """Those of the changed paths that *watched* has, sorted.

    *changes* are absolute paths, each with whether it came or went, as against a change of what
    it holds: a listing sees only those.
    """
    files: set[str] = set()
    above: set[str] = set()
    listings: dict[str, list[str]] = {}
    for item in watched:
        for path in _places(item):
            above.update(map(str, PurePath(path).parents))
            if item.kind == "names":
                listings.setdefault(path.rstrip("/"), []).append(item.pattern)
            else:
                files.add(path)
    found = set()
    for came_or_went, path in changes:
        folder, _, name = path.rpartition("/")
        is_listed = came_or_went and any(is_match(name, p) for p in listings.get(folder, ()))
        if path in files or is_listed or (came_or_went and path in above):
            found.add(path)
    return sorted(found)


def changed_since(watched: Watched, moment: int) -> list[str]:
    """Paths of *watched* that have changed at *moment* (ns since 1970) or after it, sorted.

    Raises: StoreError when a folder cannot be read.
    """
    found = set()
    for item, value in watched.items():
        if item.kind == "names":
            listed = list_folder(item.path, item.pattern)
            is_changed = (listed.value if listed else "") != value
        else:
            is_changed = _is_newer(item.path, moment, was_there=bool(value) or item.kind == "link")
        if is_changed:
            found.add(item.path)
    return sorted(found)


def _places(item: Input) -> set[str]:
    """The path of *item*, and where its links lead: events may name either."""
    follows = item.kind in ("file", "names")
    return {item.path, os.path.realpath(item.path)} if follows else {item.path}


def _is_newer(path: str, moment: int, *, was_there: bool) -> bool:
    try:
        changed = os.stat(path).st_ctime_ns
    except OSError:
        return was_there
    return changed >= moment or not was_there


def _settings(session: "Session", names: Iterable[str]) -> Iterator[str]:
    """Files that say what is built: they are read anew by each run."""
    root = session.world.root
    for name in _SETTINGS:
        yield os.path.join(root, name)
    for name in names:
        folder = session.graph.services[name].folder
        yield os.path.normpath(os.path.join(root, folder, SERVICE_FILE))
    for module in list(sys.modules.values()):  # what dodo.py has imported
        path = getattr(module, "__file__", None) or ""
        inside = path.startswith(f"{root}/") and "site-packages" not in path
        if inside and not os.path.relpath(path, root).startswith("."):
            yield path


def _actions(session: "Session", names: Iterable[str]) -> dict[str, None]:
    """All actions behind what is loaded of *names*, those they need first."""
    found: dict[str, None] = {}
    tasks = session.graph.tasks

    def visit(task: str) -> None:
        for dep in tasks[task].deps:
            visit(dep)
        found.update(dict.fromkeys(tasks[task].actions))

    for name in names:
        visit(need_of("load", name, tasks))
        for part in tasks[f"rootfs:{name}"].parts:
            if session.engine.known(tasks[part].actions[-1]):  # the engine has asked for it
                visit(part)
    return found


def _everything(root: str) -> Iterator[tuple[Input, str]]:
    count = 0
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if not name.startswith(".") and name not in _NOT_SOURCES]
        listed = list_folder(folder, "*")
        yield Input("names", folder, "*"), listed.value if listed else ""
        for name in names:
            yield Input("file", os.path.join(folder, name)), "file"
        count += len(names)
        if count > _MOST:
            return
