"""Bringing images into the Docker Engine: those of one run together, in one archive."""

import os
from collections.abc import Iterable
from threading import Lock
from typing import TYPE_CHECKING

from scratchtasks.analysis import Task
from scratchtasks.core.errors import ScratchError, SinkError

if TYPE_CHECKING:
    from scratchtasks.sinks import docker

    from .session import Session

_SAID = {"loaded": "loaded", "tagged": "tagged", "present": "is already loaded"}


class Loads:
    """What this run has loaded and has still to load.

    Each load costs the engine a fixed time, so the first task that comes to load takes with it
    all planned images that are built by then.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._turn = Lock()
        self._planned: tuple[str, ...] = ()
        self._done: dict[str, docker.How] = {}
        self._pid = os.getpid()

    def plan(self, names: Iterable[str]) -> None:
        """Images of *names* (image tasks) are to be loaded by this run."""
        self._planned = tuple(names)

    def load(self, task: Task) -> None:
        """Bring the image of *task* into the Docker Engine as `NAME:latest`, and under its push
        references, if it lacks it.

        Raises: SinkError, ScratchError.
        """
        with self._turn:
            if task.name not in self._done:
                self._load(task)
        said = _SAID[self._done[task.name]]
        self._session.events.show(f"{_name(task)}:latest {said}\n".encode())

    def id_of(self, name: str) -> str:
        """The engine's own id of the image of the service *name*, which this run has loaded.

        Raises: SinkError.
        """
        from scratchtasks.sinks import docker

        client = docker.connect(self._session.world.env)
        try:
            return docker.image_id(client, f"{name}:latest")
        finally:
            client.close()

    def _load(self, task: Task) -> None:
        from scratchtasks.sinks import docker

        session = self._session
        client = docker.connect(session.world.env)
        try:
            platform = docker.platform_of(client)
            wanted = {task.name: self._loadable(task, platform)}
            for other in self._ready():
                try:
                    wanted.setdefault(other.name, self._loadable(other, platform))
                except ScratchError:
                    continue  # its own task tells
            try:
                done = docker.load(
                    list(wanted.values()), client, session.world.store, session.world.files
                )
            except SinkError:
                if len(wanted) == 1:
                    raise
                self._planned = ()  # one of them is at fault: from now on each for itself
                done = docker.load(
                    [wanted[task.name]], client, session.world.store, session.world.files
                )
            self._done.update(zip(wanted, done, strict=False))
        finally:
            client.close()

    def _ready(self) -> list[Task]:
        """The planned tasks whose images are built."""
        if os.getpid() != self._pid:
            return []  # doit -P process: every worker would load them
        session = self._session
        tasks = [session.graph.tasks[name] for name in self._planned if name not in self._done]
        return [task for task in tasks if not session.why_unmade(task)]

    def _loadable(self, task: Task, platform: tuple[str, str]) -> "docker.Loadable":
        from scratchtasks.sinks import docker

        _, images = self._session.images_of(task)
        image = docker.for_engine(images, platform, str(task.label))
        return docker.Loadable(image, self._references(_name(task)))

    def _references(self, name: str) -> tuple[str, ...]:
        service = self._session.graph.services[name]
        push = service.push
        tags = [self._session.expand(tag, service) for tag in push.tags] if push else []
        return (f"{name}:latest", *(f"{push.repository}:{tag}" for tag in tags if push))


def _name(task: Task) -> str:
    return task.name.removeprefix("image:")
