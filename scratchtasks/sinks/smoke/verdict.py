"""The verdict on an image: found once for the same bytes and definition, then remembered."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

from scratchtasks.core.action import ActionResult
from scratchtasks.core.digest import ActionKey, key_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.platform import host_platform
from scratchtasks.core.target import Smoke
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

from .namespace import Processes, bubblewrap, run_in_namespaces, unshare
from .trial import Outcome, Trial, Unusable, excerpt, faults_of, trial_of

Way = Literal["docker", "bubblewrap", "unshare"]

WAYS: tuple[Way, ...] = ("docker", "bubblewrap", "unshare")
"""In the order in which they are tried; the first that works here decides."""

_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """An image was found good: *how*, in how many *seconds*, and whether that was some time ago."""

    passed: bool
    how: Way
    seconds: float
    cached: bool


def smoke(
    image: PlatformImage,
    definition: Smoke,
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
    """Try *image* out as *definition* says, unless these bytes have passed that before.

    *where* names the image in messages; *env* is the user's environment (PATH, DOCKER_HOST);
    *folder* (absolute) is for private files while it runs.  A failure is never remembered.

    Returns: a Verdict that passed.
    Raises: SinkError with everything that was wrong (what the program printed is shown by
    *processes* first), or when no way works here; StoreError (blobs missing or damaged);
    whatever *processes* raises when the user ends the run.
    """
    where = f"{where}: smoke"
    key = verdict_key(image, definition)
    if (known := _remembered(key, cache)) is not None:
        return known
    trial = trial_of(image, definition, store, where)
    inside = partial(
        run_in_namespaces,
        trial,
        where=where,
        store=store,
        processes=processes,
        env=env,
        folder=folder,
    )
    runs: dict[Way, Callable[[], Outcome]] = {
        "docker": partial(_run_in_engine, trial, where, store, files, env),
        "bubblewrap": partial(inside, make=bubblewrap),
        "unshare": partial(inside, make=unshare),
    }
    # An emulator beside us is surer than one that the engine may have.
    is_foreign = image.platform.architecture != host_platform().architecture
    order = sorted(ways, key=lambda way: is_foreign and way == "docker")
    began = time.monotonic()
    how, outcome = _first_that_works([(way, runs[way]) for way in order], where)
    milliseconds = round((time.monotonic() - began) * 1000)
    faults = faults_of(trial, outcome)
    if faults:
        processes.show(excerpt(where, outcome))
        raise SinkError(where, "; ".join(faults))
    cache.put(key, ActionResult(outputs={}, facts={"how": how, "milliseconds": milliseconds}))
    return Verdict(passed=True, how=how, seconds=milliseconds / 1000, cached=False)


def verdict_key(image: PlatformImage, definition: Smoke) -> ActionKey:
    """Names a verdict: all bytes of the image, and all that is wanted of it."""
    wanted = asdict(definition)
    return key_of("smoke", _VERSION, image.manifest.digest, image.config.digest, wanted)


def _remembered(key: ActionKey, cache: ActionCache) -> Verdict | None:
    found = cache.get(key)
    if found is None:
        return None
    how, milliseconds = found.facts.get("how"), found.facts.get("milliseconds")
    if how not in WAYS or not isinstance(milliseconds, int):
        return None
    return Verdict(passed=True, how=how, seconds=milliseconds / 1000, cached=True)


def _first_that_works(
    runs: Iterable[tuple[Way, Callable[[], Outcome]]], where: str
) -> tuple[Way, Outcome]:
    reasons = []
    for way, run in runs:
        try:
            return way, run()
        except Unusable as error:
            reasons.append(f"{way}: {error}")
    raise SinkError(
        where,
        "cannot be tried here: " + "; ".join(reasons),
        "start Docker, install bubblewrap, or allow user namespaces; "
        "for other architectures install qemu-user-static",
    )


def _run_in_engine(
    trial: Trial, where: str, store: ContentStore, files: FileStates, env: Mapping[str, str]
) -> Outcome:
    from .engine import run_in_engine  # the docker SDK takes 200 ms to import

    return run_in_engine(trial, where=where, store=store, files=files, env=env)
