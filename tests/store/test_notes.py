"""Notes as bytes, and a scan that compares them, against plain lists and plain stat."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchtasks.store.notes import Notes, notes_from
from scratchtasks.store.scan import moved
from scratchtasks.store.signature import Note, signature_of

NUMBERS = st.integers(0, 2**64 - 3)
NOTES = st.one_of(st.none(), st.just(()), st.tuples(*[NUMBERS] * 5))


@given(st.lists(NOTES), st.data())
def test_they_are_a_list_and_come_back_from_bytes(listed: list[Note], data: st.DataObject) -> None:
    notes = Notes(listed)
    assert (list(notes), len(notes)) == (listed, len(listed))
    assert list(notes_from(notes.tobytes())) == listed
    numbers = data.draw(st.lists(st.sampled_from(range(len(listed))))) if listed else []
    assert list(notes.picked(numbers)) == [listed[number] for number in numbers]
    copy = notes.copy()
    if listed:
        at, note = data.draw(st.sampled_from(range(len(listed)))), data.draw(NOTES)
        copy[at] = note
        assert list(copy) == [*listed[:at], note, *listed[at + 1 :]]
    assert list(notes) == listed


def test_a_time_before_1970_is_never_trusted() -> None:
    assert list(Notes([(1, -1, 2, 3, 4)])) == [()]


def test_bytes_that_are_cut_short_are_refused() -> None:
    with pytest.raises(ValueError, match="length"):
        notes_from(b"\0" * 7)


@pytest.mark.parametrize("many", [0, 10_000], ids=["one process", "two processes"])
def test_a_scan_finds_what_stat_says_otherwise(tmp_path: Path, many: int) -> None:
    there, gone, new, doubted, old = (str(tmp_path / name) for name in "abcde")
    for path in (there, new, doubted, old):
        Path(path).write_text(path)
    os.utime(old, ns=(-1_000_000_000, -1_000_000_000))
    rest = [there] * many
    paths = [there, gone, new, doubted, old, f"{there}/below", "\0", *rest, gone]
    known: Note = signature_of(os.stat(there))
    notes = Notes([known, known, None, (), signature_of(os.stat(old)), None, None])
    for _ in rest:
        notes.append(known)
    notes.append(None)
    assert moved(paths, notes) == [1, 2, 3, 4, 6]
