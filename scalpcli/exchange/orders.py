"""Orders as the exchange takes and shows them.

Decides what a request must say to be an order at all, and how an order, a fill and an update are spelled.
Leaves what the account can afford and when an order fills to `account.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from scalpcli.core.view import Quote
from scalpcli.exchange.rest_answer import NOT_UNIQUE_CODE, UNPROCESSABLE_CODE, Refusal, money_text, time_text
from scalpcli.model.instrument import Instrument, TickRule, tick_e4
from scalpcli.model.order import OrderSide
from scalpcli.units import E4_PER_USD, NS_PER_MS

PENDING_NEW: Final = "pending_new"
NEW: Final = "new"
PARTIALLY_FILLED: Final = "partially_filled"
FILLED: Final = "filled"
PENDING_CANCEL: Final = "pending_cancel"
CANCELED: Final = "canceled"
EXPIRED: Final = "expired"
REPLACED: Final = "replaced"
REJECTED: Final = "rejected"

WORKING: Final = frozenset({NEW, PARTIALLY_FILLED})
"""An order in one of these can fill, be cancelled and be replaced."""
OPEN: Final = WORKING | {PENDING_NEW, PENDING_CANCEL}

CLIENT_ORDER_ID_MAX: Final = 128
_QUANTITY_MAX: Final = 1_000_000
_PRICE_USD_MAX: Final = 1_000_000
_CENT_DIGITS: Final = 2
_ANY_PRICE_E4: Final = 10_000_000_000_000
"""A limit that every ask is below, on every tick grid."""
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ULID_LENGTH: Final = 26
_ULID_NUMBER_BITS: Final = 80
_INTENTS: Final = {
    OrderSide.BUY: ("buy_to_open", "buy_to_close"),
    OrderSide.SELL: ("sell_to_close", "sell_to_open"),
}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """What a client asks for, its form checked.

    Attributes:
        limit_e4: 1/10000 USD; 0 = it has none.
        stop_e4: Price at which a stop order becomes a market order, 1/10000 USD; 0 = it is no stop order.
    """

    client_order_id: str
    instrument: Instrument
    side: OrderSide
    quantity: int
    limit_e4: int
    time_in_force: str
    position_intent: str
    stop_e4: int = 0

    @property
    def kind(self) -> str:
        """`stop`, `limit` or `market`."""
        return "stop" if self.stop_e4 else "limit" if self.limit_e4 else "market"


@dataclass(slots=True)
class Order:
    """One order; times in UTC nanoseconds, 0 = has not happened."""

    request: OrderRequest
    created_ns: int
    expires_ns: int
    order_id: str
    status: str = PENDING_NEW
    filled: int = 0
    cost_e4: int = 0
    """Sum of price times quantity of its fills."""
    updated_ns: int = 0
    filled_ns: int = 0
    expired_ns: int = 0
    canceled_ns: int = 0
    failed_ns: int = 0
    replaced_ns: int = 0
    replaces: str | None = None
    replaced_by: str | None = None
    is_triggered: bool = False
    """Whether a stop order has become a market order."""

    @property
    def instrument_id(self) -> int:
        """What it trades."""
        return self.request.instrument.instrument_id

    @property
    def remaining(self) -> int:
        """What is not filled."""
        return self.request.quantity - self.filled

    @property
    def limit_e4(self) -> int:
        """The worst price it accepts; without a limit it accepts any."""
        if self.request.limit_e4:
            return self.request.limit_e4
        is_buy = self.request.side is OrderSide.BUY
        return _ANY_PRICE_E4 if is_buy else tick_e4(tick_rule_of(self.request.instrument), 0)

    def rests(self, quote: Quote) -> bool:
        """Whether it is a stop order that `quote` does not wake: a sell wakes at a bid at or below its stop.

        Assumption: no bid at all wakes no sell; at Alpaca's venues a price must have been there.
        """
        stop_e4 = self.request.stop_e4
        if not stop_e4 or self.is_triggered:
            return False
        if self.request.side is OrderSide.SELL:
            self.is_triggered = 0 < quote.bid_e4 <= stop_e4
        else:
            self.is_triggered = quote.ask_e4 >= stop_e4
        return not self.is_triggered

    def body(self) -> dict[str, Any]:
        """The order as the trading API shows it."""
        request = self.request
        kind = request.kind
        return {
            "id": self.order_id,
            "client_order_id": request.client_order_id,
            "created_at": time_text(self.created_ns),
            "updated_at": time_text(max(self.updated_ns, self.created_ns)),
            "submitted_at": time_text(self.created_ns),
            "filled_at": _time_or_none(self.filled_ns),
            "expired_at": _time_or_none(self.expired_ns),
            "expires_at": time_text(self.expires_ns),
            "canceled_at": _time_or_none(self.canceled_ns),
            "failed_at": _time_or_none(self.failed_ns),
            "replaced_at": _time_or_none(self.replaced_ns),
            "replaced_by": self.replaced_by,
            "replaces": self.replaces,
            "asset_id": asset_id(request.instrument.symbol),
            "symbol": request.instrument.symbol,
            "asset_class": asset_class(request.instrument),
            "notional": None,
            "qty": str(request.quantity),
            "filled_qty": str(self.filled),
            "filled_avg_price": money_text(self.cost_e4 / self.filled) if self.filled else None,
            "order_class": "simple",
            "order_type": kind,
            "type": kind,
            "side": request.side.value,
            "position_intent": request.position_intent,
            "time_in_force": request.time_in_force,
            "limit_price": money_text(request.limit_e4) if request.limit_e4 else None,
            "stop_price": money_text(request.stop_e4) if request.stop_e4 else None,
            "status": self.status,
            "extended_hours": False,
            "legs": None,
            "trail_percent": None,
            "trail_price": None,
            "hwm": None,
        }


def update_body(event: str, order: Order, held: int, number: int, now_ns: int, execution_id: str) -> dict[str, Any]:
    """The data of a `trade_updates` message, but for a fill's price and quantity.

    Args:
        event: What happened.
        order: To which order, as it stands now.
        held: What the account holds of the instrument now.
        number: Of the event, counted from 0.
        now_ns: When.
        execution_id: Its id; a fill's activity has the same.
    """
    return {
        "event": event,
        "at": time_text(now_ns),
        "event_id": _ulid(now_ns, number),
        "execution_id": execution_id,
        "timestamp": time_text(now_ns),
        "position_qty": str(held),
        "order": order.body(),
    }


def _ulid(ns: int, number: int) -> str:
    """An id that sorts by time, then by `number`: 48 bits of milliseconds, 80 of the number, in Crockford's base 32."""
    value = ns // NS_PER_MS << _ULID_NUMBER_BITS | number
    return "".join(_CROCKFORD[value >> 5 * place & 31] for place in reversed(range(_ULID_LENGTH)))


def asset_id(symbol: str) -> str:
    """The id of an asset: the same for one symbol in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"scalpcli:{symbol}"))


def asset_class(instrument: Instrument) -> str:
    """How Alpaca calls the kind of an instrument."""
    return "us_option" if instrument.is_option else "us_equity"


def multiplier_of(instrument: Instrument) -> int:
    """Shares of one contract, 1 for the stock itself."""
    return instrument.multiplier if instrument.is_option else 1


def tick_rule_of(instrument: Instrument) -> TickRule:
    """The grid of an instrument's orders; stocks step by a penny."""
    return instrument.tick_rule if instrument.is_option else TickRule.PENNY


def parse_order(body: object, by_symbol: Mapping[str, Instrument]) -> OrderRequest:
    """The order that the body of a POST asks for.

    Raises:
        Refusal: 400 or 422, naming what is wrong; form only, not what the account can afford.
    """
    fields = _object(body)
    symbol = str(fields.get("symbol") or "")
    instrument = by_symbol.get(symbol)
    if instrument is None:
        raise Refusal(422, f'asset "{symbol}" not found', UNPROCESSABLE_CODE)
    if fields.get("notional") is not None:
        raise _unprocessable("notional orders are not supported, send qty")
    if str(fields.get("order_class") or "simple") != "simple":
        raise _unprocessable("complex orders not supported for options trading")
    if fields.get("extended_hours"):
        raise _unprocessable("extended hours orders are not supported")
    kind = str(fields.get("type") or "")
    if kind not in ("market", "limit", "stop"):
        # Alpaca also takes stop_limit; nothing of ours sends one.
        raise _unprocessable(f'invalid order type "{kind}": the local exchange takes market, limit and stop')
    time_in_force = str(fields.get("time_in_force") or "")
    if time_in_force not in ("day", "gtc"):
        raise _unprocessable(f'invalid time_in_force "{time_in_force}"')
    try:
        side = OrderSide(str(fields.get("side")))
    except ValueError:
        raise _unprocessable("side must be buy or sell") from None
    for name, owner in (("limit_price", "limit"), ("stop_price", "stop")):
        if kind != owner and fields.get(name) is not None:
            raise _unprocessable(f"{kind} orders require no {name}")
    return OrderRequest(
        client_order_id=client_order_id(fields),
        instrument=instrument,
        side=side,
        quantity=whole_quantity(fields.get("qty")),
        limit_e4=order_price_e4(fields, "limit_price") if kind == "limit" else 0,
        time_in_force=time_in_force,
        position_intent=_intent(fields.get("position_intent"), side),
        stop_e4=order_price_e4(fields, "stop_price") if kind == "stop" else 0,
    )


def parse_replacement(body: object, order: Order) -> OrderRequest:
    """What the body of a PATCH makes of `order`; its quantity counts what is filled already.

    Raises:
        Refusal: 422, nothing changes, or something that cannot.
    """
    fields = _object(body)
    before = order.request
    quantity = whole_quantity(fields["qty"]) if fields.get("qty") is not None else before.quantity
    prices_e4 = {"limit_price": before.limit_e4, "stop_price": before.stop_e4}
    for name, price_e4 in prices_e4.items():
        if fields.get(name) is not None:
            if not price_e4:
                raise _unprocessable(f"{before.kind} orders have no {name}")
            prices_e4[name] = order_price_e4(fields, name)
    time_in_force = str(fields.get("time_in_force") or before.time_in_force)
    if time_in_force not in ("day", "gtc"):
        raise _unprocessable(f'invalid time_in_force "{time_in_force}"')
    changed = (quantity, *prices_e4.values(), time_in_force)
    if changed == (before.quantity, before.limit_e4, before.stop_e4, before.time_in_force):
        raise _unprocessable("order parameters are not changed")
    if quantity <= order.filled:
        raise _unprocessable("qty must be > filled_qty")
    return OrderRequest(
        client_order_id=client_order_id(fields),
        instrument=before.instrument,
        side=before.side,
        quantity=quantity - order.filled,
        limit_e4=prices_e4["limit_price"],
        time_in_force=time_in_force,
        position_intent=before.position_intent,
        stop_e4=prices_e4["stop_price"],
    )


def client_order_id(fields: Mapping[str, Any]) -> str:
    """The client's id of an order; one is made where none is given.

    Raises:
        Refusal: 422, it is too long.
    """
    given = str(fields.get("client_order_id") or uuid.uuid4())
    if len(given) > CLIENT_ORDER_ID_MAX:
        raise Refusal(422, f"client_order_id must be no more than {CLIENT_ORDER_ID_MAX} characters", NOT_UNIQUE_CODE)
    return given


def whole_quantity(value: object) -> int:
    """A quantity of a request.

    Raises:
        Refusal: 422, it is no whole number from 1 to 1,000,000.
    """
    number = _decimal(value, "qty")
    if number != number.to_integral_value():
        raise _unprocessable("qty must be integer")
    if not 1 <= number <= _QUANTITY_MAX:
        raise _unprocessable(f"qty must be > 0 and <= {_QUANTITY_MAX}")
    return int(number)


def order_price_e4(fields: Mapping[str, Any], name: str) -> int:
    """The price of a request called `name`, 1/10000 USD.

    Raises:
        Refusal: 422, it is none, not above 0, or finer than a cent.
    """
    value = fields.get(name)
    number = _decimal(value, name)
    if not 0 < number <= _PRICE_USD_MAX:
        raise _unprocessable(f"{name} must be > 0")
    if number != round(number, _CENT_DIGITS):
        raise _unprocessable(f"invalid {name} {value}. sub-penny increment does not fulfill minimum pricing criteria")
    return int(number * E4_PER_USD)


def _decimal(value: object, name: str) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("nan")
    if value is None or not number.is_finite():
        raise _unprocessable(f"{name} is required" if value is None else f"invalid {name}: {value}")
    return number


def _intent(value: object, side: OrderSide) -> str:
    allowed = _INTENTS[side]
    if value is None:
        return allowed[0]
    if value not in allowed:
        raise _unprocessable(f"position intent mismatch, inferred: {allowed[0]}, specified: {value}")
    return str(value)


def _object(body: object) -> Mapping[str, Any]:
    if not isinstance(body, dict):
        raise Refusal(400, "request body format is invalid", 40010000)
    return body


def _unprocessable(message: str) -> Refusal:
    return Refusal(422, message, UNPROCESSABLE_CODE)


def _time_or_none(ns: int) -> str | None:
    return time_text(ns) if ns else None
