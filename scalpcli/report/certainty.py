"""How sure a figure is: bootstrap intervals over trades or days.

Decides what is drawn again and how the draws become an interval. A trade is the unit until there are
`CLUSTER_DAYS_MIN` days with trades; from there on a whole day is, since trades of one day have its market in
common. Every figure here is a function of sums over units, so a draw is a row of counts times a table of sums.

The interval is the bias-corrected and accelerated percentile one (Efron 1987), widened for few units as
Student's t is wider than the normal (Hesterberg 2015, expanded percentiles). Draws are seeded: the same
trades give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.statistics import NORMAL, wilson
from scalpcli.report.figures import TRADING_DAYS_PER_YEAR

LEVEL_PCT: Final = 95.0
"""Share of all samples whose interval holds the true value, percent."""
DRAWS: Final = 2_000
SEED: Final = 20_261_120
UNITS_MIN: Final = 10
"""Below so many trades or days there is no interval: it would tell more about the formula than about the market."""
CLUSTER_DAYS_MIN: Final = 20
_DRAWN_CELLS_MAX: Final = 4_000_000
"""Counts drawn at once; bounds the memory at 32 MB."""

Floats = NDArray[np.float64]
_SumsOf = Callable[[Floats], dict[str, Floats]]


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a figure's true value lies with `LEVEL_PCT` percent."""

    low: float
    high: float


def trade_intervals(net_usd: Sequence[float], returns: Sequence[float], days: Sequence[Any]) -> dict[str, Interval]:
    """Intervals of the figures of trades.

    Args:
        net_usd: Net of each trade, USD.
        returns: Net of each trade over its starting equity.
        days: Day of each trade.

    Returns:
        Intervals by figure; those without enough trades, winners or losers are absent.
    """
    net, won = np.asarray(net_usd, dtype=np.float64), np.asarray(net_usd, dtype=np.float64) > 0
    found = _intervals(_by_day(_trade_parts(net_usd, returns), days), _trade_figures)
    if len(net) >= UNITS_MIN and (won.all() or not won.any()):
        # Drawing again from winners alone gives winners alone: no interval of a point.
        low, high = wilson(float(won.mean()), len(net), -NORMAL.inv_cdf(0.5 - LEVEL_PCT / 200.0))
        found["win_rate"] = Interval(100.0 * low, 100.0 * high)
    return found


def day_intervals(returns: Sequence[float]) -> dict[str, Interval]:
    """Intervals of the figures of days, from one return a day."""
    earned = np.asarray(returns, dtype=np.float64)
    down = np.minimum(earned, 0.0)
    parts = np.stack([np.ones(len(earned)), earned, earned * earned, down * down], axis=1)
    return _intervals(parts, _day_figures)


@dataclass(frozen=True, slots=True)
class Sample:
    """Trades of one side of a comparison: net in USD, net over starting equity, and the day of each."""

    net_usd: Sequence[float]
    returns: Sequence[float]
    days: Sequence[Any]


def differences(first: Sample, second: Sample) -> dict[str, Interval]:
    """Intervals of the second side's figures of trades less the first's.

    Where both sides traded on the same days, those are drawn together, since both saw one market; otherwise each
    side's trades are drawn by themselves. Absent where a side has too few trades, winners or losers.
    """
    if min(len(first.net_usd), len(second.net_usd)) < UNITS_MIN:
        return {}
    days = sorted({*first.days, *second.days})
    is_paired = len(days) >= UNITS_MIN and set(first.days) == set(second.days)
    sides = []
    for side in (first, second):
        parts = _trade_parts(side.net_usd, side.returns)
        sides.append(_grouped(parts, side.days, days) if is_paired else parts)
    if is_paired:
        return _intervals(np.concatenate(sides, axis=1), _trade_differences)
    width = sides[0].shape[1]
    rows = [np.pad(sides[0], ((0, 0), (0, width))), np.pad(sides[1], ((0, 0), (width, 0)))]
    return _intervals(np.concatenate(rows), _trade_differences)


def _trade_differences(sums: Floats) -> dict[str, Floats]:
    first, second = (_trade_figures(half) for half in np.hsplit(sums, 2))
    return {name: second[name] - first[name] for name in first}


def _trade_parts(net_usd: Sequence[float], returns: Sequence[float]) -> Floats:
    """What `_trade_figures` takes sums of, a row a trade."""
    net, earned = np.asarray(net_usd, dtype=np.float64), np.asarray(returns, dtype=np.float64)
    won, lost, down = net > 0, net < 0, np.minimum(earned, 0.0)
    return np.stack(
        [np.ones(len(net)), won, lost, net * won, net * lost, net, earned, earned * earned, down * down], axis=1
    )


def _by_day(parts: Floats, days: Sequence[Any]) -> Floats:
    """Sums by day where there are days enough, else by trade."""
    found = sorted(set(days))
    return _grouped(parts, days, found) if len(found) >= CLUSTER_DAYS_MIN else parts


def _grouped(parts: Floats, owners: Sequence[Any], days: Sequence[Any]) -> Floats:
    position = {day: index for index, day in enumerate(days)}
    sums = np.zeros((len(days), parts.shape[1]))
    np.add.at(sums, [position[owner] for owner in owners], parts)
    return sums


def _trade_figures(sums: Floats) -> dict[str, Floats]:
    """Figures of trades from rows of sums, shape `(draws, 9)`."""
    count, won, lost, won_usd, lost_usd, net, earned, square, down = sums.T
    winner, loser = _quotient(won_usd, won), _quotient(lost_usd, lost)
    return {
        "win_rate": 100.0 * _quotient(won, count),
        "avg_winner_usd": winner,
        "avg_loser_usd": loser,
        "reward_risk": _quotient(winner, -loser),
        "profit_factor": _quotient(won_usd, -lost_usd),
        "expectancy_usd": _quotient(net, count),
        "net_pnl_usd": net,
        "sharpe_trades": _sharpe(count, earned, square),
        "sortino_trades": _sortino(count, earned, down),
    }


def _day_figures(sums: Floats) -> dict[str, Floats]:
    count, earned, square, down = sums.T
    year = math.sqrt(TRADING_DAYS_PER_YEAR)
    return {
        "sharpe_days": year * _sharpe(count, earned, square),
        "sortino_days": year * _sortino(count, earned, down),
    }


def _sharpe(count: Floats, earned: Floats, square: Floats) -> Floats:
    average = _quotient(earned, count)
    variance = _quotient(square - count * average * average, count - 1.0)
    # Draws of one and the same trade have a variance of rounding errors.
    is_spread = variance > 1e-12 * _quotient(square, count)
    return _quotient(average, np.sqrt(np.where(is_spread, variance, 0.0)))


def _sortino(count: Floats, earned: Floats, down: Floats) -> Floats:
    return _quotient(_quotient(earned, count), np.sqrt(_quotient(down, count)))


def _quotient(above: Floats, below: Floats) -> Floats:
    """A quotient, NaN where `below` is 0."""
    result = np.full(len(above), np.nan)
    np.divide(above, below, out=result, where=below != 0)
    return result


def _intervals(parts: Floats, figures: _SumsOf) -> dict[str, Interval]:
    """Intervals of functions of sums.

    Args:
        parts: Addends of one unit a row, shape `(units, sums)`.
        figures: Figures of rows of sums.
    """
    units = len(parts)
    if units < UNITS_MIN:
        return {}
    total = parts.sum(axis=0, keepdims=True)
    found, left_out = figures(total), figures(total - parts)
    drawn = figures(_draw(parts))
    intervals = {}
    for name, values in drawn.items():
        interval = _interval(float(found[name][0]), values, left_out[name], units)
        if interval is not None:
            intervals[name] = interval
    return intervals


def _draw(parts: Floats) -> Floats:
    """Sums of `DRAWS` samples of as many units as there are, with replacement."""
    random, units = np.random.default_rng(SEED), len(parts)
    rows = max(1, _DRAWN_CELLS_MAX // units)
    blocks = []
    for begin in range(0, DRAWS, rows):
        samples = min(rows, DRAWS - begin)
        drawn = random.integers(0, units, size=(samples, units))
        # How often each unit is in each sample; four times as fast as drawing multinomials.
        drawn += np.arange(samples)[:, None] * units
        counts = np.bincount(drawn.ravel(), minlength=samples * units).reshape(samples, units)
        blocks.append(counts.astype(np.float64) @ parts)
    return np.concatenate(blocks)


def _interval(value: float, drawn: Floats, left_out: Floats, units: int) -> Interval | None:
    """The interval of one figure; `None` where the draws have no value too often, or all the same."""
    known = drawn[np.isfinite(drawn)]
    tail = 0.5 - LEVEL_PCT / 200.0
    if not math.isfinite(value) or len(drawn) - len(known) > tail * len(drawn) or known.min() == known.max():
        return None
    below = (float((known < value).sum()) + 0.5 * float((known == value).sum())) / len(known)
    bias = NORMAL.inv_cdf(min(max(below, 0.5 / len(known)), 1.0 - 0.5 / len(known)))
    acceleration = _acceleration(left_out)
    wide = _student(NORMAL.inv_cdf(tail), units - 1) * math.sqrt(units / (units - 1))

    def percent(z: float) -> float:
        moved = bias + (bias + z) / max(1.0 - acceleration * (bias + z), 0.1)
        return 100.0 * NORMAL.cdf(moved)

    low, high = np.percentile(known, [percent(wide), percent(-wide)])
    return Interval(float(low), float(high))


def _acceleration(left_out: Floats) -> float:
    """How fast the figure's spread changes with its value, from leaving one unit out at a time."""
    known = left_out[np.isfinite(left_out)]
    if len(known) < 2:
        return 0.0
    gap = known.mean() - known
    spread = float((gap * gap).sum())
    return float((gap**3).sum()) / (6.0 * spread**1.5) if spread > 0.0 else 0.0


def _student(z: float, freedom: int) -> float:
    """Quantile of Student's t beside the normal one; to three digits from 9 degrees of freedom on.

    Source: Abramowitz and Stegun 26.7.5.
    """
    first = (z**3 + z) / 4.0
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96.0
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0
    return z + first / freedom + second / freedom**2 + third / freedom**3
