"""What the executor writes down: orders, fills, exits and trades as the journal has them.

Decides nothing; the fields and their meaning stand in `model/decision.py`.
"""

from __future__ import annotations

from typing import Any

from scalpcli.core.exits import ExitSignal, pnl_pct
from scalpcli.core.position import Scalp
from scalpcli.core.risk import ApprovedOrder
from scalpcli.core.view import Quote
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.model.order import Reply
from scalpcli.units import NS_PER_S


def order_record(order: ApprovedOrder, quote: Quote, reason: str) -> dict[str, Any]:
    """An order that is sent, and the quote it was decided on."""
    return {
        "order_id": order.order_id,
        "signal": order.signal,
        "leg": str(order.leg),
        "try": order.attempt,
        "symbol": order.instrument.symbol,
        "side": str(order.side),
        "quantity": order.quantity,
        "limit_e4": order.limit_e4 or order.stop_e4,
        "bid_e4": quote.bid_e4,
        "ask_e4": quote.ask_e4,
        "reason": reason,
    }


def fill_record(scalp: Scalp, order: ApprovedOrder, reply: Reply, filled: int) -> dict[str, Any]:
    """A fill we learned of; the scalp and `filled`, contracts of the order filled so far, already count it."""
    return {
        "order_id": reply.order_id,
        "signal": scalp.number,
        "leg": str(order.leg),
        "quantity": reply.quantity,
        "price_e4": reply.price_e4,
        "ts_market_ns": reply.ts_market_ns,
        "bid_e4": reply.bid_e4,
        "ask_e4": reply.ask_e4,
        "filled": filled,
        "held": scalp.held,
    }


def stop_record(scalp: Scalp, quote: Quote, stop_loss_pct: float) -> dict[str, Any]:
    """A stop that begins to stand, or recovers before it was confirmed."""
    return {
        "signal": scalp.number,
        "phase": "begins" if scalp.is_stop_standing else "recovers",
        "bid_e4": quote.bid_e4,
        "pnl_pct": pnl_pct(max(quote.bid_e4, 0), scalp.average_e4),
        "limit": -stop_loss_pct,
    }


def exit_record(scalp: Scalp, found: ExitSignal, t_ns: int) -> dict[str, Any]:
    """An exit that was decided; the scalp already knows its reason and the bid."""
    return {
        "signal": scalp.number,
        "reason": scalp.exit_reason,
        "value": found.value,
        "limit": found.limit,
        "pnl_pct": pnl_pct(scalp.exit_bid_e4, scalp.average_e4),
        "bid_e4": scalp.exit_bid_e4,
        "held_s": (t_ns - scalp.opened_ns) / NS_PER_S,
        "message": found.message,
    }


def trade_record(scalp: Scalp, number: int, fees_e4: int, t_ns: int) -> dict[str, Any]:
    """A scalp of which nothing is held any more."""
    cost_e4 = scalp.bought_sum_e4 * STANDARD_MULTIPLIER
    proceeds_e4 = scalp.sold_sum_e4 * STANDARD_MULTIPLIER
    seen = 0 < scalp.bid_low_e4 <= scalp.bid_high_e4
    return scalp.head() | {
        "signal": scalp.number,
        "trade": number,
        "symbol": scalp.instrument.symbol,
        "quantity": scalp.bought,
        "cost_e4": cost_e4,
        "proceeds_e4": proceeds_e4,
        "gross_e4": proceeds_e4 - cost_e4,
        "fees_estimate_e4": fees_e4,
        "opened_ns": scalp.opened_ns,
        "closed_ns": t_ns,
        "exit_reason": scalp.exit_reason,
        "pnl_pct": (proceeds_e4 - cost_e4) * 100.0 / cost_e4,
        "mae_pct": pnl_pct(scalp.bid_low_e4, scalp.average_e4) if seen else None,
        "mfe_pct": pnl_pct(scalp.bid_high_e4, scalp.average_e4) if seen else None,
    }
