"""What large files hold is read once, on all cores, and counts while stat stays as it was."""

import os
import time
from pathlib import Path

import pytest

from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.store.files import FileStates
from scratchtasks.store.notes import Notes
from scratchtasks.store.scan import moved, read_large

LARGE = 256 * 1024


def test_large_regular_files_are_read(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"large{number}").write_bytes(bytes([number]) * (LARGE + number))
    (tmp_path / "small").write_bytes(b"x" * (LARGE - 1))
    (tmp_path / "link").symlink_to("large1")
    (tmp_path / "folder").mkdir()
    names = [*(path.name for path in tmp_path.iterdir()), "missing", "a\0b"]
    found = read_large(f"{tmp_path}/{name}" for name in names)
    assert {path.rpartition("/")[2]: content.value for path, content in found.items()} == {
        **{f"large{n}": digest_of(bytes([n]) * (LARGE + n)) for n in range(5)},
        "link": digest_of(b"\1" * (LARGE + 1)),
    }
    assert read_large([f"{tmp_path}/small"]) == {}


def test_what_was_read_is_believed_until_stat_moves(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"1" * LARGE)
    time.sleep(0.07)
    content = read_large([str(path)])[str(path)]
    assert content.settled
    marked = content._replace(value=Digest("sha256:" + "0" * 64))  # to see who is believed
    states = FileStates(str(tmp_path), str(tmp_path / "files.db"))
    states.learn({"large": marked})
    assert states.digest("large") == marked.value
    os.utime(path)
    states.forget_scan()
    assert states.digest("large") == digest_of(b"1" * LARGE)


def test_what_was_read_too_soon_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"1" * LARGE)
    content = read_large([str(path)])[str(path)]._replace(settled=False)
    states = FileStates(str(tmp_path), str(tmp_path / "files.db"))
    states.learn({str(path): content._replace(value=Digest("sha256:" + "0" * 64))})
    assert states.digest("large") == digest_of(b"1" * LARGE)


def test_a_word_that_can_be_no_path_does_not_move(tmp_path: Path) -> None:
    words = [f"{tmp_path}/{word}" for word in ("missing", "x" * 300, "x/" * 5000)]
    states = FileStates(str(tmp_path), str(tmp_path / "files.db"))
    assert [states.look(word) for word in words] == [None] * len(words)
    assert list(states.looks.values()) == [None] * len(words)
    assert moved(words, Notes(states.looks.values())) == []
    assert moved(words, Notes([(0,) * 5] * len(words))) == [0, 1, 2]


def test_many_are_looked_at_alone_where_no_process_may_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    paths = [f"{tmp_path}/{number}" for number in range(9000)]
    notes = Notes([None] * 4500 + [(0,) * 5] * 4500)
    both = moved(paths, notes)
    opened = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fork", refuse)
    assert moved(paths, notes) == both == list(range(4500, 9000))
    assert os.listdir("/proc/self/fd") == opened
