"""Rows as people read them, on screen and in exported files."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError, UsageError
from scalpcli.model.row import COLD, HALT_BEGIN, LAST, OPTION_QUOTE, STATUS, VOLUME
from scalpcli.runtime import tape_plain
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_plain import RowFilter, export_rows, head_rows
from tests.tape_samples import CALL, NOTES, SMALL_ROWS, gap, leftovers, one, quote, small_tape, trade, write

ROWS = (
    one(COLD, -60),
    trade(1, 4_000_125, size=7, flags=LAST | VOLUME, conditions=2, exchange=1, trade_id=42),
    quote(2, 4_000_000, 0, exchange=1),
    one(OPTION_QUOTE, 3, instrument_id=1, price_e4=15_500, ask_e4=16_000, size=4, ask_size=9, exchange=2,
        ask_exchange=1),
    one(STATUS, 4, flags=HALT_BEGIN, conditions=1),
    gap(5, 6, channels=3),
    one(COLD, 7),
)  # fmt: skip


@pytest.fixture
def tape(tmp_path):
    """One row of every kind."""
    return Tape.open(write(tmp_path / "tapes", ROWS, NOTES))


def told(row):
    """What is said of a row beside its times and kind."""
    return {name: value for name, value in row.items() if value not in (None, "")}


def test_each_kind_tells_what_it_has_and_nothing_else(tape):
    """Dollars, symbols and words; a bid is not a trade's price, an absent side is null, not zero."""
    rows = [told(row) for row in head_rows(tape, RowFilter(), 100)]

    for row in rows:
        del row["ts_recv"], row["ts_event"]
    assert rows == snapshot(
        [
            {"kind": "cold", "note": "previous_levels"},
            {
                "kind": "stock_trade",
                "symbol": "TSLA",
                "price": 400.0125,
                "size": 7,
                "exchange": "Q",
                "conditions": "@ F",
                "trade_id": 42,
                "flags": "last|volume",
            },
            {"kind": "stock_quote", "symbol": "TSLA", "bid": 400.0, "bid_size": 100, "bid_exchange": "Q"},
            {
                "kind": "option_quote",
                "symbol": "TSLA261120C00400000",
                "bid": 1.55,
                "ask": 1.6,
                "bid_size": 4,
                "ask_size": 9,
                "bid_exchange": "N",
                "ask_exchange": "Q",
            },
            {"kind": "status", "symbol": "TSLA", "conditions": "@", "flags": "halt_begin"},
            {"kind": "gap", "flags": "gap_begin|gap_end", "channels": "stock_trades|stock_quotes"},
            {"kind": "cold", "note": "operator"},
        ]
    )


def test_rows_start_at_a_new_york_time(tape):
    """The time is when we learned of it; rows of that very instant are shown."""
    rows = head_rows(tape, RowFilter(at="09:30:03"), 2)

    assert [row["kind"] for row in rows] == ["option_quote", "status"]


def test_a_note_keeps_its_kind_when_others_are_left_out(tape):
    """The second note stays the second when the first is not shown."""
    rows = head_rows(tape, RowFilter(at="09:30:04", kinds=["cold"]), 5)

    assert [row["note"] for row in rows] == ["operator"]


def test_kinds_and_symbols_choose_rows(tape):
    """Both conditions hold together."""
    assert [row["kind"] for row in head_rows(tape, RowFilter(kinds=["gap", "status"]), 9)] == ["status", "gap"]
    assert [row["symbol"] for row in head_rows(tape, RowFilter(symbols=[CALL]), 9)] == [CALL]
    assert [row["kind"] for row in head_rows(tape, RowFilter(symbols=["TSLA"]), 9)] == [
        "stock_trade", "stock_quote", "status",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("chosen", "found", "hint"),
    [
        (RowFilter(symbols=["TSLA261120C0040000"]), "no symbol `TSLA261120C0040000` on this tape", f"nearest: {CALL}"),
        (RowFilter(kinds=["trade"]), "no kind `trade` on this tape", "nearest: stock_trade"),
        (RowFilter(at="25:00"), "`25:00` is not a time of day", "write New York time"),
    ],
)
def test_what_is_not_on_the_tape_is_refused_with_what_is(tape, chosen, found, hint):
    """A mistyped contract would else look like a contract without rows."""
    with pytest.raises(UsageError) as caught:
        head_rows(tape, chosen, 1)

    assert caught.value.found == found
    assert caught.value.hint.startswith(hint)


def test_csv_has_plain_names_dollars_and_utc_times(tape, tmp_path):
    """A spreadsheet opens it; nanoseconds are not rounded away."""
    export_rows(tape, RowFilter(kinds=["stock_trade", "stock_quote"]), tmp_path / "rows.csv")

    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        names, *lines = csv.reader(file)
    assert names == snapshot(
        [
            "ts_recv",
            "ts_event",
            "kind",
            "symbol",
            "price",
            "bid",
            "ask",
            "size",
            "bid_size",
            "ask_size",
            "exchange",
            "bid_exchange",
            "ask_exchange",
            "conditions",
            "trade_id",
            "flags",
            "channels",
            "note",
        ]
    )
    assert [dict(zip(names, line, strict=True)) for line in lines] == snapshot(
        [
            {
                "ts_recv": "2026-11-20T14:30:01.000000000Z",
                "ts_event": "2026-11-20T14:30:00.998000000Z",
                "kind": "stock_trade",
                "symbol": "TSLA",
                "price": "400.0125",
                "bid": "",
                "ask": "",
                "size": "7",
                "bid_size": "",
                "ask_size": "",
                "exchange": "Q",
                "bid_exchange": "",
                "ask_exchange": "",
                "conditions": "@ F",
                "trade_id": "42",
                "flags": "last|volume",
                "channels": "",
                "note": "",
            },
            {
                "ts_recv": "2026-11-20T14:30:02.000000000Z",
                "ts_event": "2026-11-20T14:30:01.998000000Z",
                "kind": "stock_quote",
                "symbol": "TSLA",
                "price": "",
                "bid": "400.0",
                "ask": "",
                "size": "",
                "bid_size": "100",
                "ask_size": "",
                "exchange": "",
                "bid_exchange": "Q",
                "ask_exchange": "",
                "conditions": "",
                "trade_id": "",
                "flags": "",
                "channels": "",
                "note": "",
            },
        ]
    )


def test_a_csv_without_rows_has_its_head(tape, tmp_path):
    """An empty file would be no CSV."""
    export_rows(tape, RowFilter(at="15:59:00"), tmp_path / "rows.csv")

    assert (tmp_path / "rows.csv").read_text(encoding="utf-8").count("\n") == 1


def test_parquet_and_csv_hold_the_same_rows(tmp_path):
    """Two doors to one table, over several row groups."""
    tape = Tape.open(small_tape(tmp_path / "tapes"))

    export_rows(tape, RowFilter(), tmp_path / "a.csv")
    export_rows(tape, RowFilter(), tmp_path / "b.parquet")

    table = pl.read_parquet(tmp_path / "b.parquet")
    texts = pl.read_csv(tmp_path / "a.csv", schema_overrides={"exchange": pl.String})
    assert table.height == texts.height == SMALL_ROWS
    assert table["ts_recv"].dtype == pl.Datetime("ns", "UTC")
    for name in ("price", "bid", "ask", "size", "trade_id", "kind", "symbol"):
        assert table[name].to_list() == texts[name].to_list()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("rows.xlsx", "is neither CSV nor Parquet"),
        ("there.csv", "exists already"),
        ("no/rows.csv", "does not exist"),
    ],
)
def test_a_target_that_cannot_be_is_refused(tape, tmp_path, name, found):
    """Nothing is overwritten unless that was asked for."""
    (tmp_path / "there.csv").write_text("mine", encoding="utf-8")

    with pytest.raises(UsageError) as caught:
        export_rows(tape, RowFilter(), tmp_path / name)

    assert found in caught.value.found
    assert (tmp_path / "there.csv").read_text(encoding="utf-8") == "mine"


def test_overwrite_replaces_the_file(tape, tmp_path):
    """Asked for, it happens."""
    (tmp_path / "there.csv").write_text("mine", encoding="utf-8")

    export_rows(tape, RowFilter(), tmp_path / "there.csv", overwrite=True)

    assert (tmp_path / "there.csv").read_text(encoding="utf-8").startswith("ts_recv,")


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_a_failed_export_leaves_nothing(tmp_path, name):
    """Rows that cannot be decoded show in the middle of writing."""
    tape = Tape.open(small_tape(tmp_path / "tapes"))
    path = tape.path / "rows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 4000] = bytes(4000)
    path.write_bytes(bytes(data))
    before = leftovers(tmp_path)

    with pytest.raises(DataError):
        export_rows(tape, RowFilter(), tmp_path / name)

    assert leftovers(tmp_path) == before


@pytest.mark.parametrize("name", ["rows.csv", "rows.parquet"])
def test_an_interrupted_export_leaves_nothing(tape, tmp_path, monkeypatch, name):
    """Polars passes one Ctrl-C on twice: the second comes while the half-written file is being removed."""
    unlink = Path.unlink
    interrupts = iter([KeyboardInterrupt])

    def interrupted_once(self, **how):
        for interrupt in interrupts:
            raise interrupt
        unlink(self, **how)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tape_plain, "_read", interrupted)
    monkeypatch.setattr(Path, "unlink", interrupted_once)
    monkeypatch.setattr(tape_plain, "_flag_words", lambda _: {0: ""})
    before = leftovers(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        export_rows(tape, RowFilter(), tmp_path / name)

    assert leftovers(tmp_path) == before
