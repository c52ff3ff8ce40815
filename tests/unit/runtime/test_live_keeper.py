"""What the recorder does for whoever trades on its rows: hands them over at once, and writes them before an order."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Self

import numpy as np
import pytest

from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import RecordParams
from scalpcli.runtime.recorder import TERMINATED, Limits, Recorder, merged
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from tests.recorder_fakes import FakeClock, FakeLog, FakeSource, block
from tests.tape_samples import CLOSE


class Bench:
    """A recorder that is asked for rows, and writes none by itself for a minute."""

    def __init__(self) -> None:
        self.source, self.log = FakeSource(), FakeLog()
        self.heard: list[int] = []
        limits = Limits(CLOSE, Path("tapes"), lambda _folder: 10**12)
        params = RecordParams(flush_ms=60_000)
        self.recorder = Recorder(self.source, self.log, params=params, clock=FakeClock(), limits=limits)
        self.recorder.listen(lambda taken: self.heard.extend(taken.columns["trade_id"].tolist()))

    async def __aenter__(self) -> Self:
        self.task = asyncio.create_task(self.recorder.run())
        await self.source.running.wait()
        return self

    async def __aexit__(self, *_error: object) -> None:
        self.log.hold.set()
        self.recorder.stop(TERMINATED)
        await self.task


def test_rows_are_handed_over_in_the_moment_they_are_taken():
    """Whoever trades gets them before `take` returns; figures and the tap may wait."""

    async def play():
        async with Bench() as bench:
            bench.source.pending = [block(3)]
            bench.recorder.take()
            return list(bench.heard), bench.recorder.figures.rows

    heard, counted = asyncio.run(play())

    assert heard == [0, 1, 2]
    assert counted == 0


def test_rows_are_with_the_operating_system_when_write_now_returns():
    """In the thread that asks: two changes of threads would take longer than the rows."""

    async def play():
        async with Bench() as bench:
            bench.source.pending = [block(3)]
            bench.recorder.take()
            done = bench.recorder.write_now()
            return done, list(bench.log.ids), set(bench.log.threads)

    done, ids, threads = asyncio.run(play())

    assert (done, ids) == (True, [0, 1, 2])
    assert threads == {threading.get_ident()}


def test_rows_are_not_written_by_two_threads_at_once():
    """While the writing thread is at work, whoever asks is told to wait; the order of rows stays."""

    async def play():
        async with Bench() as bench:
            bench.source.pending = [block(2), block(2, first=2)]
            bench.log.hold.clear()
            writing = asyncio.create_task(bench.recorder.written())
            while not bench.log.threads:  # noqa: ASYNC110 - fakes tell no one
                await asyncio.sleep(0.001)
            bench.recorder.take()
            refused = bench.recorder.write_now()
            bench.log.hold.set()
            await writing
            await bench.recorder.written()
            return refused, list(bench.log.ids)

    assert asyncio.run(play()) == (False, [0, 1, 2, 3])


def test_a_disk_that_refuses_says_so_to_whoever_asks():
    """And it ends the recording, as at any other write."""

    async def play():
        bench = Bench()
        async with bench:
            bench.source.pending = [block(1)]
            bench.recorder.take()
            bench.log.error = OSError(28, "No space left on device")
            with pytest.raises(DataError, match="no space left on device"):
                bench.recorder.write_now()
            bench.log.error = None
        return bench.recorder.ended

    assert asyncio.run(play()) == "failed"


def test_blocks_that_follow_each_other_become_one():
    """Rows, notes and names in their order: a frame per row would be all frames."""
    first = block(2, news={"instruments": (Instrument(1, "TSLA261120C00400000"),), "conditions": ("@",)})
    second = block(1, first=2, news={"conditions": ("I",), "exchanges": ("Q",)})

    one = merged([first, second])

    assert np.array_equal(one.columns["trade_id"], [0, 1, 2])
    assert one.conditions == ("@", "I")
    assert one.exchanges == ("Q",)
    assert one.instruments == first.instruments


def test_an_order_waits_for_no_disk_but_its_own_line(tmp_path, monkeypatch):
    """Rows are handed to the operating system, whatever `fsync` says: the journal's line is what is synced."""
    header = {"symbol": "TSLA", "session": "2026-11-20", "feeds": {}}
    writer = SegmentWriter(tmp_path / "rows", RecordParams(fsync="always"), header)
    writer.append(block(3))
    synced: list[int] = []
    monkeypatch.setattr("scalpcli.runtime.segment_file.os.fdatasync", synced.append)

    rows = writer.hand_over()

    assert (rows, synced) == (3, [])
    writer.abandon()
    assert SegmentReader(tmp_path / "rows").rows_read == 3
