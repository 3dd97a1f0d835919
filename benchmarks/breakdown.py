"""Where the time of one run goes, read from the trace that `doit --profile FILE` writes.

A moment of a thread belongs to the innermost span that it is in, so a layer that is compressed
while a root file system is staged counts as compression only, and kinds add up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

START = "start and end of Python"
REST = "rest"

_RUN = "run"
"""The kind of the span that is the whole run."""

_ACTIONS = {
    "GoList": "list",
    "CargoMetadata": "list",
    "Rootfs": "stage",
    "Stage": "stage",
    "Image": "image",
}
"""Kinds of actions by mnemonic; others are called as their mnemonic is, in small letters."""

_ORDER = (
    START,
    *("scan", "analyze", "hit", "list", "fetch", "compile", "prebuilt"),
    *("stage", "hash", "write", "compress", "image", "export"),
    *("load", "upload", "up", "smoke", "remember"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """All spans of one *kind*: how many, and their seconds.

    *clock* is the time in which any thread was in one, *main* that of the main thread, *threads*
    the sum over all; *bytes* is what was read, made or sent.  What no span tells has no sum over
    threads, and on the main thread it is waiting for others, too.
    """

    kind: str
    count: int
    clock: float
    main: float
    threads: float
    bytes: int


@dataclass(frozen=True, slots=True)
class _Span:
    kind: str
    thread: int
    began: int
    ended: int
    bytes: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of one thread in which nothing further inside was told; microseconds."""

    kind: str
    thread: int
    began: int
    ended: int


def breakdown_of(trace: Mapping[str, Any], seconds: float) -> tuple[Part, ...]:
    """The parts of a process that took *seconds* and wrote *trace*; what no span tells is last."""
    events = [event for event in trace["traceEvents"] if event["ph"] == "X"]
    [run] = [event for event in events if event["cat"] == _RUN]
    main: int = run["tid"]
    spans = [_span_of(event) for event in events if event is not run]
    pieces = [piece for thread in _by_thread(spans) for piece in _innermost(thread)]
    kinds = sorted({span.kind for span in spans}, key=_rank)
    told = [_part(kind, spans, pieces, main) for kind in kinds]
    whole = run["dur"] / 1e6
    idle = whole - _union(pieces)
    quiet = whole - _union(piece for piece in pieces if piece.thread == main)
    return (
        _untold(START, seconds - whole, seconds - whole),
        *told,
        _untold(REST, idle, quiet),
    )


def _span_of(event: Mapping[str, Any]) -> _Span:
    facts = event.get("args", {})
    size = facts.get("bytes", facts.get("bytes_in", 0))
    return _Span(_kind_of(event), event["tid"], event["ts"], event["ts"] + event["dur"], size)


def _kind_of(event: Mapping[str, Any]) -> str:
    first: str = event["name"].partition(" ")[0]
    match event["cat"]:
        case "action":
            return _ACTIONS.get(first, first.lower())
        case "layer":
            return first  # hash, write or compress
        case kind:
            return str(kind)


def _rank(kind: str) -> tuple[int, str]:
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), kind)


def _by_thread(spans: Iterable[_Span]) -> list[list[_Span]]:
    """The spans of each thread, by their begin; what contains others comes first."""
    threads: dict[int, list[_Span]] = {}
    for span in sorted(spans, key=lambda span: (span.began, -span.ended)):
        threads.setdefault(span.thread, []).append(span)
    return list(threads.values())


def _innermost(spans: Sequence[_Span]) -> Iterator[_Piece]:
    """What goes on at each moment of one thread, whose spans nest."""
    open_: list[_Span] = []
    at = 0
    for span in spans:
        while open_ and open_[-1].ended <= span.began:
            top = open_.pop()
            yield _Piece(top.kind, top.thread, at, top.ended)
            at = top.ended
        if open_:
            yield _Piece(open_[-1].kind, span.thread, at, span.began)
        open_.append(span)
        at = span.began
    while open_:
        top = open_.pop()
        yield _Piece(top.kind, top.thread, at, top.ended)
        at = top.ended


def _part(kind: str, spans: Sequence[_Span], pieces: Sequence[_Piece], main: int) -> Part:
    ours = [span for span in spans if span.kind == kind]
    mine = [piece for piece in pieces if piece.kind == kind]
    return Part(
        kind=kind,
        count=len(ours),
        clock=_union(mine),
        main=_union(piece for piece in mine if piece.thread == main),
        threads=round(sum(piece.ended - piece.began for piece in mine) / 1e6, 6),
        bytes=sum(span.bytes for span in ours),
    )


def _untold(kind: str, clock: float, main: float) -> Part:
    clock, main = round(max(0.0, clock), 6), round(max(0.0, main), 6)
    return Part(kind=kind, count=0, clock=clock, main=main, threads=0.0, bytes=0)


def _union(pieces: Iterable[_Piece]) -> float:
    """Seconds in which at least one of *pieces* was going on."""
    total = end = 0
    for piece in sorted(pieces, key=lambda piece: piece.began):
        total += max(0, piece.ended - max(end, piece.began))
        end = max(end, piece.ended)
    return round(total / 1e6, 6)
