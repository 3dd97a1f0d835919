"""Assemble an image: check the composed root, pack what only this image has, write manifests."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, BinaryIO

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.descriptor import layer_from_json
from scratchtasks.core.digest import Digest, Json
from scratchtasks.core.errors import StageError, did_you_mean
from scratchtasks.core.image import PlatformImage
from scratchtasks.core.platform import Platform, parse_platform
from scratchtasks.core.target import Healthcheck, Image, User
from scratchtasks.core.tree import FileEntry, check_path, entry_from_json, merge_trees
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes, index_bytes, manifest_bytes, timestamp

from .essentials import check_tz
from .operation import Done, Job, Outcome, World, each_alone
from .pack import pack, packing_identity
from .staging import Owners, Staging, stage


class ImageOperation:
    """op `image`: facts hold, for each platform, its manifest, config and layers."""

    version = 2
    is_probe = False

    def identity(self, job: Job, world: World) -> Json:
        """All that layers depend on besides entries, the clock that images carry included."""
        return packing_identity(world)

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return ()

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _assemble(job, world))


def _assemble(job: Job, world: World) -> Done:
    params: Mapping[str, Any] = job.action.params
    image = _image(params)
    staging = stage(job, _owners(image), world)
    made = [_for_platform(platform, image, staging, job, world) for platform in image.platforms]
    top = made[0].manifest
    if len(made) > 1:
        index = index_bytes([(each.manifest, each.platform) for each in made])
        top = world.store.put_bytes(index, media.INDEX)
    outputs = {"top": top}
    for each in made:
        outputs.update({blob.digest: blob for blob in each.blobs})
    return Done(
        outputs=outputs,
        facts={"images": [each.to_json() for each in made]},
        inputs=staging.inputs,
    )


def _for_platform(
    platform: Platform, image: Image, staging: Staging, job: Job, world: World
) -> PlatformImage:
    params: Mapping[str, Any] = job.action.params
    where = str(job.action.label)
    shared = [job.deps[f"layer:{kind}"] for kind in params["layers"]]
    lower = [_tree(result, world) for result in shared]
    binaries = [
        _binary_entry(binary["dest"], job.deps[binary["dep"]])
        for binary in params["binaries"]
        if binary["platform"] == str(platform)
    ]
    root = merge_trees([*lower, staging.entries, binaries], where)
    check_root(image, {entry.path: entry for entry in root}, where)
    _check_zone(image, params["layers"], job, where)
    dirs = {entry.path: entry for entry in root if entry.kind == "dir"}
    layers = [layer_from_json(result.facts["layer"]) for result in shared]

    def add(entries: Sequence[FileEntry], read: Callable[[Digest], BinaryIO], kind: str) -> None:
        layers.append(pack(world, entries, read, kind, dirs))

    if staging.entries:
        add(staging.entries, staging.open, "files")
    for entry in binaries:
        add([entry], world.store.open, "binary")
    size = sum(layer.blob.size for layer in layers)
    if image.max_size and size > image.max_size:
        parts = ", ".join(f"{layer.kind} {layer.blob.size:,}" for layer in layers)
        raise StageError(
            where,
            f"image.max_size: wanted at most {image.max_size:,} bytes, got {size:,} ({parts})",
        )
    config = world.store.put_bytes(config_bytes(image, platform, layers, world.epoch), media.CONFIG)
    manifest = world.store.put_bytes(
        manifest_bytes(
            config, [layer.blob for layer in layers], _annotations(image, job, world.epoch)
        ),
        media.MANIFEST,
    )
    return PlatformImage(platform, manifest, config, tuple(layers))


def check_root(image: Image, root: Mapping[str, FileEntry], where: str) -> None:
    """Refuse a root file system in which the image's program cannot start.

    Raises: StageError when the entrypoint is not in the image or not executable.
    """
    command = [*image.entrypoint, *image.cmd]
    if not command:
        raise StageError(where, "image.entrypoint: wanted a program to start, got nothing")
    program = command[0]
    if not program.startswith("/"):
        return  # looked up by the runtime on the image's PATH
    entry = root.get(check_path(program, where))
    if entry is None:
        files = tuple(f"/{path}" for path, each in root.items() if each.mode & 0o111)
        programs = tuple(path for path in files if root[path[1:]].kind == "file")
        raise StageError(
            where,
            f"image.entrypoint: {program} is not in the image",
            did_you_mean(program, programs),
        )
    if entry.kind == "dir" or (entry.kind == "file" and not entry.mode & 0o111):
        raise StageError(where, f"image.entrypoint: {program} is not executable")


def _check_zone(image: Image, kinds: Sequence[str], job: Job, where: str) -> None:
    zones = job.deps["layer:zoneinfo"].facts["zones"] if "zoneinfo" in kinds else None
    check_tz(image.env, zones, where)


def _annotations(image: Image, job: Job, epoch: int) -> dict[str, str]:
    """What tools show of an image without pulling it.

    Source: OCI image-spec v1.1, annotations.md#pre-defined-annotation-keys.
    """
    params: Mapping[str, Any] = job.action.params
    given = {
        name: value
        for name, value in image.labels.items()
        if name.startswith("org.opencontainers.image.")
    }
    return {
        "org.opencontainers.image.title": params["name"],
        "org.opencontainers.image.created": timestamp(epoch),
        **given,
        **_versions_of(job),
    }


def _versions_of(job: Job) -> dict[str, str]:
    """The sources of the certificates and zones inside, such as `certifi 2026.10.18`."""
    versions = {
        kind: [f"{name} {version}" for name, version in layer.facts.get("versions", {}).items()]
        for kind in ("certs", "zoneinfo")
        if (layer := job.deps.get(f"layer:{kind}")) is not None
    }
    return {f"dev.scratchtasks.{kind}": ", ".join(each) for kind, each in versions.items() if each}


def _tree(result: ActionResult, world: World) -> list[FileEntry]:
    blob = result.outputs["tree"]
    return [entry_from_json(value) for value in json.loads(world.store.read(blob.digest))]


def _binary_entry(dest: str, result: ActionResult) -> FileEntry:
    blob = result.outputs["binary"]
    return FileEntry(
        path=check_path(dest, "binary.dest"),
        mode=0o755,
        digest=blob.digest,
        size=blob.size,
        origin="binary",
    )


def _owners(image: Image) -> Owners:
    user = image.user
    return {"root": (0, 0), "nobody": (65534, 65534), user.name: (user.uid, user.gid)}


def _image(params: Mapping[str, Any]) -> Image:
    config: Mapping[str, Any] = params["config"]
    health = config["healthcheck"]
    texts = {name: tuple(config[name]) for name in ("entrypoint", "cmd", "ports", "volumes")}
    return Image(
        platforms=tuple(parse_platform(text) for text in params["platforms"]),
        user=User(*config["user"]),
        env=config["env"],
        workdir=config["workdir"],
        stop_signal=config["stop_signal"],
        healthcheck=Healthcheck(**{**health, "command": tuple(health["command"])})
        if health
        else None,
        labels=config["labels"],
        max_size=config["max_size"],
        **texts,
    )
