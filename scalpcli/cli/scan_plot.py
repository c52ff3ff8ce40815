"""Draws the smile in the terminal: implied volatility by strike, and the candidates in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from scalpcli.scan.fields import PASS
from scalpcli.units import E4_PER_USD

if TYPE_CHECKING:
    from scalpcli.scan.rank import Scan
    from scalpcli.scan.table import ExpiryTable

_ROWS: Final = 14
_LABEL: Final = 8
_RANGE_SHARE: Final = 0.95
"""Strikes shown: those whose delta lies within this of the money; the far wings would flatten the middle."""


def smile_lines(scan: Scan, width: int) -> list[tuple[str, str]]:
    """Lines of text and style, one drawing an expiry."""
    lines: list[tuple[str, str]] = []
    passed = {row["contract"] for row in scan.rows if row["verdict"] == PASS}
    for table in scan.tables:
        lines += _drawing(table, passed, width)
    return lines


def _points(table: ExpiryTable, passed: set[str]) -> list[tuple[float, float, str]]:
    """Strike, volatility and mark of each contract with a volatility."""
    points = []
    for row in range(len(table.expiry.ids)):
        volatility, delta = float(table.judged.iv[row]), abs(float(table.computed_delta[row]))
        # The side out of the money is the one that is traded; the other repeats it by parity.
        if math.isnan(volatility) or not 1.0 - _RANGE_SHARE <= delta <= 0.6:
            continue
        is_call = bool(table.expiry.is_call[row])
        mark = "c" if is_call else "p"
        candidate = table.instrument(row).symbol in passed
        points.append((float(table.expiry.strike[row]) / E4_PER_USD, volatility, mark.upper() if candidate else mark))
    # Candidates are drawn last, over what stands in their place.
    return sorted(points, key=lambda point: point[2].isupper())


def _drawing(table: ExpiryTable, passed: set[str], width: int) -> list[tuple[str, str]]:
    points = _points(table, passed)
    title = f"implied volatility, expiry {table.expiry.date}"
    if len(points) < 2:
        return [(f"{title}: fewer than two contracts have one", "bold")]
    strikes, volatilities = [point[0] for point in points], [point[1] for point in points]
    low, high = min(strikes), max(strikes)
    bottom, top = min(volatilities), max(volatilities)
    if top - bottom < 0.01:
        bottom, top = bottom - 0.005, top + 0.005
    columns = width - _LABEL - 2
    grid = [[" "] * columns for _ in range(_ROWS)]

    def column_of(strike: float) -> int:
        share = 0.5 if high == low else (strike - low) / (high - low)
        return min(columns - 1, max(0, round(share * (columns - 1))))

    spot = table.judged.forward_e4 / E4_PER_USD
    if low <= spot <= high:
        for line in grid:
            line[column_of(spot)] = ":"
    for strike, volatility, mark in points:
        line_number = round((top - volatility) / (top - bottom) * (_ROWS - 1))
        grid[line_number][column_of(strike)] = mark
    lines = [(title, "bold")]
    for number, line in enumerate(grid):
        level = top - (top - bottom) * number / (_ROWS - 1)
        label = f"{level * 100:6.1f} %" if number % 3 == 0 or number == _ROWS - 1 else " " * _LABEL
        lines.append((f"{label} |{''.join(line)}".rstrip(), ""))
    lines.append((" " * _LABEL + " +" + "-" * columns, ""))
    left, right = f"{low:g}", f"{high:g}"
    lines.append((" " * (_LABEL + 2) + left + right.rjust(columns - len(left)), ""))
    lines.append(("c call, p put, C and P candidates, : the forward", "dim"))
    return lines
