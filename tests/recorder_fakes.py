"""A source, a log and a clock for tests of the recorder."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np

from scalpcli.errors import ScalpcliError
from scalpcli.model.block import Block
from scalpcli.model.row import COLUMNS, STOCK_TRADE
from tests.tape_samples import OPEN

NS_PER_S = 1_000_000_000


def block(
    count: int, *, first: int = 0, kind: int = STOCK_TRADE, news: dict[str, Any] | None = None, **values: Any
) -> Block:
    """`count` rows, numbered on from `first` in `trade_id`, a millisecond apart, received 2 ms after they happened.

    `news` gives notes, instruments, conditions and exchanges; other names are columns.
    """
    columns = {name: np.zeros(count, dtype) for name, dtype in COLUMNS.items()}
    columns["kind"][:] = kind
    columns["trade_id"][:] = np.arange(first, first + count)
    columns["ts_recv_ns"][:] = OPEN + (first + np.arange(count)) * 1_000_000
    columns["ts_event_ns"][:] = columns["ts_recv_ns"] - 2_000_000
    for name, value in values.items():
        columns[name][:] = value
    return Block(columns, **(news or {}))


class FakeSource:
    """Gives the blocks it is handed; ends with `failure` where one is set."""

    def __init__(self) -> None:
        self.pending: list[Block] = []
        self.failure: Exception | None = None
        self.running = asyncio.Event()
        self.fail_now = asyncio.Event()
        self.was_cancelled = False

    async def run(self) -> None:
        self.running.set()
        try:
            await self.fail_now.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if self.failure:
            raise self.failure

    def fail(self, error: Exception | None) -> None:
        self.failure = error
        self.fail_now.set()

    def drain(self) -> Block:
        return self.pending.pop(0) if self.pending else block(0)

    def status(self) -> dict[str, Any]:
        return {"duplicates": 0}


class FakeLog:
    """Remembers what was written and in which thread; refuses with `error` where one is set."""

    def __init__(self) -> None:
        self.taken: list[Block] = []
        self.flushed = 0
        self.synced = 0
        self.closed = False
        self.error: OSError | ScalpcliError | None = None
        self.threads: set[int] = set()
        self.hold = threading.Event()
        self.hold.set()

    @property
    def ids(self) -> list[int]:
        """Numbers of the rows that are with the operating system."""
        return [number for each in self.taken[: self.flushed] for number in each.columns["trade_id"].tolist()]

    def append(self, taken: Block) -> None:
        self.threads.add(threading.get_ident())
        self.hold.wait(5)
        if self.error:
            raise self.error
        self.taken.append(taken)

    def flush(self) -> None:
        self.flushed = len(self.taken)

    def hand_over(self) -> None:
        self.flush()

    def sync(self) -> None:
        self.flush()
        self.synced = self.flushed

    def close(self, summary: Any = None) -> None:
        self.summary = summary
        self.flush()
        self.sync()
        self.closed = True


class FakeClock:
    """A market clock that stands still until it is moved."""

    speed = 1.0

    def __init__(self, now_ns: int = OPEN) -> None:
        self.now = now_ns

    def now_ns(self) -> int:
        return self.now
