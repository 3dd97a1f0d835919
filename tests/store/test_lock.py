"""One run at a time, and no stale lock whatever happens to its holder."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scratchtasks.core.errors import StoreError
from scratchtasks.store.lock import WorkspaceLock, is_ancestor
from scratchtasks.store.owner import stat_of_process, this_process

HOLDER = """
import subprocess, sys
from scratchtasks.store.lock import WorkspaceLock
lock = WorkspaceLock(sys.argv[1])
lock.acquire(lambda pid: print("waits for", pid, flush=True))
print("held", flush=True)
if "child" in sys.argv:
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    print(child.pid, flush=True)
sys.stdin.read()
lock.release()
"""


def unexpected(pid: int) -> None:
    raise AssertionError(f"waits for {pid}")


@contextmanager
def process(path: Path, *args: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as holder:
        try:
            yield holder
        finally:
            holder.kill()


def line(holder: subprocess.Popen[str]) -> str:
    assert holder.stdout is not None
    return holder.stdout.readline().strip()


def test_a_free_lock_is_taken_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / ".scratch" / "lock"
    for _ in range(2):
        with WorkspaceLock(str(path)) as lock:
            lock.acquire(unexpected)
            lock.acquire(unexpected)
            assert lock.is_held
            assert path.read_text() == f"{this_process()}\n"
        assert not lock.is_held
        assert path.read_text() == ""
        lock.release()


def test_a_kill_9_of_the_holder_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waited: list[int] = []
    with process(path) as holder:
        assert line(holder) == "held"
        threading.Timer(0.2, holder.kill).start()
        with WorkspaceLock(str(path)) as lock:
            lock.acquire(waited.append)
            assert waited == [holder.pid]
            assert holder.wait() == -signal.SIGKILL
            assert path.read_text() == f"{this_process()}\n"


def test_two_processes_take_turns(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with process(path) as first, process(path) as second:
        said = {first: line(first), second: line(second)}
        holder = next(p for p, text in said.items() if text == "held")
        waiter = first if holder is second else second
        # 0: the waiter came between the holder's taking the lock and its writing who it is.
        assert said[waiter] in (f"waits for {holder.pid}", "waits for 0")
        assert waiter.poll() is None
        holder.communicate("")
        assert line(waiter) == "held"
        waiter.communicate("")
        assert (holder.returncode, waiter.returncode) == (0, 0)


def test_programs_that_the_holder_started_do_not_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with process(path, "child") as holder:
        assert line(holder) == "held"
        child = int(line(holder))
        try:
            holder.kill()
            holder.wait()
            os.kill(child, 0)
            with WorkspaceLock(str(path)) as lock:
                lock.acquire(unexpected)
        finally:
            os.kill(child, signal.SIGKILL)


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with WorkspaceLock(str(path)) as lock:
        lock.acquire(unexpected)
        with process(path) as waiter:
            assert line(waiter) == f"waits for {os.getpid()}"
            time.sleep(0.05)
            waiter.send_signal(signal.SIGINT)
            _, stderr = waiter.communicate(timeout=10)
            assert "KeyboardInterrupt" in stderr
        assert path.read_text() == f"{this_process()}\n"


def test_a_lock_file_deleted_meanwhile_locks_nobody_out_or_in(tmp_path: Path) -> None:
    path = tmp_path / ".scratch" / "lock"
    old = WorkspaceLock(str(path))
    old.acquire(unexpected)
    with process(path) as waiter:
        assert line(waiter) == f"waits for {os.getpid()}"
        path.unlink()
        path.parent.rmdir()
        old.release()
        assert line(waiter) == "held"
        # It holds the file that is there now, not the one it waited for.
        waited: list[int] = []
        threading.Timer(0.1, waiter.kill).start()
        with WorkspaceLock(str(path)) as lock:
            lock.acquire(waited.append)
        assert waited == [waiter.pid]


def test_a_full_disk_does_not_lock_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with WorkspaceLock(str(tmp_path / "lock")) as lock:
        lock.acquire(unexpected)
        assert lock.is_held


def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "lock").mkdir()
    with pytest.raises(StoreError) as caught:
        WorkspaceLock(str(tmp_path / "lock")).acquire(unexpected)
    assert str(caught.value) == (
        f"{tmp_path}/lock: cannot be written: is a directory\n    hint: move it elsewhere"
    )


def test_a_fifo_in_its_place_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(StoreError) as caught:
        WorkspaceLock(str(tmp_path / "lock")).acquire(unexpected)
    assert str(caught.value) == (
        f"{tmp_path}/lock: wanted a file, got a FIFO or a device\n    hint: move it elsewhere"
    )


def test_who_started_us_and_who_did_not() -> None:
    ask = (
        "import os, sys; from scratchtasks.store.lock import is_ancestor; "
        "print(*(is_ancestor(int(pid)) for pid in sys.argv[1:]), is_ancestor(os.getpid()))"
    )
    with subprocess.Popen(["sleep", "60"]) as stranger:
        pids = [str(pid) for pid in (os.getpid(), os.getppid(), stranger.pid, 0)]
        argv = ["sh", "-c", '"$0" -c "$@"; exit $?', sys.executable, ask, *pids]
        # A session of its own, as our compilers and genrules have.
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, start_new_session=True
        )
        stranger.kill()
    assert done.stdout.split() == ["True", "True", "False", "False", "False"]


def test_a_parent_of_another_container_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `docker exec` has started has the parent 0, as a holder that cannot be told has."""

    def stat(pid: int) -> list[bytes]:
        return [b"S", b"0", *stat_of_process(pid)[2:]]

    monkeypatch.setattr("scratchtasks.store.lock.stat_of_process", stat)
    assert not is_ancestor(0)


def test_a_holder_of_another_container_is_no_ancestor(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    script = HOLDER.replace('print("held"', 'print("held by", os.getpid()').replace(
        "import", "import os,", 1
    )
    argv = [
        "unshare",
        "--user",
        "--map-root-user",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
    ]
    with subprocess.Popen(
        [*argv, sys.executable, "-c", script, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert line(holder) == "held by 1"  # which is an ancestor of ours, too
        waited: list[int] = []
        threading.Timer(0.2, holder.kill).start()
        with WorkspaceLock(str(path)) as lock:
            lock.acquire(waited.append)
    assert waited == [0]
    assert is_ancestor(1)


def test_threads_of_one_run_take_it_together(tmp_path: Path) -> None:
    """doit's own loader locks in the first task, and with `-n` there are several of those."""
    for number in range(200):
        lock = WorkspaceLock(str(tmp_path / str(number)))
        start = threading.Barrier(4)

        def take(lock: WorkspaceLock = lock, start: threading.Barrier = start) -> None:
            start.wait()
            lock.acquire(unexpected)

        threads = [threading.Thread(target=take, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert lock.is_held
        lock.release()
