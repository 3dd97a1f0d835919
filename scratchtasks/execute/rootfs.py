"""Put a root file system together: stage what only this image has, and check the whole.

It is all that an engine needs, and nothing in it is compressed; only images for others are.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scratchtasks.core.action import Action, Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import Json
from scratchtasks.core.rootfs import Rootfs, plain_layer_from_json
from scratchtasks.core.target import Healthcheck, Image, User
from scratchtasks.core.tree import FileEntry, check_path, merge_trees
from scratchtasks.oci import media
from scratchtasks.oci.image import config_bytes

from .essentials.tree import tree_of
from .essentials.zoneinfo import FOLDER, check_tz
from .layers import plain_layer, tar_identity, tar_layer
from .operation import Done, Job, Outcome, World, each_alone
from .staging import Owners, Staging, stage
from .startable import check_root


class RootfsOperation:
    """op `rootfs`: fact `root` is the Rootfs of one platform; outputs, all it needs.

    Fact `versions`: for `certs` and `zoneinfo`, the versions of what they are from, by name.
    """

    version = 5

    def identity(self, job: Job, world: World) -> Json:
        """The form of tars, and the clock that images carry."""
        return tar_identity(world)

    def inputs(self, job: Job, world: World) -> Iterable[Input]:
        return ()

    def batch_key(self, job: Job, world: World) -> str:
        return ""

    def run(self, jobs: Sequence[Job], world: World) -> Mapping[str, Outcome]:
        return each_alone(jobs, lambda job: _compose(job, world))


def _compose(job: Job, world: World) -> Done:
    image = _image(job.action)
    outputs: dict[str, Descriptor] = {}
    staging = stage(job, _owners(image), world)
    if not staging.is_handier_in_one:
        staging.keep(world.store)
        outputs.update({blob.digest: blob for blob in staging.contents})
    root = _root(image, staging, job, world, outputs)
    for blob in (root.config, *(layer.source for layer in root.layers)):
        outputs[blob.digest] = blob
    facts = {"root": root.to_json(), "versions": _versions(job)}
    return Done(outputs=outputs, facts=facts, inputs=tuple(dict.fromkeys(staging.inputs)))


def _versions(job: Job) -> dict[str, Any]:
    layers = {kind: job.deps.get(f"layer:{kind}") for kind in ("certs", "zoneinfo")}
    return {kind: layer.facts["versions"] for kind, layer in layers.items() if layer}


def _root(
    image: Image,
    staging: Staging,
    job: Job,
    world: World,
    outputs: dict[str, Descriptor],
) -> Rootfs:
    params: Mapping[str, Any] = job.action.params
    where = str(job.action.label)
    shared = [job.deps[f"layer:{kind}"] for kind in params["layers"]]
    lower = [tree_of(result, world) for result in shared]
    binaries = []
    for binary in params["binaries"]:
        blob = job.deps[binary["dep"]].outputs["binary"]
        outputs[blob.digest] = blob
        binaries.append(_binary_entry(binary["dest"], blob))
    tops = [top for top in staging.tops if not _is_made(top.path, [*lower, binaries])]
    merged = merge_trees([*lower, tops, staging.entries, binaries], where)
    root = {entry.path: entry for entry in merged}
    check_root(image, root, where)
    _check_zone(image, staging.entries, job, where)
    dirs = {path: entry for path, entry in root.items() if entry.kind == "dir"}
    # What was staged twice, such as a folder that two sources share, is one entry by now.
    staged = [*tops, *staging.entries]
    own = [root[path] for path in dict.fromkeys(entry.path for entry in staged)]
    layers = [plain_layer_from_json(result.facts["layer"]) for result in shared]
    if staging.is_handier_in_one:
        opener = staging.opener(world.store)
        layers.append(tar_layer(world, own, "files", opener, dirs))
    elif own:
        layers.append(plain_layer(world, own, "files", dirs))
    layers += [plain_layer(world, [entry], "binary", dirs) for entry in binaries]
    (platform,) = image.platforms
    config = config_bytes(image, platform, layers, world.epoch)
    return Rootfs(platform, world.store.put_bytes(config, media.CONFIG), tuple(layers))


def _is_made(folder: str, trees: Iterable[Iterable[FileEntry]]) -> bool:
    """Whether *trees* have the *folder*, or something in it."""
    inside = f"{folder}/"
    return any(
        entry.path.startswith(inside) or (entry.path == folder and entry.kind == "dir")
        for tree in trees
        for entry in tree
    )


def _check_zone(image: Image, staged: Iterable[FileEntry], job: Job, where: str) -> None:
    layer, inside = job.deps.get("layer:zoneinfo"), f"{FOLDER}/"
    made = layer.facts["zones"] if layer else ()
    own = [
        each.path.removeprefix(inside)
        for each in staged
        if each.path.startswith(inside) and each.kind != "dir"
    ]
    check_tz(image.env, [*made, *own] or None, where)


def _binary_entry(dest: str, blob: Descriptor) -> FileEntry:
    path = check_path(dest, "binary.dest")
    return FileEntry(path=path, mode=0o755, digest=blob.digest, size=blob.size, origin="binary")


def _owners(image: Image) -> Owners:
    user = image.user
    return {"root": (0, 0), "nobody": (65534, 65534), user.name: (user.uid, user.gid)}


def _image(action: Action) -> Image:
    assert action.platform is not None
    config: Any = action.params["config"]
    health = config["healthcheck"]
    return Image(
        platforms=(action.platform,),
        user=User(*config["user"]),
        env=config["env"],
        workdir=config["workdir"],
        stop_signal=config["stop_signal"],
        healthcheck=Healthcheck(**{**health, "command": tuple(health["command"])})
        if health
        else None,
        labels=config["labels"],
        entrypoint=tuple(config["entrypoint"]),
        cmd=tuple(config["cmd"]),
        ports=tuple(config["ports"]),
        volumes=tuple(config["volumes"]),
    )
