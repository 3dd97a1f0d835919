"""Children that can always be ended, with every descendant of theirs."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from scratchtasks.core.errors import ActionFailed, ToolchainMissing
from scratchtasks.execute.process import Cancelled, Processes, without_passwords

ENV = {"PATH": os.defpath, "WORD": "wörd"}


@pytest.fixture
def processes(shown: list[bytes]) -> Processes:
    return Processes(shown.append)


def _sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def _wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _pid_in(path: Path) -> int:
    _wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_both_pipes_and_the_code_come_back_untouched(
    processes: Processes, shown: list[bytes], tmp_path: Path
) -> None:
    script = r'pwd; echo "$WORD"; printf "\033[1merr\377\n" >&2; exit 3'
    done = processes.run(_sh(script), cwd=str(tmp_path), env=ENV)
    assert done.code == 3
    assert done.stdout.decode() == f"{tmp_path}\nwörd\n"
    assert done.stderr == b"\x1b[1merr\xff\n"
    assert shown == [done.stderr]


def test_a_message_may_be_kept_back(processes: Processes, shown: list[bytes]) -> None:
    done = processes.run(_sh("echo no >&2"), cwd="/", env=ENV, show_stderr=False)
    assert (done.stderr, shown) == (b"no\n", [])
    processes.show(b"")
    processes.show(done.stderr)
    assert shown == [b"no\n"]


def test_standard_input_is_what_was_given_else_empty(processes: Processes) -> None:
    data = os.urandom(300_000)
    assert processes.run(["cat"], cwd="/", env=ENV, stdin=data).stdout == data
    assert processes.run(["cat"], cwd="/", env=ENV).stdout == b""


def test_much_output_on_both_pipes_does_not_block(processes: Processes) -> None:
    script = "head -c 1000000 /dev/zero & head -c 1000000 /dev/zero >&2; wait"
    done = processes.run(_sh(script), cwd="/", env=ENV, show_stderr=False)
    assert (len(done.stdout), len(done.stderr)) == (1_000_000, 1_000_000)


def test_a_child_that_a_signal_ended_says_so(processes: Processes) -> None:
    assert processes.run(_sh("kill -9 $$"), cwd="/", env=ENV).code == -signal.SIGKILL


def test_what_cannot_be_started_is_named(processes: Processes, tmp_path: Path) -> None:
    with pytest.raises(ToolchainMissing) as missing:
        processes.run(["no-such-compiler"], cwd="/", env=ENV)
    assert str(missing.value) == (
        "no-such-compiler: cannot be run: no such file or directory\n"
        "    hint: is it installed, on PATH?"
    )
    with pytest.raises(ActionFailed) as folder:
        processes.run(["true"], cwd=f"{tmp_path}/gone", env=ENV)
    assert str(folder.value) == (
        f"true: cannot start in {tmp_path}/gone: no such file or directory"
    )
    with pytest.raises(ActionFailed) as long:
        processes.run(["true", "x" * 10_000_000], cwd="/", env=ENV)
    assert str(long.value) == "true: cannot be started: argument list too long"


def test_a_grandchild_that_holds_the_pipes_is_not_waited_for(
    processes: Processes, tmp_path: Path
) -> None:
    began = time.monotonic()
    done = processes.run(_sh("sleep 60 & echo $! > pid; echo done"), cwd=str(tmp_path), env=ENV)
    assert (done.code, done.stdout) == (0, b"done\n")
    assert time.monotonic() - began < 10
    _wait_for(lambda: not _is_alive(_pid_in(tmp_path / "pid")))


def test_a_grandchild_that_let_go_of_the_pipes_is_ended_too(
    processes: Processes, tmp_path: Path
) -> None:
    script = "sleep 60 >/dev/null 2>&1 & echo $! > pid"
    processes.run(_sh(script), cwd=str(tmp_path), env=ENV)
    _wait_for(lambda: not _is_alive(_pid_in(tmp_path / "pid")))


def test_cancel_ends_all_children_of_all_threads(
    processes: Processes, shown: list[bytes], tmp_path: Path
) -> None:
    results: list[type[BaseException]] = []

    def work(number: int) -> None:
        script = f"sleep 60 & echo $! > {number}; echo half >&2; wait"
        try:
            processes.run(_sh(script), cwd=str(tmp_path), env=ENV)
        except BaseException as error:
            results.append(type(error))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    pids = [_pid_in(tmp_path / str(number)) for number in range(8)]
    processes.cancel()
    for thread in threads:
        thread.join(10)
    assert results == [Cancelled] * 8
    assert shown == []
    _wait_for(lambda: not any(map(_is_alive, pids)))
    with pytest.raises(Cancelled):
        processes.run(["touch", "late"], cwd=str(tmp_path), env=ENV)
    assert not (tmp_path / "late").exists()


def test_a_child_that_ignores_sigterm_is_killed(processes: Processes, tmp_path: Path) -> None:
    ended: list[float] = []

    def work() -> None:
        with pytest.raises(Cancelled):
            processes.run(
                _sh("trap '' TERM; echo $$ > pid; while :; do sleep 1; done"),
                cwd=str(tmp_path),
                env=ENV,
            )
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    pid = _pid_in(tmp_path / "pid")
    began = time.monotonic()
    processes.cancel()
    thread.join(20)
    assert 2.5 < ended[0] - began < 15
    _wait_for(lambda: not _is_alive(pid))


PARENT = """
import os, signal, sys, threading
from scratchtasks.execute.process import Cancelled, Processes

processes = Processes(lambda message: None)
where, how = sys.argv[1:]

def work():
    try:
        processes.run(
            ["sh", "-c", "sleep 60 & echo $! > pid; wait"], cwd=where, env={"PATH": os.defpath}
        )
    except Cancelled:
        pass

if how == "main":
    signal.signal(signal.SIGTERM, lambda number, frame: processes.cancel())
    work()
elif how == "daemon":
    signal.signal(signal.SIGTERM, lambda number, frame: (processes.cancel(), sys.exit(1)))
    threading.Thread(target=work, daemon=True).start()
    threading.Event().wait()
else:
    work()
"""


@pytest.mark.parametrize(
    ("how", "sent"),
    [("main", signal.SIGTERM), ("daemon", signal.SIGTERM), ("interrupt", signal.SIGINT)],
)
def test_a_signal_to_the_parent_leaves_no_orphan(
    tmp_path: Path, how: str, sent: signal.Signals
) -> None:
    argv = [sys.executable, "-c", PARENT, str(tmp_path), how]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as parent:
        pid = _pid_in(tmp_path / "pid")
        assert _is_alive(pid)
        stderr = _ended_by(parent, sent)
    _wait_for(lambda: not _is_alive(pid))
    assert (b"KeyboardInterrupt" in stderr) is (how == "interrupt")


def _ended_by(parent: "subprocess.Popen[bytes]", sent: signal.Signals) -> bytes:
    """What *parent* says on stderr when it ends.

    Python does not see a signal that comes just before it waits for a lock: the plugin's handler
    has a watcher that sends it again, and this parent has none.
    """
    for _ in range(5):
        parent.send_signal(sent)
        with suppress(subprocess.TimeoutExpired):
            return parent.communicate(timeout=5)[1]
    raise AssertionError("it does not end")


def test_what_was_begun_is_kept_in_mind_until_it_ended(processes: Processes) -> None:
    ended, left = (processes.begin(["true"], cwd="/", env=ENV) for _ in range(2))
    assert len(processes._children) == 2
    assert ended.end().code == 0
    left.stop()
    left.wait()
    assert not processes._children


def test_chores_are_done_while_a_program_runs(processes: Processes, tmp_path: Path) -> None:
    done: list[str] = []

    def failing() -> None:
        done.append("failed")
        raise ImportError("not here")

    def last() -> None:
        done.append("last")
        (tmp_path / "end").touch()
        _wait_for(lambda: not _is_alive(_pid_in(tmp_path / "pid")))

    for chore in (failing, last, lambda: done.append("too late")):
        processes.meanwhile(chore)
    script = 'echo $$ >pid; while [ ! -e end ]; do sleep 0.01; done; echo "$WORD"; exit 3'
    ran = processes.run(_sh(script), cwd=str(tmp_path), env=ENV)
    assert (ran.code, ran.stdout.decode()) == (3, "wörd\n")
    assert done[:2] == ["failed", "last"]


def test_an_interrupted_chore_ends_the_program(processes: Processes, tmp_path: Path) -> None:
    def interrupted() -> None:
        _wait_for((tmp_path / "pid").exists)
        raise KeyboardInterrupt

    processes.meanwhile(interrupted)
    with pytest.raises(KeyboardInterrupt):
        processes.run(_sh("echo $$ >pid; exec sleep 60"), cwd=str(tmp_path), env=ENV)
    assert not _is_alive(_pid_in(tmp_path / "pid"))


@pytest.mark.parametrize(
    ("said", "shown", "urls"),
    [
        ("`https://me:pa@ss@host:1/x.git#x@1.0`", "`https://host:1/x.git#x@1.0`", ""),
        ("sparse+http://token@host/i/", "sparse+http://host/i/", ""),
        ("ssh://git@host/x ssh://me:word@host/x", "ssh://git@host/x ssh://me@host/x", ""),
        ("https://host/x#y@1.0, https://host/?a@b", "https://host/x#y@1.0, https://host/?a@b", ""),
        ("a.c:1:2: me@host: \udcff", "a.c:1:2: me@host: \udcff", ""),
        ('invalid port "x"', 'invalid port "x"', "https://host"),
        (
            '"https://me:a/b@host": invalid port ":a"',
            '"https://host": invalid port',
            "https://me:a/b@host,off",
        ),
        ('"https://https/me:a b@host/x"', '"https://https/host/x"', "off,https//me:a b@host"),
    ],
)
def test_passwords_are_not_shown(said: str, shown: str, urls: str) -> None:
    made = without_passwords(said.encode(errors="surrogateescape"), urls)
    assert made.decode(errors="surrogateescape") == shown
