"""Orders, fills, positions and the account as Alpaca's trading API writes them, to and from plain values.

Decides which fields are read and what cannot be read; numbers come as texts or as numbers, fields are missing or
new, words are ones nobody knows yet. Prices and money go through `Decimal`, never through a float. Leaves asking to
`alpaca_orders.py`.

Source: Alpaca, trading API, orders, positions, account and activities.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.adapters.alpaca_updates import TradeUpdate
from scalpcli.core.risk import ApprovedOrder
from scalpcli.errors import DataError
from scalpcli.model.broker import BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition, BrokerUpdate
from scalpcli.model.order import OrderSide
from scalpcli.units import E4_PER_USD

_INTENTS: Final = {OrderSide.BUY: "buy_to_open", OrderSide.SELL: "sell_to_close"}
_NUMBER_MAX: Final = Decimal(10) ** 15
_CENT_E4: Final = E4_PER_USD // 100
_FILL_EVENTS: Final = ("fill", "partial_fill")


class Unreadable(Exception):
    """Part of an answer is not what its place asks for."""


def decode(body: bytes) -> Any:
    """The JSON of an answer, fractions as `Decimal`; nothing where it is none, like a gateway's page."""
    try:
        return json.loads(body, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError, InvalidOperation):
        return None


def _no_number(_word: str) -> Any:
    raise ValueError


def order_body(order: ApprovedOrder) -> dict[str, str]:
    """The body of a POST that submits `order`.

    A plain sell would open a short position if what it sells were gone by then: the intent is always said.
    """
    prices = {"limit_price": order.limit_e4, "stop_price": order.stop_e4}
    return {
        "symbol": order.instrument.symbol,
        "qty": str(order.quantity),
        "side": order.side.value,
        "type": order.kind.value,
        "time_in_force": "day",
        **{name: usd_text(price_e4) for name, price_e4 in prices.items() if price_e4},
        "position_intent": _INTENTS[order.side],
        "client_order_id": order.order_id,
    }


def usd_text(price_e4: int) -> str:
    """A price as an order says it: dollars with two decimals, with four only where they are needed."""
    places = 2 if price_e4 % _CENT_E4 == 0 else 4
    return f"{Decimal(price_e4) / E4_PER_USD:.{places}f}"


def broker_order(data: Any) -> BrokerOrder:
    """An order object. A fraction of a share counts as a whole one: it is not nothing, and none of ours.

    Raises:
        Unreadable: It has no id or no status, or a number cannot be read.
    """
    fields = _object(data)
    filled = _decimal(fields.get("filled_qty"))
    return BrokerOrder(
        order_id=_text(fields.get("client_order_id")),
        broker_id=_required(fields, "id"),
        symbol=_text(fields.get("symbol")),
        side=_text(fields.get("side")),
        kind=_text(fields.get("type") or fields.get("order_type")),
        status=_required(fields, "status"),
        quantity=_away_from_zero(_decimal(fields.get("qty"))),
        filled=_away_from_zero(filled),
        filled_sum_e4=to_e4(_decimal(fields.get("filled_avg_price")) * filled),
        limit_e4=to_e4(_decimal(fields.get("limit_price"))),
        updated_ns=_time_ns(fields.get("updated_at") or fields.get("submitted_at")),
    )


def broker_position(data: Any) -> BrokerPosition:
    """A position object. A fraction of a share counts as a whole one: it is not nothing.

    Raises:
        Unreadable: It has no symbol or no quantity, or a number cannot be read.
    """
    fields = _object(data)
    _required(fields, "qty")
    quantity = _away_from_zero(_decimal(fields.get("qty")))
    if _text(fields.get("side")) == "short":
        quantity = -abs(quantity)
    available = fields.get("qty_available")
    return BrokerPosition(
        symbol=_required(fields, "symbol"),
        quantity=quantity,
        available=quantity if available is None else _away_from_zero(_decimal(available)),
        average_e4=to_e4(_decimal(fields.get("avg_entry_price"))),
    )


def broker_account(data: Any) -> BrokerAccount:
    """The account object.

    Raises:
        Unreadable: It has no number, status or cash, or a number cannot be read.
    """
    fields = _object(data)
    _required(fields, "cash")
    blocks = ("trading_blocked", "account_blocked", "trade_suspended_by_user")
    power = fields.get("options_buying_power")
    return BrokerAccount(
        number=_required(fields, "account_number"),
        status=_required(fields, "status"),
        is_blocked=any(fields.get(name) not in (None, False, "false") for name in blocks),
        options_level=whole(fields.get("options_trading_level")),
        buying_power_e4=to_e4(_decimal(fields.get("buying_power") if power is None else power)),
        cash_e4=to_e4(_decimal(fields.get("cash"))),
        equity_e4=to_e4(_decimal(fields.get("equity"))),
    )


def broker_fill(data: Any) -> BrokerFill:
    """An activity of type FILL; its id is a time, `::` and the execution's id. Our id of the order is not in it.

    Raises:
        Unreadable: It has no id, order or quantity, or a number cannot be read.
    """
    fields = _object(data)
    return BrokerFill(
        execution_id=_required(fields, "id").rpartition("::")[2],
        order_id="",
        broker_id=_required(fields, "order_id"),
        symbol=_required(fields, "symbol"),
        side=_text(fields.get("side")),
        quantity=_away_from_zero(_decimal(_required(fields, "qty"))),
        price_e4=to_e4(_decimal(fields.get("price"))),
        filled=_away_from_zero(_decimal(fields.get("cum_qty"))),
        ts_market_ns=_time_ns(fields.get("transaction_time")),
    )


def broker_update(update: TradeUpdate) -> BrokerUpdate:
    """What a message of the trading stream says, in the words of the trader."""
    order = BrokerOrder(
        order_id=update.client_order_id,
        broker_id=update.order_id,
        symbol=update.symbol,
        side=update.side,
        kind=update.kind,
        status=update.status,
        quantity=update.order_quantity,
        filled=update.filled_quantity,
        filled_sum_e4=update.filled_sum_e4,
        limit_e4=update.limit_e4,
        updated_ns=update.event_ns,
    )
    fill = None
    if update.event in _FILL_EVENTS and update.quantity > 0:
        fill = BrokerFill(
            # Where the id is missing, what was filled before tells one execution of an order from the next.
            execution_id=update.execution_id or f"{update.order_id}:{update.filled_quantity}",
            order_id=update.client_order_id,
            broker_id=update.order_id,
            symbol=update.symbol,
            side=update.side,
            quantity=update.quantity,
            price_e4=update.price_e4,
            filled=update.filled_quantity,
            ts_market_ns=update.event_ns,
        )
    return BrokerUpdate(update.event, order, fill, update.position_quantity)


def error_of(body: Any) -> tuple[int, str]:
    """Alpaca's number of an error and its words; 0 and nothing where it gives none."""
    if not isinstance(body, dict):
        return 0, ""
    try:
        code = whole(body.get("code"))
    except Unreadable:
        code = 0
    message = body.get("message")
    return code, message if isinstance(message, str) else ""


def whole(value: Any) -> int:
    """A whole number; 0 where there is none.

    Raises:
        Unreadable: It is something else.
    """
    number = _decimal(value)
    if number != number.to_integral_value():
        raise Unreadable
    return int(number)


def to_e4(usd: Decimal) -> int:
    """Dollars as whole 1/10000 USD; finer ones round half to even."""
    return int((usd * E4_PER_USD).to_integral_value(rounding=ROUND_HALF_EVEN))


def _decimal(value: Any) -> Decimal:
    if value is None or value == "":
        return Decimal(0)
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise Unreadable
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise Unreadable from None
    if not number.is_finite() or abs(number) > _NUMBER_MAX:
        raise Unreadable
    return number


def _away_from_zero(number: Decimal) -> int:
    return math.floor(number) if number < 0 else math.ceil(number)


def _object(data: Any) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise Unreadable
    return data


def _required(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if value is None or value == "" or isinstance(value, bool | dict | list):
        raise Unreadable
    return str(value)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time_ns(value: Any) -> int:
    """A time, 0 where it cannot be read: what an order is does not hang on it."""
    try:
        return iso_to_ns(value) if isinstance(value, str) else 0
    except DataError:
        return 0
