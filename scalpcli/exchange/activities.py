"""What happened to the account's cash and positions, as `/v2/account/activities` tells it.

Decides the entries and their order. On Alpaca what expires or is exercised shows the next day; here at once,
because the exchange plays one session.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from scalpcli.exchange.orders import Order
from scalpcli.exchange.rest_answer import money_text, time_text
from scalpcli.model.instrument import Instrument
from scalpcli.model.session import ns_to_new_york_date
from scalpcli.units import NS_PER_MS, NS_PER_S


class Activities:
    """Entries of one session, oldest first."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def add_fill(self, order: Order, quantity: int, price_e4: int, now_ns: int, execution_id: str) -> None:
        """Note one fill; the order counts it already."""
        self.entries.append(
            {
                "id": _entry_id(now_ns, execution_id),
                "activity_type": "FILL",
                "transaction_time": time_text(now_ns),
                "type": "partial_fill" if order.remaining else "fill",
                "price": money_text(price_e4),
                "qty": str(quantity),
                "side": order.request.side.value,
                "symbol": order.request.instrument.symbol,
                "leaves_qty": str(order.remaining),
                "order_id": order.order_id,
                "cum_qty": str(order.filled),
                "order_status": order.status,
            }
        )

    def add_end(self, kind: str, contract: Instrument, quantity: int, amount_e4: int, now_ns: int, new_id: str) -> None:
        """Note what became of a contract held to its expiry: `OPEXC` exercised, `OPEXP` expired."""
        self.entries.append(
            {
                "id": _entry_id(now_ns, new_id),
                "activity_type": kind,
                "date": ns_to_new_york_date(now_ns).isoformat(),
                "net_amount": money_text(amount_e4),
                "description": "Option exercise, settled in cash" if kind == "OPEXC" else "Option expiry",
                "symbol": contract.symbol,
                "qty": str(-quantity),
                "price": None,
                "per_share_amount": None,
                "status": "executed",
            }
        )


def _entry_id(now_ns: int, unique: str) -> str:
    # Alpaca's ids begin with the time to the millisecond, so that they sort.
    moment = dt.datetime.fromtimestamp(now_ns // NS_PER_S, dt.UTC)
    return f"{moment:%Y%m%d%H%M%S}{now_ns % NS_PER_S // NS_PER_MS:03d}::{unique}"
