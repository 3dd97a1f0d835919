"""The doit loader `scratch`: sees the command and the selection before any task is made.

So it can analyse once for all tasks, find the stale compilations that one compiler call can
make, and take the workspace's lock before anything is decided.
"""

import atexit
import gc
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, TextIO

from doit.cmd_base import DodoTaskLoader
from doit.exceptions import InvalidCommand, InvalidDodoFile, InvalidTask
from doit.loader import generate_tasks
from doit.task import Task

from scratchtasks.core.errors import ScratchError

from .events import Planned
from .memory import Memory
from .selection import are_apart, images_of, make_images, services_of
from .sources import read_anew
from .switches import OPTIONS, take_profile, take_switches
from .workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from .near import Edit
    from .session import Session

_FORGETTING = frozenset({"clean", "forget", "ignore", "reset-dep", "cache"})
"""Commands after which what was up to date may not be so, to doit or in the store."""

_SHOWING = frozenset({"clean", "forget", "help", "ignore", "info", "list", "tabcompletion"})
"""Commands that need names of tasks, and seldom more."""

_READ = frozenset({"cache", "help", "info", "list", "schedule", "tabcompletion", "why"})
"""Commands whose output is all there is to them: nobody misses the rest of it after `| head`.
`pins` is one too once it has asked upstream: a registry that hangs up must not end it."""

_ALONE = frozenset({"--help", "--version", "dumpdb", "help", "schedule", "tabcompletion"})
"""Those of them, as the first word, that do without tasks: no loader is asked."""


class ScratchLoader(DodoTaskLoader):  # type: ignore[misc]
    """doit's own dodo.py loader, plus the tasks of the Workspace that dodo.py makes."""

    cmd_options = (*DodoTaskLoader.cmd_options, *OPTIONS)

    def __init__(self) -> None:
        super().__init__()
        if "" in sys.argv[1:]:  # doit looks at the first letter of each, ahead of any handler
            sys.stderr.write("ERROR: wanted a task, got '': is a variable of a script not set?\n")
            sys.exit(3)
        if None in (sys.stdin, sys.stdout, sys.stderr):
            from .streams import open_closed

            open_closed()
        if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
            # Names and our own text go beyond what a locale may be able to show.
            sys.stdout.reconfigure(errors="backslashreplace")
        if not _ALONE.isdisjoint(sys.argv[1:2]):
            from .streams import end_with_reader

            end_with_reader()
        if sys.argv[1:2] == ["dumpdb"]:
            from .dumped import fault

            if told := fault(sys.argv[2:]):
                sys.stderr.write(f"ERROR: {told}\n")
                sys.exit(3)
        if any(word.startswith("-") for word in sys.argv[1:]):
            from .mistyped import fault_of, is_doit

            if is_doit(sys.argv) and (told := fault_of(sys.argv[1:], self)):
                sys.stderr.write(f"ERROR: {told}\n")
                sys.exit(3)
        self.workspace: Workspace | None = None
        self.session: Session | None = None
        self.dodo = ""
        """The file that doit reads, absolute."""
        self._options: Any = {}
        self._switches: set[str] = set()

    def setup(self, opt_values: Any) -> None:
        """Import dodo.py and take its Workspace out of doit's sight.

        Raises: InvalidDodoFile, for faults in calls of ours too.
        """
        self.dodo = _dodo_path(opt_values)
        read_anew()
        self._options = opt_values
        try:
            with self._faults_told():
                super().setup(opt_values)
        except KeyboardInterrupt:  # whatever dodo.py imports may take a while
            from .signals import interrupted

            raise SystemExit(interrupted()) from None
        outfile = opt_values.get("outfile", "")
        if outfile is None:  # doit's default, of before we could open it
            opt_values["outfile"] = sys.stdout
        elif outfile and isinstance(outfile, str):
            opt_values["outfile"] = _opened(outfile)
        found = {name: each for name, each in self.namespace.items() if isinstance(each, Workspace)}
        if len(set(map(id, found.values()))) > 1:
            names = ", ".join(sorted(found))
            raise InvalidDodoFile(f"dodo.py: wanted one Workspace, got {len(found)}: {names}")
        for name in found:
            self.workspace = self.namespace.pop(name)

    @contextmanager
    def _faults_told(self) -> Iterator[None]:
        """Raises: InvalidDodoFile for what dodo.py raises: doit shows a traceback, most of which
        is its own.  Its own errors, and with --pdb all others, are left to it."""
        try:
            yield
        except ScratchError as error:
            raise InvalidDodoFile(str(error)) from None
        except (InvalidDodoFile, InvalidCommand, InvalidTask):
            raise
        except Exception as error:
            if self._options.get("pdb"):
                raise
            from .dodo_fault import fault_of

            raise InvalidDodoFile(fault_of(error, self.dodo)) from None

    def load_doit_config(self) -> dict[str, Any]:
        """DOIT_CONFIG of dodo.py over our defaults, which give way to the user's own files too.

        doit lets a loader override pyproject.toml; that is why theirs is read here first.
        """
        theirs: dict[str, Any] = super().load_doit_config()
        if self.workspace is None:
            return theirs
        given = {k: v for section in (self.config or {}).values() for k, v in section.items()}
        config = self.workspace.doit_config
        if theirs is config:
            theirs = {}
        ours = {name: value for name, value in config.items() if name not in given}
        chosen = {**config, **given, **theirs}["backend"]
        self._options.update_defaults({"backend": chosen})  # as doit will: an option goes before
        if self._options["backend"] != config["backend"]:
            ours.pop("dep_file", None)  # no other backend makes the folder, or reads our file
        tasks = given.get("default_tasks")
        if tasks is not None:  # doit looks for it in dodo.py only, and would run all there is
            ours["default_tasks"] = tasks.split() if isinstance(tasks, str) else tasks
        return {**ours, **theirs}

    def load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Task]:
        """The user's own tasks and ours.  Raises: InvalidDodoFile for faults in configuration.

        A run that finds nothing to do gets no more of ours than it has selected; one that does,
        the tasks of services that have to be looked at; one of tasks of certain services, theirs.
        Any other command gets all.
        """
        try:
            with _no_collection():
                return self._load_tasks(cmd, pos_args)
        except KeyboardInterrupt:  # before the run has its own handler
            from .signals import interrupted

            raise SystemExit(interrupted()) from None

    def _load_tasks(self, cmd: Any, pos_args: list[str]) -> list[Task]:
        if cmd.name in _READ:
            from .streams import end_with_reader

            end_with_reader()
        elif cmd.name in _FORGETTING:
            from .streams import Unread

            cmd.outstream = Unread(cmd.outstream)
        with self._faults_told():
            tasks: list[Task] = super().load_tasks(cmd, pos_args)
        if self.workspace is None:
            if hasattr(cmd, "choose"):  # else doit would run all tasks
                raise InvalidDodoFile(f"{cmd.name}: wanted a Workspace in dodo.py, got none")
            return tasks
        try:
            behind = pos_args if getattr(cmd, "execute_tasks", False) else []
            self._switches |= take_switches(self._options, behind, os.environ)
            profile = take_profile(self._options, behind)
            if profile is not None:
                self._begin_trace(profile)
            memory = self.workspace.memory
            if cmd.name in _FORGETTING:
                memory.drop()
            if cmd.name in _SHOWING:
                return self._shown(cmd, pos_args, tasks, memory)
            images = self._images_to_check(cmd, tasks)
            if images is not None:
                return self._stale(cmd, pos_args, tasks, images, memory)
            words = self._words(cmd, tasks)
            names = services_of(words)
            if names and self._knows(names, make_images(words), memory):
                return self._prepared(cmd, pos_args, tasks)
            return self._all(cmd, pos_args, tasks)
        except ScratchError as error:
            raise InvalidDodoFile(str(error)) from None

    def _shown(
        self, cmd: Any, pos_args: list[str], tasks: list[Task], memory: Memory
    ) -> list[Task]:
        """Every task, of the workspace as it was analysed last while that is how it is."""
        from .late import LateSession
        from .tasks import task_dicts
        from .words import resolve_words

        assert self.workspace is not None
        outline = memory.outline()
        if outline is None:
            made = self._all(cmd, pos_args, tasks)
            assert self.session is not None
            memory.keep_outline(self.session)
            return made
        session = LateSession(self.workspace, outline, memory)
        resolve_words(cmd, pos_args, session, tasks)
        return [*tasks, *generate_tasks("scratchtasks", task_dicts(session))]

    def _begin_trace(self, path: str) -> None:
        """Listen from now on, and write *path*.  Raises: ConfigError."""
        from .trace import Trace

        assert self.workspace is not None
        trace = Trace(path, self.workspace.events)
        atexit.register(trace.write)  # `up` and `resolve` go on when tasks have ended

    def _ask(self, memory: Memory, images: Sequence[str]) -> bool:
        """What *memory* answers, told as a span if somebody listens.  What it says was edited is
        compiled from then on."""
        assert self.workspace is not None
        tell, begin = self.workspace.events.on_span, self._begins()
        if tell is None:
            return memory.ask(images, begin)
        from scratchtasks.core.span import span

        with span(tell, "scan", "workspace") as told:
            is_known = memory.ask(images, begin)
            told["verdict"] = "known" if is_known else "unknown"
            if is_known:
                told |= {"paths": memory.watched, "stale": len(memory.stale())}
            return is_known

    def _begins(self) -> "Callable[[Edit], None] | None":
        """What begins to compile ahead of the analysis, unless this run is to do it otherwise."""
        assert self.workspace is not None
        is_plain = not self._switches and not self._options.get("num_process")
        return self.workspace.begin_ahead if is_plain else None

    def _all(self, cmd: Any, pos_args: list[str], tasks: list[Task]) -> list[Task]:
        assert self.workspace is not None
        self.session = self.workspace.session()
        return self._prepared(cmd, pos_args, tasks)

    def _stale(
        self,
        cmd: Any,
        pos_args: list[str],
        tasks: list[Task],
        images: Sequence[str],
        memory: Memory,
    ) -> list[Task]:
        """The tasks of what is stale among *images*, () for all, as far as is known."""
        workspace = self.workspace
        assert workspace is not None
        if not self._ask(memory, images):
            memory.forget()
            self.session = workspace.session()
            self.session.at_end = memory.keep
            return self._prepared(cmd, pos_args, tasks)
        stale = memory.stale(images)
        count = len(images) or memory.count
        if stale:
            others = memory.rest(stale)
            self.session = workspace.session(others)
            if self.session.graph.services.keys() != stale:  # one got another name
                workspace.restart()
                memory.forget()
                self.session = workspace.session()
            elif not images:  # else no more was looked at than those
                self.session.exports.sound = others
            self.session.at_end = memory.keep
            made = self._prepared(cmd, pos_args, tasks, set(images) - stale)
            for chore in (self.session.exports.digests, partial(memory.prepare, self.session)):
                self.session.world.processes.meanwhile(chore)
        else:
            memory.freshen()
            # With nothing selected doit does not even open its database.
            cmd.sel_tasks = []
            made = tasks
        workspace.events.emit(Planned(count, count - len(stale)))
        return made

    def _prepared(
        self, cmd: Any, pos_args: list[str], tasks: list[Task], fresh: Collection[str] = ()
    ) -> list[Task]:
        from .prepare import tasks_for

        assert self.workspace is not None
        assert self.session is not None
        self.session.world.files.learn(self.workspace.memory.contents)
        self.session.pinning.restrict(self._switches)
        if getattr(cmd, "execute_tasks", False):
            cmd.reporters["scratch"] = self.workspace.doit_config["reporter"]
            self.workspace.watch_signals()
        return tasks_for(cmd, pos_args, self.session, tasks, self._options, fresh)

    def _images_to_check(self, cmd: Any, users_tasks: Sequence[Task]) -> tuple[str, ...] | None:
        """The services whose images *cmd* is to bring up to date and nothing else, () for all.

        None when it is to do anything else, or to tell of more than is stale.
        """
        options = self._options
        is_run = cmd.name == "run" and getattr(cmd, "execute_tasks", False)
        if not is_run or options.get("always") or options.get("single"):
            return None
        assert self.workspace is not None
        if self.workspace.after:
            return None  # they may write anything
        if "locked" in self._switches:
            return None  # what was built without a pin may be up to date, and is refused
        reporter = options.get("reporter")
        if isinstance(reporter, str) and reporter != "scratch":
            return None
        images = images_of(cmd.sel_tasks or ())
        return images if images is not None and are_apart(users_tasks) else None

    def _words(self, cmd: Any, users_tasks: Sequence[Task]) -> Sequence[str]:
        """The tasks that *cmd* is to run, if that is known and no other of ours is needed."""
        if not getattr(cmd, "execute_tasks", False) or not are_apart(users_tasks):
            return ()
        if hasattr(cmd, "choose"):
            return cmd.words_of_tasks() if hasattr(cmd, "words_of_tasks") else ()
        return cmd.sel_tasks or ()

    def _knows(self, names: Sequence[str], makes_images: bool, memory: Memory) -> bool:
        """Analyse the services *names* alone, if *memory* can tell all others; whether it could.

        A run that makes images adds to what is remembered.
        """
        assert self.workspace is not None
        has_asked = makes_images and self._ask(memory, names)
        others = memory.rest(names) if has_asked else memory.beside(names, self._begins())
        if others is None:
            return False
        self.session = self.workspace.session(others)
        if self.session.graph.services.keys() != set(names):  # one got another name
            self.workspace.restart()
            return False
        if has_asked:
            self.session.at_end = memory.keep
        return True


def _opened(path: str) -> TextIO:
    """The file of --output-file, as doit opens it.  Raises: InvalidDodoFile when it cannot be."""
    try:
        return open(path, "w", encoding="utf-8", buffering=1)
    except OSError as error:
        what = f"{path} cannot be written: {error.strerror}"
        raise InvalidDodoFile(f"--output-file: {what}") from None


def _dodo_path(opt_values: Any) -> str:
    """Where doit will find dodo.py, if it is anywhere; absolute."""
    path: str = os.path.abspath(opt_values["dodoFile"])
    folder, name = os.path.split(path)
    while opt_values["seek_file"] and not os.path.exists(os.path.join(folder, name)):
        folder, last = os.path.dirname(folder), folder
        if folder == last:
            break
    return os.path.join(folder, name)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Make thousands of tasks, all of which stay, without looking for garbage among them.

    That took a third of the time (measured with 6,000).
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
