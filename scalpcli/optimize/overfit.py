"""How much of a search's best result is luck.

Decides the arithmetic of the deflated Sharpe ratio, of the probability of backtest overfitting and of the
plateau score. Gives `None` where a formula has no value; unknown is accepted by nothing.

Sources: Bailey and Lopez de Prado 2014, *The deflated Sharpe ratio*; Bailey, Borwein, Lopez de Prado and Zhu
2015, *The probability of backtest overfitting* (combinatorially symmetric cross-validation).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.statistics import expected_best_sharpe, moments, probabilistic_sharpe, sharpe
from scalpcli.optimize.folds import without_neighbours
from scalpcli.optimize.scores import Floats, sharpe_rows

BLOCKS_MAX: Final = 12
"""Blocks the sessions are cut into for the cross-validation at most: 924 ways to choose half of them."""
BLOCKS_MIN: Final = 4
"""Below so many blocks there are too few ways to say anything."""
NEIGHBOURS: Final = 10
"""Settings nearest the best that a search without steps is held against."""


@dataclass(frozen=True, slots=True)
class Deflated:
    """A Sharpe ratio against the best that luck would have shown; a period each, not annualised."""

    sharpe: float
    threshold: float
    dsr: float | None
    psr: float | None


@dataclass(frozen=True, slots=True)
class Overfit:
    """What cross-validation says of choosing the best.

    Args:
        pbo: Share of splits in which the best half-sample choice is at or below the median outside.
        loss_share: Share of splits in which it loses money outside.
        slope: Of outside results on inside ones, over the splits.
        inside: Sharpe of the choice inside, by split.
        outside: The same outside.
    """

    pbo: float
    loss_share: float
    slope: float
    inside: Floats
    outside: Floats


def deflated_sharpe(returns: Floats, trial_sharpes: Floats, trials: int) -> Deflated | None:
    """Chance that the chosen setting's true Sharpe ratio beats the best of so many without skill.

    The trials' Sharpe ratios are taken to vary at least as much as those of independent settings without skill do
    by chance, `1 / (periods - 1)`. Settings that trade the same moves vary less between themselves, and the
    formula would take their common luck for skill: without this, 5 percent of searches on noise were accepted at
    0.95, measured over 85 of them.

    Args:
        returns: Of the chosen setting, one a session.
        trial_sharpes: Sharpe ratios of the settings tried, a session; NaN = without trades.
        trials: Settings ever tried on this data.
    """
    values = [float(value) for value in returns]
    found, shape = sharpe(values), moments(values)
    known = trial_sharpes[np.isfinite(trial_sharpes)]
    if found is None or shape is None or not len(known):
        return None
    spread = float(known.var(ddof=1)) if len(known) > 1 else 0.0
    variance = max(spread, 1.0 / (len(values) - 1))
    threshold = expected_best_sharpe(variance, trials)
    return Deflated(
        found,
        threshold,
        probabilistic_sharpe(found, len(values), *shape, threshold),
        probabilistic_sharpe(found, len(values), *shape),
    )


def overfit_probability(returns: Floats, purge: int = 0, embargo: int = 0, blocks: int = BLOCKS_MAX) -> Overfit | None:
    """Probability of backtest overfitting by combinatorially symmetric cross-validation.

    Args:
        returns: Of each setting in each session, shape `(settings, sessions)`.
        purge: Sessions left out of choosing before each run of judged ones.
        embargo: Sessions left out of choosing after each of them.
        blocks: Blocks of equal length the sessions are cut into, even; the first sessions left over are not used.
    """
    blocks = min(blocks, returns.shape[1] // 2 * 2)
    if len(returns) < 2 or blocks < BLOCKS_MIN:
        return None
    length = returns.shape[1] // blocks
    returns = returns[:, returns.shape[1] - blocks * length :]
    halves = list(itertools.combinations(range(blocks), blocks // 2))
    inside, outside, logits = (np.full(len(halves), np.nan) for _ in range(3))
    for number, half in enumerate(halves):
        chosen_on = np.repeat([block in half for block in range(blocks)], length)
        kept = np.array(without_neighbours(chosen_on.tolist(), purge, embargo))
        seen = sharpe_rows(returns[:, kept]) if kept.sum() > 1 else np.full(len(returns), np.nan)
        later = _known(sharpe_rows(returns[:, ~chosen_on]))
        if not np.isfinite(seen).any():
            continue
        best = int(np.nanargmax(seen))
        inside[number], outside[number] = seen[best], later[best]
        share = _rank(later, best) / (len(later) + 1)
        logits[number] = math.log(share / (1.0 - share))
    known = np.isfinite(logits)
    if not known.any():
        return None
    return Overfit(
        float((logits[known] <= 0.0).mean()),
        float((outside[known] < 0.0).mean()),
        _slope(inside[known], outside[known]),
        inside[known],
        outside[known],
    )


def _known(values: Floats) -> Floats:
    """Sharpe ratios to rank by: a setting without a trade earns nothing, which is neither good nor bad."""
    return np.where(np.isfinite(values), values, 0.0)


def _rank(values: Floats, number: int) -> float:
    """Rank of one value among all, 1 the least; equal values share the mean of their ranks."""
    value = values[number]
    return float((values < value).sum()) + (float((values == value).sum()) + 1.0) / 2.0


def _slope(x: Floats, y: Floats) -> float:
    gap = x - x.mean()
    spread = float((gap * gap).sum())
    return float((gap * (y - y.mean())).sum()) / spread if spread > 0.0 else math.nan


def plateau(places: Floats, steps: NDArray[np.int64] | None, values: Floats, best: int) -> float | None:
    """How good the neighbourhood of the best setting is: the median of its neighbours over the best itself.

    Args:
        places: Where each setting lies, 0 to 1 on each axis, shape `(settings, axes)`.
        steps: The same by number of the value; `None` where an axis has no steps.
        values: Objective of each setting; NaN = unknown, counted as nothing gained.
        best: Number of the best.

    Returns:
        1 on a plateau, 0 on a lone peak, below where neighbours lose; unknown without neighbours or where the
        best is not above 0.
    """
    if steps is not None:
        away = np.abs(steps - steps[best]).max(axis=1)
        near = np.flatnonzero(away == 1)
    else:
        distance = np.sqrt(((places - places[best]) ** 2).sum(axis=1))
        near = np.argsort(distance, kind="stable")[1 : NEIGHBOURS + 1]
    if not len(near) or not values[best] > 0.0:
        return None
    return float(np.median(_known(values[near]))) / float(values[best])
