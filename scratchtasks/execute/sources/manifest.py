"""Manifests and indexes of other images: what they are, and which of several is meant.

Source: OCI image-spec v1.1, image-index.md, manifest.md.
"""

import json
from collections.abc import Mapping
from typing import Any

from scratchtasks.core.errors import StageError
from scratchtasks.core.platform import Platform
from scratchtasks.oci import media

_PREFERRED = "linux/amd64"

LISTS = frozenset(
    {
        media.INDEX,
        media.MANIFEST,
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    }
)
"""What registries keep as manifests, apart from blobs."""


def parse_manifest(data: bytes, where: str) -> Mapping[str, Any]:
    """*data* as a manifest or index.  Raises: StageError for anything else."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or not ("manifests" in value or "layers" in value):
        raise StageError(where, "is no OCI or Docker image (it has neither layers nor manifests)")
    return value


def choose_manifest(manifests: object, platform: Platform | None) -> dict[str, Any] | list[str]:
    """The descriptor of an index that is for *platform*, or the platforms there are.

    None means any Linux, the same one on every machine.
    """
    by_name: dict[str, dict[str, Any]] = {}
    for each in manifests if isinstance(manifests, list) else ():
        told = each.get("platform") if isinstance(each, dict) else None
        if isinstance(told, dict) and told.get("os") not in (None, "unknown"):
            architecture, variant = str(told.get("architecture")), str(told.get("variant") or "")
            if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")):
                variant = ""  # said of what is meant anyhow
            name = f"{told['os']}/{architecture}" + (f"/{variant}" if variant else "")
            by_name.setdefault(name, each)
    if platform is not None:
        names = [str(platform)]
    else:
        names = [_PREFERRED, *sorted(name for name in by_name if name.startswith("linux/"))]
    return next((by_name[name] for name in names if name in by_name), sorted(by_name))
