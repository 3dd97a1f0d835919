"""Sending images to registries: those of one run together, in one transaction."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ConfigError, ScratchError, SinkError
from scratchtasks.core.span import span
from scratchtasks.core.task import Task

from .output import write_output

if TYPE_CHECKING:
    from scratchtasks.registry.client import Registry
    from scratchtasks.registry.reference import Repository
    from scratchtasks.sinks.registry.plan import PushImage

    from .session import Session


class Pushes:
    """What this run is to push: all of it or nothing, by the first task that comes to push.

    *planned* are the image tasks that go together; *is_dry* only prints the plan; *as_json*
    prints for scripts; *is_quiet* prints nothing.
    """

    def __init__(self, session: "Session") -> None:
        self.is_quiet = False
        self.is_dry = False
        self.as_json = False
        self.planned: tuple[str, ...] = ()
        self._session = session
        self._turn = Lock()
        self._failure: ScratchError | None = None
        self._done: dict[str, str] = {}
        self._news: set[str] = set()
        self._registry: Registry | None = None

    def cancel(self) -> None:
        """Begin nothing more, and end what is under way, unless it is at the tags already."""
        if self._registry is not None:
            self._registry.cancel()

    def wait(self) -> None:
        """Return when no push is under way: at the interpreter's exit, a thread of doit's would
        die between two tags.
        """
        with self._turn:
            pass

    def plan(self, names: Iterable[str]) -> None:
        """Images of *names* (image tasks) are to be pushed by this run, as one transaction."""
        self.planned = tuple(names)
        if self.as_json and not self.planned:  # scripts want to be told, and no task will be run
            self._push([])

    def push(self, task: Task) -> bool:
        """Push the image of *task* and all that are planned with it; whether its own place in
        the registry lacked anything of it, and has it now.

        Raises: SinkError, ScratchError; the same for all tasks of one transaction.
        """
        with self._turn:
            if self._failure is not None:
                raise self._failure
            if task.name in self._done:
                return task.name in self._news
            names = self.planned if task.name in self.planned else (task.name,)
            try:
                self._push([self._session.graph.tasks[name] for name in names])
            except ScratchError as error:
                self._failure = error
                raise
            return task.name in self._news

    def of(self, name: str) -> str:
        """`repository@digest` of the service *name*, which this run has pushed."""
        return self._done[f"image:{name}"]

    def _push(self, tasks: list[Task]) -> None:
        from scratchtasks.registry.client import Registry
        from scratchtasks.registry.reference import parse_repository
        from scratchtasks.registry.uploads import Uploads
        from scratchtasks.sinks.registry.plan import make_plan
        from scratchtasks.sinks.registry.push import push

        session = self._session
        images = [
            self._image(task, session.tags_of(task.name.removeprefix("image:"))) for task in tasks
        ]
        others = self._others(tasks)
        pushed_before = {
            task.name: self._image(task, tags=()) for task in others if not session.why_unmade(task)
        }
        places: dict[Repository, list[PushImage]] = {}
        for image in images:
            places.setdefault(parse_repository(image.repository), []).append(image)
        for task in others:
            self._check_apart(places, task, pushed_before.get(task.name))
        if not self.is_dry:  # a plan starts no containers, and is there before the gate is passed
            self._pass_gates(tasks)
        with Registry(session.world.env, insecure=session.declared.plain_http) as registry:
            self._registry = registry
            with span(session.world.tell, "upload", "ask the registry", images=len(images)):
                siblings = list(pushed_before.values())
                plan = make_plan(images, registry, session.world.store, siblings)
            if self.is_dry:
                said = json.dumps(plan.to_json(), indent=2) if self.as_json else str(plan)
                write_output(f"{said}\n")
                self._done.update((task.name, "") for task in tasks)
                return
            uploads = Uploads(os.path.join(session.world.scratch, "uploads"))
            uploads.forget_old()
            pushed = push(plan, registry, session.world.store, session.world.tell, uploads)
        for task, planned, done in zip(tasks, plan.images, pushed, strict=True):
            self._done[task.name] = str(done)
            if not planned.is_current:
                self._news.add(task.name)
            session.exports.note_references(task, done.references)
        if self.is_quiet:
            return
        if self.as_json:
            write_output(json.dumps([done.to_json() for done in pushed], indent=2) + "\n")
        else:
            write_output("".join(f"{done}\n" for done in pushed))

    def _pass_gates(self, tasks: list[Task]) -> None:
        """Try out the images of *tasks* that are to be (`push.smoke`)."""
        for task in tasks:
            push_to = self._session.graph.services[task.name.removeprefix("image:")].push
            if push_to is not None and push_to.smoke:
                self._session.trials.smoke(task)

    def _others(self, tasks: list[Task]) -> list[Task]:
        """Other images with a place in a registry: it may have blobs of theirs to share."""
        names = {task.name for task in tasks}
        pushed = [f"image:{name}" for name in self._session.names_for("push")]
        return [self._session.graph.tasks[name] for name in pushed if name not in names]

    def _check_apart(
        self,
        places: "Mapping[Repository, Sequence[PushImage]]",
        other: Task,
        built: "PushImage | None",
    ) -> None:
        """Refuse a tag of the images in *places* that is declared for *other* too, which is not
        pushed now; as *built* it may be the very same image.

        Raises: SinkError.
        """
        from scratchtasks.registry.reference import parse_repository
        from scratchtasks.sinks.registry.plan import conflict

        session = self._session
        service = session.graph.services[other.name.removeprefix("image:")]
        assert service.push is not None
        place = parse_repository(service.push.repository)
        for image in places.get(place, ()):
            if built is not None and built.top.digest == image.top.digest:
                continue
            for tag in service.push.tags:
                with suppress(ConfigError):  # its own push tells
                    tag = session.expand(tag, service)
                if tag in image.tags:
                    raise conflict(f"{place}:{tag}", str(other.label), image.label)

    def _image(self, task: Task, tags: Sequence[str]) -> "PushImage":
        from scratchtasks.sinks.registry.plan import PushImage

        session = self._session
        reason = session.why_unmade(task)
        if reason:
            raise SinkError(str(task.label), f"nothing is pushed, for it is not built: {reason}")
        top, images = session.exports.images_of(task)
        name = task.name.removeprefix("image:")
        service = session.graph.services[name]
        if service.push is None:
            raise SinkError(str(task.label), "push.repository is not set")
        return PushImage(
            name=name,
            label=str(task.label),
            top=top,
            manifests=[image.manifest for image in images],
            blobs=[blob for image in images for blob in image.blobs if blob != image.manifest],
            repository=service.push.repository,
            tags=tags,
        )
