"""Bringing images into an engine: those of one run together, in one archive."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING

from scratchtasks.core.errors import ScratchError, SinkError, StoreError
from scratchtasks.core.span import span
from scratchtasks.core.task import Task

from .selection import service_of

if TYPE_CHECKING:
    from scratchtasks.sinks import docker
    from scratchtasks.sinks.engines import Target

    from .session import Session

_BEGINNING = 1.0
"""Seconds: what is imported for a connection, and read for it, takes less."""

_SAID = {"loaded": "loaded", "tagged": "tagged", "present": "is already loaded"}


class Loads:
    """What this run has loaded and has still to load.

    Each load costs the engine a fixed time, so the first task that comes to load takes with it
    all images planned with its own that are built by then.
    """

    def __init__(self, session: "Session") -> None:
        self._session = session
        self._turn = Lock()
        self._planned: list[dict[str, str]] = []
        self._done: dict[str, docker.How] = {}
        self._taken: dict[str, tuple[str, str]] = {}
        self._open = ExitStack()
        self._engine: Target | None = None
        self._silence: SinkError | None = None
        self._beginning: Thread | None = None

    def plan(self, groups: Iterable[Iterable[str]]) -> None:
        """The services of the tasks in *groups*, which build their root file systems, are to be
        loaded by this run; those of a group together."""
        self._planned = [{service_of(name): name for name in group} for group in groups]

    def load(self, task: Task) -> bool:
        """Bring the image of the service that *task* is about into the engine as `NAME:latest`,
        and under its push references; whether the engine lacked it.

        Its root file system has to be built.  Raises: SinkError, ScratchError.
        """
        name = service_of(task.name)
        with self._turn:
            if name not in self._done:
                with self._asking(), span(self._session.world.tell, "load", f"load:{name}") as told:
                    self._load(name)
                    told["how"] = self._done[name]
        said = _SAID[self._done[name]]
        self._session.events.show(f"{name}:latest {said}\n".encode())
        return self._done[name] != "present"

    def has(self, name: str) -> bool:
        """Whether this process has brought the image of the service *name* into the engine."""
        return name in self._done

    def id_of(self, name: str) -> str:
        """The engine's own id of the image of the service *name*, which this run has loaded.

        `NAME:latest` may be somebody else's by now.  Raises: SinkError.
        """
        return self.engine.id_of(self._loadable(name, self.engine.architectures))

    def remove_displaced(self) -> None:
        """Remove images of ours that loads of this run have left without a name and nothing runs,
        as far as the engine lets us: the rest stays for `docker image prune`.
        """
        if self._engine is not None:
            with suppress(SinkError):
                self._engine.remove_displaced()

    @property
    def engine(self) -> "Target":
        """Where images are loaded, connected to once in a run.  Raises: SinkError."""
        if self._engine is None:
            from scratchtasks.sinks.engines import open_engine

            world, name = self._session.world, self._session.declared.engine
            self._engine = self._open.enter_context(open_engine(name, world.env, world.tell))
        return self._engine

    def check_containers(self) -> None:
        """Raises: SinkError where the engine runs no containers; the others are not asked."""
        from scratchtasks.sinks.engines import runs_containers

        if not runs_containers(self._session.declared.engine):
            self.engine.client  # noqa: B018

    def begin(self) -> None:
        """Connect to the engine on a thread of its own, if it is near; errors come with `load`."""
        self._beginning = Thread(target=self._connect, name="engine", daemon=True)
        self._beginning.start()

    def _connect(self) -> None:
        from scratchtasks.sinks.engines import is_near

        with suppress(Exception), self._turn, self._asking():  # `load` tells
            if is_near(self._session.declared.engine, self._session.world.env):
                self.engine.warm_up()

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the engine something inside `with`; one that has let its time run out in this run
        is not waited for again, its failure is raised at once.

        Other failures are quick to meet again, and may be gone by then.
        """
        if self._silence is not None:
            raise self._silence
        try:
            yield
        except SinkError as error:
            from scratchtasks.sinks.docker.faults import has_timed_out

            if has_timed_out(error):
                self._silence = error
            raise

    def close(self) -> None:
        """End the connection; one that is not made yet ends with the process."""
        if self._beginning is not None and not self._session.events.exit_code:
            # It may be reading certificates, which OpenSSL takes away as the process ends.
            self._beginning.join(_BEGINNING)
        if self._turn.acquire(blocking=False):
            self._open.close()
            self._turn.release()

    def _load(self, name: str) -> None:
        store, engine = self._session.world.store, self.engine
        architectures = engine.architectures
        wanted = {name: self._own(name, architectures)}
        for other in self._ready(name):
            try:
                wanted.setdefault(other, self._own(other, architectures))
            except ScratchError:
                continue  # its own task tells
        try:
            done = engine.load(list(wanted.values()), store)
        except (SinkError, StoreError):
            if len(wanted) == 1:
                raise
            self._planned = []  # one of them is at fault: from now on each for itself
            done = engine.load([wanted[name]], store)
        self._done.update(zip(wanted, done, strict=False))

    def _ready(self, name: str) -> list[str]:
        """The services planned together with *name* that are built."""
        session = self._session
        group = next((group for group in self._planned if name in group), {})
        return [
            other
            for other, root in group.items()
            if other not in self._done and not session.why_unmade(session.graph.tasks[root])
        ]

    def _own(self, name: str, architectures: Sequence[str]) -> "docker.Loadable":
        """The image of the service *name*; its references are its own from now on.

        Raises: SinkError when another image of this run has one of them, and as `_loadable`.
        """
        from scratchtasks.sinks.docker.engine import familiar

        loadable = self._loadable(name, architectures)
        label, image = str(self._session.graph.services[name].image_label), loadable.root.config
        for reference in loadable.references:
            other, theirs = self._taken.get(familiar(reference), (label, image.digest))
            if other != label and theirs != image.digest:
                raise SinkError(
                    reference,
                    f"both {other} and {label} are to be loaded as that",
                    "give one of them another push.repository, or other push.tags",
                )
        for reference in loadable.references:
            self._taken[familiar(reference)] = label, image.digest
        return loadable

    def _loadable(self, name: str, architectures: Sequence[str]) -> "docker.Loadable":
        from scratchtasks.sinks import docker

        service = self._session.graph.services[name]
        where = str(service.image_label)
        platform = docker.for_engine(service.image.platforms, architectures, where)
        return docker.Loadable(self._session.root_of(name, platform), self._references(name))

    def _references(self, name: str) -> tuple[str, ...]:
        push = self._session.graph.services[name].push
        tags = self._session.tags_of(name)
        return (f"{name}:latest", *(f"{push.repository}:{tag}" for tag in tags if push))
