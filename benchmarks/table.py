"""One table of results: who did the work, in what time, and how that compares."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .measure import ratio_of, spread_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """*seconds* of each run by contender; all ratios are to *baseline*.

    *ours* is the contender that *wanted* (the greatest ratio we allow ourselves) is about; None
    where nothing was promised, and the least with *at_least*.  *unit* is of what *seconds* holds,
    should that be no times.  *facts* are figures about the work itself (files, tasks), *notes*
    sentences for the reader.
    """

    name: str
    title: str
    baseline: str
    ours: str
    seconds: Mapping[str, Sequence[float]]
    wanted: float | None = None
    at_least: bool = False
    unit: str = "s"
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def ratio(self) -> float:
        """Ours to the baseline."""
        return ratio_of(self.seconds[self.ours], self.seconds[self.baseline]).median

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, or "" where nothing was promised."""
        if self.wanted is None:
            return ""
        good = self.ratio >= self.wanted if self.at_least else self.ratio <= self.wanted
        return "reached" if good else "missed"

    def to_json(self) -> dict[str, object]:
        """Everything, with all runs, so that other ratios can be taken later."""
        rows = []
        for name, runs in self.seconds.items():
            spread, ratio = spread_of(runs), ratio_of(runs, self.seconds[self.baseline])
            rows.append(
                {
                    "name": name,
                    "runs": [round(figure, 5) for figure in runs],
                    "median": round(spread.median, 5),
                    "min": round(spread.low, 5),
                    "max": round(spread.high, 5),
                    "ratio": round(ratio.median, 4),
                    "ratio_quartiles": [round(ratio.low, 4), round(ratio.high, 4)],
                }
            )
        return {
            "name": self.name,
            "title": self.title,
            "baseline": self.baseline,
            "ours": self.ours,
            "wanted": self.wanted,
            "at_least": self.at_least,
            "unit": self.unit,
            "verdict": self.verdict,
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "rows": rows,
        }
