"""rootfs and image: shared layers first, the service's files next, its binaries last."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from scratchtasks.core.action import Action
from scratchtasks.core.digest import Json
from scratchtasks.core.platform import Platform
from scratchtasks.core.target import Binary, Image, Service, Staged

from .binary import Source


def rootfs(
    service: Service,
    platform: Platform,
    layers: Mapping[str, Action],
    binaries: Sequence[tuple[Binary, Action]],
    source: Callable[[str], Source],
    fetched: Callable[[Staged], Action],
) -> Action:
    """The action that stages *service*'s files for *platform*, checks the whole root, and writes
    the config.

    *binaries* are for that platform; *fetched* is what brings a file of another image for it.
    """
    deps = {f"layer:{kind}": action.name for kind, action in layers.items()}
    shipped: list[Json] = []
    for binary, action in binaries:
        alias = f"binary:{binary.name}@{platform}"
        deps[alias] = action.name
        shipped.append({"dep": alias, "dest": binary.dest})
    files: list[Json] = []
    for number, staged in enumerate(service.image.files):
        if staged.image:
            alias = f"file:{number}@{platform}"
            deps[alias] = fetched(staged).name
            files.append(_fetched_params(staged, alias))
            continue
        alias = f"file:{number}"
        origin = source(staged.src)
        if origin.action:
            deps[alias] = origin.action
        files.append(_file_params(staged, origin, alias))
    return Action(
        label=service.rootfs_label,
        mnemonic="Rootfs",
        op="rootfs",
        params={
            "layers": list(layers),
            "binaries": shipped,
            "files": files,
            "dirs": [asdict(folder) for folder in service.image.dirs],
            "config": _config_params(service.image),
        },
        platform=platform,
        deps=deps,
    )


def scratch_image(service: Service, roots: Sequence[Action]) -> Action:
    """The action that packs the layers of *roots*, one for each platform, and writes *service*'s
    manifests."""
    return Action(
        label=service.image_label,
        mnemonic="Image",
        op="image",
        params={
            "name": service.name,
            "labels": dict(service.image.labels),
            "max_size": service.image.max_size,
            "platforms": [str(root.platform) for root in roots],
        },
        deps={f"rootfs@{root.platform}": root.name for root in roots},
    )


def _file_params(staged: Staged, origin: Source, alias: str) -> Json:
    place: dict[str, Json] = (
        {"dep": alias, "output": origin.output} if origin.action else {"src": origin.path}
    )
    return {**place, "dest": staged.dest, "mode": staged.mode, "owner": staged.owner}


def _fetched_params(staged: Staged, alias: str) -> Json:
    place: dict[str, Json] = {"dep": alias, "output": "file"}
    rights: dict[str, Json] = {"mode": staged.mode, "owner": staged.owner}
    return {**place, "name": f"{staged.image}:{staged.src}", "dest": staged.dest, **rights}


def _config_params(image: Image) -> Json:
    health = image.healthcheck
    return {
        "user": [image.user.name, image.user.uid, image.user.gid],
        "entrypoint": list(image.entrypoint),
        "cmd": list(image.cmd),
        "env": dict(image.env),
        "ports": list(image.ports),
        "workdir": image.workdir,
        "volumes": list(image.volumes),
        "stop_signal": image.stop_signal,
        "healthcheck": None if health is None else {**asdict(health)},
        "labels": dict(image.labels),
    }
