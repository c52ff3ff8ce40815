"""Our adapters against the local exchange: the rows are those of the tape it serves."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from typing import Any

import numpy as np
import pytest

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_feed import AlpacaFeed
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.params import AlpacaParams
from scalpcli.model.row import CANCELLED, COLUMNS, GAP, STATUS, STOCK_TRADE
from scalpcli.runtime.clock import RehearsalClock
from scalpcli.runtime.tape import Tape
from tests.exchange_samples import make_tape, own_pair

PARAMS = AlpacaParams(backoff_first_s=0.05)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    return Tape.open(make_tape(tmp_path_factory.mktemp("tapes"), 3000))


def texts_of(columns: dict[str, Any], conditions: list[str], exchanges: list[str]) -> list[tuple[Any, ...]]:
    """Rows without their receive stamp, codes as the texts they stand for."""
    words = {"conditions": conditions, "exchange": exchanges, "ask_exchange": exchanges}
    lists = [
        [words[name][code] for code in columns[name].tolist()] if name in words else columns[name].tolist()
        for name in COLUMNS
        if name != "ts_recv_ns"
    ]
    return list(zip(*lists, strict=True))


async def received(url: str, tape: Tape, rows: int) -> tuple[list[tuple[Any, ...]], dict[str, Any]]:
    clock = RehearsalClock(tape.session.open_ns, 1.0)
    merged = DataAggregator("TSLA", now_ns=clock.now_ns, rows_waiting_max=100_000, monotonic_s=time.monotonic)
    pair = own_pair()
    params = dataclasses.replace(PARAMS, stream_url=url)
    keys = (pair["key"], pair["secret"])
    feed = AlpacaFeed(merged, AlpacaStreams(keys, params, now_ns=clock.now_ns, is_expected=lambda _: False))
    await feed.set_contracts([item for item in tape.instruments if item.is_option])
    task = asyncio.create_task(feed.run())
    blocks: list[Any] = []
    try:
        async with asyncio.timeout(20):
            while sum(block.rows for block in blocks) < rows:
                await asyncio.sleep(0.02)
                if task.done():
                    task.result()
                blocks.append(feed.drain())
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in COLUMNS}
    conditions = ["", *(text for block in blocks for text in block.conditions)]
    exchanges = ["", *(text for block in blocks for text in block.exchanges)]
    return texts_of(columns, conditions, exchanges), feed.status()


def served(tape: Tape) -> list[tuple[Any, ...]]:
    blocks = list(tape.batches(columns=tuple(COLUMNS)))
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in COLUMNS}
    is_served = columns["kind"] <= STATUS
    assert not (columns["flags"][columns["kind"] == STOCK_TRADE] & CANCELLED).any()
    columns = {name: column[is_served] for name, column in columns.items()}
    return texts_of(columns, list(tape.manifest.conditions), list(tape.manifest.exchanges))


@pytest.mark.parametrize("frame_messages", [1, 7])
def test_the_feed_receives_what_the_tape_holds(tape, frame_messages):
    """Every column but the receive stamp, each row once, in order on each stream; no gap, nothing refused."""
    wanted = served(tape)

    with exchange_thread(
        tape.path, speed=0, serving=ServingRules(wait_for=2), frame_messages=frame_messages
    ) as exchange:
        found, status = asyncio.run(received(exchange.exchange.stream_url, tape, len(wanted)))

    assert not status["refused"]
    assert GAP not in {row[1] for row in found}
    for is_option in (False, True):
        assert [row for row in found if (row[2] > 0) == is_option] == [
            row for row in wanted if (row[2] > 0) == is_option
        ]
