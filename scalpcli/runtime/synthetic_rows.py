"""Columns of synthetic rows: when messages happen, when they arrive, and what number a trade bears.

Decides event and receive times and the order of rows. Leaves prices and sizes to `synthetic_stock.py` and
`synthetic_options.py`.

Messages come in packets: what happens within 300 µs arrives with one receive stamp, and one feed never
delivers out of order, as a stream over one connection does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.row import COLUMNS, OPTION_QUOTE
from scalpcli.runtime.synthetic_path import Floats, Market
from scalpcli.runtime.synthetic_plan import US_PER_S, Frame

Ints = NDArray[np.int64]
Columns = dict[str, NDArray[Any]]

EVENT_US: Final = "event_us"
RECV_US: Final = "recv_us"
"""Working columns: microseconds since the tape's start; `finish` turns them into the tape's stamps."""
LAG_US: Final = "lag_us"
"""Working column: how long before its report a late print happened, microseconds."""
_PACKET_GAP_US: Final = 300
_LATENCY_US_MAX: Final = 300_000


@dataclass(frozen=True, slots=True)
class FeedShape:
    """How one connection behaves.

    Args:
        latency_ms: Median time from event to receipt in a calm market, milliseconds.
        latency_spread: Standard deviation of its logarithm.
        stress_factor: How many times longer it is at full stress.
    """

    latency_ms: float
    latency_spread: float = 0.45
    stress_factor: float = 2.5


def empty_columns(count: int) -> Columns:
    """Zeroed columns of `count` rows, without the two stamps, which come last."""
    columns: Columns = {name: np.zeros(count, kind) for name, kind in COLUMNS.items() if not name.startswith("ts_")}
    columns[EVENT_US] = np.zeros(count, np.int64)
    columns[RECV_US] = np.zeros(count, np.int64)
    columns[LAG_US] = np.zeros(count, np.int32)
    return columns


def event_times(
    rng: np.random.Generator, count: int, begin_s: int, rate: Floats, cluster_rows: float, spacing_us: int
) -> Ints:
    """When `count` messages happen, microseconds since the tape's start, rising.

    Args:
        rng: The block's stream.
        count: How many.
        begin_s: First second of the block.
        rate: Relative rate of each second of the block; where it is 0 nothing happens.
        cluster_rows: Mean rows of one cluster: messages that follow one cause within microseconds.
        spacing_us: Largest distance between rows of one cluster.
    """
    if count == 0:
        return np.zeros(0, np.int64)
    starts = rng.random(count) < 1.0 / cluster_rows
    starts[0] = True
    cluster = np.cumsum(starts) - 1
    first = np.flatnonzero(starts)
    draws = np.sort(rng.random(first.size))
    edges = np.concatenate([[0.0], np.cumsum(rate)])
    moments = np.interp(draws * edges[-1], edges, np.arange(edges.size, dtype=np.float64))
    at_us = begin_s * US_PER_S + (moments * US_PER_S).astype(np.int64)
    inside = rng.integers(0, spacing_us + 1, size=count)
    offset = np.cumsum(inside)
    times: Ints = np.maximum.accumulate(at_us[cluster] + offset - offset[first][cluster])
    return times


def merge(parts: list[Columns], key: str) -> Columns:
    """Rows of all parts in order of `key`; of equal keys the earlier part's rows come first."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    # Stable: the fast sorts differ between processors where keys are equal.
    order = np.argsort(joined[key], kind="stable")
    return {name: values[order] for name, values in joined.items()}


def cut(columns: Columns, at: int | np.intp) -> tuple[Columns, Columns]:
    """The rows before position `at`, and those from it on."""
    return (
        {name: values[:at] for name, values in columns.items()},
        {name: values[at:] for name, values in columns.items()},
    )


class Feed:
    """One connection: stamps arrivals and counts trade numbers; keeps both from block to block."""

    def __init__(self, shape: FeedShape, exchanges: int) -> None:
        self._shape = shape
        self._last_recv_us = 0
        self._next_id = 1_000 + 7 * np.arange(exchanges + 1, dtype=np.int64)

    def deliver(self, rows: Columns, market: Market, rng: np.random.Generator) -> None:
        """Fill the receive stamps of rows that stand in order of their events."""
        events: Ints = rows[EVENT_US]
        if events.size == 0:
            return
        opens = np.concatenate([[True], np.diff(events) > _PACKET_GAP_US])
        last = np.concatenate([np.flatnonzero(opens)[1:] - 1, [events.size - 1]])
        stress = market.stress_at(events[last])
        latency = rng.lognormal(np.log(self._shape.latency_ms * 1_000.0), self._shape.latency_spread, last.size)
        latency *= 1.0 + (self._shape.stress_factor - 1.0) * stress
        recv = events[last] + np.minimum(latency, _LATENCY_US_MAX).astype(np.int64)
        recv = np.maximum.accumulate(np.maximum(recv, self._last_recv_us))
        self._last_recv_us = int(recv[-1])
        rows[RECV_US] = recv[np.cumsum(opens) - 1]

    def number(self, rows: Columns, trades: NDArray[np.bool_]) -> None:
        """Give each trade the next number of its exchange."""
        where = np.flatnonzero(trades)
        exchange = rows["exchange"][where]
        for code in np.unique(exchange).tolist():
            mine = where[exchange == code]
            rows["trade_id"][mine] = self._next_id[code] + np.arange(mine.size)
            self._next_id[code] += mine.size


def finish(rows: Columns, frame: Frame) -> Columns:
    """The tape's columns, in their order and types."""
    rows = {
        **rows,
        "ts_recv_ns": frame.to_ns(rows[RECV_US]),
        "ts_event_ns": frame.to_ns(rows[EVENT_US] - rows[LAG_US]),
    }
    tell_apart(rows)
    return {name: np.ascontiguousarray(rows[name], kind) for name, kind in COLUMNS.items()}


def tell_apart(rows: Columns) -> None:
    """Give messages of one kind, instrument and microsecond a nanosecond each, as exchanges do.

    A recorder must take a message that comes twice for a duplicate.
    """
    order = np.lexsort((rows["ts_event_ns"], rows["instrument_id"], rows["kind"]))
    same = np.ones(order.size, bool)
    for name in ("kind", "instrument_id", "ts_event_ns"):
        ordered = rows[name][order]
        same[1:] &= ordered[1:] == ordered[:-1]
    same[:1] = False
    same &= rows["kind"][order] <= OPTION_QUOTE
    place = np.arange(order.size)
    rows["ts_event_ns"][order] += place - np.maximum.accumulate(np.where(same, 0, place))
