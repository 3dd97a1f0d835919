"""The Workspace that dodo.py makes: where services are found, and doit's way to their tasks."""

import atexit
import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from scratchtasks.core.errors import ConfigError, ConfigErrors, ScratchError, StoreError

from .service_folders import SERVICE_FILE, has_signs, service_folders
from .switches import lock_of

if TYPE_CHECKING:
    from scratchtasks.config.workspace import WorkspaceConfig
    from scratchtasks.core.target import Declared, Genrule, Pin, Service
    from scratchtasks.declare import Declaration

    from .events import Events
    from .headstart import Ahead
    from .memory import Memory
    from .near import Edit
    from .session import Session

_NONE: Mapping[str, str] = MappingProxyType({})
_HINT = (
    "scratchtasks: doit's own loader is at work: results are right, but it is slower; put"
    ' `loader = "scratch"` under [tool.doit] in pyproject.toml, or use `scratch` in a subfolder\n'
)


class Workspace:
    """A monorepo: the services found by globs, and what dodo.py declares itself.

    *services* are globs of folders below the root that hold a `service.toml`; *images* and
    *rules* are what `scratch_image(...)` and `genrule(...)` return.  *after* are names of tasks of
    your own that write sources: all of ours come after them.  *root* is the workspace root, by
    default the folder of the file that makes the Workspace.

    Raises: ConfigError for arguments of another kind.
    """

    def __init__(
        self,
        services: Sequence[str] = (),
        *,
        images: "Sequence[Declaration]" = (),
        rules: "Sequence[Genrule]" = (),
        after: Sequence[str] = (),
        root: str | None = None,
    ) -> None:
        dodo = self._dodo = sys._getframe(1).f_globals
        self.root = os.path.abspath(root or os.path.dirname(dodo.get("__file__", "")))
        self.began = time.monotonic()
        self.after = _several("after", after, _is_name, "names of tasks")
        self._globs = _several("services", services, _is_below, "globs relative to the root")
        self._images = _several("images", images, _is_image, "what scratch_image(…) returns")
        self._rules = _several("rules", rules, _is_rule, "what genrule(…) returns")
        self._session: Session | None = None
        self._sources: dict[str, str] = {}
        self._ahead: Ahead | None = None
        self._cancel: Callable[[], None] | None = None
        # An attribute of the object only: doit would call it on the imported class as well.
        self.create_doit_tasks = self._doit_tasks
        # Where doit's own loader is at work it finds our settings as those of dodo.py; one that
        # dodo.py sets after this takes their place.  `scratch` may have no need of doit at all.
        if "doit" in sys.modules:
            dodo.setdefault("DOIT_CONFIG", self.doit_config)

    def _doit_tasks(self) -> Iterator[dict[str, Any]]:
        """doit's protocol, used when our loader is not: right tasks, without batches."""
        from doit.exceptions import InvalidDodoFile

        from .tasks import task_dicts

        sys.stderr.write(_HINT)
        try:
            session = self.session()
        except ScratchError as error:
            raise InvalidDodoFile(str(error)) from None
        self.watch_signals()
        # Our loader locks ahead of a run.  Here workers of -P process would, each for itself, and
        # wait for each other; one that is forked shares what its parent holds.
        os.register_at_fork(before=session.lock)
        if declares_tasks(self._dodo):
            session.users_tasks = None
        yield from task_dicts(session, with_labels=True)

    @cached_property
    def events(self) -> "Events":
        """Whoever tells of the run, and whoever listens, meet here."""
        from .events import Events

        events = Events(self.began)
        atexit.register(_leave, events)  # before all else that is: called after that
        return events

    @cached_property
    def doit_config(self) -> dict[str, Any]:
        """doit's settings, unless the user has others."""
        from .reporter import ScratchReporter

        return {
            "backend": "scratch",
            "default_tasks": ["image"],
            "dep_file": ".scratch/doit.db",
            "par_type": "thread",
            "reporter": ScratchReporter.bound_to(self.events, os.environ, self._finish),
        }

    def _finish(self) -> None:
        if self._session is not None:
            self._session.lock()  # a run of doit's own loader that had nothing to do has not yet
            self._session.finish()

    def watch_signals(self) -> None:
        """See to it that Ctrl-C and SIGTERM end compilers and keep what is finished."""
        self._watch_signals(self.session().cancel)

    def begin_ahead(self, edit: "Edit") -> None:
        """Begin to compile what *edit* asks for, if nothing was begun yet."""
        if self._ahead is not None or self._session is not None:
            return
        from .headstart import begin_ahead

        watch, show = self._watch_signals, self.events.show
        self._ahead = begin_ahead(edit, self.root, os.environ, show, watch)
        if self._ahead is not None:
            atexit.register(self._ahead.close)

    def _watch_signals(self, cancel: Callable[[], None]) -> None:
        from .signals import install

        if self._cancel is None:
            install(lambda: self._cancel and self._cancel(), self.events)
        self._cancel = cancel

    @cached_property
    def memory(self) -> "Memory":
        """What earlier runs knew; to be asked before `session` is made."""
        from .memory import Memory

        def declared() -> str:
            found = (self._folders, self._found[1])
            return repr((self._globs, self._images, self._rules, *found))

        return Memory(self.root, os.environ, declared)

    def session(self, others: Mapping[str, str] = _NONE) -> "Session":
        """The analysed workspace, made on first use.

        *others* are services to leave out, because nothing is wanted of them, with their folders.

        Raises: ConfigErrors with every fault of every file; GraphError; ConfigError where Python
        cannot write the names of files.
        """
        if self._session is None:
            from scratchtasks.core.span import span

            with span(self.events.on_span, "analyze", "services") as told:
                from .session import Session

                declared = self.declared(others)
                _check_encoding(declared)
                told["services"] = len(declared.services)
                said = self.memory.git if others else _NONE
                self._session = Session(
                    self.root,
                    declared,
                    dict(os.environ),
                    self.events,
                    self._sources,
                    others,
                    said,
                    self._ahead,
                )
                self._session.after = self.after
            # After that, or the interpreter would look for garbage in all of it as it ends.
            atexit.register(gc.freeze)
            atexit.register(self._session.close)
        return self._session

    def restart(self) -> None:
        """Analyse once more when `session` is asked for: what was left out is needed after all."""
        if self._session is not None:
            atexit.unregister(self._session.close)
            self._session.release()
            self._session = None
        if self._ahead is not None:
            self._ahead.start.drop()
            self._ahead = None

    def declared(self, others: Mapping[str, str] = _NONE) -> "Declared":
        """Everything that the workspace's files and dodo.py declare, but for the services
        *others*.

        Raises: ConfigErrors.
        """
        from scratchtasks.config.default_pins import effective_pins
        from scratchtasks.config.lockfile import parse_lockfile
        from scratchtasks.config.service import parse_service
        from scratchtasks.config.workspace import WorkspaceConfig
        from scratchtasks.core.platform import host_platform
        from scratchtasks.core.target import Declared

        faults: list[ConfigError] = []
        config = WorkspaceConfig()
        try:
            config = self._workspace_config()
        except ConfigErrors as error:
            faults += error.errors
        engine = config.engine
        try:
            engine = _engine(os.environ, engine)
        except ConfigErrors as error:
            faults += error.errors
        locked: Mapping[str, Pin] = {}
        try:
            lock = self._read(lock_of(os.environ))
            locked = {} if lock is None else parse_lockfile(lock)
        except ConfigErrors as error:
            faults += error.errors
        services: list[Service] = []
        left_out = frozenset(others.values())
        found, lost = self._found
        faults += lost
        for pattern in (each for each in self._globs if not found[each] and not lost):
            if has_signs(pattern):
                sys.stderr.write(
                    f"scratchtasks: no {SERVICE_FILE} in {pattern}\n"
                    "    hint: each service is a folder with that file; Workspace(services=[…]) in"
                    " dodo.py has globs of those folders\n"
                )
            else:
                what = f"services: there is no {pattern}/{SERVICE_FILE}"
                hint = "each service is a folder with that file"
                faults.append(ConfigError("dodo.py", what, hint))
        for folder in self._folders:
            if folder in left_out:
                continue
            origin = f"{folder}/{SERVICE_FILE}" if folder else SERVICE_FILE
            try:
                services.append(
                    parse_service(
                        self._read(origin) or "",
                        origin=origin,
                        folder=folder,
                        defaults=config.defaults,
                        host=host_platform(),
                    )
                )
            except ConfigErrors as error:
                faults += error.errors
        rules = list(self._rules)
        for image in self._images:
            rules += [rule for rule in image.genrules if rule not in rules]
            try:
                service = image.service(config.defaults, host_platform())
            except ConfigErrors as error:
                faults += error.errors
            else:
                if service.name not in others:
                    services.append(service)
        if faults:
            raise ConfigErrors(tuple(faults))
        return Declared(
            services=tuple(services),
            genrules=tuple(rules),
            pins=effective_pins(locked),
            locked=frozenset(locked),
            cache_limit=config.cache_limit,
            plain_http=config.plain_http,
            refresh=config.refresh,
            engine=engine,
            debian=config.debian,
        )

    def _workspace_config(self) -> "WorkspaceConfig":
        from scratchtasks.config.workspace import IN_PYPROJECT, parse_workspace, table_at

        text, project = self._read("scratch.toml"), self._read("pyproject.toml") or ""
        if text is None:
            return parse_workspace(project, "pyproject.toml", IN_PYPROJECT)
        # Most have no such word: they need not be parsed.
        has_word = IN_PYPROJECT[-1] in project
        if has_word and table_at(IN_PYPROJECT, project, "pyproject.toml") is not None:
            what = "there is a scratch.toml too, and only one of them can count"
            hint = "keep one: put all tables into scratch.toml, say, and take this one out"
            raise ConfigErrors((ConfigError("pyproject.toml: tool.scratchtasks", what, hint),))
        return parse_workspace(text, "scratch.toml")

    @cached_property
    def _found(self) -> tuple[dict[str, list[str]], list[ConfigError]]:
        """The folders of services that each of the globs finds, and what cannot be looked into."""
        lost: list[ConfigError] = []
        return {glob: service_folders(self.root, glob, lost) for glob in self._globs}, lost

    @cached_property
    def _folders(self) -> list[str]:
        """Folders of services, relative to the root with `/`, sorted."""
        found = {os.path.normpath(path) for paths in self._found[0].values() for path in paths}
        return sorted("" if folder == "." else folder for folder in found)

    def _read(self, name: str) -> str | None:
        from scratchtasks.core.digest import digest_of
        from scratchtasks.store.atomic import read_named

        self._sources[name] = ""
        try:
            data = read_named(os.path.join(self.root, name))
            if data is None:
                return None
            self._sources[name] = digest_of(data)
            return data.decode()
        except StoreError as error:
            raise ConfigErrors((ConfigError(name, error.what),)) from None
        except UnicodeDecodeError as error:
            what = f"wanted UTF-8, got byte 0x{error.object[error.start]:02x} at {error.start}"
            raise ConfigErrors((ConfigError(name, what),)) from None


def _several(name: str, given: Any, is_one: Callable[[Any], bool], wanted: str) -> tuple[Any, ...]:
    """*given* for the argument *name*, one or several, as a tuple.  Raises: ConfigError."""
    try:
        found = (given,) if isinstance(given, str) or is_one(given) else tuple(given)
    except TypeError:
        found = (given,)
    for item in found:
        if not is_one(item):
            raise ConfigError(f"dodo.py: Workspace({name}=…)", f"wanted {wanted}, got {item!r}")
    return found


def _is_name(item: object) -> bool:
    return isinstance(item, str)


def _is_below(item: object) -> bool:
    return isinstance(item, str) and not f"{os.path.normpath(item)}/".startswith(("/", "../"))


def _is_image(item: object) -> bool:
    return hasattr(item, "genrules")


def _is_rule(item: object) -> bool:
    return hasattr(item, "label") and hasattr(item, "outs")


def _leave(events: "Events") -> None:
    if events.exit_code:
        from .signals import leave_threads

        leave_threads(events.exit_code)


def declares_tasks(dodo: Mapping[str, object]) -> bool:
    """Whether the namespace *dodo* gives doit tasks besides those of a Workspace."""
    return any(
        name.startswith("task_") or hasattr(each, "create_doit_tasks")
        for name, each in dodo.items()
        if not isinstance(each, Workspace)
    )


def _check_encoding(declared: "Declared") -> None:
    """See to it that Python can write the names of files in *declared* as UTF-8, in which they
    are.  Raises: ConfigError.

    Those that are found are right in any encoding.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8" and not repr(declared).isascii():
        what = f"Python takes them for {encoding} (wanted utf-8)"
        raise ConfigError("names of files", what, "set LC_ALL=C.UTF-8, without PYTHONUTF8=0")


def _engine(env: Mapping[str, str], declared: str) -> str:
    """Where `load` loads: what SCRATCH_ENGINE in *env* says, else *declared*.

    Raises: ConfigErrors.
    """
    from scratchtasks.config.spot import Spot
    from scratchtasks.config.workspace import ENGINE

    chosen = env.get("SCRATCH_ENGINE")
    if not chosen:
        return declared
    try:
        return ENGINE.read(chosen, Spot("SCRATCH_ENGINE"))
    except ConfigError as error:
        raise ConfigErrors((error,)) from None
