"""How other formats are read, and which rows are bad."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.adapters.import_layout import Profile, Role, parse_maps
from scalpcli.adapters.import_read import PROBLEMS, Reading, open_source, read_rows, to_e4
from scalpcli.errors import DataError
from scalpcli.units import usd_to_e4

NS = 1_381_239_000_000_000_000
TICKS = Reading(Profile.TICKS)


def read(path, role=Role.TRADES, maps=(), how=TICKS):
    return read_rows(open_source(role, path, parse_maps(maps)), how).collect()


def write(path, header, *lines):
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (str(NS), "auto"),
        (str(NS // 1_000), "us"),
        (str(NS // 1_000_000), "ms"),
        (str(NS // 1_000_000_000), "s"),
        (f"{NS // 1_000_000_000}.0", "s"),
        ("2013-10-08T13:30:00Z", "auto"),
        ("2013-10-08 13:30:00", "auto"),
        ("2013-10-08T09:30:00.000-04:00", "iso"),
        ("2013-10-08 09:30:00-0400", "auto"),
    ],
)
def test_times_are_read_in_every_unit(tmp_path, text, unit):
    """Nanoseconds to seconds, and ISO text, UTC where it names no zone."""
    file = write(tmp_path / "t.csv", "ts,price,size", f"{text},1.5,10")

    rows = read(file, maps=[f"ts=ts:{unit}"])

    assert rows["ts_event_ns"].to_list() == [NS]
    assert rows["problem"].to_list() == [None]


@pytest.mark.parametrize(
    "dtype", [pl.Datetime("ms"), pl.Datetime("ns", "UTC"), pl.Datetime("us", "America/New_York"), pl.Int64]
)
def test_parquet_times_are_read_by_their_type(tmp_path, dtype):
    """A typed time needs no unit; one without a zone is UTC."""
    stamp = dt.datetime(2013, 10, 8, 13, 30, tzinfo=dt.UTC)
    if dtype == pl.Int64:
        column = pl.Series("ts", [NS])
    elif dtype.time_zone is None:
        column = pl.Series("ts", [stamp.replace(tzinfo=None)], dtype)
    else:
        column = pl.Series("ts", [stamp]).cast(dtype)
    pl.DataFrame([column, pl.Series("price", [1.5]), pl.Series("size", [10])]).write_parquet(tmp_path / "t.parquet")

    assert read(tmp_path / "t.parquet")["ts_event_ns"].to_list() == [NS]


def test_the_last_digit_of_a_nanosecond_survives(tmp_path):
    """Times are never read as floats."""
    file = write(tmp_path / "t.csv", "ts,price,size", f"{NS + 1},1,1", "2013-10-08T13:30:00.000000007Z,1,1")

    assert read(file)["ts_event_ns"].to_list() == [NS + 1, NS + 7]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{ts},,10", "price_missing"),
        ("{ts},nan,10", "price_not_finite"),
        ("{ts},inf,10", "price_not_finite"),
        ("{ts},1.2.3,10", "price_unreadable"),
        ("{ts},-1.0,10", "price_negative"),
        ("{ts},0,10", "price_zero"),
        ("{ts},0.00004,10", "price_zero"),
        ("{ts},1e30,10", "price_too_large"),
        ("{ts},1.0,", "size_missing"),
        ("{ts},1.0,ten", "size_unreadable"),
        ("{ts},1.0,nan", "size_not_finite"),
        ("{ts},1.0,-1", "size_negative"),
        ("{ts},1.0,2147483648", "size_too_large"),
        (",1.0,10", "ts_missing"),
        ("noon,1.0,10", "ts_missing"),
        ("{ts},1.0,10", None),
        ("{ts},1.0,0", None),
    ],
)
def test_a_bad_print_has_a_reason(tmp_path, line, problem):
    """Every way a print can be wrong has a name, and the row keeps its number."""
    file = write(tmp_path / "t.csv", "ts,price,size", f"{NS},1,1", line.format(ts=NS))

    rows = read(file)

    assert rows["row"].to_list() == [1, 2]
    assert rows["problem"].to_list() == [None, problem]
    assert problem is None or problem in PROBLEMS


@pytest.mark.parametrize(
    ("line", "problem", "quote"),
    [
        ("{ts},1.0,1.1,5,6", None, (10_000, 5, 11_000, 6)),
        ("{ts},,1.1,,6", None, (0, 0, 11_000, 6)),
        ("{ts},0,1.1,7,6", None, (0, 0, 11_000, 6)),
        ("{ts},0,0,0,0", None, (0, 0, 0, 0)),
        ("{ts},0.00004,1.1,5,6", None, (0, 0, 11_000, 6)),
        ("{ts},1.2,1.1,5,6", None, (12_000, 5, 11_000, 6)),
        ("{ts},1.0,1.1,0,6", None, (10_000, 0, 11_000, 6)),
        ("{ts},nan,1.1,5,6", "price_not_finite", None),
        ("{ts},-1,1.1,5,6", "price_negative", None),
        ("{ts},1.0,1.1,,6", "size_missing", None),
        ("{ts},1.0,1.1,5,-6", "size_negative", None),
    ],
)
def test_a_quote_may_lack_a_side_and_may_be_crossed(tmp_path, line, problem, quote):
    """An absent side is 0 and 0; a crossed quote is kept, the engine refuses it; no number is no quote."""
    file = write(tmp_path / "q.csv", "ts,bid,ask,bid_size,ask_size", line.format(ts=NS))

    rows = read(file, Role.QUOTES)

    assert rows["problem"].to_list() == [problem]
    if quote is not None:
        assert rows.select("bid_e4", "bid_size", "ask_e4", "ask_size").row(0) == quote


def test_a_receive_time_is_taken_from_its_column_else_made_of_the_delay(tmp_path):
    """Both clocks are always there."""
    file = write(tmp_path / "t.csv", "ts,price,size,seen", f"{NS},1,1,{NS + 5}")
    how = Reading(Profile.TICKS, recv_delay_ns=40)

    assert read(file, how=how)["ts_recv_ns"].to_list() == [NS + 40]
    assert read(file, maps=["ts_recv=seen"], how=how)["ts_recv_ns"].to_list() == [NS + 5]


def test_a_row_without_its_receive_time_is_bad(tmp_path):
    """A named column is the truth, also where it is empty."""
    file = write(tmp_path / "t.csv", "ts,price,size,seen", f"{NS},1,1,")

    assert read(file, maps=["ts_recv=seen"])["problem"].to_list() == ["ts_recv_missing"]


def test_a_bar_is_known_at_its_end_and_tells_of_the_time_before(tmp_path):
    """The bar that ends at the open is not of the session: its last moment lies before."""
    file = write(tmp_path / "b.csv", "ts,ts_bar_start,price,size", f"{NS},{NS - 60_000_000_000},1,1")

    rows = read(file, how=Reading(Profile.BARS))

    assert rows.select("ts_event_ns", "ts_recv_ns").row(0) == (NS - 1, NS)


def test_a_bar_stamped_with_its_start_is_bad(tmp_path):
    """A row known before it happened would tell the future."""
    file = write(tmp_path / "b.csv", "ts,ts_bar_start,price,size", f"{NS},{NS},1,1")

    assert read(file, how=Reading(Profile.BARS))["problem"].to_list() == ["bar_end_not_after_start"]


def test_round_lots_become_shares(tmp_path):
    """Quote sizes of some sources count lots of 100."""
    file = write(tmp_path / "q.csv", "ts,bid,ask,bid_size,ask_size", f"{NS},1,2,3,4")

    rows = read(file, Role.QUOTES, how=Reading(Profile.TICKS, quote_lot=100))

    assert rows.select("bid_size", "ask_size").row(0) == (300, 400)


def test_padded_and_prefixed_symbols_are_the_compact_one(tmp_path):
    """OCC pads the root to six letters; some vendors write `O:` before it."""
    symbols = ["SPY   260717C00705000", "O:SPY260717C00705000", "SPY260717C00705000"]
    file = write(tmp_path / "t.csv", "ts,symbol,price,size", *(f"{NS},{symbol},1,1" for symbol in symbols))

    assert set(read(file, Role.OPTION_TRADES)["symbol"]) == {"SPY260717C00705000"}


def test_a_contract_of_another_multiplier_is_refused(tmp_path):
    """Only deliverables of 100 shares are on a tape."""
    file = write(tmp_path / "t.csv", "ts,symbol,price,size,multiplier", f"{NS},SPY260717C00705000,1,1,150")

    assert read(file, Role.OPTION_TRADES)["problem"].to_list() == ["adjusted_deliverable"]


@given(usd=st.one_of(st.floats(0.0, 1e6), st.integers(0, 10**9).map(lambda value: value / 20_000)))
def test_prices_round_as_the_engine_rounds(usd):
    """Half to even, bit for bit as `usd_to_e4` does one price at a time."""
    assert pl.DataFrame({"usd": [usd]}).select(to_e4(pl.col("usd"))).item() == usd_to_e4(usd)


def test_prices_finer_than_the_tape_are_told(tmp_path):
    """A price below 1/10000 USD is rounded and says so; binary noise is not a finer price."""
    file = write(tmp_path / "t.csv", "ts,price,size", f"{NS},8.44999,1", f"{NS},721.13,1", f"{NS},0.1234,1")

    rows = read(file)

    assert rows["price_e4"].to_list() == [84_500, 7_211_300, 1_234]
    assert rows["is_finer"].to_list() == [True, False, False]


def test_a_part_of_a_share_is_cut_and_told(tmp_path):
    """Sizes on a tape are whole."""
    file = write(tmp_path / "t.csv", "ts,price,size", f"{NS},1,10.7", f"{NS},1,10.0")

    rows = read(file)

    assert rows["size"].to_list() == [10, 10]
    assert rows["is_fraction"].to_list() == [True, False]


def test_a_truncated_file_is_told(tmp_path):
    """Half a Parquet file is one clear error (exit 4)."""
    whole = tmp_path / "whole.parquet"
    pl.DataFrame({"ts": [NS], "price": [1.0], "size": [1]}).write_parquet(whole)
    half = tmp_path / "half.parquet"
    half.write_bytes(whole.read_bytes()[:-20])

    with pytest.raises(DataError) as caught:
        open_source(Role.TRADES, half, {})

    assert caught.value.found.startswith("the file cannot be read: ")
    assert caught.value.place == f"`{half}`"


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("none.parquet", "the file does not exist"),
        ("none", "the file does not exist"),
        ("rows.xlsx", "--trades takes Parquet or CSV, found `rows.xlsx`"),
    ],
)
def test_an_absent_file_and_an_unknown_format_are_told(tmp_path, name, found):
    """The path stands in the message; a path that leads nowhere is not blamed on its ending."""
    (tmp_path / "rows.xlsx").touch()

    with pytest.raises(DataError) as caught:
        open_source(Role.TRADES, tmp_path / name, {})

    assert caught.value.found == found
    assert caught.value.place == f"`{tmp_path / name}`"


def test_an_empty_file_is_told(tmp_path):
    """A file without a header has no columns to read."""
    file = tmp_path / "t.csv"
    file.write_text("", encoding="utf-8")

    with pytest.raises(DataError) as caught:
        open_source(Role.TRADES, file, {})

    assert caught.value.exit_code == 4
