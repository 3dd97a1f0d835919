"""prebuilt: take a binary that was made elsewhere, if it passes the ship gate."""

import os
from collections.abc import Iterable, Mapping, Sequence

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import StageError

from .elf import WrongMachine, ship
from .operation import Done, Job, Outcome, World, each_alone

_MACHINE_HINT = (
    "image.platforms says what the image is for; `{architecture}` in the path stands for each"
)

_PATH_HINT = (
    "binary.path is relative to the service's folder; what makes it runs first as a task of yours"
    " in Workspace(after=[…])"
)


class Prebuilt:
    """Checks a file and stores it.

    params: `path` (relative to the root, or absolute); or `output`, the name of an output of the
    dependency `source`.
    """

    version = 1

    def identity(self, job: Job, world: World) -> Json:
        return None

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        path = job.action.params.get("path")
        return (Input("file", str(path)),) if path else ()

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _taken(job, world))


def _taken(job: Job, world: World) -> Done:
    action, path = job.action, _file_of(job, world)
    assert action.platform is not None
    try:
        blob = ship(path, action.platform, str(action.label), world.store)
    except WrongMachine as error:
        raise WrongMachine(error.where, error.what, _MACHINE_HINT) from None
    return Done(outputs={"binary": blob})


def _file_of(job: Job, world: World) -> str:
    """The absolute path of the file to take.  Raises: StageError when there is none."""
    label, params = str(job.action.label), job.action.params
    if "output" in params:
        outputs = job.deps["source"].outputs
        name = str(params["output"])
        if name not in outputs:
            known = ", ".join(sorted(outputs)) or "none"
            raise StageError(label, f"wanted output {name!r} of its source, which has: {known}")
        return world.store.path(outputs[name].digest)
    path = str(params["path"])
    absolute = os.path.join(world.root, path)
    if not os.path.isfile(absolute):
        is_there = os.path.exists(absolute)
        what = f"the prebuilt binary {path} {'is not a file' if is_there else 'does not exist'}"
        raise StageError(label, what, "" if is_there else _PATH_HINT)
    return absolute
