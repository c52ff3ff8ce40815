"""Scans of recorded chains, held against a second reckoning: forward by hand, Black-Scholes with the error function.

The data lies beside the project; without it these tests are skipped.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
import statistics

import polars as pl
import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.model.session import at_ns, session_of
from scalpcli.runtime.tape import Tape
from scalpcli.scan.rank import Query
from tests.scan_samples import OPEN, scan_file, scan_tape, shared

EVERYTHING = Query(show_all=True, top=100_000)
ANY_QUOTE = dataclasses.replace(
    OPEN,
    gates=dataclasses.replace(OPEN.gates, option_quote_age_ms_max=7_200_000),
    selection=dataclasses.replace(OPEN.selection, greeks_source="computed", max_dte=0),
)
YEAR_S = 365.0 * 86_400.0
RATE = 0.04


def cdf(x):
    return 0.5 * (1.0 + math.erf(x / math.sqrt(2.0)))


def black_scholes(spot, row, years):
    """Price and delta from the textbook, in dollars."""
    strike, volatility = row["strike"], row["iv"]
    d1 = (math.log(spot / strike) + (RATE + volatility**2 / 2.0) * years) / (volatility * math.sqrt(years))
    d2 = d1 - volatility * math.sqrt(years)
    if row["right"] == "call":
        return spot * cdf(d1) - strike * math.exp(-RATE * years) * cdf(d2), cdf(d1)
    return strike * math.exp(-RATE * years) * cdf(-d2) - spot * cdf(-d1), cdf(d1) - 1.0


def forward_by_hand(rows, spot, years):
    """Median of `K + e^(rT)(C - P)` over the three strikes nearest the money that have both quotes."""
    mids = {
        (row["strike"], row["right"]): (row["bid"] + row["ask"]) / 2.0
        for row in rows
        if row["bid"] and row["ask"] and row["ask"] >= row["bid"]
    }
    both = [strike for strike, right in mids if right == "call" and (strike, "put") in mids]
    near = sorted(both, key=lambda strike: (abs(strike - spot), strike))[:3]
    growth = math.exp(RATE * years)
    if len(near) < 3:
        # A bad quote could not be outvoted: the forward is the spot's (definitions, section 8).
        return spot * growth
    return statistics.median(strike + growth * (mids[strike, "call"] - mids[strike, "put"]) for strike in near)


def check_by_hand(found, minutes_left):
    """Hold the forward and every contract's volatility and delta against the second reckoning; how many were checked."""
    expiry = found.head["expiries"][0]
    rows = [row for row in found.rows if row["expiry"] == expiry["expiry"]]
    years = max(60.0, minutes_left * 60.0) / YEAR_S
    forward = forward_by_hand(rows, found.head["spot"], years)
    assert expiry["minutes_left"] == pytest.approx(minutes_left, abs=1e-3)
    assert expiry["forward"] == pytest.approx(forward, abs=1e-6)
    known = [row for row in rows if row["iv"] is not None]
    for row in known:
        price, delta = black_scholes(forward * math.exp(-RATE * years), row, years)
        assert price == pytest.approx(row["mid"], abs=2e-6)
        assert row["computed_delta"] == pytest.approx(delta, abs=1e-7)
    for row in rows:
        if not row["bid"] or not row["ask"] or row["bid"] > row["ask"]:
            assert row["iv"] is row["computed_delta"] is row["mid"] is None
    return len(known)


@pytest.fixture(scope="module")
def goog(tmp_path_factory):
    """GOOG on the half day 2015-12-24, from one-minute bars."""
    folder = tmp_path_factory.mktemp("goog")
    files = {
        "--option-quotes": "option_quotes_1m",
        "--option-trades": "option_trades_1m",
        "--quotes": "underlying_quotes_1m",
        "--trades": "underlying_trades_1m",
        "--open-interest": "option_open_interest",
    }
    words = [
        str(part) for flag, name in files.items() for part in (flag, shared("goog_20151224_0dte", f"{name}.parquet"))
    ]
    head = ["tape", "import", str(folder), "--symbol", "GOOG", "--date", "2015-12-24", "--profile", "bars"]
    done = CliRunner().invoke(app, [*head, *words, "--expiries-max-days", "10"])
    assert done.exit_code == 0, done.output
    return Tape.open(folder).path


@pytest.mark.parametrize(("at", "minutes_left"), [("10:00", 180.0), ("11:30", 90.0), ("12:40", 20.0)])
def test_goog_on_a_half_day(goog, at, minutes_left):
    """The contracts of the day end at 13:00; volatilities and deltas are the textbook's at that time."""
    found = scan_tape(goog, at, ANY_QUOTE, EVERYTHING)

    assert check_by_hand(found, minutes_left) > 25
    near = [row["iv"] for row in found.rows if abs(row["strike"] - found.head["spot"]) < 3 and row["iv"]]
    # With the close of a whole day these would be below 20 percent.
    assert 0.20 < statistics.median(near) < 0.45
    # Every option of GOOG stood on nickels and dimes that year; days before the fee table have no fees.
    assert all(float(row["spread_ticks"]).is_integer() for row in found.rows if row["spread_ticks"] is not None)
    assert {row["fees_usd"] for row in found.rows} == {None}


def spy_chain():
    return shared("spy_2026_0dte_chains_5m", "option_chain_5m.parquet")


@pytest.mark.parametrize(
    ("at", "minutes_left"), [("10:00:20", 360 - 20 / 60), ("12:30:40", 209 + 20 / 60), ("15:30", 30.0)]
)
def test_spy_in_july(at, minutes_left):
    """Three instants of 2026-07-20 beside the feed's own greeks."""
    found = scan_file(spy_chain(), at, ANY_QUOTE, EVERYTHING, date=dt.date(2026, 7, 20))

    assert check_by_hand(found, minutes_left) > 60
    told = [row for row in found.rows if row["feed_delta"] is not None and row["computed_delta"] is not None]
    inside = [abs(row["delta_difference"]) for row in told if 0.05 <= abs(row["feed_delta"]) <= 0.95]
    # Cboe runs on another clock; delta hardly feels it, since the volatility is backed out with the same clock.
    assert statistics.median(inside) < 0.01
    assert statistics.quantiles(inside, n=20)[-1] < 0.05
    # Its clock counts half an hour more at every time of day: with that its volatilities are ours.
    longer = math.sqrt((minutes_left + 30.0) / minutes_left)
    ratios = [row["feed_iv"] * longer / row["iv"] for row in told if row["feed_iv"] and 0.2 < abs(row["delta"]) < 0.8]
    assert statistics.median(ratios) == pytest.approx(1.0, abs=0.02)


def test_spy_volumes_and_interest_are_the_files():
    """What the file says of a contract is what is shown, the volume before the first snapshot too."""
    day = session_of(dt.date(2026, 7, 20))
    found = scan_file(spy_chain(), "12:30:40", ANY_QUOTE, EVERYTHING, date=day.date)
    last = (
        pl.read_parquet(spy_chain())
        .filter(pl.col("ts").is_between(day.open_ns - 3600 * 10**9, at_ns(day, "12:30:40")))
        .group_by("symbol")
        .agg(pl.all().sort_by("ts").last())
    )
    told = {row["symbol"]: row for row in last.iter_rows(named=True)}

    assert len(found.rows) > 150
    for row in found.rows:
        if row["contract"] not in told:
            # The file names it later that day.
            assert row["quote_age_s"] is None
            continue
        assert row["bid"] == (told[row["contract"]]["bid"] or None)
        assert row["open_interest"] == told[row["contract"]]["open_interest"]
        assert row["volume"] == told[row["contract"]]["volume"]


def test_spxw_a_quarter_hour_before_the_close():
    """The whole chain of 2019-06-26 at 15:45: fifteen minutes left, priced on the quote of the index."""
    found = scan_file(shared("spxw_chain_snapshots", "spxw_20190626_1545.parquet"), params=ANY_QUOTE, query=EVERYTHING)

    assert found.head["spot"] == pytest.approx(2918.11)
    assert check_by_hand(found, 15.0) > 40
    assert found.head["symbol"] == "SPX"
