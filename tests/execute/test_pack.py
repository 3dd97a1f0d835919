"""Packing: equal entries are compressed once, anything else anew."""

import io
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import BinaryIO

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.core.tree import FileEntry
from scratchtasks.execute.operation import World
from scratchtasks.execute.pack import pack

DATA = {digest_of(data): data for data in (b"one", b"two")}
ONE, TWO = DATA
ENTRIES = (
    FileEntry(path="srv/a", digest=ONE, size=3, origin="here"),
    FileEntry(path="srv/b", digest=TWO, size=3, mode=0o600, uid=5),
)


def opener(opened: list[Digest]) -> Callable[[Digest], BinaryIO]:
    def open_content(digest: Digest) -> BinaryIO:
        opened.append(digest)
        return io.BytesIO(DATA[digest])

    return open_content


def test_equal_entries_are_packed_once(world: World) -> None:
    opened: list[Digest] = []
    layer = pack(world, ENTRIES, opener(opened), "files")
    assert opened == [ONE, TWO]
    assert digest_of(world.store.read(layer.blob.digest)) == layer.blob.digest
    other = [replace(entry, origin="elsewhere") for entry in reversed(ENTRIES)]
    again = pack(world, other, opener(opened), "binary")
    assert again == replace(layer, kind="binary")
    assert opened == [ONE, TWO]


def test_whatever_changes_bytes_packs_anew(world: World) -> None:
    layer = pack(world, ENTRIES, opener([]), "files")
    first = ENTRIES[0]
    changes = [
        replace(first, path="srv/c"), replace(first, mode=0o755), replace(first, gid=1),
        replace(first, digest=TWO), replace(first, kind="symlink", digest=None, link="b"),
    ]  # fmt: skip
    digests = {pack(world, [change, ENTRIES[1]], opener([]), "").blob.digest for change in changes}
    late = pack(replace(world, epoch=86400), ENTRIES, opener([]), "files")
    assert len(digests | {layer.blob.digest, late.blob.digest}) == 7


def test_known_folders_count_only_where_they_are_written(world: World) -> None:
    srv = FileEntry(path="srv", kind="dir", mode=0o1777)
    far = FileEntry(path="var/tmp", kind="dir", mode=0o1777)
    plain = pack(world, ENTRIES, opener([]), "")
    opened: list[Digest] = []
    assert pack(world, ENTRIES, opener(opened), "", {"var/tmp": far}) == plain
    assert pack(world, ENTRIES, opener(opened), "", {"srv": replace(srv, mode=0o755)}) == plain
    assert opened == []
    sticky = pack(world, ENTRIES, opener(opened), "", {"srv": srv})
    with tarfile.open(world.store.path(sticky.blob.digest)) as archive:
        assert archive.getmember("srv").mode == 0o1777


def test_a_damaged_layer_is_packed_anew(world: World) -> None:
    layer = pack(world, ENTRIES, opener([]), "")
    path = world.store.path(layer.blob.digest)
    os.chmod(path, 0o644)
    with open(path, "ab") as file:
        file.write(b"damage")
    world.files.forget_scan()
    opened: list[Digest] = []
    assert pack(world, ENTRIES, opener(opened), "") == layer
    assert opened == [ONE, TWO]
    assert world.store.has(layer.blob)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.permutations(ENTRIES), st.sampled_from([0, 1, 2**33]))
def test_order_does_not_matter(world: World, entries: list[FileEntry], epoch: int) -> None:
    world = replace(world, epoch=epoch)
    layer = pack(world, ENTRIES, opener([]), "")
    opened: list[Digest] = []
    assert pack(world, entries, opener(opened), "") == layer
    assert opened == []
