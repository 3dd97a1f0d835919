"""Ctrl-C and SIGTERM to a real doit: children end, finished work is kept, one line is said."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scratchtasks.plugin.events import Events
from scratchtasks.plugin.signals import install, shielded

_LINE = "interrupted; finished work is kept\n"

_LOADER = """\
import os
from doit.action import BaseAction
from doit.cmd_base import DodoTaskLoader
from scratchtasks.execute.process import Processes
from scratchtasks.plugin.events import Events
from scratchtasks.plugin.signals import install

events = Events()
processes = Processes(events.show)

class Compile(BaseAction):
    out = err = result = task = None
    values = {}
    def __init__(self, name):
        self.name = name
    def execute(self, out=None, err=None):
        processes.run(["sh", "work.sh", self.name], cwd=os.getcwd(), env=os.environ)

class Loader(DodoTaskLoader):
    def load_tasks(self, cmd, pos_args):
        if cmd.execute_tasks:
            install(processes.cancel, events)
        return super().load_tasks(cmd, pos_args)
"""

_WORK = """\
echo $$ > $1.pid
sleep 1000 &
echo $! > $1.sleep.pid
touch $1.runs
wait
"""

_STUBBORN = """\
trap 'echo told >> told' TERM INT
echo $$ > $1.pid
touch $1.runs
while :; do sleep 0.05; done
"""

_DODO = """\
from doit.tools import run_once
from loading import Compile
def task_done():
    return {'actions': [lambda: None], 'uptodate': [run_once],
            'teardown': ['echo down > teardown']}
def task_ours():
    return {'actions': [Compile('ours')], 'task_dep': ['done']}
def task_theirs():
    return {'actions': ['sh work.sh theirs'], 'task_dep': ['done']}
"""


def _start(folder: Path, *arguments: str, work: str = _WORK) -> "subprocess.Popen[str]":
    (folder / "loading.py").write_text(_LOADER)
    (folder / "work.sh").write_text(work)
    (folder / "dodo.py").write_text(_DODO)
    (folder / "pyproject.toml").write_text(
        '[tool.doit]\nloader = "test"\nbackend = "wal"\ndep_file = "doit.db"\nverbosity = 2\n'
        '[tool.doit.plugins.loader]\ntest = "loading:Loader"\n'
        '[tool.doit.plugins.backend]\nwal = "scratchtasks.plugin.backend:SqliteWalBackend"\n'
    )
    return subprocess.Popen(
        [sys.executable, "-m", "doit", "run", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _wait_for(folder: Path, *names: str) -> None:
    end = time.monotonic() + 20
    while not all((folder / name).exists() for name in names):
        assert time.monotonic() < end, f"{names} did not appear"
        time.sleep(0.01)


def _survivors(folder: Path) -> list[str]:
    """Which of the recorded processes still run, a moment later."""
    end = time.monotonic() + 1
    while True:
        found = [
            path.name
            for path in sorted(folder.glob("*.pid"))
            if _state(int(path.read_text())) not in ("", "Z", "X")
        ]
        if not found or time.monotonic() > end:
            return found
        time.sleep(0.02)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def _recorded(folder: Path) -> list[str]:
    db = sqlite3.connect(folder / "doit.db")
    rows = [name for (name,) in db.execute("SELECT task_id FROM doit ORDER BY task_id")]
    db.close()
    return rows


@pytest.mark.parametrize(
    "tasks", [("ours",), ("theirs",), ("-n", "2", "-P", "thread", "ours", "theirs")]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_run(
    tmp_path: Path, number: signal.Signals, tasks: tuple[str, ...]
) -> None:
    doit = _start(tmp_path, *tasks)
    _wait_for(tmp_path, *(f"{name}.runs" for name in ("ours", "theirs") if name in tasks))
    began = time.monotonic()
    doit.send_signal(number)  # to doit alone: a terminal would tell its group
    _, err = doit.communicate(timeout=20)
    assert (doit.returncode, err) == (128 + number, _LINE)
    assert time.monotonic() - began < 3
    assert _survivors(tmp_path) == []
    assert _recorded(tmp_path) == ["done"]
    assert (tmp_path / "teardown").read_text() == "down\n"


def test_workers_of_minus_p_process_end_too(tmp_path: Path) -> None:
    doit = _start(tmp_path, "-n", "2", "-P", "process", "ours", "theirs")
    _wait_for(tmp_path, "ours.runs", "theirs.runs")
    doit.send_signal(signal.SIGTERM)
    _, err = doit.communicate(timeout=20)
    assert (doit.returncode, err) == (143, _LINE)
    assert _survivors(tmp_path) == []


def test_workers_of_minus_p_process_end_with_a_doit_that_is_killed(tmp_path: Path) -> None:
    """They would wait for it for ever, and hold all that they have of it: its lock, its pipes."""
    doit = _start(tmp_path, "-n", "2", "-P", "process", "ours", "theirs")
    _wait_for(tmp_path, "ours.runs", "theirs.runs")
    doit.kill()
    doit.communicate(timeout=20)  # to the ends of its pipes, which workers have too
    assert _survivors(tmp_path) == []


def test_a_users_command_is_asked_and_not_killed_until_the_second_signal(tmp_path: Path) -> None:
    doit = _start(tmp_path, "theirs", work=_STUBBORN)
    _wait_for(tmp_path, "theirs.runs")
    doit.send_signal(signal.SIGTERM)
    _wait_for(tmp_path, "told")
    time.sleep(0.3)
    assert doit.poll() is None
    assert "theirs.pid" in _survivors(tmp_path)
    began = time.monotonic()
    doit.send_signal(signal.SIGTERM)
    assert doit.wait(timeout=20) == 143
    assert time.monotonic() - began < 1
    doit.communicate()
    assert _survivors(tmp_path) == []


def test_a_second_signal_kills_compilers_at_once(tmp_path: Path) -> None:
    doit = _start(tmp_path, "ours", work=_STUBBORN)
    _wait_for(tmp_path, "ours.runs")
    doit.send_signal(signal.SIGINT)
    _wait_for(tmp_path, "told")
    time.sleep(0.3)
    began = time.monotonic()
    doit.send_signal(signal.SIGINT)
    assert doit.wait(timeout=20) == 130
    assert time.monotonic() - began < 1
    doit.communicate()
    assert _survivors(tmp_path) == []


def test_a_signal_that_does_not_wake_the_main_thread_is_repeated() -> None:
    code = (
        "import queue, signal, threading, time\n"
        "from scratchtasks.plugin.events import Events\n"
        "from scratchtasks.plugin.signals import install\n"
        "install(lambda: None, Events())\n"
        "def strike():\n"
        "    time.sleep(0.1)\n"
        "    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)\n"
        "threading.Thread(target=strike, daemon=True).start()\n"
        "queue.Queue().get()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, timeout=10
    )
    assert (done.returncode, done.stderr) == (143, _LINE)


_QUEUE = """\
import multiprocessing.queues, os, signal, threading
from scratchtasks.plugin.events import Events
from scratchtasks.plugin.signals import install

def strike():
    os.kill(os.getpid(), signal.SIGINT)

class Starting(multiprocessing.queues.Finalize):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        if EVENT == "start":
            strike()

class Locked(threading.Condition):
    def __enter__(self):
        super().__enter__()
        if EVENT == "put" and is_second:
            strike()

def end(*args, really=multiprocessing.queues.Queue._finalize_close):
    if EVENT == "end":
        strike()
    really(*args)

multiprocessing.queues.Finalize = Starting
multiprocessing.queues.Queue._finalize_close = end
install(lambda: None, Events())
queue = multiprocessing.Queue()
queue._notempty = Locked(threading.Lock())
is_second = False
queue.put(1)
is_second = True
queue.put(2)
del queue
signal.pause()
"""


@pytest.mark.parametrize("event", ["start", "put", "end"])
def test_a_signal_leaves_no_queue_half_made(event: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", f"EVENT = {event!r}\n{_QUEUE}"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (130, "", _LINE)


def test_ignored_signals_stay_ignored() -> None:
    code = (
        "import signal; from scratchtasks.plugin.events import Events\n"
        "from scratchtasks.plugin.signals import install\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "install(lambda: None, Events())\n"
        "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN)\n"
        "print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "True\nFalse\n"


def test_outside_the_main_thread_nothing_is_installed() -> None:
    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=lambda: install(lambda: None, Events()))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_shield_keeps_one_signal_back_and_not_two() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with shielded():
            signal.raise_signal(signal.SIGTERM)
            assert not heard
        assert heard == [signal.SIGTERM]
        with shielded():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert len(heard) == 2
    finally:
        signal.signal(signal.SIGTERM, before)
