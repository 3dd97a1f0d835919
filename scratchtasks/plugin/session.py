"""One run in one workspace: the only place where all the parts are put together."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from scratchtasks.analysis import ActionGraph, analyze
from scratchtasks.core.action import ActionResult
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import ScratchError, StoreError
from scratchtasks.core.platform import Platform
from scratchtasks.core.rootfs import Rootfs, rootfs_from_json
from scratchtasks.core.target import Declared, Pin
from scratchtasks.core.task import Task, name_of_label
from scratchtasks.execute.engine import Engine
from scratchtasks.execute.operation import World
from scratchtasks.execute.operations import OPERATIONS
from scratchtasks.execute.process import Processes
from scratchtasks.execute.stamp import read_stamp, remove_stamps, stamp_path
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.atomic import write_atomic
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.collect import remove_leftovers
from scratchtasks.store.files import FileStates
from scratchtasks.store.lock import WorkspaceLock, is_ancestor

from .epoch import epoch_of
from .events import Events
from .exports import Exports
from .loads import Loads
from .near import keep_near
from .pinning import Pinning
from .pushes import Pushes
from .templates import Templates
from .together import Together
from .trials import Trials

if TYPE_CHECKING:
    from .headstart import Ahead


class UsersTask(Protocol):
    """A task of doit's that is not ours."""

    executed: bool
    """Whether its actions were begun in this run."""


class _Nested(Exception):
    """The run that holds the lock has started this one, and waits for it."""


class Session:
    """The graph of a workspace and everything needed to decide about it and build it.

    *sources* are the files that declare it, with the Digest that was read.  *others* are names
    of services that were left out.  *said* is what git says, as far as it was asked just now.
    *ahead* is a compilation that was begun already.
    """

    def __init__(
        self,
        root: str,
        declared: Declared,
        env: Mapping[str, str],
        events: Events,
        sources: Mapping[str, str] = MappingProxyType({}),
        others: Collection[str] = (),
        said: Mapping[str, str] = MappingProxyType({}),
        ahead: "Ahead | None" = None,
    ) -> None:
        scratch = os.path.join(root, ".scratch")
        self.declared = declared
        self.sources = sources
        self.templates = Templates(root, env, said)
        self.expand = self.templates.expand
        self.graph: ActionGraph = analyze(declared, self.expand)
        files = FileStates(root, os.path.join(scratch, "files.db"), few=bool(others), env=env)
        store = ContentStore(os.path.join(scratch, "blobs"), files)
        self.world = World(
            root=root,
            scratch=scratch,
            env=env,
            epoch=epoch_of(env),
            files=files,
            store=store,
            cache=ActionCache(os.path.join(scratch, "actions"), store),
            processes=ahead.processes if ahead else Processes(events.show),
            pins=declared.pins,
            plain_http=declared.plain_http,
            debian=declared.debian,
            tell=events.on_span,
            ahead=ahead.start if ahead else None,
        )
        self.engine = Engine(self.world, self.graph.actions, OPERATIONS, events)
        self._lock = ahead.lock if ahead else WorkspaceLock(os.path.join(scratch, "lock"))
        self.events = events
        self.at_end: Callable[[Session], None] = lambda _: None
        """Called when the run is over and everything else is written."""
        self.after: tuple[str, ...] = ()
        """Tasks of the user's that come before all of ours."""
        self.users_tasks: Sequence[UsersTask] | None = ()
        """Those that may run between ours; None if there are some, but nobody knows them."""
        self._executed = 0
        self.together = Together(self)
        self.loads = Loads(self)
        self.trials = Trials(self)
        self.pushes = Pushes(self)
        self.pinning = Pinning(self, env)
        self._is_nested = self._is_finished = False
        self._told = ""
        self.exports = Exports(self, others)
        self._pid = os.getpid()
        self._started_in = os.getcwd()

    @property
    def is_at_work(self) -> bool:
        """Whether this is the run that may write in the workspace."""
        return self._lock.is_held or self._is_nested

    def lock(self) -> None:
        """Be the only run in this workspace; says whom it waits for.

        A run that one of the holder's own tasks or genrules has started goes ahead.

        Raises: StoreError; ConfigError when what declares the workspace has changed meanwhile.
        """
        if self.is_at_work:
            return
        has_waited = False

        def on_wait(pid: int) -> None:
            nonlocal has_waited
            if is_ancestor(pid):
                raise _Nested
            has_waited = True
            holder = f" (process {pid})" if pid else ""
            self.events.show(f"another doit is at work here{holder}; waiting for it\n".encode())

        try:
            self._lock.acquire(on_wait)
        except _Nested:
            self._is_nested = True
        else:
            with suppress(StoreError):  # another user's, say: they are in nobody's way
                remove_leftovers(self.world.scratch)
        if has_waited:
            self.engine.reset()
            self.exports.reset()
            self.pinning.heed_other_run()
        ignored = os.path.join(self.world.scratch, ".gitignore")
        if not os.path.lexists(ignored):  # as it is the first run here: nothing in it is source
            write_atomic(ignored, b"*\n")

    def heed_users_tasks(self) -> None:
        """Forget what was seen if a task of the user's has run since: it may have written
        anything.  To be called ahead of what is done for one of ours.
        """
        if self.users_tasks == ():
            return
        executed = sum(task.executed for task in self.users_tasks or ())
        is_child = os.getpid() != self._pid  # of doit's -P process: others run their tasks there
        if executed != self._executed or is_child or self.users_tasks is None:
            self._executed = executed
            self.engine.reset()
            self.exports.reset()

    def use_world(self, world: World) -> None:
        """Decide and build with *world* from now on."""
        self.world = self.engine.world = world
        self.engine.reset()

    def use_threads(self, threads: int) -> None:
        """Make each layer on so many *threads*; nothing that is decided depends on it."""
        self.world = self.engine.world = replace(self.world, threads=threads)

    def adopt_pins(self, locked: Mapping[str, Pin], lock: str, digest: Digest) -> None:
        """The file *lock* has the pins *locked* from now on, and is *digest*."""
        self.sources = {**self.sources, lock: digest}
        pins = {**self.declared.pins, **locked}
        self.declared = replace(self.declared, pins=pins, locked=frozenset(locked))
        self.use_world(replace(self.world, pins=pins))

    def cancel(self) -> None:
        """End compilers and begin no more uploads; fit for a signal handler."""
        self.world.processes.cancel()
        self.pushes.cancel()

    def close(self) -> None:
        """`finish` if nobody did, and release the lock; errors are shown, once."""
        self.pushes.wait()
        told = self._told
        try:
            if not self._is_finished:
                self.finish()
        except ScratchError as error:  # doit has ended: nobody else is there to tell it
            if str(error) != told:
                self.events.show(f"error: {error}\n".encode("utf-8", "backslashreplace"))
        self.loads.close()
        self._lock.release()

    def release(self) -> None:
        """Let the next one in, with nothing written."""
        self._lock.release()

    def finish(self) -> None:
        """Write the summary of images and what was learnt about files.  Raises: StoreError."""
        try:
            self.exports.write_summary()
            self.world.files.save()
            if self._lock.is_held and os.getpid() == self._pid:
                self.at_end(self)
                keep_near(self)
            self._is_finished = True
        except ScratchError as error:
            self._told = str(error)
            raise

    def why_stale(self, task: Task) -> str:
        """Why *task* has to run, in plain words; "" when it does not."""
        self.heed_users_tasks()
        return self.why_unmade(task) or (self.exports.fault(task) if self.is_image(task) else "")

    def why_unmade(self, task: Task) -> str:
        """Why the store lacks what *task* makes; "" when it has it, whatever is in `dist/`.

        That is why_stale during a run, for `dist/images.json` tells of images when it ends.
        """
        for name in task.actions:
            verdict = self.engine.verdict(name)
            if not verdict.fresh:
                return verdict.reason
        return ""

    def key(self, task: Task) -> str:
        """The keys of what *task* makes, for all platforms; "" while none can be known."""
        made = (name for name in task.actions if not self.graph.actions[name].is_probe)
        return " ".join(filter(None, (self.engine.verdict(name).key for name in made)))

    def is_recorded(self, task: Task, key: object) -> bool:
        """Whether *key*, which doit has kept of *task*, is that of what it makes."""
        return key == self.key(task)

    def build(self, task: Task) -> None:
        """Build *task*; an image is exported to `dist/` too.  Raises: ScratchError, Cancelled."""
        self.lock()
        self.pinning.settle(task.actions)  # by now the loader has, unless it is doit's own
        if not self.is_image(task):
            for name in task.actions:
                self.engine.build(name)
        elif not self.exports.has_made(task):
            self.build_image(task)

    def build_image(self, task: Task) -> None:
        """Make the image of *task* of what was built, and put it into `dist/`.

        Raises: ScratchError, Cancelled.
        """
        (image,) = task.actions
        is_new = self.engine.verdict(image).result is None
        self.engine.build(image)
        self.exports.export(task, "ran" if is_new else "hit")

    def names_for(self, kind: str) -> list[str]:
        """Names of the services that `load`, `smoke` or `push` (*kind*) is for."""
        services = self.graph.services.items()
        return [n for n, each in services if kind == "load" or getattr(each, kind) is not None]

    def tags_of(self, name: str) -> list[str]:
        """The tags that the service *name* is pushed with, templates filled in.

        Raises: ConfigError for a template; SinkError where what it gives is no tag.
        """
        from scratchtasks.registry.reference import check_tag

        service = self.graph.services[name]
        tags = service.push.tags if service.push else ()
        where = f"{service.image_label}: push.tags"
        return [check_tag(self.expand(tag, service), where) for tag in tags]

    def clean(self, task: Task) -> None:
        """Remove *task*'s stamps and, for an image, its layout, once no other run is at work.

        Raises: SinkError, StoreError.
        """
        self.lock()
        for name in task.actions:
            remove_stamps(self.world.scratch, self.graph.actions[name])
        if self.is_image(task):
            self.exports.clean(task)

    def is_image(self, task: Task) -> bool:
        """Whether *task* makes an image."""
        return task.name.startswith("image:")

    def root_of(self, name: str, platform: Platform) -> Rootfs:
        """The root file system of the service *name* for *platform*, one of its own; built now
        with all that it needs if that has not been done.

        Raises: ScratchError when it cannot be built; Cancelled.
        """
        actions = self.graph.actions

        def build(action: str) -> ActionResult:
            for dep in actions[action].deps.values():
                build(dep)
            return self.engine.build(action)

        names = self.graph.tasks[f"rootfs:{name}"].actions
        (root,) = (name for name in names if actions[name].platform == platform)
        return rootfs_from_json(build(root).facts["root"])

    def task_of_label(self, label: str) -> str:
        """The name of the task with *label*.  Raises: GraphError with the nearest label."""
        return name_of_label(self.graph.tasks, label)

    def task_of_target(self, path: str) -> str | None:
        """The name of the task that makes the file *path* (relative to the root), if any."""
        tasks = self.graph.tasks.items()
        return next((name for name, task in tasks if path in self.targets(task)), None)

    def targets(self, task: Task) -> list[str]:
        """What doit may look for, relative to the current folder: stamps, and an image's index."""
        scratch = self.world.scratch
        own = () if task.parts else task.actions
        paths = [stamp_path(scratch, self.graph.actions[name]) for name in own]
        if self.is_image(task):
            paths.append(os.path.join(self.exports.layout_of(task), "index.json"))
        return [os.path.relpath(path, self._started_in) for path in paths]

    def digests_in_use(self) -> frozenset[Digest]:
        """Every blob that the present state of some task, or a pin, names: not garbage."""
        pins = self.world.pins.values()
        kept = {
            Digest(f"sha256:{each}") for pin in pins for each in (pin.sha256, *pin.wheels.values())
        }
        for action in self.graph.actions.values():
            stamp = read_stamp(self.world.scratch, action)
            if stamp is not None:
                kept |= {blob.digest for blob in stamp.result.outputs.values()}
        return frozenset(kept)
