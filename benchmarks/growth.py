"""How a cost grows with the size of a tree: what a straight line would say."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Line:
    """*slope* seconds for one more of what is counted, *constant* seconds for none."""

    slope: float
    constant: float

    def at(self, count: float) -> float:
        """Seconds for *count*."""
        return self.constant + self.slope * count


def line_through(first: tuple[int, float], second: tuple[int, float]) -> Line:
    """The line through two points (count, seconds)."""
    slope = (second[1] - first[1]) / (second[0] - first[0])
    return Line(slope, first[1] - slope * first[0])


def continued(
    counts: tuple[int, int, int], small: Sequence[float], middle: Sequence[float]
) -> list[float]:
    """Seconds at the last of *counts*, round by round, on the line through the first two.

    Where the smaller one took longer, by chance, no growth at all is what is allowed.
    """
    low, high, last = counts
    return [
        max(at_high, line_through((low, at_low), (high, at_high)).at(last))
        for at_low, at_high in zip(small, middle, strict=True)
    ]
