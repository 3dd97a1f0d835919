"""Reads the traces that `--profile` writes, and holds them to the format's rules."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SPAN = {"ph", "cat", "name", "ts", "dur", "pid", "tid"}


@dataclass(frozen=True, slots=True)
class Timeline:
    """The complete events of a trace, and the names of its threads by number."""

    spans: list[dict[str, Any]]
    threads: dict[int, str]

    def of(self, kind: str, start: str = "") -> list[dict[str, Any]]:
        """The spans of *kind* whose names begin with *start*."""
        return [s for s in self.spans if s["cat"] == kind and s["name"].startswith(start)]

    def one(self, kind: str, start: str = "") -> dict[str, Any]:
        """The only span of *kind* whose name begins with *start*."""
        (found,) = self.of(kind, start)
        return found

    def inside(self, outer: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """All spans inside of *outer* on its thread."""
        for span in self.spans:
            if span is not outer and span["tid"] == outer["tid"] and _contains(outer, span):
                yield span


def timeline(path: Path) -> Timeline:
    """The trace in *path*, after a check of what the format and Perfetto ask for."""
    document = json.loads(path.read_bytes())
    events = document["traceEvents"]
    assert document.keys() == {"traceEvents", "displayTimeUnit"}
    assert {event["ph"] for event in events} == {"M", "X"}
    names = [event for event in events if event["ph"] == "M"]
    threads = {e["tid"]: e["args"]["name"] for e in names if e["name"] == "thread_name"}
    assert [e["args"]["name"] for e in names if e["name"] == "process_name"] == ["scratchtasks"]
    spans = [event for event in events if event["ph"] == "X"]
    (run,) = [span for span in spans if span["cat"] == "run"]
    for span in spans:
        assert span.keys() - {"args"} == _SPAN
        assert all(isinstance(span[key], int) for key in ("ts", "dur", "pid", "tid"))
        assert span["tid"] in threads
        assert span["pid"] == run["pid"]
        assert _contains(run, span), span["name"]
    assert threads[run["tid"]] == "main"
    assert run["tid"] == run["pid"]
    for tid in threads:
        check_nesting([span for span in spans if span["tid"] == tid])
    return Timeline(spans, threads)


def check_nesting(spans: list[dict[str, Any]]) -> None:
    """Spans of one thread, in the order of the file, lie side by side or inside each other."""
    outer: list[dict[str, Any]] = []
    last = 0
    for span in spans:
        assert span["ts"] >= last
        last = span["ts"]
        while outer and _end(outer[-1]) <= span["ts"] and not _contains(outer[-1], span):
            outer.pop()
        assert not outer or _contains(outer[-1], span), (outer[-1], span)
        outer.append(span)


def _contains(outer: dict[str, Any], inner: dict[str, Any]) -> bool:
    return bool(outer["ts"] <= inner["ts"] and _end(inner) <= _end(outer))


def _end(span: dict[str, Any]) -> int:
    return int(span["ts"] + span["dur"])
