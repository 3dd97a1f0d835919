"""Where the time goes, of a trace."""

from typing import Any

from benchmarks.breakdown import REST, START, Part, breakdown_of

MAIN, OTHER = 7, 8


def event(kind: str, name: str, at: int, end: int, thread: int = MAIN, **facts: int) -> Any:
    """A complete event, times in milliseconds."""
    return {
        "ph": "X", "cat": kind, "name": name, "ts": at * 1_000, "dur": (end - at) * 1_000,
        "pid": MAIN, "tid": thread, "args": facts,
    }  # fmt: skip


def parts(*events: Any, seconds: float = 0.2) -> dict[str, Part]:
    """The parts of a run of 100 ms in a process of *seconds*."""
    names = {"ph": "M", "name": "thread_name", "pid": MAIN, "tid": MAIN, "args": {"name": "main"}}
    trace = {"traceEvents": [names, event("run", "doit", 0, 100), *events]}
    return {part.kind: part for part in breakdown_of(trace, seconds)}


def test_what_is_in_no_span_is_start_or_rest() -> None:
    found = parts(event("scan", "workspace", 10, 30))
    assert list(found) == [START, "scan", REST]
    assert found[START].clock == 0.1
    assert found["scan"] == Part(kind="scan", count=1, clock=0.02, main=0.02, threads=0.02, bytes=0)
    assert found[REST].clock == found[REST].main == 0.08


def test_a_moment_belongs_to_the_innermost_span() -> None:
    found = parts(
        event("action", "Rootfs //services/api:rootfs", 10, 60, bytes=3),
        event("layer", "compress binary", 20, 40, bytes_in=500, bytes_out=200),
        event("layer", "hash binary", 40, 45, bytes=500),
    )
    assert found["stage"].clock == 0.025
    assert found["compress"].clock == 0.02
    assert found["compress"].bytes == 500
    assert found["hash"].clock == 0.005
    assert found[REST].clock == 0.05


def test_threads_side_by_side_count_once_by_the_clock() -> None:
    found = parts(
        event("layer", "compress binary", 10, 40, OTHER),
        event("layer", "compress binary", 30, 50, OTHER + 1),
        event("compile", "GoCompile //services/api:binary", 0, 20, bytes=9),
    )
    assert found["compress"] == Part(
        kind="compress", count=2, clock=0.04, main=0.0, threads=0.05, bytes=0
    )
    assert found[REST].clock == 0.05
    assert found[REST].main == 0.08  # it waited for the others


def test_kinds_are_in_the_order_of_a_run_and_unknown_ones_follow() -> None:
    found = parts(
        event("remember", "memo", 80, 90),
        event("action", "Genrule //gen:schema", 60, 70),
        event("action", "GoList //services/api:binary", 20, 30),
        event("action", "Image //services/api:image", 30, 40),
        event("hit", "Stage //:certs", 40, 50),
    )
    assert list(found) == [START, "hit", "list", "image", "remember", "genrule", REST]


def test_a_process_that_ended_early_has_no_start_below_nothing() -> None:
    assert parts(seconds=0.05)[START].clock == 0.0
