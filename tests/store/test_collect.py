"""Collecting frees what was used longest ago and never what an image is made of."""

import errno
import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchtasks.core.action import ActionResult, Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import ActionKey, key_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store.actions import ActionCache
from scratchtasks.store.atomic import remove_tree
from scratchtasks.store.blobs import ContentStore
from scratchtasks.store.collect import Collected, Usage, collect, measure, remove_leftovers
from scratchtasks.store.files import FileStates

HOUR = 3600
DAY = 24 * HOUR
SIZE = 10_000


class Disk(NamedTuple):
    scratch: str
    store: ContentStore
    cache: ActionCache

    def blob(self, name: str, age: float = 2 * DAY) -> Descriptor:
        blob = self.store.put_bytes(name.encode().ljust(SIZE), "x")
        aged(self.store.path(blob.digest), age)
        return blob

    def action(self, name: str, age: float, *blobs: Descriptor) -> ActionKey:
        key = key_of(name)
        outputs = {str(n): blob for n, blob in enumerate(blobs)}
        self.cache.put(key, ActionResult(outputs=outputs))
        self.cache.add_input_set(key, [Input("file", name)])
        for kind in ("results", "inputs"):
            aged(f"{self.scratch}/actions/{kind}/{key[:2]}/{key}", age)
        return key

    def has(self, *blobs: Descriptor) -> list[bool]:
        return [self.store.has(blob) for blob in blobs]


def aged(path: str, age: float) -> None:
    then = time.time() - age
    os.utime(path, (then, then))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return open_disk(tmp_path)


def open_disk(root: Path) -> Disk:
    scratch = str(root / ".scratch")
    store = ContentStore(scratch + "/blobs", FileStates(str(root), scratch + "/files"))
    return Disk(scratch, store, ActionCache(scratch + "/actions", store))


def test_measure(disk: Disk, tmp_path: Path) -> None:
    assert measure(disk.scratch) == Usage(0, 0, 0)
    one, two = disk.blob("one"), disk.blob("two")
    disk.action("a", 0, one, two)
    disk.store.link(one, str(tmp_path / "dist" / "one"))
    assert measure(disk.scratch) == Usage(2 * SIZE, 1, 2)


def test_within_the_limit_nothing_goes(disk: Disk) -> None:
    blob = disk.blob("unnamed")
    assert collect(disk.scratch, SIZE, set()) == Collected(0, 0)
    assert disk.has(blob) == [True]


def test_the_least_recently_used_go_first(disk: Disk) -> None:
    ages = {"a": 5, "b": 3, "c": 9, "d": 1}
    blobs = {name: disk.blob(name) for name in ages}
    keys = {name: disk.action(name, age * DAY, blobs[name]) for name, age in ages.items()}
    collected = collect(disk.scratch, 2 * SIZE + 2000, set())
    assert disk.has(*blobs.values()) == [False, True, False, True]
    assert [disk.cache.get(key) is not None for key in keys.values()] == [False, True, False, True]
    assert [len(disk.cache.input_sets(key)) for key in keys.values()] == [0, 1, 0, 1]
    assert collected.blobs == 2
    assert 2 * SIZE < collected.freed < 2 * SIZE + 2000
    assert disk.cache.why_missed(keys["c"]) == "nothing is stored for it"


def test_what_a_later_result_names_stays(disk: Disk) -> None:
    shared, old, new = disk.blob("shared"), disk.blob("old"), disk.blob("new")
    disk.action("old", 9 * DAY, shared, old)
    disk.action("new", 1 * DAY, shared, new)
    assert collect(disk.scratch, 2 * SIZE + 2000, set()).blobs == 1
    assert disk.has(shared, old, new) == [True, False, True]


def test_unnamed_blobs_go_before_any_result_but_not_young_ones(disk: Disk) -> None:
    named, old, young = disk.blob("named"), disk.blob("old"), disk.blob("young", HOUR / 2)
    key = disk.action("a", 30 * DAY, named)
    assert collect(disk.scratch, 2 * SIZE + 2000, set()) == Collected(SIZE, 1)
    assert disk.has(named, old, young) == [True, False, True]
    assert disk.cache.get(key) is not None
    assert collect(disk.scratch, 0, set()).blobs == 1
    assert disk.has(named, young) == [False, True]


def test_what_images_use_never_goes(disk: Disk) -> None:
    layer, binary, unnamed = disk.blob("layer"), disk.blob("binary"), disk.blob("unnamed")
    image = disk.action("image", 90 * DAY, layer)
    compiled = disk.action("compile", 80 * DAY, layer, binary)
    assert collect(disk.scratch, 0, {layer.digest, unnamed.digest}).blobs == 1
    assert disk.has(layer, binary, unnamed) == [True, False, True]
    # A result that names nothing else would have to be made again, and frees nothing.
    assert disk.cache.get(image) is not None
    assert disk.cache.input_sets(image) != ()
    assert disk.cache.get(compiled) is None


def test_a_damaged_entry_goes_and_keeps_nothing(disk: Disk) -> None:
    blob = disk.blob("blob")
    key = disk.action("a", 9 * DAY, blob)
    path = f"{disk.scratch}/actions/results/{key[:2]}/{key}"
    with open(path, "r+b") as file:
        file.write(b"0000")
    assert collect(disk.scratch, 100, set()).blobs == 1
    assert disk.has(blob) == [False]
    assert collect(disk.scratch, 0, set()).blobs == 0
    assert not os.path.exists(path)


def test_trees_of_what_is_not_kept_go_whatever_the_limit(disk: Disk) -> None:
    kept, other = disk.blob("kept"), disk.blob("other")
    for blob in (kept, other):
        os.makedirs(f"{disk.store.tree(blob.digest)}/files/bin")
        Path(disk.store.tree(blob.digest), "files/bin/go").write_bytes(bytes(500))
    trees = os.path.dirname(disk.store.tree(kept.digest))
    os.mkdir(f"{trees}/.tmp-1-ab")  # of somebody who unpacks
    assert collect(disk.scratch, 10**9, {kept.digest}) == Collected(500, 0)
    assert sorted(os.listdir(trees)) == [
        ".tmp-1-ab",
        os.path.basename(disk.store.tree(kept.digest)),
    ]
    assert disk.has(kept, other) == [True, True]


def test_cargos_target_folders_go_after_a_week(disk: Disk) -> None:
    for name, age in (("old", 7.1 * DAY), ("new", 6.9 * DAY), (".tmp-1-old", 7.1 * DAY)):
        path = os.path.join(disk.scratch, "cargo", name)
        os.makedirs(f"{path}/release")
        Path(path, "release/program").write_bytes(bytes(500))
        if name != ".tmp-1-old":  # a kill has left half of it
            Path(path + ".lock").touch()
        aged(path, age)
    assert collect(disk.scratch, 10**9, set()) == Collected(500, 0)
    assert sorted(os.listdir(f"{disk.scratch}/cargo")) == ["new", "new.lock"]
    assert os.path.isfile(f"{disk.scratch}/cargo/new/release/program")


def test_unfinished_files_go_after_a_day(disk: Disk) -> None:
    disk.action("a", 0, disk.blob("blob"))
    key = key_of("a")
    folders = ["", "blobs/tmp", f"actions/results/{key[:2]}", f"actions/inputs/{key[:2]}"]
    for folder in folders:
        for name, age in ((".tmp-1-old", 1.1 * DAY), (".tmp-2-new", 0.9 * DAY)):
            path = os.path.join(disk.scratch, folder, name)
            Path(path).touch()
            aged(path, age)
    for folder in ("tmp", "blobs/trees"):
        for name, age in ((".tmp-1-old", 1.1 * DAY), (".tmp-2-new", 0.9 * DAY)):
            path = os.path.join(disk.scratch, folder, name)
            os.makedirs(f"{path}/files")
            aged(path, age)
    os.mkdir(os.path.join(disk.scratch, "uploads"))
    for name, age in (("old", 1.1 * DAY), ("new", 0.9 * DAY)):
        path = os.path.join(disk.scratch, "uploads", name)
        Path(path).touch()
        aged(path, age)
    before = measure(disk.scratch)
    assert collect(disk.scratch, 10**9, set()) == Collected(0, 0)
    assert measure(disk.scratch) == before == Usage(SIZE, 1, 1)
    assert os.listdir(os.path.join(disk.scratch, "uploads")) == ["new"]
    folders += ["tmp", "blobs/trees"]
    for folder in folders:
        names = os.listdir(os.path.join(disk.scratch, folder))
        assert [name for name in names if name.startswith(".tmp-")] == [".tmp-2-new"]


def test_what_cannot_be_removed_keeps_nothing_else_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, say, such as what a run under `sudo` has left."""
    theirs = os.path.join(disk.scratch, ".tmp-1-theirs")
    old = [theirs, *(os.path.join(disk.scratch, "tmp", name) for name in "abc")]
    for path in old:
        os.makedirs(path)
        aged(path, 2 * DAY)
    blob = disk.blob("blob")
    aged(disk.store.path(blob.digest), 2 * DAY)

    def remove(path: str) -> None:
        if path == theirs:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        remove_tree(path)

    monkeypatch.setattr("scratchtasks.store.collect.remove_tree", remove)
    with pytest.raises(StoreError) as told:
        remove_leftovers(disk.scratch)
    assert str(told.value).startswith(f"{theirs}: cannot be written: permission denied")
    assert [path for path in old if os.path.exists(path)] == [theirs]
    with pytest.raises(StoreError):
        collect(disk.scratch, 0, set())
    assert not disk.store.has(blob)


@settings(max_examples=30)
@given(
    actions=st.lists(
        st.tuples(st.integers(2, 50), st.sets(st.integers(0, 7), max_size=4)), max_size=8
    ),
    keep=st.sets(st.integers(0, 7), max_size=4),
    limit=st.integers(0, 8),
)
def test_whatever_goes_what_is_left_is_consistent(
    tmp_path_factory: pytest.TempPathFactory,
    actions: list[tuple[int, set[int]]],
    keep: set[int],
    limit: int,
) -> None:
    disk = open_disk(tmp_path_factory.mktemp("disk"))
    blobs = [disk.blob(str(n)) for n in range(8)]
    kept = {blobs[n].digest for n in keep}
    keys = [
        disk.action(str(n), age * DAY, *(blobs[b] for b in sorted(names)))
        for n, (age, names) in enumerate(actions)
    ]
    before = measure(disk.scratch)
    collected = collect(disk.scratch, limit * SIZE, kept)
    after = measure(disk.scratch)
    assert before.blobs_bytes - after.blobs_bytes == collected.blobs * SIZE <= collected.freed
    assert all(disk.store.has(blobs[n]) for n in keep)
    reasons = {disk.cache.why_missed(key) for key in keys if disk.cache.get(key) is None}
    assert reasons <= {"nothing is stored for it"}, "a result was left without its blobs"
    if after.blobs_bytes > limit * SIZE:
        names = {n for n, key in enumerate(keys) if disk.cache.get(key) is not None}
        assert all(actions[n][1] <= keep and actions[n][1] for n in names)
        assert after.files == len(keep)
