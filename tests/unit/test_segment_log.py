"""Writing a recording: what is safe when, and what a disk that refuses does to it."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
import threading

import pytest

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams
from scalpcli.runtime import segment_file, segment_read
from scalpcli.runtime.segment_file import list_segments
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from tests.segment_samples import HEADER, MIB, blocks_of, joined, read, record, same, small_blocks, small_disk
from tests.tape_samples import CALL, NOTES, columns_of, contract, one, trade


class Clock:
    """A clock that is set by hand, seconds."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def folder(tmp_path):
    """Where the recording goes."""
    return tmp_path / "recording"


@pytest.fixture
def syncs(monkeypatch):
    """Counts how often the disk was waited for."""
    calls = []
    fdatasync = os.fdatasync
    monkeypatch.setattr(segment_file.os, "fdatasync", lambda descriptor: calls.append(fdatasync(descriptor)))
    return calls


def test_what_was_flushed_is_read_back(folder):
    """Rows, notes, contracts and texts of codes, in every column."""
    blocks = small_blocks()

    record(folder, blocks)

    reader = SegmentReader(folder)
    assert same(joined(reader.blocks()), joined(blocks))
    assert read(folder)[1] == NOTES
    assert reader.damage == []
    assert reader.is_complete
    assert reader.names.to_plain() == {
        "instruments": reader.names.to_plain()["instruments"],
        "conditions": [(1, "@"), (2, "@ F")],
        "exchanges": [(1, "Q"), (2, "N")],
    }
    assert list(reader.names.instruments.values()) == list(blocks[0].instruments)


def test_flush_says_how_many_rows_are_safe(folder):
    """A row that was appended and not flushed is in memory alone."""
    first, second, *_ = small_blocks()
    with SegmentWriter(folder, RecordParams(), HEADER) as writer:
        writer.append(first)
        before = len(list_segments(folder))
        flushed = writer.flush()
        writer.append(second)

        assert (before, flushed, SegmentReader(folder).rows, writer.rows) == (0, 50, 50, 100)


@pytest.mark.parametrize(("fsync", "expected"), [("never", 0), ("interval", 1), ("always", 4)])
def test_the_disk_is_waited_for_as_told(folder, syncs, fsync, expected):
    """Never; once `fsync_s` has passed; at every flush."""
    clock = Clock()
    writer = SegmentWriter(folder, RecordParams(fsync=fsync, fsync_s=5.0), HEADER, seconds=clock)
    for block in small_blocks()[:4]:
        clock.now_s += 2.0
        writer.append(block)
        writer.flush()

    assert len(syncs) == expected
    writer.abandon()


def test_sync_waits_for_the_disk_whatever_the_setting(folder, syncs):
    """Who is about to send an order asks for its rows to be on disk, and is told how many are."""
    with SegmentWriter(folder, RecordParams(fsync="never"), HEADER) as writer:
        writer.append(small_blocks()[0])

        assert (writer.sync(), len(syncs)) == (50, 1)


def test_a_segment_ends_at_its_age(folder):
    """`segment_minutes` after its first row."""
    clock = Clock()
    with SegmentWriter(folder, RecordParams(segment_minutes=1.0), HEADER, seconds=clock) as writer:
        for block in small_blocks():
            writer.append(block)
            writer.flush()
            clock.now_s += 20.0

    assert [path.name for path in list_segments(folder)] == [f"{number:06d}.log" for number in range(1, 6)]
    assert same(read(folder)[0], joined(small_blocks()))


def test_a_segment_ends_at_its_size(folder, monkeypatch):
    """`segment_mb`, here with a tiny megabyte."""
    monkeypatch.setattr("scalpcli.runtime.segment_log._BYTES_PER_MB", 1_500)

    record(folder, small_blocks(), segment_mb=1)

    assert len(list_segments(folder)) > 2
    assert same(read(folder)[0], joined(small_blocks()))


def test_a_restart_writes_to_a_new_segment(folder):
    """What was closed, or torn, is never touched again; codes, contracts and row numbers go on."""
    blocks = small_blocks()
    record(folder, blocks[:5], close=False)
    before = (folder / "000001.log").read_bytes()

    continuation = SegmentReader(folder).continuation()
    record(folder, blocks[5:], continuation=continuation)

    assert (folder / "000001.log").read_bytes() == before
    assert [path.name for path in list_segments(folder)] == ["000001.log", "000002.log"]
    assert (continuation.rows, continuation.processes) == (250, 1)
    assert continuation.last_ts_recv_ns == blocks[4].columns["ts_recv_ns"][-1]
    assert (continuation.instruments, continuation.conditions, continuation.exchanges) == (
        blocks[0].instruments, blocks[0].conditions, blocks[0].exchanges,
    )  # fmt: skip
    assert same(read(folder)[0], joined(blocks))


def test_who_goes_on_is_told_the_last_rows(folder, monkeypatch):
    """All of them, or as many frames as hold enough; what came last of each channel says since when it is blind."""
    blocks = small_blocks()
    record(folder, blocks[:5], close=False)

    whole = SegmentReader(folder).continuation()
    monkeypatch.setattr(segment_read, "TAIL_ROWS", 60)
    some = SegmentReader(folder).continuation()

    assert whole.is_tail_whole
    assert same(whole.tail, joined(blocks[:5]))
    assert not some.is_tail_whole
    assert same(some.tail, joined(blocks[3:5]))


def test_names_go_on_after_a_restart(folder):
    """A contract seen later has the next number; one out of turn is refused."""
    record(folder, small_blocks()[:5], close=False)
    continuation = SegmentReader(folder).continuation()
    writer = SegmentWriter(folder, RecordParams(), HEADER, continuation=continuation)
    later = contract(3, "TSLA261120C00410000")
    row = columns_of([one(4, 20_000, instrument_id=3, price_e4=100, ask_e4=200, size=1, ask_size=1)])

    with pytest.raises(DataError, match="the next one is 3"):
        writer.append(Block(row, instruments=(dataclasses.replace(later, instrument_id=1),)))
    writer.append(Block(row, instruments=(later,), conditions=("I",)))
    writer.close()

    names = SegmentReader(folder).names
    assert names.instruments[3] == later
    assert names.conditions == {1: "@", 2: "@ F", 3: "I"}


def test_a_recording_is_not_begun_over_another(folder):
    """Whoever forgets to go on with it would number its rows from nought again."""
    record(folder, small_blocks()[:1], close=False)

    with pytest.raises(DataError, match="there is a recording already"):
        SegmentWriter(folder, RecordParams(), HEADER)


def test_two_processes_do_not_write_one_recording(folder):
    """The second is told; the lock goes with its process."""
    writer = SegmentWriter(folder, RecordParams(), HEADER)

    with pytest.raises(DataError, match="another process is writing or sealing"):
        SegmentWriter(folder, RecordParams(), HEADER)
    writer.abandon()
    SegmentWriter(folder, RecordParams(), HEADER).abandon()


@pytest.mark.parametrize(
    ("block", "found"),
    [
        (Block(columns_of([trade(5), trade(4)])), "`ts_recv_ns` falls"),
        (Block(columns_of([trade(-90)])), "`ts_recv_ns` falls"),
        (Block(columns_of([one(8, 30_000)])), "1 cold rows and 0 notes"),
        (Block({"kind": columns_of([trade(1)])["kind"]}), "misses column"),
    ],
    ids=["falls inside", "falls before", "no note", "no column"],
)
def test_a_block_that_could_not_be_sealed_is_refused(folder, block, found):
    """Nothing of it is taken; the recording goes on."""
    with SegmentWriter(folder, RecordParams(), HEADER) as writer:
        writer.append(small_blocks()[0])

        with pytest.raises(DataError, match=found):
            writer.append(block)
        assert writer.flush() == 50


def refusing(monkeypatch, *, after, error, name="write"):
    """Let the disk take `after` calls (or bytes) and refuse the next one."""
    real = getattr(os, name)
    state = {"left": after, "refused": 0}

    def call(descriptor, *data):
        if name == "write":
            if state["left"] <= 0 and not state["refused"]:
                state["refused"] = 1
                raise OSError(error, os.strerror(error))
            piece = data[0][: max(1, state["left"])] if not state["refused"] else data[0]
            state["left"] -= len(piece)
            return real(descriptor, piece)
        state["left"] -= 1
        if state["left"] < 0 and not state["refused"]:
            state["refused"] = 1
            raise OSError(error, os.strerror(error))
        return real(descriptor, *data)

    monkeypatch.setattr(segment_file.os, name, call)
    return state


def test_short_writes_are_finished(folder, monkeypatch):
    """The system may take seven bytes of a frame and say so; the rest follows."""
    real = os.write
    monkeypatch.setattr(segment_file.os, "write", lambda descriptor, data: real(descriptor, data[:7]))

    record(folder, small_blocks()[:3])

    assert same(read(folder)[0], joined(small_blocks()[:3]))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("after", range(0, 9_000, 400))
def test_a_refusal_at_any_byte_loses_nothing_that_was_acknowledged(folder, monkeypatch, error, after):
    """The error names the file; what was flushed is read back, and the rest is written once the disk takes it."""
    state = refusing(monkeypatch, after=after, error=error)
    blocks = small_blocks()
    writer = SegmentWriter(folder, RecordParams(), HEADER)
    acknowledged, told = 0, []
    for block in blocks:
        writer.append(block)
        try:
            acknowledged = writer.flush()
        except DataError as refused:
            told.append(refused)
            readable = SegmentReader(folder).rows_read if list_segments(folder) else 0
            assert readable == acknowledged
    writer.close()

    assert len(told) == state["refused"]
    assert all(refused.exit_code == 4 and ".log" in refused.place for refused in told)
    reader = SegmentReader(folder)
    assert same(joined(reader.blocks()), joined(blocks))
    assert reader.damage == []


@pytest.mark.parametrize("after", range(4))
def test_a_failed_fsync_is_fatal_for_its_file_and_for_no_row(folder, monkeypatch, after):
    """Nobody knows what is on disk then: a new file gets everything since the last success, and copies are skipped."""
    refusing(monkeypatch, after=after, error=errno.EIO, name="fdatasync")
    blocks = small_blocks()

    record(folder, blocks, fsync="always")

    reader = SegmentReader(folder)
    assert len(list_segments(folder)) == 2
    assert same(joined(reader.blocks()), joined(blocks))
    assert (reader.repeated, reader.damage, reader.is_complete) == (50, [], True)


def test_a_failed_fsync_without_a_copy_is_told(folder, monkeypatch):
    """With `fsync = never` nothing is kept to be written again: who asked for `sync` must not go on."""
    refusing(monkeypatch, after=0, error=errno.EIO, name="fdatasync")
    writer = SegmentWriter(folder, RecordParams(fsync="never"), HEADER)
    writer.append(small_blocks()[0])

    with pytest.raises(DataError, match="the disk refuses: Input/output error"):
        writer.sync()
    writer.abandon()
    assert SegmentReader(folder).rows_read == 50


def test_what_nobody_flushes_is_flushed_before_memory_runs_out(folder, monkeypatch):
    """The bound is 4 MB of compressed rows; here it is small."""
    monkeypatch.setattr("scalpcli.runtime.segment_log._PENDING_BYTES_MAX", 2_000)
    writer = SegmentWriter(folder, RecordParams(), HEADER)

    for block in small_blocks():
        writer.append(block)

    assert SegmentReader(folder).rows_read > 0
    writer.abandon()


FILL = """
import sys
from pathlib import Path
from scalpcli.errors import DataError
from scalpcli.model.params import RecordParams
from scalpcli.runtime.segment_log import SegmentWriter
from tests.segment_samples import HEADER, small_blocks
import resource, signal
if sys.argv[2] != "0":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
writer = SegmentWriter(Path(sys.argv[1]), RecordParams(), HEADER)
acknowledged = 0
try:
    for block in small_blocks(24_000, 50):
        writer.append(block)
        acknowledged = writer.flush()
except DataError as error:
    print(acknowledged, error.exit_code, error.found, error.place, sep="|")
"""


def fill(folder, limit):
    """A process that records until the disk, or its limit, is full; what it says."""
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(folder), str(limit)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip().split("|")


def assert_full(folder, said):
    """What was acknowledged is there, and the error says which disk is full."""
    reader = SegmentReader(folder)
    assert said[1:3] == ["4", "the disk is full"]
    assert said[3].startswith(f"`{folder}")
    assert reader.rows_read == int(said[0]) > 0
    assert same(joined(reader.blocks()), {k: v[: int(said[0])] for k, v in joined(small_blocks(24_000)).items()})


def test_a_limit_on_the_files_size_is_a_full_disk(folder):
    """The system cuts a write short at the limit, and refuses the next one."""
    said = fill(folder, 20_001)

    assert_full(folder, said)


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path):
    """On a real file system of 128 KB."""
    with small_disk(tmp_path / "disk", MIB // 8) as disk:
        said = fill(disk / "recording", 0)

        assert_full(disk / "recording", said)


def test_rows_are_appended_while_others_are_written(folder, monkeypatch):
    """One thread takes rows in while another waits for the disk and begins segments: none is lost or comes twice."""
    monkeypatch.setattr("scalpcli.runtime.segment_log._BYTES_PER_MB", 20)
    blocks = small_blocks(6_000, 20)
    writer = SegmentWriter(folder, RecordParams(fsync="always"), HEADER)
    done = threading.Event()
    safe = []

    def flush():
        while not done.is_set():
            safe.append(writer.flush())

    other = threading.Thread(target=flush)
    other.start()
    for block in blocks:
        writer.append(block)
    done.set()
    other.join()
    writer.close()

    assert safe == sorted(safe)
    assert same(read(folder)[0], joined(blocks))


def test_large_blocks_become_several_frames(folder):
    """A frame is bounded, so that one damaged place takes no more than that."""
    rows = [one(8, 1)] + [trade(2 + number / 1000) for number in range(40_000)] + [one(8, 23_000)]
    blocks = blocks_of(rows, 100_000)

    record(folder, blocks)

    reader = SegmentReader(folder)
    assert len(list(reader.blocks())) == 3
    assert same(joined(reader.blocks()), joined(blocks))
    assert read(folder)[1] == NOTES
    assert CALL in {instrument.symbol for instrument in reader.names.instruments.values()}
