"""What opening and streaming a tape refuses, and how the message tells it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import shutil

import numpy as np
import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError
from scalpcli.model.row import COLUMNS, ENGINE_COLUMNS
from scalpcli.runtime.tape import Tape, find_tapes
from tests.tape_samples import (
    ROW_GROUP,
    SMALL_ROWS,
    change_manifest,
    flip_byte,
    forge,
    put,
    small_tape,
    vouch,
    writer,
)


@pytest.fixture
def folder(tmp_path):
    """A sound tape to damage."""
    return small_tape(tmp_path)


def refusal(path, tmp_path, **how):
    """The message over a tape that cannot be opened, or not be read to its end."""
    with pytest.raises(DataError) as caught:
        for _ in Tape.open(path).batches(**how):
            pass
    assert caught.value.exit_code == 4
    return caught.value.render().replace(str(tmp_path), "TAPES")


def test_a_folder_that_does_not_exist_is_told(tmp_path):
    """The commonest error of all."""
    message = refusal(tmp_path / "nope", tmp_path)

    assert message == snapshot("""\
error: `TAPES/nope` does not exist
  in `TAPES/nope`

hint: name the folder that holds `manifest.json`\
""")


def test_a_file_is_not_a_tape(folder, tmp_path):
    """People hand in rows.parquet; the folder is the tape."""
    message = refusal(folder / "rows.parquet", tmp_path)

    assert message == snapshot("""\
error: `TAPES/TSLA/2026-11-20/rows.parquet` is a file; a tape is a folder
  in `TAPES/TSLA/2026-11-20/rows.parquet`

hint: name the folder that holds `manifest.json`\
""")


def test_a_folder_without_a_tape_is_told(tmp_path):
    """An empty root has nothing to replay."""
    message = refusal(tmp_path, tmp_path)

    assert message == snapshot("""\
error: there is no tape in `TAPES`
  in `TAPES`

hint: a tape is a folder with `manifest.json`; `scalpcli tape synth` makes one to try\
""")


def test_a_root_with_one_tape_stands_for_it(folder, tmp_path):
    """Whoever has one tape need not type its day."""
    assert Tape.open(tmp_path).path == folder
    assert Tape.open(tmp_path / "TSLA").path == folder


def test_a_root_with_several_tapes_names_them(folder, tmp_path):
    """Which one is meant is not ours to guess."""
    shutil.copytree(folder, tmp_path / "TSLA" / "2026-11-23")

    message = refusal(tmp_path, tmp_path)

    assert message == snapshot("""\
error: `TAPES` holds 2 tapes
  in `TAPES`

hint: name one: TAPES/TSLA/2026-11-20, TAPES/TSLA/2026-11-23\
""")


def test_unfinished_tapes_are_not_found(folder, tmp_path):
    """A writer's hidden folder is no tape, whatever is in it."""
    shutil.copytree(folder, tmp_path / "TSLA" / ".2026-11-23.x.partial")

    assert find_tapes(tmp_path) == [folder]


@pytest.mark.parametrize("name", ["rows.parquet", "notes.jsonl", "instruments.parquet", "manifest.json"])
def test_a_missing_file_is_named(folder, tmp_path, name):
    """Each of the four files is needed."""
    (folder / name).unlink()

    message = refusal(folder, tmp_path)

    assert message.startswith(f"error: `{name}` is missing")
    assert "in `TAPES/TSLA/2026-11-20`" in message


def test_a_file_cut_off_is_told_with_both_sizes(folder, tmp_path):
    """An interrupted copy is found before a row is read."""
    rows = folder / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:1000])
    change_manifest(folder, lambda value: value["files"]["rows.parquet"].update(bytes=31415))

    message = refusal(folder, tmp_path)

    assert message == snapshot("""\
error: `rows.parquet` is cut off: 1000 bytes, the manifest says 31415
  in `TAPES/TSLA/2026-11-20/rows.parquet`

hint: import or record the session again, or restore the folder from a copy\
""")


def test_a_file_that_grew_is_told(folder, tmp_path):
    """Notes appended by hand are not the notes that were recorded."""
    with (folder / "notes.jsonl").open("ab") as file:
        file.write(b"{}\n")

    message = refusal(folder, tmp_path)

    assert message.startswith("error: `notes.jsonl` is longer than it was written")


def test_a_file_that_is_not_parquet_is_told(folder, tmp_path):
    """The size may fit and the content be anything."""
    (folder / "rows.parquet").write_bytes(b"ts,price\n1,2\n" * 100)
    vouch(folder)

    message = refusal(folder, tmp_path)

    assert message.startswith("error: this is no readable Parquet file: ")
    assert "in `TAPES/TSLA/2026-11-20/rows.parquet`" in message


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda rows: rows.drop("flags"), "the file has no column `flags`"),
        (lambda rows: rows.with_columns(color=1), "the file has an unknown column `color`"),
        (lambda rows: rows.with_columns(pl.col("price_e4") / 1e4), "the file has `price_e4` as Float64, not as Int64"),
        (lambda rows: rows.select(reversed(rows.columns)), "the file has its columns in another order"),
    ],
)
def test_parquet_of_another_shape_is_told_by_its_first_difference(folder, tmp_path, change, found):
    """A tape has these columns in this order and width; anything else goes through `tape import`."""
    forge(folder, change)

    message = refusal(folder, tmp_path)

    assert message.startswith(f"error: {found}\n")
    assert message.endswith("hint: `scalpcli tape import` makes a tape from Parquet of any layout")


def test_absent_values_are_refused(folder, tmp_path):
    """A null becomes NaN on its way to NumPy; a whole-number column has neither."""
    forge(folder, lambda rows: rows.with_columns(size=pl.when(pl.col("size") != 3).then("size")))

    message = refusal(folder, tmp_path)

    assert message.startswith("error: `size` is absent; no value may be\n")
    assert "in `TAPES/TSLA/2026-11-20/rows.parquet`, row 3 (row group 0)" in message


def test_a_newer_layout_asks_for_a_newer_program(folder, tmp_path):
    """Reading it as if it were ours would give wrong numbers."""
    change_manifest(folder, lambda value: value.update(schema_version=999))

    message = refusal(folder, tmp_path)

    assert message == snapshot("""\
error: the tape has schema version 999; this scalpcli reads versions up to 1
  in `TAPES/TSLA/2026-11-20/manifest.json`

hint: install a newer scalpcli: `pip install --upgrade scalpcli`\
""")


@pytest.mark.parametrize(
    ("day", "found"),
    [
        ("2026-11-26", "2026-11-26 is a holiday: the New York Stock Exchange has no session that day"),
        ("2026-11-21", "2026-11-21 is a weekend: the New York Stock Exchange has no session that day"),
        ("2042-01-02", "the trading calendar does not know 2042-01-02"),
        ("Friday", "`session` is `Friday`, not a day like 2026-11-20"),
    ],
)
def test_a_session_the_calendar_does_not_know_is_told(folder, tmp_path, day, found):
    """Without open and close no indicator can be computed."""
    change_manifest(folder, lambda value: value.update(session=day))

    message = refusal(folder, tmp_path)

    assert message.startswith(f"error: {found}")
    assert "in `TAPES/TSLA/2026-11-20/manifest.json`" in message


def forge_contracts(folder, **columns):
    """Rewrite the contracts and vouch for them."""
    path = folder / "instruments.parquet"
    frame = pl.read_parquet(path)
    is_contract = pl.col("instrument_id") > 0
    values = {name: pl.when(is_contract).then(pl.lit(value, frame.schema[name])) for name, value in columns.items()}
    frame.with_columns(**{name: value.otherwise(name) for name, value in values.items()}).write_parquet(path)
    vouch(folder)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (
            {"expiry": dt.date(2026, 11, 18)},
            "`TSLA261120C00400000` expired on 2026-11-18, before the session of 2026-11-20",
        ),
        (
            {"multiplier": 10},
            "`TSLA261120C00400000` delivers 10 shares; only standard contracts of 100 are supported",
        ),
        ({"tick_rule": "dime"}, "`TSLA261120C00400000` has tick rule `dime`; rules are penny, penny_program, nickel"),
        ({"instrument_id": 5}, "`TSLA261120C00400000` has number 5; the next one is 1"),
    ],
)
def test_contracts_that_cannot_trade_in_the_session_are_told(folder, tmp_path, columns, found):
    """An expired or adjusted contract would be priced as something it is not."""
    forge_contracts(folder, **columns)

    message = refusal(folder, tmp_path)

    assert message.startswith(f"error: {found}\n")
    assert "in `TAPES/TSLA/2026-11-20/instruments.parquet`" in message


def test_the_first_instrument_is_the_manifests_symbol(folder, tmp_path):
    """A manifest copied to another tape is noticed."""
    change_manifest(folder, lambda value: value.update(symbol="AAPL"))

    message = refusal(folder, tmp_path)

    assert message.startswith("error: instrument 0 is not the underlying AAPL\n")


def test_an_empty_tape_is_refused_unless_asked_for(tmp_path):
    """Nothing can be replayed; `tape info` still shows what wrote it."""
    with writer(tmp_path) as tape:
        path = tape.seal()

    message = refusal(path, tmp_path)

    assert message == snapshot("""\
error: the tape of TSLA on 2026-11-20 has no rows
  in `TAPES/TSLA/2026-11-20/rows.parquet`

hint: import or record the session again; `scalpcli tape info` tells what wrote it\
""")
    assert list(Tape.open(path, allow_empty=True).batches()) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda value: value.pop("rows_digest"), "the manifest has no `rows_digest`"),
        (lambda value: value.update(rows="3000"), "`rows` of the manifest is '3000', not of type int"),
        (lambda value: value.update(rows=-1), "`rows` of the manifest is -1, not of type int"),
        (lambda value: value.update(conditions=["", 7]), "`conditions` of the manifest holds 7, not of type str"),
        (lambda value: value["files"].pop("notes.jsonl"), "the manifest has no digest of `notes.jsonl`"),
        (
            lambda value: value["files"].update({"rows.parquet": 5}),
            "the manifest's digest of `rows.parquet` is incomplete",
        ),
        (lambda value: value["quality"].pop("coverage_pct"), "the manifest has no usable `quality.coverage_pct`"),
        (lambda value: value["quality"]["gaps"].pop("count"), "the manifest has no usable `quality.gaps.count`"),
        (lambda value: value.pop("schema_version"), "the manifest has no `schema_version`; a tape has a whole number"),
        (
            lambda value: value.update(schema_version="1"),
            "the manifest has `schema_version` '1'; a tape has a whole number",
        ),
        (lambda value: value.update(rows=12), "the file has 3000 rows, the manifest says 12"),
    ],
)
def test_a_manifest_that_is_none_is_told_by_its_key(folder, tmp_path, change, found):
    """Edited and half-copied manifests fail at once, not somewhere later."""
    change_manifest(folder, change)

    message = refusal(folder, tmp_path)

    assert message.startswith(f"error: {found}\n")


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_manifest_that_is_no_json_object_is_told(folder, tmp_path, text):
    """The file exists and says nothing."""
    (folder / "manifest.json").write_text(text, encoding="utf-8")

    message = refusal(folder, tmp_path)

    assert message.startswith("error: the manifest is ")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"ts_recv_ns": 1_795_185_000_000_000_000}, "`ts_recv_ns` falls from "),
        ({"kind": 99}, "kind 99 is unknown; kinds are 1 to 8"),
        ({"kind": -1}, "kind -1 is unknown; kinds are 1 to 8"),
        ({"kind": 1, "price_e4": 0}, "stock_trade has price 0; a price is above 0"),
        ({"price_e4": -100}, "`price_e4` is -100, below its limit: 0"),
        ({"ask_e4": -100}, "`ask_e4` is -100, below its limit: 0"),
        ({"size": -1}, "`size` is -1, below its limit: 0"),
        ({"instrument_id": 3}, "`instrument_id` 3 is unknown; the tape has 0 to 2"),
        ({"instrument_id": -1}, "`instrument_id` -1 is unknown; the tape has 0 to 2"),
    ],
)
def test_rows_the_engine_must_not_see_stop_the_stream_with_their_place(folder, tmp_path, values, found):
    """The kernel indexes arrays with these numbers; a wrong one would write outside them."""
    forge(folder, put(1500, **values))

    message = refusal(folder, tmp_path, rows=500)

    assert message.startswith(f"error: {found}")
    assert "in `TAPES/TSLA/2026-11-20/rows.parquet`, row 1500 (row group 1)" in message


def test_order_is_checked_between_batches_too(folder, tmp_path):
    """A row that falls behind the last one of the batch before is as wrong as any other."""
    forge(folder, put(1000, ts_recv_ns=1_795_185_000_000_000_000))

    message = refusal(folder, tmp_path, rows=1000)

    assert "row 1000 (row group 0)" in message


def test_batches_have_the_size_asked_for_and_the_engines_columns(folder):
    """The last one is shorter; types are the tape's and nothing is copied into something writable."""
    batches = list(Tape.open(folder).batches(rows=1000))

    assert [len(batch["kind"]) for batch in batches] == [1000, 1000, 1000]
    assert tuple(batches[0]) == ENGINE_COLUMNS
    assert {name: values.dtype for name, values in batches[0].items()} == {n: COLUMNS[n] for n in ENGINE_COLUMNS}


def test_a_stream_can_be_left_early(folder):
    """`--until` and errors stop in the middle; what decodes ahead must stop too."""
    first = next(iter(Tape.open(folder).batches(rows=10)))

    assert len(first["kind"]) == 10


def test_bytes_changed_without_a_decoding_error_are_found_at_the_end(folder, tmp_path):
    """A bit flipped in compressed prices mostly decodes to other prices; only the sha256 knows."""
    path = folder / "rows.parquet"
    frame = pl.read_parquet(path).with_columns(pl.col("trade_id") + 1)
    before = path.stat().st_size
    frame.write_parquet(path, row_group_size=ROW_GROUP)
    change_manifest(folder, lambda value: value["files"]["rows.parquet"].update(bytes=path.stat().st_size))

    message = refusal(folder, tmp_path)
    unchecked = sum(len(batch["kind"]) for batch in Tape.open(folder).batches(check_bytes=False))

    assert before > 0
    assert message == snapshot("""\
error: `rows.parquet` is not what was written: its checksum differs from the manifest's
  in `TAPES/TSLA/2026-11-20`

hint: `scalpcli tape verify TAPES/TSLA/2026-11-20` tells what is damaged; restore or import it again\
""")
    assert unchecked == SMALL_ROWS


def test_rows_that_end_early_are_told(folder, tmp_path):
    """A panic in one of Polars' threads ends the stream without an error; only the count tells."""
    tape = Tape.open(folder)
    tape.manifest = dataclasses.replace(tape.manifest, rows=SMALL_ROWS + 1)

    with pytest.raises(DataError) as caught:
        list(tape.batches(check_bytes=False))

    assert caught.value.render().replace(str(tmp_path), "TAPES") == snapshot("""\
error: rows cannot be read: 3000 rows can be read, the manifest says 3001
  in `TAPES/TSLA/2026-11-20/rows.parquet`, row 2048 (row group 2)

hint: `scalpcli tape verify TAPES/TSLA/2026-11-20` tells what is damaged; restore or import it again\
""")


def test_a_row_group_that_cannot_be_decoded_is_named(folder, tmp_path):
    """Damage in the middle is told by file, row and row group."""
    path = folder / "rows.parquet"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 2000 : middle + 2000] = bytes(4000)
    path.write_bytes(bytes(data))

    message = refusal(folder, tmp_path)

    assert message.startswith("error: rows cannot be read: ")
    assert "in `TAPES/TSLA/2026-11-20/rows.parquet`, row 1024 (row group 1)" in message


def test_every_flipped_byte_is_an_error_and_none_a_crash(folder):
    """Whatever byte flips, the stream ends with a message: never with fewer rows, other rows or a panic."""
    path = folder / "rows.parquet"
    sound = path.read_bytes()
    missed = []
    for at in np.random.default_rng(5).integers(0, len(sound), 40).tolist():
        flip_byte(path, at)
        try:
            for _ in Tape.open(folder).batches():
                pass
            missed.append(at)
        except DataError:
            path.write_bytes(sound)

    assert missed == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("not json", "this is not a note"),
        ('{"seq": 1}', "this is not a note"),
        ('{"seq": 7, "ts_recv_ns": 1, "kind": "run", "body": {}}', "the note has `seq` 7; in its place stands 1"),
        ('{"seq": 1, "ts_recv_ns": 1, "kind": "diary", "body": {}}', "the note's kind `diary` is unknown"),
        (
            '{"seq": 1, "ts_recv_ns": 1, "kind": "run", "body": 3}',
            "the note's kind `run` is unknown, or its body is no",
        ),
    ],
)
def test_a_line_that_is_no_note_is_told_by_its_number(folder, line, found):
    """Everything in notes.jsonl can change a decision; nothing of it is skipped."""
    path = folder / "notes.jsonl"
    first = path.read_text(encoding="utf-8").splitlines()[0]
    path.write_text(f"{first}\n{line}\n", encoding="utf-8")
    vouch(folder)

    with pytest.raises(DataError) as caught:
        Tape.open(folder).notes()

    assert caught.value.found.startswith(found)
    assert caught.value.place == f"`{path}`, line 2"


def test_opening_does_not_read_rows(folder):
    """`tape list` opens a folder of hundreds: rows that cannot be decoded show only when they are read."""
    path = folder / "rows.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:4] + bytes(20_000) + data[20_004:])

    tape = Tape.open(folder)

    assert tape.manifest.rows == SMALL_ROWS
    with pytest.raises(DataError):
        next(tape.batches())
