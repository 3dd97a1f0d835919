"""How costs grow: lines, and what they say of a larger tree."""

import pytest

from benchmarks.growth import Line, continued, line_through
from benchmarks.rows.growth import _sizes, _table


def test_a_line_through_two_points() -> None:
    assert line_through((10, 3.0), (30, 7.0)) == Line(slope=0.2, constant=1.0)
    assert Line(slope=0.2, constant=1.0).at(100) == 21.0


def test_the_line_goes_on_round_by_round() -> None:
    assert continued((10, 100, 1_000), [1.0, 2.0], [2.0, 2.0]) == pytest.approx([12.0, 2.0])


def test_a_smaller_tree_that_took_longer_by_chance_allows_no_growth() -> None:
    assert continued((10, 100, 1_000), [3.0], [2.0]) == [2.0]


@pytest.mark.parametrize(
    ("large", "verdict"),
    [([1.1, 1.2, 1.1], "reached"), ([10.2, 10.1, 10.3], "missed")],
    ids=["linear", "quadratic"],
)
def test_the_verdict_is_about_the_line(large: list[float], verdict: str) -> None:
    seconds = {
        "doit, 10 services": [0.11, 0.11, 0.12],
        "doit, 100 services": [0.2, 0.2, 0.21],
        "doit, 1,000 services": large,
    }
    sizes = (10, 100, 1_000)
    table = _table("growth", "Nothing to do", sizes, (1_000, 10_000, 100_000), "file", seconds)
    assert table.verdicts == {"doit, 1,000 services": verdict}
    assert table.facts["µs per file, 10 to 100 services"] == 10.0
    assert table.facts["constant in ms, 10 to 100 services"] == 100.0


def test_the_sizes_are_three() -> None:
    assert _sizes(1_000) == (10, 100, 1_000)
    assert _sizes(12) == (1, 6, 12)
