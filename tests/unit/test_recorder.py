"""The recorder's loop: what is written when, and what ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from scalpcli.errors import CredentialsError
from scalpcli.model.params import RecordParams
from scalpcli.model.row import CHANNELS_ALL, GAP, GAP_BEGIN, GAP_END
from scalpcli.runtime.recorder import FAILED, INTERRUPTED, TERMINATED, UNTIL, Limits, Recorder
from scalpcli.runtime.recorder_figures import LoopWatch, RecordingFigures, rates
from tests.recorder_fakes import FakeClock, FakeLog, FakeSource, block
from tests.tape_samples import CLOSE, OPEN

FAST = RecordParams(flush_ms=10)
GB = 1_000_000_000


class Bench:
    """A recorder between fakes."""

    def __init__(self, params: RecordParams = FAST, **options) -> None:
        self.source = FakeSource()
        self.log = FakeLog()
        self.clock = FakeClock()
        self.free = 100 * GB
        limits = Limits(CLOSE, Path("tapes"), lambda _folder: self.free)
        self.recorder = Recorder(self.source, self.log, params=params, clock=self.clock, limits=limits, **options)
        self.task = asyncio.create_task(self.recorder.run())

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - fakes tell no one
                await asyncio.sleep(0.002)

    async def end(self, reason: str = TERMINATED) -> str:
        self.recorder.stop(reason)
        return await self.task


def test_rows_are_written_in_the_order_they_were_learned():
    """Head rows first, then block after block; the log is closed at the end."""

    async def play():
        bench = Bench(head=(block(2, first=100),))
        bench.source.pending = [block(3), block(2, first=3)]
        await bench.until(lambda: len(bench.log.ids) == 7)
        await bench.end()
        return bench

    bench = asyncio.run(play())

    assert bench.log.ids == [100, 101, 0, 1, 2, 3, 4]
    assert bench.log.closed
    assert bench.log.summary == {"duplicates": 0}
    assert bench.source.was_cancelled


def test_the_last_rows_are_written_when_it_is_stopped():
    """What the source learned up to the signal is on the tape."""

    async def play():
        bench = Bench(dataclasses.replace(FAST, flush_ms=60_000))
        await bench.until(bench.source.running.is_set)
        bench.source.pending = [block(5)]
        return await bench.end(INTERRUPTED), bench.log

    ended, log = asyncio.run(play())

    assert ended == INTERRUPTED
    assert log.ids == [0, 1, 2, 3, 4]


def test_writing_does_not_block_the_event_loop():
    """A disk that hangs for a moment must not make the sockets wait: writing has a thread of its own."""

    async def play():
        bench = Bench()
        bench.log.hold.clear()
        bench.source.pending = [block(1)]
        await bench.until(lambda: bool(bench.log.threads))
        turns = 0
        for _ in range(20):
            await asyncio.sleep(0)
            turns += 1
        bench.log.hold.set()
        await bench.end()
        return bench.log, turns

    log, turns = asyncio.run(play())

    assert turns == 20
    assert len(log.threads) == 1
    assert threading.get_ident() not in log.threads
    assert log.ids == [0]


def test_a_caller_can_wait_until_its_rows_are_on_disk():
    """`live` sends no order before the rows that led to it are safe."""

    async def play():
        bench = Bench(dataclasses.replace(FAST, flush_ms=60_000))
        await bench.until(bench.source.running.is_set)
        await asyncio.sleep(0.02)
        bench.source.pending = [block(4)]
        await bench.recorder.written()
        flushed = list(bench.log.ids)
        await bench.recorder.written(durable=True)
        synced = bench.log.synced
        await bench.end()
        return flushed, synced

    flushed, synced = asyncio.run(play())

    assert flushed == [0, 1, 2, 3]
    assert synced == 1


def test_it_ends_when_the_markets_clock_says_so():
    """Not the machine's clock: a rehearsal may run at sixty times its speed."""

    async def play():
        bench = Bench()
        await bench.until(bench.source.running.is_set)
        bench.clock.now = CLOSE
        return await asyncio.wait_for(bench.task, 5)

    assert asyncio.run(play()) == UNTIL


def test_a_full_disk_ends_it_before_it_is_full():
    """Sealing needs room too; what was recorded is closed in order."""

    async def play():
        bench = Bench()
        bench.source.pending = [block(3)]
        await bench.until(lambda: len(bench.log.ids) == 3)
        bench.recorder._disk_due_s = 0.0
        bench.free = GB // 2
        return await asyncio.wait_for(bench.task, 5), bench

    ended, bench = asyncio.run(play())

    assert ended == FAILED
    assert bench.recorder.failure.exit_code == 4
    assert bench.recorder.failure.found == "0.50 GB of disk are free, below the limit: 1 GB"
    assert bench.log.closed
    assert bench.log.ids == [0, 1, 2]


def test_a_disk_that_refuses_ends_it_with_exit_4():
    """The rows before it are safe; the message says how the tape is sealed."""

    async def play():
        bench = Bench()
        bench.log.error = OSError(28, "No space left on device")
        bench.source.pending = [block(3)]
        return await asyncio.wait_for(bench.task, 5), bench.recorder.failure

    ended, failure = asyncio.run(play())

    assert ended == FAILED
    assert failure.exit_code == 4
    assert failure.found == "rows cannot be written: no space left on device"


def test_an_error_of_the_source_ends_it_after_the_rows_before_it():
    """Bad keys, a wrong plan: the source's error is told with its own exit code."""

    async def play():
        bench = Bench()
        await bench.until(bench.source.running.is_set)
        bench.source.pending = [block(2)]
        bench.source.fail(CredentialsError("the keys are wrong"))
        return await asyncio.wait_for(bench.task, 5), bench

    ended, bench = asyncio.run(play())

    assert ended == FAILED
    assert bench.recorder.failure.exit_code == 3
    assert bench.log.ids == [0, 1]


def test_a_fault_of_ours_is_not_swallowed_and_loses_no_row():
    """What is no expected failure is raised as it is, after the rows are written."""

    async def play():
        bench = Bench()
        await bench.until(bench.source.running.is_set)
        bench.source.pending = [block(2)]
        bench.source.fail(ZeroDivisionError("a fault"))
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(bench.task, 5)
        return bench.log

    log = asyncio.run(play())

    assert log.ids == [0, 1]
    assert log.closed


def test_readers_get_rows_before_the_next_write():
    """A reader that trades must not wait for the disk."""

    class Reader:
        count = 1

        def __init__(self) -> None:
            self.got: list[int] = []

        def publish(self, taken) -> None:
            self.got += taken.columns["trade_id"].tolist()

    async def play():
        reader = Reader()
        bench = Bench(dataclasses.replace(FAST, flush_ms=60_000), readers=reader)
        await asyncio.sleep(0.05)
        bench.source.pending = [block(3)]
        await bench.until(lambda: len(reader.got) == 3)
        written = list(bench.log.ids)
        await bench.end()
        return reader.got, written

    got, written = asyncio.run(play())

    assert got == [0, 1, 2]
    assert written == []


def test_a_recorder_that_cannot_write_is_not_alive():
    """A heartbeat vouches for rows that are written, not for a process that exists."""

    async def play():
        bench = Bench()
        await bench.until(lambda: bench.recorder.is_alive(5.0))
        bench.log.hold.clear()
        bench.source.pending = [block(1)]
        await bench.until(lambda: bool(bench.log.threads))
        await asyncio.sleep(0.06)
        alive = bench.recorder.is_alive(0.05)
        bench.log.hold.set()
        await bench.end()
        return alive, bench.recorder.is_alive(5.0)

    assert asyncio.run(play()) == (False, False)


# --- figures ---------------------------------------------------------------------------------------------


def test_figures_count_rows_and_their_lag():
    """Lag is the median of the block, from the exchange's stamp to ours; fetched rows are late by nature."""
    figures = RecordingFigures()

    figures.take(block(3))

    assert figures.by_name()["stock_trade"] == 3
    assert figures.lag_ms == 2.0
    assert figures.market_rows == 3


def test_blindness_is_told_when_it_begins_and_when_it_ends():
    """One line each, with the cause and the time blind."""
    said: list[str] = []
    figures = RecordingFigures(["@", "the stream went mute"], said.append)
    begun = {"size": CHANNELS_ALL, "flags": GAP_BEGIN, "conditions": 2, "ts_event_ns": OPEN}
    ended = {"size": CHANNELS_ALL, "flags": GAP_END, "ts_recv_ns": OPEN + 12_500_000_000}

    figures.take(block(1, kind=GAP, **begun))
    blind = figures.blind
    figures.take(block(1, kind=GAP, **ended))

    assert said == [
        "blind in all channels from 09:30:00.000: the stream went mute",
        "sees all channels again after 12.5 s",
    ]
    assert blind == ["stock_trades", "stock_quotes", "option_trades", "option_quotes", "price_only"]
    assert (figures.gaps, figures.blind, figures.market_rows) == (1, [], 0)


def test_a_gap_whose_channels_end_apart_has_one_length():
    """Its last channel tells it; the end of another gap does not touch it."""
    figures = RecordingFigures(["refused"])
    gap = {"conditions": 1, "ts_event_ns": OPEN}
    figures.take(block(1, kind=GAP, size=4, flags=GAP_BEGIN, **gap))
    figures.take(block(1, kind=GAP, size=3, flags=GAP_BEGIN, **gap))

    for channel, seconds in ((4, 1), (1, 2), (2, 3)):
        ended_ns = OPEN + seconds * 1_000_000_000
        figures.take(block(1, kind=GAP, size=channel, flags=GAP_END, ts_recv_ns=ended_ns))

    assert figures.last_gap == "stock_trades, stock_quotes from 09:30:00.000: refused, for 3.0 s"


def test_contracts_of_a_recording_that_is_gone_on_with_count():
    """What was recorded before the restart is recorded still."""
    assert RecordingFigures(contracts=64).contracts == 64


def test_a_late_event_loop_is_measured():
    """The 99.9th percent of a thousand wake-ups leaves the worst one out."""
    watch = LoopWatch()

    for _ in range(1999):
        watch.take(0.2)
    watch.take(80.0)

    assert watch.figures() == {"loop_late_ms_p999": 0.5, "loop_late_ms_max": 80.0}


def test_rates_are_rows_a_second():
    """From two counts; without time between them there is no rate."""
    assert rates({"stock_trade": 10}, {"stock_trade": 40, "gap": 1}, 2.0) == {"stock_trade": 15.0, "gap": 0.5}
    assert rates({}, {"gap": 1}, 0.0) == {"gap": 0.0}
