"""Asks a local exchange what it plays: its clock, its session and the address of its streams.

Decides what a rehearsal's answer must hold. The address is on this machine: keys are sent to it, and a
rehearsal has no use for another one.
"""

from __future__ import annotations

import datetime as dt
import http.client
import ipaddress
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.errors import UpstreamUnavailable, UsageError

EXAMPLE_URL: Final = "http://127.0.0.1:18080"
_BYTES_MAX: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a local exchange plays.

    Attributes:
        url: Address of its requests.
        stream_url: Address of its streams.
        now_ns: Time at the exchange, UTC nanoseconds.
        speed: Market seconds in one second.
        session: Day of the session it plays.
        symbol: Underlying it plays.
    """

    url: str
    stream_url: str
    now_ns: int
    speed: float
    session: dt.date
    symbol: str


def read_rehearsal(url: str, *, answer_s: float) -> Rehearsal:
    """What the local exchange at `url` plays.

    Args:
        url: Its address, like `http://127.0.0.1:18080`.
        answer_s: Seconds that an answer may take.

    Raises:
        UsageError: `url` is not an address of this machine.
        UpstreamUnavailable: Nobody answers there, or not as a local exchange does.
    """
    url = url.rstrip("/")
    if not is_loopback(url, ("http",)):
        raise UsageError(
            f"`--rehearse {url}` is not an address on this machine",
            hint=f"start `scalpcli exchange TAPE` and name its address, like {EXAMPLE_URL}",
        )
    # Without the environment's proxies: what is on this machine is asked directly.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}/rehearsal", timeout=answer_s) as answer:
            body = json.loads(answer.read(_BYTES_MAX))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise UpstreamUnavailable(
            f"no local exchange answers: {_reason(error)}",
            place=f"`--rehearse {url}`",
            hint="start one in another terminal: `scalpcli exchange TAPE`",
        ) from None
    return _checked(url, body)


def is_loopback(url: str, schemes: tuple[str, ...]) -> bool:
    """Whether an address is on this machine and has one of the schemes."""
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        return False
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname or ""
        return parts.scheme in schemes and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        # It holds the connection, which nobody else closes.
        error.close()
        return f"status {error.code}"
    inner = getattr(error, "reason", error)
    if isinstance(inner, TimeoutError):
        return "no answer in time"
    if isinstance(inner, OSError):
        return (inner.strerror or "the connection failed").lower()
    return "its answer is not HTTP" if isinstance(error, http.client.HTTPException) else "its answer is not JSON"


def _checked(url: str, body: Any) -> Rehearsal:
    try:
        speed = float(body["speed"])
        result = Rehearsal(
            url,
            str(body["stream_url"]).rstrip("/"),
            int(body["now_ns"]),
            speed,
            dt.date.fromisoformat(body["session"]),
            str(body["symbol"]),
        )
        is_sound = math.isfinite(speed) and speed > 0 and is_loopback(result.stream_url, ("ws",))
    except (KeyError, TypeError, ValueError):
        is_sound = False
    if not is_sound:
        raise UpstreamUnavailable(
            "the answer to `/rehearsal` is not that of a local exchange",
            place=f"`--rehearse {url}`",
            hint="is another program listening there? Start `scalpcli exchange TAPE` on a free port",
        )
    return result
