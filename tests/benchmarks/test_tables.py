"""Measuring in turns, ratios, and how results are shown."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.breakdown import Part
from benchmarks.chart import chart_of
from benchmarks.document import machines, summary, write_document
from benchmarks.measure import Contender, Spread, interleave, ratio_of
from benchmarks.process import Wrong, run
from benchmarks.report import figure, footer, table_text, verdict_text
from benchmarks.table import Table


def quiet(_: str) -> None:
    """Tell nobody."""


def table(**more: object) -> Table:
    """Ours takes half of what the baseline takes."""
    given: dict[str, object] = {
        "name": "noop",
        "title": "Nothing to do: 10 <services>",
        "baseline": "git status",
        "ours": ["doit"],
        "seconds": {"doit": [0.1, 0.2, 0.3], "git status": [0.2, 0.4, 0.6]},
        "wanted": 1.0,
        "facts": {"files": 1_000},
        **more,
    }
    return Table(**given)  # type: ignore[arg-type]


def test_contenders_take_turns_and_each_round_begins_with_another() -> None:
    seen: list[str] = []

    def contender(name: str) -> Contender:
        return Contender(
            name=name,
            before=lambda _: seen.append(f"{name}?"),
            run=lambda _: seen.append(name),
            check=lambda _: seen.append(f"{name}!"),
        )

    seconds = interleave([contender("a"), contender("b")], 2, warm_up=False, tell=quiet)
    assert "".join(seen) == "a?aa!b?bb!b?bb!a?aa!"
    assert {name: len(runs) for name, runs in seconds.items()} == {"a": 2, "b": 2}


def test_a_warm_up_is_run_and_not_counted_and_no_number_comes_twice() -> None:
    numbers: list[int] = []
    each = Contender(name="a", run=numbers.append)
    seconds = interleave([each], 3, tell=quiet)
    assert len(seconds["a"]) == 3
    assert len(set(numbers)) == 4


def test_a_figure_may_be_what_the_run_gives() -> None:
    memory = Contender(name="a", run=lambda _: 31.5, is_timed=False)
    assert interleave([memory], 2, tell=quiet) == {"a": [31.5, 31.5]}


def test_a_wrong_output_stops_the_benchmark() -> None:
    def check(_: int) -> None:
        raise Wrong("other bytes")

    with pytest.raises(Wrong, match=r"^other bytes$"):
        interleave([Contender(name="a", run=quiet, check=check)], 1, tell=quiet)  # type: ignore[arg-type]


def test_a_failing_program_is_shown_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(Wrong) as caught:
        run(["sh", "-c", "echo so; echo bad >&2; exit 3"], tmp_path)
    assert str(caught.value) == "sh -c echo so; echo bad >&2; exit 3: exit code 3\nso\nbad\n"


def test_the_ratio_is_of_medians_and_its_range_of_rounds() -> None:
    assert ratio_of([1, 2, 9], [2, 2, 3]) == Spread(1.0, 0.75, 2.0)
    assert ratio_of([3.0], [2.0]) == Spread(1.5, 1.5, 1.5)


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ({}, "reached"),
        ({"wanted": 0.4}, "missed"),
        ({"wanted": 0.4, "at_least": True}, "reached"),
        ({"wanted": None}, ""),
    ],
)
def test_the_verdict(more: dict[str, object], verdict: str) -> None:
    assert table(**more).verdicts == {"doit": verdict}


def test_each_of_ours_has_its_own_verdict_and_the_missed_one_is_shown() -> None:
    seconds = {"doit": [0.3], "scratch": [0.1], "git status": [0.2]}
    both = table(seconds=seconds, ours=["doit", "scratch"])
    assert both.verdicts == {"doit": "missed", "scratch": "reached"}
    told = both.to_json()
    assert verdict_text(told) == (
        "Wanted: ≤ 1.0×. Found: `doit` 1.50×, missed; `scratch` 0.50×, reached."
    )
    lines = summary([{"tables": [told]}]).splitlines()
    assert lines[-2:] == [
        "| Nothing to do: 10 <services> | `doit` | git status | ≤ 1.0× | 1.50× | missed |",
        "| Nothing to do: 10 <services> | `scratch` | git status | ≤ 1.0× | 0.50× | reached |",
    ]


def test_results_of_older_versions_have_one_of_ours_and_no_parts() -> None:
    old = {**table().to_json(), "ours": "doit", "verdict": "reached"}
    del old["parts"], old["verdicts"]
    assert table_text(old) == table_text(table().to_json())
    assert chart_of(old) == chart_of(table().to_json())


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.01234, "s", "12.3 ms"),
        (0.1234, "s", "123 ms"),
        (12.345, "s", "12.35 s"),
        (123.4, "s", "123 s"),
        (31.6, "MiB", "32 MiB"),
        (1.255, "×", "1.25 ×"),
    ],
)
def test_figures(value: float, unit: str, text: str) -> None:
    assert figure(value, unit) == text


def test_a_table_as_text() -> None:
    assert table_text(table().to_json()) == (
        "### Nothing to do: 10 <services>\n"
        "\n"
        "|            | median | least to greatest | against git status   |\n"
        "|------------|--------|-------------------|----------------------|\n"
        "| doit       | 200 ms | 100 ms to 300 ms  | 0.50× (0.50 to 0.50) |\n"
        "| git status | 400 ms | 200 ms to 600 ms  | 1                    |\n"
        "\n"
        "Wanted: ≤ 1.0×. Found: `doit` 0.50×, reached.\n"
        "files: 1,000."
    )


def test_where_the_time_goes_is_a_table_below() -> None:
    parts = [
        Part(kind="start", count=0, clock=0.08, main=0.08, threads=0.0, bytes=0),
        Part(kind="compress", count=1_200, clock=1.5, main=0.0, threads=2.9, bytes=5_700_000),
    ]
    assert table_text(table(parts={"doit": parts}).to_json()).endswith(
        "\n"
        "|          | spans | by the clock | main thread | all threads | size   |\n"
        "|----------|-------|--------------|-------------|-------------|--------|\n"
        "| start    |       | 80 ms        | 80 ms       |             |        |\n"
        "| compress | 1,200 | 1.50 s       |             | 2.90 s      | 5.7 MB |"
    )


def test_a_chart_has_a_bar_for_each_and_the_line_that_was_wanted() -> None:
    root = ET.fromstring(chart_of(table().to_json()))
    texts = ["".join(each.itertext()) for each in root]
    assert texts[0] == "Nothing to do: 10 <services>"
    assert {"doit", "git status", "200 ms (0.50×)", "400 ms", "wanted: 1.0×"} <= set(texts)
    bars = [each for each in root if each.tag.endswith("rect")][1:]
    assert float(bars[1].attrib["width"]) == pytest.approx(2 * float(bars[0].attrib["width"]), 0.01)


RESULT = {
    "benchmark": "noop",
    "command": "python -m benchmarks noop",
    "date": "2026-11-26",
    "time": "10:07 UTC",
    "commit": "0123456789abcdef0123456789abcdef01234567-dirty",
    "machine": {"cores": 2, "processor": "P", "kernel": "6.1", "python": "3.11.7"},
    "load": {"before": 0.1, "after": 1.2},
}


def test_the_footer_tells_runs_and_commit_where_they_are_known() -> None:
    one = table(seconds={"doit": [1.0], "git status": [2.0]}).to_json()
    tables = [table().to_json(), one]
    assert "-11-26, at 0123456789-dirty: 1 to 3 interl" in footer({**RESULT, "tables": tables})
    assert "-11-26: 1 interleaved" in footer({**RESULT, "commit": "", "tables": [one]})


def test_rows_of_different_machines_are_told_apart() -> None:
    other = {**RESULT, "benchmark": "cold", "machine": {**RESULT["machine"], "cores": 4}}  # type: ignore[dict-item]
    again = {**RESULT, "benchmark": "peers"}
    assert machines([RESULT, other, again]) == (
        "Not all rows were measured on the same machine:\n\n"
        "- `noop`, `peers`: 2 cores, P, 6.1, Python 3.11.7\n"
        "- `cold`: 4 cores, P, 6.1, Python 3.11.7\n"
    )


def test_the_document_is_made_of_kept_results(tmp_path: Path) -> None:
    folder = tmp_path / "performance"
    folder.mkdir()
    result = {**RESULT, "tables": [table().to_json()]}
    (folder / "noop.json").write_text(json.dumps(result))
    (folder / "noop.md").write_text("Why it is so.\n")
    write_document(tmp_path)
    text = (tmp_path / "performance.md").read_text()
    assert "All rows were measured on 2 cores, P, 6.1, Python 3.11.7.\n" in text
    assert (
        "| Nothing to do: 10 <services> | `doit` | git status | ≤ 1.0× | 0.50× | reached |" in text
    )
    assert "![Nothing to do: 10 <services>](performance/noop.svg)" in text
    assert text.endswith(
        "`python -m benchmarks noop`, 2026-11-26, at 0123456789-dirty: 3 interleaved runs on"
        " 2 cores, P, 6.1, Python 3.11.7; load average 0.1 before, 1.2 after.\n\nWhy it is so.\n"
    )
    assert (folder / "noop.svg").read_text().startswith("<svg ")
