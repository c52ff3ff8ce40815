"""Spoils REST requests as the fault script says: refusals before they are carried out, lost answers afterwards."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from scalpcli.exchange.fault_script import HTTP_CODES, Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.serving_log import ServingLog

_TOO_MANY = 429
_ERROR_FROM = 400


class RestFaults:
    """What stands between a request and its answer.

    Args:
        engine: The running script.
        log: Where spoiled requests are noted.
    """

    def __init__(self, engine: FaultEngine, log: ServingLog) -> None:
        self._engine, self._log = engine, log

    async def before(self, request: Request) -> Response | None:
        """A refusal instead of carrying the request out, or nothing."""
        method, path = request.method, request.url.path
        self._engine.passed(Scope.REST, 1)
        code = self._engine.refusal(Scope.REST, HTTP_CODES, method, path)
        if not code:
            return None
        self._log.event("request_refused", method=method, path=path, code=code)
        return error_response(code)

    async def after(self, request: Request, response: Response) -> Response:
        """The answer, or an error in its place although the request was carried out."""
        method, path = request.method, request.url.path
        if response.status_code >= _ERROR_FROM:
            return response
        code = self._engine.lost_answer(method, path)
        if not code:
            return response
        self._log.event("answer_lost", method=method, path=path, code=code)
        return error_response(code)


def error_response(code: int) -> Response:
    """A failure as a gateway writes it: JSON for 429, a page for the rest, which no client should try to read."""
    if code == _TOO_MANY:
        return JSONResponse({"message": "too many requests."}, status_code=code)
    return HTMLResponse(f"<html><body><h1>{code}</h1></body></html>", status_code=code)
