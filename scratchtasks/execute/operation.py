"""What the engine asks of an operation, and what an operation may touch."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import field
from typing import Any, Protocol

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, Json
from scratchtasks.core.errors import ScratchError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all
from scratchtasks.core.source import DEBIAN, DebianMirror
from scratchtasks.core.span import OnSpan
from scratchtasks.core.target import Pin
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci.gzip import THREADS
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.atomic import storage_error
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .headstart import HeadStart
from .process import Processes


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything outside the process that an operation may touch; made once, in `plugin/`.

    *root* is the absolute workspace root, *scratch* the absolute `.scratch` in it.
    *env* is the user's environment, read once.  *epoch* is SOURCE_DATE_EPOCH in seconds, or 0.
    *trees* are those of shared layers that were read before, by digest.
    *plain_http* are registries without TLS.  *is_offline* forbids every fetch.
    *tell* hears of spans of work, if somebody wants them.  *packs*: images are made too, so what
    is read to hash a layer is compressed on the way.  *threads* hash and compress each layer.
    *ahead* is a compilation that was begun already, if there is one.
    """

    root: str
    scratch: str
    env: Mapping[str, str]
    epoch: int
    files: FileStates
    store: ContentStore
    cache: ActionCache
    processes: Processes
    pins: Mapping[str, Pin] = field(default_factory=dict)
    trees: dict[Digest, tuple[FileEntry, ...]] = field(default_factory=dict)
    plain_http: tuple[str, ...] = ()
    debian: DebianMirror = DEBIAN
    is_offline: bool = False
    tell: OnSpan | None = None
    packs: bool = False
    threads: int = THREADS
    ahead: HeadStart | None = None


@contextmanager
def empty_folder(world: World) -> Iterator[str]:
    """The absolute path of a new folder in `.scratch/tmp`, gone after the block.

    Raises: StoreError when it cannot be made.
    """
    import tempfile

    above = os.path.join(world.scratch, "tmp")
    try:
        os.makedirs(above, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=above, ignore_cleanup_errors=True)
    except OSError as error:
        raise storage_error(above, error) from error
    with folder as path:
        yield path


@dataclass(frozen=True, slots=True)
class Job:
    """An action together with the results of its deps, by the names it gives them."""

    action: Action
    deps: Mapping[str, ActionResult] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """What errors name: the label of the target, for a probe of it too."""
        return str(self.action.label).partition("#")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job's success: blobs already in the store, facts for dependents, and what it read.

    *inputs* are those that only running could tell (headers, dep-info); those that `inputs()`
    named need not be repeated.  *is_free*: a program of the user's own made it, which may put
    files beside those that it reads, for a while.
    """

    outputs: Mapping[str, Descriptor]
    facts: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    is_free: bool = False


Outcome = Done | ScratchError


def each_alone(jobs: Sequence[Job], run: Callable[[Job], Done]) -> dict[str, Outcome]:
    """The outcome of *run* for each of *jobs*, one by one: a ScratchError fails its job only."""
    return {job.action.name: _outcome(job, run) for job in jobs}


def each_beside(jobs: Sequence[Job], run: Callable[[Job], Done]) -> dict[str, Outcome]:
    """Like `each_alone`, as many at a time as there are cores."""
    outcomes = map_all(lambda job: _outcome(job, run), jobs)
    return {job.action.name: outcome for job, outcome in zip(jobs, outcomes, strict=True)}


def _outcome(job: Job, run: Callable[[Job], Done]) -> Outcome:
    try:
        return run(job)
    except ScratchError as error:
        return error


class Operation(Protocol):
    """How actions of one kind are keyed and run.  Stateless: state lives in the World."""

    @property
    def version(self) -> int:
        """Goes into the key; raised whenever the same inputs would give other bytes."""
        ...

    def identity(self, job: Job, world: World) -> Json:
        """Key material besides params: toolchain versions, pins, environment values used.

        Raises: ScratchError (ToolchainMissing …).
        """
        ...

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        """What is known to be read before running.  Raises: ScratchError."""
        ...

    def batch_key(self, job: Job, world: World) -> str:
        """Jobs with an equal, non-empty key may be run by one `run`; "" runs alone."""
        ...

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        """Run *jobs*; one Outcome for each, by `action.name`.

        A job's failure is an Outcome, so that the others' work is kept.  Compilers' messages go
        to the user through `world.processes`, untouched and once.
        """
        ...
