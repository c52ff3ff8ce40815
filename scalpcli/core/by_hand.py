"""Rows by hand: what the readable classes share.

Decides how a person's words (dollars, datetimes) become rows, and how a market that is fed row by row is
asked about a moment. Leaves every rule to the kernel: rows are folded and moments evaluated by `advance`,
compiled or interpreted as the caller chooses.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from scalpcli.core.layout import NEVER_NS, NO_TIME_NS, OPTION_SIDE, SIDES, SWEEP, TRACKER, WINDOW
from scalpcli.core.market_state import InterpretedKernel, Kernel, MarketState
from scalpcli.errors import DataError, UsageError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params
from scalpcli.model.row import COLUMNS, ENGINE_COLUMNS, RowBatch
from scalpcli.model.session import Session, at_ns, ns_to_new_york_date, session_of
from scalpcli.units import NS_PER_DAY, NS_PER_US, usd_to_e4

INTERPRETED: Final[Kernel] = InterpretedKernel()
"""The kernel where no compiled one is handed in: the same source, some hundred times slower."""
NO_ROWS: Final = RowBatch.empty()
PRINTS_START: Final = 64
"""Prints a ring begins with: by hand there is one market a contract, and most contracts trade little."""
SIZE_MAX: Final = 2**31 - 1
PRICE_E4_MAX: Final = 2**53
"""Beyond it, whole 1/10000 USD are no longer exact in the engine's statistics."""

_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def moment_ns(timestamp: dt.datetime) -> int:
    """UTC nanoseconds of an aware datetime.

    Raises:
        UsageError: not a datetime, or one without a time zone.
    """
    if not isinstance(timestamp, dt.datetime) or timestamp.utcoffset() is None:
        raise UsageError(
            f"the time stamp {timestamp!r} has no time zone",
            hint="write an aware datetime, like datetime(2026, 11, 20, 14, 30, tzinfo=UTC)",
        )
    return (timestamp - _EPOCH) // _MICROSECOND * NS_PER_US


def moment_of(ns: int) -> dt.datetime:
    """The moment as a datetime in UTC; digits below the microsecond are cut off."""
    return _EPOCH + ns // NS_PER_US * _MICROSECOND


def price_in_e4(usd: float, name: str = "price") -> int:
    """A price in whole 1/10000 USD.

    Raises:
        DataError: not a number, not above 0, or beyond what is exact.
    """
    price_e4 = usd_to_e4(usd) if math.isfinite(usd) else 0
    if not 0 < price_e4 <= PRICE_E4_MAX:
        raise DataError(
            f"the {name} is {usd}, outside its limits: 0.0001 to {PRICE_E4_MAX // 10_000} USD",
            hint="leave a print without a price out",
        )
    return price_e4


def whole_size(volume: float) -> int:
    """Shares or contracts of a print.

    Raises:
        DataError: not a whole number, negative, or more than a row can hold.
    """
    if not math.isfinite(volume) or volume != int(volume) or not 0 <= volume <= SIZE_MAX:
        raise DataError(
            f"the volume is {volume}, not a whole number from 0 to {SIZE_MAX}",
            hint="write the shares or contracts of one print",
        )
    return int(volume)


def check_order(ts_ns: int, last_ns: int) -> None:
    """Refuse what was received before something already handed in.

    Raises:
        DataError: the time stamp lies before `last_ns`.
    """
    if ts_ns < last_ns:
        raise DataError(
            f"the time stamp {moment_of(ts_ns).isoformat()} lies before the last one, {moment_of(last_ns).isoformat()}",
            hint="hand everything in as it was received; equal time stamps are fine",
        )


def asked_ns(at: dt.datetime | None, last_ns: int) -> int:
    """The moment that is asked about: `at`, else the last time stamp handed in.

    Raises:
        UsageError: `at` lies before it, or has no time zone.
    """
    ts_ns = last_ns if at is None else moment_ns(at)
    if ts_ns < last_ns:
        raise UsageError(
            f"asked about {moment_of(ts_ns).isoformat()}, before the last time stamp, {moment_of(last_ns).isoformat()}",
            hint="ask about the last time stamp or later: what stood before it is not kept",
        )
    return ts_ns


class SessionDay:
    """The one session a readable class serves.

    Args:
        session: Which; `None` takes the calendar's on the day, in New York, of the first time stamp.
    """

    def __init__(self, session: Session | None) -> None:
        self._session = session
        self._start_ns = NEVER_NS if session is None else at_ns(session, "00:00")

    def session_at(self, ts_ns: int) -> Session:
        """The session, which must be that of the day of `ts_ns`.

        Raises:
            DataError: the exchange is closed that day, or it is another day than the session's.
        """
        if self._session is None:
            self._session = session_of(ns_to_new_york_date(ts_ns))
            self._start_ns = at_ns(self._session, "00:00")
        if not self._start_ns <= ts_ns < self._start_ns + NS_PER_DAY:
            raise DataError(
                f"{moment_of(ts_ns).isoformat()} belongs to {ns_to_new_york_date(ts_ns)}, "
                f"the session served is that of {self._session.date}",
                hint="begin each session with a new object: baseline, VWAP and levels start over",
            )
        return self._session


class OneRow:
    """A batch of one row, filled again and again."""

    def __init__(self) -> None:
        self._batch = RowBatch(*(np.zeros(1, COLUMNS[name]) for name in ENGINE_COLUMNS))
        head = ("ts_recv_ns", "ts_event_ns", "kind")
        self._others = [item for item in self._batch._asdict().items() if item[0] not in head]

    def fill(self, kind: int, ts_ns: int, fields: dict[str, int]) -> RowBatch:
        """The batch with this row; it was received when it happened, and columns not named are 0."""
        batch = self._batch
        batch.ts_recv_ns[0] = ts_ns
        batch.ts_event_ns[0] = ts_ns
        batch.kind[0] = kind
        for name, column in self._others:
            column[0] = fields.get(name, 0)
        return batch


class HandFed:
    """A market fed row by row and asked about moments of the asker's choice.

    No instant is due by itself. A moment that is asked about is evaluated as the engine evaluates an
    instant; then the windows stand as before, so that no question changes a later answer.

    The kernel's arrays stand in `tracker`, `windows`, `option_sides` and `sweeps`, their fields as `layout`
    names them.

    Args:
        params: All settings.
        session: Whose rows come.
        instruments: By `instrument_id`, the underlying first.
        hot: The compiled or the interpreted kernel.
    """

    def __init__(self, params: Params, session: Session, instruments: tuple[Instrument, ...], hot: Kernel) -> None:
        self._market = MarketState(params, session, instruments, hot, prints_start=PRINTS_START)
        state = self._market.state
        # The same memory without NumPy's record class, whose attributes are slow to read.
        self.tracker: Any = self._market.tracker
        self.windows: Any = state.windows.view(WINDOW, np.ndarray)
        self.option_sides: Any = state.option_sides.view(OPTION_SIDE, np.ndarray)
        self.sweeps: Any = state.sweeps.view(SWEEP, np.ndarray)
        self._sides = tuple(self.option_sides[right] for right in range(SIDES))
        self._measured = (state.tracker.view(TRACKER, np.ndarray), self.windows, self.option_sides)
        self.tracker["interval_ns"] = NEVER_NS
        self.tracker["next_instant_ns"] = NEVER_NS
        self._row = OneRow()
        self._has_news = False
        self.last_ns = NO_TIME_NS
        """When the last row was received."""

    def fold(self, kind: int, ts_ns: int, **fields: int) -> None:
        """Fold one row, received no earlier than the last."""
        if self._looks_full():
            self._catch_up()
        self._market.advance(self._row.fill(kind, ts_ns, fields), 0, NEVER_NS, ts_ns - 1)
        self.last_ns = ts_ns
        self._has_news = True

    @contextmanager
    def looking(self, ts_ns: int, window: int, window_ns: int) -> Iterator[None]:
        """Let windows and sides stand as they are at a moment.

        Args:
            ts_ns: The moment, at the last row or later.
            window: The window that is asked about, by its place among the windows.
            window_ns: Its length for this question, at most its own.
        """
        self._catch_up()
        asked = self.windows[window]
        if ts_ns == self.last_ns and asked["window_ns"] == window_ns:
            yield
            return
        kept = [array.copy() for array in self._measured]
        # A shorter window begins no earlier, so it finds its start from where the longer one begins.
        asked["window_ns"] = window_ns
        self._evaluate(ts_ns)
        try:
            yield
        finally:
            for array, before in zip(self._measured, kept, strict=True):
                array[:] = before

    def _catch_up(self) -> None:
        """Move every window up to the last row for good: no later question reaches further back."""
        if self._has_news:
            self._evaluate(self.last_ns)
            self._has_news = False

    def _evaluate(self, ts_ns: int) -> None:
        self.tracker["next_instant_ns"] = ts_ns
        self._market.advance(NO_ROWS, 0, NEVER_NS, ts_ns)

    def _looks_full(self) -> bool:
        """Whether a ring is full unless the windows have moved on; it grows only when they need it all."""
        tracker = self.tracker
        if tracker["prints_head"] - tracker["prints_floor"] > tracker["prints_mask"]:
            return True
        return any(side["head"] - side["floor"] > tracker["option_prints_mask"] for side in self._sides)
