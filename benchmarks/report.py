"""Results as text: the same table in a terminal and in docs/performance.md."""

from collections.abc import Mapping, Sequence
from typing import Any

from .table import verdict_of

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
    about = [verdict_text(table), facts_text(table), *table["notes"]]
    told = [line for line in about if line]
    parts = [parts_text(name, parts) for name, parts in table.get("parts", {}).items()]
    return "\n".join([f"### {table['title']}", "", *_lines(rows), "", *told, *parts])


def parts_text(name: str, parts: Sequence[Mapping[str, Any]]) -> str:
    """Where the time of the contender *name* goes, as a table of its own."""
    rows = [("", "spans", "by the clock", "main thread", "all threads", "size")]
    rows += [
        (
            part["kind"],
            f"{part['count']:,}" if part["count"] else "",
            *(
                figure(part[column], "s") if part[column] else ""
                for column in ("clock", "main", "threads")
            ),
            f"{part['bytes'] / 1e6:,.1f} MB" if part["bytes"] else "",
        )
        for part in parts
    ]
    title = (
        f"Where the time of `{name}` goes, in one more run with `--profile` (`rest` is in no span;"
        " of the main thread, it is waiting for others too):"
    )
    return "\n".join(["", title, "", *_lines(rows)])


def ours_of(table: Result) -> list[str]:
    """Our contenders that give the result asked for."""
    ours = table["ours"]
    return [ours] if isinstance(ours, str) else list(ours)  # a text in results of older versions


def verdicts_of(table: Result) -> list[tuple[str, str, str]]:
    """Name, ratio and verdict of each of ours; nothing where nothing was wanted."""
    if table["wanted"] is None:
        return []
    ratios = {row["name"]: row["ratio"] for row in table["rows"]}
    return [
        (
            name,
            times(ratios[name]),
            verdict_of(ratios[name], table["wanted"], at_least=table["at_least"]),
        )
        for name in ours_of(table)
    ]


def wanted_text(table: Result) -> str:
    """The bound of the ratio."""
    return f"{'≥' if table['at_least'] else '≤'} {table['wanted']}×"


def verdict_text(table: Result) -> str:
    """What was wanted of the table, and which of ours have reached it; "" where nothing was."""
    found = [f"`{name}` {ratio}, {verdict}" for name, ratio, verdict in verdicts_of(table)]
    return f"Wanted: {wanted_text(table)}. Found: {'; '.join(found)}." if found else ""


def facts_text(table: Result) -> str:
    """The figures about the work itself, as one sentence."""
    facts = ", ".join(
        f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}"
        for name, value in table["facts"].items()
    )
    return facts and facts + "."


def footer(result: Result) -> str:
    """Command, date, commit, runs and machine of the results."""
    load = result["load"]
    commit = commit_text(result)
    return (
        f"`{result['command']}`, {result['date']}{f', at {commit}' if commit else ''}:"
        f" {runs_text(result)} interleaved runs on {machine_text(result)};"
        f" load average {load['before']} before, {load['after']} after."
    )


def commit_text(result: Result) -> str:
    """The commit that was measured, short; "" where that is not known."""
    commit, joint, dirty = result.get("commit", "").partition("-")
    return f"{commit[:10]}{joint}{dirty}"


def runs_text(result: Result) -> str:
    """How many runs there were; the least and the most, where tables differ."""
    counts = {len(row["runs"]) for table in result["tables"] for row in table["rows"]}
    least, most = min(counts), max(counts)
    return str(least) if least == most else f"{least} to {most}"


def machine_text(result: Result) -> str:
    """What the results were measured on."""
    about = [
        f"{value} {name}" if name == "cores" else str(value)
        for name, value in result["machine"].items()
        if name in ("cores", "processor", "kernel", "go", "rust", "git")
    ]
    return ", ".join([*about, f"Python {result['machine']['python']}"])


def times(ratio: float) -> str:
    """*ratio* with its sign; small ones to three places, which a promise may hang on."""
    return f"{ratio:.3f}×" if ratio < 0.1 else f"{ratio:.2f}×"


def _lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """*rows* in Markdown, in columns of one width; the first is the head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
             for row in rows]  # fmt: skip
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def figure(value: float, unit: str) -> str:
    """*value* to three digits: seconds below one as milliseconds."""
    if unit == "s" and value < 1:
        return f"{value * 1000:.3g} ms" if value < 0.1 else f"{value * 1000:.0f} ms"
    if unit == "MiB" or value >= 100:
        return f"{value:.0f} {unit}"
    return f"{value:.2f} {unit}"
