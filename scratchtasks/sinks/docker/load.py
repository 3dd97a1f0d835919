"""Load images into an engine: what it lacks, in one archive, and no tag before all is well.

An archive may leave out layers that the engine has.  Whether it still had them is seen only
afterwards, and differently on each store; in doubt everything is sent once more.  So is an image
that was pruned before it had a name.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.errors import SinkError
from scratchtasks.core.frozen import dataclass
from scratchtasks.core.platform import Platform
from scratchtasks.core.rootfs import Rootfs
from scratchtasks.store.blobs import ContentStore

from ..kernel import emulated, natives
from .archive import PlainImage, write_archive
from .engine import Engine, Found, ImageGone, familiar

How = Literal["present", "tagged", "loaded"]
"""Nothing was to be done; only tags were missing; something was sent."""

_NOT_THERE = "the engine said yes, but has no image"

_MOST_LOOKED_AT = 200
"""Images in the engine that are looked at for layers, a millisecond each."""


@dataclass(frozen=True, slots=True)
class Loadable:
    """An image for the engine's platform, and the references (`NAME:TAG`) it gets there."""

    root: Rootfs
    references: tuple[str, ...]


def architectures_of(engine: Engine) -> tuple[str, ...]:
    """The architectures whose Linux programs *engine* runs, the best first.

    Those that qemu runs count where the engine is on this machine, and so has its kernel.

    Raises: SinkError, also when it runs no Linux programs.
    """
    os, architecture = engine.platform
    if os != "linux":
        raise SinkError("docker", f"the engine runs {os}/{architecture}, our images are for linux")
    its_own = natives(architecture, is_here=engine.is_here)
    foreign = emulated() if engine.is_here else ()
    return tuple(dict.fromkeys((*its_own, *foreign)))


def image_id(image: Loadable, engine: Engine) -> str:
    """*engine*'s own id of *image*, whatever its references mean there.  Raises: SinkError."""
    return _id_of(PlainImage(image.root), engine)


def for_engine(platforms: Sequence[Platform], architectures: Sequence[str], where: str) -> Platform:
    """The one of *platforms* that is for the first of *architectures*, or the next one.

    Raises: SinkError naming the platforms there are.
    """
    for architecture in architectures:
        for platform in platforms:
            if platform.architecture == architecture:
                return platform
    there = ", ".join(map(str, platforms))
    raise SinkError(
        where,
        f"the engine runs linux/{architectures[0]}, the image is for {there}",
        "add the platform to image.platforms",
    )


def load(images: Sequence[Loadable], engine: Engine, store: ContentStore) -> list[How]:
    """Bring *images* into *engine* with all their references; what was done for each.

    Nothing is sent that the engine has.  A reference moves only to an image that is whole there,
    so that on failure, or if this process is killed, it means what it meant before.

    Raises: SinkError when the engine refuses or is lost; StoreError when a blob is damaged.
    """
    plain = [PlainImage(each.root) for each in images]
    ids = [_id_of(image, engine) for image in plain]
    there = [_found(id, engine) for id in ids]
    lacking = {
        id: image
        for id, image, found in zip(ids, plain, there, strict=True)
        if found is None or not found.is_whole
    }
    if lacking:
        # Only what has the names of those that are sent is asked for: each costs the containerd
        # store 40 ms, and of 200 images most are there.
        names = [
            name
            for each, id in zip(images, ids, strict=True)
            if id in lacking
            for name in each.references
        ]
        _send(lacking, names, engine, store, [found for found in there if found is not None])
    done: list[How] = []
    for each, image, id, found in zip(images, plain, ids, there, strict=True):
        tags = found.tags if found else frozenset()
        missing = [name for name in each.references if familiar(name) not in tags]
        for reference in missing:
            try:
                engine.tag(id, reference)
            except ImageGone:
                lacking[id] = image
                _send({id: image}, (), engine, store)
                engine.tag(id, reference)
        done.append("loaded" if id in lacking else "tagged" if missing else "present")
    return done


def _id_of(image: PlainImage, engine: Engine) -> str:
    return digest_of(image.manifest) if engine.is_containerd else image.root.config.digest


def _found(id: str, engine: Engine) -> Found | None:
    found = engine.find(id)
    return found if found is not None and found.id == id else None


def _send(
    lacking: dict[str, PlainImage],
    previous: Iterable[str],
    engine: Engine,
    store: ContentStore,
    there: Iterable[Found] = (),
) -> None:
    left_out = frozenset[Digest]()
    if engine.takes_parts:
        left_out = _common_layers(list(lacking.values()), previous, there, engine)
    fault = _attempt(lacking, left_out, engine, store)
    if fault and (left_out or fault.startswith(_NOT_THERE)):  # pruned since, say
        fault = _attempt(lacking, frozenset(), engine, store)
    if fault:
        for id in lacking:
            engine.remove_broken(id)
        raise SinkError("docker load", fault)


def _attempt(
    lacking: dict[str, PlainImage], left_out: frozenset[Digest], engine: Engine, store: ContentStore
) -> str:
    """Send *lacking* in one archive; returns what is wrong then, "" when all is well."""
    images = list(lacking.values())
    fault = engine.load(write_archive(images, left_out, store))
    if fault:
        return fault
    for id in lacking:
        found = _found(id, engine)
        if found is None:
            return f"{_NOT_THERE} {id}"
        if not found.is_whole:
            return f"the engine said yes, but image {id} lacks layers"
    return ""


def _common_layers(
    images: Sequence[PlainImage],
    previous: Iterable[str],
    there: Iterable[Found],
    engine: Engine,
) -> frozenset[Digest]:
    """The layers of *images* that the engine has, as tars, wherever *images* use them.

    What is *there* is known already.  The images that have their names now are looked at next,
    and all others only if more than an image's top layer is missing: after an edit that one is
    new to everybody.
    """
    known = _Known(engine)
    for found in there:
        known.add(found)
    for name in previous:
        known.add(engine.find(name))
    if any(known.missing(image) - {image.tars[-1].digest} for image in images if image.tars):
        for id in [id for id in engine.ids() if id not in known.seen][:_MOST_LOOKED_AT]:
            known.add(engine.find(id))
    missing = frozenset[Digest]().union(*map(known.missing, images))
    return frozenset(tar.digest for image in images for tar in image.tars) - missing


class _Known:
    """Layers that images in the engine are made of."""

    def __init__(self, engine: Engine) -> None:
        self.seen: set[str] = set()
        self._is_classic = not engine.is_containerd
        self._layers: set[object] = set()

    def add(self, found: Found | None) -> None:
        if found is None or found.id in self.seen:
            return
        self.seen.add(found.id)
        if self._is_classic or (found.is_plain and found.is_whole):
            self._layers.update(self._keys(found.layers))

    def missing(self, image: PlainImage) -> set[Digest]:
        digests = [tar.digest for tar in image.tars]
        keys = self._keys(digests)
        return {
            digest for digest, key in zip(digests, keys, strict=True) if key not in self._layers
        }

    def _keys(self, layers: Sequence[str]) -> list[object]:
        # The classic store knows a layer by all that lies below it too (its chain id).
        if self._is_classic:
            return [tuple(layers[: number + 1]) for number in range(len(layers))]
        return list(layers)
