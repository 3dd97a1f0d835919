"""Time contenders in turns, so that what else the machine does meets all of them alike."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


def _nothing(_: int) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the work.

    *run* is timed; *before* makes the situation for it (an edit, say) and *check* raises Wrong
    if what came out is not right.  All three are given a number that no other call gets, so
    that each edit can be a new one.
    """

    name: str
    run: Callable[[int], object]
    before: Callable[[int], object] = _nothing
    check: Callable[[int], object] = _nothing


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
    """Seconds of each run by contender's name: A, B, … and each next round begins one later.

    *warm_up* adds a first round whose times are dropped, by default where there are several.  What
    a run has left to be written is written before the next one starts.
    """
    if warm_up is None:
        warm_up = runs > 1
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    number = int(time.time()) % 1_000_000 * 1_000
    for turn in range(-1 if warm_up else 0, runs):
        shift = turn % len(contenders)
        for contender in (*contenders[shift:], *contenders[:shift]):
            number += 1
            contender.before(number)
            os.sync()
            began = time.perf_counter()
            contender.run(number)
            took = time.perf_counter() - began
            contender.check(number)
            if turn >= 0:
                seconds[contender.name].append(took)
            tell(f"{contender.name}: {took:.3f} s{'' if turn >= 0 else ' (warm-up)'}")
    return seconds
