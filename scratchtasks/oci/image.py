"""The JSON of an image: config, manifest and index, as canonical bytes.

Source: OCI image-spec v1.1, config.md, manifest.md and image-index.md; HEALTHCHECK is
Docker's extension of the config (docker image spec v1.3).
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from scratchtasks.core.descriptor import Descriptor, Layer
from scratchtasks.core.digest import Json, canonical_json
from scratchtasks.core.platform import Platform
from scratchtasks.core.rootfs import PlainLayer
from scratchtasks.core.target import Healthcheck, Image

from . import media

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""What BuildKit puts into every image it builds; programs that look others up rely on it."""

MADE_BY = "scratchtasks: "
"""How each step of an image's history begins, before the kind of its layer."""


def config_bytes(
    image: Image, platform: Platform, layers: Sequence[Layer | PlainLayer], created: int = 0
) -> bytes:
    """The image config for *platform*; its digest is the image's id in Docker's classic store.

    *created* is seconds since 1970.  The user is written as numbers, so that Kubernetes'
    runAsNonRoot can check it.  PATH is DEFAULT_PATH unless the image's env has its own.
    """
    when = timestamp(created)
    history = [
        {"created": when, "created_by": MADE_BY + (layer.kind or "layer")} for layer in layers
    ]
    value: dict[str, Json] = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": when,
        "config": _runtime(image),
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": history,
    }
    if platform.variant:
        value["variant"] = platform.variant
    return canonical_json(value)


def manifest_bytes(
    config: Descriptor,
    layers: Sequence[Descriptor],
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """The manifest that binds *config* to *layers*, lowest first."""
    value: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": media.MANIFEST,
        "config": config.to_json(),
        "layers": [layer.to_json() for layer in layers],
    }
    return canonical_json(_annotated(value, annotations))


def index_bytes(
    manifests: Sequence[tuple[Descriptor, Platform]],
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """The index of one image for several platforms; runtimes take the first that fits."""
    value: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": media.INDEX,
        "manifests": [
            {**blob.to_json(), "platform": _platform(platform)} for blob, platform in manifests
        ],
    }
    return canonical_json(_annotated(value, annotations))


def timestamp(seconds: int) -> str:
    """*seconds* since 1970 as RFC 3339 in UTC: `1970-01-01T00:00:00Z`.

    Raises: ValueError for years past 9999.
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def _platform(platform: Platform) -> dict[str, Json]:
    value: dict[str, Json] = {"architecture": platform.architecture, "os": platform.os}
    if platform.variant:
        value["variant"] = platform.variant
    return value


def _annotated(value: dict[str, Json], annotations: Mapping[str, str] | None) -> dict[str, Json]:
    return {**value, "annotations": dict(annotations)} if annotations else value


def _runtime(image: Image) -> dict[str, Json]:
    """The `config` object: what the container starts with; empty fields are left out."""
    env = {"PATH": DEFAULT_PATH, **image.env}
    value: dict[str, Json] = {
        "User": f"{image.user.uid}:{image.user.gid}",
        "Env": [f"{name}={env[name]}" for name in sorted(env)],
        "Entrypoint": list(image.entrypoint),
        "Cmd": list(image.cmd),
        "ExposedPorts": {port: {} for port in image.ports},
        "WorkingDir": image.workdir,
        "Volumes": {path: {} for path in image.volumes},
        "StopSignal": image.stop_signal,
        "Labels": dict(image.labels),
        "Healthcheck": _healthcheck(image.healthcheck) if image.healthcheck else None,
    }
    return {name: field for name, field in value.items() if field}


def _healthcheck(check: Healthcheck) -> dict[str, Json]:
    value: dict[str, Json] = {
        "Test": ["CMD", *check.command],
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "Retries": check.retries,
    }
    return {name: field for name, field in value.items() if field}
