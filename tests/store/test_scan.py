"""What large files hold is read once, on all cores, and counts while stat stays as it was."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.digest import Digest, digest_of
from scratchtasks.store import scan
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


def test_many_are_read_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_FEW", LARGE)
    paths = [f"{tmp_path}/{number}" for number in range(5)]
    for number, path in enumerate(paths):
        Path(path).write_bytes(bytes([number]) * LARGE)
    wanted = {path: digest_of(bytes([number]) * LARGE) for number, path in enumerate(paths)}
    found = read_large([*paths, "missing"])
    assert {path: content.value for path, content in found.items()} == wanted


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


def noted(folder: Path, count: int) -> tuple[list[str], Notes]:
    """*count* files, and what a look at them has noted; one path in seven is not there."""
    paths = [f"{folder}/{number}" for number in range(count)]
    for path in paths:
        if not path.endswith("7"):
            Path(path).write_text("text")
    time.sleep(0.06)
    states = FileStates(str(folder), str(folder / "files.db"))
    for path in paths:
        states.look(path)
    return paths, Notes(states.looks[path] for path in paths)


def change(path: str) -> None:
    """Another file where there was one or none."""
    Path(path).unlink(missing_ok=True)
    Path(path).write_text("other")


def no_child(*_: object) -> None:
    """What stands for a forked process that comes to grief: it has told nothing."""
    os._exit(1)


def half_told(there: int, *_: object) -> None:
    """One that is ended while it answers."""
    os.write(there, b"abc")
    os._exit(9)


@pytest.mark.parametrize("answer", [None, no_child, half_told])
@pytest.mark.parametrize("count", [8, 9, 30])
def test_a_scan_that_is_shared_with_a_forked_process_misses_nothing(
    count: int,
    answer: Callable[..., None] | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paths, notes = noted(tmp_path, count)
    forks = list[int]()
    fork = os.fork

    def counted() -> int:
        forks.append(0)
        return fork()

    monkeypatch.setattr(scan, "_WORTH_A_FORK", 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(os, "fork", counted)
    if answer:
        monkeypatch.setattr(scan, "_answer", answer)
    assert moved(paths, notes) == []
    for number in range(count):  # in the order of the paths, and in either half
        change(paths[number])
        assert moved(paths, notes) == list(range(number + 1))
    assert len(forks) == count + 1


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
