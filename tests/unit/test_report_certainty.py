"""Intervals cover, luck is priced, and scores are held against what happened."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

from scalpcli.model import statistics
from scalpcli.report.certainty import UNITS_MIN, Sample, day_intervals, differences, trade_intervals
from scalpcli.report.figures import BOUNDS, INTERVALS, TARGETS, TRADES_MIN, verdict
from scalpcli.report.load import load
from scalpcli.report.reliability import reliability
from scalpcli.report.summary import bounds, figures
from tests.report_builder import RunBuilder

RATES = (0.91, 0.985)
"""Share of 95 % intervals that may hold the truth in 400 samples: 0.95 and a little over two errors either way."""


def sample(random, trades):
    """Net of trades that win 55 in 100, 300 on average, and lose 200: skewed, as scalps are."""
    won = random.random(trades) < 0.55
    return np.where(won, 150.0 + random.exponential(150.0, trades), -50.0 - random.exponential(150.0, trades))


TRUTH = {
    "win_rate": 55.0,
    "avg_winner_usd": 300.0,
    "avg_loser_usd": -200.0,
    "reward_risk": 1.5,
    "profit_factor": 0.55 * 300 / (0.45 * 200),
    "expectancy_usd": 0.55 * 300 - 0.45 * 200,
}


def coverage(tries, trades, days):
    random = np.random.default_rng(7)
    hits = dict.fromkeys(TRUTH, 0)
    for _ in range(tries):
        net = sample(random, trades)
        found = trade_intervals(net, net / 1e5, days)
        for name, truth in TRUTH.items():
            hits[name] += name in found and found[name].low <= truth <= found[name].high
    return {name: hit / tries for name, hit in hits.items()}


@pytest.mark.parametrize("trades", [30, 120])
def test_intervals_hold_the_truth_as_often_as_they_say(trades):
    """400 samples of skewed trades: 95 percent intervals of every figure hold it in about 95 of 100."""
    found = coverage(400, trades, [0] * trades)

    assert {name: rate for name, rate in found.items() if not RATES[0] <= rate <= RATES[1]} == {}


@pytest.mark.full
def test_intervals_hold_the_truth_in_many_samples():
    """4,000 samples: within a point and a half of nominal, by trades and by days."""
    by_trades = coverage(4000, 60, [0] * 60)
    by_days = coverage(4000, 120, [number // 4 for number in range(120)])

    assert all(abs(rate - 0.95) < 0.02 for rate in [*by_trades.values(), *by_days.values()]), (by_trades, by_days)


def test_sharpe_intervals_hold_the_truth():
    """300 samples of 60 normal days with a Sharpe of 1.59 a year."""
    random = np.random.default_rng(3)
    truth = math.sqrt(252) * 0.1
    hits = 0
    for _ in range(300):
        found = day_intervals(random.normal(0.001, 0.01, 60))["sharpe_days"]
        hits += found.low <= truth <= found.high

    assert 0.91 <= hits / 300 <= 0.985


def test_trades_of_one_day_count_as_one_draw():
    """Five equal trades a day are one piece of news: the interval is as wide as that of the days."""
    random = np.random.default_rng(1)
    daily = random.normal(10.0, 100.0, 40)
    five = np.repeat(daily, 5)

    wide = trade_intervals(five, five / 1e5, np.repeat(np.arange(40), 5).tolist())["expectancy_usd"]
    days = trade_intervals(daily, daily / 1e5, list(range(40)))["expectancy_usd"]

    assert (wide.low, wide.high) == (pytest.approx(days.low), pytest.approx(days.high))


def test_the_same_trades_give_the_same_interval():
    """Draws are seeded."""
    net = sample(np.random.default_rng(2), 50)

    assert trade_intervals(net, net, [0] * 50) == trade_intervals(net, net, [0] * 50)


def test_few_trades_have_no_interval():
    """Below ten the formula would speak, not the market."""
    net = [100.0, -50.0] * 5

    assert trade_intervals(net[: UNITS_MIN - 1], net[: UNITS_MIN - 1], [0] * (UNITS_MIN - 1)) == {}
    assert trade_intervals(net, net, [0] * UNITS_MIN) != {}


def test_only_winners_are_no_certainty():
    """Twelve of twelve: the win rate lies between 76 and 100 by Wilson; what a loser costs is unknown."""
    net = [float(number) for number in range(1, 13)]

    found = trade_intervals(net, net, [0] * 12)

    assert (found["win_rate"].low, found["win_rate"].high) == (pytest.approx(75.75, abs=0.01), pytest.approx(100.0))
    assert "reward_risk" not in found
    assert "avg_loser_usd" not in found


def test_equal_trades_have_no_interval():
    """Nothing varies, so nothing can be said of how much it would."""
    assert "expectancy_usd" not in trade_intervals([-5.0] * 20, [-5.0] * 20, [0] * 20)


def test_a_difference_of_the_same_days_is_drawn_day_by_day():
    """Both sides saw one market: 10 USD more every day is 10 USD, however wild the days."""
    random = np.random.default_rng(5)
    first = random.normal(0.0, 500.0, 30)
    days = list(range(30))

    second = first + 10.0 + random.normal(0, 1, 30)

    paired = differences(Sample(first, first, days), Sample(second, second, days))
    alone = differences(Sample(first, first, days), Sample(second, second, [day + 100 for day in days]))

    assert 9.0 < paired["expectancy_usd"].low < paired["expectancy_usd"].high < 11.0
    assert alone["expectancy_usd"].low < -100.0


def test_every_figure_of_trades_has_a_difference():
    """Of two samples of one market: the ratios too, and none is told from chance."""
    random = np.random.default_rng(6)
    one, other = random.normal(5.0, 100.0, 40), random.normal(5.0, 100.0, 40)

    found = differences(Sample(one, one / 1e5, [0] * 40), Sample(other, other / 1e5, [0] * 40))

    assert found.keys() == trade_intervals(one, one / 1e5, [0] * 40).keys()
    assert all(interval.low < 0 < interval.high for interval in found.values())


def test_too_few_trades_have_no_difference():
    """Nine on one side."""
    sample = Sample([1.0, -1.0] * 10, [0.1, -0.1] * 10, [0] * 20)

    assert differences(sample, Sample([1.0] * 9, [0.1] * 9, [0] * 9)) == {}


def test_deflated_sharpe_of_the_published_example():
    """100 trials, variance 1/2 a year, Sharpe 2.5 a year over 1,250 days, skewness -3, kurtosis 10.

    Source: Bailey and Lopez de Prado 2014, The Deflated Sharpe Ratio, numerical example: SR0 0.1132, DSR 0.9004.
    """
    threshold = statistics.expected_best_sharpe(0.5 / 250, 100)

    deflated = statistics.probabilistic_sharpe(2.5 / math.sqrt(250), 1250, -3.0, 10.0, threshold)

    assert threshold == pytest.approx(0.1132, abs=5e-5)
    assert deflated == pytest.approx(0.9004, abs=5e-5)


def test_one_trial_is_not_deflated():
    """Whoever tried once deserves what was found."""
    assert statistics.expected_best_sharpe(0.3, 1) == 0.0


def test_probabilistic_sharpe_is_a_half_at_its_threshold():
    """And unknown where its variance is not positive, or nothing varies."""
    assert statistics.probabilistic_sharpe(0.2, 100, -1.0, 5.0, 0.2) == 0.5
    assert statistics.probabilistic_sharpe(3.0, 100, 4.0, 3.0) is None
    assert statistics.probabilistic_sharpe(0.2, 1, 0.0, 3.0) is None
    assert statistics.moments([1.0, 1.0]) is None


def test_settings_tried_are_told_apart_by_their_digest(tmp_path):
    """Two settings, or what `--trials` says; the more were tried, the less the best of them is worth."""
    for number, net in enumerate([(50.0, -20.0, 40.0, 30.0), (10.0, -30.0, 20.0, -5.0)]):
        run = RunBuilder(tmp_path, f"{number}")
        run.config_digest = f"{number}" * 64
        session = run.session()
        for usd in net:
            session.trade(usd)
        run.write()
    results = load([tmp_path / "0", tmp_path / "1"])

    found, many = figures(results), figures(results, trials=50)

    assert (found["trials"], many["trials"]) == (2, 50)
    assert 0.5 < found["dsr_trades"] < found["psr_trades"]
    assert many["dsr_trades"] < found["dsr_trades"]


@pytest.mark.parametrize(
    ("trades", "low", "high", "told"),
    [
        (TRADES_MIN, 55.1, 80.0, "met"),
        (TRADES_MIN, 20.0, 54.9, "missed"),
        (TRADES_MIN, 50.0, 60.0, "undecided"),
        (TRADES_MIN, None, None, "undecided"),
        (TRADES_MIN - 1, 60.0, 80.0, "undecided"),
        (0, None, None, "no trades"),
    ],
)
def test_a_target_is_decided_by_its_interval(trades, low, high, told):
    """A win rate of 60 says nothing while its interval holds 55."""
    values = {"trades": trades, "win_rate": 60.0, "win_rate_low": low, "win_rate_high": high}

    assert verdict(TARGETS[0], values) == told


def test_bounds_are_figures_that_a_requirement_may_name(tmp_path):
    """`win_rate_low >= 50` is the careful way to ask for a win rate."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for number in range(40):
        session.trade(30.0 if number % 3 else -20.0)

    found = bounds(load([run.write()]))

    assert found.keys() == BOUNDS.keys()
    assert found["win_rate_low"] < 100 * 26 / 40 < found["win_rate_high"]
    assert all(f"{name}_low" in found for name in INTERVALS)


def test_confidence_is_held_against_what_happened(tmp_path):
    """Scores of 60 won twice in three, scores of 85 always: every pair of different scores is right."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for net, confidence in [(10.0, 60), (20.0, 62), (-5.0, 60), (30.0, 85), (40.0, 88), (-1.0, 30)]:
        session.trade(net, confidence=confidence)
    results = load([run.write()])

    bins = reliability(results.trades)

    assert [(each.low, each.high, each.trades, round(each.win_rate)) for each in bins] == [
        (30, 39, 1, 0),
        (60, 69, 3, 67),
        (80, 89, 2, 100),
    ]
    assert bins[1].interval.low == pytest.approx(20.8, abs=0.05)
    assert figures(results)["confidence_auc"] == pytest.approx(7.5 / 8)


def test_path_and_exposure(tmp_path):
    """Down 1,000 and then 600 more is 1.6 percent overall; two minutes of two sessions were spent in a position."""
    run = RunBuilder(tmp_path)
    run.session("2026-11-19").trade(-1000.0, held_s=60.0)
    run.session("2026-11-20").trade(-600.0, held_s=60.0)

    found = figures(load([run.write()]))

    assert found["max_drawdown_pct"] == pytest.approx(1.0)
    assert found["max_drawdown_overall_pct"] == pytest.approx(1.6)
    assert found["max_drawdown_overall_usd"] == pytest.approx(1600.0)
    assert found["exposure_pct"] == pytest.approx(100 * 120 / (2 * 23_400), rel=0.08)


def test_best_three_and_cents_a_share(tmp_path):
    """100, 50, 30 of a net of 150; 10 contracts each: 1.5 USD a trade and contract are 3.75 cents of four trades."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for net in (100.0, 50.0, -30.0, 30.0):
        session.trade(net)

    found = figures(load([run.write()]))

    assert found["best_three_pct"] == pytest.approx(100 * 180 / 150)
    assert found["expectancy_ticks"] == pytest.approx(150 / 4 / 10)


@pytest.fixture(scope="module")
def empyrical():
    """An independent library; the development extra brings it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("empyrical")


@pytest.mark.parametrize("seed", range(20))
def test_statistics_equal_an_independent_library(empyrical, seed):
    """empyrical-reloaded on random series: Sharpe, Sortino, downside and drawdown to 1e-9."""
    returns = np.random.default_rng(seed).standard_t(4, 250) * 0.01 + 0.0003
    equity = np.cumprod([1.0, *(1 + returns)])

    assert statistics.sharpe(returns.tolist(), 252) == pytest.approx(empyrical.sharpe_ratio(returns), rel=1e-9)
    assert statistics.sortino(returns.tolist(), 252) == pytest.approx(empyrical.sortino_ratio(returns), rel=1e-9)
    assert statistics.downside_deviation(returns.tolist(), 252) == pytest.approx(
        empyrical.downside_risk(returns), rel=1e-9
    )
    assert statistics.max_drawdown(equity)[1] == pytest.approx(-100 * empyrical.max_drawdown(returns), rel=1e-9)


def test_figures_are_valid_json(tmp_path):
    """No NaN and no infinity leaves this module."""
    run = RunBuilder(tmp_path)
    session = run.session()
    for _ in range(12):
        session.trade(-10.0)
    results = load([run.write()])

    values = figures(results) | bounds(results)

    assert json.loads(json.dumps(values, allow_nan=False)) == values
