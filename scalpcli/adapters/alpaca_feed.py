"""The live market of one underlying: its share of the streams, history of gaps, greeks.

Decides which contracts are streamed and when history is asked for. Leaves the connections, which all symbols of a
process share, to `alpaca_streams.py`, rows to the aggregator, and requests to callables that are handed in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade
from scalpcli.adapters.alpaca_streams import AlpacaStreams, Seat
from scalpcli.adapters.stream_gaps import StreamGaps
from scalpcli.errors import ScalpcliError
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GREEKS
from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_OPTION_TRADES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    OPTION_QUOTE,
    OPTION_TRADE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.units import NS_PER_S, s_to_ns

STOCK_CHANNELS: Final = CHANNEL_STOCK_TRADES | CHANNEL_STOCK_QUOTES
OPTION_CHANNELS: Final = CHANNEL_OPTION_TRADES | CHANNEL_OPTION_QUOTES
_KINDS_WITH_HISTORY: Final = (
    (CHANNEL_STOCK_TRADES, STOCK_TRADE, 15 * NS_PER_S),
    (CHANNEL_STOCK_QUOTES, STOCK_QUOTE, NS_PER_S),
    (CHANNEL_OPTION_TRADES, OPTION_TRADE, 15 * NS_PER_S),
)
"""Channel, kind, and how much earlier than the gap its history is asked from.

Events are older than their receipt: a print may be reported 10 seconds late (FINRA rule 6380A), a quote comes at once.
Alpaca sells no history of option quotes.
"""
_WITH_HISTORY: Final = CHANNEL_STOCK_TRADES | CHANNEL_STOCK_QUOTES | CHANNEL_OPTION_TRADES
_HISTORY_ROWS_AT_ONCE: Final = 2_000
"""Rows of history written before live rows get their turn: about 10 ms."""
_LATE_EVENT_NS_MAX: Final = 10 * NS_PER_S
_STOCK_KINDS: Final = (STOCK_TRADE, STOCK_QUOTE, STATUS)
_OPTION_KINDS: Final = (OPTION_TRADE, OPTION_QUOTE)
_SPANS_WAITING_MAX: Final = 64
_AFTER_GAP_NS: Final = NS_PER_S // 4
"""History is asked until a little later: what was lost last may be younger than what came first."""

Backfill = Callable[[int, int, int], Awaitable[Iterable[PastTrade | PastQuote]]]
"""Kind, begin and end (UTC nanoseconds) -> history of the recorded symbols. Errors are counted."""


@dataclass(frozen=True, slots=True)
class FeedHooks:
    """What a feed asks others for; each may be absent.

    Attributes:
        backfill: History of a gap.
        greeks: The body of a greeks note, or nothing; asked every `greeks_s`.
        on_frame: Takes the stream's name, the receive stamp and the bytes of every frame.
        on_message: Takes words for people.
    """

    backfill: Backfill | None = None
    greeks: Callable[[], Awaitable[Mapping[str, Any] | None]] | None = None
    on_frame: Callable[[str, int, bytes], None] | None = None
    on_message: Callable[[str], None] | None = None


class AlpacaFeed:
    """Streams and polls of one underlying, merged.

    Args:
        aggregator: Takes what they learn.
        streams: The connections; feeds of other symbols may share them.
        greeks_s: Seconds between two polls of greeks; 0 = none.
        hooks: What is asked of others.
    """

    def __init__(
        self,
        aggregator: DataAggregator,
        streams: AlpacaStreams,
        *,
        greeks_s: float = 0.0,
        hooks: FeedHooks | None = None,
    ) -> None:
        self.backfilled = 0
        """Rows of history written."""
        self.backfill_failures = 0
        self.backfills_waiting = 0
        """Gaps that are over and whose history was not looked through yet."""
        self.greeks_failures = 0
        self.last_failure = ""
        """What the last failed request of history or greeks said."""
        self._aggregator = aggregator
        self._streams = streams
        self._hooks = hooks or FeedHooks()
        self._greeks_s = greeks_s
        self._spans: asyncio.Queue[tuple[int, int, int]] = asyncio.Queue(_SPANS_WAITING_MAX)
        self._rates_at_ns = streams.now_ns()
        self._rates_rows: dict[str, int] = {}
        self._stock_gaps, self._option_gaps = (
            StreamGaps(aggregator, channels, streams.is_expected, self._gap_ended)
            for channels in (STOCK_CHANNELS, OPTION_CHANNELS)
        )

    # What is recorded.

    async def set_contracts(self, contracts: Sequence[Instrument]) -> None:
        """Make `contracts` the whole set that is streamed; new ones are numbered, those gone keep their number."""
        self._aggregator.add_contracts(contracts)
        await self._streams.set_contracts(self._aggregator, (contract.symbol for contract in contracts))

    @property
    def streamed_contracts(self) -> frozenset[str]:
        """Contracts that the server says are streamed."""
        return self._streams.granted(self._aggregator.symbol)

    def resume(self, tail: Mapping[str, NDArray[Any]], cause: str, *, is_whole: bool) -> None:
        """Go on with a recording of an earlier process: each stream is blind since its own last row.

        Args:
            tail: Its last rows, every column of the tape; at least one.
            cause: Why it is blind.
            is_whole: Whether there are no rows before them.
        """
        self._aggregator.remember(tail, is_whole=is_whole)
        begun_ns = int(tail["ts_recv_ns"][0])
        for gaps, kinds in ((self._stock_gaps, _STOCK_KINDS), (self._option_gaps, _OPTION_KINDS)):
            gaps.resume(begun_ns, _seen_last_ns(tail, kinds), cause)

    # Running.

    async def run(self) -> None:
        """Stream until cancelled.

        Raises:
            ScalpcliError: a stream was refused for good.
        """
        seat = Seat(self._aggregator, self._stock_gaps, self._option_gaps, self._hooks.on_frame, self._say)
        jobs = [self._streams.run(seat)]
        if self._hooks.backfill is not None:
            jobs.append(self._run_backfill(self._hooks.backfill))
        if self._hooks.greeks is not None and self._greeks_s > 0:
            jobs.append(self._run_greeks(self._hooks.greeks))
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _say(self, words: str) -> None:
        if self._hooks.on_message is not None:
            self._hooks.on_message(words)

    # History and greeks.

    def _gap_ended(self, channels: int, since_ns: int, until_ns: int) -> None:
        if self._hooks.backfill is None:
            return
        if self._spans.full():
            self.backfill_failures += 1
            self.last_failure = "too many gaps wait for their history"
            return
        self._aggregator.hold(channels & _WITH_HISTORY)
        self._spans.put_nowait((channels, since_ns, until_ns))
        self.backfills_waiting += 1

    async def _run_backfill(self, backfill: Backfill) -> None:
        while True:
            channels, since_ns, until_ns = await self._spans.get()
            await asyncio.sleep(self._streams.params.history_wait_s)
            until_ns += self._behind_ns() + _AFTER_GAP_NS
            begun_ns = (self._stock_gaps if channels & STOCK_CHANNELS else self._option_gaps).begun_ns
            for channel, kind, before_ns in _KINDS_WITH_HISTORY:
                if channel & channels:
                    await self._backfill_one(backfill, kind, max(since_ns - before_ns, begun_ns), until_ns)
            self.backfills_waiting -= 1
            if self._spans.empty():
                self._aggregator.release(_WITH_HISTORY)

    def _behind_ns(self) -> int:
        """By how much our clock is behind the exchange's at least: an event came before it happened."""
        return max(0, self._streams.seen_ns - self._aggregator.stamp_ns)

    async def _backfill_one(self, backfill: Backfill, kind: int, since_ns: int, until_ns: int) -> None:
        try:
            rows = await asyncio.to_thread(_in_order, await backfill(kind, since_ns, until_ns))
            for start in range(0, len(rows), _HISTORY_ROWS_AT_ONCE):
                some = rows[start : start + _HISTORY_ROWS_AT_ONCE]
                self.backfilled += self._aggregator.backfilled(kind, some, since_ns, until_ns)
                await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - without its history a gap stays a gap; the streams go on
            self.backfill_failures += 1
            self.last_failure = _words(error)

    async def _run_greeks(self, greeks: Callable[[], Awaitable[Mapping[str, Any] | None]]) -> None:
        while True:
            try:
                body = await greeks()
                if body:
                    self._aggregator.note(GREEKS, dict(body))
            except Exception as error:  # noqa: BLE001 - greeks are computed where none are told; the streams go on
                self.greeks_failures += 1
                self.last_failure = _words(error)
            await asyncio.sleep(self._greeks_s)

    # What the recorder takes.

    def drain(self) -> Block:
        """Everything learned since the last call."""
        return self._aggregator.drain()

    def status(self) -> dict[str, Any]:
        """For the live screen: rows a second since the last call, lag, streams, gaps and counters."""
        now_ns = self._streams.now_ns()
        counters = self._aggregator.counters()
        elapsed_s = max(now_ns - self._rates_at_ns, 1) / NS_PER_S / self._streams.speed
        rates = {name: (count - self._rates_rows.get(name, 0)) / elapsed_s for name, count in counters["rows"].items()}
        self._rates_at_ns, self._rates_rows = now_ns, counters["rows"]
        return counters | {
            "rows_per_s": rates,
            "open_gaps": self._aggregator.open_gaps,
            "is_halted": self._aggregator.is_halted,
            "option_feed": self._streams.option_feed,
            "backfilled": self.backfilled,
            "backfill_failures": self.backfill_failures,
            "backfills_waiting": self.backfills_waiting,
            "greeks_failures": self.greeks_failures,
            "last_failure": self.last_failure,
            "streams": self._streams.status(self._aggregator.symbol, self._stock_gaps, self._option_gaps),
        }


def session_expects(open_ns: int, close_ns: int) -> Callable[[int], bool]:
    """Whether a moment lies in the session from `open_ns` to `close_ns`, UTC nanoseconds."""
    # The first prints come within a second of the bell, not at it.
    first_ns = open_ns + s_to_ns(1.0)
    return lambda now_ns: first_ns <= now_ns < close_ns


def _seen_last_ns(tail: Mapping[str, NDArray[Any]], kinds: Sequence[int]) -> int:
    """Last moment of a stream that was seen for certain; of one without a row, the begin of what is known."""
    rows = np.flatnonzero(np.isin(tail["kind"], kinds) & (tail["flags"] & BACKFILLED == 0))
    if not len(rows):
        return int(tail["ts_recv_ns"][0])
    recv_ns, event_ns = (int(tail[name][rows[-1]]) for name in ("ts_recv_ns", "ts_event_ns"))
    return event_ns if recv_ns - _LATE_EVENT_NS_MAX < event_ns < recv_ns else recv_ns


def _words(error: Exception) -> str:
    # The text of an error of somebody else's library may hold an address with a key in it.
    return error.found if isinstance(error, ScalpcliError) else type(error).__name__


def _in_order(rows: Iterable[PastTrade | PastQuote]) -> list[PastTrade | PastQuote]:
    return sorted(rows, key=lambda row: row.event_ns)
