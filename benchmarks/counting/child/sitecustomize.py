"""Imported by Python as it starts: counts until the process ends.

Source: docs.python.org/3/library/audit_events.html.
"""

import atexit
import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any

_found: dict[str, list[str]] = {"processes": [], "opened": [], "listed": []}
_commands: list[list[str]] = []
_forks = 0
_hashed = 0
_STARTS = {
    "subprocess.Popen": 0,
    "os.posix_spawn": 0,
    "os.system": 0,
    "os.exec": 0,
    "os.spawn": 1,
}
"""Events for a program that is started, and which argument names it; its words are the next."""


def _see(event: str, args: tuple[Any, ...]) -> None:
    global _forks
    if event == "open":
        if isinstance(args[0], str | bytes):
            _found["opened"].append(os.fsdecode(args[0]))
    elif event in ("os.listdir", "os.scandir"):
        path = args[0] if isinstance(args[0], str | bytes) else "."
        _found["listed"].append(os.fsdecode(path))
    elif event in _STARTS:
        _found["processes"].append(os.fsdecode(args[_STARTS[event]]))
        _commands.append(_words(args[_STARTS[event] :]))
    elif event in ("os.fork", "os.forkpty"):
        _forks += 1


def _words(told: tuple[Any, ...]) -> list[str]:
    """The words of a command, told as its program and its words; a shell has one text."""
    words = told[1] if len(told) > 1 else told[0]
    if isinstance(words, str | bytes | os.PathLike):
        return [os.fsdecode(words)]
    return [os.fsdecode(word) for word in words]


class _Hash:
    """A hash that counts what it is given."""

    def __init__(self, inner: Any, data: Any = b"") -> None:
        self._inner = inner
        self.update(data)

    def update(self, data: Any) -> None:
        """Hash and count *data*."""
        global _hashed
        _hashed += memoryview(data).nbytes
        self._inner.update(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _counted(make: Callable[..., Any]) -> Callable[..., _Hash]:
    def start(data: Any = b"", **options: Any) -> _Hash:
        return _Hash(make(**options), data)

    return start


def _by_name(name: str, data: Any = b"", **options: Any) -> _Hash:
    return _Hash(_new(name, **options), data)


def _report(path: str) -> None:
    if os.getpid() != _pid:
        return  # a fork of the program
    told = {
        **_found,
        "commands": _commands,
        "forks": _forks,
        "imported": sorted(sys.modules),
        "hashed": _hashed,
    }
    with open(path, "w", encoding="utf-8") as file:
        json.dump(told, file)


_pid = os.getpid()
_target = os.environ.pop("SCRATCHTASKS_BENCHMARK_COUNTS", "")
if _target:
    # The program is to see what it would see without us, and what it starts is not to count.
    _here, _, _theirs = os.environ.pop("PYTHONPATH").partition(os.pathsep)
    sys.path.remove(_here)
    if _theirs:
        os.environ["PYTHONPATH"] = _theirs
    _new = hashlib.new
    hashlib.sha256 = _counted(hashlib.sha256)  # type: ignore[assignment]
    hashlib.new = _by_name  # type: ignore[assignment]
    atexit.register(_report, _target)
    sys.addaudithook(_see)
