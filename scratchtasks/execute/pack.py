"""Packing once: equal entries are never compressed twice, whoever asks for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import BinaryIO

from scratchtasks.core.action import ActionResult
from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import DiffID, Digest, Json, key_of, parse_digest
from scratchtasks.core.tree import FileEntry, with_parents
from scratchtasks.oci.gzip import compressor
from scratchtasks.oci.layer import pack_layer
from scratchtasks.oci.media import LAYER_GZIP

from .operation import World

VERSION = 1
"""Raised whenever equal entries would give other bytes."""

_NO_DIRS: Mapping[str, FileEntry] = MappingProxyType({})


def packing_identity(world: World) -> Json:
    """All that layer bytes depend on besides entries: key material for whoever packs."""
    return {"version": VERSION, "compressor": compressor(), "epoch": world.epoch}


def pack(
    world: World,
    entries: Sequence[FileEntry],
    open_content: Callable[[Digest], BinaryIO],
    kind: str,
    known_dirs: Mapping[str, FileEntry] = _NO_DIRS,
) -> Layer:
    """The layer of *entries*, in the store: from the action cache, else packed and stored.

    *open_content* opens a file's bytes by digest and is only called when it must be packed.
    *known_dirs* are folders of the layers below, by path.  Neither *kind* nor an entry's origin
    is part of the key, as neither changes a byte.

    Raises: StageError (two entries for one path, …), StoreError (missing blob, disk full).
    """
    key = key_of(
        "pack", packing_identity(world), _shape(entries), _shape(_used(entries, known_dirs))
    )
    known = world.cache.get(key)
    if known is not None:
        diff_id = DiffID(parse_digest(known.facts["diff_id"]))
        return Layer(known.outputs["layer"], diff_id, kind)
    with world.store.writer(LAYER_GZIP) as out:
        layer = pack_layer(
            entries, open_content, out, mtime=world.epoch, kind=kind, known_dirs=known_dirs
        )
        layer = replace(layer, blob=out.commit())
    facts = {"diff_id": layer.diff_id}
    world.cache.put(key, ActionResult(outputs={"layer": layer.blob}, facts=facts))
    return layer


def _shape(entries: Sequence[FileEntry]) -> Json:
    ordered = sorted(entries, key=lambda entry: entry.path)
    return [{**entry.to_json(), "origin": ""} for entry in ordered]


def _used(entries: Sequence[FileEntry], known_dirs: Mapping[str, FileEntry]) -> list[FileEntry]:
    """Those of *known_dirs* that pack_layer will write, as parents that *entries* lack."""
    given = {entry.path for entry in entries}
    return [
        known_dirs[parent.path]
        for parent in with_parents(entries)
        if parent.path not in given and known_dirs.get(parent.path, parent) != parent
    ]
