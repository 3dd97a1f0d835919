"""What the stat cache keeps between runs, and that damage to it costs only time."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scratchtasks.core.action import Input
from scratchtasks.core.digest import digest_of
from scratchtasks.core.errors import StoreError
from scratchtasks.store import database
from scratchtasks.store.database import Saved, read_saved, write_saved
from scratchtasks.store.files import FileStates

SETTLE = 0.07
WRONG = "sha256:" + "0" * 64


@pytest.fixture
def fresh(tmp_path: Path) -> Callable[[], FileStates]:
    """Makes the FileStates that a new process would."""
    return lambda: FileStates(str(tmp_path), str(tmp_path / ".scratch" / "files"))


class TestDatabase:
    @pytest.mark.parametrize("damage", ["flip", "truncate", "empty", "garbage", "folder"])
    def test_a_damaged_one_is_ignored(
        self, tmp_path: Path, fresh: Callable[[], FileStates], damage: str
    ) -> None:
        (tmp_path / "file").write_bytes(b"x")
        time.sleep(SETTLE)
        states = fresh()
        states.observe(Input("file", "file"))
        states.save()
        path = tmp_path / ".scratch" / "files"
        saved = read_saved(str(path))
        saved.entries = {key: (e[0], WRONG, *e[2:]) for key, e in saved.entries.items()}
        write_saved(str(path), saved)
        assert fresh().observe(Input("file", "file")) == WRONG
        data = bytearray(path.read_bytes())
        if damage == "flip":
            data[-20] ^= 1
        path.unlink()
        if damage == "folder":
            path.mkdir()
        else:
            cut: dict[str, bytes] = {
                "flip": bytes(data),
                "truncate": bytes(data[:-1]),
                "empty": b"",
                "garbage": b"\xff" * 99,
            }
            path.write_bytes(cut[damage])
        assert fresh().observe(Input("file", "file")) == digest_of(b"x")

    def test_nothing_new_writes_nothing(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        path = tmp_path / ".scratch" / "files"
        fresh().save()
        assert not path.exists()
        (tmp_path / "file").write_bytes(b"x")
        time.sleep(SETTLE)
        states = fresh()
        states.observe(Input("file", "file"))
        states.save()
        inode = path.stat().st_ino
        again = fresh()
        again.observe(Input("file", "file"))
        again.save()
        assert path.stat().st_ino == inode

    def test_what_is_gone_or_unused_is_dropped(
        self, tmp_path: Path, fresh: Callable[[], FileStates], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database_path = str(tmp_path / ".scratch" / "files")
        for name in ("old", "gone", "used"):
            (tmp_path / name).write_bytes(b"x")
        time.sleep(SETTLE)
        states = fresh()
        states.observe_all(Input("file", name) for name in ("old", "gone", "used"))
        states.probes.ask("old", lambda: "1")
        states.save()
        now = time.time_ns()

        def later(days: int) -> FileStates:
            monkeypatch.setattr(time, "time_ns", lambda: now + days * 86_400 * 10**9)
            return fresh()

        (tmp_path / "gone").unlink()
        states = later(20)
        states.observe(Input("file", "used"))
        states.save()
        kept = read_saved(database_path)
        assert set(kept.entries) == {str(tmp_path / "old"), str(tmp_path / "used")}
        states = later(40)
        states.observe(Input("file", "used"))
        states.save()
        kept = read_saved(database_path)
        assert (set(kept.entries), kept.probes) == ({str(tmp_path / "used")}, {})

    def test_of_another_python_is_ignored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = str(tmp_path / "files")
        write_saved(path, Saved("boot", 1))
        assert read_saved(path) == Saved("boot", 1)
        monkeypatch.setattr(database, "_MAGIC", b"scratchtasks-files 1 cpython-399")
        assert read_saved(path) == Saved()


class TestProbe:
    def test_is_remembered_across_runs(
        self, tmp_path: Path, fresh: Callable[[], FileStates]
    ) -> None:
        states, calls = fresh(), list[str]()

        def make() -> str:
            calls.append("made")
            return f"go{len(calls)}"

        assert states.probes.ask(["go", "1"], make) == "go1"
        assert states.probes.ask(["go", "1"], make) == "go1"
        states.save()
        assert fresh().probes.ask(["go", "1"], make) == "go1"
        assert fresh().probes.ask(["go", "2"], make) == "go2"

    def test_a_failure_is_not(self, fresh: Callable[[], FileStates]) -> None:
        states = fresh()

        def fail() -> str:
            raise StoreError("go", "is missing")

        with pytest.raises(StoreError, match="go: is missing"):
            states.probes.ask("key", fail)
        assert states.probes.ask("key", lambda: "found") == "found"

    def test_threads_make_it_once(self, fresh: Callable[[], FileStates]) -> None:
        states, calls, answers = fresh(), list[int](), list[str]()

        def make() -> str:
            calls.append(1)
            time.sleep(0.02)
            return "value"

        threads = [
            threading.Thread(target=lambda: answers.append(states.probes.ask("key", make)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (calls, answers) == ([1], ["value"] * 4)
