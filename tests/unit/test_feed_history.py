"""Which history a feed asks for after a gap, and since when each stream is blind after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import numpy as np
from wire_messages import CALL, NOW_NS, aggregator, contract

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_feed import AlpacaFeed, FeedHooks
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.model.params import AlpacaParams
from scalpcli.model.row import GAP, GAP_BEGIN, OPTION_TRADE, STOCK_QUOTE, STOCK_TRADE

SECOND_NS = 1_000_000_000
Spans = dict[int, tuple[int, int]]


def feed_of(merged: DataAggregator, asked: Spans | None = None) -> AlpacaFeed:
    """A feed that is not connected; what history it asks for goes to `asked`."""

    async def backfill(kind: int, since_ns: int, until_ns: int) -> Iterable[Any]:
        if asked is not None:
            asked[kind] = since_ns - NOW_NS, until_ns - NOW_NS
        return ()

    streams = AlpacaStreams(
        ("k", "s"), AlpacaParams(history_wait_s=0.0), now_ns=lambda: NOW_NS, is_expected=lambda _: True
    )
    return AlpacaFeed(merged, streams, hooks=FeedHooks(backfill))


def asked_after_a_gap(*, begun_s: float, seen_s: float = -9.0) -> Spans:
    """What is asked after ten blind seconds until now, relative to now."""
    asked: Spans = {}

    async def run() -> None:
        merged = aggregator(now_ns=lambda: NOW_NS)
        merged.stamp()
        feed = feed_of(merged, asked)
        feed._streams._stock._decoder.seen_ns = NOW_NS + round(seen_s * SECOND_NS)
        for gaps in (feed._stock_gaps, feed._option_gaps):
            gaps.begin(NOW_NS + round(begun_s * SECOND_NS))
            gaps.down(NOW_NS - 10 * SECOND_NS, "mute")
            gaps.sees_again()
        task = asyncio.create_task(feed._run_backfill(feed._hooks.backfill))
        async with asyncio.timeout(5):
            while feed.backfills_waiting:  # noqa: ASYNC110 - the feed has no event for it
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return asked


def test_history_is_asked_from_before_the_gap_as_late_as_prints_may_be():
    """A print that was lost may have happened seconds before; a quote comes at once."""
    asked = asked_after_a_gap(begun_s=-600)

    since_s = {kind: span[0] / SECOND_NS for kind, span in asked.items()}
    assert since_s == {STOCK_TRADE: -25, STOCK_QUOTE: -11, OPTION_TRADE: -25}


def test_history_from_before_the_recording_is_not_asked():
    """What passed before anybody listened is in no gap."""
    asked = asked_after_a_gap(begun_s=-12)

    assert {span[0] / SECOND_NS for span in asked.values()} == {-12, -11}


def test_history_is_asked_as_far_as_the_exchanges_clock_shows():
    """Where events come before our clock shows their time, it is behind, and the gap ended later than it says."""
    behind = asked_after_a_gap(begun_s=-600, seen_s=2.0)
    right = asked_after_a_gap(begun_s=-600)

    assert {span[1] for span in right.values()} == {SECOND_NS // 4}
    assert {span[1] for span in behind.values()} == {SECOND_NS // 4 + 2 * SECOND_NS}


def test_after_a_restart_each_stream_is_blind_since_its_own_last_row():
    """Options may have been mute long before the recorder went down."""
    earlier = aggregator()
    earlier.add_contracts([contract(CALL)])
    earlier.option_trade(CALL, NOW_NS - 30 * SECOND_NS, 1.0, 1, "C", ())
    earlier.stock_trade(NOW_NS - SECOND_NS, 400.0, 100, "V", (), 1)
    left = earlier.drain()
    left.columns["ts_recv_ns"][:] = left.columns["ts_event_ns"] + 5
    merged = aggregator(instruments=left.instruments, exchanges=left.exchanges)
    feed = feed_of(merged)

    feed.resume(left.columns, "recorder was down", is_whole=True)
    for gaps in (feed._stock_gaps, feed._option_gaps):
        gaps.look()

    columns = merged.drain().columns
    begins = (columns["kind"] == GAP) & (columns["flags"] == GAP_BEGIN)
    assert ((columns["ts_event_ns"][begins] - NOW_NS) / SECOND_NS).tolist() == [-1, -30]
    assert np.count_nonzero(columns["kind"] == GAP) == 2
