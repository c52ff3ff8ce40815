"""The exchange's REST side: every path, and what all of them share.

Decides who may ask (keys), how often (rate limit), which headers go with an answer, and where faults step in.
Leaves the answers to the `rest_*` modules, one topic each.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from typing import Any, Final, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.plan import PLUS, Plan
from scalpcli.exchange.rest_answer import Refusal
from scalpcli.exchange.rest_chain import ChainApi
from scalpcli.exchange.rest_contracts import ContractsApi
from scalpcli.exchange.rest_history import HistoryApi
from scalpcli.exchange.rest_meta import MetaApi
from scalpcli.exchange.rest_orders import OrdersApi
from scalpcli.exchange.rest_positions import PositionsApi
from scalpcli.exchange.rest_stocks import StocksApi
from scalpcli.exchange.rest_trading import TradingApi
from scalpcli.exchange.routes import Handler
from scalpcli.units import NS_PER_MIN, NS_PER_S

Keys = tuple[str, str]
_DATA_PATHS: Final = ("/v2/stocks", "/v1beta1/")


class Faults(Protocol):
    """What spoils requests on purpose."""

    async def before(self, request: Request) -> Response | None:
        """Answer instead of the exchange, or let the request through."""

    async def after(self, request: Request, response: Response) -> Response:
        """What the client gets of an answer, late or not at all."""


@dataclass(slots=True)
class _Budget:
    """Requests of one minute of market time."""

    limit: int
    minute: int = -1
    used: int = 0

    def spend(self, now_ns: int) -> bool:
        """Count a request; whether it was within the limit."""
        minute = now_ns // NS_PER_MIN
        if minute != self.minute:
            self.minute, self.used = minute, 0
        self.used += 1
        return self.used <= self.limit

    def headers(self) -> dict[str, str]:
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.limit - self.used)),
            "X-RateLimit-Reset": str((self.minute + 1) * NS_PER_MIN // NS_PER_S),
        }


class _Door:
    """What every request passes on its way to an answer and back."""

    def __init__(self, market: ServedMarket, plan: Plan, keys: Keys | None, faults: Faults | None) -> None:
        self._market = market
        self._keys = keys
        self._faults = faults
        self._data = _Budget(plan.data_requests_per_min)
        self._trading = _Budget(plan.trading_requests_per_min)

    def guarded(self, handler: Handler) -> Handler:
        """`handler` behind keys, rate limit and faults."""

        async def answer(request: Request) -> Response:
            budget = self._data if request.url.path.startswith(_DATA_PATHS) else self._trading
            response = await self._answer(request, handler, budget)
            response.headers["X-Request-ID"] = uuid.uuid4().hex
            for name, value in budget.headers().items():
                # A fault's own numbers stand.
                response.headers.setdefault(name, value)
            if self._faults is not None:
                return await self._faults.after(request, response)
            return response

        return answer

    async def _answer(self, request: Request, handler: Handler, budget: _Budget) -> Response:
        is_within = budget.spend(self._market.now_ns())
        if not self._is_known(request):
            return JSONResponse({"message": "unauthorized."}, status_code=401)
        if not is_within:
            return JSONResponse({"message": "too many requests."}, status_code=429)
        if self._faults is not None:
            spoiled = await self._faults.before(request)
            if spoiled is not None:
                return spoiled
        try:
            return await handler(request)
        except Refusal as refusal:
            return refusal.response()

    def _is_known(self, request: Request) -> bool:
        given = (request.headers.get("APCA-API-KEY-ID", ""), request.headers.get("APCA-API-SECRET-KEY", ""))
        if self._keys is None:
            return all(given)
        # Both are compared, each in constant time.
        same = [hmac.compare_digest(a.encode(), b.encode()) for a, b in zip(given, self._keys, strict=True)]
        return all(same)


def rest_app(
    market: ServedMarket,
    account: SimulatedAccount,
    faults: Faults | None = None,
    *,
    stream_url: str = "",
    keys: Keys | None = None,
    plan: Plan = PLUS,
) -> Starlette:
    """The REST side of the exchange.

    Args:
        market: What is served.
        account: Who trades on it.
        faults: What spoils requests; none by default.
        stream_url: Where the streams listen, for `GET /rehearsal`.
        keys: The only key and secret that are let in; `None` takes any pair that is not empty.
        plan: The data plan, with its limits.
    """
    door = _Door(market, plan, keys, faults)

    async def rehearsal(_request: Request) -> Response:
        return JSONResponse(rehearsal_body(market, stream_url))

    apis = (
        TradingApi(market, account),
        OrdersApi(market, account),
        PositionsApi(market, account),
        ContractsApi(market),
        ChainApi(market, plan),
        HistoryApi(market, plan),
        StocksApi(market, plan),
        MetaApi(),
    )
    routes = [Route("/rehearsal", rehearsal, methods=["GET"])]
    for api in apis:
        routes += [Route(path, door.guarded(handler), methods=[method]) for method, path, handler in api.routes()]

    async def unknown(_request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return JSONResponse({"message": "endpoint not found."}, status_code=status)

    return Starlette(routes=routes, exception_handlers={404: unknown, 405: unknown})


def rehearsal_body(market: ServedMarket, stream_url: str) -> dict[str, Any]:
    """What a client needs to follow the exchange's clock; an endpoint of ours, not of Alpaca."""
    return {
        "now_ns": market.now_ns(),
        "speed": market.clock_speed,
        "session": market.session.date.isoformat(),
        "symbol": market.symbol,
        "stream_url": stream_url,
    }
