"""The confidence score held against what happened.

Decides the bins. A score is no probability; what it promises is that higher scores win more often.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from scalpcli.model.statistics import NORMAL, wilson
from scalpcli.report.certainty import LEVEL_PCT, Interval

BIN_WIDTH: Final = 10
SCORE_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class Bin:
    """Trades whose score lies in one range.

    Args:
        low: Least score of the range, in it.
        high: Largest score of the range, in it.
        trades: How many.
        score_mean: Mean of their scores.
        win_rate: Percent with net > 0.
        interval: Of the win rate, percent, by Wilson's score.
        expectancy_usd: Mean net.
    """

    low: int
    high: int
    trades: int
    score_mean: float
    win_rate: float
    interval: Interval
    expectancy_usd: float


def reliability(trades: pl.DataFrame) -> list[Bin]:
    """The bins that hold trades, lowest scores first."""
    z = -NORMAL.inv_cdf(0.5 - LEVEL_PCT / 200.0)
    known = trades.drop_nulls("confidence").with_columns(
        bin=(pl.col("confidence") // BIN_WIDTH).clip(0, SCORE_MAX // BIN_WIDTH - 1)
    )
    bins = []
    for key, part in sorted(known.group_by("bin"), key=lambda pair: int(str(pair[0][0]))):
        low = int(str(key[0])) * BIN_WIDTH
        share = float((part["net_pnl_usd"] > 0).sum()) / len(part)
        bounds = wilson(share, len(part), z)
        bins.append(
            Bin(
                low=low,
                high=low + BIN_WIDTH - (0 if low + BIN_WIDTH == SCORE_MAX else 1),
                trades=len(part),
                score_mean=_mean(part["confidence"]),
                win_rate=100.0 * share,
                interval=Interval(100.0 * bounds[0], 100.0 * bounds[1]),
                expectancy_usd=_mean(part["net_pnl_usd"]),
            )
        )
    return bins


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())
