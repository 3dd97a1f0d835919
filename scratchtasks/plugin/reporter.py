"""What a run prints: a live display on a terminal, plain lines in CI, one summary at the end.

Our tasks tell their outcome by events; users' own tasks look as they always do in doit.
"""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, TextIO

from doit.exceptions import BaseFail, InvalidTask, UnmetDependency
from doit.reporter import ConsoleReporter

from scratchtasks.core.errors import ScratchError, count_of, printable

from .display import Display, duration
from .events import (
    MANY,
    Event,
    Events,
    Finished,
    Foreseen,
    ImageMade,
    Message,
    Outcome,
    Planned,
    Started,
    Work,
)
from .summary import summary

META = "scratchtasks"
"""The key in a doit task's `meta` that makes it one of ours.  Its value is a dict of
`label`, `actions` (their names, as in events) and `image` (whether it makes an image); of
`after` (what it does with an image) and `of` (the task that makes it); that of groups and batches
is empty: they are not counted."""

UNTOLD = "scratchtasks_untold"
"""The key in `meta` of a task that ran in a process of its own: the events of it, which doit
carries over with the task."""

_KEPT = "\n\t"

_WORST_FIRST = ("failed", "", "ran", "hit", "current")
"""Ends of parts of a task: the first that one of them has is that of all together."""


class ScratchReporter(ConsoleReporter):  # type: ignore[misc]
    """doit's reporter for workspaces: what ran, what failed, once each, and a summary.

    `bound_to` ties it to the events of a run; without them it counts what doit tells it.
    """

    desc = "live progress on a terminal, plain lines elsewhere, one summary"

    events: ClassVar[Events | None] = None
    env: ClassVar[Mapping[str, str]] = os.environ
    finish: ClassVar[Callable[[], None]] = staticmethod(lambda: None)

    @classmethod
    def bound_to(
        cls, events: Events, env: Mapping[str, str], finish: Callable[[], None] = lambda: None
    ) -> type[Self]:
        """This reporter for the run that *events* tells of; doit makes the instance.

        *env* is asked for NO_COLOR, TERM and CI.  *finish* is called last in a run; the
        ScratchError that it raises fails the run.
        """
        return type(
            cls.__name__, (cls,), {"events": events, "env": env, "finish": staticmethod(finish)}
        )

    def __init__(self, outstream: TextIO, options: Mapping[str, Any]) -> None:
        super().__init__(outstream, options)
        self._display = _display(self.env)
        self._lock = threading.Lock()
        self._batches: dict[str, set[str]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._failures: dict[str, str] = {}
        self._foreseen: tuple[str, ...] = ()
        self._hits = 0
        self._done = 0
        self._total = 0
        self._counted: list[str] = []
        self._plan: Planned | None = None
        self._tasks: dict[str, Any] = {}
        self._told: dict[str, str] = {}
        self._made: dict[str, str] = {}
        self._after: Counter[tuple[str, str]] = Counter()
        self._shown_errors: set[str] = set()
        self._events = self.events or Events()
        self._unsubscribe = self._events.subscribe(self._on_event, shows_messages=True)

    # What doit calls.  execute_task comes from worker threads, the others from the main thread.

    def write(self, text: str) -> None:
        """Print *text* on doit's output stream, clear of the status lines."""
        try:
            self._display.print(text, self._write)
        except OSError as error:  # no reader (`| head`), a full disk: the build goes on without it
            from .streams import discard

            discard(self.outstream)
            if not isinstance(error, BrokenPipeError):
                from scratchtasks.store.atomic import storage_error

                where = getattr(self.outstream, "name", "output")
                self._show(f"scratchtasks: {storage_error(where, error)}\n")

    def initialize(self, tasks: Mapping[str, Any], selected_tasks: list[str]) -> None:
        """The run begins with *selected_tasks* and what they depend on."""
        self._tasks = {task.name: task for task in _reachable(tasks, selected_tasks)}
        images = _makers(self._tasks.values())
        infos = {name: info for name, task in self._tasks.items() if (info := _info(task))}
        self._total = len(infos)
        self._counted = images or [name for name, info in infos.items() if "label" in info]
        if self._plan is None:
            self._plan = Planned(len(self._counted), noun="image" if images else "task")

    def execute_task(self, task: Any) -> None:
        """A task of the user's may write to the terminal itself: leave it alone meanwhile."""
        if threading.current_thread() is threading.main_thread():
            self._leave()
        if _info(task) is None:
            if task.actions:
                self._display.pause(task.name)
            super().execute_task(task)

    def add_success(self, task: Any) -> None:
        """*task* was executed."""
        self._leave()
        info = self._ended(task) or {}
        if "label" in info:
            outcomes = {self._outcomes.get(name) for name in info["actions"]}
            self._told[task.name] = "hit" if outcomes == {"hit"} else "ran"
        elif "after" in info and task.result:
            self._after[info["after"], task.result] += 1

    def add_failure(self, task: Any, fail: BaseFail) -> None:
        """*task* failed, or was not begun because of another's failure."""
        self._leave()
        info = self._ended(task)
        has_begun = not isinstance(fail, UnmetDependency)
        if has_begun:
            self._told[task.name] = "failed"
        if info is None:
            super().add_failure(task, fail)
            return
        if not has_begun:
            return  # what it waited for has said why
        if fail.report:
            # An exception that is no ScratchError is a bug: then the traceback is the message.
            self._error(fail.get_msg() if fail.traceback else fail.message)

    def skip_uptodate(self, task: Any) -> None:
        """*task* has nothing to do: said only with `-v 2`."""
        self._leave()
        info = self._ended(task)
        if info is None:
            super().skip_uptodate(task)
            return
        self._told[task.name] = "current"
        if "label" in info and (task.verbosity or 0) >= 2:
            self.write(f"{printable(info['label'])}  up to date\n")

    def cleanup_error(self, exception: BaseFail) -> None:
        """A teardown failed."""
        self._show(exception.get_msg())

    def runtime_error(self, msg: str) -> None:
        """doit gave up."""
        self._error(msg)

    def complete_run(self) -> None:
        """The run is over, also when it was interrupted or crashed."""
        self._display.close()
        super().complete_run()
        self._unsubscribe()
        self._leave()
        rest = self._foreseen[MANY:]
        for failure in filter(None, self._failures.values()):
            if failure not in rest:
                self._error(failure)  # that of a task to which doit has not come any more
        if untold := len({*rest} - self._shown_errors):
            self._show(f"and {count_of(untold, 'more error')}: --continue tells them all\n")
        plan = self._plan
        if plan is not None and plan.count:
            seconds = time.monotonic() - self._events.began
            counts, after = self._tally()
            counts["current"] += plan.current
            self.write(summary(plan.count, plan.noun, counts, seconds, after) + "\n")
        try:
            type(self).finish()
        except ScratchError as error:
            raise InvalidTask(str(error)) from None

    def _leave(self) -> None:
        """Raises: SystemExit if a signal has asked for it.

        The signal's handler has raised it before, and Python loses what is raised in a weak
        reference's callback, and wraps what is raised while a class is made.
        """
        if self._events.exit_code:
            raise SystemExit(self._events.exit_code)

    def _on_event(self, event: Event) -> None:
        match event:
            case Message(data):
                self._display.show(data)
            case Planned():
                self._plan = event
            case Foreseen(failures):
                self._foresee(failures)
            case Started(works):
                self._begin(works)
            case Finished():
                self._finish(event)
            case ImageMade(label=label, outcome=outcome):
                with self._lock:
                    self._made.setdefault(label, outcome)

    def _foresee(self, failures: tuple[tuple[Work, str], ...]) -> None:
        with self._lock:
            for work, error in failures:
                self._outcomes[work.name] = "failed"
                self._failures[work.name] = error
            self._foreseen = tuple(dict.fromkeys(error for _, error in failures))

    def _begin(self, works: tuple[Work, ...]) -> None:
        first = works[0]
        more = f" and {len(works) - 1} more" if len(works) > 1 else ""
        with self._lock:
            self._batches[first.name] = {work.name for work in works}
        self._display.begin(first.name, f"{first.label}{more}  {_what(first)}")
        self._progress()

    def _finish(self, event: Finished) -> None:
        work = event.work
        with self._lock:
            # What another process has made is at hand in this one.
            if event.outcome != "hit" or work.name not in self._outcomes:
                self._outcomes[work.name] = event.outcome
                self._failures[work.name] = event.reason if event.outcome == "failed" else ""
            self._hits += event.outcome == "hit"
        self._retire(work.name)
        if event.outcome == "ran" and not work.is_probe:
            line = f"{work.label}  {_what(work)}  {duration(event.seconds)}"
            self.write(printable(line) + "\n")

    def _retire(self, name: str) -> None:
        """Take *name* off the display, a batch with its last member."""
        with self._lock:
            ended = []
            for key, rest in self._batches.items():
                rest.discard(name)
                if not rest:
                    ended.append(key)
            for key in ended:
                del self._batches[key]
        for key in ended:
            self._display.end(key)

    def _ended(self, task: Any) -> Any:
        """The `meta` of *task* if it is one of ours, after noting that it is over."""
        info = _info(task)
        for event in task.meta.pop(UNTOLD, ()) if task.meta else ():
            self._on_event(event)
        if info is None:
            self._display.resume(task.name)
        elif info:
            self._done += 1
            for name in info.get("actions", ()) if self._batches else ():
                self._retire(name)  # nobody tells of an action that failed
            self._progress()
        return info

    def _tally(self) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        """How many of what is counted came to which end, and what else was done, or failed."""
        counted = [name for name in self._counted if name in self._tasks]
        ends = {name: self._end_of(name) for name in counted}
        after = self._after.copy()
        failed = {name for name in (*self._tasks, *self._told) if self._end_of(name) == "failed"}
        if failed:
            for name in (name for name, end in ends.items() if not end):
                needed = _reachable(self._tasks, [name])
                if not failed.isdisjoint(task.name for task in needed):
                    ends[name] = "failed"
            told = {task.name for task in _reachable(self._tasks, counted)}
            kinds = {name: self._kind_of(name) for name in failed - told}
            after.update((kind, "failed") for kind in kinds.values())
        return Counter(end or "left" for end in ends.values()), after

    def _end_of(self, name: str) -> str:
        """How the task *name* ended, "" for not at all; a hidden one may have done its work."""
        task = self._tasks.get(name)
        info = (_info(task) if task else None) or {}
        end = self._told.get(name, "")
        if task is not None and not info and not end:  # one with parts is what they are
            parts = {self._end_of(dep) for dep in task.task_dep if dep.startswith(f"{name}@")}
            return next((each for each in _WORST_FIRST if each in parts), "")
        if "label" not in info or end == "failed":
            return end
        if info["image"]:
            return self._made.get(info["label"], end)
        actions = [self._outcomes.get(action, "") for action in info["actions"]]
        if "failed" in actions:
            return "failed"
        return end if end in ("ran", "hit") else actions[-1] or end

    def _kind_of(self, name: str) -> str:
        """What the task *name* does with an image, `other` for all other tasks."""
        task = self._tasks.get(name)
        info = (_info(task) if task else None) or {}
        return str(info.get("after", "other"))

    def _progress(self) -> None:
        if not self._display.is_live:
            return
        hits = f", {self._hits} from cache" if self._hits else ""
        self._display.footer(f"{self._done}/{self._total} done{hits}")

    def _error(self, text: str) -> None:
        """Print `error: text`, unless it was printed before: many tasks fail for one reason.

        With one that was foreseen the others are, in their order: any task may be first to fail.
        """
        for each in (*(self._foreseen[:MANY] if text in self._foreseen else ()), text):
            if each not in self._shown_errors:
                self._shown_errors.add(each)
                each = printable(each, keep=_KEPT)
                self._show(f"{self._display.paint('error:', '1;31')} {each}\n")

    def _show(self, text: str) -> None:
        self._display.show(text.encode("utf-8", "backslashreplace"))

    def _write(self, text: str) -> None:
        try:
            self.outstream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self.outstream, "encoding", None) or "ascii"
            self.outstream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        self.outstream.flush()  # so that it stands in order with what goes to stderr


def _info(task: Any) -> Any:
    """What `meta` says about *task*; None for users' own tasks."""
    return task.meta.get(META) if task.meta else None


def _what(work: Work) -> str:
    return f"{work.mnemonic} ({work.platform})" if work.platform else work.mnemonic


def _reachable(tasks: Mapping[str, Any], selected: list[str]) -> list[Any]:
    """The *selected* tasks and all that they depend on."""
    found = dict.fromkeys(selected)
    queue = list(found)
    while queue:
        task = tasks[queue.pop()]
        deps = (*task.task_dep, *task.setup_tasks)
        new = [name for name in deps if name in tasks and name not in found]
        found.update(dict.fromkeys(new))
        queue += new
    return [tasks[name] for name in found]


def _makers(tasks: Iterable[Any]) -> list[str]:
    """The tasks of *tasks* that make an image, and what makes those that are only loaded."""
    found: dict[str, str] = {}
    for task in tasks:
        info, service = _info(task) or {}, task.name.partition(":")[2]
        if info.get("image"):
            found[service] = task.name
        elif "of" in info:
            found.setdefault(service, info["of"])
    return list(found.values())


def _display(env: Mapping[str, str]) -> Display:
    """The display for stderr: live on a terminal that can move its cursor, and not in CI."""
    stream = sys.__stderr__
    is_terminal = stream is not None and not stream.closed and os.isatty(stream.fileno())
    is_smart = is_terminal and env.get("TERM", "dumb") not in ("", "dumb")
    return Display(
        2,
        is_live=is_smart and not env.get("CI"),
        is_colored=is_smart and not env.get("NO_COLOR"),
    )
