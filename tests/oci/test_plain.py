"""Layers before compression: from a recipe or a tar, and never anything but what was promised."""

import hashlib
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.digest import Digest
from scratchtasks.core.errors import StoreError
from scratchtasks.core.rootfs import PlainLayer, plain_layer_from_json
from scratchtasks.oci import media
from scratchtasks.oci.layer import RECIPE, complete, measure, plain_chunks, recipe_bytes
from scratchtasks.oci.side_hash import SideHash
from scratchtasks.oci.tar import tar_chunks

from .memory_blobs import MemoryBlobs


def layers(blobs: MemoryBlobs, data: bytes = b"x" * 3_000_000) -> list[PlainLayer]:
    """The same layer from each kind of source."""
    entries = complete([blobs.file("usr/bin/api", data, mode=0o755), blobs.file("srv/é", b"y")])
    tar = b"".join(tar_chunks(entries, blobs.open, 7))
    diff_id, size = measure([tar])
    packed = blobs.layer([blobs.file("usr/bin/api", data, mode=0o755), blobs.file("srv/é", b"y")])
    sources = [blobs.put(recipe_bytes(entries, 7), RECIPE), blobs.put(tar, media.LAYER_TAR)]
    made = [PlainLayer(source, diff_id, size, "binary") for source in sources]
    plain = b"".join(tar_chunks(entries, blobs.open))
    return [*made, PlainLayer(packed.blob, packed.diff_id, len(plain), "binary")]


def test_every_source_gives_the_tar_that_its_diff_id_names() -> None:
    blobs = MemoryBlobs()
    for layer in layers(blobs):
        chunks = list(plain_chunks(layer, blobs.open))
        assert f"sha256:{hashlib.sha256(b''.join(chunks)).hexdigest()}" == layer.diff_id
        assert max(map(len, chunks)) <= 512 * 1024
        assert plain_layer_from_json(layer.to_json()) == layer


def test_a_recipe_does_not_depend_on_the_order_or_on_origins() -> None:
    blobs = MemoryBlobs()
    one, two = blobs.file("a", b"1"), blobs.file("b", b"2")
    assert recipe_bytes([one, two], 0) == recipe_bytes([two, one], 0)
    assert recipe_bytes([one, two], 0) != recipe_bytes([one, two], 1)


@pytest.mark.parametrize("source", [0, 1, 2])
@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer"])
def test_the_end_of_damaged_bytes_is_never_reached(source: int, damage: str) -> None:
    blobs = MemoryBlobs()
    layer = layers(blobs)[source]
    digest = layer.source.digest
    if layer.source.media_type == RECIPE:
        digest = Digest(f"sha256:{hashlib.sha256(b'x' * 3_000_000).hexdigest()}")
    data = bytearray(blobs.by_digest[digest])
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    elif damage == "shorter":
        del data[-1:]
    else:
        data += b"\0"
    blobs.by_digest[digest] = bytes(data)
    with pytest.raises(StoreError):
        for _ in plain_chunks(layer, blobs.open):
            pass


def test_a_recipe_that_is_none() -> None:
    blobs = MemoryBlobs()
    for data in (b"", b"[]", b'{"entries": [{}], "mtime": 0}'):
        layer = PlainLayer(blobs.put(data, RECIPE), layers(blobs)[0].diff_id, 1)
        with pytest.raises(StoreError, match=r"^recipe of a layer: is damaged: "):
            list(plain_chunks(layer, blobs.open))


@given(st.lists(st.sampled_from([0, 1, 511, 200_000, 300_000, 1 << 20]), max_size=12))
def test_hashing_aside_is_hashing(sizes: list[int]) -> None:
    wanted = hashlib.sha256()
    with SideHash() as found:
        for number, size in enumerate(sizes):
            data = bytes([number]) * size
            wanted.update(data)
            found.update(data)
        assert found.digest() == f"sha256:{wanted.hexdigest()}"


def test_no_thread_outlives_who_stops_half_way() -> None:
    blobs = MemoryBlobs()
    chunks = plain_chunks(layers(blobs)[0], blobs.open)
    assert isinstance(chunks, Iterator)
    for _ in range(4):
        next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    with SideHash() as found:
        for _ in range(9):
            found.update(bytes(1 << 20))
    assert [thread.name for thread in threading.enumerate() if thread.name == "sha256"] == []
