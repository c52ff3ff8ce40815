"""Figures of runs, each by hand on a run small enough to add up in the head."""

from __future__ import annotations

import math

import pytest

from scalpcli.report.figures import FIGURES
from scalpcli.report.groups import grouped
from scalpcli.report.load import load
from scalpcli.report.notices import notices
from scalpcli.report.summary import figures
from tests.report_builder import BREAKOUT, REJECTION, RunBuilder

UNKNOWN_WITHOUT_TRADES = {
    "win_rate",
    "avg_winner_usd",
    "avg_loser_usd",
    "reward_risk",
    "profit_factor",
    "expectancy_usd",
    "best_trade_usd",
    "worst_trade_usd",
    "sharpe_trades",
    "sortino_trades",
    "sharpe_days",
    "sortino_days",
    "hold_s_median",
    "hold_s_mean",
    "hold_s_max",
    "slippage_usd",
    "entry_slippage_usd",
    "exit_slippage_usd",
    "mid_slippage_usd",
    "slippage_per_contract_usd",
    "entry_slippage_per_contract_usd",
    "exit_slippage_per_contract_usd",
    "mid_slippage_per_contract_usd",
    "fill_rate",
    "expectancy_ticks",
    "best_three_pct",
    "psr_trades",
    "dsr_trades",
    "confidence_auc",
    "mae_pct_mean",
    "mfe_pct_mean",
    "winner_mae_pct_mean",
    "loser_mfe_pct_mean",
}


@pytest.fixture
def run(tmp_path):
    return RunBuilder(tmp_path)


def figures_of(*runs):
    return figures(load([each.write() for each in runs]))


def test_wins_losses_and_what_they_brought(run):
    """Two won 300 and 100, three lost 50, 100 and 30, one came out even: net decides, fees included."""
    session = run.session()
    for net_usd in (300.0, -50.0, 100.0, -100.0, -30.0, 0.0):
        session.trade(net_usd, fees_usd=2.0)

    found = figures_of(run)

    assert (found["trades"], found["winners"], found["losers"]) == (6, 2, 3)
    assert found["win_rate"] == pytest.approx(100 * 2 / 6)
    assert found["avg_winner_usd"] == 200.0
    assert found["avg_loser_usd"] == -60.0
    assert found["reward_risk"] == pytest.approx(200 / 60)
    assert found["profit_factor"] == pytest.approx(400 / 180)
    assert found["expectancy_usd"] == pytest.approx(220 / 6)
    assert (found["net_pnl_usd"], found["gross_pnl_usd"], found["fees_usd"]) == (220.0, 232.0, 12.0)
    assert (found["best_trade_usd"], found["worst_trade_usd"]) == (300.0, -100.0)
    assert found["losing_streak_max"] == 2


def test_a_trade_that_only_fees_made_a_loss_is_a_loss(run):
    """Gross 0.40, fees 0.50."""
    run.session().trade(-0.10, fees_usd=0.50)

    found = figures_of(run)

    assert (found["winners"], found["losers"]) == (0, 1)
    assert found["gross_pnl_usd"] == 0.4


def test_sharpe_of_trades_is_over_the_equity_they_started_with(run):
    """Net 100, 200 and 300 on 100,000: mean 2, standard deviation 1, in thousandths."""
    session = run.session()
    for net_usd in (100.0, 200.0, 300.0):
        session.trade(net_usd)

    found = figures_of(run)

    assert found["sharpe_trades"] == pytest.approx(2.0)
    assert found["sortino_trades"] is None


def test_sharpe_of_days_counts_days_without_trades(run):
    """Returns of 0.3, 0 and 0 percent: mean 0.1, standard deviation sqrt(0.03), a year of 252 days."""
    run.session("2026-11-18").trade(300.0)
    run.session("2026-11-19")
    run.session("2026-11-20")

    found = figures_of(run)

    assert found["days"] == 3
    assert found["sharpe_days"] == pytest.approx(math.sqrt(252) * 0.1 / math.sqrt(0.03))


def test_one_session_in_two_runs_is_one_day(tmp_path):
    """A day's return is over the equity of all its sessions: 400 of 200,000, then -300 of 100,000."""
    first, second = RunBuilder(tmp_path, "a"), RunBuilder(tmp_path, "b")
    first.session("2026-11-19").trade(300.0)
    first.session("2026-11-20").trade(-300.0)
    second.session("2026-11-19").trade(100.0)

    found = figures_of(first, second)

    assert (found["runs"], found["sessions"], found["days"], found["trades"]) == (2, 3, 2, 3)
    assert found["sharpe_days"] == pytest.approx(math.sqrt(252) * -0.05 / math.sqrt(0.125))


def test_drawdown_is_of_the_worst_session_and_starts_anew_each_day(run):
    """Down 1,000 on one day and 600 on the next is 1 percent, not 1.6; an open loss at a fill counts."""
    run.session("2026-11-19").trade(-1000.0)
    run.session("2026-11-20").trade(500.0, worst_open_usd=-600.0)

    found = figures_of(run)

    assert found["max_drawdown_usd"] == 1000.0
    assert found["max_drawdown_pct"] == pytest.approx(1.0)


def test_drawdown_of_two_symbols_on_one_day_stays_apart(run):
    """Each session has its own equity, so the second one's start is no fall from the first one's end."""
    run.session(symbol="TSLA").trade(5000.0)
    run.session(symbol="SPY").trade(-200.0)

    found = figures_of(run)

    assert found["max_drawdown_usd"] == 200.0


def test_hold_time(run):
    """10, 20 and 90 seconds."""
    session = run.session()
    for held_s in (90.0, 10.0, 20.0):
        session.trade(5.0, held_s=held_s)

    found = figures_of(run)

    assert (found["hold_s_median"], found["hold_s_mean"], found["hold_s_max"]) == (20.0, 40.0, 90.0)


def test_slippage_adds_up_and_is_told_a_contract(run):
    """30 USD on entries and 10 on exits of 8 contracts; the mid lies 2 USD a contract below the ask."""
    session = run.session()
    session.trade(5.0, quantity=6, entry_slippage_usd=30.0, exit_slippage_usd=12.0)
    session.trade(5.0, quantity=2, entry_slippage_usd=0.0, exit_slippage_usd=-2.0)

    found = figures_of(run)

    assert found["contracts"] == 8
    assert (found["entry_slippage_usd"], found["exit_slippage_usd"], found["slippage_usd"]) == (30.0, 10.0, 40.0)
    assert found["entry_slippage_per_contract_usd"] == 30 / 8
    assert found["exit_slippage_per_contract_usd"] == 10 / 8
    assert found["slippage_per_contract_usd"] == 5.0
    assert found["mid_slippage_usd"] == 30 + 8 * 2


def test_slippage_without_a_reference_price_is_left_out(run):
    """An expired contract was not sold; the others' slippage is told over their own contracts."""
    session = run.session()
    session.trade(5.0, quantity=4, exit_slippage_usd=8.0)
    session.trade(-5.0, quantity=6, exit_slippage_usd=None)

    found = figures_of(run)

    assert found["exit_slippage_usd"] == 8.0
    assert found["exit_slippage_per_contract_usd"] == 2.0


def test_counts_of_the_journal(run):
    """One trade, one refused trigger, one signal that was ordered twice and given up."""
    session = run.session()
    session.trade(5.0)
    refused = session.trigger()
    session.refusal(refused, "spread")
    session.refusal(refused, "cooldown", standing=True)
    session.missed(refused, "cooldown")
    given_up = session.trigger(BREAKOUT)
    signal = session.signal(given_up)
    session.order(signal)
    session.order(signal, attempt=2)
    session.unfilled(given_up, signal)

    found = figures_of(run)

    assert (found["triggers"], found["refusals"], found["missed"], found["signals"]) == (3, 2, 1, 2)
    assert (found["orders"], found["fills"], found["unfilled"]) == (4, 2, 1)
    assert found["fill_rate"] == 50.0


def test_without_trades_money_is_zero_and_ratios_are_unknown(run):
    """Nothing earned is a fact; a win rate of nothing is not."""
    run.session()

    found = figures_of(run)

    assert {name for name, value in found.items() if value is None} == UNKNOWN_WITHOUT_TRADES
    assert (found["trades"], found["net_pnl_usd"], found["max_drawdown_pct"]) == (0, 0.0, 0.0)


def test_only_losers(run):
    """No winner: R:R is unknown, the profit factor is truly zero."""
    session = run.session()
    session.trade(-50.0)
    session.trade(-70.0)

    found = figures_of(run)

    assert (found["win_rate"], found["profit_factor"]) == (0.0, 0.0)
    assert (found["avg_winner_usd"], found["reward_risk"]) == (None, None)
    assert found["avg_loser_usd"] == -60.0


def test_only_winners(run):
    """No loser: nothing to divide by, so unknown and never infinite."""
    run.session().trade(50.0)

    found = figures_of(run)

    assert found["win_rate"] == 100.0
    assert (found["reward_risk"], found["profit_factor"], found["sharpe_trades"]) == (None, None, None)


def test_figures_come_in_the_order_of_their_table(run):
    """Every documented name, no other."""
    run.session()

    assert list(figures_of(run)) == list(FIGURES)


def test_coverage_is_the_least_of_the_sessions(run):
    """A requirement on it must see the worst day; a session that does not state it changes nothing."""
    run.session("2026-11-18", quality={"coverage_pct": 99.0})
    run.session("2026-11-19", quality={"coverage_pct": 88.5})
    run.session("2026-11-20", quality={})

    assert figures_of(run)["coverage_pct"] == 88.5


def test_groups_tell_the_largest_first(run):
    """Three exits of one kind, one of another."""
    session = run.session()
    for net_usd in (-10.0, -20.0, 60.0):
        session.trade(net_usd, exit_reason="STOP_LOSS", trigger=REJECTION)
    session.trade(40.0, exit_reason="TIME_EXIT")

    groups = grouped(load([run.write()]).trades, "exit-reason")

    assert [(group.name, group.trades, group.net_pnl_usd) for group in groups] == [
        ("STOP_LOSS", 3, 30.0),
        ("TIME_EXIT", 1, 40.0),
    ]
    assert groups[0].win_rate == pytest.approx(100 / 3)


def test_made_up_markets_are_told_first(run):
    """All, some, none."""
    run.session("2026-11-18", synthetic=True)
    whole = RunBuilder(run.path.parent, "whole")
    whole.session(synthetic=True)
    run.session("2026-11-19")
    real = RunBuilder(run.path.parent, "real")
    real.session()

    told = [notices(load([each.write()])) for each in (whole, run, real)]

    assert told[0] == [
        "SYNTHETIC: the market was made up by a random generator; no figure here says anything about real trading"
    ]
    assert told[1] == [
        "SYNTHETIC in part: 1 of 2 sessions were made up by a random generator; pooled figures mix them with real ones"
    ]
    assert told[2] == []


def test_doubled_sessions_are_told(tmp_path):
    """Two runs of one tape are two opinions, not twice the evidence."""
    first, second = RunBuilder(tmp_path, "a"), RunBuilder(tmp_path, "b")
    first.session()
    second.session()

    told = notices(load([first.write(), second.write()]))

    assert told == ["in more than one run: TSLA 2026-11-20; pooled figures count those trades once for each run"]


def test_open_ends_and_differing_books_are_told(run):
    """What is held at the end, a journal that stops early, and trades that do not add up."""
    run.session("2026-11-18").is_flat = False
    run.session("2026-11-19").is_closed = False
    run.session("2026-11-20").trade(5.0)
    run.sessions[-1].trades[-1]["net_pnl_usd"] = 7.0

    told = notices(load([run.write()]))

    assert told == [
        "TSLA 2026-11-18: NOT FLAT at the end; what is still held is in no figure",
        "TSLA 2026-11-19: the journal ends before the session did",
        "TSLA 2026-11-20: its trades add up to 7.00 USD, its journal to 5.00 USD",
    ]
