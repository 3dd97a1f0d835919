"""Make an image of a root file system: compress its layers, check the size, write manifests."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import Json
from scratchtasks.core.errors import StageError
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.rootfs import Rootfs, rootfs_from_json
from scratchtasks.oci import media
from scratchtasks.oci.gzip import compressor
from scratchtasks.oci.image import index_bytes, manifest_bytes, timestamp

from .layers import pack
from .operation import Done, Job, Outcome, World, each_alone

_SMALLER = {
    "zoneinfo": '[zoneinfo] zones = ["UTC", …] takes those alone that are named',
    "files": "image.files says what is in it",
}
"""How the largest layer gets smaller, by its kind."""


class ImageOperation:
    """op `image`: facts hold, for each of param `platforms`, its manifest, config and layers.

    deps: `rootfs@PLATFORM` for each.
    """

    version = 3

    def identity(self, job: Job, world: World) -> Json:
        """How layers are compressed, and the clock that images carry."""
        return {"compressor": compressor(), "epoch": world.epoch}

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return ()

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _assemble(job, world))


def _assemble(job: Job, world: World) -> Done:
    roots = [rootfs_from_json(each.facts["root"]) for each in _roots(job)]
    made = [_for_platform(root, job, world) for root in roots]
    top = made[0].manifest
    if len(made) > 1:
        index = index_bytes([(each.manifest, each.platform) for each in made])
        top = world.store.put_bytes(index, media.INDEX)
    outputs = {"top": top}
    for each in made:
        outputs.update({blob.digest: blob for blob in each.blobs})
    return Done(outputs=outputs, facts={"images": [each.to_json() for each in made]})


def _roots(job: Job) -> list[ActionResult]:
    """In the order of the platforms, which the index keeps: runtimes take the first that fits."""
    platforms: Any = job.action.params["platforms"]
    return [job.deps[f"rootfs@{platform}"] for platform in platforms]


def _for_platform(root: Rootfs, job: Job, world: World) -> PlatformImage:
    layers = [pack(world, layer) for layer in root.layers]
    _check_size(layers, job)
    annotations = {**_annotations(job.action.params, world.epoch), **_versions_of(job)}
    data = manifest_bytes(root.config, [layer.blob for layer in layers], annotations)
    manifest = world.store.put_bytes(data, media.MANIFEST)
    return PlatformImage(root.platform, manifest, root.config, tuple(layers))


def _check_size(layers: Sequence[Layer], job: Job) -> None:
    limit: Any = job.action.params["max_size"]
    size = sum(layer.blob.size for layer in layers)
    if limit and size > limit:
        parts = ", ".join(f"{layer.kind} {layer.blob.size:,}" for layer in layers)
        largest = max(layers, key=lambda layer: layer.blob.size).kind
        raise StageError(
            str(job.action.label),
            f"image.max_size: wanted at most {limit:,} bytes, got {size:,} ({parts})",
            _SMALLER.get(largest, "raise it, if the image is meant to be so large"),
        )


def _annotations(params: Mapping[str, Any], epoch: int) -> dict[str, str]:
    """What tools show of an image without pulling it.

    Source: OCI image-spec v1.1, annotations.md#pre-defined-annotation-keys.
    """
    given = {
        name: value
        for name, value in params["labels"].items()
        if name.startswith("org.opencontainers.image.")
    }
    return {
        "org.opencontainers.image.title": params["name"],
        "org.opencontainers.image.created": timestamp(epoch),
        **given,
    }


def _versions_of(job: Job) -> dict[str, str]:
    """The sources of the certificates and zones inside, such as `certifi 2026.10.18`."""
    first = _roots(job)[0]  # essentials are the same on every platform
    versions: Mapping[str, Mapping[str, str]] = first.facts["versions"]
    return {
        f"dev.scratchtasks.{kind}": ", ".join(f"{name} {each[name]}" for name in each)
        for kind, each in versions.items()
        if each
    }
