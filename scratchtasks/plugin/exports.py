"""What a run puts into `dist/`: a layout for each image, and the summary of all."""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from scratchtasks.config.names import SERVICE_NAME_PATTERN
from scratchtasks.core.action import ActionResult
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.errors import SinkError, StoreError
from scratchtasks.core.image import PlatformImage, platform_image_from_json
from scratchtasks.core.span import span
from scratchtasks.core.task import Task
from scratchtasks.oci.layout import index_json
from scratchtasks.sinks import layout
from scratchtasks.sinks.summary import ImageSummary, Summary
from scratchtasks.store.lock import WorkspaceLock
from scratchtasks.store.signature import Watch

from .events import ImageMade

if TYPE_CHECKING:
    from .session import Session


class Exports:
    """The images in `dist/`; *others* are names of services that *session* left out."""

    def __init__(self, session: "Session", others: Collection[str]) -> None:
        self._session = session
        self._names = frozenset(others).union(session.graph.services)
        self.sound: Collection[str] = ()
        """Names of services whose images were just seen to stand in `dist/` as they should."""
        self._folder = os.path.join(session.world.root, "dist")
        self._summary = Summary(os.path.join(self._folder, "images.json"))
        self._made: dict[str, ImageSummary] = {}
        self._told: Mapping[str, Mapping[str, object]] | None = None
        self._has_cleaned = False
        self._pid = os.getpid()

    def layout_of(self, task: Task) -> str:
        """The absolute folder of an image task's OCI layout."""
        return os.path.join(self._folder, task.name.removeprefix("image:"))

    def images_of(self, task: Task) -> tuple[Descriptor, tuple[PlatformImage, ...]]:
        """What *task* last made: the manifest or index, and the image of each platform.

        Raises: ScratchError when it cannot be built.
        """
        return _images(self._session.engine.build(task.actions[-1]))

    def export(self, task: Task, how: Literal["ran", "hit"]) -> None:
        """Put the image of *task* into its layout; the summary tells of it when the run ends.

        Raises: SinkError, StoreError.
        """
        session = self._session
        top, images = self.images_of(task)
        name = task.name.removeprefix("image:")
        blobs, index = _blobs(top, images), index_json(name, top)
        size = sum(blob.size for blob in blobs)
        with span(session.world.tell, "export", f"dist/{name}", bytes=size):
            layout.export(name, top, blobs, index, session.world.store, self.layout_of(task))
        self._made[name] = summary_of(name, str(task.label), top, images)
        if os.getpid() != self._pid:
            self.write_summary()  # a worker process has no other end
        session.events.emit(ImageMade(str(task.label), top.digest, how))

    def has_made(self, task: Task) -> bool:
        """Whether this process has exported *task*'s image, and not yet written the summary."""
        return task.name.removeprefix("image:") in self._made

    def fault(self, task: Task) -> str:
        """Why `dist/` does not tell of *task*'s image as it is in the store, in plain words; ""
        when it does.  Raises: StoreError."""
        result = self._session.engine.verdict(task.actions[-1]).result
        if result is None:
            return "it was never built here"
        fault, _ = self._layout_fault(task, result)
        if self._told is None:
            self._told = self._summary.entries()
        name = task.name.removeprefix("image:")
        wanted = summary_of(name, str(task.label), *_images(result)).to_json()
        if not fault and {**self._told.get(name, {}), "references": []} != wanted:
            fault = f"{self._summary.path} does not tell of it"  # the last run was killed, say
        return fault.replace(self._session.world.root + "/", "")

    def watch(self, task: Task) -> tuple[str, list[Watch]]:
        """The digest of *task*'s image, and what to watch so that it stands in `dist/`; "" if it
        does not.  Raises: StoreError."""
        verdict = self._session.engine.known(task.actions[-1])
        if verdict is None or verdict.result is None:
            return "", []
        blobs = _blobs(*_images(verdict.result))
        name = f"dist/{task.name.removeprefix('image:')}"
        watches = list(layout.watch(self.layout_of(task), name, blobs, self._session.world.store))
        fault, digest = self._layout_fault(task, verdict.result)
        return ("", []) if fault else (digest, watches)

    def digests(self) -> Mapping[str, str]:
        """The digests of images that the summary tells of now.  Raises: StoreError."""
        return self._summary.digests()

    def reset(self) -> None:
        """Look at everything anew: somebody else was at work."""
        self._told, self.sound = None, ()

    def clean(self, task: Task) -> None:
        """Remove *task*'s layout.  Raises: SinkError; StoreError when something cannot go."""
        self._has_cleaned = True
        layout.remove(self.layout_of(task))

    def note_references(self, task: Task, references: Sequence[str]) -> None:
        """The image of *task* is in registries as *references*: the summary is to tell."""
        top, images = self.images_of(task)
        name = task.name.removeprefix("image:")
        summary = summary_of(name, str(task.label), top, images)
        self._made[name] = replace(summary, references=tuple(references))

    def write_summary(self) -> None:
        """Bring `dist/images.json` up to date with the images made by this run.

        Services that are gone leave it too, and `dist/`, once a run has asked about images, or
        there is none left to ask about; so does what was cleaned.  Where the file was lost, of the
        folders in `dist/` those that are surely ours.

        Raises: StoreError.
        """
        told = self._told if self._names else self._summary.entries()
        # A command that only asks (`why`, `info`) removes nothing, and waits for nobody.
        is_short = self._session.is_at_work and (
            not self._names >= (told or {}).keys()
            or (not self._names and os.path.isdir(self._folder))
        )
        if self._made or is_short or self._has_cleaned:
            self._session.lock()
            sound = () if self._has_cleaned else self.sound
            # Workers of doit's -P process share that lock, and write at the same time.
            with WorkspaceLock(os.path.join(self._session.world.scratch, "summary.lock")) as turn:
                turn.acquire(lambda _: None)
                orphans = [] if self._summary.entries() else self._orphans()
                gone = self._summary.write(self._made.values(), self._names, sound)
            for name in (*gone, *orphans):
                if re.fullmatch(SERVICE_NAME_PATTERN, name) is None:
                    continue  # no service had it: it would lead out of the folder, say
                with suppress(SinkError):  # it holds files of the user's
                    layout.remove(os.path.join(self._folder, name))
            if self._has_cleaned or gone or orphans:
                with suppress(OSError):  # something is left in it
                    os.rmdir(self._folder)
            self._made, self._has_cleaned = {}, False

    def _orphans(self) -> list[str]:
        """Names of folders in `dist/` that we have surely made and no service has: those of which
        the summary told, when that was lost."""
        try:
            names = sorted(os.listdir(self._folder))
        except OSError:
            return []
        store, found = self._session.world.store, []
        for name in names:
            if name not in self._names:
                with suppress(StoreError):  # it cannot be looked into
                    if layout.is_surely_ours(name, os.path.join(self._folder, name), store):
                        found.append(name)
        return found

    def _layout_fault(self, task: Task, result: ActionResult) -> tuple[str, str]:
        """What is wrong with *task*'s layout, and the digest that it should have."""
        world = self._session.world
        top, images = _images(result)
        blobs = _blobs(top, images)
        index = index_json(task.name.removeprefix("image:"), top)
        folder = self.layout_of(task)
        return layout.fault(top, blobs, index, world.store, world.files, folder), top.digest


def summary_of(
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


def _images(result: ActionResult) -> tuple[Descriptor, tuple[PlatformImage, ...]]:
    images = tuple(platform_image_from_json(value) for value in result.facts["images"])
    return result.outputs["top"], images


def _blobs(top: Descriptor, images: Sequence[PlatformImage]) -> list[Descriptor]:
    blobs = {blob.digest: blob for image in images for blob in image.blobs}
    return list({top.digest: top, **blobs}.values())
