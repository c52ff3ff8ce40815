"""The exchange's account fills as replay does: the blessed run's orders, sent to it at the same moments."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from exchange_rest_samples import EXAMPLE_TAPES, Exchange

from scalpcli.exchange.rest_answer import money_text, time_text
from scalpcli.units import NS_PER_MS

BLESSED = Path(__file__).resolve().parents[2] / "examples" / "blessed" / "decisions.jsonl"
ORDER_LATENCY_NS = 250 * NS_PER_MS


def blessed(*kinds: str) -> list[dict[str, Any]]:
    """Decisions of these kinds."""
    with BLESSED.open(encoding="utf-8") as file:
        return [decision for decision in map(json.loads, file) if decision["kind"] in kinds]


def serve_until(exchange: Exchange, ns: int) -> None:
    """Serve every row received up to `ns`, and let the exchange's clock show it."""
    known = int(np.searchsorted(exchange.market.rows["ts_recv_ns"], ns, side="right"))
    exchange.serve(known - exchange.market.known)
    exchange.market.set_clock(ns)


def test_the_blessed_orders_fill_alike():
    """Same orders, same moments, same tape: each fill has the same time, quantity and price; so have the cancels."""
    exchange = Exchange(EXAMPLE_TAPES)
    orders: dict[str, Any] = {}
    for decision in blessed("order", "cancel"):
        serve_until(exchange, decision["ts_ns"] + ORDER_LATENCY_NS)
        if decision["kind"] == "order":
            orders[decision["order_id"]] = exchange.order(
                symbol=decision["symbol"],
                side=decision["side"],
                qty=str(decision["quantity"]),
                limit_price=money_text(decision["limit_e4"]),
                client_order_id=decision["order_id"],
            )
        elif orders[decision["order_id"]].status in ("new", "partially_filled"):
            exchange.account.cancel(orders[decision["order_id"]])
            exchange.account.run_due()
    exchange.serve_all()

    fills = [
        (told["order"]["client_order_id"], told["timestamp"], told["qty"], told["price"])
        for told in exchange.told
        if told["event"] in ("fill", "partial_fill")
    ]
    assert fills == [
        (fill["order_id"], time_text(fill["ts_market_ns"]), str(fill["quantity"]), money_text(fill["price_e4"]))
        for fill in blessed("fill")
    ]
    cancelled = [told["order"]["client_order_id"] for told in exchange.told if told["event"] == "canceled"]
    assert cancelled == [decision["order_id"] for decision in blessed("cancelled")]
    assert len(fills) == 43
