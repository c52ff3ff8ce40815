"""Our desk beside the unmodified alpaca-py, each against an exchange of its own over real sockets: the same orders do the same."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from alpaca.trading.client import TradingClient
from alpaca.trading.requests import LimitOrderRequest, MarketOrderRequest, StopOrderRequest
from exchange_rest_samples import EXAMPLE_TAPES, ServedExchange

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_orders_wire import order_body
from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.model.broker import BrokerOrder, Outcome
from scalpcli.model.instrument import round_to_tick
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import Leg, OrderKind

KEYS = ("any", "pair")
SERVED_ROWS = 60_000
OURS_TO_DIFFER = {"id", "asset_id", "created_at", "updated_at", "submitted_at", "filled_at", "canceled_at"}
"""Fields of an order that two runs have apart: ids by chance, times by the machine's clock."""

T = TypeVar("T")


@pytest.fixture
def two() -> Iterator[tuple[ServedExchange, ServedExchange]]:
    """Two exchanges over the example tape, half of it served."""
    exchanges = (ServedExchange(EXAMPLE_TAPES), ServedExchange(EXAMPLE_TAPES))
    for exchange in exchanges:
        exchange.at_exchange(exchange.serve, SERVED_ROWS)
    yield exchanges
    for exchange in exchanges:
        exchange.close()


@pytest.fixture
def trading(two) -> Iterator[TradingClient]:
    """alpaca-py at the second exchange."""
    client = TradingClient(*KEYS, url_override=two[1].url)
    yield client
    client._session.close()


def at_desk(exchange: ServedExchange, act: Callable[[AlpacaDesk], Awaitable[T]]) -> T:
    """What our desk at an exchange returns."""

    async def main() -> T:
        desk = AlpacaDesk(exchange.url, *KEYS, LiveParams(), now_ns=exchange.market.now_ns)
        try:
            return await act(desk)
        finally:
            await desk.close()

    return asyncio.run(main())


def session_orders(exchange: ServedExchange) -> list[ApprovedOrder]:
    """An entry that fills whole, a stop that rests for one contract, one sold at a limit, and one at the market."""
    contract = exchange.market.instruments[2]
    quote = exchange.market.quote(2)
    below_e4 = round_to_tick(contract.tick_rule, quote.bid_e4 // 2, up=False)

    def order(signal: int, leg: Leg, quantity: int, price_e4: int, kind: OrderKind = OrderKind.LIMIT) -> ApprovedOrder:
        return approve("conformance", signal, leg, 1, contract, quantity, price_e4, kind)

    return [
        order(1, Leg.ENTRY, 3, quote.ask_e4),
        order(1, Leg.PROTECT, 1, below_e4, OrderKind.STOP),
        order(1, Leg.EXIT, 1, quote.bid_e4),
        order(2, Leg.EXIT, 1, 0, OrderKind.MARKET),
    ]


def as_the_sdk_sends(order: ApprovedOrder) -> LimitOrderRequest | MarketOrderRequest | StopOrderRequest:
    """The same order in the SDK's words."""
    fields = order_body(order)
    kinds = {"limit": LimitOrderRequest, "market": MarketOrderRequest, "stop": StopOrderRequest}
    return kinds[fields.pop("type")](**fields)


def comparable(body: dict[str, Any]) -> dict[str, Any]:
    """An order without what two runs have apart, and whether each of that was there."""
    return {
        name: value is not None if name in OURS_TO_DIFFER else Decimal(value) if _is_number(value) else value
        for name, value in body.items()
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).isdecimal()


def orders_of(exchange: ServedExchange) -> list[dict[str, Any]]:
    """Every order of an exchange as it stands."""
    return [comparable(order.body()) for order in exchange.account.orders.values()]


def fills_of(exchange: ServedExchange) -> list[dict[str, Any]]:
    """Every fill of an exchange, but for ids and times."""
    apart = ("id", "order_id", "transaction_time")
    return [
        {name: value for name, value in entry.items() if name not in apart}
        for entry in exchange.account.activities.entries
    ]


def test_the_same_orders_make_the_same_session(two, trading):
    """Field by field: orders, fills, positions and cash of both exchanges are equal."""
    orders = session_orders(two[0])

    async def send(desk):
        return [await desk.submit(order) for order in orders]

    answers = at_desk(two[0], send)
    for order in orders:
        trading.submit_order(as_the_sdk_sends(order))
        trading.get_all_positions()

    assert [answer.outcome for answer in answers] == [Outcome.ACCEPTED] * 4
    for exchange in two:
        exchange.at_exchange(exchange.account.run_due)
    assert orders_of(two[0]) == orders_of(two[1])
    assert len(orders_of(two[0])) == 4
    assert fills_of(two[0]) == fills_of(two[1])
    assert [fill["qty"] for fill in fills_of(two[0])] == ["3", "1", "1"]
    assert two[0].account.cash_e4 == two[1].account.cash_e4
    assert at_desk(two[0], lambda desk: desk.position(orders[0].instrument.symbol)) == 1


def test_both_read_the_same_from_one_account(two, trading):
    """Our reading of orders, positions, account and fills is that of the SDK's models."""
    orders = session_orders(two[1])
    for order in orders:
        trading.submit_order(as_the_sdk_sends(order))
        trading.get_all_positions()

    async def read(desk):
        return (
            [await desk.order(order.order_id) for order in orders],
            await desk.open_orders(),
            await desk.positions(),
            await desk.account(),
            await desk.fills(two[1].market.start_ns),
        )

    ours, open_orders, positions, account, fills = at_desk(two[1], read)

    assert [to_us(order) for order in ours] == [
        as_ours(trading.get_order_by_client_id(order.order_id)) for order in orders
    ]
    assert [order.broker_id for order in open_orders] == [str(order.id) for order in trading.get_orders()]
    (theirs,) = trading.get_all_positions()
    assert [(each.symbol, each.quantity, each.available, each.average_e4) for each in positions] == [
        (theirs.symbol, int(theirs.qty), int(theirs.qty_available), e4(theirs.avg_entry_price))
    ]
    money = trading.get_account()
    assert (account.cash_e4, account.equity_e4, account.buying_power_e4) == (
        e4(money.cash),
        e4(money.equity),
        e4(money.options_buying_power),
    )
    assert (account.number, account.status, account.options_level, account.is_blocked) == (
        money.account_number,
        money.status.value,
        money.options_trading_level,
        False,
    )
    told = [event for event in two[1].told if event["event"] in ("fill", "partial_fill")]
    assert [(fill.execution_id, fill.order_id, fill.quantity, fill.price_e4, fill.side) for fill in fills] == [
        (event["execution_id"], event["order"]["client_order_id"], int(event["qty"]), e4(event["price"]), fill.side)
        for event, fill in zip(told, fills, strict=True)
    ]


def test_a_cancel_is_the_sdks_cancel(two, trading):
    """204, then the order has ended; once more is refused with the order."""
    resting = session_orders(two[1])[0]
    resting = approve("conformance", 9, Leg.ENTRY, 1, resting.instrument, 1, 100)

    async def cancel(desk):
        accepted = await desk.submit(resting)
        first = await desk.cancel(accepted.order.broker_id)
        ended = await desk.order(resting.order_id)
        return first, ended, await desk.cancel(accepted.order.broker_id)

    first, ended, again = at_desk(two[1], cancel)

    assert (first.outcome, first.status) == (Outcome.ACCEPTED, 204)
    assert to_us(ended) == as_ours(trading.get_order_by_client_id(resting.order_id))
    assert ended.status == "canceled"
    assert (again.outcome, again.status, again.code, again.order) == (Outcome.REJECTED, 422, 42210000, ended)


def test_letting_expire_is_taken_for_what_is_held_only(two):
    """200, or 403 when there is nothing."""
    entry = session_orders(two[0])[0]
    symbol = entry.instrument.symbol

    async def act(desk):
        before = await desk.do_not_exercise(symbol)
        await desk.submit(entry)
        return before, await desk.do_not_exercise(symbol)

    before, after = at_desk(two[0], act)

    assert (before.outcome, before.status, after.outcome) == (Outcome.REJECTED, 403, Outcome.ACCEPTED)
    assert two[0].account.positions[2].is_abandoned


def test_two_connections_are_opened_before_they_are_needed(two):
    """And used again by what follows."""

    async def act(desk):
        await desk.warm()
        return await desk.position("TSLA")

    assert at_desk(two[0], act) == 0


def as_ours(order: Any) -> BrokerOrder:
    """The SDK's order as we read it."""
    filled = int(order.filled_qty)
    return BrokerOrder(
        order_id=order.client_order_id,
        broker_id=str(order.id),
        symbol=order.symbol,
        side=order.side.value,
        kind=order.type.value,
        status=order.status.value,
        quantity=int(order.qty),
        filled=filled,
        filled_sum_e4=round(Decimal(order.filled_avg_price or 0) * 10_000 * filled),
        limit_e4=e4(order.limit_price or 0),
        updated_ns=int(order.updated_at.replace(microsecond=0).timestamp()) * 10**9
        + order.updated_at.microsecond * 1000,
    )


def to_us(order: BrokerOrder) -> BrokerOrder:
    """Our order with its time cut to microseconds, as the SDK's models cut it."""
    return dataclasses.replace(order, updated_ns=order.updated_ns // 1000 * 1000)


def e4(usd: Any) -> int:
    """Dollars as whole 1/10000 USD."""
    return int(Decimal(usd) * 10_000)
