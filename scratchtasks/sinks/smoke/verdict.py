"""The verdict on an image: found once for the same bytes and definition, then remembered."""

import posixpath
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from scratchtasks.core.action import ActionResult
from scratchtasks.core.digest import ActionKey, key_of
from scratchtasks.core.errors import SinkError, did_you_mean
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.platform import host_platform
from scratchtasks.core.structure import StructureTest
from scratchtasks.core.target import Smoke
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .contents import Contents
from .matching import Endless
from .namespace import Processes, bubblewrap, run_in_namespaces, unshare
from .structure import metadata_faults, structure_faults
from .trial import Outcome, Trial, Unusable, excerpt, faults_of, trial_of

if TYPE_CHECKING:
    from .engine import InEngine

Way = Literal["docker", "bubblewrap", "unshare"]
How = Way | Literal["contents"]
"""A way in which something was run, or the image's bytes if nothing was."""

WAYS: tuple[Way, ...] = ("docker", "bubblewrap", "unshare")
"""In the order in which they are tried; the first that works here decides."""

_VERSION = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An image was found good: *how*, in how many *seconds*, and whether that was some time ago."""

    passed: bool
    how: How
    seconds: float
    cached: bool


def smoke(
    image: PlatformImage,
    definition: Smoke,
    structure: Sequence[StructureTest] = (),
    *,
    where: str,
    store: ContentStore,
    files: FileStates,
    cache: ActionCache,
    processes: Processes,
    env: Mapping[str, str],
    folder: str,
    ways: Sequence[Way] = WAYS,
) -> Verdict:
    """Try *image* out as *definition* and *structure* say, unless these bytes have passed that.

    *where* names the image in messages; *env* is the user's environment (PATH, DOCKER_HOST);
    *folder* (absolute) is for private files while it runs.  A failure is never remembered.

    Returns: a Verdict that passed.
    Raises: SinkError with everything that was wrong (what the program printed is shown by
    *processes* first), or when no way works here; StoreError (blobs missing or damaged);
    whatever *processes* raises when the user ends the run.
    """
    where = f"{where}: smoke"
    key = verdict_key(image, definition, structure)
    if (known := _remembered(key, cache)) is not None:
        return known
    began = time.monotonic()
    with ExitStack() as stack, _in_plain_words(where):
        inside = partial(
            run_in_namespaces, where=where, store=store, processes=processes, env=env, folder=folder
        )
        runs: dict[Way, Callable[[Trial], Outcome]] = {
            "docker": partial(_run_in_engine, stack, [], where, store, files, env),
            "bubblewrap": partial(inside, make=bubblewrap),
            "unshare": partial(inside, make=unshare),
        }
        # An emulator beside us is surer than one that the engine may have.
        is_foreign = image.platform.architecture != host_platform().architecture
        order = sorted(ways, key=lambda way: is_foreign and way == "docker")
        runner = _Runner([(way, runs[way]) for way in order], where, processes)
        faults: list[str] = []
        hint = ""
        if definition.runs:
            trial = trial_of(image, definition, store, where)
            outcome = runner.run(trial)
            faults += runner.judged("", faults_of(trial, outcome))
            if outcome.refusal:
                hint = _hint_for(trial, Contents(image, store, where))
        if structure:
            faults += _structure_faults(image, definition, structure, store, where, runner)
    milliseconds = round((time.monotonic() - began) * 1000)
    if faults:
        raise SinkError(where, "; ".join(faults), hint)
    facts = {"how": runner.how, "milliseconds": milliseconds}
    cache.put(key, ActionResult(outputs={}, facts=facts))
    return Verdict(passed=True, how=runner.how, seconds=milliseconds / 1000, cached=False)


@contextmanager
def _in_plain_words(where: str) -> Iterator[None]:
    try:
        yield
    except Endless as error:
        hint = "repeats in repeats, such as (a+)+, and .* in long lines take for ever"
        raise SinkError(where, str(error), hint) from None


def verdict_key(
    image: PlatformImage, definition: Smoke, structure: Sequence[StructureTest] = ()
) -> ActionKey:
    """Names a verdict: all bytes of the image, and all that is wanted of it."""
    wanted = [asdict(definition), *map(asdict, structure)]
    return key_of("smoke", _VERSION, image.manifest.digest, image.config.digest, wanted)


def _hint_for(trial: Trial, contents: Contents) -> str:
    """The program of the image that *trial* may mean, whose own could not be started: "" if it is
    there."""
    program = trial.argv[0]
    if contents.find(program, follow=True):
        return ""
    known = contents.programs()
    named = [path for path in known if program == posixpath.basename(path)]
    return did_you_mean(*((named[0], named) if named else (program, known)))


def _structure_faults(
    image: PlatformImage,
    definition: Smoke,
    structure: Sequence[StructureTest],
    store: ContentStore,
    where: str,
    runner: "_Runner",
) -> list[str]:
    nothing = replace(definition, command=("/",), args=())  # there need be no entrypoint
    base = trial_of(image, replace(nothing, env={}), store, where)
    contents = Contents(image, store, where)
    faults: list[str] = []
    for file in structure:
        for name, found in structure_faults(file, base, contents, runner.run):
            faults += runner.judged(f"{file.origin}: {name}: ", found)
        if file.metadata is not None:
            found = metadata_faults(file.metadata, store.read(image.config.digest))
            faults += runner.judged(f"{file.origin}: metadataTest: ", found)
    return faults


def _remembered(key: ActionKey, cache: ActionCache) -> Verdict | None:
    found = cache.get(key)
    if found is None:
        return None
    how, milliseconds = found.facts.get("how"), found.facts.get("milliseconds")
    if how not in (*WAYS, "contents") or not isinstance(milliseconds, int):
        return None
    return Verdict(passed=True, how=how, seconds=milliseconds / 1000, cached=True)


class _Runner:
    """Runs trials in the first of *ways* that works; shows what those have printed that fail."""

    def __init__(
        self, ways: Sequence[tuple[Way, Callable[[Trial], Outcome]]], where: str, shown: Processes
    ) -> None:
        self.how: How = "contents"
        self._ways = [*ways]
        self._reasons: list[str] = []
        self._where = where
        self._shown = shown
        self._last: Outcome | None = None

    def run(self, trial: Trial) -> Outcome:
        """What comes of *trial*.  Raises: SinkError when no way works here."""
        while self._ways:
            way, run = self._ways[0]
            try:
                self._last = run(trial)
            except Unusable as error:
                self._reasons.append(f"{way}: {error}")
                del self._ways[0]
                continue
            self.how = way
            return self._last
        raise SinkError(
            self._where,
            "cannot be tried here: " + "; ".join(self._reasons),
            "start Docker, install bubblewrap, or allow user namespaces; "
            "for other architectures install qemu-user-static",
        )

    def judged(self, name: str, faults: Sequence[str]) -> list[str]:
        """*faults* of the test *name*; what ran last belongs to them."""
        last, self._last = self._last, None
        if faults and last is not None:
            self._shown.show(excerpt(self._where, last))
        return [f"{name}{fault}" for fault in faults]


def _run_in_engine(
    stack: ExitStack,
    opened: "list[InEngine]",
    where: str,
    store: ContentStore,
    files: FileStates,
    env: Mapping[str, str],
    trial: Trial,
) -> Outcome:
    """Run *trial* where all of one image are run; *opened* is that, once it is in *stack*."""
    if not opened:
        from .engine import InEngine  # the docker SDK takes 200 ms to import

        opened.append(stack.enter_context(InEngine(where, store, files, env)))
    return opened[0].run(trial)
