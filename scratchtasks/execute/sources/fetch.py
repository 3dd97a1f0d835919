"""op `fetch`: one file, bundle or tree from a pinned source, into the store."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from scratchtasks.core.action import Input
from scratchtasks.core.digest import Json
from scratchtasks.core.source import FromDebian, FromImage, FromMachine, pin_name

from ..elf import check_machine
from ..operation import Done, Job, Outcome, World, each_alone
from .bounds import Bounds
from .pinned import OCTETS, blob_of, locked, source_of
from .tree import pack_files

if TYPE_CHECKING:
    from .image import OtherImage

    OpenImage = Callable[[Job, FromImage], OtherImage]


class Fetch:
    """Outputs: `file` (or, for `zones`, a tar of them).  Facts: `mode`, `version`.

    Params: *what* (`file`, `roots`, `zones`) and the source.  The key names the pin alone, so an
    unchanged pin asks nobody anything; what depends on this counts the bytes that came of it.
    """

    version = 2

    def __init__(self, bounds: Bounds | None = None) -> None:
        self._bounds = bounds or Bounds()

    def identity(self, job: Job, world: World) -> Json:
        """The pin.  Raises: StageError without one."""
        pin = locked(pin_name(source_of(job.action.params)), world)
        return {"pin": [pin.name, pin.version, pin.sha256]}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return ()

    def batch_key(self, job: Job, world: World) -> str:
        """Files of one image go together: its layers are listed once for all of them."""
        image = job.action.params.get("image")
        return f"{image} {job.action.platform}" if image else ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        with ExitStack() as stack:
            opened: dict[str, OtherImage] = {}

            def open_image(job: Job, source: FromImage) -> "OtherImage":
                from .image import OtherImage

                key = self.batch_key(job, world)
                if key not in opened:
                    image = OtherImage(source, job.action.platform, world, self._bounds)
                    opened[key] = stack.enter_context(image)
                return opened[key]

            return each_alone(jobs, lambda job: self._run(job, world, open_image))

    def _run(self, job: Job, world: World, open_image: "OpenImage") -> Done:
        params: Mapping[str, Any] = job.action.params
        source, what = source_of(params), str(params["what"])
        pin = locked(pin_name(source), world)
        facts: dict[str, Any] = {"version": pin.version}
        match source:
            case FromImage():
                return _from_image(open_image(job, source), source, job, world, facts)
            case FromDebian():
                from . import debian

                data = debian.fetch_roots(pin, world)
            case FromMachine():
                # Kept under its digest: the machine's may move, what was pinned does not.
                if world.store.has(blob_of(pin)):
                    return Done(outputs={"file": blob_of(pin)}, facts=facts)
                from . import machine

                data = machine.read_machine(source, what)
                machine.check_machine(pin, data)
        return Done(outputs={"file": world.store.put_bytes(data, OCTETS)}, facts=facts)


def _from_image(
    other: "OtherImage", source: FromImage, job: Job, world: World, facts: dict[str, Any]
) -> Done:
    from .machine import is_zone_path

    if job.action.params["what"] == "zones":
        files = other.read_files(source.path, is_zone_path)
        blob = world.store.put_bytes(pack_files(files), OCTETS)
    else:
        blob, is_executable = other.keep_file(source.path)
        if job.action.platform is not None and is_executable:
            # An image for one platform alone gives the same file to all.
            where = f"{source.path} of image {source.image}"
            check_machine(world.store.path(blob.digest), job.action.platform, where)
        facts["mode"] = 0o755 if is_executable else 0o644
    return Done(outputs={"file": blob}, facts=facts)
