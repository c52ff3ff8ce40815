"""From numbers of the wire to a packed row: what a message must be to become one.

Decides which messages are refused; a tape would refuse their rows (`runtime/tape_rules.py`), or they are absurd.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade, RowRefused
from scalpcli.model.row import STATUS, UNDERLYING_ID
from scalpcli.units import E4_PER_USD, NS_PER_DAY

PACKED: Final = struct.Struct("<qbhqqiiihhhq")
"""A row without its receive stamp: what is written and, being all of its fields, what tells duplicates."""
UNREADABLE: Final = (struct.error, ValueError, OverflowError, TypeError)
"""What NaN, infinity and numbers that no column holds raise on their way into a row."""

_PRICE_E4_MAX: Final = 10_000_000 * E4_PER_USD
_EVENT_AWAY_NS_MAX: Final = 350 * NS_PER_DAY
"""A tape refuses events a year away from its session, which lies a few days from now at most."""


def pack_trade(
    stamp_ns: int,
    kind: int,
    instrument_id: int,
    event_ns: int,
    price: float,
    size: float,
    flags: int,
    conditions: int,
    exchange: int,
    trade_id: int,
) -> bytes:
    """A print as a packed row; `price` in USD, `conditions` and `exchange` as codes.

    Raises:
        RowRefused: a value is outside its limits.
        ValueError, OverflowError, struct.error, TypeError: a value is no number that fits its column.
    """
    price_e4, shares = round(price * E4_PER_USD), round(size)
    if not 0 < price_e4 <= _PRICE_E4_MAX:
        raise RowRefused("price outside its limits")
    if shares < 0:
        raise RowRefused("negative size")
    if not -_EVENT_AWAY_NS_MAX < event_ns - stamp_ns < _EVENT_AWAY_NS_MAX:
        raise RowRefused("time far from now")
    return PACKED.pack(event_ns, kind, instrument_id, price_e4, 0, shares, 0, flags, conditions, exchange, 0, trade_id)


def pack_quote(
    stamp_ns: int,
    kind: int,
    instrument_id: int,
    event_ns: int,
    bid: float,
    bid_size: float,
    bid_exchange: int,
    ask: float,
    ask_size: float,
    ask_exchange: int,
    conditions: int,
) -> bytes:
    """A quote as a packed row; prices in USD, a price of 0 is an empty side.

    Raises:
        RowRefused: a value is outside its limits.
        ValueError, OverflowError, struct.error, TypeError: a value is no number that fits its column.
    """
    bid_e4, ask_e4 = round(bid * E4_PER_USD), round(ask * E4_PER_USD)
    bids, asks = round(bid_size), round(ask_size)
    if not (0 <= bid_e4 <= _PRICE_E4_MAX and 0 <= ask_e4 <= _PRICE_E4_MAX):
        raise RowRefused("price outside its limits")
    if bids < 0 or asks < 0:
        raise RowRefused("negative size")
    if (bids and not bid_e4) or (asks and not ask_e4):
        raise RowRefused("size on an empty side")
    if not -_EVENT_AWAY_NS_MAX < event_ns - stamp_ns < _EVENT_AWAY_NS_MAX:
        raise RowRefused("time far from now")
    return PACKED.pack(
        event_ns, kind, instrument_id, bid_e4, ask_e4, bids, asks, 0, conditions, bid_exchange, ask_exchange, 0
    )


def pack_past(
    stamp_ns: int,
    kind: int,
    instrument_id: int,
    row: PastTrade | PastQuote,
    conditions: int,
    flags: int,
    exchanges: Mapping[str, int],
) -> bytes:
    """A row of history as it would have come live; `exchanges` numbers their texts.

    Raises:
        As `pack_trade` and `pack_quote`.
    """
    now_ns, event_ns = stamp_ns, row.event_ns
    if isinstance(row, PastTrade):
        code, trade_id = exchanges[row.exchange], row.trade_id
        return pack_trade(now_ns, kind, instrument_id, event_ns, row.price, row.size, flags, conditions, code, trade_id)
    bids, asks = exchanges[row.bid_exchange], exchanges[row.ask_exchange]
    bid, ask = (row.bid, row.bid_size, bids), (row.ask, row.ask_size, asks)
    return pack_quote(now_ns, kind, instrument_id, event_ns, *bid, *ask, conditions)


def pack_status(stamp_ns: int, event_ns: int, flags: int, conditions: int) -> bytes:
    """A halt or a resumption of the underlying as a packed row.

    Raises:
        RowRefused: the time is outside its limits.
    """
    if not -_EVENT_AWAY_NS_MAX < event_ns - stamp_ns < _EVENT_AWAY_NS_MAX:
        raise RowRefused("time far from now")
    return PACKED.pack(event_ns, STATUS, UNDERLYING_ID, 0, 0, 0, 0, flags, conditions, 0, 0, 0)
