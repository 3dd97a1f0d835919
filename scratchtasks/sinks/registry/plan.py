"""What a push will do, found out by HEAD requests alone.

Source: OCI distribution-spec v1.1, "Checking if content exists in the registry".
"""

from collections.abc import Iterable, Sequence

from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Digest, Json
from scratchtasks.core.errors import SinkError, count_of
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.parallel import map_all
from scratchtasks.core.size import human_size
from scratchtasks.registry.blobs import has_blob
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at
from scratchtasks.registry.reference import Repository, check_tag, parse_repository
from scratchtasks.store.blobs import ContentStore

_SIBLINGS = 3
"""How many repositories outside of a push are asked for a blob, so that it may be mounted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PushImage:
    """An image that is to be in a registry.

    *top* is what tags point to: an index, or the only manifest.  *manifests* are those of its
    platforms, *blobs* the configs and layers of all of them; what both name counts once.
    *repository* is `host/path`; without *tags* it is there by digest alone.
    """

    name: str
    label: str
    top: Descriptor
    manifests: Sequence[Descriptor]
    blobs: Sequence[Descriptor]
    repository: str
    tags: Sequence[str] = ("latest",)


@dataclass(frozen=True, slots=True)
class TagMove:
    """A tag that does not mean the image yet; *was* is what it meant when it was looked at last,
    None when it is new.
    """

    tag: str
    was: Digest | None


@dataclass(frozen=True, slots=True)
class BlobStep:
    """A blob that *repository* lacks: mounted from a repository that has it, or gets it first."""

    repository: Repository
    blob: Descriptor
    mount_from: Repository | None = None


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What one image still needs: *manifests* by digest, the top last, then *tags*."""

    image: PushImage
    repository: Repository
    manifests: tuple[Descriptor, ...] = ()
    tags: tuple[TagMove, ...] = ()

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return not self.manifests and not self.tags


@dataclass(frozen=True, slots=True)
class Plan:
    """All images of a push, in the order given, and every blob that some repository lacks."""

    images: tuple[ImagePlan, ...]
    blobs: tuple[BlobStep, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of blobs to send; mounted ones cost none."""
        return sum(step.blob.size for step in self.blobs if step.mount_from is None)

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be done."""
        return all(image.is_current for image in self.images)

    def to_json(self) -> dict[str, Json]:
        """The plan for scripts; sizes in bytes."""
        return {"size": self.size, "images": [self._image_json(image) for image in self.images]}

    def __str__(self) -> str:
        lines = [line for image in self.images for line in self._lines(image)]
        total = "nothing to do" if self.is_current else f"{human_size(self.size)} to send"
        return "\n".join([*lines, total])

    def _steps(self, image: ImagePlan) -> list[BlobStep]:
        wanted = {blob.digest for blob in image.image.blobs}
        return [
            step
            for step in self.blobs
            if step.repository == image.repository and step.blob.digest in wanted
        ]

    def _image_json(self, image: ImagePlan) -> dict[str, Json]:
        return {
            "name": image.image.name,
            "label": image.image.label,
            "repository": str(image.repository),
            "digest": image.image.top.digest,
            "blobs": [
                {
                    "digest": step.blob.digest,
                    "size": step.blob.size,
                    "mount_from": str(step.mount_from) if step.mount_from else None,
                }
                for step in self._steps(image)
            ],
            "manifests": [manifest.digest for manifest in image.manifests],
            "tags": [{"tag": move.tag, "was": move.was} for move in image.tags],
        }

    def _lines(self, image: ImagePlan) -> Iterable[str]:
        yield f"{image.image.name}: {image.repository}@{image.image.top.digest}"
        if image.is_current:
            yield "    is there"
        steps = self._steps(image)
        sent = [step.blob.size for step in steps if step.mount_from is None]
        if sent:
            yield f"    send {count_of(len(sent), 'blob')}, {human_size(sum(sent))}"
        if len(sent) < len(steps):
            yield f"    mount {count_of(len(steps) - len(sent), 'blob')}"
        if image.manifests:
            yield f"    put {count_of(len(image.manifests), 'manifest')}"
        for move in image.tags:
            yield f"    tag {move.tag}, " + (f"now {move.was}" if move.was else "new")


def make_plan(
    images: Sequence[PushImage],
    registry: Registry,
    store: ContentStore,
    siblings: Sequence[PushImage] = (),
    *,
    is_doubted: bool = False,
) -> Plan:
    """What *images* still need, by HEAD requests alone: one for each tag that is right already.

    *siblings* are images that are not pushed now but may be in the same registries: blobs that
    they share with *images* are mounted from there.  If it *is_doubted* that a manifest's blobs
    are there because it is, each of them is asked for, where a tag is to move.

    Raises: SinkError (two images for one tag, a malformed name, a registry that refuses);
    StoreError when a blob that must be sent is missing or damaged.
    """
    named = [ImagePlan(image, _repository(image)) for image in images]
    _check_conflicts(named)
    workers = registry.limits.workers
    tags = [(image.repository, tag) for image in named for tag in image.image.tags]
    unique = list(dict.fromkeys(tags))
    found = dict(
        zip(unique, map_all(lambda t: digest_at(registry, *t), unique, workers), strict=True)
    )
    planned = map_all(
        lambda image: _image_plan(image, found, registry, is_doubted=is_doubted), named, workers
    )
    plan = Plan(tuple(planned), _blob_steps(planned, registry, siblings))
    _check_store(plan, store)
    return plan


def _repository(image: PushImage) -> Repository:
    for tag in image.tags:
        check_tag(tag, f"{image.label}: push.tags")
    return parse_repository(image.repository, f"{image.label}: push.repository")


def _check_conflicts(images: Sequence[ImagePlan]) -> None:
    taken: dict[tuple[Repository, str], ImagePlan] = {}
    for image in images:
        for tag in image.image.tags:
            other = taken.setdefault((image.repository, tag), image)
            if other.image.top.digest != image.image.top.digest:
                raise conflict(f"{image.repository}:{tag}", other.image.label, image.image.label)


def conflict(reference: str, one: str, other: str) -> SinkError:
    """Two images, the labels *one* and *other*, for one *reference*."""
    return SinkError(
        reference,
        f"both {one} and {other} are to be pushed there",
        "give one of them another push.repository, or other push.tags",
    )


def _image_plan(
    image: ImagePlan,
    found: dict[tuple[Repository, str], Digest | None],
    registry: Registry,
    *,
    is_doubted: bool,
) -> ImagePlan:
    top, repository = image.image.top, image.repository
    tags = dict.fromkeys(image.image.tags)
    digests = {tag: found[repository, tag] for tag in tags}
    moves = tuple(TagMove(tag, was) for tag, was in digests.items() if was != top.digest)
    is_there = len(moves) < len(digests) or (
        digest_at(registry, repository, top.digest) == top.digest
    )
    if is_there and not moves:
        return ImagePlan(image.image, repository)
    below = {m.digest: m for m in image.image.manifests if m.digest != top.digest}
    if is_doubted:
        return ImagePlan(image.image, repository, (*below.values(), top), moves)
    missing = [m for m in below.values() if digest_at(registry, repository, m.digest) is None]
    # Whoever has deleted a platform of an index may have left the index.
    manifests = () if is_there and not missing else (*missing, top)
    return ImagePlan(image.image, repository, manifests, moves)


def _blob_steps(
    images: Sequence[ImagePlan], registry: Registry, siblings: Sequence[PushImage]
) -> tuple[BlobStep, ...]:
    """Each blob once per repository; the first that gets it in a registry is the others' source."""
    wanted: dict[tuple[Repository, Digest], Descriptor] = {}
    for image in images:
        if image.manifests:
            manifests = {m.digest for m in image.image.manifests} | {image.image.top.digest}
            for blob in image.image.blobs:
                if blob.digest not in manifests:
                    wanted[image.repository, blob.digest] = blob
    pairs = list(wanted)
    is_there = map_all(
        lambda pair: has_blob(registry, pair[0], wanted[pair]), pairs, registry.limits.workers
    )
    sources: dict[tuple[str, Digest], Repository] = {}
    for (repository, digest), there in zip(pairs, is_there, strict=True):
        if there:
            sources.setdefault((repository.host, digest), repository)
    missing = [pair for pair, there in zip(pairs, is_there, strict=True) if not there]
    sought = {
        (repository.host, digest): wanted[repository, digest]
        for repository, digest in missing
        if (repository.host, digest) not in sources
    }
    sources |= _in_siblings(sought, registry, siblings)
    steps = []
    for repository, digest in missing:
        source = sources.setdefault((repository.host, digest), repository)
        steps.append(
            BlobStep(
                repository,
                wanted[repository, digest],
                None if source == repository else source,
            )
        )
    return tuple(steps)


def _in_siblings(
    sought: dict[tuple[str, Digest], Descriptor], registry: Registry, siblings: Sequence[PushImage]
) -> dict[tuple[str, Digest], Repository]:
    """Where the blobs *sought* (by host and digest) can be mounted from."""
    candidates: dict[tuple[str, Digest], dict[Repository, None]] = {key: {} for key in sought}
    for sibling in siblings:
        repository = _repository(sibling)
        for blob in sibling.blobs:
            if (repository.host, blob.digest) in candidates:
                candidates[repository.host, blob.digest][repository] = None

    def find(key: tuple[str, Digest]) -> Repository | None:
        for repository in list(candidates[key])[:_SIBLINGS]:
            try:
                if has_blob(registry, repository, sought[key]):
                    return repository
            except SinkError:
                continue  # a repository that may not be read is no source, and no failure
        return None

    keys = [key for key in sought if candidates[key]]
    found = map_all(find, keys, registry.limits.workers)
    return {key: source for key, source in zip(keys, found, strict=True) if source is not None}


def _check_store(plan: Plan, store: ContentStore) -> None:
    """Nothing is begun that the store could not finish."""
    sent = {step.blob.digest: step.blob for step in plan.blobs}
    for image in plan.images:
        sent |= {m.digest: m for m in image.manifests}
        if image.tags:
            sent[image.image.top.digest] = image.image.top
    for blob in sent.values():
        fault = store.fault(blob)
        if fault:
            raise SinkError("push", fault, "build the image again")
