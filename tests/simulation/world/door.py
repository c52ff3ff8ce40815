"""The exchange's REST side without a socket: a request's bytes in, the answer's bytes out, in one step.

The handlers are the exchange's own; what stands between them and a socket (keys, limits, faults) is the world's.
"""

from __future__ import annotations

import functools
import re
from typing import Any

import httpx
from starlette.requests import Request
from starlette.responses import Response

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.rest_answer import Refusal
from scalpcli.exchange.rest_orders import OrdersApi
from scalpcli.exchange.rest_positions import PositionsApi
from scalpcli.exchange.rest_trading import TradingApi
from scalpcli.exchange.routes import Handler


class Door:
    """What requests go through.

    Args:
        market: What is served.
        account: Who trades.
    """

    def __init__(self, market: ServedMarket, account: SimulatedAccount) -> None:
        apis = (OrdersApi(market, account), PositionsApi(market, account), TradingApi(market, account))
        self._routes = [(method, _pattern(path), handler) for api in apis for method, path, handler in api.routes()]

    def answer(self, request: httpx.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request at once: no handler of the exchange waits for anything."""
        for method, path, handler in self._routes:
            match = path.match(request.url.path) if method == request.method else None
            if match is not None:
                response = _handled(handler, request, match.groupdict(), body)
                return response.status_code, dict(response.headers), bytes(response.body)
        raise AssertionError(f"the exchange knows no {request.method} {request.url.path}")


@functools.lru_cache
def _pattern(path: str) -> re.Pattern[str]:
    """What a path with parameters matches."""
    return re.compile("^" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path) + "$")


def _handled(handler: Handler, request: httpx.Request, parameters: dict[str, str], body: bytes) -> Response:
    scope: dict[str, Any] = {
        "type": "http", "method": request.method, "path": request.url.path, "query_string": request.url.query,
        "headers": [], "path_params": parameters,
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    work = handler(Request(scope, receive))
    try:
        work.send(None)  # type: ignore[attr-defined]
    except StopIteration as done:
        response: Response = done.value
        return response
    except Refusal as refusal:
        return refusal.response()
    raise AssertionError("a handler of the exchange waited")
