"""The trading API's positions: list, close, exercise.

Decides how a position is valued in an answer (`account.py`: the mid), and which order closes it: a market sell.
"""

from __future__ import annotations

import uuid
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.holdings import Position
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import (
    Order,
    OrderRequest,
    asset_class,
    asset_id,
    multiplier_of,
    whole_quantity,
)
from scalpcli.exchange.rest_answer import (
    FORBIDDEN_CODE,
    NOT_FOUND_CODE,
    UNPROCESSABLE_CODE,
    Refusal,
    money_text,
)
from scalpcli.exchange.rest_orders import act_soon
from scalpcli.exchange.routes import Route
from scalpcli.model.order import OrderSide

_ALL_PCT = 100


class PositionsApi:
    """Positions.

    Args:
        market: Whose clock decides what can still be exercised.
        account: Who holds them.
    """

    def __init__(self, market: ServedMarket, account: SimulatedAccount) -> None:
        self._market = market
        self._account = account

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/positions", self.positions),
            ("DELETE", "/v2/positions", self.close_all),
            ("GET", "/v2/positions/{symbol}", self.position),
            ("DELETE", "/v2/positions/{symbol}", self.close),
            ("POST", "/v2/positions/{symbol}/exercise", self.exercise),
            ("POST", "/v2/positions/{symbol}/do-not-exercise", self.do_not_exercise),
        ]

    async def positions(self, _request: Request) -> Response:
        """Everything held."""
        self._account.run_due()
        return JSONResponse([self._body(position) for position in self._account.positions.values()])

    async def position(self, request: Request) -> Response:
        """What is held of one symbol."""
        self._account.run_due()
        return JSONResponse(self._body(self._find(request)))

    async def close(self, request: Request) -> Response:
        """Sell all, `qty` or `percentage` of a position at the market."""
        self._account.run_due()
        position = self._find(request)
        quantity = _quantity(position, request)
        order = self._sell(position, quantity)
        act_soon(self._account)
        return JSONResponse(order.body())

    async def close_all(self, request: Request) -> Response:
        """Sell every position; with `cancel_orders` after taking every order back."""
        if request.query_params.get("cancel_orders", "").lower() == "true":
            for order in self._account.open_orders():
                self._account.cancel(order)
        self._account.run_due()
        answers: list[dict[str, Any]] = []
        for position in list(self._account.positions.values()):
            symbol = position.instrument.symbol
            try:
                order = self._sell(position, position.quantity)
                answers.append({"symbol": symbol, "status": 200, "body": order.body()})
            except Refusal as refusal:
                answers.append({"symbol": symbol, "status": refusal.status, "body": refusal.body})
        act_soon(self._account)
        return JSONResponse(answers, status_code=207)

    async def exercise(self, request: Request) -> Response:
        """Exercise a position; it is settled at the close (`account.py`, assumption 5)."""
        position = self._exercisable(request)
        position.is_exercised, position.is_abandoned = True, False
        return Response(status_code=200)

    async def do_not_exercise(self, request: Request) -> Response:
        """Let a position expire, whatever it is worth."""
        position = self._exercisable(request)
        position.is_exercised, position.is_abandoned = False, True
        return Response(status_code=200)

    def _find(self, request: Request) -> Position:
        wanted = request.path_params["symbol"]
        for position in self._account.positions.values():
            if wanted in (position.instrument.symbol, asset_id(position.instrument.symbol)):
                return position
        raise Refusal(404, f"position does not exist: {wanted}", NOT_FOUND_CODE)

    def _exercisable(self, request: Request) -> Position:
        self._account.run_due()
        wanted = request.path_params["symbol"]
        instrument = self._market.by_symbol.get(wanted)
        if instrument is None or not instrument.is_option:
            raise Refusal(422, f'contract "{wanted}" not found', UNPROCESSABLE_CODE)
        position = self._account.positions.get(instrument.instrument_id)
        if position is None or self._account.available(instrument.instrument_id) < 1:
            raise Refusal(403, f"no available position found for {wanted}", FORBIDDEN_CODE)
        return position

    def _sell(self, position: Position, quantity: int) -> Order:
        request = OrderRequest(
            client_order_id=str(uuid.uuid4()),
            instrument=position.instrument,
            side=OrderSide.SELL,
            quantity=quantity,
            limit_e4=0,
            time_in_force="day",
            position_intent="sell_to_close",
        )
        return self._account.submit(request)

    def _body(self, position: Position) -> dict[str, Any]:
        instrument = position.instrument
        cost_e4 = position.cost_e4 * multiplier_of(instrument)
        value_e4 = self._account.value_e4(position)
        profit = money_text(value_e4 - cost_e4)
        profit_share = f"{(value_e4 - cost_e4) / cost_e4:.6f}" if cost_e4 else "0"
        price = money_text(self._account.price_e4(position))
        return {
            "asset_id": asset_id(instrument.symbol),
            "symbol": instrument.symbol,
            "exchange": "" if instrument.is_option else "NASDAQ",
            "asset_class": asset_class(instrument),
            "asset_marginable": False,
            "qty": str(position.quantity),
            "qty_available": str(self._account.available(instrument.instrument_id)),
            "avg_entry_price": money_text(position.cost_e4 / position.quantity),
            "side": "long",
            "market_value": money_text(value_e4),
            "cost_basis": money_text(cost_e4),
            "unrealized_pl": profit,
            "unrealized_plpc": profit_share,
            "unrealized_intraday_pl": profit,
            "unrealized_intraday_plpc": profit_share,
            "current_price": price,
            # The exchange plays one session: what a contract cost the day before is not on the tape.
            "lastday_price": price,
            "change_today": "0",
        }


def _quantity(position: Position, request: Request) -> int:
    query = request.query_params
    if "qty" in query and "percentage" in query:
        raise Refusal(422, "only one of qty and percentage is accepted", UNPROCESSABLE_CODE)
    if "qty" in query:
        return whole_quantity(query["qty"])
    if "percentage" not in query:
        return position.quantity
    try:
        percentage = Decimal(query["percentage"])
    except InvalidOperation:
        percentage = Decimal(0)
    if not 0 < percentage <= _ALL_PCT:
        raise Refusal(422, "percentage must be between 0 and 100", UNPROCESSABLE_CODE)
    return whole_quantity(int(position.quantity * percentage / _ALL_PCT))
