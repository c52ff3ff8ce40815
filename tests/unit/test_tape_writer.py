"""What the writer takes, refuses, and leaves on disk."""

from __future__ import annotations

import datetime as dt
import gc
import json
import threading
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError, UsageError
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLD, COLUMNS, GAP, OPTION_QUOTE, STATUS
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_writer import TapeWriter
from tests.tape_samples import (
    CALL,
    DAY,
    NOTES,
    PUT,
    ROW_GROUP,
    SMALL_ROWS,
    columns_of,
    contract,
    leftovers,
    one,
    quote,
    small_rows,
    small_tape,
    trade,
    write,
    writer,
)


def refusal(tmp_path, rows, notes=()):
    """The message over a block that is refused after one good row."""
    with writer(tmp_path) as tape:
        tape.append(columns_of([trade(1)]))
        with pytest.raises(DataError) as caught:
            tape.append(columns_of(rows), notes)
    return caught.value.render().replace(str(tmp_path), "TAPES")


def write_and_raise(root, error, **changes):
    """Write some row groups, then be interrupted."""
    with writer(root, **changes) as tape:
        for _ in range(3):
            tape.append(columns_of([trade(1)] * ROW_GROUP))
        raise error


def test_a_sealed_tape_stands_under_symbol_and_day(tmp_path):
    """Tools find tapes by their path; nothing else is left beside them."""
    path = small_tape(tmp_path / "tapes")

    assert path == tmp_path / "tapes" / "TSLA" / "2026-11-20"
    assert leftovers(tmp_path) == snapshot(
        [
            "tapes",
            "tapes/TSLA",
            "tapes/TSLA/2026-11-20",
            "tapes/TSLA/2026-11-20/instruments.parquet",
            "tapes/TSLA/2026-11-20/manifest.json",
            "tapes/TSLA/2026-11-20/notes.jsonl",
            "tapes/TSLA/2026-11-20/rows.parquet",
        ]
    )


def test_rows_stand_in_the_tapes_columns_and_types(tmp_path):
    """Anyone with Polars or DuckDB reads them: names, order and widths are the contract."""
    path = small_tape(tmp_path)

    schema = pl.read_parquet_schema(path / "rows.parquet")

    assert list(schema) == list(COLUMNS)
    assert {name: str(kind).lower() for name, kind in schema.items()} == {k: v.name for k, v in COLUMNS.items()}


def test_rows_and_notes_come_back_as_they_were_written(tmp_path):
    """What went in comes out, over row groups and batches."""
    path = small_tape(tmp_path)

    tape = Tape.open(path)
    read = list(tape.batches(rows=700, columns=tuple(COLUMNS)))

    written = columns_of(small_rows())
    for name, values in written.items():
        assert np.array_equal(np.concatenate([batch[name] for batch in read]), values)
    assert [(note.seq, note.kind, note.body) for note in tape.notes()] == [(0, *NOTES[0]), (1, *NOTES[1])]
    assert [note.ts_recv_ns for note in tape.notes()] == written["ts_recv_ns"][written["kind"] == COLD].tolist()


def test_instruments_come_back_with_the_underlying_first(tmp_path):
    """Number 0 is added by the writer; the rest is what was handed in."""
    path = small_tape(tmp_path)

    instruments = Tape.open(path).instruments

    assert instruments[0].symbol == "TSLA"
    assert instruments[0].is_option is False
    assert instruments[1:] == (contract(1, CALL), contract(2, PUT))


def test_the_manifest_counts_rows_by_kind_and_keeps_the_dictionaries(tmp_path):
    """Whoever opens the folder learns what is in it without reading rows."""
    path = small_tape(tmp_path)

    manifest = Tape.open(path).manifest

    assert (manifest.rows, sum(manifest.counts.values())) == (SMALL_ROWS, SMALL_ROWS)
    assert {kind: manifest.counts[kind] for kind in ("status", "gap", "cold")} == {"status": 1, "gap": 1, "cold": 2}
    assert manifest.conditions == ["", "@", "@ F"]
    assert manifest.exchanges == ["", "Q", "N"]
    assert manifest.synthetic is True
    assert manifest.written_by["scalpcli"]


def test_the_digest_does_not_depend_on_how_the_file_is_laid_out(tmp_path):
    """One market, one digest: compression, row groups and blocks are nobody's business."""
    rows = small_rows()
    whole = write(tmp_path / "a", rows, NOTES)

    with writer(tmp_path / "b", params=TapeParams(row_group_rows=2048, compression_level=9)) as tape:
        tape.append(columns_of(rows[:1500]), NOTES[:1])
        tape.append(columns_of(rows[1500:]), NOTES[1:])
        parts = tape.seal()

    assert Tape.open(whole).manifest.rows_digest == Tape.open(parts).manifest.rows_digest
    assert (whole / "rows.parquet").read_bytes() != (parts / "rows.parquet").read_bytes()


@pytest.mark.parametrize("change", ["price", "note", "contract", "interest", "condition"])
def test_the_digest_changes_with_everything_a_replay_reads(tmp_path, change):
    """A digest that missed the notes or the contracts would call two markets one."""
    rows, notes = small_rows(), list(NOTES)
    with writer(tmp_path / "a") as tape:
        if change == "interest":
            tape.add_instruments([contract(3, "TSLA261120C00410000", open_interest=8)])
        tape.append(columns_of(rows), notes)
        plain = tape.seal()
    if change == "price":
        rows[1000]["price_e4"] += 1
    if change == "note":
        notes[1] = ("operator", {"command": "flatten"})

    with writer(tmp_path / "b") as tape:
        if change == "contract":
            tape.add_instruments([contract(3, "TSLA261120C00410000")])
        if change == "interest":
            tape.add_instruments([contract(3, "TSLA261120C00410000", open_interest=7)])
        if change == "condition":
            tape.condition_code("@ I")
        tape.append(columns_of(rows), notes)
        other = tape.seal()

    assert Tape.open(plain).manifest.rows_digest != Tape.open(other).manifest.rows_digest


def test_a_buffer_may_be_used_again_after_append(tmp_path):
    """Importers and recorders fill the same arrays again and again."""
    block = columns_of([trade(1, 4_000_000)])

    with writer(tmp_path) as tape:
        tape.append(block)
        block["price_e4"][0] = 4_000_100
        block["ts_recv_ns"][0] += 1
        tape.append(block)
        path = tape.seal()

    assert pl.read_parquet(path / "rows.parquet")["price_e4"].to_list() == [4_000_000, 4_000_100]


def test_a_tape_without_rows_can_be_sealed(tmp_path):
    """A recorder that saw nothing says so; `Tape.open` refuses to replay it."""
    with writer(tmp_path) as tape:
        path = tape.seal()

    assert pl.read_parquet(path / "rows.parquet").height == 0
    assert Tape.open(path, allow_empty=True).manifest.rows == 0


def test_leaving_without_seal_removes_everything_that_was_made(tmp_path):
    """Nothing half-written stays, the folders on the way neither."""
    with writer(tmp_path / "deep" / "tapes") as tape:
        tape.append(columns_of(small_rows()), NOTES)

    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interruption_removes_everything_and_stops_the_thread(tmp_path, error):
    """Ctrl-C in the middle of an import leaves neither files nor a thread that waits for rows."""
    with pytest.raises(error):
        write_and_raise(tmp_path / "tapes", error)

    assert leftovers(tmp_path) == []
    assert "tape-writer" not in {thread.name for thread in threading.enumerate()}


def test_a_writer_that_is_forgotten_leaves_nothing(tmp_path):
    """A second Ctrl-C can come before the context is left; then nobody discards."""
    tape = writer(tmp_path / "tapes")
    tape.append(columns_of(small_rows()), NOTES)
    begun = leftovers(tmp_path)

    del tape
    gc.collect()

    assert len(begun) > 2
    assert leftovers(tmp_path) == []


def test_a_tape_that_cannot_take_its_place_leaves_the_old_one_there(tmp_path, monkeypatch):
    """The old tape steps aside only while the new one steps in."""
    path = small_tape(tmp_path)
    rename = Path.rename

    def fail_for_the_new(self, target):
        if self.name.endswith(".partial"):
            raise PermissionError
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_for_the_new)
    with pytest.raises(PermissionError):
        write(tmp_path, [trade(1)], overwrite=True)

    assert Tape.open(path).manifest.rows == SMALL_ROWS
    assert len(leftovers(tmp_path)) == 6


def test_folders_that_were_there_stay(tmp_path):
    """The user's folder is not ours to remove."""
    (tmp_path / "tapes").mkdir()

    with writer(tmp_path / "tapes") as tape:
        tape.append(columns_of([trade(1)]))

    assert leftovers(tmp_path) == ["tapes"]


def test_an_existing_tape_is_refused_before_anything_is_written(tmp_path):
    """An hour's import must not fail at its last step."""
    path = small_tape(tmp_path)
    before = (path / "manifest.json").read_bytes()

    with pytest.raises(DataError) as caught:
        writer(tmp_path)

    assert caught.value.render().replace(str(tmp_path), "TAPES") == snapshot("""\
error: a tape of TSLA on 2026-11-20 exists already
  in `TAPES/TSLA/2026-11-20`

hint: name another folder, or add `--overwrite`\
""")
    assert (path / "manifest.json").read_bytes() == before


def test_overwrite_replaces_the_whole_tape(tmp_path):
    """The new tape takes the old one's place, with nothing left of it."""
    small_tape(tmp_path)

    path = write(tmp_path, [trade(1)], overwrite=True)

    assert Tape.open(path).manifest.rows == 1
    assert len(leftovers(tmp_path)) == 6


def test_a_failed_overwrite_keeps_the_old_tape(tmp_path):
    """Until the new tape is whole the old one is the tape."""
    path = small_tape(tmp_path)
    before = (path / "rows.parquet").read_bytes()

    with pytest.raises(RuntimeError):
        write_and_raise(tmp_path, RuntimeError, overwrite=True)

    assert (path / "rows.parquet").read_bytes() == before
    assert len(leftovers(tmp_path)) == 6


@pytest.mark.parametrize(
    ("rows", "found", "row"),
    [
        ([trade(0.5)], "`ts_recv_ns` falls from 1795185001000000000 to 1795185000500000000; it never may", 1),
        ([trade(3), trade(2)], "`ts_recv_ns` falls from 1795185003000000000 to 1795185002000000000; it never may", 2),
        ([one(99, 2)], "kind 99 is unknown; kinds are 1 to 8", 1),
        ([trade(2, 0)], "stock_trade has price 0; a price is above 0", 1),
        ([trade(2, -5)], "`price_e4` is -5, below its limit: 0", 1),
        ([trade(2, size=-1)], "`size` is -1, below its limit: 0", 1),
        ([quote(2, 0, 100, size=5)], "`size` is 5 where `price_e4` is 0; an absent side has size 0", 1),
        ([one(OPTION_QUOTE, 2, instrument_id=7)], "`instrument_id` 7 is unknown; the tape has 0 to 2", 1),
        ([one(OPTION_QUOTE, 2)], "option_quote names the underlying, not a contract", 1),
        ([trade(2, instrument_id=1)], "stock_trade names contract 1, not the underlying", 1),
        ([trade(2, conditions=3)], "`conditions` has code 3; the dictionary `conditions` ends at 2", 1),
        ([trade(2, exchange=9)], "`exchange` has code 9; the dictionary `exchanges` ends at 2", 1),
        ([one(STATUS, 2)], "status has neither or both of halt_begin and halt_end", 1),
        ([one(GAP, 2, size=1)], "gap has neither of gap_begin and gap_end", 1),
    ],
)
def test_a_row_that_breaks_a_rule_is_named_by_its_number(tmp_path, rows, found, row):
    """Found, limit and place; the row's number counts from the tape's first row."""
    message = refusal(tmp_path, rows)

    assert f"error: {found}" in message
    assert f"in row {row} of `TAPES/TSLA/2026-11-20`" in message
    assert leftovers(tmp_path) == []


def test_crossed_and_locked_quotes_are_taken(tmp_path):
    """Markets cross; refusing the row would hide it from the gates."""
    path = write(tmp_path, [quote(1, 4_000_200, 4_000_100), quote(2, 4_000_100, 4_000_100)])

    counts = Tape.open(path).manifest.quality["stock_quotes"]

    assert (counts["crossed"], counts["locked"], counts["crossed_pct"]) == (1, 1, 50.0)


def test_milliseconds_in_the_place_of_nanoseconds_are_told_by_their_unit(tmp_path):
    """The commonest mistake of an importer deserves its own words."""
    message = refusal(tmp_path, [trade(2, ts_event_ns=1_795_185_002_000)])

    assert message == snapshot("""\
error: `ts_event_ns` 1795185002000 lies more than 366 days from the session; it counts UTC nanoseconds
  in row 1 of `TAPES/TSLA/2026-11-20`\
""")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"price_e4": np.array([400.5])}, "`price_e4` holds float64, not whole numbers"),
        ({"price_e4": np.array([np.nan])}, "`price_e4` holds float64, not whole numbers"),
        ({"size": np.array([2**31])}, "`size` holds 2147483648, outside -2147483648 to 2147483647 of its type int32"),
        ({"kind": np.array([257])}, "`kind` holds 257, outside -128 to 127 of its type int8"),
        ({"flags": np.zeros(2, np.int32)}, "`flags` has shape (2,), `kind` has (1,)"),
        ({"color": np.array([1])}, "the block has an unknown column `color`"),
    ],
)
def test_values_that_do_not_fit_are_refused_not_wrapped(tmp_path, change, found):
    """NumPy would turn 2,147,483,648 shares into a negative number without a word."""
    with writer(tmp_path) as tape, pytest.raises(DataError) as caught:
        tape.append(columns_of([trade(1)]) | change)

    assert caught.value.found == found


def test_a_missing_column_is_named(tmp_path):
    """Every row has every column; zeros are the writer's to choose, not ours to guess."""
    block = columns_of([trade(1)])
    del block["trade_id"]

    with writer(tmp_path) as tape, pytest.raises(DataError) as caught:
        tape.append(block)

    assert caught.value.found == "the block misses column `trade_id`"


def test_wider_integers_that_fit_are_taken(tmp_path):
    """Importers compute in 64 bits; values in range lose nothing."""
    wide = {name: values.astype(np.int64) for name, values in columns_of([trade(1)]).items()}

    with writer(tmp_path) as tape:
        tape.append(wide)
        path = tape.seal()

    assert pl.read_parquet(path / "rows.parquet")["size"].dtype == pl.Int32


@pytest.mark.parametrize(
    ("rows", "notes", "found"),
    [
        ([one(COLD, 2)], (), "the block has 1 cold rows and 0 notes"),
        ([trade(2)], NOTES[:1], "the block has 0 cold rows and 1 notes"),
        ([one(COLD, 2)], [("diary", {})], "note kind `diary` is unknown"),
        ([one(COLD, 2)], [("greeks", {"delta": float("nan")})], "cannot be written as JSON"),
    ],
)
def test_notes_pair_with_cold_rows(tmp_path, rows, notes, found):
    """A note without its row would stand at no time; a NaN is no JSON."""
    assert f"error: {found}" in refusal(tmp_path, rows, notes)


@pytest.mark.parametrize(
    ("instrument", "found"),
    [
        (contract(2, CALL), f"`{CALL}` has number 2; the next one is 3"),
        (contract(3, CALL), f"`{CALL}` comes twice"),
        (contract(3, "TSLA261118C00400000"), "expired on 2026-11-18, before the session of 2026-11-20"),
        (contract(3, "TSLA261120C00410000", multiplier=150), "delivers 150 shares; only standard contracts of 100"),
        (contract(3, "TSLA261120C00410000", expiry=None), "`TSLA261120C00410000` has no expiry"),
        (contract(3, "TSLA261120C00410000", right="X"), "has right `X` and strike 4100000"),
    ],
)
def test_contracts_that_cannot_be_on_the_tape_are_refused(tmp_path, instrument, found):
    """Expired, adjusted or misnumbered contracts would trade as something they are not."""
    with pytest.raises(DataError) as caught, writer(tmp_path) as tape:
        tape.add_instruments([instrument])

    assert found in caught.value.found


def test_a_day_without_a_session_is_refused(tmp_path):
    """The calendar decides; the message names the sessions around."""
    with pytest.raises(DataError) as caught:
        TapeWriter(tmp_path, "TSLA", dt.date(2026, 11, 26), params=TapeParams(), synthetic=True, feeds={}, source={})

    assert caught.value.found == "2026-11-26 is a holiday: the New York Stock Exchange has no session that day"
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("symbol", ["../etc", "tsla", "", "A B"])
def test_a_symbol_that_is_none_never_becomes_a_path(tmp_path, symbol):
    """The symbol names a folder; it must not name another one."""
    with pytest.raises(UsageError):
        TapeWriter(tmp_path, symbol, DAY, params=TapeParams(), synthetic=True, feeds={}, source={})

    assert leftovers(tmp_path) == []


def test_a_source_that_json_cannot_write_leaves_nothing(tmp_path):
    """It shows only when the manifest is written, the last step before the tape appears."""
    with pytest.raises(DataError) as caught:
        write(tmp_path, [trade(1)], source={"when": dt.date(2026, 1, 1)})

    assert "cannot be written as JSON" in caught.value.found
    assert leftovers(tmp_path) == []


def test_a_disk_that_refuses_is_told_and_leaves_nothing(tmp_path):
    """The file is written by another thread; its failure must reach the caller of append or seal."""
    with writer(tmp_path / "tapes") as tape:
        # The note opens the hidden folder; a folder in the place of the file is a disk that refuses.
        tape.append(columns_of([one(COLD, 1)]), NOTES[:1])
        work = next((tmp_path / "tapes" / "TSLA").iterdir())
        (work / "rows.parquet").mkdir()
        with pytest.raises(DataError) as caught:
            tape.seal()

    assert caught.value.found.startswith("the tape cannot be written: ")
    assert leftovers(tmp_path) == []


def test_the_source_may_be_completed_until_seal(tmp_path):
    """Importers know their counters only at the end; rounded prices go into the quality."""
    source = {"importer": "test"}

    with writer(tmp_path, source=source) as tape:
        tape.append(columns_of([trade(1)]))
        source["prices_rounded"] = 4
        path = tape.seal()

    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["source"] == {"importer": "test", "prices_rounded": 4}
    assert manifest["quality"]["prices_rounded"] == 4
