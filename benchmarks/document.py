"""docs/performance.md: the current tables and plots, made of the results kept beside it."""

import json
from pathlib import Path

from .chart import chart_of
from .registry import BENCHMARKS
from .report import Result, footer, table_text, times

_HEAD = """# Performance

Ratios of whole processes in interleaved runs on one tree; absolute times are this machine's.
The contender that a ratio is to is named at the head of its column; in brackets are the quartiles
of the ratios of single rounds. Each command below makes its table again; trees and tools are kept
in `$XDG_CACHE_HOME/scratchtasks-benchmarks`, or `--work DIR`. This page is made by
`python -m benchmarks --document docs` of the results in `docs/performance/`.
"""


def write_document(docs: Path) -> None:
    """Write *docs*/performance.md and the plots of every *docs*/performance/NAME.json.

    *docs*/performance/NAME.md, where there is one, is what a person has to say of the results.
    """
    folder = docs / "performance"
    parts = [_HEAD, summary(results := _results(folder))]
    for result in results:
        for table in result["tables"]:
            plot = f"{table['name']}.svg"
            (folder / plot).write_text(chart_of(table))
            picture = f"![{table['title'].replace('`', '')}](performance/{plot})"
            parts.append("#" + table_text(table)[2:] + f"\n\n{picture}\n")
        parts.append(footer(result) + "\n")
        remarks = folder / f"{result['benchmark']}.md"
        if remarks.is_file():
            parts.append(remarks.read_text().strip() + "\n")
    (docs / "performance.md").write_text("\n".join(parts))


def summary(results: list[Result]) -> str:
    """What was wanted and what was found, one line for each promise."""
    lines = ["| work | against | wanted | found | |", "|---|---|---|---|---|"]
    for result in results:
        for table in result["tables"]:
            if table["wanted"] is None:
                continue
            [ours] = [row for row in table["rows"] if row["name"] == table["ours"]]
            sign = "≥" if table["at_least"] else "≤"
            lines.append(
                f"| {table['title']} | {table['baseline']} | {sign} {table['wanted']}×"
                f" | {times(ours['ratio'])} | {table['verdict']} |"
            )
    return "\n".join(lines) + "\n"


def _results(folder: Path) -> list[Result]:
    """The results of *folder*, in the order of the benchmarks."""
    paths = [folder / f"{name}.json" for name in BENCHMARKS]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]
