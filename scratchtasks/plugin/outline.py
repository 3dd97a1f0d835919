"""The analysed graph as the last run saw it, for commands that only show or name tasks.

While no file that declares something has changed, a thousand services need not be parsed to be
listed.
"""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from scratchtasks.core.errors import StoreError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.label import Label
from scratchtasks.core.task import Task
from scratchtasks.store.notes import Notes, notes_from
from scratchtasks.store.scan import moved
from scratchtasks.store.signature import value_at

from .memo import OUTLINE, read_marshalled, write_marshalled

if TYPE_CHECKING:
    from .session import Session


class PushOutline(NamedTuple):
    """Where a service is pushed to."""

    repository: str


class ServiceOutline(NamedTuple):
    """What commands show of a service; *smoke* and *push* are None where it has no such table."""

    name: str
    folder: str
    smoke: bool | None
    push: PushOutline | None


@dataclass(frozen=True, slots=True)
class Outline:
    """Every task with its targets, every service, and the engine that images are loaded into."""

    tasks: Mapping[str, Task]
    targets: Mapping[str, list[str]]
    services: Mapping[str, ServiceOutline]
    engine: str


def write_outline(session: "Session", folder: str, head: str) -> None:
    """Keep what *session* has analysed in *folder*; it counts while *head* and all that declares
    it are the same.

    Raises: StoreError.
    """
    notes = Notes()
    for path, read in session.sources.items():
        value, note = value_at("file", os.path.join(session.world.root, path))
        notes.append(note if value == read else ())
    tasks = [
        (
            *(task.name, task.label.package, task.label.name, task.doc, task.actions, task.deps),
            session.targets(task),
        )
        for task in session.graph.tasks.values()
    ]
    services = [
        (each.name, each.folder, each.smoke and True, each.push and each.push.repository)
        for each in session.graph.services.values()
    ]
    kept = (head, list(session.sources), list(session.sources.values()), notes.tobytes())
    write_marshalled(f"{folder}/{OUTLINE}", (*kept, tasks, services, session.declared.engine))


def read_outline(folder: str, head: str) -> Outline | None:
    """The outline in *folder*, if it still counts; the current folder is the workspace's root."""
    value = read_marshalled(f"{folder}/{OUTLINE}")
    if value is None or value[0] != head:
        return None
    _, paths, read, notes, tasks, services, engine = value
    try:
        for number in moved(paths, notes_from(notes)):
            if value_at("file", paths[number])[0] != read[number]:
                return None
    except StoreError:
        return None
    return Outline(
        {
            name: Task(name=name, label=Label(*label), doc=doc, actions=actions, deps=deps)
            for name, *label, doc, actions, deps, _ in tasks
        },
        {each[0]: each[-1] for each in tasks},
        {
            name: ServiceOutline(name, folder, smoke, None if push is None else PushOutline(push))
            for name, folder, smoke, push in services
        },
        engine,
    )
