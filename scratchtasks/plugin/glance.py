"""What `scratch` does before it imports doit, which takes longer than to look at everything.

Without a word it finds out whether there is nothing to do; where a source was edited, it begins to
compile.  Whatever is not the plainest case is for doit to decide, which takes over what was looked
at here.
"""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ScratchError

from .display import write_all
from .selection import make_images, services_of
from .sources import read_anew
from .summary import summary
from .switches import SWITCHES

if TYPE_CHECKING:
    from .workspace import Workspace


def is_nothing_to_do(root: str) -> bool:
    """Whether all images of the workspace *root*, the current folder, are up to date.

    If so, it has said what a run says then.  False is no verdict.
    """
    workspace = _workspace(root)
    if workspace is None:
        return False
    try:
        memory = workspace.memory
        if not memory.ask(on_edit=workspace.begin_ahead) or memory.stale():
            return False
    except ScratchError:
        return False
    memory.freshen()
    seconds = time.monotonic() - workspace.began
    line = summary(memory.count, "image", {"current": memory.count}, seconds)
    write_all(1, f"{line}\n".encode())
    return True


def look_ahead(root: str, words: Sequence[str]) -> None:
    """Begin to compile what was edited of the services that the command line *words* is about, if
    it is about no more than bringing those up to date; doit does all the rest."""
    tasks = [f"load:{word}" for word in words[1:]] if words[0] == "up" else words
    if any(word.startswith("-") or "=" in word or "/" in word for word in words):
        return
    names = services_of(tasks)
    workspace = _workspace(root) if names else None
    if workspace is None:
        return
    with suppress(ScratchError):  # doit tells of it
        if make_images(tasks):
            workspace.memory.ask(names, workspace.begin_ahead)
        else:
            workspace.memory.beside(names, workspace.begin_ahead)


def _is_plain(root: str) -> bool:
    """Whether nobody has told doit more than that its loader is ours."""
    if any(os.environ.get(variable) for variable in SWITCHES.values()):
        return False
    # It takes options from variables, such as the name of another dodo.py.
    if any(name.startswith("DOIT_") for name in os.environ):
        return False
    if os.path.lexists(os.path.join(root, "doit.cfg")):
        return False
    try:
        with open(os.path.join(root, "pyproject.toml"), "rb") as file:
            data = file.read()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    if b"doit" not in data:
        return True
    import tomllib

    try:
        told = tomllib.loads(data.decode()).get("tool", {}).get("doit", {})
    except (ValueError, AttributeError):
        return False
    return told in ({}, {"loader": "scratch"})


def _workspace(root: str) -> "Workspace | None":
    """What dodo.py in *root*, the current folder, makes, if it makes a Workspace and declares
    nothing to doit, and nobody has asked for anything out of the way.

    It is imported as doit does that, and doit does not do it again.
    """
    if not _is_plain(root):
        return None
    sys.path.insert(0, root)
    read_anew()
    try:
        made = vars(import_module("dodo"))
    except Exception:  # doit tells of it
        return None
    from .workspace import Workspace, declares_tasks

    found = {id(each): each for each in made.values() if isinstance(each, Workspace)}
    has_more = declares_tasks(made) or "DOIT_CONFIG" in made
    if len(found) != 1 or has_more or "doit" in sys.modules:
        return None
    workspace = found.popitem()[1]
    return None if workspace.after else workspace
