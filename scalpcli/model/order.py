"""Orders and what a broker answers: plain values that cross between executor and broker.

An order that may be sent is `core.risk.ApprovedOrder`; only risk makes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OrderSide(StrEnum):
    """Which way a contract changes hands."""

    BUY = "buy"
    SELL = "sell"


class Leg(StrEnum):
    """What an order is for."""

    ENTRY = "entry"
    EXIT = "exit"
    PROTECT = "protect"
    """A resting stop at the broker, for the case that we and our machine are gone."""
    GUARD = "guard"
    """Sent by the guard, when the engine does not answer."""


class OrderKind(StrEnum):
    """At what price an order may trade."""

    LIMIT = "limit"
    MARKET = "market"
    """At any price: the last try of an exit, never an entry."""
    STOP = "stop"
    """Rests until the market trades at its stop price, then trades at any: a protective stop."""


class ReplyKind(StrEnum):
    """What a broker says of an order."""

    ACCEPTED = "accepted"
    FILL = "fill"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    UNKNOWN = "unknown"
    """The broker did not say whether it has the order; it counts as working until it does."""


TERMINAL_REPLIES = frozenset({ReplyKind.CANCELLED, ReplyKind.EXPIRED, ReplyKind.REJECTED})


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of a broker.

    Args:
        kind: What it says.
        order_id: Of which order.
        ts_market_ns: When it happened at the market; we learn of it later.
        quantity: Contracts of this fill.
        price_e4: Price of this fill, 1/10000 USD a share.
        bid_e4: Best bid the fill met.
        ask_e4: Best ask the fill met.
        reason: Why it was rejected, cancelled or expired.
    """

    kind: ReplyKind
    order_id: str
    ts_market_ns: int
    quantity: int = 0
    price_e4: int = 0
    bid_e4: int = 0
    ask_e4: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class CancelRequest:
    """A wish to take an order back; it may come too late."""

    order_id: str


@dataclass(frozen=True, slots=True)
class DoNotExercise:
    """A wish that contracts still held expire rather than become shares: the last rung of getting out."""

    symbol: str
