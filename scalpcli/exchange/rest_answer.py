"""How the REST side answers: error bodies, times as text, numbers as strings, pages.

Decides the spelling, which follows Alpaca's, and nothing of the content.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.model.session import NEW_YORK
from scalpcli.units import E4_PER_USD, NS_PER_S, NS_PER_US

FORBIDDEN_CODE: Final = 40310000
UNPROCESSABLE_CODE: Final = 42210000
NOT_UNIQUE_CODE: Final = 40010001
NOT_FOUND_CODE: Final = 40410000

_TIME: Final = re.compile(
    r"^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9})\d*)?)?)?(Z|[+-]\d{2}:?\d{2})?$", re.ASCII
)


class Refusal(Exception):
    """A request that is answered with an error.

    Args:
        status: HTTP status.
        message: Text of the body.
        code: Alpaca's number; 0 leaves it out, as the data API does.
        extra: Further fields of the body.
    """

    def __init__(self, status: int, message: str, code: int = 0, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body: dict[str, Any] = ({"code": code} if code else {}) | {"message": message} | extra

    def response(self) -> Response:
        """The answer."""
        return JSONResponse(self.body, status_code=self.status)


def time_text(ns: int) -> str:
    """RFC 3339 in UTC with the decimals that are needed, up to nine: `2026-11-20T14:30:00.5Z`."""
    seconds, rest = divmod(ns, NS_PER_S)
    text = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def new_york_text(ns: int) -> str:
    """RFC 3339 with New York's offset and microseconds, as the clock endpoint answers."""
    moment = dt.datetime.fromtimestamp(ns // NS_PER_S, NEW_YORK)
    return moment.replace(microsecond=ns % NS_PER_S // NS_PER_US).isoformat()


def time_ns(text: str, name: str, *, is_end: bool = False) -> int:
    """UTC nanoseconds of a query's time or day; a day alone means its start, as an end its last nanosecond.

    Raises:
        Refusal: 400, `text` is neither.
    """
    match = _TIME.match(text.strip().replace(" ", "+") if "T" in text else text.strip())
    if match is None:
        raise Refusal(400, f"invalid {name}: {text}")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        moment = dt.datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=_zone(zone)
        )
    except ValueError:
        raise Refusal(400, f"invalid {name}: {text}") from None
    ns = int(moment.timestamp()) * NS_PER_S + int((fraction or "").ljust(9, "0"))
    return ns + 86_400 * NS_PER_S - 1 if is_end and hour is None else ns


def _zone(text: str | None) -> dt.tzinfo:
    if text is None or text == "Z":
        return dt.UTC
    sign = -1 if text[0] == "-" else 1
    return dt.timezone(sign * dt.timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))


def day_of(text: str, name: str) -> dt.date:
    """A query's day.

    Raises:
        Refusal: 422, `text` is no day.
    """
    try:
        return dt.date.fromisoformat(text[:10])
    except ValueError:
        raise Refusal(422, f"invalid {name}: {text}", UNPROCESSABLE_CODE) from None


def usd(price_e4: float) -> float:
    """Dollars as the data API writes them, a number."""
    return price_e4 / E4_PER_USD


def money_text(amount_e4: float) -> str:
    """Dollars as the trading API writes them: text without superfluous zeros, at least one digit."""
    text = f"{amount_e4 / E4_PER_USD:.4f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def whole(request: Request, name: str, default: int, largest: int) -> int:
    """A whole number of the query, from 1 to `largest`.

    Raises:
        Refusal: 400, it is none or outside.
    """
    text = request.query_params.get(name)
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= largest:
        raise Refusal(400, f"invalid {name}: {name} must be between 1 and {largest}")
    return int(text)


def listed(request: Request, name: str) -> list[str]:
    """A comma-separated list of the query, each once, in order."""
    texts = [text.strip() for value in request.query_params.getlist(name) for text in value.split(",")]
    return list(dict.fromkeys(text for text in texts if text))


def token_of(*parts: object) -> str:
    """A page token that says where the next page begins."""
    return base64.urlsafe_b64encode("|".join(str(part) for part in parts).encode()).decode()


def token_parts(token: str, count: int) -> list[str]:
    """The parts of a page token.

    Raises:
        Refusal: 400, it is not one of ours.
    """
    try:
        parts = base64.urlsafe_b64decode(token.encode()).decode().split("|")
    except (binascii.Error, ValueError):
        parts = []
    if len(parts) != count:
        raise Refusal(400, "invalid page_token")
    return parts
