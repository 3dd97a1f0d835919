"""Tasks for doit: one for each task of the graph, fresh or stale by one key."""

import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

from doit.action import BaseAction
from doit.exceptions import TaskFailed

from scratchtasks.core.errors import ScratchError
from scratchtasks.core.platform import host_platform, parse_platform
from scratchtasks.core.task import Task
from scratchtasks.execute.process import Cancelled

from .backend import OUR_VALUE
from .reporter import META, UNTOLD
from .selection import service_of

if TYPE_CHECKING:
    from scratchtasks.execute.plan import Batch, Plan

    from .late import LateSession
    from .session import Session

TaskDict = dict[str, Any]
GROUPS = {
    "image": "build all images",
    "binary": "compile all static binaries",
    "rootfs": "stage and check all root file systems",
    "layer": "stage all essentials",
    "rule": "run all genrules",
    "fetch": "fetch what other images and Debian have for ours",
    "load": "load all images into the engine",
    "smoke": "try out all images that say how",
    "push": "push all images that say where, all or none",
}
AFTER = {"load": "rootfs", "smoke": "image", "push": "image"}
"""Groups of what can be done with what was built, and the tasks that each needs: an engine takes
layers as they are, so that nothing is compressed for it."""

NOTES = {
    "load": "asks the engine each time what it lacks",
    "smoke": "tries the image out unless these bytes have passed before",
    "push": "asks the registry each time what it lacks",
}
"""Why each of those is never up to date by itself."""


def need_of(kind: str, name: str, tasks: Mapping[str, Task]) -> str:
    """The one of *tasks* that `load`, `smoke` or `push` (*kind*) of the service *name* needs.

    Of several platforms an engine gets one, most often that of this machine, so that no other is
    built for it, or else the one that suits this machine best; if it wants another, that is built
    when it says so.
    """
    need = f"{AFTER[kind]}:{name}"
    if kind != "load":
        return need
    host = host_platform()
    if f"{need}@{host}" in tasks:
        return f"{need}@{host}"
    parts = [dep for dep in tasks[need].deps if dep.startswith(f"{need}@")]
    if not parts:
        return need
    from scratchtasks.sinks.kernel import in_turn

    order = in_turn(host.architecture)
    found = [parse_platform(part.rpartition("@")[2]).architecture for part in parts]
    return parts[min(range(len(parts)), key=lambda number: order.index(found[number]))]


_ENGINES = {"docker": "Docker", "podman": "podman"}
_HIDDEN = "_scratchtasks_"
"""How names of tasks begin that doit does not show; users have such tasks too."""

_TOGETHER = f"{_HIDDEN}images_to_push"


class UpToDate:
    """doit's question whether a task may be skipped; its text says why not."""

    # doit looks at the signature of every such object of every run; given here, that costs
    # 2 µs and not 20 (measured with 7,000 tasks).
    __signature__ = inspect.Signature(
        [
            inspect.Parameter("task", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            inspect.Parameter("values", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ]
    )

    def __init__(self, session: "Session | LateSession", task: Task) -> None:
        self._session = session
        self._task = task
        self._reason = ""

    def __call__(self, task: object, values: dict[str, Any]) -> bool:
        try:
            self._reason = self._session.why_stale(self._task)
        except ScratchError as error:  # its action meets it again, and fails as its own
            self._reason = str(error)
        if not self._reason and not self._session.is_recorded(self._task, values.get(OUR_VALUE)):
            # The result stands, but doit was told to forget it (or lost its database).
            self._reason = "doit has no record of it"
        return not self._reason

    def __str__(self) -> str:
        return self._reason

    __repr__ = __str__


class Asked:
    """doit's question whether something of *kind* may be skipped: it may not; its text says why."""

    __signature__ = UpToDate.__signature__

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def __call__(self, task: object, values: dict[str, Any]) -> bool:
        return False

    def __str__(self) -> str:
        return NOTES[self._kind]

    __repr__ = __str__


class _OurAction(BaseAction):  # type: ignore[misc]
    """An action that touches no global stream and shows a user's mistake as one message."""

    def __init__(self, session: "Session") -> None:
        self.session = session
        self.task: Any = None
        self.out = self.err = None
        self.result: object = None
        self.values: dict[str, Any] = {}

    def execute(self, out: object = None, err: object = None) -> TaskFailed | None:
        """Do it; a TaskFailed holds the message for the user."""
        try:
            self.session.heed_users_tasks()
            self.do()
        except ScratchError as error:
            return TaskFailed(self.session.events.with_foreseen(str(error)))
        except Cancelled:
            return TaskFailed("interrupted")
        finally:
            if untold := self.session.events.untold():
                self.task.meta[UNTOLD] = untold
        return None

    def do(self) -> None:
        """The work.  Raises: ScratchError, Cancelled."""
        raise AssertionError(f"{type(self).__name__} does nothing")


class BuildAction(_OurAction):
    """Build one task of the graph and, for an image, put it into `dist/`."""

    def __init__(self, session: "Session", task: Task) -> None:
        super().__init__(session)
        self._task = task

    def do(self) -> None:
        self.session.build(self._task)
        self.result = key = self.session.key(self._task)  # what doit's result_dep compares
        self.values = {OUR_VALUE: key}

    def __str__(self) -> str:
        return f"build {self._task.label}"


class TogetherAction(_OurAction):
    """Make the actions *names* by *make*, several at once; each failure is its own task's."""

    def __init__(
        self, session: "Session", names: Iterable[str], make: Callable[[], object]
    ) -> None:
        super().__init__(session)
        self._names = tuple(names)
        self._make = make

    def do(self) -> None:
        self._make()

    def __str__(self) -> str:
        return "build " + ", ".join(self._names)


class AfterAction(_OurAction):
    """Load, try out or push what was built."""

    def __init__(self, session: "Session", task: Task, kind: str) -> None:
        super().__init__(session)
        self._task = task
        self._kind = kind

    def do(self) -> None:
        match self._kind:
            case "load":
                is_news = self.session.loads.load(self._task)
            case "smoke":
                is_news = self.session.trials.smoke(self._task)
            case _:
                is_news = self.session.pushes.push(self._task)
        self.result = "done" if is_news else None  # doit carries it over from other processes

    def __str__(self) -> str:
        return f"{self._kind} {self._task.label}"


class CleanAction(BaseAction):  # type: ignore[misc]
    """Remove what a task left outside the store: its stamps and its folder in `dist/`."""

    def __init__(self, session: "Session | LateSession", task: Task) -> None:
        self._session = session
        self._task = task

    def execute(self, out: object = None, err: object = None) -> None:
        """Do it, or say why not, as doit has no line for that: only a traceback."""
        try:
            self._session.clean(self._task)
        except ScratchError as error:
            sys.stderr.write(f"error: {error}\n")

    def __str__(self) -> str:
        return f"remove what {self._task.name} left outside the store"


def task_dicts(
    session: "Session | LateSession",
    plan: "Plan | None" = None,
    *,
    workers: int = 0,
    with_labels: bool = False,
) -> Iterator[TaskDict]:
    """Every task of *session*, groups first; *plan* says which actions are made together, on
    *workers* threads (0: as many as there are cores).

    With a LateSession they can be shown and cleaned up after, and not be run.

    *with_labels* adds a task for each label, for when nobody translates the command line.
    """
    before = _hidden_tasks(plan, workers) if plan else {}
    used = {name.partition(":")[0] for name in session.graph.tasks}
    used |= {"image", "binary", "rootfs", "load", "smoke", "push", "fetch"}
    for basename, doc in GROUPS.items():
        if basename in used:
            yield {"basename": basename, "name": None, "doc": doc, "meta": {META: {}}}
    if plan:
        yield from _hidden_dicts(cast("Session", session), plan, before, workers)
    if session.pushes.planned:  # one transaction: none is pushed before all are built
        yield {
            "basename": _TOGETHER,
            "actions": None,
            "task_dep": list(session.pushes.planned),
            "meta": {META: {}},
        }
    for task in session.graph.tasks.values():
        hidden = dict.fromkeys(before[name] for name in task.actions if name in before)
        yield _task_dict(session, task, list(hidden))
        if session.is_image(task):
            yield from _after_dicts(session, task)
        if with_labels:
            yield _label_dict(task)


def _calls(plan: "Plan", workers: int) -> "list[tuple[Batch, ...]]":
    """The batches of *plan* by the task that runs them: with one worker, doit has several."""
    if workers == 1:
        return [(batch,) for batch in plan.batches]
    return [plan.batches] if plan.batches else []


def _hidden_tasks(plan: "Plan", workers: int) -> dict[str, str]:
    """The hidden task that makes an action, for all that *plan* has."""
    found = dict.fromkeys(plan.later, f"{_HIDDEN}build")
    for number, batches in enumerate(_calls(plan, workers)):
        found |= {name: f"{_HIDDEN}compile_{number}" for batch in batches for name in batch}
    for number, chains in enumerate(plan.groups):
        found |= {name: f"{_HIDDEN}assemble_{number}" for chain in chains for name in chain}
    return found


def _hidden_dicts(
    session: "Session", plan: "Plan", before: Mapping[str, str], workers: int
) -> Iterator[TaskDict]:
    def together(names: Iterable[str], make: Callable[..., object], what: object) -> TogetherAction:
        return TogetherAction(session, names, partial(make, what, workers))

    if plan.later:
        action = together(plan.later, session.together.build_planned, plan.later)
        yield _hidden_dict(f"{_HIDDEN}build", action, session.after)
    for number, batches in enumerate(_calls(plan, workers)):
        action = together(chain.from_iterable(batches), session.together.build_batches, batches)
        yield _hidden_dict(f"{_HIDDEN}compile_{number}", action, ())
    for number, chains in enumerate(plan.groups):
        made = dict.fromkeys(chain.from_iterable(chains))
        deps = (dep for name in made for dep in session.graph.actions[name].deps.values())
        needed = sorted({before[dep] for dep in deps if dep in before and dep not in made})
        action = together(made, session.together.build_chains, chains)
        yield _hidden_dict(f"{_HIDDEN}assemble_{number}", action, needed)


def _hidden_dict(name: str, action: _OurAction, needed: Iterable[str]) -> TaskDict:
    return {
        "basename": name,
        "actions": [action],
        "uptodate": [False],
        "task_dep": list(needed),
        "meta": {META: {}},
    }


def _task_dict(session: "Session | LateSession", task: Task, hidden: Sequence[str]) -> TaskDict:
    basename, _, name = task.name.partition(":")
    about = {
        "actions": task.actions,
        "label": str(task.label),
        "image": session.is_image(task),
    }
    return {
        "basename": basename,
        "name": name,
        "doc": f"{task.label}: {task.doc}",
        "actions": [BuildAction(cast("Session", session), task)],
        "uptodate": [UpToDate(session, task)],
        "task_dep": [*session.after, *task.deps, *hidden],
        "targets": session.targets(task),
        "clean": [CleanAction(session, task)],
        "meta": {META: {} if task.parts else about},  # its parts are what is counted
    }


def _after_dicts(session: "Session | LateSession", task: Task) -> Iterator[TaskDict]:
    """What can be done with a finished image.  The other side is asked each time what it has."""
    name = service_of(task.name)
    service = session.graph.services[name]
    engine = session.declared.engine
    docs = {"load": f"{name}:latest in {_ENGINES.get(engine, engine)}"}
    if service.smoke is not None:
        docs["smoke"] = f"{name} does what [smoke] wants of it"
    if service.push is not None:
        docs["push"] = f"{name} in {service.push.repository}"
    for kind, doc in docs.items():
        need = need_of(kind, name, session.graph.tasks)
        is_together = kind == "push" and session.pushes.planned
        yield {
            "basename": kind,
            "name": name,
            "doc": doc,
            "actions": [AfterAction(cast("Session", session), task, kind)],
            "uptodate": [Asked(kind)],
            "task_dep": [need, *([_TOGETHER] if is_together else [])],
            "meta": {META: {"after": kind, "of": need}},
        }


def _label_dict(task: Task) -> TaskDict:
    return {
        "basename": str(task.label),
        "doc": f"the same as {task.name}",
        "actions": None,
        "task_dep": [task.name],
        "meta": {META: {}},
    }
