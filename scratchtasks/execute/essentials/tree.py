"""The tree of an essentials layer: what is in it, as the image that stands on it has to know."""

import json

from scratchtasks.core.action import ActionResult
from scratchtasks.core.tree import FileEntry, entry_from_json

from ..operation import World

TREE_MEDIA_TYPE = "application/vnd.scratchtasks.tree.v1+json"
"""A JSON list of FileEntry.to_json(), sorted by path."""


def tree_of(result: ActionResult, world: World) -> tuple[FileEntry, ...]:
    """The entries of the layer that *result* is of.  Raises: StoreError (missing, damaged)."""
    digest = result.outputs["tree"].digest
    tree = world.trees.get(digest)
    if tree is None:
        tree = tuple(entry_from_json(value) for value in json.loads(world.store.read(digest)))
        world.trees[digest] = tree
    return tree
