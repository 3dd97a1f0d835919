"""Tags put back where they were, when a push could not move all of them."""

from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import SinkError
from scratchtasks.registry.client import Registry
from scratchtasks.registry.manifests import delete_tag, digest_at, fetch_manifest, put_manifest
from scratchtasks.registry.reference import Repository

from .plan import TagMove


def put_back(
    registry: Registry, repository: Repository, move: TagMove, ours: Digest, is_fresh: bool
) -> str:
    """Undo *move*, unless the tag means something else than *ours* by now.

    *is_fresh* says that this push brought *ours* into the repository: then no other tag can be
    lost where a registry takes the manifest away together with a tag.

    Returns: why that was not possible, in plain words; "" when the tag is no longer ours.
    """
    try:
        if digest_at(registry, repository, move.tag) != ours:
            return ""  # it never moved, or somebody else moved it since
        if move.was is None:
            if is_fresh and delete_tag(registry, repository, move.tag):
                return ""
            return f"is new and could not be taken away again (now {ours})"
        before = fetch_manifest(registry, repository, move.was)
        if before is None:
            return f"moved, and {move.was} is no longer there to put it back (now {ours})"
        put_manifest(registry, repository, before, move.tag)
    except SinkError as error:
        return f"may have moved to {ours}: {error.where}: {error.what}"
    return ""
