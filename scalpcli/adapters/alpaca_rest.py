"""Asks Alpaca: account, calendar, contracts, chains and history, through one guarded wrapper over alpaca-py.

Decides how patiently a question is asked, and turns every failure into an error that says what to do and
shows no key. Questions are repeated with a growing wait; what changes something is sent once. All calls
block: on an event loop call them with `asyncio.to_thread`. Leaves the SDK's faults to `alpaca_session.py`
and the meaning of the answers to `alpaca_history.py` and `contracts.py`.
"""

from __future__ import annotations

import datetime as dt
import random
import threading
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from scalpcli.adapters.alpaca_time import ns_to_iso
from scalpcli.adapters.rehearsal import is_loopback
from scalpcli.errors import (
    ConfigError,
    CredentialsError,
    DataError,
    ScalpcliError,
    UpstreamUnavailable,
)
from scalpcli.model.params import AlpacaParams

if TYPE_CHECKING:
    from scalpcli.adapters.alpaca_session import Clients, Failure

PAGE_ROWS: Final = 10_000
"""Rows of one page of history; the service's own limit."""
OPTION_SYMBOLS_MAX: Final = 100
"""Contracts of one question; the service's own limit."""
_CHAIN_ROWS: Final = 1_000
_PAGES_MAX: Final = 100_000
_ACTIVITIES_MAX: Final = 100
"""Entries of one page of activities; Alpaca's own limit."""
_TEXT_MAX: Final = 300

Page = Mapping[str, Any]


class NotKnown(DataError):
    """Alpaca does not have what was asked for: a symbol, a contract, a last print."""


class AlpacaRest:
    """Alpaca's requests; safe to call from several threads.

    Args:
        params: `[alpaca]`: addresses, time-outs, tries and waits.
        key: Key of the account.
        secret: Its secret.

    Raises:
        CredentialsError: A key holds a character that no key has.
        ConfigError: An address would send keys unencrypted over a network.
    """

    def __init__(self, params: AlpacaParams, key: str, secret: str) -> None:
        for name, url in (("trading_url", params.trading_url), ("data_url", params.data_url)):
            check_address(name, url)
        check_keys(key, secret)
        self._params = params
        self._keys = (key, secret)
        self._clients: Clients | None = None
        self._making = threading.Lock()
        self._stopped = threading.Event()
        # Chance only spreads the waits of several clients; no decision depends on it.
        self._random = random.Random()  # noqa: S311
        self.requests = 0
        self.retries = 0

    def close(self) -> None:
        """Close the connections and end every wait; a call that is under way fails."""
        self._stopped.set()
        with self._making:
            if self._clients is not None:
                self._clients.close()

    # Account and calendar.

    def account(self) -> Page:
        """The account as Alpaca tells it; numbers are texts."""
        return self._object("trading", "/account")

    def clock(self) -> Page:
        """`timestamp`, `is_open`, `next_open` and `next_close` of the market."""
        return self._object("trading", "/clock")

    def calendar(self, first: dt.date, last: dt.date) -> list[Page]:
        """`date`, `open` and `close` (New York) of every session from `first` to `last`."""
        answer = self._ask("trading", "/calendar", {"start": first.isoformat(), "end": last.isoformat()})
        return [day for day in answer if isinstance(day, dict)] if isinstance(answer, list) else []

    def activities(self, first: dt.date, last: dt.date) -> Iterator[Page]:
        """What happened to cash and positions from `first` to `last` (UTC), oldest first: fills, fees, expiries."""
        query: dict[str, Any] = {
            "after": first.isoformat(),
            "until": (last + dt.timedelta(days=1)).isoformat(),
            "direction": "asc",
            "page_size": _ACTIVITIES_MAX,
        }
        for _ in range(_PAGES_MAX):
            answer = self._ask("trading", "/account/activities", query)
            page = [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []
            yield from page
            if len(page) < _ACTIVITIES_MAX:
                return
            query["page_token"] = str(page[-1].get("id", ""))

    def positions(self) -> list[Page]:
        """What the account holds now."""
        answer = self._ask("trading", "/positions")
        return [entry for entry in answer if isinstance(entry, dict)] if isinstance(answer, list) else []

    def contracts(self, underlying: str, first: dt.date, last: dt.date, *, status: str = "active") -> Iterator[Page]:
        """Contracts that expire from `first` to `last`, as Alpaca tells them; `status` is active or inactive."""
        query = {
            "underlying_symbols": underlying,
            "status": status,
            "expiration_date_gte": first.isoformat(),
            # Without it Alpaca ends the list at the next weekend.
            "expiration_date_lte": last.isoformat(),
            "limit": PAGE_ROWS,
        }
        for page in self._pages("trading", "/options/contracts", query):
            yield from page.get("option_contracts") or ()

    # Market data.

    def latest_trade(self, symbol: str, feed: str) -> Page:
        """The last print of a stock: `p` price, `t` time."""
        answer = self._object("stock", f"/stocks/{_in_path(symbol)}/trades/latest", {"feed": feed})
        return answer.get("trade") or {}

    def stock_pages(self, what: str, symbol: str, start_ns: int, end_ns: int, feed: str) -> Iterator[list[Page]]:
        """History of a stock, page by page, oldest first.

        Args:
            what: `trades` or `quotes`.
            symbol: The stock.
            start_ns: First instant, UTC nanoseconds.
            end_ns: First instant no more wanted.
            feed: `sip` or `iex`.
        """
        query = {**_span(start_ns, end_ns), "symbols": symbol, "feed": feed, "limit": PAGE_ROWS, "sort": "asc"}
        for page in self._pages("stock", f"/stocks/{what}", query):
            yield (page.get(what) or {}).get(symbol) or []

    def bar_pages(self, symbol: str, timeframe: str, start_ns: int, end_ns: int, feed: str) -> Iterator[list[Page]]:
        """Bars of a stock (`t`, `o`, `h`, `l`, `c`, `v`), page by page; `timeframe` like `1Day` or `1Min`."""
        query = {**_span(start_ns, end_ns), "symbols": symbol, "feed": feed, "limit": PAGE_ROWS, "sort": "asc"}
        for page in self._pages("stock", "/stocks/bars", {**query, "timeframe": timeframe, "adjustment": "raw"}):
            yield (page.get("bars") or {}).get(symbol) or []

    def option_trade_pages(
        self, symbols: Sequence[str], start_ns: int, end_ns: int
    ) -> Iterator[Mapping[str, list[Page]]]:
        """Prints of contracts, page by page: symbol -> its prints, oldest first. Alpaca keeps no quotes of options."""
        for first in range(0, len(symbols), OPTION_SYMBOLS_MAX):
            some = ",".join(symbols[first : first + OPTION_SYMBOLS_MAX])
            query = {**_span(start_ns, end_ns), "symbols": some, "limit": PAGE_ROWS, "sort": "asc"}
            for page in self._pages("option", "/options/trades", query):
                yield page.get("trades") or {}

    def chain(self, underlying: str, feed: str, expiry: dt.date) -> dict[str, Page]:
        """Snapshots of an expiry's contracts: `latestQuote`, `latestTrade` and `greeks`, each where there is one."""
        query = {"feed": feed, "expiration_date": expiry.isoformat(), "limit": _CHAIN_ROWS}
        result: dict[str, Page] = {}
        for page in self._pages("option", f"/options/snapshots/{_in_path(underlying)}", query):
            result.update(page.get("snapshots") or {})
        return result

    def latest_option_quotes(self, symbols: Sequence[str], feed: str) -> dict[str, Page]:
        """The last quote of up to 100 contracts; an entitlement check as much as a quote."""
        query = {"symbols": ",".join(symbols[:OPTION_SYMBOLS_MAX]), "feed": feed}
        return dict(self._object("option", "/options/quotes/latest", query).get("quotes") or {})

    # What is below decides patience and words.

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send what changes something on the account, once: a second try might act twice.

        Args:
            method: `POST`, `PATCH` or `DELETE`.
            path: After the version, like `/orders`.
            body: Body of a POST or PATCH, query of a DELETE.

        Raises:
            UpstreamUnavailable: The outcome is unknown.
            CredentialsError: Keys or permission are missing.
            DataError: Alpaca refuses it.
        """
        from scalpcli.adapters.alpaca_session import Failure, Host  # noqa: PLC0415 - the SDK costs a second

        self.requests += 1
        try:
            return self._ready().request(Host.TRADING, method, path, body)
        except Failure as failure:
            raise self._error(failure, Host.TRADING, method, path, tries=1) from None

    def _object(self, host: str, path: str, query: Mapping[str, Any] | None = None) -> Page:
        answer = self._ask(host, path, query)
        if not isinstance(answer, dict):
            raise UpstreamUnavailable(
                "Alpaca's answer is not a JSON object",
                place=f"`GET {path}`",
                hint="check `alpaca.trading_url` and `alpaca.data_url`",
            )
        return answer

    def _pages(self, host: str, path: str, query: Mapping[str, Any]) -> Iterator[Page]:
        """Every page of a list. A page may be empty and still have another after it."""
        token = ""
        for _ in range(_PAGES_MAX):
            page = self._object(host, path, {**query, "page_token": token} if token else query)
            yield page
            following = str(page.get("next_page_token") or "")
            if not following:
                return
            if following == token:
                break
            token = following
        raise UpstreamUnavailable(
            "Alpaca's list does not end: a page names itself as the next one", place=f"`GET {path}`", hint="try later"
        )

    def _ask(self, host: str, path: str, query: Mapping[str, Any] | None = None) -> Any:
        """The answer to a question, repeated while the failure may pass, at most `tries_max` times."""
        from scalpcli.adapters.alpaca_session import Failure, Host  # noqa: PLC0415 - the SDK costs a second

        where, clients = Host(host), self._ready()
        for tried in range(1, self._params.tries_max + 1):
            self._pause(clients.wait_s(where))
            self.requests += 1
            try:
                return clients.request(where, "GET", path, query)
            except Failure as failure:
                if not failure.may_pass or tried == self._params.tries_max:
                    raise self._error(failure, where, "GET", path, tries=tried) from None
                self.retries += 1
                if failure.wait_s == 0.0:
                    self._pause(self._backoff_s(tried, slow=failure.status == 429))
        raise AssertionError

    def _backoff_s(self, tried: int, *, slow: bool) -> float:
        first = self._params.backoff_slow_s if slow else self._params.backoff_first_s
        longest = min(first * 2.0 ** (tried - 1), self._params.backoff_max_s)
        return longest * self._random.uniform(0.5, 1.0)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds) if seconds else self._stopped.is_set():
            raise UpstreamUnavailable("the request was given up: this process is stopping")

    def _ready(self) -> Clients:
        with self._making:
            if self._clients is None:
                from scalpcli.adapters.alpaca_session import Clients  # noqa: PLC0415 - the SDK costs a second

                self._clients = Clients(self._params, *self._keys)
            return self._clients

    def _error(self, failure: Failure, host: str, method: str, path: str, *, tries: int) -> ScalpcliError:
        """The error that says what to do about a failure."""
        url = self._params.trading_url if host == "trading" else self._params.data_url
        place = f"`{method} {urllib.parse.urlsplit(url).netloc}{path}`"
        reason = self._clean(failure.reason)
        if failure.status == 401:
            return CredentialsError(
                "Alpaca does not accept the keys",
                place=place,
                hint="paper and live accounts have keys of their own: "
                f"these were sent to {urllib.parse.urlsplit(self._params.trading_url).netloc}",
            )
        if failure.status in (402, 403):
            return CredentialsError(f"Alpaca refuses: {reason}", place=place, hint=_permission_hint(reason))
        if failure.status == 404:
            return NotKnown(f"Alpaca does not know it: {reason}", place=place, hint="check symbol and day")
        if failure.may_pass:
            times = f"{tries} tries" if tries > 1 else "one try"
            hint = "see https://status.alpaca.markets, check the network, and start again"
            if failure.status == 429:
                hint = "too many requests for the plan: stop other programs that use these keys, or wait a minute"
            return UpstreamUnavailable(f"Alpaca gave no answer after {times}: {reason}", place=place, hint=hint)
        if failure.status == 0:
            return UpstreamUnavailable(
                f"Alpaca cannot be reached: {reason}",
                place=place,
                hint="check `alpaca.trading_url` and `alpaca.data_url`: `scalpcli config show`",
            )
        return DataError(f"Alpaca refuses the request: {reason}", place=place, hint="check symbol, day and feed")

    def _clean(self, text: str) -> str:
        """A service's words on one line, short, and without a key."""
        for value in self._keys:
            text = text.replace(value, "***")
        return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_TEXT_MAX]


def _permission_hint(reason: str) -> str:
    low = reason.lower()
    if "recent sip" in low:
        return (
            "the plan gives SIP data only when it is 15 minutes old: take `--feed iex`, wait, or subscribe to the data"
        )
    if "opra" in low:
        return "OPRA needs the data plan and the signed OPRA agreement; `--option-feed indicative` is not the NBBO"
    if "subscription" in low:
        return "the plan does not include this data: take `--feed iex` and `--option-feed indicative`, or subscribe"
    if "option" in low:
        return "ask Alpaca to approve the account for options, level 2 or above"
    return "these keys lack the permission: see the account's dashboard"


def check_address(name: str, url: str) -> None:
    """Refuse an address that keys must not be sent to.

    Args:
        name: The setting, without its section.
        url: What it says.

    Raises:
        ConfigError: The address is neither https nor on this machine.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if not is_loopback(url, ("http", "https")):
        raise ConfigError(
            f"`alpaca.{name}` is `{url}`: keys would not travel encrypted",
            hint="write an address that begins with https://; http:// is for this machine only",
        )


def check_keys(*keys: str) -> None:
    """Refuse keys that cannot be ones.

    Raises:
        CredentialsError: One is empty or holds a character that no key has.
    """
    if not all(text.isascii() and text.isprintable() and " " not in text and text for text in keys):
        raise CredentialsError(
            "a key of Alpaca is empty or holds a character that no key has",
            hint="copy both keys again, without blanks, quotes or line ends",
        )


def _in_path(symbol: str) -> str:
    return urllib.parse.quote(symbol, safe="")


def _span(start_ns: int, end_ns: int) -> dict[str, str]:
    """The stretch of time from `start_ns` to before `end_ns`; Alpaca includes both ends."""
    return {"start": ns_to_iso(start_ns), "end": ns_to_iso(end_ns - 1)}
