"""Levels over the session, before any trigger looks at them (definitions, section 5).

A level is what it was at every instant: its price at each of the instants, NaN while it is not active.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from tests.oracle.trackers import S, Series, extreme_series

KINDS = ("swing", "opening_range", "session_extreme", "previous")
"""In the order of section 5, which decides between equal levels."""
SWING_LEVELS_MAX = 16


class Level(NamedTuple):
    """One level: `side` +1 is a resistance, -1 a support; `prices` holds its price at each instant."""

    kind: str
    side: int
    prices: Any


def all_levels(ranges: Series, times: Any, open_ns: int, close_ns: int, params: Any, previous: Any) -> list[Level]:
    """Every level of the session."""
    found = []
    for side in (1, -1):
        found += swing_levels(ranges, side, times, open_ns, close_ns, params)
        found += opening_range(ranges, side, times, open_ns, params)
        found += session_extremes(ranges, side, times, params)
        found += previous_levels(previous, side, times)
    return found


def minute_extremes(ranges: Series, side: int, open_ns: int, close_ns: int) -> list[int | None]:
    """High (`side` +1) or low (-1) of each minute of the session by receive time; None without a print."""
    extremes: list[int | None] = [None] * ((close_ns - open_ns) // (60 * S))
    minutes = (ranges.times - open_ns) // (60 * S)
    for minute, price in zip(minutes.tolist(), ranges.values.tolist(), strict=True):
        if 0 <= minute < len(extremes):
            held = extremes[minute]
            extremes[minute] = price if held is None or side * price > side * held else held
    return extremes


def pivots(extremes: list[int | None], side: int) -> list[tuple[int, int]]:
    """Minutes whose extreme stands strictly beyond the two before and the two after, with that extreme."""
    found = []
    for minute in range(2, len(extremes) - 2):
        around = [extremes[minute + k] for k in (-2, -1, 1, 2)]
        price = extremes[minute]
        if price is not None and all(other is not None and side * price > side * other for other in around):
            found.append((minute, price))
    return found


def swing_levels(ranges: Series, side: int, times: Any, open_ns: int, close_ns: int, params: Any) -> list[Level]:
    """Levels where the price turned; a pivot is known when the second minute after it is over."""
    kept: list[dict[str, Any]] = []
    everything: list[Level] = []
    for minute, price in pivots(minute_extremes(ranges, side, open_ns, close_ns), side):
        known = int(np.searchsorted(times, open_ns + 60 * S * (minute + 3), side="left"))
        level = next((old for old in kept if _joins(price, old, params.level_merge_pct)), None)
        if level is None:
            level = {"pivots": [], "prices": np.full(len(times), math.nan)}
            kept.append(level)
            everything.append(Level("swing", side, level["prices"]))
            if len(kept) > SWING_LEVELS_MAX:
                kept.pop(0)["prices"][known:] = math.nan
        level["pivots"].append(price)
        if len(level["pivots"]) >= params.level_min_touches:
            level["prices"][known:] = _mean(level)
    return [level for level in everything if not np.all(np.isnan(level.prices))]


def _mean(level: dict[str, Any]) -> float:
    pivot_prices: list[int] = level["pivots"]
    return sum(pivot_prices) / len(pivot_prices)


def _joins(price: int, level: dict[str, Any], merge_pct: float) -> bool:
    mean = _mean(level)
    return abs(price - mean) <= merge_pct * mean / 100


def opening_range(ranges: Series, side: int, times: Any, open_ns: int, params: Any) -> list[Level]:
    """High or low of the first minutes, active once they are over."""
    end = open_ns + params.opening_range_minutes * 60 * S
    inside = ranges.values[(ranges.times >= open_ns) & (ranges.times < end)]
    if not len(inside):
        return []
    extreme = float(side * np.max(side * inside))
    return [Level("opening_range", side, np.where(times >= end, extreme, math.nan))]


def session_extremes(ranges: Series, side: int, times: Any, params: Any) -> list[Level]:
    """The session's high or low once it has stood long enough; each later one is a level of its own."""
    price, since = extreme_series(ranges, side).at(times)
    old_enough = ~np.isnan(price) & (times - since >= params.level_min_age_s * S)
    standing = np.full(len(times), math.nan)
    held = math.nan
    for k, stands in enumerate(old_enough.tolist()):
        held = price[k] if stands else held
        standing[k] = held
    values = np.unique(standing[~np.isnan(standing)])
    return [Level("session_extreme", side, np.where(standing == value, value, math.nan)) for value in values]


def previous_levels(previous: Any, side: int, times: Any) -> list[Level]:
    """High or low of the session before and its close; `previous` is (high, low, close) or None."""
    if previous is None:
        return []
    high, low, close = previous
    prices = (high if side > 0 else low, close)
    return [Level("previous", side, np.full(len(times), float(price))) for price in prices]
