"""Carry out a Plan as one transaction: all blobs, then manifests by digest, then tags.

Source: OCI distribution-spec v1.1, "Push".
"""

import threading
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, Json
from scratchtasks.core.errors import ScratchError, SinkError, count_of
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import Job, map_all, run_jobs
from scratchtasks.core.size import human_size
from scratchtasks.core.span import OnSpan, span
from scratchtasks.registry.blobs import send_blob
from scratchtasks.registry.client import Registry
from scratchtasks.registry.errors import RegistryError
from scratchtasks.registry.manifests import Manifest, digest_at, put_manifest
from scratchtasks.registry.reference import Repository
from scratchtasks.registry.uploads import NOWHERE, Uploads
from scratchtasks.store.blobs import ContentStore

from .plan import BlobStep, ImagePlan, Plan, TagMove, make_plan
from .rollback import Moved, held, undo

_TAKEN_ALREADY = frozenset({400, 405, 409})
_LACKS = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"})


@dataclass(frozen=True, slots=True)
class Pushed:
    """An image as it is in its registry now; *references* are its `repository:tag`s."""

    name: str
    repository: str
    digest: Digest
    references: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.repository}@{self.digest}"

    def to_json(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "repository": self.repository,
            "digest": self.digest,
            "references": list(self.references),
        }


def push(
    plan: Plan,
    registry: Registry,
    store: ContentStore,
    tell: OnSpan | None = None,
    uploads: Uploads = NOWHERE,
) -> list[Pushed]:
    """Do what *plan* says; the images, in its order, as they are in their registries then.

    No tag is set before everything that all images need is there.  If one cannot be, those that
    were are put back to what they meant just before, whoever moved them since the plan, and new
    ones taken away, where the registry deletes anything.  After any failure the same push,
    planned anew, continues; also after a kill, where *uploads* are kept.  *tell* hears of each
    blob and manifest.

    Raises: SinkError with the registry's own words and what remains to be done; StoreError.
    """
    run = _Run(plan, registry, store, tell, uploads)
    try:
        run.carry_out()
    except ScratchError as failure:
        if not run.was_misled(failure):
            raise run.told(failure) from None
        registry.patience.relent()
        plan = make_plan([each.image for each in plan.images], registry, store, is_doubted=True)
        run = _Run(plan, registry, store, tell, uploads)
        try:
            run.carry_out()
        except ScratchError as again:
            raise run.told(again) from None
    return [
        Pushed(
            image.image.name,
            str(image.repository),
            image.image.top.digest,
            tuple(f"{image.repository}:{tag}" for tag in dict.fromkeys(image.image.tags)),
        )
        for image in plan.images
    ]


class _Run:
    """One push under way, and what it has done so far."""

    def __init__(
        self,
        plan: Plan,
        registry: Registry,
        store: ContentStore,
        tell: OnSpan | None,
        uploads: Uploads,
    ) -> None:
        self._uploads = uploads
        self._tell = tell
        self._plan = plan
        self._registry = registry
        self._store = store
        self._workers = registry.limits.workers
        self._lock = threading.Lock()
        self._sent: set[tuple[Repository, Digest]] = set()
        self._put: set[tuple[Repository, Digest]] = set()
        self._moved: dict[tuple[Repository, str], Moved] = {}
        self._before: dict[tuple[Repository, Digest | None], Sequence[Manifest]] = {}
        self._stuck: list[str] = []

    def carry_out(self) -> None:
        """All of the plan, in the one safe order.  Raises: ScratchError."""
        self.send_blobs()
        self.put_manifests()
        self.rehearse()
        self.move_tags()

    def was_misled(self, failure: ScratchError) -> bool:
        """Whether *failure* says that the registry lacks what a manifest names that it has, and
        that the plan took for whole; every tag is where it was then.

        A registry's collection of garbage beside a push leaves such manifests, and a blob that
        somebody has deleted.
        """
        is_lack = isinstance(failure, RegistryError) and not _LACKS.isdisjoint(failure.codes)
        is_trusted = any(image.tags and not image.manifests for image in self._plan.images)
        return is_lack and is_trusted and not self._stuck

    def send_blobs(self) -> None:
        """Upload each blob once in a registry, and mount it elsewhere as soon as it is there."""
        lacking = {(step.repository, step.blob.digest) for step in self._plan.blobs}
        first: list[BlobStep] = []
        after: dict[tuple[Repository, Digest], list[BlobStep]] = {}
        for step in self._plan.blobs:
            source = step.mount_from
            if source is not None and (source, step.blob.digest) in lacking:
                after.setdefault((source, step.blob.digest), []).append(step)
            else:
                first.append(step)
        # The largest first: the last one to end decides how long it takes.
        first.sort(key=lambda step: -step.blob.size)

        def job(step: BlobStep) -> Job:
            def run() -> Iterable[Job]:
                self._registry.patience.check()
                key = step.repository, step.blob.digest
                with self._span(*key, step.blob.size) as told:
                    told["mounted"] = send_blob(
                        self._registry,
                        step.repository,
                        step.blob,
                        self._store,
                        step.mount_from,
                        self._uploads,
                    )
                with self._lock:
                    self._sent.add(key)
                return [job(next_step) for next_step in after.get(key, ())]

            return run

        run_jobs([job(step) for step in first], self._workers)

    def put_manifests(self) -> None:
        """Platforms first, then the indexes that name them."""
        for is_top in (False, True):
            wanted = {
                (image.repository, manifest.digest): manifest
                for image in self._plan.images
                for manifest in image.manifests
                if (manifest == image.image.top) == is_top
            }
            run_jobs(
                [self._manifest_job(key[0], manifest) for key, manifest in wanted.items()],
                self._workers,
            )

    def _manifest_job(self, repository: Repository, blob: Descriptor) -> Job:
        def run() -> Iterable[Job]:
            self._registry.patience.check()
            with self._span(repository, blob.digest, blob.size):
                put_manifest(self._registry, repository, self._manifest(blob), blob.digest)
            with self._lock:
                self._put.add((repository, blob.digest))
            return ()

        return run

    def rehearse(self) -> None:
        """Put manifests that were there already once more by digest, if several tags are to be set.

        What this push has put has proved that it may write, and that the registry has the whole
        image; of these it is found out now, while every tag is where it was.
        """
        tops = {
            (image.repository, image.image.top.digest): image.image.top
            for image in self._plan.images
            if image.tags and not image.manifests
        }
        if sum(len(image.tags) for image in self._plan.images) > 1:
            jobs = [self._rehearsal(repository, top) for (repository, _), top in tops.items()]
            run_jobs(jobs, self._workers)

    def _rehearsal(self, repository: Repository, top: Descriptor) -> Job:
        def run() -> Iterable[Job]:
            try:
                put_manifest(self._registry, repository, self._manifest(top), top.digest)
            except RegistryError as error:
                # Some registries take nothing twice, which says nothing of tags.
                if error.is_transient or error.status not in _TAKEN_ALREADY:
                    raise
            return ()

        return run

    def move_tags(self) -> None:
        """All or none.  New tags come last: not every registry can take one away again."""
        moves = self._moves_now()
        self._hold(moves)
        # A tag alone that is all there was to do leaves nothing half done.
        is_all = len(moves) == 1 and not moves[0][0].manifests
        tries = None if is_all else self._registry.limits.insistence
        self._registry.patience.persist()
        try:
            for is_new in (False, True):
                wanted = [pair for pair in moves if (pair[1].was is None) == is_new]
                run_jobs([self._tag_job(*pair, tries) for pair in wanted], self._workers)
        except BaseException:
            self._stuck += undo(self._registry, self._moved.values())
            raise

    def _moves_now(self) -> list[tuple[ImagePlan, TagMove]]:
        """The moves of the plan, by one HEAD for each tag from where it is now.

        While blobs were sent, somebody may have moved one: that is what a failure has to restore.
        """
        planned = {
            (image.repository, move.tag): image
            for image in self._plan.images
            for move in image.tags
        }
        found = map_all(
            lambda place: digest_at(self._registry, *place), list(planned), self._workers
        )
        return [
            (image, TagMove(tag, was))
            for ((_, tag), image), was in zip(planned.items(), found, strict=True)
            if was != image.image.top.digest  # a push beside this one was quicker
        ]

    def _hold(self, moves: Sequence[tuple[ImagePlan, TagMove]]) -> None:
        """Keep what tags mean that a failure of another one would put back."""
        if len(moves) > 1:
            places = list({(image.repository, move.was) for image, move in moves if move.was})
            found = map_all(lambda each: held(self._registry, *each), places, self._workers)
            self._before.update(zip(places, found, strict=True))

    def _tag_job(self, image: ImagePlan, move: TagMove, tries: int | None) -> Job:
        def run() -> Iterable[Job]:
            manifest = self._manifest(image.image.top)
            before = self._before.get((image.repository, move.was), ())
            moved = Moved(image.repository, move, manifest, before)
            # Noted before it is done: an answer may be lost after the deed.
            self._moved[image.repository, move.tag] = moved
            with self._span(image.repository, move.tag, len(manifest.data)):
                put_manifest(self._registry, image.repository, manifest, move.tag, tries)
            self._moved[image.repository, move.tag] = replace(moved, is_sure=True)
            return ()

        return run

    def _span(
        self, repository: Repository, name: str, size: int
    ) -> AbstractContextManager[dict[str, Json]]:
        return span(self._tell, "upload", name, repository=str(repository), bytes=size)

    def _manifest(self, blob: Descriptor) -> Manifest:
        return Manifest(blob.media_type, self._store.read(blob.digest))

    def told(self, failure: ScratchError) -> SinkError:
        """*failure* with what remains to be done."""
        blobs = [
            step
            for step in self._plan.blobs
            if (step.repository, step.blob.digest) not in self._sent
        ]
        manifests = {
            (image.repository, manifest.digest)
            for image in self._plan.images
            for manifest in image.manifests
        } - self._put
        tags = {f"{i.repository}:{move.tag}" for i in self._plan.images for move in i.tags}
        size = sum(step.blob.size for step in blobs if step.mount_from is None)
        rest = [
            f"{count_of(len(blobs), 'blob')} ({human_size(size)})" if blobs else "",
            count_of(len(manifests), "manifest") if manifests else "",
            "tag" + "s" * (len(tags) > 1) + " " + ", ".join(sorted(tags)) if tags else "",
        ]
        state = "every tag is where it was" if not self._stuck else "\n    ".join(self._stuck)
        lines = [
            failure.what,
            f"    {state}",
            f"    remaining: {'; '.join(filter(None, rest))}",
        ]
        hint = failure.hint or "push again: it continues where it was"
        return SinkError(failure.where, "\n".join(lines), hint)
