"""One table of results: who did the work, in what time, and how that compares."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from .breakdown import Part
from .measure import ratio_of, spread_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """*seconds* of each run by contender; all ratios are to *baseline*.

    *ours* are our contenders that give the result asked for: *wanted* (the greatest ratio we allow
    ourselves) is about each; None where nothing was promised, and the least with *at_least*.
    *unit* is of what *seconds* holds, should that be no times.  *facts* are figures about the work
    itself (files, tasks), *notes* sentences for the reader, *parts* where the time of a contender
    goes.
    """

    name: str
    title: str
    baseline: str
    ours: Sequence[str]
    seconds: Mapping[str, Sequence[float]]
    wanted: float | None = None
    at_least: bool = False
    unit: str = "s"
    facts: Mapping[str, object] = field(default_factory=dict)
    notes: Sequence[str] = ()
    parts: Mapping[str, Sequence[Part]] = field(default_factory=dict)

    @property
    def verdicts(self) -> dict[str, str]:
        """`reached` or `missed` for each of ours; "" where nothing was promised."""
        ratios = {
            name: ratio_of(self.seconds[name], self.seconds[self.baseline]).median
            for name in self.ours
        }
        return {
            name: verdict_of(ratio, self.wanted, at_least=self.at_least)
            for name, ratio in ratios.items()
        }

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
            "ours": list(self.ours),
            "wanted": self.wanted,
            "at_least": self.at_least,
            "unit": self.unit,
            "verdicts": self.verdicts,
            "facts": dict(self.facts),
            "notes": list(self.notes),
            "rows": rows,
            "parts": {name: [asdict(part) for part in parts] for name, parts in self.parts.items()},
        }


def verdict_of(ratio: float, wanted: float | None, *, at_least: bool) -> str:
    """`reached` or `missed`; "" where nothing was *wanted*."""
    if wanted is None:
        return ""
    good = ratio >= wanted if at_least else ratio <= wanted
    return "reached" if good else "missed"
