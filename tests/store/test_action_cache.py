"""An entry counts only when it and every blob it names are whole."""

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.digest import ActionKey, digest_of, key_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store.actions import ActionCache, write_entry
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.files import FileStates

KEY = key_of("key")
NO_ENTRY = "nothing is stored for it"


class Disk(NamedTuple):
    folder: Path
    store: ContentStore
    cache: ActionCache

    def result(self, data: bytes = b"data") -> ActionResult:
        blob = self.store.put_bytes(data, "x/y")
        return ActionResult(outputs={"out": blob}, facts={"name": "café", "n": [1, None, True]})

    def entry(self, key: ActionKey = KEY, kind: str = "results") -> Path:
        return self.folder / kind / key[:2] / key


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return open_disk(tmp_path)


def open_disk(root: Path) -> Disk:
    store = ContentStore(str(root / "blobs"), FileStates(str(root), str(root / "files")))
    return Disk(root / "actions", store, ActionCache(str(root / "actions"), store))


def test_what_was_put_is_got(disk: Disk, tmp_path: Path) -> None:
    result = disk.result()
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == NO_ENTRY
    disk.cache.put(KEY, result)
    assert disk.cache.why_missed(KEY) == ""
    for cache in (disk.cache, open_disk(tmp_path).cache):
        assert cache.get(KEY) == result
        assert cache.why_missed(KEY) == ""


@pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "other key"])
def test_a_damaged_entry_is_a_miss(disk: Disk, damage: str) -> None:
    disk.cache.put(KEY, disk.result())
    path = disk.entry()
    info, data = path.stat(), bytearray(path.read_bytes())
    if damage == "other key":
        other = key_of("other")
        disk.cache.put(other, disk.result(b"another"))
        disk.entry(other).rename(path)
    else:
        data[-3] ^= damage == "flip"
        cut: dict[str, bytes] = {"flip": bytes(data), "truncate": bytes(data[:-1]), "empty": b""}
        path.write_bytes(cut[damage])
        os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == "its entry is damaged: checksum differs"
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == NO_ENTRY


@pytest.mark.parametrize("value", [None, [], "text", {"outputs": {}}, {"outputs": [], "facts": {}}])
def test_an_entry_of_another_form_is_a_miss(disk: Disk, value: object) -> None:
    write_entry(str(disk.entry()), KEY, value)
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == "its entry is damaged: it is no action result"


def test_a_missing_or_damaged_blob_is_a_miss(disk: Disk) -> None:
    result = disk.result()
    digest = result.outputs["out"].digest
    path = disk.store.path(digest)
    disk.cache.put(KEY, result)
    os.chmod(path, 0o644)
    with open(path, "r+b") as file:
        file.write(b"D")
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == (
        f"blob {digest} is damaged: its 4 bytes have {digest_of(b'Data')}"
    )
    os.unlink(path)
    assert disk.cache.get(KEY) is None
    assert disk.cache.why_missed(KEY) == f"blob {digest} is missing"
    disk.result()
    assert disk.cache.get(KEY) == result


def test_use_is_noted_at_most_once_an_hour(disk: Disk) -> None:
    disk.cache.put(KEY, disk.result())
    disk.cache.add_input_set(KEY, [Input("file", "a")])
    for path in (disk.entry(), disk.entry(kind="inputs")):
        now = time.time()
        for age, is_touched in ((1800, False), (7200, True), (-7200, True)):
            os.utime(path, (now - age, now - age))
            disk.cache.get(KEY)
            disk.cache.input_sets(KEY)
            assert (abs(path.stat().st_mtime - (now - age)) > 60) is is_touched


def test_an_unreadable_entry_is_an_error(disk: Disk) -> None:
    disk.entry().mkdir(parents=True)
    with pytest.raises(StoreError) as caught:
        disk.cache.get(KEY)
    assert str(caught.value) == f"{disk.entry()}: cannot be read: is a directory"


class TestInputSets:
    def test_newest_first_without_repeats(self, disk: Disk) -> None:
        a, b = Input("file", "a"), Input("names", "b", ".go")
        assert disk.cache.input_sets(KEY) == ()
        disk.cache.add_input_set(KEY, [b, a, b])
        disk.cache.add_input_set(KEY, [a])
        assert disk.cache.input_sets(KEY) == ((a,), (a, b))
        disk.cache.add_input_set(KEY, iter([a, b]))
        assert disk.cache.input_sets(KEY) == ((a, b), (a,))
        assert disk.cache.input_sets(key_of("other")) == ()

    def test_the_known_newest_is_not_written_again(self, disk: Disk) -> None:
        disk.cache.add_input_set(KEY, [Input("file", "a")])
        inode = disk.entry(kind="inputs").stat().st_ino
        disk.cache.add_input_set(KEY, [Input("file", "a")])
        assert disk.entry(kind="inputs").stat().st_ino == inode

    def test_at_most_sixteen(self, disk: Disk) -> None:
        for n in range(20):
            disk.cache.add_input_set(KEY, [Input("file", str(n))])
        assert [items[0].path for items in disk.cache.input_sets(KEY)] == [
            str(n) for n in range(19, 3, -1)
        ]

    def test_damaged_ones_are_forgotten(self, disk: Disk) -> None:
        path = disk.entry(kind="inputs")
        for value in (None, 3, [3], [[3]], [["file"]], [["file", "a", "", "more"]]):
            write_entry(str(path), KEY, value)
            assert disk.cache.input_sets(KEY) == ()
        disk.cache.add_input_set(KEY, [Input("file", "a")])
        path.write_bytes(path.read_bytes()[:-1])
        assert disk.cache.input_sets(KEY) == ()
        disk.cache.add_input_set(KEY, [Input("file", "b")])
        assert disk.cache.input_sets(KEY) == ((Input("file", "b"),),)

    @given(st.lists(st.binary(min_size=1).map(os.fsdecode), max_size=5))
    def test_any_file_name_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, names: list[str]
    ) -> None:
        disk = open_disk(tmp_path_factory.mktemp("disk"))
        inputs = [Input("file", name) for name in names]
        disk.cache.add_input_set(KEY, inputs)
        assert disk.cache.input_sets(KEY) == (tuple(sorted(set(inputs))),)
