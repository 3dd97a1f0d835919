"""Layers before compression: file entries or a recipe in, the chunks of a tar out.

A recipe is a layer as a list: its entries, complete, and the time they carry.  It is small, and
with the content that it names gives the same tar whenever one is wanted, so that no tar of a large
binary needs to be kept.
Source: OCI image-spec v1.1, layer.md; config.md, layer DiffID.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from scratchtasks.core.digest import DiffID, canonical_json
from scratchtasks.core.errors import StageError, StoreError
from scratchtasks.core.rootfs import PlainLayer
from scratchtasks.core.tree import FileEntry, entry_from_json, with_parents

from . import media
from .inflate import LayerReader
from .side_hash import SideHash
from .tar import READ_SIZE, OpenBlob, tar_chunks

RECIPE = "application/vnd.scratchtasks.recipe.v1+json"
"""`{"entries": [FileEntry.to_json(), …], "mtime": seconds}`, sorted, origins left out."""

NO_DIRS: Mapping[str, FileEntry] = MappingProxyType({})


def complete(
    entries: Iterable[FileEntry], known_dirs: Mapping[str, FileEntry] = NO_DIRS
) -> list[FileEntry]:
    """*entries* and every missing parent folder: all that the layer's tar holds.

    Parents are root's with mode 0755, or as *known_dirs* (folders of the layers below, by path)
    has them: a later layer must not reset the 1777 of /tmp.

    Raises: StageError for names that would delete files of lower layers, and for a parent that
    is no folder there.
    """
    present = list(entries)
    given = {entry.path for entry in present}
    parents = []
    for entry in with_parents(present):
        if entry.path.rpartition("/")[2].startswith(".wh."):
            raise StageError(
                f"/{entry.path}", "a name that begins with '.wh.' means deletion in an image layer"
            )
        if entry.path in given:
            continue
        known = known_dirs.get(entry.path, entry)
        if known.kind != "dir":
            raise StageError(
                f"/{entry.path}", f"a {known.kind} in a lower layer, a folder in this one"
            )
        parents.append(known)
    # Doubles stay: the tar refuses them, and with_parents would fold them.
    return [*present, *parents]


def recipe_bytes(entries: Iterable[FileEntry], mtime: int) -> bytes:
    """The recipe of *entries*, which are complete; equal entries give equal bytes."""
    ordered = sorted(entries, key=lambda entry: entry.path)
    return canonical_json(
        {"entries": [{**entry.to_json(), "origin": ""} for entry in ordered], "mtime": mtime}
    )


def recipe_chunks(recipe: bytes, open_blob: OpenBlob) -> Iterator[bytes]:
    """The tar that *recipe* describes; see `tar_chunks`.  Raises: StoreError when it is damaged."""
    try:
        value = json.loads(recipe)
        entries = [entry_from_json(each) for each in value["entries"]]
        mtime = int(value["mtime"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError("recipe of a layer", f"is damaged: {error}") from None
    return tar_chunks(entries, open_blob, mtime)


def plain_chunks(layer: PlainLayer, open_blob: OpenBlob) -> Iterator[bytes]:
    """The tar of *layer*, in chunks of up to 512 KiB.

    Whoever reaches the end has had the very bytes that the DiffID names.

    Raises: StoreError otherwise, and when a blob is missing; StageError (see `tar_chunks`).
    """
    size = 0
    with SideHash() as found:
        for chunk in _chunks(layer, open_blob):
            found.update(chunk)
            size += len(chunk)
            yield chunk
        digest = found.digest()
    if DiffID(digest) != layer.diff_id or size != layer.size:
        raise StoreError(
            f"layer {layer.kind or layer.diff_id}",
            f"is damaged: wanted {layer.size} bytes with {layer.diff_id}, got {size} with {digest}",
            "run doit again: what is damaged is made anew",
        )


def measure(chunks: Iterable[bytes], *, is_aside: bool = True) -> tuple[DiffID, int]:
    """The DiffID and size in bytes of the tar *chunks*; *is_aside* hashes on another thread."""
    size = 0
    with SideHash(is_aside=is_aside) as found:
        for chunk in chunks:
            found.update(chunk)
            size += len(chunk)
        return DiffID(found.digest()), size


def _chunks(layer: PlainLayer, open_blob: OpenBlob) -> Iterator[bytes]:
    blob = layer.source
    with open_blob(blob.digest) as source:
        if blob.media_type != RECIPE:
            is_gzip = blob.media_type == media.LAYER_GZIP
            tar = LayerReader(source, is_gzip=True, size=blob.size, limit=layer.size)
            read = tar.read if is_gzip else source.read
            while chunk := read(READ_SIZE):
                yield chunk
            if tar.fault:
                raise StoreError(f"layer {layer.kind or blob.digest}", f"is damaged: {tar.fault}")
            return
        recipe = source.read()
    yield from recipe_chunks(recipe, open_blob)
