"""One request to Alpaca's trading API at a time: what was heard, whether it was sent at all, and how many are left.

Decides time-outs, that nothing is repeated or redirected here, and which requests step back while few are left of
the minute's budget. Leaves what an answer means to `alpaca_orders.py`. No key is in anything it tells.
"""

from __future__ import annotations

import asyncio
import json
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import httpx

from scalpcli.adapters.alpaca_orders_wire import decode, error_of
from scalpcli.adapters.alpaca_rest import check_address, check_keys
from scalpcli.adapters.lean_http import LeanTransport
from scalpcli.adapters.rehearsal import is_loopback
from scalpcli.model.live_params import LiveParams
from scalpcli.units import NS_PER_S

_REQUESTS_PER_MIN: Final = 200
"""Requests of a minute until the broker says another number; widely cited, not in Alpaca's documents."""
_WINDOW_NS: Final = 60 * NS_PER_S
_TEXT_MAX: Final = 300
_NOT_FOUND: Final = 404
_CODE_STATUS: Final = 100_000
"""Alpaca's number of an error is the status and five digits."""
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Need(Enum):
    """What a request is for; its value is the share of the minute's requests that it leaves to others."""

    LEAVE = 0.0
    """Sells, cancels and what they need to know: never held back."""
    LOOK_UP = 0.1
    """What became of an order."""
    ENTRY = 0.2
    QUESTION = 0.3


@dataclass(frozen=True, slots=True)
class Heard:
    """What came of one request.

    Attributes:
        status: Of the answer; 0 where there was none.
        body: Its JSON, fractions as `Decimal`; nothing where it cannot be read.
        reason: Why there was no answer, or what the broker says, in words without a key.
        code: Alpaca's own number of the error; 0 where it gave none.
        was_sent: Whether the request may have reached the broker.
        is_broken: Whether the connection ended before an answer: it may have been idle for too long.
    """

    status: int
    body: Any = None
    reason: str = ""
    code: int = 0
    was_sent: bool = True
    is_broken: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the broker did what it was asked."""
        return 200 <= self.status < 300

    @property
    def is_refused(self) -> bool:
        """Whether the broker answered that it will not: a status below 500, but for "later" and "too late"."""
        return 400 <= self.status < 500 and self.status not in (408, 425, 429)

    @property
    def is_absent(self) -> bool:
        """Whether the broker knows no such thing; a 404 of whatever else stands there is no word of the broker."""
        return self.status == _NOT_FOUND and self.code // _CODE_STATUS == _NOT_FOUND

    @property
    def are_keys_refused(self) -> bool:
        """Whether asking again changes nothing."""
        return self.status in (401, 403)


class RateBudget:
    """Requests left of the current minute, as the broker's headers tell them.

    Args:
        now_ns: Time at the market, UTC nanoseconds.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.limit = self.left = _REQUESTS_PER_MIN
        self._ends_ns = 0

    def wait_s(self, need: Need) -> float:
        """Market seconds until a request for `need` may go; 0 = now."""
        rest_s = self.rest_s()
        is_free = rest_s <= 0 or need is Need.LEAVE or self.left > self.limit * need.value
        return 0.0 if is_free else rest_s

    def rest_s(self) -> float:
        """Market seconds until the minute is over; at most 0 when it is."""
        return (self._ends_ns - self._now_ns()) / NS_PER_S

    def count(self) -> None:
        """A request goes out."""
        if self.rest_s() <= 0:
            self.left, self._ends_ns = self.limit, self._now_ns() + _WINDOW_NS
        self.left -= 1

    def hear(self, status: int, headers: Mapping[str, str]) -> None:
        """Take the numbers of an answer; where they cannot be read, our own count goes on."""
        limit, left, reset_s = (_number(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset"))
        if limit:
            self.limit = limit
        if reset_s:
            # Never longer than a minute, whatever a header says or however the clocks differ.
            ends_ns = min(reset_s * NS_PER_S, self._now_ns() + _WINDOW_NS)
            is_same = ends_ns == self._ends_ns
            self._ends_ns = ends_ns
            if left is not None:
                # Answers overtake each other: within one minute the number only falls.
                self.left = min(left, self.left) if is_same else left
        if status == 429:
            self.left = 0


class Line:
    """The connection that orders go over.

    Args:
        url: Host of the trading API, like `https://paper-api.alpaca.markets`.
        key: Key of the account.
        secret: Its secret.
        params: Time-outs.
        now_ns: Time at the market, UTC nanoseconds.
        transport: In place of the network.

    Raises:
        ConfigError: The address would send keys unencrypted over a network.
        CredentialsError: A key holds a character that no key has.
    """

    def __init__(
        self,
        url: str,
        key: str,
        secret: str,
        params: LiveParams,
        now_ns: Callable[[], int],
        transport: httpx.AsyncBaseTransport | None,
    ) -> None:
        check_address("trading_url", url)
        check_keys(key, secret)
        self.budget = RateBudget(now_ns)
        self._keys = (key, secret)
        self._url = url.rstrip("/")
        self._headers = httpx.Headers(
            {
                "APCA-API-KEY-ID": key,
                "APCA-API-SECRET-KEY": secret,
                "Accept": "application/json",
                "Content-Type": "application/json",
                "User-Agent": "scalpcli",
            }
        )
        connect_s, answer_s = params.order_connect_s, params.order_answer_s
        self._whole_s = connect_s + answer_s
        self._limits = {"timeout": httpx.Timeout(answer_s, connect=connect_s, pool=connect_s).as_dict()}
        # Not through a client of httpx: it would follow redirects, keep cookies and take time before an order leaves.
        self._transport = transport or _transport_to(url)

    async def close(self) -> None:
        """End the connections."""
        await self._transport.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, str] | None = None,
    ) -> Heard:
        """Send one request, once; nothing that goes wrong on the way is raised."""
        self.budget.count()
        sent = b"" if body is None else json.dumps(body).encode()
        request = httpx.Request(
            method, self._url + path, params=query, headers=self._headers, content=sent, extensions=self._limits
        )
        try:
            # Besides the time-outs of each step: an answer that trickles in is no answer.
            async with asyncio.timeout(self._whole_s):
                response = await self._transport.handle_async_request(request)
                content = await response.aread()
        except _NEVER_SENT as error:
            return Heard(0, reason=f"no connection to the broker ({type(error).__name__})", was_sent=False)
        except (httpx.TimeoutException, TimeoutError):
            return Heard(0, reason="no answer in time")
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return Heard(0, reason=f"the connection broke ({type(error).__name__})", is_broken=True)
        self.budget.hear(response.status_code, response.headers)
        decoded = decode(content)
        code, message = error_of(decoded)
        reason = f"HTTP {response.status_code}" + (f": {self._clean(message)}" if message else "")
        return Heard(response.status_code, decoded, reason, code)

    def _clean(self, text: str) -> str:
        """The broker's words on one line, short, and without a key."""
        for value in self._keys:
            text = text.replace(value, "***")
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_TEXT_MAX]


def _transport_to(url: str) -> httpx.AsyncBaseTransport:
    """The way to an address: through the environment's proxy where it names one, but never to this machine."""
    parts = urllib.parse.urlsplit(url)
    proxy = urllib.request.getproxies().get(parts.scheme, "")
    is_direct = is_loopback(url, ("http", "https")) or urllib.request.proxy_bypass(parts.hostname or "")
    return httpx.AsyncHTTPTransport(proxy=proxy) if proxy and not is_direct else LeanTransport()


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 12 else None
