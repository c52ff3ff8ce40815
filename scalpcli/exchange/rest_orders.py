"""The trading API's orders: submit, list, look up, replace, cancel.

Decides which orders a list holds. An order that was taken reaches the market right after its answer is made, so that
an update may overtake the answer, as it does at Alpaca.
"""

from __future__ import annotations

import asyncio
import json
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import OPEN, Order, asset_class, parse_order, parse_replacement
from scalpcli.exchange.rest_answer import UNPROCESSABLE_CODE, Refusal, listed, time_ns, whole
from scalpcli.exchange.routes import Route

_LIST_DEFAULT: Final = 50
_LIST_MAX: Final = 500


class OrdersApi:
    """Orders.

    Args:
        market: Whose instruments may be traded.
        account: Who trades.
    """

    def __init__(self, market: ServedMarket, account: SimulatedAccount) -> None:
        self._market = market
        self._account = account

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("POST", "/v2/orders", self.submit),
            ("GET", "/v2/orders", self.orders),
            ("DELETE", "/v2/orders", self.cancel_all),
            ("GET", "/v2/orders:by_client_order_id", self.order_by_client_id),
            ("GET", "/v2/orders/{order_id}", self.order),
            ("PATCH", "/v2/orders/{order_id}", self.replace),
            ("DELETE", "/v2/orders/{order_id}", self.cancel),
        ]

    async def submit(self, request: Request) -> Response:
        """Take an order; it is pending until it reaches the market."""
        order = self._account.submit(parse_order(await body_of(request), self._market.by_symbol))
        act_soon(self._account)
        return JSONResponse(order.body())

    async def orders(self, request: Request) -> Response:
        """Orders by status, time, symbol and side, newest first."""
        self._account.run_due()
        found = [order for order in self._account.orders.values() if _is_wanted(order, request)]
        if request.query_params.get("direction", "desc") != "asc":
            found.reverse()
        limit = whole(request, "limit", _LIST_DEFAULT, _LIST_MAX)
        return JSONResponse([order.body() for order in found[:limit]])

    async def order(self, request: Request) -> Response:
        """One order by id."""
        self._account.run_due()
        return JSONResponse(self._account.find(request.path_params["order_id"]).body())

    async def order_by_client_id(self, request: Request) -> Response:
        """One order by the client's id."""
        self._account.run_due()
        return JSONResponse(self._account.find_by_client_id(request.query_params.get("client_order_id", "")).body())

    async def replace(self, request: Request) -> Response:
        """Replace a working order; the answer is the new one."""
        order = self._account.find(request.path_params["order_id"])
        new = self._account.replace(order, parse_replacement(await body_of(request), order))
        act_soon(self._account)
        return JSONResponse(new.body())

    async def cancel(self, request: Request) -> Response:
        """Ask for an order back."""
        self._account.cancel(self._account.find(request.path_params["order_id"]))
        act_soon(self._account)
        return Response(status_code=204)

    async def cancel_all(self, _request: Request) -> Response:
        """Ask for every open order back."""
        self._account.run_due()
        answers = []
        for order in self._account.open_orders():
            self._account.cancel(order)
            answers.append({"id": order.order_id, "status": 200})
        act_soon(self._account)
        return JSONResponse(answers, status_code=207)


def act_soon(account: SimulatedAccount) -> None:
    """Let the market act once the answer that is being made has been handed over."""
    asyncio.get_running_loop().call_soon(account.run_due)


async def body_of(request: Request) -> object:
    """A request's JSON.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        return json.loads(await request.body())
    except ValueError:
        raise Refusal(400, "request body format is invalid", 40010000) from None


def _is_wanted(order: Order, request: Request) -> bool:
    query = request.query_params
    status = query.get("status", "open")
    if status not in ("open", "closed", "all"):
        raise Refusal(422, f"invalid status: {status}", UNPROCESSABLE_CODE)
    symbols, classes = listed(request, "symbols"), listed(request, "asset_class")
    return (
        (status == "all" or (order.status in OPEN) == (status == "open"))
        and (not symbols or order.request.instrument.symbol in symbols)
        and (not classes or asset_class(order.request.instrument) in classes)
        and query.get("side", order.request.side.value) == order.request.side.value
        and ("after" not in query or order.created_ns > time_ns(query["after"], "after"))
        and ("until" not in query or order.created_ns < time_ns(query["until"], "until", is_end=True))
    )
