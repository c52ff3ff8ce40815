"""What the account refuses before an order works (facts, sections 3.6 to 3.8).

Decides every refusal that depends on the market, the account's other orders, its holdings and its cash, with
Alpaca's status, code and words. Leaves the form of a request to `orders.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import Order, OrderRequest, multiplier_of
from scalpcli.exchange.rest_answer import FORBIDDEN_CODE, UNPROCESSABLE_CODE, Refusal, money_text
from scalpcli.model.order import OrderSide
from scalpcli.units import NS_PER_MIN

_LEVEL_TO_BUY = 2


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the account starts with and may do.

    Args:
        cash_usd: Where the session starts.
        quote_age_ms_max: A quote older than this fills nothing.
        options_level: Trading level; buying options needs 2.
        last_entry_min: Minutes before the close from which contracts that expire that day are no longer opened.
            Alpaca's sources disagree: 45 and 30.
    """

    cash_usd: float = 100_000.0
    quote_age_ms_max: int = 60_000
    options_level: int = 3
    last_entry_min: int = 45


def check_market(request: OrderRequest, market: ServedMarket, rules: AccountRules) -> None:
    """Refuse what the market does not take now.

    Raises:
        Refusal: 422, the contract has expired or expires too soon, or a market order comes outside of hours.
    """
    now_ns = market.market_ns()
    instrument, session = request.instrument, market.session
    if instrument.expiry is not None and instrument.expiry < session.date:
        raise Refusal(422, f'contract "{instrument.symbol}" has expired', UNPROCESSABLE_CODE)
    is_late = now_ns >= session.close_ns - rules.last_entry_min * NS_PER_MIN
    if request.side is OrderSide.BUY and instrument.expiry == session.date and is_late:
        raise Refusal(
            422, f'contract "{instrument.symbol}" expires soon, unable to open new positions', UNPROCESSABLE_CODE
        )
    if request.kind == "market" and not session.open_ns <= now_ns < session.close_ns:
        raise Refusal(422, "options market orders are only allowed during market hours", UNPROCESSABLE_CODE)


def check_wash_trade(request: OrderRequest, others: Iterable[Order]) -> None:
    """Refuse an order that could trade with one of the account's own.

    Raises:
        Refusal: 403, an order of the other side works in the same symbol.
    """
    for order in others:
        is_same = order.instrument_id == request.instrument.instrument_id
        if is_same and order.request.side is not request.side:
            raise Refusal(
                403,
                "potential wash trade detected. use complex orders",
                FORBIDDEN_CODE,
                existing_order_id=order.order_id,
                reject_reason="opposite side order exists",
            )


def check_quantity(request: OrderRequest, available: int, held: int) -> None:
    """Refuse to sell what is not there.

    Args:
        request: A sell.
        available: Held, and in no other sell order.
        held: Held in all.

    Raises:
        Refusal: 403, it would open a short position, or more than is available.
    """
    if not held or request.position_intent == "sell_to_open":
        raise Refusal(403, "account not eligible to trade uncovered option contracts", FORBIDDEN_CODE)
    if request.quantity > available:
        raise Refusal(
            403,
            f"insufficient qty available for order (requested: {request.quantity}, available: {available})",
            FORBIDDEN_CODE,
            symbol=request.instrument.symbol,
            available=str(available),
            existing_qty=str(held),
            held_for_orders=str(held - available),
        )


def check_cash(request: OrderRequest, buying_power_e4: int, market: ServedMarket, rules: AccountRules) -> None:
    """Refuse to buy what is not permitted or cannot be paid.

    Raises:
        Refusal: 403, the level is too low, or the cost is above the buying power; 422, there is nothing to close.
    """
    if request.position_intent == "buy_to_close":
        raise Refusal(
            422, "position intent mismatch, inferred: buy_to_open, specified: buy_to_close", UNPROCESSABLE_CODE
        )
    if request.instrument.is_option and rules.options_level < _LEVEL_TO_BUY:
        raise Refusal(403, "account not eligible to trade options", FORBIDDEN_CODE)
    cost_e4 = _cost_e4(request, request.quantity, market)
    if cost_e4 > buying_power_e4:
        what = "options buying power" if request.instrument.is_option else "buying power"
        numbers = f"required: {money_text(cost_e4)}, available: {money_text(buying_power_e4)}"
        raise Refusal(
            403,
            f"insufficient {what} for cost basis ({numbers})",
            FORBIDDEN_CODE,
            cost_basis=money_text(cost_e4),
            options_buying_power=money_text(buying_power_e4),
        )


def held_cash_e4(order: Order, market: ServedMarket) -> int:
    """Cash that a working order holds, 1/10000 USD; none for a sell."""
    if order.request.side is not OrderSide.BUY:
        return 0
    return _cost_e4(order.request, order.remaining, market)


def _cost_e4(request: OrderRequest, quantity: int, market: ServedMarket) -> int:
    price_e4 = request.limit_e4 or request.stop_e4 or market.quote(request.instrument.instrument_id).ask_e4
    return price_e4 * quantity * multiplier_of(request.instrument)
