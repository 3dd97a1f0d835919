"""A session that is made when something has to be known that an outline does not tell."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from scratchtasks.core.task import Task, name_of_label

from .memory import Memory
from .outline import Outline, ServiceOutline
from .selection import service_of

if TYPE_CHECKING:
    from .session import Session
    from .workspace import Workspace

_FEW = 3

_OF_A_SERVICE = frozenset({"binary", "rootfs", "image"})


class _Graph(NamedTuple):
    tasks: Mapping[str, Task]
    services: Mapping[str, ServiceOutline]


class _Declared(NamedTuple):
    engine: str


class _Pushes(NamedTuple):
    planned: tuple[str, ...] = ()


class LateSession:
    """What showing and naming tasks asks of a Session; nothing can be built with it.

    What is asked about one service alone makes a session of that service, anything else one of
    the whole workspace.
    """

    def __init__(self, workspace: "Workspace", outline: Outline, memory: Memory) -> None:
        self.graph = _Graph(outline.tasks, outline.services)
        self.declared = _Declared(outline.engine)
        self.pushes = _Pushes()
        self.after = workspace.after
        self._workspace = workspace
        self._memory = memory
        self._asked: dict[str, bool] = {}
        self._targets = outline.targets
        self._only = ""
        self._made: Session | None = None

    def is_image(self, task: Task) -> bool:
        """Whether *task* makes an image."""
        return task.name.startswith("image:")

    def targets(self, task: Task) -> list[str]:
        """What doit may look for, relative to the root."""
        return self._targets[task.name]

    def names_for(self, kind: str) -> list[str]:
        """Names of the services that `load`, `smoke` or `push` (*kind*) is for."""
        services = self.graph.services.items()
        return [n for n, each in services if kind == "load" or getattr(each, kind) is not None]

    def task_of_label(self, label: str) -> str:
        """The name of the task with *label*.  Raises: GraphError with the nearest label."""
        return name_of_label(self.graph.tasks, label)

    def task_of_target(self, path: str) -> str | None:
        """The name of the task that makes the file *path* (relative to the root), if any."""
        return next((name for name, paths in self._targets.items() if path in paths), None)

    def why_stale(self, task: Task) -> str:
        """Why *task* has to run, in plain words; "" when it does not.  Raises: ScratchError."""
        return "" if self._is_remembered(task) else self._session(task).why_stale(task)

    def is_recorded(self, task: Task, key: object) -> bool:
        """Whether *key*, which doit has kept of *task*, is that of what it makes; what is
        remembered is forgotten when doit is told to.

        Raises: ScratchError.
        """
        return self._is_remembered(task) or self._session(task).is_recorded(task, key)

    def clean(self, task: Task) -> None:
        """Remove *task*'s stamps and, for an image, its layout.  Raises: ScratchError."""
        self._session(task).clean(task)

    def _is_remembered(self, task: Task) -> bool:
        """Whether *task*'s image is known to be up to date, for the first tasks asked about: it
        costs more than a session to ask for all."""
        name = task.name.removeprefix("image:")
        if name not in self._asked:
            if not self.is_image(task) or len(self._asked) >= _FEW:
                return False
            is_known = self._memory.ask((name,))
            self._asked[name] = is_known and not self._memory.stale((name,))
        return self._asked[name]

    def _session(self, task: Task) -> "Session":
        kind, name = task.name.partition(":")[0], service_of(task.name)
        only = name if kind in _OF_A_SERVICE and self._made is None else ""
        if self._made is None or (self._only and self._only != name):
            if self._made is not None:
                self._made.close()  # what it has cleaned leaves the summary
                self._workspace.restart()
            services = self.graph.services.items()
            others = {n: each.folder for n, each in services if n != only} if only else {}
            self._made, self._only = self._workspace.session(others), only
        return self._made
