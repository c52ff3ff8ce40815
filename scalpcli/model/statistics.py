"""Statistics of a list of results, to the formula.

Decides the arithmetic alone; what is a return, a day or a winner is decided in `summary.py`. Every function
gives `None` where its formula has no value. Sums are exact before rounding (`math.fsum`), so no figure
depends on the order of the trades.

Source: Sharpe 1994 (standard deviation with n - 1); Sortino and van der Meer 1991 (downside deviation over
all periods); both as empyrical computes them, whose values stand in the tests. Bailey and Lopez de Prado 2012
and 2014 (probabilistic and deflated Sharpe); Wilson 1927 (interval of a share).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NORMAL: Final = NormalDist()
_EULER: Final = 0.57721566490153286


def mean(values: Sequence[float]) -> float | None:
    """Arithmetic mean; unknown of nothing."""
    return math.fsum(values) / len(values) if values else None


def ratio(above: float | None, below: float | None) -> float | None:
    """A quotient; unknown when either part is, or when `below` is 0."""
    return None if above is None or below is None or below == 0 else above / below


def sharpe(returns: Sequence[float], periods: float = 1.0) -> float | None:
    """Mean over standard deviation of returns in excess of what was free of risk.

    Args:
        returns: One a period, any unit.
        periods: Periods a year to annualise with; 1 leaves it as it is.

    Returns:
        `sqrt(periods) * mean / sd` with n - 1; unknown below two returns or when all are equal.
    """
    average = mean(returns)
    # Equal returns may leave a standard deviation of rounding errors, and a ratio of millions.
    if average is None or len(returns) < 2 or min(returns) == max(returns):
        return None
    variance = math.fsum((value - average) * (value - average) for value in returns) / (len(returns) - 1)
    return ratio(average * math.sqrt(periods), math.sqrt(variance))


def downside_deviation(returns: Sequence[float], periods: float = 1.0) -> float | None:
    """`sqrt(periods) * sqrt(mean(min(r, 0)^2))` over all returns, the positive ones as 0."""
    square = mean([min(value, 0.0) * min(value, 0.0) for value in returns])
    return None if square is None else math.sqrt(periods) * math.sqrt(square)


def sortino(returns: Sequence[float], periods: float = 1.0) -> float | None:
    """`periods * mean / downside deviation`; unknown without a negative return, or below two."""
    average = mean(returns)
    if average is None or len(returns) < 2:
        return None
    return ratio(average * periods, downside_deviation(returns, periods))


def max_drawdown(equity: NDArray[Any]) -> tuple[float | None, float | None]:
    """Largest fall below an earlier peak.

    Args:
        equity: Levels in order of time, the start first, shape `(n,)`; USD.

    Returns:
        Largest `peak - equity` in USD, and largest `100 * (peak - equity) / peak` in percent; the two may
        stand at different times. Unknown of nothing.
    """
    if not len(equity):
        return None, None
    peaks = np.maximum.accumulate(equity)
    falls = peaks - equity
    return float(falls.max()), float((100.0 * falls / peaks).max())


def losing_streak(results: Sequence[float]) -> int:
    """Most results in a row below 0."""
    longest = current = 0
    for result in results:
        current = current + 1 if result < 0 else 0
        longest = max(longest, current)
    return longest


def median(values: Sequence[float]) -> float | None:
    """The middle value, or the mean of the two in the middle; unknown of nothing."""
    return float(np.median(np.asarray(values))) if values else None


def moments(returns: Sequence[float]) -> tuple[float, float] | None:
    """Skewness and kurtosis (3 for a normal distribution) of the returns as they are; unknown when all are equal."""
    average = mean(returns)
    if average is None or len(returns) < 2 or min(returns) == max(returns):
        return None
    centred = [value - average for value in returns]
    spread = math.fsum(value**2 for value in centred) / len(returns)
    third = math.fsum(value**3 for value in centred) / len(returns)
    fourth = math.fsum(value**4 for value in centred) / len(returns)
    return third / spread**1.5, fourth / spread**2


def probabilistic_sharpe(
    sharpe: float, periods: int, skewness: float, kurtosis: float, threshold: float = 0.0
) -> float | None:
    """Chance that the true Sharpe ratio is above a threshold, given an estimate.

    Args:
        sharpe: Estimate a period, not annualised.
        periods: Returns it rests on.
        skewness: Of these returns.
        kurtosis: Of these returns; 3 for a normal distribution.
        threshold: What the true ratio is held against, a period.

    Returns:
        0 to 1; unknown below two returns, or where the formula's variance is not positive.
    """
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    if periods < 2 or variance <= 0.0:
        return None
    return NORMAL.cdf((sharpe - threshold) * math.sqrt(periods - 1) / math.sqrt(variance))


def expected_best_sharpe(variance: float, trials: int) -> float:
    """Sharpe ratio that the best of several trials without any skill is expected to show.

    Args:
        variance: Of the trials' Sharpe ratios, a period.
        trials: Independent ones; 1 gives 0.
    """
    if trials < 2:
        return 0.0
    first, second = NORMAL.inv_cdf(1.0 - 1.0 / trials), NORMAL.inv_cdf(1.0 - 1.0 / (trials * math.e))
    return math.sqrt(variance) * ((1.0 - _EULER) * first + _EULER * second)


def wilson(share: float, number: int, z: float) -> tuple[float, float]:
    """Interval of a share of `number` independent tries, by Wilson's score; `z` normal deviations wide."""
    centre = share + z * z / (2 * number)
    width = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    below = 1 + z * z / number
    return max(0.0, (centre - width) / below), min(1.0, (centre + width) / below)


def pair_share(winners: Sequence[float], losers: Sequence[float]) -> float | None:
    """Share of winner-loser pairs in which the winner has the higher value, ties half; unknown without pairs."""
    if not winners or not losers:
        return None
    ordered = np.sort(np.asarray(losers))
    below = np.searchsorted(ordered, winners, "left") + np.searchsorted(ordered, winners, "right")
    return float(below.sum()) / 2.0 / len(winners) / len(losers)
