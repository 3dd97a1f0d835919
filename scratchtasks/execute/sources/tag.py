"""What a tag of another image means now: the pin that a first use or a refresh writes down."""

import json
from typing import Any

from scratchtasks.core.descriptor import descriptor_from_json
from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import ScratchError, StageError, StoreError
from scratchtasks.core.source import FromImage
from scratchtasks.core.target import Pin
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import digest_at, fetch_manifest
from scratchtasks.registry.pull import keep_manifest, pull_blob, pull_manifest
from scratchtasks.registry.reference import Reference, Repository, parse_reference

from ..operation import World
from .manifest import choose_manifest, parse_manifest


def connect(world: World) -> Registry:
    """A client that may read, with the user's credentials, proxies and CAs."""
    processes = world.processes
    return Registry(
        world.env,
        insecure=world.plain_http,
        access="pull",
        is_over=lambda: processes.is_cancelled,
    )


def resolve_image(source: FromImage, world: World) -> Pin:
    """The pin for what *source*'s tag means now; its manifest is in the store afterwards.

    A tag is asked for its digest alone, and nothing that the store has is fetched: Docker Hub
    counts manifests.

    Raises: StageError when there is no such image; SinkError, StoreError.
    """
    where = f"image {source.image}"
    reference = parse_reference(source.image, where)
    repository, tag = reference.repository, reference.tag or "latest"
    with connect(world) as registry:
        digest = reference.digest or digest_at(registry, repository, tag)
        data = _manifest(registry, repository, digest, world, where) if digest else None
        if digest is None or data is None:
            raise StageError(
                where, f"the registry has no {reference.digest or tag} in {repository}"
            )
        date = _date(registry, reference, data, world)
    return Pin(
        name=f"image:{source.image}",
        version=tag if reference.tag or not reference.digest else "digest",
        sha256=digest.removeprefix("sha256:"),
        size=len(data),
        kind="image",
        date=date,
    )


def _manifest(
    registry: Registry, repository: Repository, digest: Digest, world: World, where: str
) -> bytes | None:
    """The bytes of the manifest or index *digest*, from the store or fetched into it."""
    try:
        return world.store.read(digest)
    except StoreError:
        found = fetch_manifest(registry, repository, digest)
    if found is None:
        return None
    parse_manifest(found.data, where)
    return keep_manifest(found, world.store).data


def _date(registry: Registry, reference: Reference, data: bytes, world: World) -> str:
    """The day the image says it was made, "" when it does not say; nothing depends on it."""
    try:
        value: Any = json.loads(data)
        if "manifests" in value:
            chosen = choose_manifest(value["manifests"], None)
            blob = descriptor_from_json(chosen) if isinstance(chosen, dict) else None
            found = blob and pull_manifest(registry, reference.repository, blob, world.store)
            value = json.loads(found or b"{}")
        config = descriptor_from_json(value["config"])
        if config.size > 8 << 20:
            return ""
        pull_blob(registry, reference.repository, config, world.store)
        created = str(json.loads(world.store.read(config.digest)).get("created", ""))[:10]
    except (ValueError, KeyError, TypeError, AttributeError, ScratchError):
        return ""
    is_day = len(created) == 10 and created.replace("-", "").isdigit() and created[:4] > "1980"
    return created if is_day else ""
