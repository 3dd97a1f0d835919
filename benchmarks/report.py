"""Results as text: the same table in a terminal and in docs/performance.md."""

from collections.abc import Mapping
from typing import Any

Result = Mapping[str, Any]


def text_of(result: Result) -> str:
    """Everything that a benchmark gave, for a terminal."""
    return "\n\n".join(table_text(table) for table in result["tables"]) + "\n\n" + footer(result)


def table_text(table: Result) -> str:
    """One table in Markdown, its title first."""
    rows = [("", "median", "least to greatest", f"against {table['baseline']}")]
    for row in table["rows"]:
        low, high = row["ratio_quartiles"]
        rows.append(
            (
                row["name"],
                figure(row["median"], table["unit"]),
                f"{figure(row['min'], table['unit'])} to {figure(row['max'], table['unit'])}",
                "1" if row["name"] == table["baseline"]
                else f"{times(row['ratio'])} ({low:.2f} to {high:.2f})",
            )
        )  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    about = [verdict_text(table), facts_text(table), *table["notes"]]
    return "\n".join([f"### {table['title']}", "", *lines, "", *(line for line in about if line)])


def verdict_text(table: Result) -> str:
    """What was wanted of the table, and whether it was reached; "" where nothing was."""
    if table["wanted"] is None:
        return ""
    [ratio] = [row["ratio"] for row in table["rows"] if row["name"] == table["ours"]]
    sign = "≥" if table["at_least"] else "≤"
    return (
        f"Wanted: `{table['ours']}` {sign} {table['wanted']}×. {times(ratio)}: {table['verdict']}."
    )


def facts_text(table: Result) -> str:
    """The figures about the work itself, as one sentence."""
    facts = ", ".join(
        f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}"
        for name, value in table["facts"].items()
    )
    return facts and facts + "."


def footer(result: Result) -> str:
    """Command, date and machine of the results."""
    about = ", ".join(
        f"{value} {name}" if name == "cores" else str(value)
        for name, value in result["machine"].items()
        if name in ("cores", "processor", "kernel", "go", "rust", "git")
    )
    load, runs = result["load"], len(result["tables"][0]["rows"][0]["runs"])
    return (
        f"`{result['command']}`, {result['date']}: {runs} interleaved runs on {about},"
        f" Python {result['machine']['python']};"
        f" load average {load['before']} before, {load['after']} after."
    )


def times(ratio: float) -> str:
    """*ratio* with its sign; small ones to three places, which a promise may hang on."""
    return f"{ratio:.3f}×" if ratio < 0.1 else f"{ratio:.2f}×"


def figure(value: float, unit: str) -> str:
    """*value* to three digits: seconds below one as milliseconds."""
    if unit == "s" and value < 1:
        return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    if unit == "MiB" or value >= 100:
        return f"{value:.0f} {unit}"
    return f"{value:.2f} {unit}"
