"""What a topic of the REST side hands to the app."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

Handler = Callable[[Request], Awaitable[Response]]
"""Answers one request; raises `rest_answer.Refusal` to answer with an error."""
Route = tuple[str, str, Handler]
"""Method, path and handler."""
