"""What a command line asks for, as far as that can be told before anything is analysed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from doit.task import Task

_OUTPUTS = ("dist/", ".scratch/", "./dist", "/")

_OURS = frozenset({"binary", "rootfs", "image", "load", "smoke", "push"})
"""Kinds of tasks that are named by a service."""

_OF_ONE_SERVICE = _OURS - {"push"}
"""Those for which no service but that one has to be known: a push takes blobs from where other
images are, and no tag of theirs."""


def images_of(words: Sequence[str]) -> tuple[str, ...] | None:
    """The services whose images *words* name and nothing else, () for all; None otherwise.

    Names beside all are for somebody else to look up: none of them has to be there.
    """
    if set(words) == {"image"}:
        return ()
    parts = [word.partition(":") for word in words]
    is_named = parts and all(kind == "image" and colon for kind, colon, _ in parts)
    return tuple(name for _, _, name in parts) if is_named else None


def service_of(name: str) -> str:
    """The service that the task *name* (`binary:api`, `rootfs:api@linux/arm64`) is about."""
    return name.partition(":")[2].partition("@")[0]


def services_of(words: Sequence[str]) -> tuple[str, ...]:
    """The services that tasks named *words* are about; () where they may be about any other."""
    if not all(word.partition(":")[0] in _OF_ONE_SERVICE and service_of(word) for word in words):
        return ()
    return tuple(dict.fromkeys(map(service_of, words)))


def make_images(words: Sequence[str]) -> bool:
    """Whether all tasks named *words* make images, or do something with one."""
    return all(word.partition(":")[0] in ("image", "smoke", "push") for word in words)


def are_apart(users_tasks: "Sequence[Task]") -> bool:
    """Whether *users_tasks* are sure to need none of ours, and to have no name of one."""
    own = {task.name for task in users_tasks}
    return not any(
        task.wild_dep
        or task.loader
        or task.name.partition(":")[0] in _OURS
        or not own.issuperset((*task.task_dep, *task.setup_tasks))
        or any(path.startswith(_OUTPUTS) for path in task.file_dep)
        for task in users_tasks
    )
