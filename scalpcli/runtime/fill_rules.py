"""What the market gives an order: the one rule by which replay and the local exchange fill (definitions, section 8).

Decides whether a quote fills at all, at what price and how much of it, and what is refused on arrival. Leaves when
an order arrives, what it is called and whom it is reported to, to whoever keeps the orders.
The numbered assumptions stand in `simulated_broker.py`; these functions are its points 3 to 5 and 7.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from scalpcli.core.view import Quote
from scalpcli.model.instrument import TickRule, round_to_tick
from scalpcli.model.order import OrderSide
from scalpcli.model.session import Session


def can_fill(quote: Quote, *, now_ns: int, age_ns_max: int, is_halted: bool, sees_since_ns: int) -> bool:
    """Whether a quote fills anything.

    Args:
        quote: As it stands.
        now_ns: Time at the market, UTC nanoseconds.
        age_ns_max: A quote older than this fills nothing.
        is_halted: Whether the contract or its underlying is halted.
        sees_since_ns: When the last halt or blindness ended; a quote from before fills nothing.
    """
    is_crossed = quote.bid_e4 > 0 and quote.ask_e4 > 0 and quote.bid_e4 > quote.ask_e4
    return not (is_crossed or now_ns - quote.ts_ns > age_ns_max or is_halted or quote.ts_ns < sees_since_ns)


def refusal(session: Session, now_ns: int, *, expiry: dt.date | None, tick_rule: TickRule, limit_e4: int) -> str:
    """Why an order is rejected when it reaches the market, or nothing."""
    if now_ns >= session.close_ns:
        return "the session is closed"
    if expiry is not None and expiry < session.date:
        return f"the contract expired on {expiry}"
    if round_to_tick(tick_rule, limit_e4, up=False) != limit_e4:
        return f"limit {limit_e4} e4 is off the tick grid"
    return ""


@dataclass(slots=True)
class _Taken:
    """Size taken at the price that stands on one side of one contract; forgotten when the price moves."""

    price_e4: int
    contracts: int = 0


class ShownSizes:
    """Gives every shown size once: what was taken at a price stays taken while the price stands."""

    def __init__(self) -> None:
        self._taken: dict[tuple[int, OrderSide], _Taken] = {}

    def instruments(self) -> set[int]:
        """Instruments with size taken; their next quote must be told to `on_quote`."""
        return {instrument_id for instrument_id, _ in self._taken}

    def on_quote(self, instrument_id: int, quote: Quote) -> None:
        """Another price is other size."""
        for side, price_e4 in ((OrderSide.BUY, quote.ask_e4), (OrderSide.SELL, quote.bid_e4)):
            taken = self._taken.get((instrument_id, side))
            if taken is not None and taken.price_e4 != price_e4:
                del self._taken[instrument_id, side]

    def take(self, instrument_id: int, side: OrderSide, limit_e4: int, wanted: int, quote: Quote) -> tuple[int, int]:
        """Fill what a quote allows; the caller asked `can_fill` before.

        Args:
            instrument_id: What is traded.
            side: Of the order.
            limit_e4: Its limit, 1/10000 USD.
            wanted: What is left of it.
            quote: As it stands.

        Returns:
            Quantity filled, 0 = none, and the price.
        """
        is_buy = side is OrderSide.BUY
        price_e4, shown = (quote.ask_e4, quote.ask_size) if is_buy else (quote.bid_e4, quote.bid_size)
        is_marketable = price_e4 <= limit_e4 if is_buy else price_e4 >= limit_e4
        if price_e4 <= 0 or not is_marketable:
            return 0, price_e4
        taken = self._taken.get((instrument_id, side)) or _Taken(price_e4)
        quantity = min(wanted, shown - taken.contracts)
        if quantity <= 0:
            return 0, price_e4
        taken.contracts += quantity
        self._taken[instrument_id, side] = taken
        return quantity, price_e4
