"""A table as a picture: one bar for each contender, in SVG, drawn here rather than by a library."""

from collections.abc import Mapping
from html import escape
from typing import Any

from .report import figure, ours_of, times

_WIDTH, _LEFT, _RIGHT, _BAR, _GAP, _TOP = 900, 330, 150, 22, 12, 44
_OURS, _BASELINE, _OTHER, _TEXT = "#2f6f4f", "#8a8f98", "#b9bec6", "#24292f"


def chart_of(table: Mapping[str, Any]) -> str:
    """Bars of the medians with lines from least to greatest; ours and the baseline stand out.

    A dashed line is where our bar has to end (`wanted` times the baseline).
    """
    rows = table["rows"]
    goal = _goal(table)
    greatest = max([row["max"] for row in rows] + [goal or 0])
    scale = (_WIDTH - _LEFT - _RIGHT) / greatest
    height = _TOP + len(rows) * (_BAR + _GAP) + 18
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="13" role="img">',
        f"<title>{escape(table['title'])}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        _label(12, 24, table["title"].replace("`", ""), "start", 'font-weight="600"'),
    ]
    for number, row in enumerate(rows):
        parts += _bar(table, row, _TOP + number * (_BAR + _GAP), scale)
    if goal:
        x = _LEFT + goal * scale
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 6}" y2="{height - 16}" '
            f'stroke="#b3261e" stroke-dasharray="4 3"/>'
        )
        parts.append(_label(x, height - 4, f"wanted: {table['wanted']}×", "middle", ""))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _goal(table: Mapping[str, Any]) -> float | None:
    if table["wanted"] is None:
        return None
    [median] = [row["median"] for row in table["rows"] if row["name"] == table["baseline"]]
    return float(median * table["wanted"])


def _bar(table: Mapping[str, Any], row: Mapping[str, Any], y: int, scale: float) -> list[str]:
    name = row["name"]
    colours = dict.fromkeys(ours_of(table), _OURS) | {table["baseline"]: _BASELINE}
    colour = colours.get(name, _OTHER)
    middle = y + _BAR / 2
    low, high = _LEFT + row["min"] * scale, _LEFT + row["max"] * scale
    told = figure(row["median"], table["unit"])
    if name != table["baseline"]:
        told += f" ({times(row['ratio'])})"
    return [
        _label(_LEFT - 8, middle + 4, name, "end", ""),
        f'<rect x="{_LEFT}" y="{y}" width="{row["median"] * scale:.1f}" height="{_BAR}" '
        f'fill="{colour}"/>',
        f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}" stroke="{_TEXT}"/>',
        _label(high + 8, middle + 4, told, "start", ""),
    ]


def _label(x: float, y: float, text: str, anchor: str, more: str) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{_TEXT}" {more}>'
        f"{escape(text)}</text>"
    )
