"""The data API's history: trades, quotes and bars of the stock, trades and bars of contracts, in pages.

Decides what a query means and where a page ends. A page holds rows of one symbol after the other, each in order of
exchange time, and may be shorter than asked: whoever wants all of them follows `next_page_token` until it is null.
There is no history of option quotes, as at Alpaca. Bars of earlier days: only what the tape's head rows tell.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.plan import RECENT_NS, Plan
from scalpcli.exchange.rest_answer import Refusal, listed, time_ns, time_text, token_of, token_parts, usd, whole
from scalpcli.exchange.rest_rows import bars_of, correction_marks, row_body, trade_kind
from scalpcli.exchange.routes import Route
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.row import CORRECTED, STOCK_QUOTE, UNDERLYING_ID
from scalpcli.model.session import at_ns, session_of
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

Item = tuple[int, int, Callable[[], dict[str, Any]]]
"""Time, row (of bars 0) and body of one thing on a page."""


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
        items_of: Callable[[Instrument, _Query], list[Item]],
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
            items = list(islice(_after_token(symbol, items_of(instrument, query), query), room))
            if items:
                page[symbol] = [body() for _, _, body in items]
                room -= len(items)
            if not room:
                # The next page may turn out empty, as at Alpaca.
                token = token_of(symbol, *items[-1][:2])
                break
        if single:
            return JSONResponse({"symbol": single, name: page.get(single), "next_page_token": token})
        return JSONResponse({name: page, "next_page_token": token})

    def _query(self, request: Request, feeds: tuple[str, ...]) -> _Query:
        query = request.query_params
        now_ns = self._market.market_ns()
        feed = query.get("feed", feeds[0])
        if feed not in feeds:
            raise Refusal(400, f"invalid feed: {feed}")
        start = query.get("start")
        start_ns = time_ns(start, "start") if start else at_ns(self._market.session, "00:00")
        end = query.get("end")
        end_ns = time_ns(end, "end", is_end=True) if end else _FOREVER_NS
        if feed == "sip" and not self._plan.has_sip:
            if not end:
                end_ns = now_ns - RECENT_NS
            elif end_ns > now_ns - RECENT_NS:
                raise Refusal(403, "subscription does not permit querying recent SIP data")
        if end and start_ns > end_ns:
            raise Refusal(400, "end should not be before start")
        sort = query.get("sort", "asc")
        if sort not in ("asc", "desc"):
            raise Refusal(400, f"invalid sort: {sort}")
        limit = whole(request, "limit", _LIMIT_DEFAULT, _LIMIT_MAX)
        return _Query(start_ns, end_ns, limit, sort == "desc", _token(query.get("page_token")))

    # --- what is on them

    def _trades(self, instrument: Instrument, query: _Query) -> list[Item]:
        number = instrument.instrument_id
        rows = self._market.history(trade_kind(number), number, query.start_ns, query.end_ns)
        if number != UNDERLYING_ID or not len(self._market.corrections()):
            return self._items(rows)
        return self._with_corrections(rows)

    def _with_corrections(self, rows: Any) -> list[Item]:
        """Prints with what was said of them later; the corrected ones follow the incorrect ones."""
        marks = correction_marks(self._market)
        fixed = {
            int(self._market.rows["trade_id"][row]): int(row)
            for row in self._market.corrections()
            if self._market.rows["flags"][row] & CORRECTED
        }
        items: list[Item] = []
        for time, row, body in self._items(rows):
            trade_id = int(self._market.rows["trade_id"][row])
            mark = marks.get(trade_id) if trade_id else None
            items.append((time, row, _marked(body, mark) if mark else body))
            if mark and trade_id in fixed:
                corrected = self._body_of(fixed[trade_id])
                items.append((time, row, _marked(corrected, "corrected")))
        return items

    def _quotes(self, instrument: Instrument, query: _Query) -> list[Item]:
        return self._items(self._market.history(STOCK_QUOTE, instrument.instrument_id, query.start_ns, query.end_ns))

    def _items(self, rows: Any) -> list[Item]:
        times = self._market.rows["ts_event_ns"]
        return [(int(times[row]), int(row), self._body_of(int(row))) for row in rows]

    def _body_of(self, row: int) -> Callable[[], dict[str, Any]]:
        return lambda: row_body(self._market, row)

    def _bars_in(self, request: Request) -> Callable[[Instrument, _Query], list[Item]]:
        match = _FRAME.match(request.query_params.get("timeframe", ""))
        if match is None or not int(match[1]):
            raise Refusal(400, "invalid timeframe: the local exchange makes bars of minutes, hours and one day")
        length_ns = int(match[1]) * _FRAME_NS[match[2]]
        if length_ns > NS_PER_DAY:
            raise Refusal(400, "invalid timeframe: at most one day")
        return lambda instrument, query: self._bars(instrument, query, length_ns)

    def _bars(self, instrument: Instrument, query: _Query, length_ns: int) -> list[Item]:
        number = instrument.instrument_id
        midnight_ns = at_ns(self._market.session, "00:00")
        trades = self._market.history(trade_kind(number), number, query.start_ns, query.end_ns)
        if length_ns == NS_PER_DAY:
            trades = self._market.history(trade_kind(number), number, midnight_ns, query.end_ns)
        bars = bars_of(self._market, trades, length_ns, midnight_ns)
        if length_ns == NS_PER_DAY and number == UNDERLYING_ID:
            bars = self._previous_days() + bars
        timed = [(time_ns(bar["t"], "t"), bar) for bar in bars]
        return [(begin_ns, 0, _constant(bar)) for begin_ns, bar in timed if query.start_ns <= begin_ns <= query.end_ns]

    def _previous_days(self) -> list[dict[str, Any]]:
        """The bar of the session before; its open is not on the tape, so the close stands in."""
        volumes: dict[str, int] = {}
        bars = []
        for note in self._market.notes:
            if note.kind == VOLUME_PROFILE:
                volumes |= dict(zip(note.body["sessions"], map(sum, note.body["volumes"]), strict=True))
        for note in self._market.notes:
            if note.kind != PREVIOUS_LEVELS:
                continue
            day = str(note.body["session"])
            midnight_ns = at_ns(session_of(dt.date.fromisoformat(day)), "00:00")
            close = usd(note.body["close_e4"])
            bar = {"o": close, "h": usd(note.body["high_e4"]), "l": usd(note.body["low_e4"]), "c": close}
            bars.append({"t": time_text(midnight_ns)} | bar | {"v": volumes.get(day, 0), "n": 0, "vw": close})
        return bars


def _after_token(symbol: str, items: list[Item], query: _Query) -> Iterable[Item]:
    """The items that follow the token, in the order asked for."""
    ordered = list(reversed(items)) if query.is_descending else items
    if query.token is None or query.token[0] != symbol:
        return ordered
    last = query.token[1:]
    if query.is_descending:
        return (item for item in ordered if item[:2] < last)
    return (item for item in ordered if item[:2] > last)


def _token(text: str | None) -> tuple[str, int, int] | None:
    if text is None:
        return None
    symbol, time, row = token_parts(text, 3)
    if not (time.isdecimal() and row.isdecimal()):
        raise Refusal(400, "invalid page_token")
    return symbol, int(time), int(row)


def _marked(body: Callable[[], dict[str, Any]], mark: str) -> Callable[[], dict[str, Any]]:
    return lambda: body() | {"u": mark}


def _constant(bar: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    return lambda: bar
