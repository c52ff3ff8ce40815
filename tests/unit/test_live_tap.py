"""A trader beside a recorder: its rows by the tap, the morning's from its recording, blind when it is gone."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import time

import numpy as np
import pytest

from scalpcli.cli.alpaca_access import Access
from scalpcli.cli.live_tap import LOST, TappedMarket, has_tap
from scalpcli.cli.record_feed import MarketPlan
from scalpcli.errors import DataError, UpstreamUnavailable
from scalpcli.model.note import GAP_CAUSE, RUN
from scalpcli.model.params import AlpacaParams, RecordParams
from scalpcli.model.row import COLD, GAP, OPTION_QUOTE, STOCK_TRADE
from scalpcli.model.session import session_of
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.lock import Owner, RecorderLock
from scalpcli.runtime.recording import symbol_folder
from scalpcli.runtime.segment_format import Names
from scalpcli.runtime.tap import Tap
from tests.recorder_fakes import block
from tests.segment_samples import HEADER, folder_in, record
from tests.tape_samples import CALL, DAY, OPEN, PUT, contract

PAST_OPEN_NS = OPEN + 3_600_000_000_000
NEWS = {"instruments": (contract(1, PUT), contract(2, CALL)), "conditions": ("@",), "exchanges": ("Q",)}


class Clock(MarketClock):
    """An hour after the open, and going on."""

    def __init__(self):
        self.begun_ns = time.monotonic_ns()

    def now_ns(self):
        return PAST_OPEN_NS + time.monotonic_ns() - self.begun_ns


@contextlib.asynccontextmanager
async def recorder(root, header=None, **settings):
    """A recorder that holds its lock and offers its rows."""
    tap = Tap(header or HEADER, **settings)
    await tap.open()
    try:
        with RecorderLock(symbol_folder(root, "TSLA"), "TSLA", "sip") as lock:
            lock.tell(Owner(os.getpid(), tap.path))
            yield tap
    finally:
        await tap.close()


class Rest:
    """Alpaca's list of contracts."""

    def contracts(self, symbol, first, last, status):
        del symbol, first, last, status
        return [{"symbol": each, "multiplier": "100", "size": "100"} for each in (CALL, PUT)]


def market(root, said=None, continuation=None):
    access = Access(AlpacaParams(), "", "", Clock())
    plan = MarketPlan("TSLA", session_of(DAY), RecordParams(), access)
    say = (said if said is not None else []).append
    made = TappedMarket(plan, root, last_ns=0, continuation=continuation, wake=lambda: None, say=say)
    made.prepare(Rest())
    return made


def play(root, steps, **options):
    async def whole():
        async with recorder(root, **options) as tap:
            return await asyncio.wait_for(steps(tap), 20)

    return asyncio.run(whole())


async def drained(source, rows):
    """Blocks until they hold so many rows."""
    blocks = []
    while sum(each.rows for each in blocks) < rows:
        await asyncio.sleep(0.001)
        blocks.append(source.drain())
    return [each for each in blocks if each.rows or each.instruments]


def column(blocks, name):
    return np.concatenate([each.columns[name] for each in blocks]).tolist()


def test_rows_get_the_runs_own_numbers(tmp_path):
    """The recorder numbered contracts as it met them; the run numbers the whole list, by expiry and strike."""

    async def steps(tap):
        source = market(tmp_path)
        own = {each.symbol: each.instrument_id for each in source.listed}
        await source.open()
        task = asyncio.create_task(source.run())
        tap.publish(block(1, news=NEWS, kind=OPTION_QUOTE, instrument_id=1, conditions=1, exchange=1))
        tap.publish(block(1, first=1, kind=OPTION_QUOTE, instrument_id=2))
        blocks = await drained(source, 2)
        task.cancel()
        return own, blocks

    own, blocks = play(tmp_path, steps)

    assert column(blocks, "instrument_id") == [own[PUT], own[CALL]]
    assert {each.symbol for each in blocks[0].instruments} == {PUT, CALL}
    assert (blocks[0].conditions, blocks[0].exchanges) == (("@",), ("Q",))
    assert column(blocks, "conditions") == [1, 0]


def test_a_row_is_stamped_when_the_trader_learns_it(tmp_path):
    """A stamp that was taken says that every earlier row had come; none may come before it afterwards."""

    async def steps(tap):
        source = market(tmp_path)
        await source.open()
        task = asyncio.create_task(source.run())
        stamp_ns = source.aggregator.stamp()
        source.aggregator.note(RUN, {"nonce": "x"})
        tap.publish(block(3))
        blocks = await drained(source, 4)
        task.cancel()
        return stamp_ns, blocks

    stamp_ns, blocks = play(tmp_path, steps)

    stamps = column(blocks, "ts_recv_ns")
    assert column(blocks, "kind") == [COLD, STOCK_TRADE, STOCK_TRADE, STOCK_TRADE]
    assert stamps == sorted(stamps)
    assert stamps[0] > stamp_ns
    assert column(blocks, "ts_event_ns")[1] == OPEN - 2_000_000


def test_the_morning_comes_from_the_recording(tmp_path):
    """As many rows as the recorder had when the tap was opened, at their own times, none twice."""
    record(folder_in(tmp_path), [block(50, news=NEWS), block(50, first=50)], close=False)

    async def steps(tap):
        del tap
        source = market(tmp_path)
        before = await source.open()
        await source.close()
        return before, list(source.morning(before))

    before, blocks = play(tmp_path, steps, rows=70, names=Names({1: contract(1, PUT)}, {1: "@"}, {1: "Q"}))

    assert before == 70
    assert column(blocks, "trade_id") == list(range(70))
    assert column(blocks, "ts_recv_ns")[0] == OPEN


def test_contracts_that_are_not_listed_are_left_out_and_counted(tmp_path):
    """The engine has no place for them."""
    stranger = {"instruments": (contract(1, "TSLA261218C00400000"),)}

    async def steps(tap):
        source = market(tmp_path)
        await source.open()
        task = asyncio.create_task(source.run())
        tap.publish(block(1, news=stranger, kind=OPTION_QUOTE, instrument_id=1))
        tap.publish(block(1, first=1))
        blocks = await drained(source, 1)
        task.cancel()
        return blocks, source.status()

    blocks, status = play(tmp_path, steps)

    assert column(blocks, "kind") == [STOCK_TRADE]
    assert (status["left_out"], status["rows"]["stock_trade"]) == (1, 1)


def test_a_recorder_that_is_gone_is_a_gap_until_it_is_back(tmp_path):
    """The trader is blind in between, and says so in a row."""
    said: list[str] = []

    async def whole():
        source = market(tmp_path, said)
        async with recorder(tmp_path) as tap:
            await source.open()
            task = asyncio.create_task(source.run())
            tap.publish(block(1))
            before = await drained(source, 1)
        gone = await drained(source, 2)
        blind = source.aggregator.open_gaps
        async with recorder(tmp_path) as tap:
            while tap.count == 0:  # noqa: ASYNC110 - the tap tells no one
                await asyncio.sleep(0.001)
            tap.publish(block(1, first=1))
            after = await drained(source, 2)
        task.cancel()
        return before, gone, blind, after, source.aggregator.open_gaps

    before, gone, blind, after, open_gaps = asyncio.run(asyncio.wait_for(whole(), 20))

    assert column(before, "kind") == [STOCK_TRADE]
    assert (column(gone, "kind"), gone[0].notes) == ([COLD, GAP], ((GAP_CAUSE, {"cause": LOST}),))
    assert (blind > 0, open_gaps) == (True, 0)
    assert column(after, "kind") == [GAP, STOCK_TRADE]
    assert said[0].startswith(LOST)


def test_the_recorders_own_gap_stays_its_own(tmp_path):
    """It ends when the recorder says so, not with the next row."""
    from scalpcli.model.row import CHANNEL_OPTION_QUOTES, GAP_BEGIN

    async def steps(tap):
        source = market(tmp_path)
        await source.open()
        task = asyncio.create_task(source.run())
        tap.publish(block(1, kind=GAP, size=CHANNEL_OPTION_QUOTES, flags=GAP_BEGIN))
        tap.publish(block(1, first=1))
        await drained(source, 2)
        task.cancel()
        return source.aggregator.open_gaps

    assert play(tmp_path, steps) == CHANNEL_OPTION_QUOTES


def test_no_recorder_is_told(tmp_path):
    """With what to start."""
    assert not has_tap(tmp_path, "TSLA", "sip")
    with pytest.raises(UpstreamUnavailable, match="no recorder of TSLA from sip"):
        asyncio.run(market(tmp_path).open())


def test_a_recorder_of_another_day_is_refused(tmp_path):
    """Its rows are not this session's."""

    async def steps(tap):
        del tap
        await market(tmp_path).open()

    with pytest.raises(DataError, match="records 2026-11-19, not 2026-11-20"):
        play(tmp_path, steps, header={**HEADER, "session": "2026-11-19"})


def test_a_recording_that_is_not_there_in_time_is_told(tmp_path, monkeypatch):
    """The morning is not made up."""
    monkeypatch.setattr("scalpcli.cli.live_tap._ON_DISK_S", 0.0)
    record(folder_in(tmp_path), [block(10)], close=False)

    with pytest.raises(DataError, match="has not written its first 11 rows"):
        list(market(tmp_path).morning(11))


def test_numbers_are_kept_when_the_run_goes_on(tmp_path):
    """A later process numbers nothing anew, and is blind since its last row."""
    from scalpcli.runtime.segment_read import SegmentReader

    folder = tmp_path / "own"
    record(folder, [block(3, news=NEWS)], close=False)
    before = SegmentReader(folder).continuation()

    source = market(tmp_path, continuation=dataclasses.replace(before))

    assert [each.symbol for each in source.listed] == [PUT, CALL]
    assert source.aggregator.open_gaps
