"""Laws of `scan-options`: it shows what a replay would buy, and its odds are chances."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.core.greeks import SECONDS_PER_YEAR, spot_price
from scalpcli.core.odds import Plan, moves_of, odds_of
from scalpcli.model.row import OPTION_QUOTE
from scalpcli.model.session import at_ns, ns_to_new_york, session_of
from scalpcli.runtime.tape import Tape
from scalpcli.scan.checks import flags_of
from scalpcli.scan.rank import Query
from tests.scan_samples import (
    OPEN,
    TAPE,
    first_of_scans,
    forced_by_replay,
    params_with,
    random_instants,
    scan_tape,
    shared,
)

OLD_QUOTES = dataclasses.replace(
    OPEN,
    gates=dataclasses.replace(OPEN.gates, option_quote_age_ms_max=7_200_000),
    scalp=dataclasses.replace(OPEN.scalp, max_spread_pct=20.0),
    fees=dataclasses.replace(OPEN.fees, schedule="none"),
)
"""Snapshots five minutes apart: their quotes are older than a stream's."""


def agree(path, instants, params=OPEN):
    """Compare every instant and both rights; how many contracts were taken."""
    taken = forced_by_replay(path, instants, params)
    shown = first_of_scans(path, instants, params)
    assert len(taken) == len(shown) == 2 * len(instants)
    for key, symbol in shown.items():
        if symbol:
            assert taken[key] == symbol, (ns_to_new_york(key[0]), key[1])
        else:
            assert not taken[key][-1].isdigit(), (ns_to_new_york(key[0]), key[1])
    return sum(bool(symbol) for symbol in shown.values())


@pytest.fixture(scope="module")
def two_expiries(tmp_path_factory):
    """A synthetic tape whose chain has a same-day expiry and the one after it."""
    folder = tmp_path_factory.mktemp("synth")
    words = ["tape", "synth", folder, "--date", "2026-11-25", "--rows", "150000", "--contracts", "24"]
    done = CliRunner().invoke(app, [*map(str, words), "--next-expiry", "24", "--seed", "5"])
    assert done.exit_code == 0, done.output
    return Tape.open(folder).path


@pytest.fixture(scope="module")
def spy(tmp_path_factory):
    """The recorded SPY chain of 2026-07-20 as a tape."""
    folder = tmp_path_factory.mktemp("spy")
    chain = shared("spy_2026_0dte_chains_5m", "option_chain_5m.parquet")
    words = [
        "tape",
        "import",
        folder,
        "--symbol",
        "SPY",
        "--date",
        "2026-07-20",
        "--chain",
        chain,
        "--profile",
        "chain",
    ]
    done = CliRunner().invoke(app, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return Tape.open(folder).path


@pytest.mark.parametrize("count", [20, pytest.param(80, marks=pytest.mark.full)])
def test_the_first_contract_is_what_replay_takes_on_the_example(count):
    """Random instants of the example tape: the scan's first call and put are those a forced signal buys."""
    instants = random_instants(session_of(dt.date(2026, 11, 20)), count, seed=12, last_minutes=15)

    assert agree(TAPE, instants) > count // 2


@pytest.mark.parametrize("count", [12, pytest.param(60, marks=pytest.mark.full)])
def test_the_first_contract_is_what_replay_takes_with_two_expiries(two_expiries, count):
    """Where today's expiry has no candidate the next one is taken, by both."""
    instants = random_instants(Tape.open(two_expiries).session, count, seed=13, last_minutes=15)
    params = dataclasses.replace(OPEN, selection=dataclasses.replace(OPEN.selection, max_dte=2))

    assert agree(two_expiries, instants, params) > count // 2
    taken = {symbol[4:10] for symbol in first_of_scans(two_expiries, instants, params).values() if symbol}
    assert taken == {"261125", "261127"}


@pytest.mark.parametrize("count", [12, pytest.param(60, marks=pytest.mark.full)])
def test_the_first_contract_is_what_replay_takes_on_recorded_spy(spy, count):
    """The same on a recorded chain with a feed's greeks."""
    instants = random_instants(Tape.open(spy).session, count, seed=14, last_minutes=15)

    assert agree(spy, instants, OLD_QUOTES) > count // 2


def test_feed_greeks_decide_where_the_settings_say_so(spy):
    """Both read the recorded deltas, and take the same contract by them."""
    selection = dataclasses.replace(OLD_QUOTES.selection, greeks_source="tape", greeks_age_s_max=23_400.0)
    params = dataclasses.replace(OLD_QUOTES, selection=selection)
    instants = random_instants(Tape.open(spy).session, 4, seed=15, last_minutes=30)

    assert agree(spy, instants, params) > 0
    row = scan_tape(spy, ns_to_new_york(instants[0]), params).rows[0]
    assert row["delta_source"] == "tape"
    assert row["delta"] == row["feed_delta"]


@pytest.mark.parametrize("at", ["09:30:00.400", "10:00:00", "13:17:31.250"])
def test_quotes_are_the_last_ones_received_by_the_instant(at):
    """No look-ahead and nothing forgotten: each quote is the tape's last one up to then, read from the file itself."""
    shown = scan_tape(TAPE, at, query=Query(show_all=True, top=1000))
    tape = Tape.open(TAPE)
    seen = pl.read_parquet(TAPE / "rows.parquet").filter(
        (pl.col("kind") == OPTION_QUOTE) & (pl.col("ts_recv_ns") <= at_ns(tape.session, at))
    )
    last = {row["instrument_id"]: row for row in seen.iter_rows(named=True)}

    assert len(shown.rows) == len(tape.instruments) - 1
    for row in shown.rows:
        number = next(each.instrument_id for each in tape.instruments if each.symbol == row["contract"])
        found = last.get(number)
        quote = (found["price_e4"] / 1e4 or None, found["ask_e4"] / 1e4 or None) if found else (None, None)
        assert (row["bid"], row["ask"]) == quote


def _plan(strike_pct, hours, volatility, is_call, spread_pct, target, stop, hold_share):
    spot = 400.0
    years = hours * 3600.0 / SECONDS_PER_YEAR
    strike = spot * math.exp(strike_pct * 0.5 * volatility * math.sqrt(years) * 0.6)
    mid = spot_price(spot, strike, years, volatility, 0.04, 0.0, is_call)
    half = mid * spread_pct / 200.0
    hold = years * hold_share
    return Plan(spot, strike, years, volatility, 0.04, is_call, mid - half, mid + half, 0.001, target, stop, hold)


plans = st.builds(
    _plan,
    st.floats(-3.0, 3.0),
    st.floats(0.25, 60.0),
    st.floats(0.08, 2.0),
    st.booleans(),
    st.floats(0.2, 10.0),
    st.floats(5.0, 100.0),
    st.floats(12.0, 60.0),
    st.floats(0.05, 0.9),
)


@settings(max_examples=60, deadline=None)
@given(plan=plans)
def test_odds_are_chances(plan):
    """Three outcomes, none below 0, and together everything."""
    odds = odds_of([plan])[0]

    assert all(-1e-9 <= chance <= 100.0 + 1e-6 for chance in odds)
    assert sum(odds) == pytest.approx(100.0, abs=0.2)


@settings(max_examples=50, deadline=None)
@given(plan=plans)
def test_moves_reach_what_they_say(plan):
    """Repriced at the move, the bid stands at the target, at the stop, and at what was paid with its costs."""
    moves = moves_of(plan)
    half = (plan.ask - plan.bid) / 2.0

    def bid_after(move_pct, years):
        spot = plan.spot * (1.0 + move_pct / 100.0)
        return spot_price(spot, plan.strike, years, plan.volatility, plan.rate, 0.0, plan.is_call) - half

    late = max(plan.years - plan.hold_years, 60.0 / SECONDS_PER_YEAR)
    assert bid_after(moves.target_pct, plan.years) == pytest.approx(plan.ask * (1 + plan.target_pct / 100), rel=1e-6)
    assert bid_after(moves.stop_pct, plan.years) == pytest.approx(plan.ask * (1 - plan.stop_pct / 100), rel=1e-6)
    assert bid_after(moves.cost_pct, plan.years) == pytest.approx(plan.ask + plan.fees, rel=1e-6)
    assert bid_after(moves.target_late_pct, late) == pytest.approx(plan.ask * (1 + plan.target_pct / 100), rel=1e-6)


@settings(max_examples=60, deadline=None)
@given(plan=plans, more=st.floats(1.05, 2.0))
def test_a_nearer_target_is_likelier(plan, more):
    """Raising the target never raises its chance; widening the stop never lowers it."""
    far = plan._replace(target_pct=plan.target_pct * more)
    wide = plan._replace(stop_pct=min(95.0, plan.stop_pct * more))

    base, farther, wider = (odds.target_first_pct for odds in odds_of([plan, far, wide]))

    assert farther <= base + 0.15
    assert wider >= base - 0.15


@settings(max_examples=15, deadline=None)
@given(many=st.lists(plans, min_size=2, max_size=6))
def test_odds_do_not_depend_on_company(many):
    """Solved together or alone: the same chances."""
    together = odds_of(many)

    for plan, odds in zip(many, together, strict=True):
        assert odds_of([plan])[0] == pytest.approx(odds, abs=1e-9)


def test_settings_of_the_flags_reach_the_engine():
    """A limit that lets nothing pass lets nothing be taken either."""
    params = dataclasses.replace(OPEN, scalp=dataclasses.replace(OPEN.scalp, max_contract_price=0.05))
    instants = random_instants(session_of(dt.date(2026, 11, 20)), 3, seed=3, last_minutes=60)

    assert agree(TAPE, instants, params) == 0
    assert params_with().scalp.max_contract_price == 5.0


@settings(max_examples=60, deadline=None)
@given(
    volatility=st.floats(0.1, 1.5),
    hours=st.floats(0.5, 100.0),
    skew=st.floats(-0.2, 0.2),
    half_spread=st.floats(0.005, 0.2),
    step=st.sampled_from([0.5, 1.0, 2.5, 5.0]),
)
def test_a_sound_chain_accuses_nobody(volatility, hours, skew, half_spread, step):
    """Priced by one formula and quoted around it, no two contracts contradict each other."""
    years, spot = hours * 3600.0 / SECONDS_PER_YEAR, 400.0
    strikes = [spot + step * number for number in range(-8, 9)] * 2
    is_call = np.arange(len(strikes)) < len(strikes) // 2
    prices = np.array(
        [
            spot_price(spot, strike, years, volatility * (1 - skew * (strike / spot - 1)), 0.04, 0.0, bool(call))
            for strike, call in zip(strikes, is_call, strict=True)
        ]
    )
    bid, ask = np.maximum(0.0, prices - half_spread), prices + half_spread
    found = flags_of(
        bid * 1e4, ask * 1e4, np.array(strikes) * 1e4, is_call, spot * math.exp(0.04 * years) * 1e4,
        math.exp(-0.04 * years), np.full(len(strikes), 100.0),
    )  # fmt: skip

    assert {flag for flags in found for flag in flags} <= {"no_bid"}
