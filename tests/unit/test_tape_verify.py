"""What `tape verify` finds, and where it says it is."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from inline_snapshot import snapshot

from scalpcli.errors import DataError
from scalpcli.runtime import tape_verify
from scalpcli.runtime.manifest import CHUNK_BYTES
from scalpcli.runtime.tape_verify import Finding, verify
from tests.tape_samples import (
    SMALL_ROWS,
    change_manifest,
    columns_of,
    flip_byte,
    forge,
    put,
    small_tape,
    trade,
    vouch,
    writer,
)


@pytest.fixture
def folder(tmp_path):
    """A sound tape to damage."""
    return small_tape(tmp_path)


def findings(folder):
    """What is wrong, as plain tuples."""
    return [(found.file, found.place, found.found) for found in verify(folder).findings]


def test_a_sound_tape_has_nothing_wrong(folder):
    """Every row was looked at, and nothing found."""
    result = verify(folder)

    assert (result.rows, result.findings) == (SMALL_ROWS, [])


def test_an_empty_tape_is_sound(tmp_path):
    """It is what was written, though nothing can be replayed from it."""
    with writer(tmp_path) as tape:
        path = tape.seal()

    assert verify(path).findings == []


@pytest.mark.parametrize("name", ["rows.parquet", "notes.jsonl", "instruments.parquet"])
def test_a_missing_file_is_named(folder, name):
    """The rest is checked as far as it can be."""
    (folder / name).unlink()

    assert (name, "", "is missing") in findings(folder)


def test_a_missing_manifest_leaves_nothing_to_compare(folder):
    """Without it nobody knows what was written."""
    (folder / "manifest.json").unlink()

    with pytest.raises(DataError) as caught:
        verify(folder)

    assert caught.value.found == "`manifest.json` is missing beside `rows.parquet`"


def test_truncation_is_told_with_the_byte_it_begins_at(folder):
    """Where a copy stopped, and how much is missing."""
    path = folder / "rows.parquet"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:1000])

    found = findings(folder)

    assert found[0] == ("rows.parquet", "byte 1000", f"is cut off: 1000 of {size} bytes")
    assert found[1] == ("rows.parquet", "bytes 0 to 1000", "sha256 differs from the manifest's")
    assert found[2][2].startswith("this is no readable Parquet file: ")


def test_a_flipped_byte_is_told_by_the_megabyte_it_lies_in(tmp_path):
    """The manifest holds a checksum of each; three megabytes in, the third is named and no other."""
    rng = np.random.default_rng(1)
    block = columns_of([trade(1)] * 300_000)
    block["trade_id"] = rng.integers(0, 2**60, 300_000)
    block["ts_event_ns"] += rng.integers(0, 2**30, 300_000)
    with writer(tmp_path) as tape:
        tape.append(block)
        path = tape.seal()
    flip_byte(path / "rows.parquet", 2 * CHUNK_BYTES + 12345)

    found = verify(path).findings

    assert found[0] == Finding("rows.parquet", "bytes 2097152 to 3145728", "sha256 differs from the manifest's")


def test_any_flipped_byte_of_any_file_is_found(folder):
    """Whatever byte it is and whatever it decodes to."""
    missed = []
    for name in ("rows.parquet", "notes.jsonl", "instruments.parquet"):
        path = folder / name
        sound = path.read_bytes()
        for at in np.random.default_rng(7).integers(0, len(sound), 10).tolist():
            flip_byte(path, at)
            if not any(found[0] == name for found in findings(folder)):
                missed.append((name, at))
            path.write_bytes(sound)

    assert missed == []
    assert findings(folder) == []


def test_a_row_group_that_cannot_be_decoded_is_named(folder, capfd):
    """Row and row group, and no panic of a library on the screen."""
    path = folder / "rows.parquet"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 2000 : middle + 2000] = bytes(4000)
    path.write_bytes(bytes(data))

    last = findings(folder)[-1]

    assert last[:2] == ("rows.parquet", "row 1024 (row group 1)")
    assert last[2].startswith("cannot be decoded: ")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"kind": 99}, "kind 99 is unknown; kinds are 1 to 8"),
        ({"price_e4": -1}, "`price_e4` is -1, below its limit: 0"),
        ({"conditions": 77}, "`conditions` has code 77; the dictionary `conditions` ends at 2"),
        ({"kind": 7, "size": 0, "flags": 8192}, "gap names no channels; `size` is 1 to 31"),
        ({"kind": 6, "flags": 0}, "status has neither or both of halt_begin and halt_end"),
    ],
)
def test_a_row_that_breaks_a_rule_is_named(folder, values, found):
    """A file whose bytes are right may still hold what no tape may."""
    forge(folder, put(2500, **values))

    assert ("rows.parquet", "row 2500 (row group 2)", found) in findings(folder)


def test_unsorted_rows_are_told_once_by_the_first(folder, monkeypatch):
    """A thousand more rows out of order say nothing new, in this batch or a later one."""
    monkeypatch.setattr(tape_verify, "BATCH_ROWS", 500)
    forge(folder, lambda rows: rows.reverse())

    unsorted = [found for found in findings(folder) if "`ts_recv_ns` falls" in found[2]]

    assert [found[:2] for found in unsorted] == [("rows.parquet", "row 1 (row group 0)")]


def test_absent_values_are_named(folder):
    """A null is not a number a tape may hold."""
    forge(folder, lambda rows: rows.with_columns(trade_id=pl.when(pl.col("trade_id") != 3).then("trade_id")))

    assert ("rows.parquet", "row 3 (row group 0)", "`trade_id` is absent; no value may be") in findings(folder)


def test_rows_changed_by_whoever_also_renewed_the_checksums_are_found(folder):
    """The digest of the decoded rows is what names a market; it must fit the rows."""
    forge(folder, put(2500, trade_id=1))

    assert findings(folder) == snapshot(
        [("manifest.json", "`rows_digest`", "differs from the digest of the decoded rows")]
    )


def test_a_rewritten_file_with_equal_rows_keeps_its_digest(folder):
    """Another compression is no other market: only the file's own checksum would differ."""
    forge(folder, lambda rows: rows)

    assert findings(folder) == []


def test_counts_that_do_not_fit_are_named(folder):
    """The manifest is what people read first."""
    change_manifest(folder, lambda value: value["counts"].update(gap=5))

    assert findings(folder) == [("manifest.json", "`counts`", "counts 5 rows of gap, there are 1")]


def rewrite_notes(folder, change):
    """Edit the notes line by line and vouch for them."""
    path = folder / "notes.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in change(lines)), encoding="utf-8")
    vouch(folder)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: lines[:1], ("notes.jsonl", "line 2", "is missing: row 2999 (row group 2) is a cold row")),
        (lambda lines: [*lines, {**lines[1], "seq": 2}], ("notes.jsonl", "line 3", "belongs to no cold row")),
        (
            lambda lines: [lines[0], {**lines[1], "ts_recv_ns": 5}],
            ("notes.jsonl", "line 2", "has `ts_recv_ns` 5, its cold row 2999 has 1795208300000000000"),
        ),
        (
            lambda lines: [lines[0], {**lines[1], "seq": 9}],
            ("notes.jsonl", "line 2", "the note has `seq` 9; in its place stands 1"),
        ),
    ],
)
def test_notes_must_pair_with_cold_rows(folder, change, expected):
    """A note says what was known when; that is its cold row's time."""
    rewrite_notes(folder, change)

    assert expected in findings(folder)


def test_a_session_without_a_calendar_day_is_a_finding(folder):
    """The check goes on to say what else is wrong."""
    change_manifest(folder, lambda value: value.update(session="2026-11-21"))

    assert findings(folder)[0][0] == "manifest.json"
