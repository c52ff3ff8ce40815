"""The recomputation other tests trust gives the reference values, and its trackers hold by hand."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from scalpcli.model import row
from scalpcli.model.params import ScalpConfig
from tests.oracle import algoseek, oracle, trackers
from tests.oracle.handmade import ALL, CLOSE, OPEN, S, seconds, tape

DAYS = {"ibm": dt.date(2013, 10, 8), "bac": dt.date(2013, 10, 9), "spy": dt.date(2013, 10, 7)}


def run(columns: dict[str, Any], config: ScalpConfig | None = None, **more: Any) -> oracle.Recomputed:
    """The recomputation over the short session of these tests."""
    return oracle.recompute(columns, OPEN, CLOSE, config or ScalpConfig(eval_interval_ms=1000), **more)


def value_at(result: oracle.Recomputed, name: str, second: float) -> float | None:
    """One tracker at one instant."""
    return result.trackers.filter(pl.col("ts_ns") == OPEN + round(second * S))[name].item()


def recorded_day(shared: Path, symbol: str) -> tuple[dict[str, Any], tuple[int, int], str]:
    """Columns, session and file name of a recorded day."""
    day = DAYS[symbol]
    name = f"{symbol}_{day:%Y%m%d}"
    folder = shared / "data" / "equity_ticks_2013"
    quotes = folder / f"{name}_quotes.parquet"
    columns = algoseek.read_ticks(folder / f"{name}_trades.parquet", quotes if quotes.exists() else None)
    return columns, algoseek.session_times(day), name


MODES = {"confirmed": (2.0, 1.2), "unconfirmed": (0.0, 0.0)}
RECORDED = [
    pytest.param(symbol, mode, marks=[] if symbol == "ibm" else [pytest.mark.full]) for symbol in DAYS for mode in MODES
]


@pytest.mark.parametrize(("symbol", "mode"), RECORDED)
def test_recorded_day_gives_the_reference_values(shared: Path, symbol: str, mode: str) -> None:
    """Trackers agree to 1e-9 and are unknown where the reference is; every trigger stands at its instant."""
    columns, session, name = recorded_day(shared, symbol)
    spike, calm = MODES[mode]
    config = ScalpConfig(momentum_threshold_pct=0.1, volume_spike_ratio=spike, vwap_volume_ratio=calm)
    want = pl.read_parquet(shared / "reference" / f"trackers_{name}.parquet")
    expected = pl.read_csv(shared / "reference" / f"triggers_{name}_{mode}.csv", infer_schema_length=0)

    result = oracle.recompute(columns, *session, config)

    got = result.trackers.filter(pl.col("ts_ns").is_in(want["ts_ns"].implode()))
    assert got.columns == want.columns
    for column in want.columns:
        assert got[column].is_null().equals(want[column].is_null())
        np.testing.assert_allclose(got[column].to_numpy(), want[column].to_numpy(), rtol=1e-9, atol=1e-9)
    names = [(str(rise.ts_ns), rise.trigger, rise.side) for rise in result.triggers]
    assert names == list(expected.select("ts_ns", "trigger", "side").iter_rows())
    assert [rise.value for rise in result.triggers] == pytest.approx([float(x) for x in expected["value"]], abs=1e-6)
    kinds = [rise.reference for rise in result.triggers if rise.trigger == "breakout"]
    assert kinds == expected.filter(pl.col("trigger") == "breakout")["reference"].to_list()


@pytest.mark.full
def test_session_high_leaves_out_the_average_price_print(shared: Path) -> None:
    """SPY's official high of 2013-10-07 is 168.45; 168.90 was an average price of 1,002,411 shares."""
    columns, session, _ = recorded_day(shared, "spy")

    result = oracle.recompute(columns, *session, ScalpConfig())

    assert result.trackers["session_high"].max() == 168.45


@pytest.mark.parametrize(
    ("conditions", "allowed"),
    [
        ("1", ALL),
        ("20000020", ALL),
        ("80000001", row.VWAP | row.VOLUME),
        ("20002008", row.VOLUME),
        ("204000", row.RANGE | row.VOLUME),
        ("100001", row.VOLUME),
        ("1000000", 0),
        ("40000000", 0),
        ("80000200", row.VOLUME),
    ],
)
def test_conditions_of_2013_are_anded(conditions: str, allowed: int) -> None:
    """Every bit of a print may only take away; an unknown one takes everything."""
    assert algoseek.eligibility(conditions) == allowed


def test_price_exactly_as_old_as_the_window_is_known() -> None:
    """`Older than w` excludes the bound, at both ends of the window."""
    result = run(tape({"at": 10}, {"at": 15, "price_e4": 1_010_000}))

    assert [value_at(result, "velocity_5_pct", t) for t in (14, 15, 20, 21)] == [None, 1.0, 0.0, None]


def test_price_before_the_window_may_be_too_old() -> None:
    """The older price has its own age limit, counted back from `t - w`."""
    result = run(tape({"at": 10}, {"at": 18, "price_e4": 1_010_000}))

    assert [value_at(result, "velocity_5_pct", t) for t in (20, 21)] == [1.0, None]


def test_gap_blinds_from_the_row_that_tells_it() -> None:
    """A gap learned afterwards changes no earlier instant, and velocity stays unknown until the window is past it."""
    prints = [{"at": t} for t in range(1, 31)]
    gap = {"kind": row.GAP, "size": row.CHANNEL_STOCK_TRADES, "flags": row.GAP_BEGIN | row.GAP_END}
    columns = algoseek.merge(tape(*prints), tape(gap | {"at": 12.5, "ts_event_ns": OPEN + 9 * S}))

    result = run(columns)

    assert [value_at(result, "velocity_5_pct", t) for t in (12, 13, 17, 18)] == [0.0, None, None, 0.0]


def test_open_gap_blinds_until_its_own_channel_is_back() -> None:
    """An end for the quotes does not open the trades."""
    prints = [{"at": t} for t in range(1, 31)]
    both = row.CHANNEL_STOCK_TRADES | row.CHANNEL_STOCK_QUOTES
    begin = {"kind": row.GAP, "size": both, "flags": row.GAP_BEGIN, "at": 10.0}
    quotes_end = {"kind": row.GAP, "size": row.CHANNEL_STOCK_QUOTES, "flags": row.GAP_END, "at": 11.0}
    trades_end = {"kind": row.GAP, "size": row.CHANNEL_STOCK_TRADES, "flags": row.GAP_END, "at": 18.0}
    columns = algoseek.merge(tape(*prints), tape(begin, quotes_end, trades_end))

    result = run(columns)

    assert [value_at(result, "velocity_5_pct", t) for t in (9, 10, 17, 22, 23)] == [0.0, None, None, None, 0.0]


def test_gap_of_another_channel_blinds_nothing() -> None:
    """Prices from trades do not mind lost quotes, prices from quotes do not mind lost trades."""
    quotes = [{"at": t, "kind": row.STOCK_QUOTE, "ask_e4": 1_000_100, "flags": 0} for t in range(1, 31)]
    prints = [{"at": t} for t in range(1, 31)]
    gap = {"kind": row.GAP, "at": 12, "ts_event_ns": OPEN + 9 * S, "flags": row.GAP_BEGIN | row.GAP_END}
    found = {}

    for source in ("trade", "mid"):
        config = ScalpConfig(eval_interval_ms=1000, price_source=source)
        for name, channel in (("trades", row.CHANNEL_STOCK_TRADES), ("quotes", row.CHANNEL_STOCK_QUOTES)):
            columns = algoseek.merge(tape(*prints), tape(*quotes), tape(gap | {"size": channel}))
            found[source, name] = value_at(run(columns, config), "velocity_5_pct", 13)

    assert found == {
        ("trade", "trades"): None,
        ("trade", "quotes"): 0.0,
        ("mid", "trades"): 0.0,
        ("mid", "quotes"): None,
    }


def test_mid_needs_a_two_sided_uncrossed_unlocked_quote() -> None:
    """Other quotes leave the one before them standing."""
    quote = {"kind": row.STOCK_QUOTE, "flags": 0}
    columns = tape(
        quote | {"at": 1, "price_e4": 999_900, "ask_e4": 1_000_200},
        quote | {"at": 2, "price_e4": 1_100_000, "ask_e4": 1_100_000},
        quote | {"at": 3, "price_e4": 1_200_000, "ask_e4": 1_100_000},
        quote | {"at": 4, "price_e4": 0, "ask_e4": 1_100_000},
        quote | {"at": 5, "price_e4": 1_100_000, "ask_e4": 0},
        quote | {"at": 6, "price_e4": 1_100_000, "ask_e4": 1_100_100, "flags": row.BACKFILLED},
    )

    result = run(columns, ScalpConfig(eval_interval_ms=1000, price_source="mid"))

    assert [value_at(result, "price", t) for t in (1, 2, 3, 4, 5, 6)] == [100.005] * 6


def test_backfilled_print_moves_all_but_the_price() -> None:
    """It arrives late: volume, VWAP and range take it, the last price does not."""
    late = {"at": 3, "price_e4": 1_010_000, "flags": ALL | row.BACKFILLED, "ts_event_ns": OPEN + 1 * S}
    result = run(tape({"at": 2}, late))

    assert [value_at(result, name, 3) for name in ("price", "vwap", "session_high")] == [100.0, 100.5, 101.0]


def test_price_only_row_moves_price_and_range() -> None:
    """It has no size, so VWAP does not see it."""
    result = run(tape({"at": 2}, {"at": 3, "kind": row.PRICE_ONLY, "price_e4": 1_010_000, "size": 0, "flags": 0}))

    assert [value_at(result, name, 3) for name in ("price", "vwap", "session_high")] == [101.0, 100.0, 101.0]


def test_prints_outside_the_session_feed_nothing() -> None:
    """What happened before the open does not count, even when it arrives after it."""
    result = run(tape({"at": 1, "ts_event_ns": OPEN - 1}, {"at": 2, "ts_event_ns": CLOSE + 1}))

    assert result.trackers.tail(1).drop("ts_ns").null_count().row(0) == (1,) * 10


def test_session_includes_both_its_ends() -> None:
    """A print at the open and one at the close are regular, and the close is the last instant."""
    session_s = (CLOSE - OPEN) // S

    result = run(tape({"at": 0}, {"at": session_s, "price_e4": 1_010_000}))

    assert [value_at(result, "price", t) for t in (1, session_s)] == [100.0, 101.0]
    assert result.trackers["ts_ns"][-1] == CLOSE


def test_interval_zero_looks_at_every_price() -> None:
    """One instant per receive time with a last-eligible print or price-only row, after the open."""
    columns = tape(
        {"at": 0}, {"at": 1}, {"at": 1}, {"at": 2, "flags": row.VOLUME}, {"at": 3, "kind": row.PRICE_ONLY, "flags": 0},
        {"at": 4, "kind": row.STOCK_QUOTE}, {"at": 5, "flags": ALL | row.BACKFILLED},
    )  # fmt: skip

    result = run(columns, ScalpConfig(eval_interval_ms=0))

    assert result.trackers["ts_ns"].to_list() == seconds(1, 3).tolist()


def test_session_baseline_is_known_from_its_bound_on() -> None:
    """Two windows and the least age of the session must be over; the open itself counts."""
    volume = trackers.Series(seconds(0, 5, 20, 35), np.array([10, 10, 60, 99]))
    times = seconds(19, 20, 30)

    baseline = trackers.session_baseline(volume, 10, 0, times, OPEN)
    ratio = trackers.volume_ratio(volume, 10, times, baseline)

    np.testing.assert_array_equal(ratio, [np.nan, (60 / 10) / (20 / 10), (0 / 10) / (80 / 20)])


def test_profile_takes_the_median_of_the_same_seconds() -> None:
    """Edges are floored to seconds and clamped at the open; where the median is 0 the ratio is unknown."""
    profile = [[1, 2, 3, 0, 0, 0], [5, 6, 7, 0, 0, 0], [9, 9, 9]]
    volume = trackers.Series(seconds(0.5), np.array([12]))
    times = seconds(1.9, 3.0, 3.9, 6.0)

    baseline = trackers.profile_baseline(profile, 2, times, OPEN)
    ratio = trackers.volume_ratio(volume, 2, times, baseline)

    np.testing.assert_array_equal(baseline, [5 / 2, 13 / 2, 13 / 2, 0.0])
    np.testing.assert_array_equal(ratio, [(12 / 2) / 2.5, 0.0, 0.0, np.nan])


def test_options_confirm_the_right_that_agrees() -> None:
    """Calls are confirmed by call volume, puts by put volume; `both` needs the stock as well."""
    option = {"kind": row.OPTION_TRADE}
    early = [option | {"at": t, "instrument_id": k, "size": 10} for t in range(1, 281) for k in (1, 2)]
    late = [option | {"at": t, "instrument_id": 1, "size": 100} for t in range(281, 311)]
    last = [option | {"at": t, "instrument_id": 2, "size": 100} for t in range(316, 346)]
    quiet = [{"at": t, "size": 10} for t in range(1, 311)]
    prices = {311: 1_010_000, 340: 1_010_000, 345: 990_000}
    move = [{"at": at, "price_e4": price, "size": 10} for at, price in prices.items()]
    columns = algoseek.merge(tape(*early, *late, *last), tape(*quiet, *move))
    found = {}

    for source in ("stock", "options", "both"):
        config = ScalpConfig(eval_interval_ms=1000, volume_source=source, trigger_breakout=False)
        result = run(columns, config, rights={1: "C", 2: "P"}, until_ns=OPEN + 400 * S)
        found[source] = [(rise.ts_ns, rise.side) for rise in result.triggers]

    assert found == {"stock": [], "options": [(OPEN + 311 * S, "call"), (OPEN + 345 * S, "put")], "both": []}


def test_vwap_and_sigma_by_hand() -> None:
    """Weighted mean and population deviation of the prints; one without size weighs nothing."""
    result = run(tape({"at": 0.5, "size": 0}, {"at": 1, "size": 3}, {"at": 2, "size": 1, "price_e4": 1_040_000}))

    assert value_at(result, "vwap", 2) == 101.0
    assert value_at(result, "sigma", 2) == pytest.approx(np.sqrt(3.0), rel=1e-12)
