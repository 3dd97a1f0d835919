"""Images in `dist/`, one layout each, and `dist/images.json`, which tells of all of them."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from scratchtasks.core.action import ActionResult
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.image import PlatformImage, platform_image_from_json
from scratchtasks.core.span import span
from scratchtasks.core.task import Task
from scratchtasks.oci.layout import index_json
from scratchtasks.sinks import layout
from scratchtasks.sinks.summary import ImageSummary, read_digests, write_summary
from scratchtasks.store.lock import WorkspaceLock
from scratchtasks.store.signature import Watch

from .events import ImageMade

if TYPE_CHECKING:
    from .session import Session


class Exports:
    """What this run puts into `dist/`; *names* are all services that there are."""

    def __init__(self, session: "Session", names: Collection[str]) -> None:
        self._session = session
        self._names = frozenset(names)
        self._folder = os.path.join(session.world.root, "dist")
        self._summary = os.path.join(self._folder, "images.json")
        self._made: dict[str, ImageSummary] = {}
        self._summarized: Mapping[str, str] | None = None
        self._pid = os.getpid()

    def layout_of(self, task: Task) -> str:
        """The absolute folder of an image task's OCI layout."""
        return os.path.join(self._folder, _name(task))

    def put(self, task: Task, how: Literal["ran", "hit"]) -> None:
        """Put the image that *task* has made, as *how* says, into its place.

        Raises: ScratchError.
        """
        session, name = self._session, _name(task)
        top, images = session.images_of(task)
        blobs, place = _blobs(top, images), self.layout_of(task)
        size = sum(blob.size for blob in blobs)
        with span(session.world.tell, "export", f"dist/{name}", bytes=size):
            layout.export(name, top, blobs, index_json(name, top), session.world.store, place)
        self._made[name] = _summary_of(name, str(task.label), top, images)
        if os.getpid() != self._pid:
            self.write_summary()  # a worker process has no other end
        session.events.emit(ImageMade(str(task.label), top.digest, how))

    def note_references(self, task: Task, references: Sequence[str]) -> None:
        """The image of *task* is in registries as *references*: the summary is to tell."""
        top, images = self._session.images_of(task)
        summary = _summary_of(_name(task), str(task.label), top, images)
        self._made[_name(task)] = replace(summary, references=tuple(references))

    def fault(self, task: Task) -> str:
        """What is wrong with the image of *task* in `dist/`, "" when it stands there whole."""
        session, name = self._session, _name(task)
        result = session.engine.verdict(task.actions[-1]).result
        if result is None:
            return "it was never built here"
        top, images = images_in(result)
        fault = layout.fault(
            top,
            _blobs(top, images),
            index_json(name, top),
            session.world.store,
            session.world.files,
            self.layout_of(task),
        )
        if not fault and self._digests().get(name) != top.digest:
            fault = f"{self._summary} does not tell of it"  # the last run was killed, say
        return fault.replace(session.world.root + "/", "")

    def watch(self, task: Task) -> tuple[str, list[Watch]]:
        """The digest of *task*'s image, and what to watch so that it stands in `dist/`; "" if it
        does not."""
        verdict = self._session.engine.known(task.actions[-1])
        if verdict is None or verdict.result is None:
            return "", []
        top, images = images_in(verdict.result)
        blobs, index = _blobs(top, images), index_json(_name(task), top)
        files, store = self._session.world.files, self._session.world.store
        place = self.layout_of(task)
        watches = list(layout.watch(place, f"dist/{_name(task)}", blobs, store))
        fault = layout.fault(top, blobs, index, store, files, place)
        return ("", []) if fault else (top.digest, watches)

    def remove(self, task: Task) -> None:
        """Remove the layout of *task*'s image.  Raises: SinkError."""
        layout.remove(self.layout_of(task))

    def told_digests(self) -> Mapping[str, str]:
        """The digests of images in `dist/images.json` as it is now."""
        return read_digests(self._summary)

    def write_summary(self) -> None:
        """Bring `dist/images.json` up to date with the images made by this run.

        Services that are gone leave it too, once a run has asked about images.
        """
        if self._made or not self._names >= (self._summarized or {}).keys():
            self._session.lock()
            # Workers of doit's -P process share that lock, and write at the same time.
            with WorkspaceLock(os.path.join(self._session.world.scratch, "summary.lock")) as turn:
                turn.acquire(lambda _: None)
                write_summary(self._summary, self._made.values(), self._names)
            self._made = {}

    def reset(self) -> None:
        """Forget what the summary said: somebody else was at work."""
        self._summarized = None

    def _digests(self) -> Mapping[str, str]:
        if self._summarized is None:
            self._summarized = read_digests(self._summary)
        return self._summarized


def images_in(result: ActionResult) -> tuple[Descriptor, tuple[PlatformImage, ...]]:
    """The manifest or index that an image action gave as *result*, and each platform's image."""
    images = tuple(platform_image_from_json(value) for value in result.facts["images"])
    return result.outputs["top"], images


def _summary_of(
    name: str, label: str, top: Descriptor, images: Sequence[PlatformImage]
) -> ImageSummary:
    """The entry of an image in `dist/images.json`; layers of the first platform."""
    return ImageSummary(
        name=name,
        label=label,
        digest=top.digest,
        image_id=images[0].config.digest,
        platforms=tuple(str(image.platform) for image in images),
        size=sum(layer.blob.size for layer in images[0].layers),
        layers=images[0].layers,
    )


def _blobs(top: Descriptor, images: Sequence[PlatformImage]) -> list[Descriptor]:
    blobs = {blob.digest: blob for image in images for blob in image.blobs}
    return list({top.digest: top, **blobs}.values())


def _name(task: Task) -> str:
    return task.name.removeprefix("image:")
