"""alpaca-py's clients, guarded: what the SDK leaves open is closed here.

The SDK (0.44.0) waits for ever, repeats a POST after 429 and 504, and follows whatever its session's defaults
are. Here every request has time-outs, is made once, and is never redirected; what went wrong comes back as
one exception without a key in it. Importing this module loads the SDK and with it pandas, which costs a
second: `alpaca_rest.py` imports it when the first client is made.
"""

from __future__ import annotations

import email.utils
import json
import math
import threading
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.trading.client import TradingClient
from requests import PreparedRequest, Response
from requests import exceptions as faults
from requests.adapters import HTTPAdapter

from scalpcli.adapters.rehearsal import is_loopback
from scalpcli.model.params import AlpacaParams

WAIT_S_MAX: Final = 60.0
"""A limit of requests a minute is over after a minute, whatever a header says."""
_ERROR_CHARACTERS_MAX: Final = 4096


class Host(StrEnum):
    """Which of Alpaca's interfaces a request goes to."""

    TRADING = "trading"
    STOCK = "stock"
    OPTION = "option"


class Failure(Exception):
    """A request that brought no answer to work with.

    Args:
        status: Status of the answer, 0 where there was none.
        reason: What happened, in words.
        code: Alpaca's own number of the error, 0 where it gave none.
        wait_s: Seconds the service asks to wait, 0 where it does not say.
        may_pass: Whether the same request may succeed later.
    """

    def __init__(self, status: int, reason: str, *, code: int = 0, wait_s: float = 0.0, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.code = code
        self.wait_s = wait_s
        self.may_pass = may_pass


class _Guard(HTTPAdapter):
    """Sends requests with time-outs, once, and reads what the service says about its limits."""

    def __init__(self, connect_s: float, answer_s: float) -> None:
        super().__init__(max_retries=0)
        self._timeout = (connect_s, answer_s)
        self.wait_s = 0.0

    def send(  # type: ignore[override,unused-ignore]  # the SDK's session passes these by name
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send one request; its own time-out counts, whatever the SDK asks for."""
        del timeout
        response = super().send(request, stream, self._timeout, verify, cert, proxies)
        self.wait_s = seconds_to_wait(response.headers, response.status_code)
        # JSON is UTF-8; to guess it from a megabyte, as the library does where no header tells, takes seconds.
        response.encoding = "utf-8"
        return response


def seconds_to_wait(headers: Mapping[str, str], status: int) -> float:
    """Seconds until the service takes another request, 0 when at once; measured by the service's own clock.

    `X-RateLimit-Reset` is an instant of that clock, so it is compared with `Date` of the same answer.
    """
    if status != 429 and headers.get("X-RateLimit-Remaining") != "0":
        return 0.0
    try:
        if "Retry-After" in headers:
            wait_s = float(headers["Retry-After"])
        else:
            answered = email.utils.parsedate_to_datetime(headers["Date"])
            wait_s = float(headers["X-RateLimit-Reset"]) - answered.timestamp()
    except (KeyError, TypeError, ValueError):
        return 0.0
    return min(max(wait_s, 0.0), WAIT_S_MAX) if math.isfinite(wait_s) else 0.0


class Clients:
    """The SDK's three clients, one request at a time each.

    Args:
        params: Addresses and time-outs.
        key: Key of the account.
        secret: Its secret.
    """

    def __init__(self, params: AlpacaParams, key: str, secret: str) -> None:
        keys = {"api_key": key, "secret_key": secret, "raw_data": True}
        self._clients: dict[Host, RESTClient] = {
            Host.TRADING: TradingClient(**keys, url_override=params.trading_url),  # type: ignore[arg-type]
            Host.STOCK: StockHistoricalDataClient(**keys, url_override=params.data_url),  # type: ignore[arg-type]
            Host.OPTION: OptionHistoricalDataClient(**keys, url_override=params.data_url),  # type: ignore[arg-type]
        }
        self._guards: dict[Host, _Guard] = {}
        self._locks = {host: threading.Lock() for host in Host}
        for host, client in self._clients.items():
            guard = self._guards[host] = _Guard(params.connect_s, params.answer_s)
            url = params.trading_url if host is Host.TRADING else params.data_url
            session = client._session  # noqa: SLF001 - the SDK offers no other way to set a time-out
            session.mount("https://", guard)
            session.mount("http://", guard)
            # A proxy of the environment is for the world outside, not for a local exchange.
            session.trust_env = not is_loopback(url, ("http", "https"))
            # `retry_attempts=0` would be taken for "not given" and mean three more tries, of a POST too.
            client._retry = 0  # noqa: SLF001

    def request(self, host: Host, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """The body of the answer to one request, made once.

        Args:
            host: Where to.
            method: `GET`, `POST`, `PATCH` or `DELETE`.
            path: After the version, like `/account`.
            data: Query of a GET or DELETE, body of the others.

        Raises:
            Failure: There was no answer, or it says no, or it is not JSON.
        """
        with self._locks[host]:
            self._guards[host].wait_s = 0.0
            try:
                body = self._clients[host]._request(method, path, dict(data or {}))  # noqa: SLF001 - get, post and so on call it
            except APIError as error:
                raise _refused(error, self._guards[host].wait_s) from None
            except (faults.JSONDecodeError, json.JSONDecodeError):
                # Also a redirect: it is not followed, and its body is no answer.
                raise Failure(0, "the answer is not JSON", may_pass=True) from None
            except (faults.RequestException, OSError) as error:
                raise _unanswered(error) from None
            if body is None and method == "GET":
                raise Failure(0, "the answer is empty; a redirect is not followed", may_pass=True)
            return body

    def wait_s(self, host: Host) -> float:
        """Seconds that the last answer of `host` asked to wait before the next request."""
        return self._guards[host].wait_s

    def close(self) -> None:
        """Close the connections."""
        for client in self._clients.values():
            client._session.close()  # noqa: SLF001


def _refused(error: APIError, wait_s: float) -> Failure:
    """What an error's status and body say; a body may be JSON with or without a code, or HTML."""
    status = int(error.status_code or 0)
    code, reason = 0, ""
    try:
        body = json.loads(str(error)[:_ERROR_CHARACTERS_MAX])
        reason = str(body.get("message", ""))
        code = int(body.get("code", 0))
    except (AttributeError, TypeError, ValueError):
        reason = reason or f"status {status}"
    may_pass = status in (408, 425, 429) or status >= 500
    return Failure(status, reason or f"status {status}", code=code, wait_s=wait_s, may_pass=may_pass)


def _unanswered(error: Exception) -> Failure:
    """A fault of the connection, in words of ours: the library's own may quote a header."""
    if isinstance(error, faults.ConnectTimeout):
        return Failure(0, "the connection did not open in time", may_pass=True)
    if isinstance(error, faults.Timeout):
        return Failure(0, "the answer did not come in time", may_pass=True)
    if isinstance(error, faults.SSLError):
        return Failure(0, "the certificate of the host cannot be verified")
    if isinstance(error, faults.ProxyError):
        return Failure(0, "the proxy refuses the connection", may_pass=True)
    if isinstance(error, ValueError):
        # Invalid addresses and headers.
        return Failure(0, "the address cannot be used")
    return Failure(0, "the connection failed or broke off", may_pass=True)
