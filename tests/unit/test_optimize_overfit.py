"""Deflated Sharpe, probability of backtest overfitting and plateau, against published examples and known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scalpcli.model.statistics import expected_best_sharpe, probabilistic_sharpe
from scalpcli.optimize.overfit import deflated_sharpe, overfit_probability, plateau
from scalpcli.optimize.scores import sharpe_rows


def test_the_deflated_sharpe_of_its_paper():
    """Bailey and Lopez de Prado 2014, numerical example: SR0 0.1132 a day, DSR 0.9004."""
    threshold = expected_best_sharpe(0.5 / 250.0, 100)

    dsr = probabilistic_sharpe(2.5 / math.sqrt(250.0), 1250, -3.0, 10.0, threshold)

    assert threshold == pytest.approx(0.1132, abs=5e-5)
    assert dsr == pytest.approx(0.9004, abs=5e-5)


def test_deflated_is_the_same_chance_on_returns():
    """From returns and trials it is the formula's value, and more trials make it less."""
    random = np.random.default_rng(7)
    trials = random.normal(0.02, 1.0, (40, 250))
    best = trials[np.argmax(sharpe_rows(trials))]

    few, many = (deflated_sharpe(best, sharpe_rows(trials), count) for count in (40, 4_000))

    assert few is not None
    assert many is not None
    spread = max(float(sharpe_rows(trials).var(ddof=1)), 1.0 / 249.0)
    assert few.threshold == pytest.approx(expected_best_sharpe(spread, 40))
    assert few.psr > few.dsr > many.dsr


def test_settings_that_trade_alike_are_no_evidence_for_each_other():
    """Trials that differ by little share their luck: the best is held against independent ones all the same."""
    luck = np.random.default_rng(11).normal(0.0, 1.0, 60)
    alike = luck + np.random.default_rng(12).normal(0.0, 0.01, (30, 60))

    found = deflated_sharpe(alike[0], sharpe_rows(alike), 30)

    assert found is not None
    assert found.threshold == pytest.approx(expected_best_sharpe(1.0 / 59.0, 30))


def test_nothing_to_deflate():
    """A setting that never traded, or one session, has no Sharpe ratio: unknown, not zero."""
    assert deflated_sharpe(np.zeros(20), np.zeros(5), 5) is None
    assert deflated_sharpe(np.array([1.0]), np.array([math.nan]), 1) is None


def matrix(seed: int = 765, settings: int = 100, periods: int = 2_400) -> np.ndarray:
    """Noise whose sample means are exactly 0, standard deviation 1 a year of 252 days, as that example makes it."""
    drawn = np.random.default_rng(seed).normal(size=(settings, periods))
    drawn /= drawn.std(axis=1, ddof=1, keepdims=True) * math.sqrt(252.0)
    return drawn - drawn.mean(axis=1, keepdims=True)


def test_pbo_of_equal_means_is_one():
    """The worked example of R's `pbo` (N = 100, T = 2400, s = 8, sample means 0), from the paper's compensation effect.

    All settings have the same mean over the whole sample, so what one half has gained the other has lost: the
    best inside is the worst outside, in every split, whatever was drawn.
    """
    found = overfit_probability(matrix(), blocks=8)

    assert found is not None
    assert len(found.inside) == 70
    assert found.pbo == 1.0
    assert found.loss_share == 1.0
    assert found.slope == pytest.approx(-1.0, abs=0.05)
    assert found.outside == pytest.approx(-found.inside, rel=0.1)


def test_pbo_of_one_true_skill_is_small():
    """The same with one setting whose annual Sharpe ratio is 3: choosing the best finds it."""
    returns = matrix()
    returns[-1] += 3.0 / 252.0

    found = overfit_probability(returns, blocks=8)

    assert found is not None
    assert found.pbo < 0.05
    assert found.loss_share < 0.05


def test_pbo_of_noise_is_about_a_half():
    """Settings without skill: the choice lands anywhere outside."""
    values = [
        overfit_probability(np.random.default_rng(seed).normal(size=(20, 48)), blocks=8).pbo for seed in range(30)
    ]

    assert 0.4 < float(np.mean(values)) < 0.6


def test_pbo_by_hand():
    """Two settings, four blocks of one pair each: every split counted by hand."""
    up, down = [1.0, 2.0], [-1.0, -2.0]
    returns = np.array([up + down + up + down, down + up + down + up])

    found = overfit_probability(returns, blocks=4)

    assert found is not None
    # Of the six halves two hold one setting's good blocks alone: outside it has the bad ones. In the other four
    # both settings are alike on both sides: the rank is shared, the logit 0, which counts as overfit.
    assert found.pbo == 1.0


def test_too_little_for_pbo():
    """One setting, or three sessions, cannot be cut into halves: unknown."""
    assert overfit_probability(np.ones((1, 40))) is None
    assert overfit_probability(np.random.default_rng(1).normal(size=(5, 3))) is None


def test_purge_and_embargo_leave_sessions_out_of_choosing():
    """With both, the choice knows less; with more than a block holds, nothing can be chosen."""
    returns = np.random.default_rng(3).normal(size=(10, 40))

    plain, purged = (overfit_probability(returns, each, each, blocks=4) for each in (0, 2))

    assert plain is not None
    assert purged is not None
    assert not np.array_equal(plain.inside, purged.inside)
    assert overfit_probability(returns, 40, 40, blocks=4) is None


def test_a_plateau_and_a_peak():
    """Neighbours one step away on any axis: their median over the best."""
    steps = np.array([[x, y] for x in range(3) for y in range(3)])
    places = steps / 2.0
    flat = np.full(9, 10.0)
    peak = np.where(np.arange(9) == 4, 10.0, 0.0)

    assert plateau(places, steps, flat, 4) == 1.0
    assert plateau(places, steps, peak, 4) == 0.0
    assert plateau(places, None, peak, 4) == 0.0
    assert plateau(places, steps, -flat, 4) is None
    assert plateau(places[:1], steps[:1], flat[:1], 0) is None
