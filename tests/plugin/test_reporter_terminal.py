"""What stands on a terminal while doit runs, and afterwards."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pyte
import pytest

from .reporting import plain_environment, reporting_workspace


def _on_terminal(
    folder: Path, *arguments: str, strike: int = 0, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    reader, writer = pty.openpty()
    doit = subprocess.Popen(
        [sys.executable, "-m", "doit", "run", *arguments],
        cwd=folder,
        env=plain_environment(**{"TERM": "xterm"} | dict(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )
    os.close(writer)
    found = bytearray()

    def read() -> None:
        while True:
            try:
                found.extend(os.read(reader, 65536))
            except OSError:
                return

    thread = threading.Thread(target=read)
    thread.start()
    end = time.monotonic() + 20
    while strike and b" done" not in found:
        assert time.monotonic() < end
        time.sleep(0.02)
    if strike:
        doit.send_signal(strike)
    code = doit.wait(timeout=20)
    thread.join()
    os.close(reader)
    return code, found.decode()


_SLOW = """\
def task_image():
    yield build("image", "api", "warns", seconds=0.5)
    yield build("image", "web", "hit")
"""


@pytest.mark.parametrize("parallel", [(), ("-n", "2", "-P", "thread")])
def test_a_terminal_shows_what_runs_and_keeps_only_what_was_said(
    tmp_path: Path, parallel: tuple[str, ...]
) -> None:
    code, sent = _on_terminal(reporting_workspace(tmp_path, _SLOW), *parallel)
    assert code == 0
    assert "//services/api:image  Assemble (linux/amd64)  0." in sent
    assert "/2 done" in sent
    assert _kept(sent)[:2] == [
        "warning from //services/api:image",
        "//services/api:image  Assemble (linux/amd64)  1.24 s",
    ]
    assert re.fullmatch(r"2 images, 1 rebuilt, 1 from cache, [\d.]+ s", _kept(sent)[2])
    assert len(_kept(sent)) == 3


def _kept(sent: str) -> list[str]:
    """What stands on a terminal in the end, whatever was drawn and taken back before."""
    screen = pyte.Screen(200, 100)
    pyte.Stream(screen).feed(sent)
    return [line.rstrip() for line in screen.display if line.strip()]


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "true"}])
def test_dumb_terminals_and_ci_get_plain_lines(tmp_path: Path, env: dict[str, str]) -> None:
    folder = reporting_workspace(tmp_path, _SLOW)
    _, sent = _on_terminal(folder, env={"CI": "", **env})
    assert "\x1b" not in sent
    assert "done" not in sent


def test_errors_are_red_unless_no_color(tmp_path: Path) -> None:
    dodo = "def task_image():\n    yield build('image', 'api', error='api: no')\n"
    folder = reporting_workspace(tmp_path, dodo)
    assert "\x1b[1;31merror:\x1b[0m api: no\r\n" in _on_terminal(folder)[1]
    assert "\r\nerror: api: no\r\n" in "\r\n" + _on_terminal(folder, env={"NO_COLOR": "1"})[1]


@pytest.mark.parametrize("parallel", [(), ("-n", "2", "-P", "thread")])
def test_an_interrupted_run_leaves_a_clean_terminal(
    tmp_path: Path, parallel: tuple[str, ...]
) -> None:
    folder = reporting_workspace(tmp_path, _SLOW.replace("0.5", "5"))
    code, sent = _on_terminal(folder, *parallel, strike=signal.SIGINT)
    assert (code, _kept(sent)) == (130, ["interrupted; finished work is kept"])


def test_a_users_noisy_task_has_the_terminal_for_itself(tmp_path: Path) -> None:
    dodo = _SLOW + (
        "def task_loud(): return {'actions': ['for i in 1 2 3; do sleep 0.15; echo $i; done'],\n"
        "                         'verbosity': 2}\n"
    )
    folder = reporting_workspace(tmp_path, dodo)
    _, sent = _on_terminal(folder, "-n", "3", "-P", "thread", "loud", "image")
    assert [line for line in _kept(sent) if line in "123"] == ["1", "2", "3"]
