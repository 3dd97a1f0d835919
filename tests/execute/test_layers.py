"""Layers: equal entries are hashed once and compressed once, anything else anew."""

import os
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.digest import DiffID, Digest, digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.core.rootfs import PlainLayer
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.layers import pack, plain_layer, tar_layer
from scratchtasks.execute.operation import World
from scratchtasks.oci.layer import plain_chunks

ONE, TWO = digest_of(b"one"), digest_of(b"two")
ENTRIES = (
    FileEntry(path="srv/a", digest=ONE, size=3, origin="here"),
    FileEntry(path="srv/b", digest=TWO, size=3, mode=0o600, uid=5),
)


@pytest.fixture
def full(world: World) -> World:
    """A world whose store has the content of ENTRIES."""
    for data in (b"one", b"two"):
        world.store.put_bytes(data, "")
    return world


def lose(world: World, digest: Digest) -> None:
    Path(world.store.path(digest)).unlink()


def both(world: World, entries: Sequence[FileEntry], kind: str = "") -> PlainLayer:
    plain = plain_layer(world, entries, kind)
    assert pack(world, plain).diff_id == plain.diff_id
    return plain


def test_equal_entries_are_read_once_for_each_form(full: World) -> None:
    plain = plain_layer(full, ENTRIES, "files")
    layer = pack(full, plain)
    assert digest_of(full.store.read(layer.blob.digest)) == layer.blob.digest
    for digest in (ONE, TWO):
        lose(full, digest)
    other = [replace(entry, origin="elsewhere") for entry in reversed(ENTRIES)]
    again = plain_layer(full, other, "binary")
    assert again == replace(plain, kind="binary")
    assert pack(full, again) == replace(layer, kind="binary")


def test_a_layer_is_its_tar_before_and_after_compression(full: World) -> None:
    plain = both(full, ENTRIES)
    tar = b"".join(plain_chunks(plain, full.store.open))
    assert (DiffID(digest_of(tar)), len(tar)) == (plain.diff_id, plain.size)
    with tarfile.open(full.store.path(pack(full, plain).blob.digest)) as archive:
        assert archive.getnames() == ["srv", "srv/a", "srv/b"]


def test_no_tar_is_kept(full: World) -> None:
    big = full.store.put_bytes(os.urandom(1 << 20), "")
    plain = plain_layer(full, [FileEntry(path="a", digest=big.digest, size=big.size)], "")
    kept = [path for path in Path(full.scratch, "blobs").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size > big.size for path in kept) == 0
    assert plain.source.size < 1000


def test_whatever_changes_bytes_is_made_anew(full: World) -> None:
    first = ENTRIES[0]
    changes = [
        first, replace(first, path="srv/c"), replace(first, mode=0o755), replace(first, gid=1),
        replace(first, digest=TWO), replace(first, kind="symlink", digest=None, link="b"),
    ]  # fmt: skip
    made = [both(full, [change, ENTRIES[1]]) for change in changes]
    made.append(both(replace(full, epoch=86400), ENTRIES))
    assert len({plain.diff_id for plain in made}) == 7
    assert len({plain.source.digest for plain in made}) == 7
    assert len({pack(full, plain).blob.digest for plain in made}) == 7


def test_known_folders_count_only_where_they_are_written(full: World) -> None:
    srv = FileEntry(path="srv", kind="dir", mode=0o1777)
    far = FileEntry(path="var/tmp", kind="dir", mode=0o1777)
    plain = plain_layer(full, ENTRIES, "")
    assert plain_layer(full, ENTRIES, "", {"var/tmp": far}) == plain
    assert plain_layer(full, ENTRIES, "", {"srv": replace(srv, mode=0o755)}) == plain
    sticky = pack(full, plain_layer(full, ENTRIES, "", {"srv": srv}))
    with tarfile.open(full.store.path(sticky.blob.digest)) as archive:
        assert archive.getmember("srv").mode == 0o1777


def damage(world: World, digest: Digest, data: bytes) -> None:
    path = world.store.path(digest)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(data)
    world.files.forget_scan()


def test_a_damaged_layer_is_packed_anew(full: World) -> None:
    plain = plain_layer(full, ENTRIES, "")
    layer = pack(full, plain)
    damage(full, layer.blob.digest, b"damage")
    assert pack(full, plain) == layer
    assert full.store.has(layer.blob)


def test_damaged_content_is_never_packed(full: World) -> None:
    plain = plain_layer(full, ENTRIES, "files")
    damage(full, TWO, b"tow")
    with pytest.raises(StoreError) as caught:
        pack(full, plain)
    assert str(caught.value).startswith(
        f"layer files: is damaged: wanted {plain.size} bytes with {plain.diff_id}, got {plain.size}"
    )
    assert [path.name for path in Path(full.scratch, "blobs/tmp").iterdir()] == []
    with pytest.raises(StoreError) as caught:
        plain_layer(full, ENTRIES[1:], "files")
    assert str(caught.value) == (
        f"{full.store.path(TWO)}: blob {TWO} is damaged: its 3 bytes have {digest_of(b'tow')}"
    )


@pytest.mark.parametrize("packs", [False, True])
def test_content_that_is_damaged_while_it_is_read_gives_no_layer(
    packs: bool, full: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not later either, when the content is whole again."""
    world = replace(full, packs=packs)
    opened = full.store.open

    def open_and_damage(digest: Digest) -> BinaryIO:
        file = opened(digest)
        damage(full, digest, b"tow")
        return file

    with monkeypatch.context() as patched:
        patched.setattr(full.store, "open", open_and_damage)
        with pytest.raises(StoreError, match=f"blob {ONE} is damaged"):
            plain_layer(world, ENTRIES, "files")
    for digest, data in ((ONE, b"one"), (TWO, b"two")):
        lose(full, digest)
        full.store.put_bytes(data, "")
    plain = plain_layer(world, ENTRIES, "files")
    assert b"tow" not in b"".join(plain_chunks(plain, full.store.open))


@settings(max_examples=25)
@given(st.permutations(ENTRIES), st.sampled_from([0, 1, 2**33]))
def test_order_does_not_matter(full: World, entries: list[FileEntry], epoch: int) -> None:
    full = replace(full, epoch=epoch)
    assert plain_layer(full, entries, "") == plain_layer(full, ENTRIES, "")


def test_both_forms_of_a_layer_have_one_tar(full: World) -> None:
    plain = plain_layer(full, ENTRIES, "files")
    stored = tar_layer(full, ENTRIES, "files", full.store.open)
    assert (stored.diff_id, stored.size) == (plain.diff_id, plain.size)
    assert pack(full, stored) == pack(full, plain)
    for digest in (ONE, TWO):
        lose(full, digest)
    assert tar_layer(full, ENTRIES[::-1], "files", full.store.open) == stored
