"""The market read straight from a day's rows, without the engine: quotes, halts, gaps, ages.

A position is the number of the last row that counts; `position(t)` counts every row received up to `t`.
Backfilled rows never are a quote or a price (definitions, section 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from scalpcli.model import row
from tests.property.law_sessions import Day

NEVER = -(10**18)


class Standing(NamedTuple):
    """A quote as it stands; prices in 1/10000 USD, 0 = absent."""

    bid: int
    ask: int
    bid_size: int
    ask_size: int
    ts_ns: int

    @property
    def is_crossed(self) -> bool:
        """Whether both sides are there and the bid is above the ask."""
        return 0 < self.ask < self.bid

    @property
    def is_two_sided(self) -> bool:
        """Whether one may enter at it: both sides, neither crossed nor locked."""
        return 0 < self.bid < self.ask


NOTHING = Standing(0, 0, 0, 0, NEVER)


class Book:
    """The market of one day at any position of its tape."""

    def __init__(self, day: Day) -> None:
        self._day = day
        columns = day.columns
        self._received = columns["ts_recv_ns"]
        self._rows = {name: column.tolist() for name, column in columns.items()}
        kind, number = columns["kind"], columns["instrument_id"]
        self._is_late = columns["flags"] & row.BACKFILLED != 0
        is_quote = np.isin(kind, (row.STOCK_QUOTE, row.OPTION_QUOTE)) & ~self._is_late
        self._quotes = {
            each.instrument_id: _where(is_quote & (number == each.instrument_id)) for each in day.instruments
        }
        is_status = kind == row.STATUS
        self._statuses = {
            each.instrument_id: _where(is_status & (number == each.instrument_id)) for each in day.instruments
        }
        self._gaps = _where(kind == row.GAP)

    def position(self, t_ns: int) -> int:
        """The last row received at or before `t_ns`."""
        return int(np.searchsorted(self._received, t_ns, side="right")) - 1

    def quote(self, instrument_id: int, position: int) -> Standing:
        """The quote that stands at a position."""
        index = _last(self._quotes[instrument_id], position)
        return NOTHING if index is None else self._standing(index)

    def quotes_between(self, instrument_id: int, first_ns: int, last_ns: int) -> Iterator[tuple[int, Standing]]:
        """Position and quote of each quote row received from `first_ns` to `last_ns`, both included."""
        rows = self._quotes[instrument_id]
        start = int(np.searchsorted(self._received[rows], first_ns, side="left"))
        for index in rows[start:].tolist():
            if self._rows["ts_recv_ns"][index] > last_ns:
                return
            yield index, self._standing(index)

    def _standing(self, index: int) -> Standing:
        rows = self._rows
        return Standing(
            rows["price_e4"][index], rows["ask_e4"][index], rows["size"][index], rows["ask_size"][index],
            rows["ts_recv_ns"][index],
        )  # fmt: skip

    def is_halted(self, instrument_id: int, position: int) -> bool:
        """Whether the last status row of an instrument says that it does not trade."""
        index = _last(self._statuses[instrument_id], position)
        return index is not None and self._rows["flags"][index] & row.HALT_BEGIN != 0

    def halt_end_ns(self, instrument_id: int, position: int) -> int:
        """When an instrument last resumed."""
        ends = (
            self._rows["ts_recv_ns"][index]
            for index in self._statuses[instrument_id].tolist()
            if index <= position and self._rows["flags"][index] & row.HALT_END
        )
        return max(ends, default=NEVER)

    def is_blind(self, channel: int, position: int) -> bool:
        """Whether a gap of a channel is open."""
        open_now = False
        for index in self._gaps_of(channel, position):
            open_now = self._rows["flags"][index] & row.GAP_END == 0
        return open_now

    def gap_end_ns(self, channel: int, position: int) -> int:
        """When a channel last saw again."""
        ends = (
            self._rows["ts_recv_ns"][index]
            for index in self._gaps_of(channel, position)
            if self._rows["flags"][index] & row.GAP_END
        )
        return max(ends, default=NEVER)

    def may_trade(self, instrument_id: int, position: int, quote: Standing, t_ns: int, age_ns_max: int) -> bool:
        """Whether anything may trade against a quote of a contract at `t_ns`.

        Not where it is crossed or old, while the contract or the stock is halted or option quotes are blind, nor
        where it was seen before the last halt or blindness ended.
        """
        option_quotes = row.CHANNEL_OPTION_QUOTES
        halted = {instrument_id, row.UNDERLYING_ID}
        whole_since_ns = max(self.halt_end_ns(each, position) for each in halted)
        return not (
            quote.is_crossed
            or t_ns - quote.ts_ns > age_ns_max
            or any(self.is_halted(each, position) for each in halted)
            or self.is_blind(option_quotes, position)
            or quote.ts_ns < max(whole_since_ns, self.gap_end_ns(option_quotes, position))
        )

    def _gaps_of(self, channel: int, position: int) -> list[int]:
        return [k for k in self._gaps.tolist() if k <= position and self._rows["size"][k] & channel]

    def last_row_ns(self, position: int, *kinds: int) -> int:
        """When the last row of some kinds was received that was not late."""
        of_kinds = np.isin(self._day.columns["kind"][: position + 1], kinds) & ~self._is_late[: position + 1]
        found = _where(of_kinds)
        return int(self._received[found[-1]]) if len(found) else NEVER

    def last_price(self, position: int, *, mid: bool) -> tuple[float, int]:
        """`P` and when it was received: of regular last-eligible prints and bare prices, or of usable mids."""
        columns, session = self._day.columns, self._day.session
        event = columns["ts_event_ns"]
        usable = (event >= session.open_ns) & (event <= session.close_ns) & ~self._is_late
        kind, price, ask = columns["kind"], columns["price_e4"], columns["ask_e4"]
        if mid:
            usable &= (kind == row.STOCK_QUOTE) & (price > 0) & (price < ask)
        else:
            is_last = (kind == row.STOCK_TRADE) & (columns["flags"] & row.LAST != 0)
            usable &= is_last | (kind == row.PRICE_ONLY)
        found = _where(usable[: position + 1])
        if not len(found):
            return float("nan"), NEVER
        index = int(found[-1])
        value = (float(price[index]) + float(ask[index])) / 2.0 if mid else float(price[index])
        return value, int(self._received[index])


def _where(mask: Any) -> Any:
    return np.flatnonzero(mask)


def _last(rows: Any, position: int) -> int | None:
    count = int(np.searchsorted(rows, position, side="right"))
    return int(rows[count - 1]) if count else None
