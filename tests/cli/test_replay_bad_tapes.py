"""What `scalpcli replay` says about a tape it cannot play, and that it leaves nothing behind (law 11)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.model.row import STOCK_TRADE
from tests.replay_samples import TAPE, copy_of, runs_of
from tests.tape_samples import change_manifest, flip_byte, forge, put, small_tape, vouch

ROW = 1500
"""A row in the middle of the second row group of the small tape."""


def cut_off(tape: Path) -> None:
    """The copy ended early."""
    path = tape / "rows.parquet"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_off_and_vouched(tape: Path) -> None:
    """What wrote it believed it whole."""
    cut_off(tape)
    vouch(tape)


def garbled(tape: Path) -> None:
    """Compressed data of a row group that no longer unpacks, vouched for."""
    path = tape / "rows.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = bytes(200)
    path.write_bytes(bytes(data))
    vouch(tape)


def named(**values: object) -> Callable[[Path], None]:
    """Other values in the manifest."""
    return lambda tape: change_manifest(tape, lambda value: value.update(values))


def changed(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path], None]:
    """Other rows, vouched for."""
    return lambda tape: forge(tape, change)


def without(name: str) -> Callable[[Path], None]:
    """A file of the tape is gone."""
    return lambda tape: (tape / name).unlink()


def noted(text: str, other: str) -> Callable[[Path], None]:
    """Notes that say something else, vouched for."""

    def change(tape: Path) -> None:
        path = tape / "notes.jsonl"
        path.write_text(path.read_text().replace(text, other))
        vouch(tape)

    return change


def without_notes(tape: Path) -> None:
    """Cold rows whose content is gone, vouched for."""
    (tape / "notes.jsonl").write_bytes(b"")
    vouch(tape)


def absent(rows: pl.DataFrame) -> pl.DataFrame:
    """One price is null, which NumPy reads as NaN."""
    is_row = pl.int_range(pl.len()) == ROW
    return rows.with_columns(pl.when(is_row).then(None).otherwise("price_e4").alias("price_e4"))


DAMAGE = {
    "truncated": (
        cut_off,
        snapshot("""\
error: `rows.parquet` is cut off: 39696 bytes, the manifest says 40696
  in `TAPE/rows.parquet`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "truncated and vouched for": (
        cut_off_and_vouched,
        snapshot("""\
error: this is no readable Parquet file: WHY
  in `TAPE/rows.parquet`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "garbled": (
        garbled,
        snapshot("""\
error: rows cannot be read: WHY
  in `TAPE/rows.parquet`, row 1024 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "no rows file": (
        without("rows.parquet"),
        snapshot("""\
error: `rows.parquet` is missing
  in `TAPE`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "no notes file": (
        without("notes.jsonl"),
        snapshot("""\
error: `notes.jsonl` is missing
  in `TAPE`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "no instruments file": (
        without("instruments.parquet"),
        snapshot("""\
error: `instruments.parquet` is missing
  in `TAPE`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "no manifest": (
        without("manifest.json"),
        snapshot("""\
error: `manifest.json` is missing beside `rows.parquet`
  in `TAPE`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "manifest is not JSON": (
        lambda tape: (tape / "manifest.json").write_text("{"),
        snapshot("""\
error: the manifest is not JSON: WHY
  in `TAPE/manifest.json`

hint: import or record the session again, or restore the folder from a copy
"""),
    ),
    "another column": (
        changed(lambda rows: rows.rename({"price_e4": "price"})),
        snapshot("""\
error: the file has no column `price_e4`
  in `TAPE/rows.parquet`

hint: `scalpcli tape import` makes a tape from Parquet of any layout
"""),
    ),
    "another type": (
        changed(lambda rows: rows.with_columns(pl.col("price_e4") / 1e4)),
        snapshot("""\
error: the file has `price_e4` as Float64, not as Int64
  in `TAPE/rows.parquet`

hint: `scalpcli tape import` makes a tape from Parquet of any layout
"""),
    ),
    "receive time falls": (
        changed(put(ROW, ts_recv_ns=1_795_185_000_000_000_000)),
        snapshot("""\
error: `ts_recv_ns` falls from 1795196492333333333 to 1795185000000000000; it never may
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "negative price": (
        changed(put(ROW, price_e4=-5)),
        snapshot("""\
error: `price_e4` is -5, below its limit: 0
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "zero price": (
        changed(put(ROW, kind=STOCK_TRADE, instrument_id=0, price_e4=0)),
        snapshot("""\
error: stock_trade has price 0; a price is above 0
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "unknown kind": (
        changed(put(ROW, kind=9)),
        snapshot("""\
error: kind 9 is unknown; kinds are 1 to 8
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "unknown contract": (
        changed(put(ROW, instrument_id=99)),
        snapshot("""\
error: `instrument_id` 99 is unknown; the tape has 0 to 2
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "absent value": (
        changed(absent),
        snapshot("""\
error: `price_e4` is absent; no value may be
  in `TAPE/rows.parquet`, row 1500 (row group 1)

hint: `scalpcli tape verify TAPE` tells what is damaged; restore or import it again
"""),
    ),
    "no rows": (
        changed(lambda rows: rows.head(0)),
        snapshot("""\
error: the tape of TSLA on 2026-11-20 has no rows
  in `TAPE/rows.parquet`

hint: import or record the session again; `scalpcli tape info` tells what wrote it
"""),
    ),
    "fewer notes than cold rows": (
        without_notes,
        snapshot("""\
error: the tape has more cold rows than notes
  in `TAPE`, the row received at 1795184940000000000 ns

hint: run `scalpcli tape verify` on the tape
"""),
    ),
    "a note without its field": (
        noted('"high_e4"', '"hihg_e4"'),
        snapshot("""\
error: a note of kind `previous_levels` has no `high_e4`
  in `TAPE`, the row received at 1795184940000000000 ns

hint: run `scalpcli tape verify` on the tape
"""),
    ),
    "a note with nonsense": (
        noted("4100000", '"high"'),
        snapshot("""\
error: `high_e4` of a note of kind `previous_levels` is not a whole number of 1/10000 USD above 0
  in `TAPE`, the row received at 1795184940000000000 ns

hint: run `scalpcli tape verify` on the tape
"""),
    ),
    "a command nobody knows": (
        noted('"stop"', '"halt"'),
        snapshot("""\
error: `command` of a note of kind `operator` is not one of stop, flatten, kill, arm
  in `TAPE`, the row received at 1795208300000000000 ns

hint: run `scalpcli tape verify` on the tape
"""),
    ),
    "a note at another time": (
        noted('"ts_recv_ns":1795', '"ts_recv_ns":1796'),
        snapshot("""\
error: note 0 was received at 1796184940000000000 ns, its row was not
  in `TAPE`, the row received at 1795184940000000000 ns

hint: run `scalpcli tape verify` on the tape
"""),
    ),
    "future schema": (
        named(schema_version=2),
        snapshot("""\
error: the tape has schema version 2; this scalpcli reads versions up to 1
  in `TAPE/manifest.json`

hint: install a newer scalpcli: `pip install --upgrade scalpcli`
"""),
    ),
    "session outside the calendar": (
        named(session="2031-01-02"),
        snapshot("""\
error: the trading calendar does not know 2031-01-02; it covers 2010-01-01 to 2027-12-31
  in `TAPE/manifest.json`

hint: check the date; for later sessions install a newer scalpcli
"""),
    ),
    "a weekend": (
        named(session="2026-11-21"),
        snapshot("""\
error: 2026-11-21 is a weekend: the New York Stock Exchange has no session that day
  in `TAPE/manifest.json`

hint: the session before it is 2026-11-20, the next one 2026-11-23
"""),
    ),
    "no day": (
        named(session="soon"),
        snapshot("""\
error: `session` is `soon`, not a day like 2026-11-20
  in `TAPE/manifest.json`
"""),
    ),
    "contracts expired before": (
        named(session="2026-11-23"),
        snapshot("""\
error: `TSLA261120C00400000` expired on 2026-11-20, before the session of 2026-11-23
  in `TAPE/instruments.parquet`

hint: check the session's date, or leave the contract out
"""),
    ),
}


@pytest.mark.parametrize(("damage", "told"), DAMAGE.values(), ids=list(DAMAGE))
def test_a_tape_that_cannot_be_played_is_told_and_leaves_nothing(replay, tmp_path, damage, told):
    """Exit 4 and one message: what was found, its limit, the place, what to do; no folder of runs appears."""
    tape = small_tape(tmp_path / "tapes")
    damage(tape)

    done = replay(tape)

    # What a library says differs with its version.
    found = re.sub(r"(cannot be read|readable Parquet file|not JSON): .*", r"\1: WHY", done.err)
    assert found.replace(str(tape), "TAPE") == told
    assert done.code == 4
    assert done.out == ""
    assert not (tmp_path / "runs").exists()


def test_a_flipped_bit_is_found_while_the_rows_are_played(replay, tmp_path):
    """Most flips decode to another price; the whole is held against its sha256 before anything is written."""
    tape = copy_of(TAPE, tmp_path)
    flip_byte(tape / "rows.parquet", (tape / "rows.parquet").stat().st_size // 2)

    done = replay(tape)

    assert done.code == 4
    assert done.err.startswith("error: ")
    assert str(tape) in done.err
    assert "scalpcli tape verify" in done.err
    assert runs_of(tmp_path) == []
