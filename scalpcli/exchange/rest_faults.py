"""Spoils REST requests as the fault script says: refusals before they are carried out, lost answers afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from scalpcli.exchange.fault_script import HTTP_CODES, Fault, FaultName, Scope
from scalpcli.exchange.faults import FaultEngine, Tags
from scalpcli.exchange.rest_answer import FORBIDDEN_CODE, UNPROCESSABLE_CODE, Refusal
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.units import NS_PER_S, s_to_ns

_TOO_MANY: Final = 429
_ERROR_FROM: Final = 400
_FOREVER_S: Final = 3600.0
"""No client waits so long."""
_REJECTIONS: Final = {
    403: Refusal(403, "insufficient options buying power for cost basis", FORBIDDEN_CODE),
    422: Refusal(422, "contract expires soon, unable to open new positions", UNPROCESSABLE_CODE),
}


class RestFaults:
    """What stands between a request and its answer.

    Args:
        engine: The running script.
        log: Where spoiled requests are noted.
        now_ns: The exchange's clock, UTC nanoseconds.
    """

    def __init__(self, engine: FaultEngine, log: ServingLog, now_ns: Callable[[], int]) -> None:
        self._engine, self._log, self._now_ns = engine, log, now_ns

    async def before(self, request: Request) -> Response | None:
        """A refusal instead of carrying the request out, or nothing."""
        method, path = request.method, request.url.path
        self._engine.passed(Scope.REST, 1)
        tags = await _tags_of(request)
        fault = self._engine.refusal(Scope.REST, HTTP_CODES, method, path, tags)
        if fault is not None:
            self._log.event("request_refused", method=method, path=path, code=fault.code)
            return self._error_response(fault)
        if "order" in tags:
            rejection = self._engine.takes(FaultName.REJECT, Scope.REST, tags)
            if rejection is not None:
                self._log.event("order_rejected", path=path, code=rejection.code)
                return _REJECTIONS[rejection.code].response()
        return None

    async def after(self, request: Request, response: Response) -> Response:
        """The answer, or an error or silence in its place although the request was carried out."""
        method, path = request.method, request.url.path
        if response.status_code >= _ERROR_FROM:
            return response
        if method != "GET":
            self._log.event("request", method=method, path=path, status=response.status_code)
        fault = self._engine.lost_answer(method, path, await _tags_of(request))
        if fault is None:
            return response
        if fault.name is FaultName.HANG:
            self._log.event("answer_held", method=method, path=path, seconds=fault.duration_s)
            await asyncio.sleep(fault.duration_s or _FOREVER_S)
            return response
        self._log.event("answer_lost", method=method, path=path, code=fault.code)
        return self._error_response(fault)

    def _error_response(self, fault: Fault) -> Response:
        """A failure as a gateway writes it: JSON for 429, a page for the rest, which no client should try to read."""
        if fault.code != _TOO_MANY:
            return HTMLResponse(f"<html><body><h1>{fault.code}</h1></body></html>", status_code=fault.code)
        reset_ns = self._now_ns() + s_to_ns(max(fault.duration_s, 1.0))
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(-(-reset_ns // NS_PER_S))}
        return JSONResponse({"message": "too many requests."}, status_code=_TOO_MANY, headers=headers)


async def _tags_of(request: Request) -> Tags:
    """What a fault's `on` may call a request."""
    if request.method == "GET":
        return frozenset({"question"})
    if not request.url.path.startswith("/v2/orders"):
        return frozenset()
    if request.method != "POST":
        return frozenset({"cancel"} if request.method == "DELETE" else ())
    try:
        body = json.loads(await request.body())
    except ValueError:
        body = None
    fields = body if isinstance(body, dict) else {}
    return frozenset({"order", str(fields.get("side")), str(fields.get("type"))})
