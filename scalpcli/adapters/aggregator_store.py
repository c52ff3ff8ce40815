"""Rows that wait to be drained: receive stamps, duplicates, the bound on what may wait.

Decides the order and the stamp of every row. Leaves what a message means to `aggregator.py`.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.aggregator_codes import RecentRows
from scalpcli.adapters.aggregator_rows import PACKED
from scalpcli.model.note import GAP_CAUSE
from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    COLD,
    COLUMNS,
    GAP,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.units import NS_PER_MS, NS_PER_S

_NAMES: Final = tuple(name for name in COLUMNS if name != "ts_recv_ns")
_DTYPE: Final = np.dtype([(name, COLUMNS[name].newbyteorder("<")) for name in _NAMES])
_FLAGS_AT: Final = _DTYPE.fields["flags"][1] if _DTYPE.fields else 0

CHANNEL_OF: Final = {
    STOCK_TRADE: CHANNEL_STOCK_TRADES,
    STOCK_QUOTE: CHANNEL_STOCK_QUOTES,
    OPTION_TRADE: CHANNEL_OPTION_TRADES,
    OPTION_QUOTE: CHANNEL_OPTION_QUOTES,
    STATUS: CHANNEL_STOCK_TRADES,
}
"""Kind -> channel it comes on."""
_FEW_ROWS: Final = 16
_CLOCK_STEP_NS_MAX: Final = 250 * NS_PER_MS


class RowStore:
    """Rows in the order learned.

    Args:
        now_ns: Market clock, UTC nanoseconds.
        rows_waiting_max: Rows that may wait; more are dropped and counted.
        last_ns: Last receive stamp already given.
        monotonic_s: A clock that only goes forward, seconds; with it, steps of the market clock are noticed.
        speed: Market seconds in one second of `monotonic_s`.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        rows_waiting_max: int,
        last_ns: int,
        monotonic_s: Callable[[], float] | None,
        speed: float,
    ) -> None:
        self.stamp_ns = last_ns
        self.duplicates = 0
        self.dropped = 0
        self.late = 0
        self.clock_steps = 0
        self.rows: Counter[str] = Counter()
        self.lag_ms: dict[str, float] = {}
        self.recent = {kind: RecentRows() for kind in CHANNEL_OF}
        self._now_ns, self._monotonic_s, self._speed = now_ns, monotonic_s, speed
        # Both clocks are read one after the other; at 60 times speed a pause between them counts 60-fold.
        self._step_ns_max = _CLOCK_STEP_NS_MAX * max(1.0, speed)
        self._offset_ns: float | None = None
        self._rows_waiting_max = rows_waiting_max
        self._last_event_ns = dict.fromkeys(CHANNEL_OF, 0)
        self._stamps = array("q")
        self._packed = bytearray()
        self._notes: list[tuple[str, dict[str, Any]]] = []
        self._dropped_channels = 0
        self._dropped_since_ns = 0

    def stamp(self) -> int:
        """Take the receive stamp of what is written next, UTC nanoseconds. It never goes back."""
        now_ns = self._now_ns()
        if self._monotonic_s is not None:
            offset_ns = now_ns - self._monotonic_s() * NS_PER_S * self._speed
            before_ns = self._offset_ns
            if before_ns is None or -self._step_ns_max < offset_ns - before_ns < self._step_ns_max:
                self._offset_ns = offset_ns
            else:
                now_ns = self._look_again(before_ns)
        self.stamp_ns = max(self.stamp_ns, now_ns)
        return self.stamp_ns

    def _look_again(self, before_ns: float) -> int:
        # A process halted between the two readings looks like a step once, not twice.
        assert self._monotonic_s is not None
        now_ns = self._now_ns()
        self._offset_ns = now_ns - self._monotonic_s() * NS_PER_S * self._speed
        step_ns = self._offset_ns - before_ns
        if abs(step_ns) >= self._step_ns_max:
            self.clock_steps += 1
            self.stamp_ns = max(self.stamp_ns, now_ns)
            self.cold(GAP_CAUSE, {"cause": f"clock step of {step_ns / NS_PER_MS:.0f} ms"})
        return now_ns

    def remember(self, columns: Mapping[str, NDArray[Any]], *, is_whole: bool) -> None:
        """Take in the last rows of an earlier process, so that none of them is written again."""
        rows = np.empty(len(columns["kind"]), _DTYPE)
        for name in _NAMES:
            rows[name] = columns[name]
        rows["flags"] &= ~BACKFILLED
        for kind, recent in self.recent.items():
            recent.fill((row.tobytes() for row in rows[rows["kind"] == kind]), is_whole=is_whole)

    def write(self, kind: int, body: bytes) -> None:
        """Add a packed row with the stamp taken last, unless it repeats one or there is no room."""
        if not self.recent[kind].is_new(body):
            self.duplicates += 1
        elif len(self._stamps) < self._rows_waiting_max:
            self._stamps.append(self.stamp_ns)
            self._packed += body
        else:
            self._drop(kind)

    def write_backfilled(self, kind: int, body: bytes) -> None:
        """Add a packed row of history; the caller has told it from the rows that came live."""
        self.recent[kind].add_past(body)
        if len(self._stamps) < self._rows_waiting_max:
            self._stamps.append(self.stamp_ns)
            flags = int.from_bytes(body[_FLAGS_AT : _FLAGS_AT + 4], "little") | BACKFILLED
            self._packed += body[:_FLAGS_AT] + flags.to_bytes(4, "little") + body[_FLAGS_AT + 4 :]
        else:
            self._drop(kind)

    def _drop(self, kind: int) -> None:
        self.dropped += 1
        if not self._dropped_channels:
            self._dropped_since_ns = self._stamps[-1]
        self._dropped_channels |= CHANNEL_OF[kind]

    def cold(self, kind: str, body: dict[str, Any]) -> None:
        """Add a cold row and its note. Rare rows are never dropped."""
        self._notes.append((kind, body))
        self._rare(PACKED.pack(self.stamp_ns, COLD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))

    def gap(self, flags: int, channels: int, since_ns: int, cause: int) -> None:
        """Add a gap row; `cause` is the code of its text."""
        self._rare(PACKED.pack(min(since_ns, self.stamp_ns), GAP, 0, 0, 0, channels, 0, flags, cause, 0, 0, 0))

    def _rare(self, body: bytes) -> None:
        self._stamps.append(self.stamp_ns)
        self._packed += body

    @property
    def waiting(self) -> int:
        """Rows that wait to be drained."""
        return len(self._stamps)

    def take_dropped(self) -> tuple[int, int]:
        """Channels that lost rows for want of room since the last call, and the stamp of the last row kept."""
        channels, self._dropped_channels = self._dropped_channels, 0
        return channels, self._dropped_since_ns

    def take(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[str, dict[str, Any]], ...]]:
        """Every waiting row as columns of the tape's types, and the notes of its cold rows."""
        stamps, packed, notes = self._stamps, self._packed, tuple(self._notes)
        self._stamps, self._packed, self._notes = array("q"), bytearray(), []
        rows = np.frombuffer(packed, _DTYPE)
        columns = {"ts_recv_ns": np.array(stamps, np.int64)}
        columns.update({name: np.ascontiguousarray(rows[name], COLUMNS[name]) for name in _NAMES})
        self._count(columns)
        return columns, notes

    def _count_few(self, columns: dict[str, NDArray[Any]]) -> None:
        """As `_count`, row by row: whoever trades drains after every frame, and NumPy's calls cost more than a row."""
        lags: dict[str, list[int]] = {}
        names = ("kind", "flags", "ts_recv_ns", "ts_event_ns")
        for kind, flags, recv_ns, event_ns in zip(*(columns[name].tolist() for name in names), strict=True):
            name = KIND_NAMES[kind]
            self.rows[name] += 1
            if kind in CHANNEL_OF and not flags & BACKFILLED:
                lags.setdefault(name, []).append(recv_ns - event_ns)
                self.late += event_ns < self._last_event_ns[kind]
                self._last_event_ns[kind] = max(self._last_event_ns[kind], event_ns)
        for name, found in lags.items():
            self.lag_ms[name] = median(found) / NS_PER_MS

    def _count(self, columns: dict[str, NDArray[Any]]) -> None:
        if len(columns["kind"]) <= _FEW_ROWS:
            self._count_few(columns)
            return
        kinds = np.bincount(columns["kind"], minlength=max(KIND_NAMES) + 1)
        for kind, name in KIND_NAMES.items():
            if not kinds[kind]:
                continue
            self.rows[name] += int(kinds[kind])
            if kind not in CHANNEL_OF:
                continue
            live = (columns["kind"] == kind) & (columns["flags"] & BACKFILLED == 0)
            event_ns = columns["ts_event_ns"][live]
            if len(event_ns):
                self.lag_ms[name] = float(np.median(columns["ts_recv_ns"][live] - event_ns)) / NS_PER_MS
                highest = np.maximum.accumulate(np.concatenate(([self._last_event_ns[kind]], event_ns)))
                self.late += int(np.count_nonzero(event_ns < highest[:-1]))
                self._last_event_ns[kind] = int(highest[-1])
