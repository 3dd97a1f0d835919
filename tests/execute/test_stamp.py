"""Stamps: whole, or not there at all."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.core.action import Action, ActionResult, Input
from scratchtasks.core.descriptor import Descriptor
from scratchtasks.core.digest import digest_of, key_of
from scratchtasks.core.label import Label
from scratchtasks.core.platform import Platform
from scratchtasks.execute.stamp import Stamp, read_stamp, remove_stamps, stamp_path, write_stamp

ACTION = Action(label=Label("p", "n"), mnemonic="", op="x", params={})
OTHER = Action(label=Label("p", "o"), mnemonic="", op="x", params={})


def stamp(*inputs: Input) -> Stamp:
    blob = Descriptor("x/y", digest_of(b"1"), 1)
    return Stamp(
        key=key_of("key"),
        base=key_of("base"),
        description={"op": "x", "deps": {}},
        record=dict.fromkeys(inputs, "-"),
        result=ActionResult(outputs={"o": blob}, facts={"roots": [blob.to_json()], "n": 10}),
    )


@pytest.fixture
def scratch(tmp_path: Path) -> str:
    return str(tmp_path / ".scratch")


def test_what_was_written_is_read_wherever_the_workspace_is_moved(scratch: str) -> None:
    assert read_stamp(scratch, ACTION) is None
    for wanted in (stamp(Input("file", "a")), stamp(Input("names", "b", "*"))):
        write_stamp(scratch, ACTION, wanted)
        assert read_stamp(scratch, ACTION) == wanted
    shutil.move(scratch, f"{scratch}2")
    assert read_stamp(f"{scratch}2", ACTION) == wanted


def test_with_any_byte_changed_or_missing_it_is_none(scratch: str) -> None:
    write_stamp(scratch, ACTION, stamp(Input("file", "a")))
    path = Path(stamp_path(scratch, ACTION))
    data = path.read_bytes()
    for number in range(len(data)):
        # A digit becomes another digit, a letter another letter: JSON stays JSON.
        path.write_bytes(data[:number] + bytes([data[number] ^ 1]) + data[number + 1 :])
        assert read_stamp(scratch, ACTION) is None, number
        path.write_bytes(data[:number])
        assert read_stamp(scratch, ACTION) is None, number


def test_it_is_of_its_action_alone(scratch: str) -> None:
    write_stamp(scratch, OTHER, stamp())
    shutil.copy(stamp_path(scratch, OTHER), stamp_path(scratch, ACTION))
    assert read_stamp(scratch, ACTION) is None


@given(st.lists(st.binary(min_size=1).map(os.fsdecode), max_size=5))
def test_any_file_name_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    scratch = str(tmp_path_factory.mktemp("scratch"))
    wanted = stamp(*(Input("file", name) for name in names))
    write_stamp(scratch, ACTION, wanted)
    assert read_stamp(scratch, ACTION) == wanted


def test_those_of_objects_go_with_that_of_their_binary(scratch: str) -> None:
    names = ("binary", "binary#1", "binary#2", "binary.x", "binary.x#1")
    platforms = (Platform("linux", "amd64"), Platform("linux", "arm64"))
    made = [
        replace(ACTION, label=Label("p", name), platform=platform)
        for name in names
        for platform in platforms
    ]
    for action in made:
        write_stamp(scratch, action, stamp())
    for _ in range(2):
        remove_stamps(scratch, made[0])
        left = [action for action in made if read_stamp(scratch, action)]
        gone = [action for action in made if action not in left]
        assert {action.label.name for action in gone} == {"binary", "binary#1", "binary#2"}
        assert {action.platform for action in gone} == {platforms[0]}
    shutil.rmtree(scratch)
    remove_stamps(scratch, made[0])
