"""The data API's stock as it stands: latest trade, quote and bar, snapshot; of one symbol or of several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.market import NONE, ServedMarket
from scalpcli.exchange.plan import Plan
from scalpcli.exchange.rest_answer import Refusal, listed
from scalpcli.exchange.rest_rows import bars_of, previous_day_bars, row_body
from scalpcli.exchange.routes import Route
from scalpcli.model.row import STOCK_QUOTE, STOCK_TRADE, UNDERLYING_ID
from scalpcli.model.session import at_ns
from scalpcli.units import NS_PER_DAY, NS_PER_MIN

Found = dict[str, Any]


class StocksApi:
    """Latest values of the stock.

    Args:
        market: What is served.
        plan: Whether recent data of all exchanges is included.
    """

    def __init__(self, market: ServedMarket, plan: Plan) -> None:
        self._market = market
        self._plan = plan

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/stocks/trades/latest", self.latest_trades),
            ("GET", "/v2/stocks/quotes/latest", self.latest_quotes),
            ("GET", "/v2/stocks/bars/latest", self.latest_bars),
            ("GET", "/v2/stocks/snapshots", self.snapshots),
            ("GET", "/v2/stocks/{symbol}/trades/latest", self.latest_trades),
            ("GET", "/v2/stocks/{symbol}/quotes/latest", self.latest_quotes),
            ("GET", "/v2/stocks/{symbol}/bars/latest", self.latest_bars),
            ("GET", "/v2/stocks/{symbol}/snapshot", self.snapshot),
        ]

    async def latest_trades(self, request: Request) -> Response:
        """The last print."""
        return self._answer(request, "trade", lambda: self._last(STOCK_TRADE))

    async def latest_quotes(self, request: Request) -> Response:
        """The quote that stands."""
        return self._answer(request, "quote", lambda: self._last(STOCK_QUOTE))

    async def latest_bars(self, request: Request) -> Response:
        """The bar of the minute of the last print."""
        return self._answer(request, "bar", self._minute_bar)

    async def snapshots(self, request: Request) -> Response:
        """All of it, by symbol."""
        return JSONResponse(dict.fromkeys(self._wanted(request), self._snapshot()))

    async def snapshot(self, request: Request) -> Response:
        """All of it, of one symbol."""
        if not self._wanted(request):
            raise Refusal(404, f"no snapshot found for {request.path_params['symbol']}")
        return JSONResponse({"symbol": self._market.symbol} | self._snapshot())

    def _answer(self, request: Request, name: str, find: Callable[[], Found | None]) -> Response:
        wanted = self._wanted(request)
        found = find()
        if "symbol" in request.path_params:
            if not wanted or found is None:
                raise Refusal(404, f"no {name} found for {request.path_params['symbol']}")
            return JSONResponse({"symbol": self._market.symbol, name: found})
        return JSONResponse({f"{name}s": {} if found is None else dict.fromkeys(wanted, found)})

    def _wanted(self, request: Request) -> list[str]:
        if request.query_params.get("feed", "sip" if self._plan.has_sip else "iex") == "sip" and not self._plan.has_sip:
            raise Refusal(403, "subscription does not permit querying recent SIP data")
        single = request.path_params.get("symbol")
        symbols = [single] if single else listed(request, "symbols")
        if not symbols:
            raise Refusal(400, "symbols is required")
        return [symbol for symbol in symbols if symbol == self._market.symbol]

    def _last(self, kind: int) -> Found | None:
        row = self._market.last_row(kind, UNDERLYING_ID)
        return None if row == NONE else row_body(self._market, row)

    def _minute_bar(self) -> Found | None:
        row = self._market.last_row(STOCK_TRADE, UNDERLYING_ID)
        if row == NONE:
            return None
        begin_ns = int(self._market.rows["ts_event_ns"][row]) // NS_PER_MIN * NS_PER_MIN
        return self._bar(begin_ns, NS_PER_MIN)

    def _bar(self, begin_ns: int, length_ns: int) -> Found | None:
        trades = self._market.history(STOCK_TRADE, UNDERLYING_ID, begin_ns, begin_ns + length_ns - 1)
        bars = bars_of(self._market, trades, length_ns, begin_ns)
        return bars[0] if bars else None

    def _snapshot(self) -> Found:
        parts = {
            "latestTrade": self._last(STOCK_TRADE),
            "latestQuote": self._last(STOCK_QUOTE),
            "minuteBar": self._minute_bar(),
            "dailyBar": self._bar(at_ns(self._market.session, "00:00"), NS_PER_DAY),
        }
        previous = previous_day_bars(self._market)
        if previous:
            parts["prevDailyBar"] = previous[-1]
        return {name: part for name, part in parts.items() if part is not None}
