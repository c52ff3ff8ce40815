"""Whole imports: order of rows, real layouts, snapshots of chains, bad rows."""

from __future__ import annotations

import datetime as dt
import gzip
from collections import Counter

import numpy as np
import polars as pl
import pytest

from scalpcli.adapters.import_job import ImportPlan, ImportRequest
from scalpcli.adapters.import_layout import Profile, Role, parse_maps
from scalpcli.errors import DataError, UsageError
from scalpcli.model.instrument import TickRule
from scalpcli.model.note import GREEKS, OPEN_INTEREST
from scalpcli.model.row import COLD, COLUMNS, KIND_NAMES, LAST, OPTION_TRADE, RANGE, STOCK_TRADE, VOLUME, VWAP
from scalpcli.model.session import session_of

DAY = dt.date(2026, 7, 17)
OPEN = session_of(DAY).open_ns
SECOND = 1_000_000_000
CALL, PUT = "SPY260717C00740000", "SPY260717P00740000"


def plan(symbol, day, profile, *files, maps=(), **others):
    request = ImportRequest(
        symbol,
        session_of(dt.date.fromisoformat(str(day))),
        [(Role(role), path) for role, path in files],
        Profile(profile),
        parse_maps(maps),
        **others,
    )
    return ImportPlan(request)


def rows_of(made):
    """All rows of an import as one frame, its notes, and the counters."""
    frames, notes = [], []
    for columns, block_notes in made.blocks():
        frames.append(pl.DataFrame(columns))
        notes += block_notes
    return pl.concat(frames), notes, made.source["counters"]


def kinds(rows):
    return {KIND_NAMES[kind]: count for kind, count in rows["kind"].value_counts().iter_rows()}


def write(path, frame):
    frame = pl.DataFrame(frame)
    frame.write_parquet(path)
    return path


def chain(tmp_path, *snapshots):
    """A chain file from (second after the open, symbol -> fields)."""
    base = {"bid": 1.0, "ask": 1.1, "bid_size": 5, "ask_size": 6, "underlying_price": 740.5}
    lines = [
        {"ts": OPEN + at * SECOND, "symbol": symbol, **base, **fields}
        for at, contracts in snapshots
        for symbol, fields in contracts.items()
    ]
    return write(tmp_path / "chain.parquet", lines)


# --- order -----------------------------------------------------------------------------------------


def test_rows_of_one_time_stand_in_the_documented_order(tmp_path):
    """Quotes of the underlying, its prints, quotes of contracts, their prints; within a kind the files' order."""
    quote = {"bid": [1.0], "ask": [1.1], "bid_size": [1], "ask_size": [1]}
    first = write(tmp_path / "a.parquet", {"ts": [OPEN, OPEN], "price": [3.0, 2.0], "size": [1, 1]})
    second = write(tmp_path / "b.parquet", {"ts": [OPEN - 1, OPEN], "price": [1.0, 4.0], "size": [1, 1]})
    quotes = write(tmp_path / "q.parquet", {"ts": [OPEN], **quote})
    option_quotes = write(tmp_path / "oq.parquet", {"ts": [OPEN], "symbol": [CALL], **quote})
    option_trades = write(tmp_path / "ot.parquet", {"ts": [OPEN], "symbol": [CALL], "price": [1.0], "size": [1]})

    rows, _, _ = rows_of(
        plan(
            "SPY",
            DAY,
            "ticks",
            ("option_trades", option_trades),
            ("option_quotes", option_quotes),
            ("trades", first),
            ("trades", second),
            ("quotes", quotes),
        )
    )

    assert [KIND_NAMES[kind] for kind in rows["kind"]] == [
        "stock_trade",
        "stock_quote",
        "stock_trade",
        "stock_trade",
        "stock_trade",
        "option_quote",
        "option_trade",
    ]
    assert rows.filter(pl.col("kind") == STOCK_TRADE)["price_e4"].to_list() == [10_000, 30_000, 20_000, 40_000]


def test_rows_are_ordered_by_receive_time(tmp_path):
    """An event learned late stands where it was learned."""
    late = {"ts": [OPEN, OPEN + 1], "price": [1.0, 2.0], "size": [1, 1], "ts_recv": [OPEN + 9, OPEN + 5]}
    file = write(tmp_path / "t.parquet", late)

    rows, _, _ = rows_of(plan("SPY", DAY, "ticks", ("trades", file)))

    assert rows["ts_recv_ns"].to_list() == [OPEN + 5, OPEN + 9]
    assert rows["ts_event_ns"].to_list() == [OPEN + 1, OPEN]


def test_blocks_have_the_types_of_the_tape(tmp_path):
    """The writer takes the columns as they are."""
    file = write(tmp_path / "t.parquet", {"ts": [OPEN], "price": [1.0], "size": [1]})

    ((columns, notes),) = plan("SPY", DAY, "ticks", ("trades", file)).blocks()

    assert {name: column.dtype for name, column in columns.items()} == COLUMNS
    assert notes == []


# --- real data -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "day", "counts"),
    [
        ("IBM", "2013-10-08", {"stock_trade": 33_381, "stock_quote": 62_875}),
        ("BAC", "2013-10-09", {"stock_trade": 122_832, "stock_quote": 322_440}),
        ("SPY", "2013-10-07", {"stock_trade": 250_601}),
    ],
)
def test_ticks_of_2013_are_taken_whole(shared, symbol, day, counts):
    """Every row of the three days is on the tape, and its conditions are read as bits."""
    folder = shared / "data" / "equity_ticks_2013"
    stem = f"{symbol.lower()}_{day.replace('-', '')}"
    files = [("trades", folder / f"{stem}_trades.parquet"), ("quotes", folder / f"{stem}_quotes.parquet")]
    made = plan(symbol, day, "ticks", *[(role, path) for role, path in files if path.exists()])

    rows, notes, counters = rows_of(made)

    assert kinds(rows) == counts
    assert (notes, counters, made.bad_count) == ([], {}, 0)
    assert set(made.source["conditions"].values()) == {"algoseek"}
    assert rows["ts_recv_ns"].is_sorted()


def test_an_average_price_print_is_no_session_high(shared):
    """SPY's high of 2013-10-07 is the official 168.45, not the 168.90 of an average-price print of a million shares."""
    file = shared / "data" / "equity_ticks_2013" / "spy_20131007_trades.parquet"
    session = session_of(dt.date(2013, 10, 7))

    rows, _, _ = rows_of(plan("SPY", "2013-10-07", "ticks", ("trades", file)))

    regular = rows.filter(pl.col("ts_event_ns").is_between(session.open_ns, session.close_ns))
    ranged = regular.filter(pl.col("flags") & RANGE != 0)
    assert regular["price_e4"].max() == 1_689_000
    assert regular.filter(pl.col("price_e4") == 1_689_000)["size"].max() == 1_002_411
    assert ranged["price_e4"].max() == 1_684_500


def test_the_files_order_within_a_millisecond_is_kept(shared):
    """Many prints of 2013 share a time; the reference values depend on their order."""
    file = shared / "data" / "equity_ticks_2013" / "spy_20131007_trades.parquet"

    rows, _, _ = rows_of(plan("SPY", "2013-10-07", "ticks", ("trades", file)))

    recorded = pl.read_parquet(file)
    assert recorded["ts"].n_unique() < recorded.height / 2
    assert np.array_equal(rows["price_e4"].to_numpy(), np.rint(recorded["price"].to_numpy() * 10_000))
    assert np.array_equal(rows["size"].to_numpy(), recorded["size"].to_numpy())


def test_a_day_of_bars_with_its_chain(shared):
    """GOOG's half day: 876 contracts, open interest before the open, a grid of 0.05 and 0.10, bars at their end."""
    folder = shared / "data" / "goog_20151224_0dte"
    made = plan(
        "GOOG",
        "2015-12-24",
        "bars",
        ("trades", folder / "underlying_trades_1m.parquet"),
        ("quotes", folder / "underlying_quotes_1m.parquet"),
        ("option_trades", folder / "option_trades_1m.parquet"),
        ("option_quotes", folder / "option_quotes_1m.parquet"),
        ("open_interest", folder / "option_open_interest.parquet"),
    )

    rows, notes, counters = rows_of(made)

    assert kinds(rows) == {"stock_trade": 227, "stock_quote": 260, "option_trade": 850, "option_quote": 105_085}
    assert (notes, counters) == ([], {})
    assert len(made.instruments) == 876
    assert {contract.tick_rule for contract in made.instruments} == {TickRule.NICKEL}
    assert {contract.open_interest_date for contract in made.instruments} == {dt.date(2015, 12, 24)}
    told = pl.read_parquet(folder / "option_open_interest.parquet")
    assert {contract.symbol: contract.open_interest for contract in made.instruments} == dict(
        told.select("symbol", "open_interest").iter_rows()
    )
    session = session_of(dt.date(2015, 12, 24))
    regular = rows.filter(pl.col("ts_event_ns").is_between(session.open_ns, session.close_ns))
    bars = regular.filter(pl.col("kind") == STOCK_TRADE)
    assert bars["ts_recv_ns"].min() == session.open_ns + 60 * SECOND
    assert bars["ts_recv_ns"].max() == session.close_ns


@pytest.mark.parametrize("day", ["2021-01-06", "2021-01-08"])
def test_an_index_trades_under_its_weekly_root(shared, day):
    """SPXW contracts belong to SPX; a tape of options alone has no feed of the underlying."""
    folder, stem = shared / "data" / "spxw_2021_0dte", day.replace("-", "")
    quotes, trades = folder / f"option_quotes_1m_{stem}.parquet", folder / f"option_trades_1m_{stem}.parquet"
    made = plan("SPX", day, "bars", ("option_quotes", quotes), ("option_trades", trades))

    rows, _, _ = rows_of(made)

    assert kinds(rows) == {
        "option_quote": pl.read_parquet(quotes).height,
        "option_trade": pl.read_parquet(trades).height,
    }
    assert made.feeds == {"options": "imported bars"}
    assert len(made.instruments) == 16


def test_a_chain_with_the_underlyings_quote(shared):
    """A snapshot that names bid and ask of the underlying makes a quote row, not a bare price."""
    file = shared / "data" / "spxw_chain_snapshots" / "spxw_20190626_1545.parquet"

    rows, notes, counters = rows_of(plan("SPX", "2019-06-26", "chain", ("chain", file)))

    assert kinds(rows) == {"stock_quote": 1, "option_quote": 10_384}
    assert rows.row(0, named=True)["price_e4"] == 29_178_000
    assert (notes, counters) == ([], {"volume_before_first_snapshot": 677_449})


def test_eleven_days_of_snapshots_give_the_one_that_is_asked(shared):
    """Prices, quotes, rises of volume and greeks of one day of a file of eleven; the first snapshot is no rise."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"
    made = plan("SPY", "2026-07-31", "chain", ("chain", file))

    rows, notes, counters = rows_of(made)

    assert kinds(rows) == {"price_only": 77, "option_quote": 11_458, "option_trade": 5_812, "cold": 77}
    assert counters == {
        "other_day": 91_466,
        "volume_before_first_snapshot": 3_490,
        "volume_falls": 2,
        "volume_rises": 5_812,
    }
    assert Counter(kind for kind, _ in notes) == {GREEKS: 77}
    assert len(made.instruments) == 168
    assert all(contract.open_interest is not None for contract in made.instruments)
    assert rows.filter(pl.col("kind") == OPTION_TRADE)["flags"].unique().to_list() == [VOLUME]


def test_greeks_are_those_of_the_file(shared):
    """Recorded greeks stand in the note of their snapshot; a volatility of 0 is none."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"
    recorded = pl.read_parquet(file).filter(pl.col("ts") == 1_784_295_251_000_000_000)

    _, notes, _ = rows_of(plan("SPY", "2026-07-17", "chain", ("chain", file)))

    contracts = notes[0][1]["contracts"]
    assert contracts.keys() == set(recorded["symbol"])
    for symbol, delta, iv in recorded.select("symbol", "delta", "iv").iter_rows():
        assert contracts[symbol]["delta"] == delta
        assert contracts[symbol].get("iv", 0.0) == iv


def test_a_receive_column_moves_the_snapshots(shared):
    """`ts_fetched` is when the recorder learned of a delayed book; the event time stays the book's."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"

    made = plan("SPY", "2026-07-17", "chain", ("chain", file), maps=["ts_recv=ts_fetched"])
    rows, _, _ = rows_of(made)

    lag_s = (rows["ts_recv_ns"] - rows["ts_event_ns"]) / SECOND
    assert 900 < lag_s.min() <= lag_s.max() < 1_200
    assert made.source["receive_time"] == "column ts_fetched"


def test_letters_of_one_exchange_each(shared):
    """TAQ of 2018: several letters a print, quotes that are no NBBO and say so, round lots made shares."""
    folder = shared / "data" / "taq_sample_2018"
    quotes = folder / "xxx_20180102_quotes_by_exchange.parquet"
    made = plan(
        "XXX",
        "2018-01-02",
        "ticks",
        ("trades", folder / "xxx_20180102_trades.parquet"),
        ("quotes", quotes),
        quote_lot=100,
    )

    rows, _, counters = rows_of(made)

    assert kinds(rows) == {"stock_trade": 39_470, "stock_quote": 66_695}
    assert made.source["conditions"] == {"xxx_20180102_trades.parquet": "sip"}
    assert made.feeds == {"stock": "imported ticks, quotes of single exchanges (not NBBO)"}
    assert counters == {}
    first = rows.filter(pl.col("kind") == STOCK_TRADE).row(0, named=True)
    assert made.codes.conditions[first["conditions"]] == "FTI"
    assert first["flags"] & (LAST | RANGE | VOLUME) == VOLUME
    assert rows["ask_size"].max() == 100 * pl.read_parquet(quotes)["ask_size"].max()


def test_prices_finer_than_the_tape_are_counted(shared):
    """KZIA quotes five decimals; they are rounded, and the manifest says how many."""
    file = shared / "data" / "halting_smallcap_nbbo_100ms" / "kzia_20251119_nbbo.parquet"

    rows, _, counters = rows_of(plan("KZIA", "2025-11-19", "ticks", ("quotes", file)))

    assert kinds(rows) == {"stock_quote": 36_021}
    assert counters == {"prices_rounded": 11_226}
    assert rows.row(0, named=True)["ask_e4"] == 84_500


def test_prints_that_carry_their_quote_give_both(shared):
    """One file of AAPL's open: prints at their time, quotes at theirs, numbers of ThetaData, sequence as id."""
    file = shared / "data" / "aapl_20240102_open_ticks" / "trades_with_nbbo.parquet"
    made = plan("AAPL", "2024-01-02", "ticks", ("trades", file), ("quotes", file), quote_lot=100)

    rows, _, counters = rows_of(made)

    assert kinds(rows) == {"stock_trade": 8_192, "stock_quote": 8_192}
    assert made.source["conditions"] == {"trades_with_nbbo.parquet": "thetadata"}
    assert counters == {}
    trades = rows.filter(pl.col("kind") == STOCK_TRADE)
    assert trades["trade_id"].to_list() == pl.read_parquet(file)["sequence"].to_list()
    assert trades.filter(pl.col("flags") & LAST != 0).height == 889 + 807 + 1


# --- chains ----------------------------------------------------------------------------------------


def test_volume_rises_become_rows_of_the_later_snapshot(tmp_path):
    """Between snapshots only; a fall makes no row, and the next rise is measured from it."""
    volumes = [3, 10, 4, 4, 9]
    file = chain(tmp_path, *((60 * n, {CALL: {"volume": v, "last": 1.05}}) for n, v in enumerate(volumes)))

    rows, _, counters = rows_of(plan("SPY", DAY, "chain", ("chain", file)))

    rises = rows.filter(pl.col("kind") == OPTION_TRADE)
    assert rises.select("ts_recv_ns", "size", "price_e4", "flags").rows() == [
        (OPEN + 60 * SECOND, 7, 10_500, VOLUME),
        (OPEN + 240 * SECOND, 5, 10_500, VOLUME),
    ]
    assert counters == {"volume_before_first_snapshot": 3, "volume_falls": 1, "volume_rises": 2}


@pytest.mark.parametrize(
    ("fields", "price_e4"),
    [
        ({"last": 1.05}, 10_500),
        ({"last": 0.0}, 10_500),
        ({"last": None, "bid": 0.0, "bid_size": 0}, 11_000),
    ],
)
def test_a_rise_without_a_last_price_stands_at_the_quote(tmp_path, fields, price_e4):
    """Its price moves nothing, yet a trade row needs one."""
    volumes = [(0, {CALL: {"volume": 0, **fields}}), (60, {CALL: {"volume": 5, **fields}})]
    file = chain(tmp_path, *volumes)

    rows, _, _ = rows_of(plan("SPY", DAY, "chain", ("chain", file)))

    assert rows.filter(pl.col("kind") == OPTION_TRADE)["price_e4"].to_list() == [price_e4]


def test_open_interest_that_moves_is_a_cold_row(tmp_path):
    """The first value stands in the instruments, a change where it was told."""
    file = chain(
        tmp_path,
        (0, {CALL: {"open_interest": 10}, PUT: {"open_interest": 7}}),
        (60, {CALL: {"open_interest": 10}, PUT: {"open_interest": 8}}),
    )
    made = plan("SPY", DAY, "chain", ("chain", file))

    rows, notes, _ = rows_of(made)

    assert [contract.open_interest for contract in made.instruments] == [10, 7]
    assert notes == [(OPEN_INTEREST, {"date": "2026-07-17", "contracts": {PUT: 8}})]
    assert rows.filter(pl.col("kind") == COLD)["ts_recv_ns"].to_list() == [OPEN + 60 * SECOND]


def test_open_interest_told_after_the_open_is_a_cold_row(tmp_path):
    """Only what was told at or before the open stands in the instruments; the latest of several days is taken."""
    quotes = {"ts": [OPEN], "symbol": [CALL], "bid": [1.0], "ask": [1.1], "bid_size": [1], "ask_size": [1]}
    day_ns = 86_400 * SECOND
    told = {"ts": [OPEN - day_ns, OPEN - 1, OPEN + 1], "symbol": [CALL] * 3, "open_interest": [5, 6, 7]}
    made = plan(
        "SPY",
        DAY,
        "ticks",
        ("option_quotes", write(tmp_path / "q.parquet", quotes)),
        ("open_interest", write(tmp_path / "oi.parquet", told)),
    )

    rows, notes, _ = rows_of(made)

    assert [contract.open_interest for contract in made.instruments] == [6]
    assert notes == [(OPEN_INTEREST, {"date": "2026-07-17", "contracts": {CALL: 7}})]
    assert rows["kind"].to_list()[-1] == COLD


@pytest.mark.parametrize("block_rows", [1, 700, 5_000])
def test_blocks_of_any_size_give_the_same_rows(shared, block_rows):
    """Snapshots remember across blocks: an import in many small stretches is the same tape."""
    file = shared / "data" / "spy_2026_0dte_chains_5m" / "option_chain_5m.parquet"
    whole = plan("SPY", "2026-07-23", "chain", ("chain", file))
    cut = plan("SPY", "2026-07-23", "chain", ("chain", file), block_rows=block_rows)

    rows, notes, counters = rows_of(whole)
    cut_rows, cut_notes, cut_counters = rows_of(cut)

    assert cut_rows.equals(rows)
    assert cut_notes == notes
    assert cut_counters == counters
    assert rows.height > 1_000


# --- what is left out ------------------------------------------------------------------------------


def test_bad_rows_are_told_with_file_and_row(tmp_path):
    """The others are imported; the first few are shown as the file writes them, and all are counted."""
    file = tmp_path / "t.csv"
    lines = [f"{OPEN + n},{price},1" for n, price in enumerate(["1.0", "-2.5", "nan", "2.0", "0", "x"])]
    file.write_text("\n".join(["ts,price,size", *lines]) + "\n", encoding="utf-8")
    made = plan("SPY", DAY, "ticks", ("trades", file))

    rows, _, counters = rows_of(made)

    assert rows["price_e4"].to_list() == [10_000, 20_000]
    assert counters == {"price_negative": 1, "price_not_finite": 1, "price_unreadable": 1, "price_zero": 1}
    assert made.bad_count == 4
    assert [str(bad) for bad in made.bad_rows[:2]] == [
        f"t.csv row 2: the price is negative (ts={OPEN + 1}, price=-2.5, size=1)",
        f"t.csv row 3: the price is not a number (ts={OPEN + 2}, price=nan, size=1)",
    ]


def test_strict_fails_on_the_first_bad_row(tmp_path):
    """Exit 4 with file and row."""
    file = tmp_path / "t.csv"
    file.write_text(f"ts,price,size\n{OPEN},1,1\n{OPEN},0,1\n{OPEN},-1,1\n", encoding="utf-8")

    with pytest.raises(DataError) as caught:
        plan("SPY", DAY, "ticks", ("trades", file), strict=True)

    assert caught.value.render() == (
        f"error: 2 bad rows, the first: t.csv row 2: the price is zero (ts={OPEN}, price=0, size=1)\n"
        "  in `t.csv`, row 2\n\n"
        "hint: mend the file, or leave `--strict` out to import the others and count these"
    )


def test_rows_of_other_days_and_symbols_are_no_bad_rows(tmp_path):
    """A file may hold more than is asked; strict does not mind."""
    table = {
        "ts": [OPEN, OPEN - 86_400 * SECOND, OPEN],
        "symbol": ["SPY", "SPY", "QQQ"],
        "price": [1.0, -1.0, -1.0],
        "size": [1, 1, 1],
    }
    made = plan("SPY", DAY, "ticks", ("trades", write(tmp_path / "t.parquet", table)), strict=True)

    rows, _, counters = rows_of(made)

    assert rows.height == 1
    assert counters == {"other_day": 1, "other_symbol": 1}


def test_refused_contracts_are_counted_by_reason(tmp_path):
    """An adjusted deliverable, another root and a past expiry are bad rows, each with its own reason."""
    symbols = [CALL, "SPY1260717C00740000", "QQQ260717C00740000", "SPY260716C00740000", "SPY"]
    file = chain(tmp_path, *((n, {symbol: {}}) for n, symbol in enumerate(symbols)))
    made = plan("SPY", DAY, "chain", ("chain", file))

    rows, _, counters = rows_of(made)

    assert kinds(rows) == {"price_only": 1, "option_quote": 1}
    assert counters == {
        "adjusted_deliverable": 1,
        "contract_expired": 1,
        "symbol_other_root": 1,
        "symbol_unreadable": 1,
    }


def test_a_wrong_grid_shows_in_the_counters(tmp_path):
    """Prices off the tick rule are kept and counted: many of them say that the rule is not the class's."""
    file = chain(tmp_path, (0, {CALL: {"bid": 1.01, "ask": 1.05}}))

    _, _, counters = rows_of(plan("SPY", DAY, "chain", ("chain", file), tick_rule=TickRule.NICKEL))

    assert counters == {"option_prices_off_tick_grid": 1}


def test_a_strike_range_needs_a_price(tmp_path):
    """Without the underlying there is nothing to measure from."""
    quotes = {"ts": [OPEN], "symbol": [CALL], "bid": [1.0], "ask": [1.1], "bid_size": [1], "ask_size": [1]}
    file = write(tmp_path / "q.parquet", quotes)

    with pytest.raises(UsageError, match="needs a price of the underlying"):
        plan("SPY", DAY, "ticks", ("option_quotes", file), strike_range_pct=5.0)


def test_contracts_can_be_limited_on_real_data(shared):
    """Expiries within a day and strikes within three percent of GOOG's first price of the session."""
    folder = shared / "data" / "goog_20151224_0dte"
    made = plan(
        "GOOG",
        "2015-12-24",
        "bars",
        ("trades", folder / "underlying_trades_1m.parquet"),
        ("option_quotes", folder / "option_quotes_1m.parquet"),
        expiries_max_days=1,
        strike_range_pct=3.0,
    )

    rows, _, counters = rows_of(made)

    strikes = [contract.strike_e4 / 10_000 for contract in made.instruments]
    assert {contract.expiry for contract in made.instruments} == {dt.date(2015, 12, 24)}
    assert 725 < min(strikes) < max(strikes) < 775
    assert kinds(rows)["option_quote"] + counters["contract_not_asked"] == 105_085


@pytest.mark.parametrize("files", [(), (("open_interest", "oi.parquet"),)])
def test_an_import_of_nothing_is_refused(tmp_path, files):
    """Open interest alone makes no rows (exit 2)."""
    with pytest.raises(UsageError, match="no file with rows was named"):
        plan("SPY", DAY, "ticks", *[(role, tmp_path / name) for role, name in files])


def test_a_file_without_the_day_says_which_it_has(shared):
    """The days in the file stand in the hint (exit 4)."""
    file = shared / "data" / "equity_ticks_2013" / "spy_20131007_trades.parquet"

    with pytest.raises(DataError) as caught:
        plan("SPY", "2013-10-08", "ticks", ("trades", file))

    assert caught.value.render() == (
        "error: no row of SPY on 2013-10-08 is left to import (other_day 250601)\n"
        "  in `spy_20131007_trades.parquet`\n\n"
        "hint: days in it: 2013-10-07; check `--date`, `--symbol` and the unit of time, like `--map ts=COLUMN:ms`"
    )


@pytest.mark.parametrize(
    ("maps", "found"),
    [
        (["quotes.bid=b"], "`--map quotes.bid` has no file"),
        (["ts_recv=seen"], "`--map ts_recv=seen` names a column that no file has"),
    ],
)
def test_a_map_that_nothing_heeds_is_refused(tmp_path, maps, found):
    """What the user named is read so, or the import fails (exit 2)."""
    file = write(tmp_path / "t.parquet", {"ts": [OPEN], "price": [1.0], "size": [1]})

    with pytest.raises(UsageError) as caught:
        plan("SPY", DAY, "ticks", ("trades", file), maps=maps)

    assert caught.value.found == found


def test_damage_inside_a_file_is_one_clear_error(tmp_path):
    """A file that opens and cannot be decoded is told with its path (exit 4)."""
    count = 5_000
    table = {
        "ts": [OPEN + n * SECOND for n in range(count)],
        "price": [1.0 + n for n in range(count)],
        "size": [1] * count,
    }
    whole = write(tmp_path / "t.parquet", table)
    data = bytearray(whole.read_bytes())
    data[len(data) - 3_400 : len(data) - 3_300] = bytes(100)
    whole.write_bytes(data)

    with pytest.raises(DataError) as caught:
        rows_of(plan("SPY", DAY, "ticks", ("trades", whole)))

    assert caught.value.found.startswith("the file cannot be read: ")
    assert caught.value.place == f"`{whole}`"


def test_a_file_that_shrinks_meanwhile_makes_no_tape(tmp_path):
    """Rows that were counted and can no longer be read end the import (exit 4)."""
    file = tmp_path / "t.csv"
    file.write_text(f"ts,price,size\n{OPEN},1,1\n{OPEN},2,1\n", encoding="utf-8")
    made = plan("SPY", DAY, "ticks", ("trades", file))

    file.write_text(f"ts,price,size\n{OPEN},1,1\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        rows_of(made)

    assert caught.value.found == "1 rows could be read where 2 were counted before"


@pytest.mark.parametrize(("symbol", "day"), [("IBM", "2013-10-08"), ("BAC", "2013-10-09"), ("SPY", "2013-10-07")])
def test_conditions_let_prints_move_what_the_reference_says(shared, symbol, day):
    """Price, VWAP, high and low of three real days, at every fiftieth reference instant."""
    stem = f"{symbol.lower()}_{day.replace('-', '')}"
    session = session_of(dt.date.fromisoformat(day))
    reference = pl.read_parquet(shared / "reference" / f"trackers_{stem}.parquet").gather_every(50, offset=40)
    file = shared / "data" / "equity_ticks_2013" / f"{stem}_trades.parquet"

    rows, _, _ = rows_of(plan(symbol, day, "ticks", ("trades", file)))

    regular = rows.filter(pl.col("ts_event_ns").is_between(session.open_ns, session.close_ns))
    assert reference.height > 40
    for want in reference.iter_rows(named=True):
        seen = regular.filter(pl.col("ts_recv_ns") <= want["ts_ns"])
        last, ranged, weighted = (seen.filter(pl.col("flags") & right != 0) for right in (LAST, RANGE, VWAP))
        money = (weighted["price_e4"] * weighted["size"].cast(pl.Int64)).sum()
        assert last["price_e4"][-1] == round(want["price"] * 10_000)
        assert (ranged["price_e4"].max(), ranged["price_e4"].min()) == (
            round(want["session_high"] * 10_000),
            round(want["session_low"] * 10_000),
        )
        assert money / weighted["size"].cast(pl.Int64).sum() / 10_000 == pytest.approx(want["vwap"], rel=1e-9)


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.csv.gz"])
def test_a_file_without_rows_is_told(tmp_path, name):
    """An empty table makes no empty tape (exit 4)."""
    file = tmp_path / name
    if name.endswith("parquet"):
        pl.DataFrame(schema={"ts": pl.Int64, "price": pl.Float64, "size": pl.Int64}).write_parquet(file)
    else:
        content = b"ts,price,size\n"
        file.write_bytes(gzip.compress(content) if name.endswith("gz") else content)

    with pytest.raises(DataError) as caught:
        plan("SPY", DAY, "ticks", ("trades", file))

    assert caught.value.found == "no row of SPY on 2026-07-17 is left to import (the files are empty)"
    assert caught.value.hint.startswith("days in it: no readable time;")
