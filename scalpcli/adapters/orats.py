"""Greeks and one-minute chains from ORATS.

Decides what an answer means: ORATS gives one row a strike with the delta of the call; the put's is one less.
Gamma, theta (a calendar day) and vega (a point of volatility) are shared by both. The token stands in every
address, so no text of the HTTP library is ever shown, and its log is silenced below warnings. Calls block:
on an event loop call them with `asyncio.to_thread`.
"""

from __future__ import annotations

import csv
import datetime as dt
import json
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, Final

import httpx

from scalpcli.adapters.alpaca_rest import check_address
from scalpcli.errors import CredentialsError, DataError, ScalpcliError, UpstreamUnavailable
from scalpcli.model.instrument import OccSymbol
from scalpcli.model.session import NEW_YORK
from scalpcli.units import NS_PER_S, usd_to_e4

SOURCE: Final = "orats"
_SKIPS_MAX: Final = 32
_SHARED: Final = ("gamma", "theta", "vega")
_SIDES: Final = (("C", "call"), ("P", "put"))


class Orats:
    """ORATS' Data API.

    Args:
        url: Its address, like `https://api.orats.io/datav2`.
        token: The account's token.
        connect_s: Seconds for a connection to open.
        answer_s: Seconds for an answer.
        transport: Instead of the network, for tests.

    Raises:
        ConfigError: The address would send the token unencrypted over a network.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        connect_s: float = 5.0,
        answer_s: float = 5.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        check_address("orats_url", url)
        # At INFO httpx logs every address, and with it the token.
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._url = url.rstrip("/")
        self._token = token
        timeout = httpx.Timeout(answer_s, connect=connect_s)
        self._client = httpx.Client(timeout=timeout, transport=transport, follow_redirects=False)
        self._failures = 0
        self._skips = 0
        self.fault = ""
        """Why the last call of `greeks` gave none; empty when it did."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def greeks(self, symbol: str, expiry: dt.date) -> dict[str, Any] | None:
        """Body of a GREEKS note for one expiry, or `None` where there are none now; `fault` says why.

        After a failure twice as many calls as before are left out, 32 at most: the caller asks at a steady pace.
        """
        if self._skips:
            self._skips -= 1
            return None
        try:
            rows = self._json("/live/strikes/monthly", {"ticker": symbol, "expiry": expiry.isoformat()})
            contracts = greeks_of(rows, symbol, expiry)
            if not contracts:
                raise DataError(f"ORATS has no greeks of {symbol} for {expiry}")
        except ScalpcliError as error:
            self._skips = min(2**self._failures, _SKIPS_MAX)
            self._failures = min(self._failures + 1, _SKIPS_MAX.bit_length())
            self.fault = error.found
            return None
        self._failures, self.fault = 0, ""
        return {"source": SOURCE, "contracts": contracts}

    def probe(self, symbol: str, expiry: dt.date) -> int:
        """Contracts that have greeks now.

        Raises:
            CredentialsError: The token is not accepted.
            UpstreamUnavailable: ORATS gives no answer.
        """
        rows = self._json("/live/strikes/monthly", {"ticker": symbol, "expiry": expiry.isoformat()})
        return len(greeks_of(rows, symbol, expiry))

    def minute_chain(self, symbol: str, minute_ns: int) -> list[dict[str, str]]:
        """The chain as it stood in one minute of the past, a row a strike; empty where ORATS has none.

        Args:
            symbol: The underlying.
            minute_ns: Begin of the minute, UTC nanoseconds.

        Raises:
            CredentialsError: The token is not accepted, or the plan has no history.
            UpstreamUnavailable: ORATS gives no answer.
        """
        moment = dt.datetime.fromtimestamp(minute_ns // NS_PER_S, NEW_YORK)
        query = {"ticker": symbol, "tradeDate": f"{moment:%Y%m%d%H%M}"}
        answer = self._get("/hist/one-minute/strikes/chain.csv", query, may_be_absent=True)
        return list(csv.DictReader(answer.splitlines())) if answer else []

    def _json(self, path: str, query: Mapping[str, str]) -> list[Mapping[str, Any]]:
        answer = self._get(path, query)
        try:
            rows = json.loads(answer)["data"]
            return [row for row in rows if isinstance(row, dict)]
        except (KeyError, TypeError, ValueError):
            raise UpstreamUnavailable("ORATS' answer is not its JSON", place=f"`GET {path}`") from None

    def _get(self, path: str, query: Mapping[str, str], *, may_be_absent: bool = False) -> str:
        place = f"`GET {path}`"
        try:
            answer = self._client.get(f"{self._url}{path}", params={**query, "token": self._token})
        except httpx.TimeoutException:
            found = "ORATS did not answer in time"
        except (httpx.HTTPError, httpx.InvalidURL, ValueError):
            found = "ORATS cannot be reached"
        else:
            if answer.status_code == httpx.codes.OK:
                return answer.text
            if answer.status_code == httpx.codes.NOT_FOUND and may_be_absent:
                return ""
            if answer.status_code in (401, 402, 403):
                raise CredentialsError(
                    f"ORATS refuses the token: status {answer.status_code}",
                    place=place,
                    hint="check `ORATS_TOKEN` and what its plan includes; without a token greeks are computed",
                )
            found = f"ORATS gives no data: status {answer.status_code}"
        # Raised outside of `except`: the library's error holds the address, and the address holds the token.
        raise UpstreamUnavailable(found, place=place, hint="try later; without ORATS greeks are computed")


def greeks_of(rows: Iterable[Mapping[str, Any]], symbol: str, expiry: dt.date) -> dict[str, dict[str, float]]:
    """Contract -> its greeks, of ORATS' rows for one expiry; what is no number is left out."""
    result: dict[str, dict[str, float]] = {}
    for row in rows:
        strike, delta = number(row.get("strike")), number(row.get("delta"))
        if strike is None or strike <= 0 or delta is None or not 0.0 <= delta <= 1.0:
            continue
        if str(row.get("expirDate", ""))[:10] != expiry.isoformat():
            continue
        shared = {name: value for name in _SHARED if (value := number(row.get(name))) is not None}
        for right, side in _SIDES:
            contract = OccSymbol(symbol.replace(".", "").replace("/", ""), expiry, right, usd_to_e4(strike))
            # ORATS writes decimals; the rounding takes away what the subtraction of binary fractions adds.
            greeks = {"delta": delta if right == "C" else round(delta - 1.0, 12), **shared}
            iv = number(row.get(f"{side}MidIv")) or number(row.get("smvVol"))
            if iv is not None and iv > 0:
                greeks["iv"] = iv
            result[contract.compact] = greeks
    return result


def number(value: Any) -> float | None:
    """A finite number, or `None` for what ORATS writes where it has none: "", "null", nothing."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None
