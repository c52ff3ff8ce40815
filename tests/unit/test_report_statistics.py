"""Statistics of results, by hand and against values that others computed."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.model import statistics

TRADING_DAYS = 252


@pytest.fixture(scope="module")
def empyrical(shared):
    """Series in percent and cases, from empyrical's own tests."""
    reference = json.loads((shared / "reference" / "performance_empyrical.json").read_text())
    series = {
        name: [value / 100 for value in values if not math.isnan(value)] for name, values in reference["series"].items()
    }
    return series, reference["cases"]


def cases_of(empyrical, metric):
    """The cases of one metric that ask for nothing this report does not compute."""
    series, cases = empyrical
    found = [case for case in cases if case["metric"] == metric]
    assert found
    return series, found


def test_sharpe_equals_empyrical(empyrical):
    """Annualised, n - 1, in excess of a series where one is given; to 8 decimals."""
    series, cases = cases_of(empyrical, "sharpe")

    for case in cases:
        returns = series[case["series"]]
        free = series[case["rf_series"]][-len(returns) :] if "rf_series" in case else [0.0] * len(returns)
        excess = [earned - safe for earned, safe in zip(returns, free, strict=True)]
        assert statistics.sharpe(excess, case["periods"]) == pytest.approx(case["expected"], abs=5e-9)


def test_sortino_equals_empyrical(empyrical):
    """Downside over all periods, the good ones as zero."""
    series, cases = cases_of(empyrical, "sortino")

    for case in cases:
        found = statistics.sortino(series[case["series"]], case["periods"])
        assert found == pytest.approx(case["expected"], abs=5e-9)


def test_downside_deviation_equals_empyrical(empyrical):
    """Returns below what is required count, by their distance."""
    series, cases = cases_of(empyrical, "downside_risk")

    for case in cases:
        short = [value - case["required"] for value in series[case["series"]]]
        assert statistics.downside_deviation(short, case["periods"]) == pytest.approx(case["expected"], abs=5e-9)


def test_max_drawdown_equals_empyrical(empyrical):
    """The start is a peak, so a loss on the first day is a drawdown; ours is positive and in percent."""
    series, cases = cases_of(empyrical, "max_drawdown")

    for case in cases:
        equity = np.cumprod([1.0, *(1 + value for value in series[case["series"]])])
        assert statistics.max_drawdown(equity)[1] == pytest.approx(-100 * case["expected"], abs=5e-7)


def test_sharpe_by_hand():
    """1, 2, 3: mean 2, standard deviation 1; over four periods a year twice that."""
    assert statistics.sharpe([1.0, 2.0, 3.0]) == 2.0
    assert statistics.sharpe([1.0, 2.0, 3.0], 4) == 4.0


def test_sortino_by_hand():
    """3, -1, 4: mean 2, downside sqrt(1/3)."""
    assert statistics.sortino([3.0, -1.0, 4.0]) == pytest.approx(2 * math.sqrt(3))


@pytest.mark.parametrize("returns", [[], [0.5], [0.1, 0.1, 0.1], [0.0, 0.0]])
def test_a_ratio_without_spread_is_unknown(returns):
    """One return has no spread, and equal ones have one of rounding errors: no millions, no infinity."""
    assert statistics.sharpe(returns) is None


@pytest.mark.parametrize("returns", [[], [-0.5], [0.1, 0.2]])
def test_a_sortino_without_a_loss_is_unknown(returns):
    """Without a downside there is nothing to divide by."""
    assert statistics.sortino(returns) is None


@pytest.mark.parametrize(
    ("equity", "usd", "pct"),
    [
        ([100.0], 0.0, 0.0),
        ([100.0, 110.0, 120.0], 0.0, 0.0),
        ([100.0, 90.0, 95.0], 10.0, 10.0),
        ([100.0, 200.0, 150.0, 180.0, 140.0, 300.0], 60.0, 30.0),
        # 30 USD of 100 is the larger share, 40 USD of 400 the larger amount.
        ([100.0, 70.0, 400.0, 360.0], 40.0, 30.0),
    ],
)
def test_max_drawdown_by_hand(equity, usd, pct):
    """The largest fall in dollars and the largest in percent, which may be two falls."""
    assert statistics.max_drawdown(np.array(equity)) == (usd, pytest.approx(pct))


def test_no_equity_has_no_drawdown():
    """Nothing recorded is unknown, not zero."""
    assert statistics.max_drawdown(np.array([])) == (None, None)


@pytest.mark.parametrize(
    ("results", "streak"),
    [([], 0), ([1.0], 0), ([-1.0], 1), ([-1.0, -1.0, 0.0, -1.0], 2), ([1.0, -1.0, -1.0, -1.0, 1.0, -1.0], 3)],
)
def test_a_losing_run_ends_with_a_trade_that_lost_nothing(results, streak):
    """Zero is not a loss."""
    assert statistics.losing_streak(results) == streak


def test_ratio_mean_and_median_of_nothing_are_unknown():
    """No zero and no error where there is nothing."""
    assert statistics.mean([]) is None
    assert statistics.median([]) is None
    assert statistics.ratio(1.0, 0.0) is None
    assert statistics.ratio(None, 1.0) is None
    assert statistics.median([4.0, 1.0, 3.0, 2.0]) == 2.5


@given(st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=60))
def test_sharpe_and_drawdown_equal_plain_numpy(returns):
    """An independent recomputation over random series."""
    values = np.array(returns)
    equity = np.cumprod(np.concatenate(([1.0], 1 + values)))
    falls = [100 * (equity[: at + 1].max() - level) / equity[: at + 1].max() for at, level in enumerate(equity)]

    sharpe = statistics.sharpe(returns, TRADING_DAYS)

    assert statistics.max_drawdown(equity)[1] == pytest.approx(max(falls))
    if sharpe is not None and values.std() > 1e-9:
        assert sharpe == pytest.approx(math.sqrt(TRADING_DAYS) * values.mean() / values.std(ddof=1), rel=1e-6, abs=1e-9)
