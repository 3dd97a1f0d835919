"""Layers made once: no tar is hashed twice and none compressed twice, whoever asks for it."""

from collections.abc import Callable, Iterable, Iterator, Mapping

from scratchtasks.core.action import ActionResult
from scratchtasks.core.descriptor import Layer
from scratchtasks.core.digest import ActionKey, DiffID, Json, digest_of, key_of, parse_digest
from scratchtasks.core.rootfs import PlainLayer
from scratchtasks.core.span import span
from scratchtasks.core.tree import FileEntry
from scratchtasks.oci.gzip import GzipWriter, compressor
from scratchtasks.oci.layer import NO_DIRS, RECIPE, complete, measure, plain_chunks, recipe_bytes
from scratchtasks.oci.media import LAYER_GZIP, LAYER_TAR
from scratchtasks.oci.tar import OpenBlob, tar_chunks

from .operation import World

VERSION = 1
"""Raised whenever equal entries would give another tar."""


def tar_identity(world: World) -> Json:
    """All that a tar depends on besides its entries: key material for whoever makes layers."""
    return {"version": VERSION, "epoch": world.epoch}


def plain_layer(
    world: World,
    entries: Iterable[FileEntry],
    kind: str,
    known_dirs: Mapping[str, FileEntry] = NO_DIRS,
) -> PlainLayer:
    """The layer of *entries* as a recipe; their content has to be in the store.

    *known_dirs* are folders of the layers below, by path.  The content is read once, to hash the
    tar, which is kept nowhere; equal recipes are read once for all.

    Raises: StageError (two entries for one path, …), StoreError (missing or damaged content).
    """
    whole = complete(entries, known_dirs)
    recipe = recipe_bytes(whole, world.epoch)
    key = key_of("tar", VERSION, digest_of(recipe))
    known = world.cache.get(key)
    if known is not None:
        diff_id = DiffID(parse_digest(known.facts["diff_id"]))
        return PlainLayer(known.outputs["recipe"], diff_id, known.facts["size"], kind)
    tar = tar_chunks(whole, world.store.open, world.epoch)
    is_aside = world.threads > 1
    if world.packs:
        layer, size = _pack(
            world, kind, lambda gzip: measure(_through(gzip, tar), is_aside=is_aside)
        )
        diff_id = layer.diff_id
    else:
        with span(world.tell, "layer", f"hash {kind}") as told:
            diff_id, size = measure(tar, is_aside=is_aside)
            told |= {"diff_id": diff_id, "bytes": size}
    for entry in whole:
        if entry.digest is not None:  # still whole: nobody has written there while it was read
            world.store.open(entry.digest).close()
    source = world.store.put_bytes(recipe, RECIPE)
    facts = {"diff_id": diff_id, "size": size}
    world.cache.put(key, ActionResult(outputs={"recipe": source}, facts=facts))
    return PlainLayer(source, diff_id, size, kind)


def tar_layer(
    world: World,
    entries: Iterable[FileEntry],
    kind: str,
    open_content: OpenBlob,
    known_dirs: Mapping[str, FileEntry] = NO_DIRS,
) -> PlainLayer:
    """The layer of *entries* as a tar in the store, made of what *open_content* opens.

    *open_content* vouches for what it gives, and is asked only if no equal entries were made
    into a tar before.  For the rest see `plain_layer`.
    """
    whole = complete(entries, known_dirs)
    key = key_of("stored tar", VERSION, digest_of(recipe_bytes(whole, world.epoch)))
    known = world.cache.get(key)
    if known is not None:
        blob = known.outputs["tar"]
    else:
        with (
            span(world.tell, "layer", f"write {kind}") as told,
            world.store.writer(LAYER_TAR) as out,
        ):
            for chunk in tar_chunks(whole, open_content, world.epoch):
                out.write(chunk)
            blob = out.commit()
            told |= {"diff_id": blob.digest, "bytes": blob.size}
        world.cache.put(key, ActionResult(outputs={"tar": blob}))
    return PlainLayer(blob, DiffID(blob.digest), blob.size, kind)


def pack(world: World, plain: PlainLayer) -> Layer:
    """*plain*, compressed and in the store: from the action cache, else packed now.

    Raises: StoreError (content is missing or damaged, disk full).
    """
    known = world.cache.get(_pack_key(plain.diff_id))
    if known is not None:
        return Layer(known.outputs["layer"], plain.diff_id, plain.kind)

    def give(gzip: GzipWriter) -> tuple[DiffID, int]:
        for chunk in plain_chunks(plain, world.store.stream):
            gzip.write(chunk)
        return plain.diff_id, plain.size

    return _pack(world, plain.kind, give)[0]


def _pack_key(diff_id: DiffID) -> ActionKey:
    return key_of("pack", compressor(), diff_id)


def _pack(
    world: World, kind: str, give: Callable[[GzipWriter], tuple[DiffID, int]]
) -> tuple[Layer, int]:
    """Compress what *give* writes, a tar whose DiffID and size it returns, into the store."""
    with span(world.tell, "layer", f"compress {kind}") as told:
        with world.store.writer(LAYER_GZIP) as out:
            with GzipWriter(out.write, world.threads) as gzip:
                diff_id, size = give(gzip)
            blob = out.commit()
        told |= {"diff_id": diff_id, "bytes_in": size, "bytes_out": blob.size}
        told |= {"digest": blob.digest, "compressor": compressor()}
    world.cache.put(_pack_key(diff_id), ActionResult(outputs={"layer": blob}))
    return Layer(blob, diff_id, kind), size


def _through(gzip: GzipWriter, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        gzip.write(chunk)
        yield chunk
