"""The one merger: what streams and polls learned becomes rows in one order, stamped when it was learned.

Decides numbers of instruments, conditions and exchanges, what cannot be a row, and how gaps are told.
Synchronous, no input or output: decoders call it, the recorder drains it. Leaves the wire to
`alpaca_wire.py`, stamps and duplicates to `aggregator_store.py` and the disk to the recorder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.aggregator_codes import (
    CodeTable,
    ConditionTable,
    PastQuote,
    PastTrade,
    RowRefused,
    status_flags,
)
from scalpcli.adapters.aggregator_rows import PACKED, UNREADABLE, pack_past, pack_quote, pack_status, pack_trade
from scalpcli.adapters.aggregator_store import CHANNEL_OF, RowStore
from scalpcli.model.block import Block
from scalpcli.model.conditions import ELIGIBLE, flags_of_opra, flags_of_sip
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GAP_CAUSE
from scalpcli.model.row import (
    CANCELLED,
    CORRECTED,
    GAP,
    GAP_BEGIN,
    GAP_END,
    HALT_BEGIN,
    INSTRUMENT_ID_MAX,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNDERLYING_ID,
)

_TRADE_NAME_BYTES: Final = 12
"""Exchange, ask exchange and trade id: the end of a packed row, which names a stock print."""


class DataAggregator:
    """Merges what was learned into rows.

    Args:
        symbol: The underlying; messages of other stocks are counted, not written.
        now_ns: Market clock, UTC nanoseconds.
        rows_waiting_max: Rows that may wait for `drain`; more are dropped, counted and told as a gap.
        instruments: Contracts already numbered (a recording taken up again), without the underlying.
        conditions: Texts already numbered, from 1.
        exchanges: Texts already numbered, from 1.
        last_ns: Last receive stamp already given; none is ever below it.
        monotonic_s: A clock that only goes forward, seconds; with it, steps of the market clock are noticed.
        speed: Market seconds in one second of `monotonic_s`.
    """

    def __init__(
        self,
        symbol: str,
        *,
        now_ns: Callable[[], int],
        rows_waiting_max: int,
        instruments: Sequence[Instrument] = (),
        conditions: Sequence[str] = (),
        exchanges: Sequence[str] = (),
        last_ns: int = 0,
        monotonic_s: Callable[[], float] | None = None,
        speed: float = 1.0,
    ) -> None:
        self.symbol = symbol
        self.refused: Counter[str] = Counter()
        """Messages that cannot be rows, by kind and cause."""
        self.open_gaps = 0
        """Channels that are blind now."""
        self.is_halted = False
        """Whether the underlying's last status was a halt."""
        self._store = RowStore(now_ns, rows_waiting_max, last_ns, monotonic_s, speed)
        self._write = self._store.write
        self.stamp = self._store.stamp
        """Take the receive stamp of what is written next, UTC nanoseconds: called at once for each frame.

        It never goes back. A step of the clock is counted and told in a cold row.
        """
        self._ids = {item.symbol: item.instrument_id for item in instruments}
        self._new_instruments: list[Instrument] = []
        self.conditions = CodeTable("conditions", conditions)
        self.exchanges = CodeTable("exchanges", exchanges)
        self._stock_conditions = ConditionTable(self.conditions, flags_of_sip)
        self._option_conditions = ConditionTable(self.conditions, flags_of_opra)

    # Contracts.

    def add_contracts(self, contracts: Iterable[Instrument]) -> None:
        """Number contracts in the order given, after those known; known symbols are ignored."""
        for contract in contracts:
            number = len(self._ids) + 1
            if contract.symbol in self._ids or number > INSTRUMENT_ID_MAX:
                continue
            self._ids[contract.symbol] = number
            self._new_instruments.append(replace(contract, instrument_id=number))

    def remember(self, columns: Mapping[str, NDArray[Any]], *, is_whole: bool) -> None:
        """Take in the last rows of an earlier process; a gap that it left open ends here, for another to begin.

        Args:
            columns: The rows, every column of the tape, codes as they are numbered here.
            is_whole: Whether there are no rows before them.
        """
        self._store.remember(columns, is_whole=is_whole)
        for row in np.flatnonzero(columns["kind"] == GAP).tolist():
            channels, flags = int(columns["size"][row]), int(columns["flags"][row])
            if flags & GAP_BEGIN:
                self.open_gaps |= channels
            if flags & GAP_END:
                self.open_gaps &= ~channels
        self.end_gap(self.open_gaps)

    # What decoders call. Prices are dollars, sizes shares or contracts, times UTC nanoseconds.

    def stock_trade(
        self, event_ns: int, price: float, size: float, exchange: str, conditions: tuple[str, ...], trade_id: int
    ) -> None:
        """A print of the underlying."""
        try:
            code, flags = self._stock_conditions[conditions]
            now_ns, venue = self._store.stamp_ns, self.exchanges[exchange]
            body = pack_trade(now_ns, STOCK_TRADE, UNDERLYING_ID, event_ns, price, size, flags, code, venue, trade_id)
            self._write(STOCK_TRADE, body)
        except UNREADABLE as error:
            self._refuse(STOCK_TRADE, error)

    def option_trade(
        self, symbol: str, event_ns: int, price: float, size: float, exchange: str, conditions: tuple[str, ...]
    ) -> None:
        """A print of a contract; the wire gives it no id."""
        instrument_id = self._ids.get(symbol)
        if instrument_id is None:
            self.refused["option_trade: unknown symbol"] += 1
            return
        try:
            code, flags = self._option_conditions[conditions]
            now_ns, venue = self._store.stamp_ns, self.exchanges[exchange]
            body = pack_trade(now_ns, OPTION_TRADE, instrument_id, event_ns, price, size, flags, code, venue, 0)
            self._write(OPTION_TRADE, body)
        except UNREADABLE as error:
            self._refuse(OPTION_TRADE, error)

    def stock_quote(
        self,
        event_ns: int,
        bid: float,
        bid_size: float,
        bid_exchange: str,
        ask: float,
        ask_size: float,
        ask_exchange: str,
        conditions: tuple[str, ...],
    ) -> None:
        """The underlying's best bid and ask; a price of 0 is an empty side."""
        try:
            now_ns, code = self._store.stamp_ns, self._stock_conditions[conditions][0]
            bids, asks = self.exchanges[bid_exchange], self.exchanges[ask_exchange]
            body = pack_quote(
                now_ns, STOCK_QUOTE, UNDERLYING_ID, event_ns, bid, bid_size, bids, ask, ask_size, asks, code
            )
            self._write(STOCK_QUOTE, body)
        except UNREADABLE as error:
            self._refuse(STOCK_QUOTE, error)

    def option_quote(
        self,
        symbol: str,
        event_ns: int,
        bid: float,
        bid_size: float,
        bid_exchange: str,
        ask: float,
        ask_size: float,
        ask_exchange: str,
        conditions: tuple[str, ...],
    ) -> None:
        """A contract's best bid and ask; a price of 0 is an empty side."""
        instrument_id = self._ids.get(symbol)
        if instrument_id is None:
            self.refused["option_quote: unknown symbol"] += 1
            return
        try:
            now_ns, code = self._store.stamp_ns, self._option_conditions[conditions][0]
            bids, asks = self.exchanges[bid_exchange], self.exchanges[ask_exchange]
            body = pack_quote(
                now_ns, OPTION_QUOTE, instrument_id, event_ns, bid, bid_size, bids, ask, ask_size, asks, code
            )
            self._write(OPTION_QUOTE, body)
        except UNREADABLE as error:
            self._refuse(OPTION_QUOTE, error)

    def status(self, event_ns: int, status_code: str, reason_code: str) -> None:
        """A trading status of the underlying; one that neither halts nor resumes is counted, not written."""
        flags = status_flags(status_code, reason_code)
        if not flags:
            self.refused["status: neither halt nor resumption"] += 1
            return
        try:
            code = self.conditions[reason_code or status_code]
            self._write(STATUS, pack_status(self._store.stamp_ns, event_ns, flags, code))
            self.is_halted = flags == HALT_BEGIN
        except UNREADABLE as error:
            self._refuse(STATUS, error)

    def correction(
        self, event_ns: int, price: float, size: float, exchange: str, conditions: tuple[str, ...], trade_id: int
    ) -> None:
        """What an earlier print should have been; it moves nothing, its volume was counted already."""
        self._afterwards(event_ns, price, size, exchange, conditions, trade_id, CORRECTED)

    def cancel(self, event_ns: int, price: float, size: float, exchange: str, trade_id: int) -> None:
        """An earlier print that never was."""
        self._afterwards(event_ns, price, size, exchange, (), trade_id, CANCELLED)

    def _afterwards(
        self,
        event_ns: int,
        price: float,
        size: float,
        exchange: str,
        conditions: tuple[str, ...],
        trade_id: int,
        mark: int,
    ) -> None:
        try:
            code, flags = self._stock_conditions[conditions]
            flags = (flags & ~ELIGIBLE) | mark
            now_ns, venue = self._store.stamp_ns, self.exchanges[exchange]
            body = pack_trade(now_ns, STOCK_TRADE, UNDERLYING_ID, event_ns, price, size, flags, code, venue, trade_id)
            self._write(STOCK_TRADE, body)
        except UNREADABLE as error:
            self._refuse(STOCK_TRADE, error)

    # History of a gap.

    def hold(self, channels: int) -> None:
        """Remember what comes live on `channels` until `release`, because history of a gap will be written."""
        for kind, channel in CHANNEL_OF.items():
            if channel & channels:
                self._store.recent[kind].hold()

    def release(self, channels: int) -> None:
        """No more history is waited for on `channels`."""
        for kind, channel in CHANNEL_OF.items():
            if channel & channels:
                self._store.recent[kind].release()

    def backfilled(self, kind: int, rows: Iterable[PastTrade | PastQuote], since_ns: int, until_ns: int) -> int:
        """Write history of a gap, each row once, stamped now and marked `BACKFILLED`.

        What came live is left out: stock prints by exchange and id, the rest by all fields, and whatever lies
        before the oldest row still remembered. Equal rows of one answer are one.

        Args:
            kind: `STOCK_TRADE`, `STOCK_QUOTE` or `OPTION_TRADE`.
            rows: Their history, in any order.
            since_ns: Begin of the span, event time, UTC nanoseconds; earlier rows are left out.
            until_ns: Its end, inclusive.

        Returns:
            Rows written.
        """
        self.stamp()
        recent = self._store.recent[kind]
        # What was forgotten came before the oldest rows; whatever happened up to them may have come live.
        since_ns = max([since_ns, *(PACKED.unpack(row)[0] for row in recent.oldest)])
        names = {row[-_TRADE_NAME_BYTES:] for row in recent.rows} if kind == STOCK_TRADE else set()
        written = 0
        for row in sorted((row for row in rows if since_ns <= row.event_ns <= until_ns), key=_event_ns):
            body = self._past_row(kind, row)
            if not body or body in recent or body[-_TRADE_NAME_BYTES:] in names:
                continue
            if kind == STOCK_TRADE:
                names.add(body[-_TRADE_NAME_BYTES:])
            self._store.write_backfilled(kind, body)
            written += 1
        return written

    def _past_row(self, kind: int, row: PastTrade | PastQuote) -> bytes:
        instrument_id = UNDERLYING_ID if row.symbol == self.symbol else self._ids.get(row.symbol)
        if instrument_id is None or (instrument_id == UNDERLYING_ID) is (kind in {OPTION_TRADE, OPTION_QUOTE}):
            self.refused[f"{KIND_NAMES[kind]}: unknown symbol"] += 1
            return b""
        table = self._option_conditions if instrument_id else self._stock_conditions
        try:
            return pack_past(self._store.stamp_ns, kind, instrument_id, row, *table[row.conditions], self.exchanges)
        except UNREADABLE as error:
            self._refuse(kind, error)
            return b""

    # Gaps and notes.

    def begin_gap(self, channels: int, since_ns: int, cause: str) -> None:
        """Say that `channels` are blind, stamped now; channels already blind are left out.

        Args:
            channels: Bits of `model/row.py`.
            since_ns: Last moment that was seen for certain, UTC nanoseconds.
            cause: What happened. The words before a colon are few and become the row's text, the rest is
                told in the note.
        """
        new = channels & ~self.open_gaps
        if new:
            self.stamp()
            self.open_gaps |= new
            self._gap(GAP_BEGIN, new, since_ns, cause)

    def end_gap(self, channels: int) -> None:
        """Say that `channels` see again, stamped now; channels that were not blind are left out."""
        ending = channels & self.open_gaps
        if ending:
            self.stamp()
            self.open_gaps &= ~ending
            self._store.gap(GAP_END, ending, self._store.stamp_ns, 0)

    def short_gap(self, channels: int, since_ns: int, cause: str) -> None:
        """Say that `channels` were blind from `since_ns` until now, learned afterwards."""
        new = channels & ~self.open_gaps
        if new:
            self.stamp()
            self._gap(GAP_BEGIN | GAP_END, new, since_ns, cause)

    def _gap(self, flags: int, channels: int, since_ns: int, cause: str) -> None:
        self._store.cold(GAP_CAUSE, {"cause": cause})
        self._store.gap(flags, channels, since_ns, self.conditions[cause.partition(":")[0]])

    def note(self, kind: str, body: dict[str, Any]) -> None:
        """Add a cold row with its note (`model/note.py`), stamped now."""
        self.stamp()
        self._store.cold(kind, body)

    def drain(self) -> Block:
        """Everything learned since the last drain. Rows dropped for want of room follow as a gap."""
        columns, notes = self._store.take()
        block = Block(
            columns, notes, tuple(self._new_instruments), self.conditions.take_new(), self.exchanges.take_new()
        )
        self._new_instruments.clear()
        channels, since_ns = self._store.take_dropped()
        if channels:
            self.short_gap(channels, since_ns, "too many rows waiting")
        return block

    # What happened so far.

    @property
    def stamp_ns(self) -> int:
        """The receive stamp taken last, UTC nanoseconds."""
        return self._store.stamp_ns

    @property
    def waiting(self) -> int:
        """Rows that wait to be drained."""
        return self._store.waiting

    @property
    def contracts(self) -> frozenset[str]:
        """Symbols of the contracts that have a number."""
        return frozenset(self._ids)

    def counters(self) -> dict[str, Any]:
        """Rows drained by kind, duplicates, dropped, late and refused messages, clock steps, lag."""
        store = self._store
        return {
            "rows": dict(store.rows),
            "waiting": store.waiting,
            "duplicates": store.duplicates,
            "dropped": store.dropped,
            "late": store.late,
            "clock_steps": store.clock_steps,
            "refused": dict(self.refused),
            "lag_ms": dict(store.lag_ms),
        }

    def _refuse(self, kind: int, error: Exception) -> None:
        cause = str(error) if isinstance(error, RowRefused) else "number outside its limits"
        self.refused[f"{KIND_NAMES[kind]}: {cause}"] += 1


def _event_ns(row: PastTrade | PastQuote) -> int:
    return row.event_ns
