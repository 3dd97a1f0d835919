"""Time contenders in turns, so that what else the machine does meets all of them alike."""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

_numbers = itertools.count(int(time.time()) % 1_000_000 * 1_000)


def next_number() -> int:
    """A number that no other call gets, nor one in an earlier run: each edit is a new one."""
    return next(_numbers)


def nothing(_: int) -> None:
    """What has to be done before or after a run that needs nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work.

    *run* is timed, or gives the figure itself where *is_timed* is False (memory, say); *before*
    makes the situation for it (an edit, say) and *check* raises Wrong if what came out is not
    right.  All three are given a number that no other call gets, so that each edit can be a new
    one.
    """

    name: str
    run: Callable[[int], object]
    before: Callable[[int], object] = nothing
    check: Callable[[int], object] = nothing
    is_timed: bool = True


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some figures and the range of them."""

    median: float
    low: float
    high: float


def spread_of(figures: Sequence[float]) -> Spread:
    """Median, least and greatest of *figures*."""
    return Spread(statistics.median(figures), min(figures), max(figures))


def ratio_of(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The ratio of the medians, and the quartiles of the ratios of each round."""
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    if len(ratios) < 2:
        return Spread(ratios[0], ratios[0], ratios[0])
    low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Spread(statistics.median(ours) / statistics.median(theirs), low, high)


def interleave(
    contenders: Sequence[Contender],
    runs: int,
    *,
    warm_up: bool | None = None,
    tell: Callable[[str], object],
) -> Mapping[str, list[float]]:
    """The figure of each run by contender's name: A, B, … and each next round begins one later.

    *warm_up* adds a first round whose times are dropped, by default where there are several.  What
    a run has left to be written is written before the next one starts.
    """
    if warm_up is None:
        warm_up = runs > 1
    figures: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(-1 if warm_up else 0, runs):
        shift = turn % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            number = next_number()
            contender.before(number)
            os.sync()
            figure = _figure_of(contender, number)
            contender.check(number)
            if turn >= 0:
                figures[contender.name].append(figure)
            unit = " s" if contender.is_timed else ""
            tell(f"{contender.name}: {figure:.3f}{unit}{'' if turn >= 0 else ' (warm-up)'}")
    return figures


def _figure_of(contender: Contender, number: int) -> float:
    began = time.perf_counter()
    given = contender.run(number)
    took = time.perf_counter() - began
    if contender.is_timed:
        return took
    assert isinstance(given, float)
    return given
