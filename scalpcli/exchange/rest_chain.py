"""The data API's options as they stand: chain and snapshots, latest quotes and trades.

Decides what a snapshot holds: the last quote and trade served, and greeks where the tape has some; nothing is
computed, so a contract without them has none, as at Alpaca.
"""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.market import NONE, ServedMarket, quote_kind
from scalpcli.exchange.plan import Plan
from scalpcli.exchange.rest_answer import Refusal, listed, time_ns, token_of, token_parts, whole
from scalpcli.exchange.rest_contracts import is_in_expiries, is_in_strikes
from scalpcli.exchange.rest_rows import bars_of, row_body, trade_kind
from scalpcli.exchange.routes import Route
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GREEKS
from scalpcli.model.session import at_ns
from scalpcli.units import NS_PER_DAY, NS_PER_MIN

SYMBOLS_MAX: Final = 100
_PAGE_DEFAULT: Final = 100
_PAGE_MAX: Final = 1_000
_GREEK_NAMES: Final = ("delta", "gamma", "rho", "theta", "vega")


class ChainApi:
    """Option snapshots and latest values.

    Args:
        market: What is served.
        plan: Whether the true quotes are included.
    """

    def __init__(self, market: ServedMarket, plan: Plan) -> None:
        self._market = market
        self._plan = plan

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v1beta1/options/snapshots", self.snapshots),
            ("GET", "/v1beta1/options/snapshots/{underlying}", self.chain),
            ("GET", "/v1beta1/options/quotes/latest", self.latest_quotes),
            ("GET", "/v1beta1/options/trades/latest", self.latest_trades),
        ]

    async def chain(self, request: Request) -> Response:
        """Snapshots of an underlying's contracts, filtered, sorted by symbol, in pages."""
        self._check_feed(request)
        contracts = [
            contract
            for contract in self._market.instruments[1:]
            if request.path_params["underlying"] == self._market.symbol
            and is_in_expiries(contract, request)
            and is_in_strikes(contract, request)
        ]
        return self._page(contracts, request)

    async def snapshots(self, request: Request) -> Response:
        """Snapshots of up to 100 contracts by symbol."""
        self._check_feed(request)
        return self._page(self._named(request), request)

    async def latest_quotes(self, request: Request) -> Response:
        """The quote that stands, by symbol; a contract never quoted is left out."""
        self._check_feed(request)
        return JSONResponse({"quotes": self._latest(request, quote_kind)})

    async def latest_trades(self, request: Request) -> Response:
        """The last print, by symbol; a contract without one is left out."""
        self._check_feed(request)
        return JSONResponse({"trades": self._latest(request, trade_kind)})

    def _latest(self, request: Request, kind_of: Any) -> dict[str, Any]:
        rows = {
            contract.symbol: self._market.last_row(kind_of(contract.instrument_id), contract.instrument_id)
            for contract in self._named(request)
        }
        return {symbol: row_body(self._market, row) for symbol, row in rows.items() if row != NONE}

    def _named(self, request: Request) -> list[Instrument]:
        symbols = listed(request, "symbols")
        if not symbols:
            raise Refusal(400, "symbols is required")
        if len(symbols) > SYMBOLS_MAX:
            raise Refusal(400, f"too many symbols, the maximum is {SYMBOLS_MAX}")
        known = (self._market.by_symbol.get(symbol) for symbol in symbols)
        return [instrument for instrument in known if instrument is not None and instrument.is_option]

    def _check_feed(self, request: Request) -> None:
        feed = request.query_params.get("feed", "indicative")
        if feed not in ("opra", "indicative"):
            raise Refusal(400, f"invalid feed: {feed}")
        if feed == "opra" and not self._plan.has_opra:
            raise Refusal(403, "OPRA agreement is not signed")

    def _page(self, contracts: list[Instrument], request: Request) -> Response:
        contracts = sorted(contracts, key=lambda contract: contract.symbol)
        if "page_token" in request.query_params:
            (after,) = token_parts(request.query_params["page_token"], 1)
            contracts = [contract for contract in contracts if contract.symbol > after]
        limit = whole(request, "limit", _PAGE_DEFAULT, _PAGE_MAX)
        since = request.query_params.get("updated_since")
        since_ns = time_ns(since, "updated_since") if since else 0
        greeks = self._greeks()
        page = {
            contract.symbol: self._snapshot(contract, greeks.get(contract.symbol))
            for contract in contracts[:limit]
            if self._updated_ns(contract) >= since_ns
        }
        more = len(contracts) > limit
        token = token_of(contracts[limit - 1].symbol) if more else None
        return JSONResponse({"snapshots": page, "next_page_token": token})

    def _rows(self, contract: Instrument) -> tuple[int, int]:
        number = contract.instrument_id
        return self._market.last_row(trade_kind(number), number), self._market.last_row(quote_kind(number), number)

    def _updated_ns(self, contract: Instrument) -> int:
        rows = [row for row in self._rows(contract) if row != NONE]
        return max((int(self._market.rows["ts_event_ns"][row]) for row in rows), default=0)

    def _snapshot(self, contract: Instrument, greeks: dict[str, float] | None) -> dict[str, Any]:
        trade, quote = self._rows(contract)
        body: dict[str, Any] = {}
        if trade != NONE:
            body["latestTrade"] = row_body(self._market, trade)
            body |= self._bars(contract, int(self._market.rows["ts_event_ns"][trade]))
        if quote != NONE:
            body["latestQuote"] = row_body(self._market, quote)
        if greeks:
            body["greeks"] = {name: greeks[name] for name in _GREEK_NAMES if name in greeks}
            if "iv" in greeks:
                body["impliedVolatility"] = greeks["iv"]
        return body

    def _bars(self, contract: Instrument, last_ns: int) -> dict[str, Any]:
        """Today's bar and that of the minute of the last print."""
        number, day_ns = contract.instrument_id, at_ns(self._market.session, "00:00")
        trades = self._market.history(trade_kind(number), number, day_ns, day_ns + NS_PER_DAY)
        minute_ns = last_ns // NS_PER_MIN * NS_PER_MIN
        minute = self._market.history(trade_kind(number), number, minute_ns, minute_ns + NS_PER_MIN - 1)
        bars = {
            "dailyBar": bars_of(self._market, trades, NS_PER_DAY, day_ns),
            "minuteBar": bars_of(self._market, minute, NS_PER_MIN, minute_ns),
        }
        return {name: found[0] for name, found in bars.items() if found}

    def _greeks(self) -> dict[str, dict[str, float]]:
        """Greeks by symbol, the last ones served."""
        known: dict[str, dict[str, float]] = {}
        for note in self._market.notes:
            if note.kind == GREEKS and note.ts_recv_ns <= self._market.served_ns:
                known |= note.body["contracts"]
        return known
