"""Sealing: a recording becomes a tape, whole or not at all, and what is missing is seen in it."""

from __future__ import annotations

import errno
import itertools
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams, TapeParams
from scalpcli.model.row import CHANNELS_ALL, COLD, COLUMNS, GAP, GAP_BEGIN, GAP_END
from scalpcli.runtime import seal
from scalpcli.runtime.seal import find_recordings, seal_recording
from scalpcli.runtime.segment_format import HEADER_BYTES
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_verify import verify
from tests.property.test_tape_roundtrip import sessions
from tests.segment_samples import (
    HEADER,
    NAMES,
    blocks_of,
    folder_in,
    joined,
    record,
    same,
    small_blocks,
    small_disk,
    tape_columns,
    without_gaps_of_sealing,
)
from tests.tape_samples import (
    CALL,
    NOTES,
    columns_of,
    contract,
    flip_byte,
    gap,
    leftovers,
    one,
    small_rows,
    small_tape,
    trade,
)
from tests.unit.test_segment_read import rows_frames

PARAMS = TapeParams(row_group_rows=1024)


@pytest.fixture
def folder(tmp_path):
    """Where the recording lies."""
    return folder_in(tmp_path)


def sealed(tmp_path, **options):
    """The sample recording's tape."""
    return Tape.open(seal_recording(folder_in(tmp_path), tmp_path, PARAMS, **options))


def gaps_of(tape):
    """Gap rows: begin, row received, channels, flags."""
    columns = tape_columns(tape.path)
    is_gap = columns["kind"] == GAP
    names = ("ts_event_ns", "ts_recv_ns", "size", "flags")
    return list(zip(*(columns[name][is_gap].tolist() for name in names), strict=True))


def causes_of(tape):
    """Causes of the gaps, in the tape's order."""
    return [note.body["cause"] for note in tape.notes() if note.kind == "gap_cause"]


def test_a_tape_has_exactly_the_rows_that_were_recorded(tmp_path, folder):
    """In every column, with notes, contracts and the texts of codes; the recording is gone."""
    record(folder, small_blocks())

    tape = sealed(tmp_path)

    assert same(tape_columns(tape.path), joined(small_blocks()))
    assert tuple((note.kind, note.body) for note in tape.notes()) == NOTES
    assert tape.instruments[1:] == NAMES["instruments"]
    assert (tape.manifest.conditions, tape.manifest.exchanges) == (["", "@", "@ F"], ["", "Q", "N"])
    assert verify(tape.path).findings == []
    assert leftovers(tmp_path / "TSLA")[1:] == [
        f"2026-11-20/{name}" for name in ("instruments.parquet", "manifest.json", "notes.jsonl", "rows.parquet")
    ]


def test_the_manifest_says_how_it_was_recorded(tmp_path, folder):
    """Settings, restarts, what the recorder counted, and that nothing is missing."""
    record(folder, small_blocks()[:6])
    record(folder, small_blocks()[6:], continuation=SegmentReader(folder).continuation(), flush_ms=100)

    source = sealed(tmp_path).manifest.source

    assert source["recording"].items() >= {"segments": 2, "rows": 600}.items()
    assert source["settings"] == {"flush_ms": 100, "fsync": "interval", "fsync_s": 5.0}
    assert source["counted"] == {"duplicates": 6}
    figures = ("restarts", "ended_in_order", "rows_lost", "rows_left_out", "rows_repeated", "damaged_places", "damage")
    assert [source[name] for name in figures] == [1, True, 0, 0, 0, 0, []]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    session=sessions(),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    restarts=st.sets(st.integers(0, 5)),
    pieces=st.integers(1, 70),
)
def test_what_was_written_is_read_and_sealed(session, cuts, restarts, pieces):
    """Any rows, in any blocks, with restarts after any of them, handed on in any pieces."""
    columns, notes = session
    bounds = sorted({0, len(columns["kind"]), *(cut % (len(columns["kind"]) + 1) for cut in cuts)})
    cold = columns["kind"] == COLD
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(seal, "_APPEND_ROWS", pieces)
        folder = folder_in(Path(name))
        writer = SegmentWriter(folder, RecordParams(fsync="never"), HEADER)
        for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
            part = {column: values[begin:end] for column, values in columns.items()}
            writer.append(
                Block(part, tuple(notes[int(cold[:begin].sum()) : int(cold[:end].sum())]), **({} if number else NAMES))
            )
            if number in restarts:
                writer.close()
                writer = SegmentWriter(
                    folder, RecordParams(fsync="never"), HEADER, continuation=SegmentReader(folder).continuation()
                )
        writer.close()

        tape = sealed(Path(name))

        kept = without_gaps_of_sealing(tape_columns(tape.path), tape.notes())
        assert same(kept, columns)
        found = [(note.kind, note.body) for note in tape.notes() if note.kind != "gap_cause"]
        assert found == [note for note in notes if note[0] != "gap_cause"]
        assert verify(tape.path).findings == []


def test_lost_rows_are_a_gap(tmp_path, folder):
    """From the last row before to the first one after, on every channel, with the cause in words."""
    record(folder, small_blocks())
    at, _ = rows_frames(folder / "000001.log")[3]
    flip_byte(folder / "000001.log", at + HEADER_BYTES)
    whole = joined(small_blocks())

    tape = sealed(tmp_path)

    recv_ns = whole["ts_recv_ns"]
    assert gaps_of(tape)[0] == (recv_ns[149], recv_ns[200], CHANNELS_ALL, GAP_BEGIN | GAP_END)
    assert causes_of(tape) == ["recording damaged; 50 rows lost"]
    kept = without_gaps_of_sealing(tape_columns(tape.path), tape.notes())
    assert same(kept, {name: np.delete(values, slice(150, 200)) for name, values in whole.items()})
    source = tape.manifest.source
    assert (source["rows_lost"], source["damage"][0]["file"], source["damage"][0]["offset"]) == (50, "000001.log", at)
    assert verify(tape.path).findings == []


def test_damage_that_took_no_row_is_no_gap(tmp_path, folder):
    """A copy of the names was hit: told in the manifest, and nothing was missed."""
    record(folder, small_blocks())
    flip_byte(folder / "000001.log", HEADER_BYTES)

    tape = sealed(tmp_path)

    assert causes_of(tape) == []
    assert tape.manifest.source["damaged_places"] == 1
    assert same(tape_columns(tape.path), joined(small_blocks()))


def test_a_recording_without_an_end_leaves_the_tape_blind(tmp_path, folder):
    """What came after the last row nobody knows: the gap begins there and is not closed."""
    record(folder, small_blocks()[:8], close=False)

    tape = sealed(tmp_path)

    last_ns = int(joined(small_blocks()[:8])["ts_recv_ns"][-1])
    assert gaps_of(tape) == [(last_ns, last_ns, CHANNELS_ALL, GAP_BEGIN)]
    assert causes_of(tape) == ["recorder stopped without an end"]
    assert not tape.manifest.source["ended_in_order"]


def restarted(folder, head):
    """A recording that stopped after 250 rows and went on with `head` and the rest."""
    record(folder, small_blocks()[:5], close=False)
    record(folder, [*head, *small_blocks()[5:]], continuation=SegmentReader(folder).continuation())


def head_of_restart(channels, begin_ns):
    """What a recorder writes when it goes on: that it was blind, and then that it sees."""
    ts_recv_ns = int(small_blocks()[5].columns["ts_recv_ns"][0])
    row = {"ts_recv_ns": ts_recv_ns, "ts_event_ns": begin_ns, "size": channels, "flags": GAP_BEGIN | GAP_END}
    return Block(columns_of([one(GAP, 0) | row]))


LAST_NS = int(small_blocks()[4].columns["ts_recv_ns"][-1])


def test_a_restart_that_the_recorder_told_of_gets_no_second_gap(tmp_path, folder):
    """Its own gap row says so already, from the last row on."""
    restarted(folder, [head_of_restart(7, LAST_NS), head_of_restart(8, LAST_NS)])

    tape = sealed(tmp_path)

    assert causes_of(tape) == []
    assert [found[2] for found in gaps_of(tape)[:2]] == [7, 8]


@pytest.mark.parametrize(
    ("head", "channels"),
    [
        ([], CHANNELS_ALL),
        ([head_of_restart(3, LAST_NS)], CHANNELS_ALL & ~3),
        ([head_of_restart(15, LAST_NS + 1)], 31),
    ],
    ids=["nothing said", "said of stocks", "said of a later time"],
)
def test_a_restart_that_the_recorder_did_not_tell_of_is_a_gap(tmp_path, folder, head, channels):
    """On the channels it said nothing of, up to the first row of the market."""
    restarted(folder, head)

    tape = sealed(tmp_path)

    first_ns = int(small_blocks()[5].columns["ts_recv_ns"][0])
    assert causes_of(tape) == ["recorder restarted"]
    assert (LAST_NS, first_ns, channels, GAP_BEGIN | GAP_END) in gaps_of(tape)


def test_rows_that_cannot_be_on_a_tape_are_left_out_and_told(tmp_path, folder):
    """One bad row must not cost the day."""
    good = small_rows(600)
    bad = {100: {"price_e4": -1}, 101: {"kind": 77}, 400: {"instrument_id": 9}, 401: {"exchange": -3}}
    rows = [row | bad.get(number, {}) for number, row in enumerate(good)]
    record(folder, blocks_of(rows, 50))

    tape = sealed(tmp_path)

    source = tape.manifest.source
    assert source["rows_left_out"] == 4
    assert len(source["left_out"]) == 4
    assert "`price_e4` is -1, below its limit: 0" in source["left_out"][0]
    assert same(tape_columns(tape.path), columns_of([row for number, row in enumerate(good) if number not in bad]))
    assert verify(tape.path).findings == []


def test_notes_that_cannot_be_on_a_tape_are_left_out_with_their_rows(tmp_path, folder):
    """The cold row goes with its note, the others stay paired."""
    notes = (NOTES[0], ("strange", {}))
    record(folder, blocks_of(small_rows(600), 50, notes=notes))

    tape = sealed(tmp_path)

    assert [note.kind for note in tape.notes()] == ["previous_levels"]
    assert tape.manifest.source["left_out"] == ["note kind `strange` is unknown"]
    assert tape.manifest.rows == 599


def test_contracts_that_cannot_be_on_a_tape_take_their_rows_with_them(tmp_path, folder):
    """The others are numbered anew, and keep their rows."""
    expired = contract(1, "TSLA261118C00400000")
    record(folder, blocks_of(small_rows(600), 50, names=NAMES | {"instruments": (expired, contract(2, CALL))}))
    rows = small_rows(600)

    tape = sealed(tmp_path)

    kept = [
        row | {"instrument_id": 1} if row["instrument_id"] == 2 else row for row in rows if row["instrument_id"] != 1
    ]
    assert [instrument.symbol for instrument in tape.instruments] == ["TSLA", CALL]
    assert same(tape_columns(tape.path), columns_of(kept))


def test_a_sealed_tape_is_not_touched(tmp_path, folder):
    """Another tape of the day stays as it is, and so does the recording."""
    tape = small_tape(tmp_path)
    before = (tape / "manifest.json").read_bytes()
    record(folder, small_blocks())

    with pytest.raises(DataError, match="a tape of TSLA on 2026-11-20 exists already"):
        sealed(tmp_path)

    assert (tape / "manifest.json").read_bytes() == before
    assert SegmentReader(folder).rows_read == 600


def test_a_recording_that_was_kept_goes_on_and_its_longer_tape_takes_the_place(tmp_path, folder):
    """A recorder stopped at eleven and started at noon leaves one tape."""
    record(folder, small_blocks()[:6])
    sealed(tmp_path, keep=True)
    head = head_of_restart(31, int(small_blocks()[5].columns["ts_recv_ns"][-1]))
    record(folder, [head, *small_blocks()[6:]][1:], continuation=SegmentReader(folder).continuation())

    tape = sealed(tmp_path)

    assert same(without_gaps_of_sealing(tape_columns(tape.path), tape.notes()), joined(small_blocks()))
    assert len(list((tmp_path / "TSLA").iterdir())) == 1


def test_a_recording_that_lost_segments_does_not_replace_its_tape(tmp_path, folder):
    """The longer tape is worth more."""
    record(folder, small_blocks()[:6])
    record(folder, small_blocks()[6:], continuation=SegmentReader(folder).continuation())
    sealed(tmp_path, keep=True)
    (folder / "000002.log").unlink()

    with pytest.raises(DataError, match="exists already"):
        sealed(tmp_path)


def test_a_recording_that_is_sealed_already_is_only_removed(tmp_path, folder):
    """The process died between the two: the tape's bytes stay."""
    record(folder, small_blocks())
    before = (sealed(tmp_path, keep=True).path / "rows.parquet").stat()

    after = (sealed(tmp_path).path / "rows.parquet").stat()

    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert find_recordings(tmp_path) == []


def test_a_bad_tape_of_a_recording_is_made_anew(tmp_path, folder):
    """As long as the recording is there."""
    record(folder, small_blocks())
    flip_byte(sealed(tmp_path, keep=True).path / "rows.parquet", 300)

    tape = sealed(tmp_path)

    assert verify(tape.path).findings == []


def test_what_interrupted_seals_left_is_cleared_away(tmp_path, folder):
    """Unfinished tapes of this session, recordings half removed; nothing of another session."""
    record(folder, small_blocks())
    parent = folder.parent
    for name in (".2026-11-20.abc.partial", ".2026-11-18.recording.removed", ".2026-11-19.abc.partial"):
        (parent / name / "sub").mkdir(parents=True)

    sealed(tmp_path)

    assert sorted(path.name for path in parent.iterdir()) == [".2026-11-19.abc.partial", "2026-11-20"]


def test_a_recording_being_written_is_not_sealed(tmp_path, folder):
    """`record repair` beside a living recorder must not take its files away."""
    writer = SegmentWriter(folder, RecordParams(), HEADER)
    writer.append(small_blocks()[0])
    writer.flush()

    with pytest.raises(DataError, match="another process is writing or sealing"):
        sealed(tmp_path)

    assert writer.flush() == 50
    writer.abandon()


def test_a_disk_that_refuses_leaves_the_recording(tmp_path, folder, monkeypatch):
    """And nothing half-written; the next try makes the tape."""
    record(folder, small_blocks())
    with monkeypatch.context() as patch:
        patch.setattr(
            "scalpcli.runtime.tape_writer.write_instruments",
            lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")),
        )
        with pytest.raises(DataError, match="the disk is full"):
            sealed(tmp_path)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    assert same(tape_columns(sealed(tmp_path).path), joined(small_blocks()))


@pytest.mark.parametrize("room", [8_192, 16_384, 32_768, 49_152])
def test_a_full_disk_leaves_the_recording(tmp_path, room):
    """The tape does not fit beside it, whichever of its files is the first that does not: exit 4, nothing half-made."""
    record(folder_in(tmp_path), blocks_of(noisy_rows(), 500, notes=()))
    size = sum(-(-path.stat().st_size // 4096) * 4096 for path in folder_in(tmp_path).iterdir())
    with small_disk(tmp_path / "disk", size + room) as disk:
        folder = folder_in(disk)
        shutil.copytree(folder_in(tmp_path), folder)

        with pytest.raises(DataError) as caught:
            sealed(disk)

        assert caught.value.exit_code == 4
        assert [path.name for path in folder.parent.iterdir()] == [folder.name]
        assert SegmentReader(folder).rows_read == 8_000


def noisy_rows():
    """Trades that hardly compress."""
    numbers = np.random.default_rng(3).integers(1, 2**40, 8_000).tolist()
    return [trade(1 + at / 1000, price_e4=number, trade_id=number) for at, number in enumerate(numbers)]


def test_a_tape_that_cannot_be_read_back_leaves_the_recording(tmp_path, folder, monkeypatch):
    """The recording is removed only after the tape was checked."""
    record(folder, small_blocks())

    def write_badly(*arguments, **options):
        write(*arguments, **options)
        flip_byte(tmp_path / "TSLA" / "2026-11-20" / "rows.parquet", 300)

    write = seal._write_tape
    with monkeypatch.context() as patch:
        patch.setattr(seal, "_write_tape", write_badly)
        with pytest.raises(DataError, match="the sealed tape is not what was recorded"):
            sealed(tmp_path)

    assert verify(sealed(tmp_path).path).findings == []


@pytest.mark.parametrize("make", [False, True])
def test_there_must_be_something_to_seal(tmp_path, folder, make):
    """No folder, or no rows: told, and no empty tape stands in the day's place."""
    if make:
        record(folder, [])

    with pytest.raises(DataError, match="the recording has no rows" if make else "there is no recording"):
        sealed(tmp_path)

    assert [path.name for path in tmp_path.glob("TSLA/*")] == [folder.name] * make


def test_recordings_are_found(tmp_path, folder):
    """Of all symbols, oldest first; a removed one is none."""
    record(folder, small_blocks())
    other = tmp_path / "AAPL" / ".2026-11-19.recording"
    shutil.copytree(folder, other)
    shutil.copytree(folder, tmp_path / "AAPL" / ".2026-11-18.recording.removed")

    assert find_recordings(tmp_path) == [other, folder]


def test_a_gap_across_pieces_stands_in_its_place(tmp_path, folder):
    """Rows of one instant, some before and some after a lost frame."""
    rows = [trade(1), trade(1), trade(1), gap(0, 1), trade(1)]
    record(folder, blocks_of(rows, 1, notes=()))
    at, _ = rows_frames(folder / "000001.log")[1]
    flip_byte(folder / "000001.log", at + HEADER_BYTES)

    tape = sealed(tmp_path)

    assert tape_columns(tape.path)["kind"].tolist() == [1, COLD, GAP, 1, GAP, 1]
    assert set(tape_columns(tape.path)) == set(COLUMNS)
