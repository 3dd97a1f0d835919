"""`doit watch NAME…`: `doit up`, again on each edit of what the images depend on."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from types import FrameType
from typing import IO, Any

from doit.cmd_run import Run
from doit.exceptions import InvalidCommand

from scratchtasks.core.errors import ScratchError, SinkError
from scratchtasks.plugin.watched import (
    Watched,
    changed_since,
    concerned,
    folders,
    read_inputs,
    seen_now,
)

from .up import ADDRESS, ENV, PORTS, Up, variables

_QUIET = 30
"""Milliseconds without an edit after which a run begins: editors write in several steps, and one
that comes later is seen when the run is over.  More than _GRAIN, or an edit would count twice."""

_LONGEST = 1600
"""Milliseconds after which it begins in any case."""

_GRAIN = 20_000_000
"""Nanoseconds by which a file system's clock may be behind."""

_SHOWN = 3


class Watch(Up):
    """Runs `up` in a process of its own for each edit; containers outlive it."""

    name = "watch"
    doc_purpose = "load images and run them in Docker, again on each edit"
    doc_description = (
        "An edit is one of a file that the images depend on: sources, what they embed,"
        " `service.toml`, `dodo.py`.  Errors are shown, and what runs is left running until the"
        " new image is good.  Ctrl-C ends watching; the containers keep running."
    )
    cmd_options = (*Run.cmd_options, PORTS, ADDRESS, ENV)

    def execute(self, params: Any, args: list[str]) -> int:
        """Supervise: no workspace is read here, so that each run reads it anew."""
        if not args:
            raise InvalidCommand("watch: wanted the NAME of a service")
        given = [f"{name}={value}" for name, value in variables().items()]
        ending = _Ending()
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
        for number, old in before.items():
            if old is not signal.SIG_IGN:  # nohup
                signal.signal(number, ending.begin)
        try:
            with tempfile.TemporaryFile() as inputs:  # without a name: a SIGKILL leaves nothing
                words = ["up", f"--inputs=/dev/fd/{inputs.fileno()}", *self.words, *given]
                return _Watcher(words, inputs, args, ending).run()
        except ScratchError as error:
            raise InvalidCommand(str(error)) from None
        finally:
            for number, old in before.items():
                signal.signal(number, old)


class _Ending:
    """Which signal ended the watching: SIGTERM and SIGHUP do it just as Ctrl-C does."""

    def __init__(self) -> None:
        self.number: int = signal.SIGINT

    def begin(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        raise KeyboardInterrupt


class _Watcher:
    """Runs *words* with doit whenever what is written to *inputs* changes."""

    def __init__(
        self, words: list[str], inputs: IO[bytes], names: list[str], ending: _Ending
    ) -> None:
        self._words = words
        self._inputs = inputs
        self._names = names
        self._ending = ending
        self._standby: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        root = ""
        watched: Watched = {}
        code = 0
        try:
            while True:
                began = time.time_ns() - _GRAIN
                code = self._round()
                if written := read_inputs(self._inputs):
                    root, watched = written
                if not watched:
                    return code  # wrong from the start: there is nothing to wait for
                if code > 2:
                    _say("the configuration is at fault; containers are as they were")
                elif code:
                    _say("not all is up; what failed is as it was")
                _say(f"watching {len(watched)} inputs of {', '.join(self._names)}; Ctrl-C ends")
                changed = _wait(watched, root, began)
                watched = seen_now(watched)  # if the next round fails before it knows its inputs
                shown = ", ".join(os.path.relpath(path) for path in changed[:_SHOWN])
                more = f" and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
                _say(f"{shown}{more} changed")
        except KeyboardInterrupt:
            self._end()
            if watched:
                names = shlex.join(self._names)
                _say(f"ended; containers keep running (to end them: doit up --down {names})")
            return 128 + self._ending.number
        finally:
            self._end()

    def _round(self) -> int:
        """One run of *words*, to its end; returns its exit code.  Another is started to wait."""
        running = self._standby
        if running is None or running.poll() is not None:  # somebody has killed it
            running = self._start()
        assert running.stdin is not None
        self._standby = running
        running.stdin.write(b"go\n")
        running.stdin.close()
        code = running.wait()
        self._standby = self._start()
        return code

    def _start(self) -> "subprocess.Popen[bytes]":
        program = [sys.executable, "-m", "scratchtasks.plugin.standby"]
        # A terminal's Ctrl-C is passed on by `_end`: a second one would end it in the middle of
        # putting back what it was about to replace.
        return subprocess.Popen(
            [*program, *self._words],
            stdin=subprocess.PIPE,
            process_group=0,
            pass_fds=[self._inputs.fileno()],
        )

    def _end(self) -> None:
        """End what runs; it restores what it was about to replace."""
        child, self._standby = self._standby, None
        if child is None:
            return
        assert child.stdin is not None
        is_running = child.stdin.closed
        child.stdin.close()
        while True:
            if is_running:
                child.send_signal(signal.SIGINT)
            try:
                child.wait()
                return
            except KeyboardInterrupt:
                continue


class _Missed:
    """Asked again and again while we wait: whether to stop, for *watched* has changed before.

    The first answer, given once the watching has begun, finds what was edited while it had not.
    """

    def __init__(self, watched: Watched, began: int) -> None:
        self._watched = watched
        self._began = began
        self._is_asked = False
        self.changed: list[str] = []

    def is_set(self) -> bool:
        if not self._is_asked:
            self._is_asked = True
            self.changed = changed_since(self._watched, self._began)
        return bool(self.changed)


def _wait(watched: Watched, root: str, began: int) -> list[str]:
    """The paths of *watched*, inputs of the workspace at *root*, that change, or have changed
    since *began* (ns since 1970).

    Raises: SinkError when the operating system does not let us watch.
    """
    missed = _Missed(watched, began)
    try:
        return _first_changes(watched, root, missed)
    except FileNotFoundError:  # a folder went just now
        return missed.changed or changed_since(watched, began) or [os.getcwd()]
    except (OSError, RuntimeError) as error:
        hint = "raise fs.inotify.max_user_watches, or set WATCHFILES_FORCE_POLLING=1"
        raise SinkError("watch", f"cannot watch: {error}", hint) from None


def _first_changes(watched: Watched, root: str, missed: _Missed) -> list[str]:
    from watchfiles import Change, watch

    for changes in watch(
        *folders(watched, root),
        watch_filter=None,
        debounce=_LONGEST,
        step=_QUIET,
        stop_event=missed,
        recursive=False,
        ignore_permission_denied=True,
    ):
        found = concerned(((kind != Change.modified, path) for kind, path in changes), watched)
        if found:
            return found
    return missed.changed


def _say(text: str) -> None:
    sys.stderr.write(f"watch: {text}\n")
    sys.stderr.flush()
