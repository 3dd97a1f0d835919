"""docs/performance.md: the current tables and plots, made of the results kept beside it."""

import json
from collections.abc import Sequence
from pathlib import Path

from .chart import chart_of
from .registry import BENCHMARKS
from .report import (
    Result,
    footer,
    machine_text,
    table_text,
    verdicts_of,
    wanted_text,
)

_HEAD = """# Performance

Ratios of whole processes in interleaved runs on one tree; absolute times are those of the machine.
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
    results = _results(folder)
    parts = [_HEAD, machines(results), summary(results)]
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


def summary(results: Sequence[Result]) -> str:
    """What was wanted and what was found, a line for each command that gives what was asked for."""
    lines = [
        "Where several of our commands give the result asked for, each has a line, and each verdict"
        " is its own.\n",
        "| work | command | against | wanted | found | |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {table['title']} | `{name}` | {table['baseline']} | {wanted_text(table)}"
        f" | {ratio} | {verdict} |"
        for result in results
        for table in result["tables"]
        for name, ratio, verdict in verdicts_of(table)
    ]
    return "\n".join(lines) + "\n"


def machines(results: Sequence[Result]) -> str:
    """On what the results were measured: one sentence, or a list where that differs."""
    names: dict[str, list[str]] = {}
    for result in results:
        names.setdefault(machine_text(result), []).append(f"`{result['benchmark']}`")
    if len(names) == 1:
        return f"All rows were measured on {next(iter(names))}.\n"
    return "".join(
        [
            "Not all rows were measured on the same machine:\n\n",
            *(f"- {', '.join(rows)}: {about}\n" for about, rows in names.items()),
        ]
    )


def _results(folder: Path) -> list[Result]:
    """The results of *folder*, in the order of the benchmarks."""
    paths = [folder / f"{name}.json" for name in BENCHMARKS]
    return [json.loads(path.read_text()) for path in paths if path.is_file()]
