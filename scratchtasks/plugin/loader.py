"""The doit loader `scratch`: sees the command and the selection before any task is made.

So it can analyse once for all tasks, find the stale compilations that one compiler call can
make, and take the workspace's lock before anything is decided.
"""

import fnmatch
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from doit.cmd_base import DodoTaskLoader
from doit.exceptions import InvalidDodoFile
from doit.loader import generate_tasks
from doit.task import Task

from scratchtasks.core.errors import ScratchError
from scratchtasks.execute.plan import compile_batches, run_probes

from .session import Session
from .tasks import AFTER, GROUPS, task_dicts
from .words import check_words, empty_groups, takes_tasks
from .workspace import Workspace

_OPTIONS = (
    {
        "section": "scratchtasks",
        "name": "locked",
        "long": "locked",
        "type": bool,
        "default": False,
        "help": "refuse to run with an input that scratch.lock does not pin (SCRATCH_LOCKED=1)",
    },
    {
        "section": "scratchtasks",
        "name": "offline",
        "long": "offline",
        "type": bool,
        "default": False,
        "help": "fetch nothing: what is in the store has to do (SCRATCH_OFFLINE=1)",
    },
)


class ScratchLoader(DodoTaskLoader):  # type: ignore[misc]
    """doit's own dodo.py loader, plus the tasks of the Workspace that dodo.py makes."""

    cmd_options = (*DodoTaskLoader.cmd_options, *_OPTIONS)

    def __init__(self) -> None:
        super().__init__()
        self.workspace: Workspace | None = None
        self.session: Session | None = None
        self._options: Any = {}

    def setup(self, opt_values: Any) -> None:
        """Import dodo.py and take its Workspace out of doit's sight."""
        super().setup(opt_values)
        self._options = opt_values
        found = {name: each for name, each in self.namespace.items() if isinstance(each, Workspace)}
        if len(set(map(id, found.values()))) > 1:
            names = ", ".join(sorted(found))
            raise InvalidDodoFile(f"dodo.py: wanted one Workspace, got {len(found)}: {names}")
        for name in found:
            self.workspace = self.namespace.pop(name)

    def load_doit_config(self) -> dict[str, Any]:
        """DOIT_CONFIG of dodo.py over our defaults, which give way to the user's own files too.

        doit lets a loader override pyproject.toml; that is why theirs is read here first.
        """
        theirs: dict[str, Any] = super().load_doit_config()
        if self.workspace is None:
            return theirs
        given: dict[str, Any] = {}
        for section in (self.config or {}).values():
            given |= section
        config = self.workspace.doit_config
        ours = {name: value for name, value in config.items() if name not in given}
        tasks = given.get("default_tasks")
        if tasks is not None:  # doit looks for it in dodo.py only, and would run all there is
            ours["default_tasks"] = tasks.split() if isinstance(tasks, str) else tasks
        return ours if theirs is config else {**ours, **theirs}

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Task]:
        """The user's own tasks and ours.  Raises: InvalidDodoFile for faults in configuration."""
        tasks: list[Task] = super().load_tasks(cmd, pos_args)
        choose = getattr(cmd, "choose", None)
        if self.workspace is None:
            if choose is not None:  # else doit would run all tasks
                raise InvalidDodoFile(f"{cmd.name}: wanted a Workspace in dodo.py, got none")
            return tasks
        try:
            self.session = session = self.workspace.session()
            self._restrict(session, cmd, pos_args)
            _replace_labels(pos_args, session)
            if takes_tasks(cmd):
                check_words(pos_args, session, tasks)
            batches: Sequence[Sequence[str]] = ()
            if getattr(cmd, "execute_tasks", False):
                cmd.reporters["scratch"] = self.workspace.doit_config["reporter"]
                self.workspace.watch_signals()
                session.lock()
                _take_options(session, pos_args)
                for note in empty_groups(pos_args, session):
                    sys.stderr.write(f"scratchtasks: {note}\n")
                if choose is not None:
                    cmd.sel_tasks = choose(session)
                reached = _reached(session, cmd.sel_tasks or (), tasks)
                session.pushes.plan(
                    f"image:{word.removeprefix('push:')}"
                    for word in reached
                    if word.startswith("push:")
                )
                if not self._options.get("single"):
                    _load_together(session, cmd)
                if session.pushes.planned:
                    # Processes would not know of each other's part of the transaction.
                    self._options["par_type"] = "thread"
                    if self._options["outfile"] is sys.stdout:
                        self._options["outfile"] = sys.stderr  # stdout is for what was pushed
                actions = _actions_of(session, reached)
                session.pinning.settle(actions)
                run_probes(session.engine, actions)
                batches = compile_batches(session.engine, actions)
        except ScratchError as error:
            raise InvalidDodoFile(str(error)) from None
        _check_names(tasks, session)
        return [*tasks, *generate_tasks("scratchtasks", task_dicts(session, batches))]

    def _restrict(self, session: Session, cmd: Any, pos_args: list[str]) -> None:
        """Take --locked and --offline to heart, where doit read them and behind task names."""
        chosen = {name for name in ("locked", "offline") if self._options.get(name)}
        for name in ("locked", "offline"):
            if takes_tasks(cmd) and f"--{name}" in pos_args:
                pos_args.remove(f"--{name}")
                chosen.add(name)
        session.pinning.is_locked |= "locked" in chosen
        if "offline" in chosen:
            session.pinning.go_offline()


def _replace_labels(pos_args: list[str], session: Session) -> None:
    """Turn labels on the command line into task names, in place: doit keeps the same list."""
    for number, word in enumerate(pos_args):
        if word.startswith("//"):
            pos_args[number] = session.task_of_label(word)


def _take_options(session: Session, pos_args: list[str]) -> None:
    """Take the options of `push` off the command line, where doit would look for tasks."""
    for word, option in (("--dry-run", "is_dry"), ("--json", "as_json")):
        if word in pos_args and any(each.partition(":")[0] == "push" for each in pos_args):
            pos_args.remove(word)
            setattr(session.pushes, option, True)


def _load_together(session: Session, cmd: Any) -> None:
    """Have all images that are to be loaded built before the first is: they go in one archive."""
    selected = list(cmd.sel_tasks or ())
    loaded = {
        f"image:{name}": None
        for word in selected
        for name in session.names_for("load")
        if fnmatch.fnmatchcase(f"load:{name}", word) or word == "load"
    }
    session.loads.plan(loaded)
    cmd.sel_tasks = [*loaded, *selected]


def _actions_of(session: Session, reached: Iterable[str]) -> list[str]:
    """Names of the actions of all tasks that *reached* has, in that order."""
    ours = session.graph.tasks
    return [action for name in reached if name in ours for action in ours[name].actions]


def _reached(
    session: Session, selected: Iterable[str], users_tasks: Sequence[Task]
) -> dict[str, None]:
    """Names of *selected* tasks and of all behind them, dependencies first, without groups.

    Words that are not ours (a user's own tasks) lead to ours through their task_dep.
    """
    theirs = {task.name: task for task in users_tasks}
    ours = session.graph.tasks
    targets = {target: task.name for task in users_tasks for target in task.targets}
    # What is done to an image needs that image, and is no task of the graph.
    images = {
        f"{kind}:{name}": f"image:{name}" for kind in AFTER for name in session.names_for(kind)
    }
    seen: dict[str, None] = {}

    def visit(word: str) -> None:
        if word in seen:
            return
        if word in images:
            visit(images[word])
            seen[word] = None
        elif word in ours:
            for dep in ours[word].deps:
                visit(dep)
            seen[word] = None
        elif word in GROUPS:
            for name in (*ours, *images):
                if name.startswith(f"{word}:"):
                    visit(name)
        elif word in theirs or word in targets:
            seen[word] = None
            task = theirs[targets.get(word, word)]
            for dep in (*task.task_dep, *task.setup_tasks, *task.wild_dep, *task.file_dep):
                visit(dep)
        elif "*" in word:
            for name in fnmatch.filter([*ours, *images, *theirs], word):
                visit(name)
        else:
            maker = session.task_of_target(word)
            if maker:
                visit(maker)

    for word in selected:
        visit(word)
    return seen


def _check_names(tasks: Sequence[Task], session: Session) -> None:
    for task in tasks:
        if task.name in session.graph.tasks or task.name in GROUPS:
            raise InvalidDodoFile(
                f"dodo.py: task {task.name!r} has the name of a task of scratchtasks"
            )
