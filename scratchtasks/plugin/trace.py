"""`--profile FILE`: the events of a run as a Chrome trace, which ui.perfetto.dev shows.

Source: Trace Event Format, "JSON Object Format", "Complete Events", "Metadata Events"; Perfetto,
docs/getting-started/other-formats.md: events of one thread have to nest.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scratchtasks.core.digest import Json
from scratchtasks.core.errors import ConfigError, StoreError, printable
from scratchtasks.core.span import Span
from scratchtasks.store.atomic import create, remove, storage_error, temp_beside, write_atomic

from .events import Event, Events, Finished, ImageMade, Outcome, Started, Work

_COMPILES = ("Compile", "Build")
"""How the mnemonics of compilations end."""


@dataclass(slots=True, eq=False)
class _Begun:
    """*works* that have begun together on *thread*, at *at*."""

    works: tuple[Work, ...]
    reason: str
    thread: int
    at: float
    ended: dict[str, tuple[Outcome, int]] = field(default_factory=dict)


class Trace:
    """All that *events* tell from now on, for the file *path*.

    Raises: ConfigError when there can be no such file.
    """

    def __init__(self, path: str, events: Events) -> None:
        self._path = os.path.realpath(path)  # tasks may change the current folder
        self._told_path = path
        self._check()
        self._events = events
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._threads: dict[int, str] = {threading.main_thread().ident or 0: "main"}
        self._done: list[dict[str, Any]] = []
        self._begun: dict[str, _Begun] = {}
        self._made = {"ran": 0, "hit": 0}
        events.subscribe(self._on_event, wants_spans=True)

    def write(self) -> None:
        """Write the file, whole or not at all; work that never ended is `unfinished`.

        A failure is shown, for nobody waits for it: the run is over.
        """
        if os.getpid() != self._pid:
            return
        with self._lock:
            now = time.monotonic()
            self._close_all(set(self._begun.values()), now)
            main = next(iter(self._threads))
            made: dict[str, Json] = {
                "rebuilt": self._made["ran"],
                "from cache": self._made["hit"],
            }
            self._add("run", "doit", self._events.began, now, main, made)
            data = json.dumps(self._document(), separators=(",", ":")).encode()
        try:
            write_atomic(self._path, data)
        except StoreError as error:
            self._events.show(f"error: {self._fault(error)}\n".encode("utf-8", "backslashreplace"))

    def _check(self) -> None:
        if not self._told_path:
            raise ConfigError("--profile", "wanted a FILE")
        if os.path.lexists(self._path) and not os.path.isfile(self._path):
            raise ConfigError("--profile", f"wanted a file, got {self._told_path}")
        temp = temp_beside(self._path)
        try:
            os.close(create(temp))
            remove(temp)
        except OSError as error:
            raise self._fault(storage_error(self._path, error)) from None

    def _fault(self, error: StoreError) -> ConfigError:
        return ConfigError("--profile", f"{self._told_path} {error.what}", error.hint)

    def _on_event(self, event: Event) -> None:
        match event:
            case Span():
                with self._lock:
                    thread = self._thread()
                    self._close_all(self._left_in(event, thread), event.ended)
                    self._add(event.kind, event.name, event.began, event.ended, thread, event.facts)
            case Started(works, reason):
                with self._lock:
                    begun = _Begun(works, reason, self._thread(), time.monotonic())
                    self._begun |= {work.name: begun for work in works}
            case Finished():
                with self._lock:
                    self._finish(event)
            case ImageMade(outcome=outcome):
                with self._lock:
                    self._made[outcome] += 1

    def _finish(self, event: Finished) -> None:
        work, now = event.work, time.monotonic()
        begun = self._begun.get(work.name)
        if begun is None:  # it was at hand at once
            facts = _facts_of(work, event.reason) | {"bytes": event.size}
            self._add("hit", _title((work,)), now - event.seconds, now, self._thread(), facts)
            return
        begun.ended[work.name] = event.outcome, event.size
        if len(begun.ended) == len(begun.works):
            self._close(begun, now)

    def _left_in(self, span: Span, thread: int) -> set[_Begun]:
        """What began in *span* on its *thread* and will not end: an exception ended both."""
        return {b for b in self._begun.values() if b.thread == thread and b.at >= span.began}

    def _close_all(self, begun: set[_Begun], now: float) -> None:
        for each in sorted(begun, key=lambda each: -each.at):  # what contains others ends last
            self._close(each, now)

    def _close(self, begun: _Begun, now: float) -> None:
        for work in begun.works:
            self._begun.pop(work.name, None)
        first = begun.works[0]
        outcomes = {outcome for outcome, _ in begun.ended.values()}
        facts = _facts_of(first, begun.reason)
        facts["bytes"] = sum(size for _, size in begun.ended.values())
        if len(begun.works) > 1:
            facts["members"] = [
                {"label": work.label, "outcome": outcome, "bytes": size}
                for work in begun.works
                for outcome, size in [begun.ended.get(work.name, ("unfinished", 0))]
            ]
        else:
            facts["outcome"] = next(iter(outcomes), "unfinished")
        kind = "hit" if outcomes == {"hit"} else _kind(first)
        self._add(kind, _title(begun.works), begun.at, now, begun.thread, facts)

    def _thread(self) -> int:
        thread = threading.current_thread()
        # Idents are used again when a thread has ended: one row for many short-lived ones.
        self._threads.setdefault(thread.ident or 0, thread.name)
        return thread.ident or 0

    def _add(
        self,
        kind: str,
        name: str,
        began: float,
        ended: float,
        thread: int,
        facts: Mapping[str, Json],
    ) -> None:
        # Whole microseconds, both ends cut alike: what nests stays nested.
        at = max(0, int((began - self._events.began) * 1e6))
        event: dict[str, Any] = {
            "ph": "X",
            "cat": kind,
            "name": printable(name),
            "ts": at,
            "dur": max(0, int((ended - self._events.began) * 1e6) - at),
            "pid": self._pid,
            "tid": self._number(thread),
        }
        self._done.append(event | ({"args": _clean(facts)} if facts else {}))

    def _number(self, thread: int) -> int:
        """The main thread has the number of the process, as in Linux."""
        return self._pid + list(self._threads).index(thread)

    def _document(self) -> dict[str, Json]:
        names: list[dict[str, Json]] = [_name("process_name", self._pid, self._pid, "scratchtasks")]
        for thread, name in self._threads.items():
            names.append(_name("thread_name", self._pid, self._number(thread), printable(name)))
        # What contains others comes before them; of equals, what ended last.
        spans = self._done[::-1]
        spans.sort(key=lambda each: (each["ts"], -each["dur"]))
        return {"traceEvents": [*names, *spans], "displayTimeUnit": "ms"}


def _facts_of(work: Work, reason: str) -> dict[str, Json]:
    facts: dict[str, Json] = {"label": work.label}
    if work.platform:
        facts["platform"] = work.platform
    # Old and new values are left out: traces are handed round, and a flag may hold a secret.
    what, changed, _ = reason.partition(" changed from ")
    if reason:
        facts["reason"] = what + (" changed" if changed else "")
    return facts


def _title(works: tuple[Work, ...]) -> str:
    more = f" and {len(works) - 1} more" if len(works) > 1 else ""
    return f"{works[0].mnemonic} {works[0].label}{more}"


def _kind(work: Work) -> str:
    if work.mnemonic == "Smoke":
        return "smoke"
    return "compile" if work.mnemonic.endswith(_COMPILES) else "action"


def _name(what: str, pid: int, tid: int, name: str) -> dict[str, Json]:
    return {"ph": "M", "name": what, "pid": pid, "tid": tid, "args": {"name": name}}


def _clean(value: Any) -> Any:
    """*value* without control characters and lone surrogates, which JSON readers may refuse."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, Mapping):
        return {name: _clean(each) for name, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list | tuple) else value
