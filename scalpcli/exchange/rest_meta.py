"""The data API's tables of codes, and news.

Decides what the codes on the tape are called. News are not on a tape, so there are none: an empty page.
Source of the names: the glossaries of the CTA and UTP plans and of OPRA, as Alpaca's endpoints give them.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.rest_answer import Refusal
from scalpcli.exchange.routes import Route

_STOCK_TRADE_CONDITIONS: Final = {
    "@": "Regular Sale",
    "4": "Derivatively Priced",
    "5": "Market Center Reopening Trade",
    "6": "Market Center Closing Trade",
    "7": "Qualified Contingent Trade",
    "9": "Corrected Consolidated Close",
    "A": "Acquisition",
    "B": "Bunched Trade",
    "C": "Cash Sale",
    "F": "Intermarket Sweep",
    "H": "Price Variation Trade",
    "I": "Odd Lot Trade",
    "L": "Sold Last",
    "M": "Market Center Official Close",
    "N": "Next Day",
    "O": "Market Center Opening Trade",
    "P": "Prior Reference Price",
    "Q": "Market Center Official Open",
    "R": "Seller",
    "T": "Form T",
    "U": "Extended Trading Hours (Sold Out of Sequence)",
    "V": "Contingent Trade",
    "W": "Average Price Trade",
    "X": "Cross Trade",
    "Z": "Sold (Out of Sequence)",
}
_STOCK_QUOTE_CONDITIONS: Final = {
    "R": "Regular, Two Sided Open",
    "A": "Slow Quote Offer Side",
    "B": "Slow Quote Bid Side",
}
_OPTION_TRADE_CONDITIONS: Final = {
    "A": "Cancel",
    "B": "Late and Out of Sequence",
    "D": "Late, in Correct Sequence",
    "F": "Opening Trade, Late and Out of Sequence",
    "I": "Electronic Trade",
    "J": "Reopening Trade",
    "S": "Intermarket Sweep",
    "a": "Single Leg Auction Non ISO",
    "b": "Single Leg Auction ISO",
    "c": "Single Leg Cross Non ISO",
    "e": "Single Leg Floor Trade",
    "f": "Multi Leg Auto-Electronic Trade",
    "g": "Multi Leg Auction",
    "h": "Multi Leg Cross",
    "j": "Multi Leg Auto-Electronic Trade against Single Leg",
}
_OPTION_QUOTE_CONDITIONS: Final = {"A": "Automatic Quote", " ": "Regular"}
_STOCK_EXCHANGES: Final = {
    "A": "NYSE American (AMEX)",
    "B": "NASDAQ OMX BX",
    "C": "National Stock Exchange",
    "D": "FINRA ADF",
    "H": "MIAX",
    "I": "International Securities Exchange",
    "J": "Cboe EDGA",
    "K": "Cboe EDGX",
    "L": "Long Term Stock Exchange",
    "M": "Chicago Stock Exchange",
    "N": "New York Stock Exchange",
    "P": "NYSE Arca",
    "Q": "NASDAQ OMX",
    "U": "Members Exchange",
    "V": "IEX",
    "X": "NASDAQ OMX PSX",
    "Y": "Cboe BYX",
    "Z": "Cboe BZ",
}
_OPTION_EXCHANGES: Final = {
    "A": "NYSE American Options",
    "B": "BOX Options Exchange",
    "C": "Cboe Options Exchange",
    "D": "MIAX Emerald",
    "E": "Cboe EDGX Options",
    "H": "Nasdaq GEMX",
    "I": "Nasdaq ISE",
    "J": "Nasdaq MRX",
    "M": "MIAX Options",
    "N": "NYSE Arca Options",
    "O": "MIAX Pearl",
    "P": "NYSE Arca Options",
    "Q": "Nasdaq Options Market",
    "T": "Nasdaq BX Options",
    "U": "MEMX Options",
    "W": "Cboe C2",
    "X": "Nasdaq PHLX",
    "Z": "Cboe BZX Options",
}
_CONDITIONS: Final = {
    "stocks": {"trade": _STOCK_TRADE_CONDITIONS, "quote": _STOCK_QUOTE_CONDITIONS},
    "options": {"trade": _OPTION_TRADE_CONDITIONS, "quote": _OPTION_QUOTE_CONDITIONS},
}


class MetaApi:
    """Tables of codes, and news."""

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/stocks/meta/conditions/{tick}", self.stock_conditions),
            ("GET", "/v2/stocks/meta/exchanges", self.stock_exchanges),
            ("GET", "/v1beta1/options/meta/conditions/{tick}", self.option_conditions),
            ("GET", "/v1beta1/options/meta/exchanges", self.option_exchanges),
            ("GET", "/v1beta1/news", self.news),
        ]

    async def stock_conditions(self, request: Request) -> Response:
        """Names of the stock tapes' condition codes."""
        if request.query_params.get("tape", "C") not in ("A", "B", "C"):
            raise Refusal(400, "invalid tape")
        return _conditions("stocks", request)

    async def option_conditions(self, request: Request) -> Response:
        """Names of OPRA's condition codes."""
        return _conditions("options", request)

    async def stock_exchanges(self, _request: Request) -> Response:
        """Names of the stock exchanges."""
        return JSONResponse(_STOCK_EXCHANGES)

    async def option_exchanges(self, _request: Request) -> Response:
        """Names of the option exchanges."""
        return JSONResponse(_OPTION_EXCHANGES)

    async def news(self, _request: Request) -> Response:
        """None: a tape carries no news."""
        return JSONResponse({"news": [], "next_page_token": None})


def _conditions(market: str, request: Request) -> Response:
    tick = request.path_params["tick"]
    if tick not in _CONDITIONS[market]:
        raise Refusal(400, f"invalid ticktype: {tick}")
    return JSONResponse(_CONDITIONS[market][tick])
