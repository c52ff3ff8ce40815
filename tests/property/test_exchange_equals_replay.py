"""Orders of every kind fill at the local exchange as in replay: one quote rule, told by two brokers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from exchange_rest_samples import CALL, Exchange, exchange_of, option_quote
from hypothesis import given, settings
from hypothesis import strategies as st
from tape_samples import OPEN, SESSION

from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.core.view import Quote
from scalpcli.exchange.holdings import Position
from scalpcli.exchange.rest_answer import money_text
from scalpcli.model.order import CancelRequest, Leg, OrderKind, ReplyKind
from scalpcli.model.params import Params
from scalpcli.runtime.simulated_broker import SimulatedBroker
from scalpcli.units import NS_PER_S

HELD = 1_000
PRICES_E4 = st.integers(97, 102).map(lambda cents: cents * 100)
QUOTES = st.tuples(PRICES_E4 | PRICES_E4 | st.just(0), PRICES_E4, st.integers(1, 5))
"""Bid (0 = none), ask, size of both; some are crossed."""
ORDERS = st.tuples(st.sampled_from(list(OrderKind)), st.integers(1, 9), PRICES_E4)
STEPS = st.lists(st.tuples(QUOTES, ORDERS | ORDERS | st.none() | st.integers(0, 5)), min_size=6, max_size=14)
"""A quote each second, and after it an order, a cancel of an earlier one, or nothing."""

Fill = tuple[str, int, int, int]
"""Order, time, contracts, price."""


def sells(exchange: Exchange, steps: list[Any]) -> list[ApprovedOrder | str | None]:
    """What is sent after each quote: a sell, the id of one to take back, or nothing."""
    sent: list[ApprovedOrder | str | None] = []
    ids: list[str] = []
    for number, (_, act) in enumerate(steps):
        if isinstance(act, tuple):
            kind, quantity, price_e4 = act
            price_e4 = 0 if kind is OrderKind.MARKET else price_e4
            sell = approve("n", number, Leg.EXIT, 1, exchange.market.instruments[1], quantity, price_e4, kind)
            ids.append(sell.order_id)
            sent.append(sell)
        else:
            sent.append(ids[act] if act is not None and act < len(ids) else None)
    return sent


def at_exchange(exchange: Exchange, sent: list[ApprovedOrder | str | None]) -> list[Fill]:
    """Fills of the exchange's account."""
    account = exchange.account
    account.positions[1] = Position(exchange.market.instruments[1], HELD, HELD * 10_000)
    for act in sent:
        exchange.serve(1)
        if isinstance(act, ApprovedOrder):
            prices = {"limit_price": act.limit_e4, "stop_price": act.stop_e4}
            fields = {name: money_text(price_e4) if price_e4 else None for name, price_e4 in prices.items()}
            exchange.order(
                side="sell", qty=str(act.quantity), type=act.kind.value, client_order_id=act.order_id, **fields
            )
        elif act is not None and account.find_by_client_id(act).status in ("new", "partially_filled"):
            account.cancel(account.find_by_client_id(act))
            account.run_due()
    events = [told for told in exchange.told if told["event"] in ("fill", "partial_fill")]
    times = [told["timestamp"] for told in events]
    assert times == sorted(times)
    return [
        (
            told["order"]["client_order_id"],
            _second(told["timestamp"]),
            int(told["qty"]),
            round(float(told["price"]) * 1e4),
        )
        for told in events
    ]


def in_replay(steps: list[Any], sent: list[ApprovedOrder | str | None]) -> list[Fill]:
    """Fills of the simulated broker without latency."""
    market = SimpleNamespace(
        now=None,
        quote=lambda _: market.now,
        halt_end_ns=lambda _: 0,
        is_halted=lambda _: False,
        sees_options_since_ns=lambda: 0,
    )
    broker = SimulatedBroker(Params().simulated_broker, SESSION, market, SimpleNamespace(next=lambda: (0, 0)))
    fills: list[Fill] = []
    for second, ((quote, _), act) in enumerate(zip(steps, sent, strict=True), 1):
        bid_e4, ask_e4, size = quote
        t_ns = OPEN + second * NS_PER_S
        market.now = Quote(bid_e4, ask_e4, size * (bid_e4 > 0), size, t_ns)
        broker.on_quote(1, t_ns)
        if act is not None:
            broker.send(act if isinstance(act, ApprovedOrder) else CancelRequest(act), t_ns)
        fills += [
            (reply.order_id, second, reply.quantity, reply.price_e4)
            for reply in broker.run(t_ns)
            if reply.kind is ReplyKind.FILL
        ]
    return fills


def _second(text: str) -> int:
    """Whole seconds after the open of a time that the exchange tells."""
    minute, second = text.split("T")[1].removesuffix("Z").split(":")[1:]
    return (int(minute) - 30) * 60 + int(float(second))


@given(STEPS)
@settings(max_examples=100, deadline=None)
def test_sells_of_every_kind_fill_alike(steps):
    """Same quotes, same orders and cancels: each fill has the same order, time, contracts and price."""
    rows = [
        option_quote(second, bid_e4, ask_e4, size=size * (bid_e4 > 0), ask_size=size)
        for second, ((bid_e4, ask_e4, size), _) in enumerate(steps, 1)
    ]
    with tempfile.TemporaryDirectory() as folder:
        exchange = exchange_of(Path(folder), rows)
        sent = sells(exchange, steps)

        fills = at_exchange(exchange, sent)

    assert exchange.market.by_symbol[CALL] is exchange.market.instruments[1]
    assert fills == in_replay(steps, sent)
