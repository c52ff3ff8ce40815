"""The best tape of a past day that history gives.

Decides what is asked for, in which order the rows stand, and what the manifest says about them. Stock prints
and quotes and the prints of options come from Alpaca. Quotes of options cannot be had from Alpaca; ORATS'
one-minute chains can stand in for them and are marked as minute data.

The rows are not marked `BACKFILLED`: that flag says a row came late into a live recording and moves no last
price. Here every row stands where it would have stood live, received `recv_delay_ns` after its event. Rows of
one instant: quotes of the stock, its prints, quotes of contracts, their prints, greeks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.adapters.aggregator_codes import CodeTable, ConditionTable, PastQuote, PastTrade, RowRefused
from scalpcli.adapters.alpaca_history import option_trades, stock_quotes, stock_trades
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.orats import SOURCE, Orats, greeks_of, number
from scalpcli.model.block import Block
from scalpcli.model.conditions import flags_of_opra, flags_of_sip
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GREEKS
from scalpcli.model.row import (
    COLD,
    COLUMNS,
    OPTION_QUOTE,
    OPTION_TRADE,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNDERLYING_ID,
)
from scalpcli.units import NS_PER_MIN, usd_to_e4

WINDOW_NS: Final = 10 * NS_PER_MIN
"""Stretch of time that is held in memory; TSLA has some 200,000 rows in its busiest."""
_SIZE_MAX: Final = 2**31 - 1
_IN_ORDER: Final = (STOCK_QUOTE, STOCK_TRADE, OPTION_QUOTE, OPTION_TRADE, COLD)
_ORDER: Final = np.array([_IN_ORDER.index(kind) if kind in _IN_ORDER else 0 for kind in range(COLD + 1)])
_NAMES: Final = tuple(COLUMNS)


@dataclass(frozen=True, slots=True)
class DayPlan:
    """What of a past day is wanted.

    Attributes:
        symbol: The underlying.
        feed: Stock feed, `sip` or `iex`.
        contracts: Contracts, numbered from 1.
        start_ns: First instant, UTC nanoseconds.
        end_ns: First instant no more wanted.
        recv_delay_ns: Time from event to receipt that every row is given.
    """

    symbol: str
    feed: str
    contracts: Sequence[Instrument]
    start_ns: int
    end_ns: int
    recv_delay_ns: int = 0


@dataclass(slots=True)
class DayHistory:
    """A past day, block by block.

    Args:
        rest: Alpaca.
        plan: What is wanted.
        orats: Source of one-minute chains, `None` for none.
    """

    rest: AlpacaRest
    plan: DayPlan
    orats: Orats | None = None
    counts: Counter[str] = field(default_factory=Counter)
    """Rows left out: `void` (cancelled or incorrect prints), `unreadable`, `outside`; `minutes` of ORATS."""

    def blocks(self, progress: Callable[[int], None] | None = None) -> Iterator[Block]:
        """The day's rows in the tape's order; `progress` takes nanoseconds of the day that are done."""
        rows = _Rows(self.plan, self.counts)
        for start_ns in range(self.plan.start_ns, self.plan.end_ns, WINDOW_NS):
            end_ns = min(start_ns + WINDOW_NS, self.plan.end_ns)
            self._fetch(rows, start_ns, end_ns)
            yield rows.take(start_ns, end_ns)
            if progress is not None:
                progress(end_ns - start_ns)

    def _fetch(self, rows: _Rows, start_ns: int, end_ns: int) -> None:
        plan, counts = self.plan, self.counts
        for quotes in stock_quotes(self.rest, plan.symbol, start_ns, end_ns, plan.feed, counts=counts):
            rows.stock_quotes(quotes)
        for prints in stock_trades(self.rest, plan.symbol, start_ns, end_ns, plan.feed, counts=counts):
            rows.trades(STOCK_TRADE, prints)
        symbols = [contract.symbol for contract in plan.contracts]
        for prints in option_trades(self.rest, symbols, start_ns, end_ns, counts=counts):
            rows.trades(OPTION_TRADE, prints)
        if self.orats is not None:
            first = -(-start_ns // NS_PER_MIN) * NS_PER_MIN
            for minute_ns in range(first, end_ns, NS_PER_MIN):
                chain = self.orats.minute_chain(plan.symbol, minute_ns)
                self.counts["minutes"] += bool(chain)
                rows.chain(minute_ns, chain)

    def source(self) -> dict[str, Any]:
        """What the tape's manifest says about where its rows come from."""
        quotes = "one-minute chains of ORATS, not ticks" if self.orats else "none: Alpaca keeps no history of them"
        return {
            "made_by": "record backfill",
            "stock_trades": f"Alpaca history, {self.plan.feed}",
            "stock_quotes": f"Alpaca history, {self.plan.feed}",
            "option_trades": "Alpaca history",
            "option_quotes": quotes,
            "ts_recv_ns": f"ts_event_ns + {self.plan.recv_delay_ns} ns: history has no receive times",
            "left_out": dict(sorted(self.counts.items())),
        }

    def feeds(self) -> dict[str, str]:
        """Feeds for the tape's manifest."""
        options = f"alpaca history trades, {SOURCE} one-minute quotes" if self.orats else "alpaca history trades only"
        return {"stock": f"alpaca history {self.plan.feed}", "options": options}


class _Rows:
    """Rows of one window, column by column, with the codes of the whole day."""

    def __init__(self, plan: DayPlan, counts: Counter[str]) -> None:
        self._symbol = plan.symbol
        self._delay_ns = plan.recv_delay_ns
        self._counts = counts
        self._ids = {plan.symbol: UNDERLYING_ID, **{one.symbol: one.instrument_id for one in plan.contracts}}
        self._contracts = plan.contracts
        self._conditions = CodeTable("conditions", ())
        self._exchanges = CodeTable("exchanges", ())
        self._flags = {
            STOCK_TRADE: ConditionTable(self._conditions, flags_of_sip),
            OPTION_TRADE: ConditionTable(self._conditions, flags_of_opra),
        }
        self._rows: list[tuple[int, ...]] = []
        self._parts: list[NDArray[np.int64]] = []
        self._notes: dict[int, dict[str, Any]] = {}

    def trades(self, kind: int, prints: Iterable[PastTrade]) -> None:
        """Add prints of a page."""
        table, exchanges = self._flags[kind], self._exchanges
        for one in prints:
            try:
                instrument_id = self._ids[one.symbol]
                price_e4, size = usd_to_e4(one.price), int(one.size)
                code, flags = table[one.conditions]
                if price_e4 <= 0 or not 0 <= size <= _SIZE_MAX:
                    raise RowRefused("price or size")
                exchange = exchanges[one.exchange]
            except (KeyError, ValueError, OverflowError):
                self._counts["unreadable"] += 1
                continue
            self._add(one.event_ns, kind, instrument_id, price_e4, 0, size, 0, flags, code, exchange, 0, one.trade_id)
        self._pack()

    def stock_quotes(self, quotes: Iterable[PastQuote]) -> None:
        """Add quotes of a page; an empty side has price and size 0."""
        table, exchanges = self._flags[STOCK_TRADE], self._exchanges
        for one in quotes:
            try:
                code = table[one.conditions][0]
                bid_e4, bid_size = _side(one.bid, one.bid_size)
                ask_e4, ask_size = _side(one.ask, one.ask_size)
                bid_exchange, ask_exchange = exchanges[one.bid_exchange], exchanges[one.ask_exchange]
            except (ValueError, OverflowError):
                self._counts["unreadable"] += 1
                continue
            self._add(
                one.event_ns, STOCK_QUOTE, UNDERLYING_ID, bid_e4, ask_e4, bid_size, ask_size, 0, code,
                bid_exchange, ask_exchange, 0,
            )  # fmt: skip
        self._pack()

    def chain(self, minute_ns: int, chain: Sequence[Mapping[str, str]]) -> None:
        """Add a minute of ORATS: a quote of each contract and the greeks, stamped with the minute."""
        by_strike: dict[tuple[str, int], Mapping[str, str]] = {}
        for row in chain:
            strike = number(row.get("strike"))
            if strike is not None:
                by_strike[str(row.get("expirDate", ""))[:10], usd_to_e4(strike)] = row
        if not by_strike:
            return
        for one in self._contracts:
            row = by_strike.get((str(one.expiry), one.strike_e4), {})
            side = "call" if one.right == "C" else "put"
            try:
                prices = [
                    number(row.get(f"{side}{name}")) or 0.0 for name in ("BidPrice", "BidSize", "AskPrice", "AskSize")
                ]
                (bid_e4, bid_size), (ask_e4, ask_size) = _side(*prices[:2]), _side(*prices[2:])
            except (ValueError, OverflowError):
                self._counts["unreadable"] += 1
                continue
            if bid_e4 or ask_e4:
                self._add(minute_ns, OPTION_QUOTE, one.instrument_id, bid_e4, ask_e4, bid_size, ask_size, 0, 0, 0, 0, 0)
        self._greeks(minute_ns, list(by_strike.values()))
        self._pack()

    def _greeks(self, minute_ns: int, chain: list[Mapping[str, str]]) -> None:
        contracts: dict[str, dict[str, float]] = {}
        for expiry in {one.expiry for one in self._contracts if one.expiry is not None}:
            contracts.update(greeks_of(chain, self._symbol, expiry))
        known = {name: contracts[name] for name in sorted(contracts.keys() & self._ids.keys())}
        if known:
            self._notes[minute_ns] = {"source": f"{SOURCE} one-minute", "contracts": known}
            self._add(minute_ns, COLD, UNDERLYING_ID, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def _add(self, event_ns: int, *values: int) -> None:
        self._rows.append((event_ns + self._delay_ns, event_ns, *values))

    def _pack(self) -> None:
        """Tuples become an array at every page: a tenth of the memory."""
        if self._rows:
            self._parts.append(np.array(self._rows, np.int64))
            self._rows.clear()

    def take(self, start_ns: int, end_ns: int) -> Block:
        """The window's rows in order, and what is new in the dictionaries; the window is empty afterwards."""
        rows = np.concatenate(self._parts) if self._parts else np.zeros((0, len(_NAMES)), np.int64)
        self._parts.clear()
        event_ns = rows[:, _NAMES.index("ts_event_ns")]
        inside = (event_ns >= start_ns) & (event_ns < end_ns)
        self._counts["outside"] += int((~inside).sum())
        rows = rows[inside]
        kind = rows[:, _NAMES.index("kind")]
        rows = rows[np.lexsort((_ORDER[kind], rows[:, 0]))]
        columns = {name: np.ascontiguousarray(rows[:, at], COLUMNS[name]) for at, name in enumerate(_NAMES)}
        cold_ns = columns["ts_event_ns"][columns["kind"] == COLD].tolist()
        notes = tuple((GREEKS, self._notes[minute_ns]) for minute_ns in cold_ns)
        self._notes.clear()
        return Block(columns, notes, (), self._conditions.take_new(), self._exchanges.take_new())


def _side(price: float, size: float) -> tuple[int, int]:
    """Price in 1/10000 USD and whole size of one side of a quote; an empty side is 0, 0."""
    price_e4, whole = usd_to_e4(price), int(size)
    if price_e4 < 0 or not 0 <= whole <= _SIZE_MAX:
        raise RowRefused("price or size")
    return (price_e4, whole) if price_e4 else (0, 0)
