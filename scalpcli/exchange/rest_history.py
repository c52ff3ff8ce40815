"""The data API's history: trades, quotes and bars of the stock, trades and bars of contracts, in pages.

Decides what a query means and where a page ends. A page holds rows of one symbol after the other, each in order of
exchange time, and may be shorter than asked: whoever wants all of them follows `next_page_token` until it is null.
There is no history of option quotes, as at Alpaca. Bars of earlier days: only what the tape's head rows tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.plan import RECENT_NS, Plan
from scalpcli.exchange.rest_answer import Refusal, listed, time_ns, token_of, token_parts, whole
from scalpcli.exchange.rest_rows import bars_of, correction_marks, previous_day_bars, row_body, trade_kind
from scalpcli.exchange.routes import Route
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import CORRECTED, STOCK_QUOTE, UNDERLYING_ID
from scalpcli.model.session import at_ns
from scalpcli.units import NS_PER_DAY, NS_PER_MIN

PAGE_ROWS_MAX: Final = 5_000
"""Rows of a page whatever is asked: more would hold up the streams, which share the loop, for above 50 ms."""
_LIMIT_DEFAULT: Final = 1_000
_LIMIT_MAX: Final = 10_000
_STOCK_FEEDS: Final = ("sip", "iex", "delayed_sip", "boats", "overnight", "otc")
_OPTION_FEEDS: Final = ("opra", "indicative")
_FOREVER_NS: Final = 2**62
_FRAME: Final = re.compile(r"^(\d{1,2})(Min|T|Hour|H|Day|D)$", re.ASCII)
_FRAME_NS: Final = {
    "Min": NS_PER_MIN,
    "T": NS_PER_MIN,
    "Hour": 60 * NS_PER_MIN,
    "H": 60 * NS_PER_MIN,
    "Day": NS_PER_DAY,
    "D": NS_PER_DAY,
}


@dataclass(frozen=True, slots=True)
class _Found:
    """What a query finds of one symbol, in order of exchange time, of one time by row.

    Attributes:
        times: UTC nanoseconds.
        rows: Row numbers; of bars their ordinals.
        bodies: What is written for each.
    """

    times: NDArray[Any]
    rows: NDArray[Any]
    bodies: Callable[[int], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Query:
    start_ns: int
    end_ns: int
    limit: int
    is_descending: bool
    token: tuple[str, int, int] | None


class HistoryApi:
    """History of what was served.

    Args:
        market: What is served.
        plan: How much of it may be seen.
    """

    def __init__(self, market: ServedMarket, plan: Plan) -> None:
        self._market = market
        self._plan = plan

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/stocks/trades", self.stock_trades),
            ("GET", "/v2/stocks/quotes", self.stock_quotes),
            ("GET", "/v2/stocks/bars", self.stock_bars),
            ("GET", "/v2/stocks/{symbol}/trades", self.stock_trades),
            ("GET", "/v2/stocks/{symbol}/quotes", self.stock_quotes),
            ("GET", "/v2/stocks/{symbol}/bars", self.stock_bars),
            ("GET", "/v1beta1/options/trades", self.option_trades),
            ("GET", "/v1beta1/options/bars", self.option_bars),
        ]

    async def stock_trades(self, request: Request) -> Response:
        """Prints of the stock; what was cancelled or corrected later says so in `u`."""
        return self._answer(request, "trades", self._trades, _STOCK_FEEDS)

    async def stock_quotes(self, request: Request) -> Response:
        """Quotes of the stock."""
        return self._answer(request, "quotes", self._quotes, _STOCK_FEEDS)

    async def stock_bars(self, request: Request) -> Response:
        """Bars of the stock; of earlier days the one before the session, where the tape knows it."""
        return self._answer(request, "bars", self._bars_in(request), _STOCK_FEEDS)

    async def option_trades(self, request: Request) -> Response:
        """Prints of contracts."""
        return self._answer(request, "trades", self._trades, _OPTION_FEEDS)

    async def option_bars(self, request: Request) -> Response:
        """Bars of contracts."""
        return self._answer(request, "bars", self._bars_in(request), _OPTION_FEEDS)

    # --- pages

    def _answer(
        self,
        request: Request,
        name: str,
        items_of: Callable[[Instrument, _Query], _Found],
        feeds: tuple[str, ...],
    ) -> Response:
        single = request.path_params.get("symbol")
        symbols = sorted([single] if single else listed(request, "symbols"))
        if not symbols:
            raise Refusal(400, "symbols is required")
        query = self._query(request, feeds)
        page: dict[str, list[dict[str, Any]]] = {}
        room = min(query.limit, PAGE_ROWS_MAX)
        token: str | None = None
        for symbol in symbols:
            instrument = self._market.by_symbol.get(symbol)
            is_before = query.token is not None and symbol < query.token[0]
            if is_before or instrument is None or instrument.is_option == (feeds is _STOCK_FEEDS):
                continue
            found = items_of(instrument, query)
            places = _places(symbol, found, query)[:room]
            if len(places):
                page[symbol] = [body for place in places for body in found.bodies(int(place))]
                room -= len(places)
            if not room:
                # The next page may turn out empty, as at Alpaca.
                token = token_of(symbol, int(found.times[places[-1]]), int(found.rows[places[-1]]))
                break
        if single:
            return JSONResponse({"symbol": single, name: page.get(single), "next_page_token": token})
        return JSONResponse({name: page, "next_page_token": token})

    def _query(self, request: Request, feeds: tuple[str, ...]) -> _Query:
        query = request.query_params
        now_ns = self._market.market_ns()
        feed_given = "feed" in query
        feed = query.get("feed", feeds[0])
        if feed not in feeds:
            raise Refusal(400, f"invalid feed: {feed}")
        start = query.get("start")
        start_ns = time_ns(start, "start") if start else at_ns(self._market.session, "00:00")
        end = query.get("end")
        end_ns = time_ns(end, "end", is_end=True) if end else _FOREVER_NS
        if feed == "sip" and not self._plan.has_sip:
            if end and end_ns > now_ns - RECENT_NS:
                raise Refusal(403, "subscription does not permit querying recent SIP data")
            end_ns = min(end_ns, now_ns - RECENT_NS)
        if feed == "opra" and not self._plan.has_opra and feed_given:
            raise Refusal(403, "OPRA agreement is not signed")
        if feeds is _OPTION_FEEDS and not self._plan.has_opra:
            # Without a subscription prints of contracts come 15 minutes late.
            end_ns = min(end_ns, now_ns - RECENT_NS)
        if end and start_ns > end_ns:
            raise Refusal(400, "end should not be before start")
        sort = query.get("sort", "asc")
        if sort not in ("asc", "desc"):
            raise Refusal(400, f"invalid sort: {sort}")
        limit = whole(request, "limit", _LIMIT_DEFAULT, _LIMIT_MAX)
        return _Query(start_ns, end_ns, limit, sort == "desc", _token(query.get("page_token")))

    # --- what is on them

    def _trades(self, instrument: Instrument, query: _Query) -> _Found:
        number = instrument.instrument_id
        found = self._rows(self._market.history(trade_kind(number), number, query.start_ns, query.end_ns))
        if number != UNDERLYING_ID or not len(self._market.corrections()):
            return found
        return replace(found, bodies=self._with_corrections(found.rows))

    def _with_corrections(self, rows: NDArray[Any]) -> Callable[[int], list[dict[str, Any]]]:
        """Prints with what was said of them later; an incorrect one is followed by what it should have been."""
        market = self._market
        marks = correction_marks(market)
        corrected = {
            int(market.rows["trade_id"][row]): int(row)
            for row in market.corrections()
            if market.rows["flags"][row] & CORRECTED
        }

        def bodies(place: int) -> list[dict[str, Any]]:
            body = row_body(market, int(rows[place]))
            mark = marks.get(body["i"]) if body["i"] else None
            if mark is None:
                return [body]
            later = corrected.get(body["i"])
            return [body | {"u": mark}] + ([row_body(market, later) | {"u": "corrected"}] if later is not None else [])

        return bodies

    def _quotes(self, instrument: Instrument, query: _Query) -> _Found:
        return self._rows(self._market.history(STOCK_QUOTE, instrument.instrument_id, query.start_ns, query.end_ns))

    def _rows(self, rows: NDArray[Any]) -> _Found:
        return _Found(
            self._market.rows["ts_event_ns"][rows], rows, lambda place: [row_body(self._market, int(rows[place]))]
        )

    def _bars_in(self, request: Request) -> Callable[[Instrument, _Query], _Found]:
        match = _FRAME.match(request.query_params.get("timeframe", ""))
        if match is None or not int(match[1]):
            raise Refusal(400, "invalid timeframe: the local exchange makes bars of minutes, hours and one day")
        length_ns = int(match[1]) * _FRAME_NS[match[2]]
        if length_ns > NS_PER_DAY:
            raise Refusal(400, "invalid timeframe: at most one day")
        return lambda instrument, query: self._bars(instrument, query, length_ns)

    def _bars(self, instrument: Instrument, query: _Query, length_ns: int) -> _Found:
        number = instrument.instrument_id
        midnight_ns = at_ns(self._market.session, "00:00")
        start_ns = midnight_ns if length_ns == NS_PER_DAY else query.start_ns
        trades = self._market.history(trade_kind(number), number, start_ns, query.end_ns)
        bars = bars_of(self._market, trades, length_ns, midnight_ns)
        if length_ns == NS_PER_DAY and number == UNDERLYING_ID:
            bars = previous_day_bars(self._market) + bars
        bars = [bar for bar in bars if query.start_ns <= time_ns(bar["t"], "t") <= query.end_ns]
        times = np.array([time_ns(bar["t"], "t") for bar in bars], np.int64)
        return _Found(times, np.arange(len(bars)), lambda place: [bars[place]])


def _places(symbol: str, found: _Found, query: _Query) -> NDArray[Any]:
    """Places of what follows the token, in the order asked for."""
    low, high = 0, len(found.times)
    if query.token is not None and query.token[0] == symbol:
        _, time, row = query.token
        first, last = np.searchsorted(found.times, time, side="left"), np.searchsorted(found.times, time, side="right")
        side: Literal["left", "right"] = "left" if query.is_descending else "right"
        cut = int(first) + int(np.searchsorted(found.rows[first:last], row, side=side))
        low, high = (low, cut) if query.is_descending else (cut, high)
    places = np.arange(low, high)
    return places[::-1] if query.is_descending else places


def _token(text: str | None) -> tuple[str, int, int] | None:
    if text is None:
        return None
    symbol, time, row = token_parts(text, 3)
    if not (time.isdecimal() and row.isdecimal()):
        raise Refusal(400, "invalid page_token")
    return symbol, int(time), int(row)
