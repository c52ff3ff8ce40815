"""Rows for the tests of the readable classes: fed by hand, and the same as one batch for the engine."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np

from scalpcli.core.layout import END, NEVER_NS
from scalpcli.core.market_state import InterpretedKernel, Kernel, MarketState
from scalpcli.model.row import COLUMNS, LAST, RANGE, VOLUME, VWAP, RowBatch
from scalpcli.model.session import session_of
from scalpcli.runtime.compiler import load_kernel

SESSION = session_of(dt.date(2026, 11, 20))
OPEN = dt.datetime(2026, 11, 20, 14, 30, tzinfo=dt.UTC)
ALL = LAST | RANGE | VWAP | VOLUME
MS = 1_000_000
KERNELS = ("interpreted", "compiled")
CALL_SYMBOL = "TSLA261120C00400000"
OTHER_SYMBOL = "TSLA261120C00405000"


@lru_cache(maxsize=2)
def kernel(name: str) -> Kernel:
    """The kernel of that name; the compiled one is compiled once per machine."""
    return load_kernel() if name == "compiled" else InterpretedKernel()


def after(seconds: float) -> dt.datetime:
    """A moment of the session, by seconds since its open."""
    return OPEN + dt.timedelta(microseconds=round(seconds * 1e6))


def moment(ts_ns: int) -> dt.datetime:
    """The same for nanoseconds since the epoch."""
    return OPEN + dt.timedelta(microseconds=(ts_ns - SESSION.open_ns) // 1000)


def batch(rows: list[dict[str, int]]) -> RowBatch:
    """Rows as the engine takes them; `at_ms` counts from the open, and what is not named is 0."""
    columns = {name: np.zeros(len(rows), kind) for name, kind in COLUMNS.items()}
    for number, row in enumerate(rows):
        ts_ns = SESSION.open_ns + row["at_ms"] * MS
        fields = {"ts_recv_ns": ts_ns, "ts_event_ns": ts_ns} | {k: v for k, v in row.items() if k != "at_ms"}
        for name, value in fields.items():
            columns[name][number] = value
    return RowBatch.from_columns(columns)


def instants(market: MarketState, rows: RowBatch, until_ns: int) -> Iterator[Any]:
    """Fold the rows and stop at every instant up to `until_ns`; yields the tracker's record there."""
    market.state.tracker[0].report_instants = 1
    following = 0
    while True:
        following, reason = market.advance(rows, following, NEVER_NS, until_ns)
        if reason == END:
            return
        yield market.state.tracker[0]
