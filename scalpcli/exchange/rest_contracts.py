"""The trading API's option contracts: the tape's instruments, filtered and in pages.

Decides which contracts a query means. `expiration_date_lte` defaults to the next weekend, as at Alpaca, which hides
later expiries from whoever does not ask.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import asset_id
from scalpcli.exchange.rest_answer import (
    NOT_FOUND_CODE,
    UNPROCESSABLE_CODE,
    Refusal,
    day_of,
    listed,
    money_text,
    token_of,
    token_parts,
    whole,
)
from scalpcli.exchange.routes import Route
from scalpcli.model.instrument import Instrument, TickRule, parse_occ
from scalpcli.model.session import previous_session
from scalpcli.units import E4_PER_USD

_PAGE_DEFAULT: Final = 100
_PAGE_MAX: Final = 10_000
_SUNDAY: Final = 6
_RIGHTS: Final = {"call": "C", "put": "P"}


class ContractsApi:
    """Option contracts.

    Args:
        market: Whose instruments are listed.
    """

    def __init__(self, market: ServedMarket) -> None:
        self._market = market

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/options/contracts", self.contracts),
            ("GET", "/v2/options/contracts/{symbol}", self.contract),
        ]

    async def contracts(self, request: Request) -> Response:
        """Contracts by underlying, status, expiry, type, root and strike, sorted by symbol."""
        found = [
            contract
            for contract in sorted(self._market.instruments[1:], key=lambda instrument: instrument.symbol)
            if self._is_wanted(contract, request)
        ]
        limit = whole(request, "limit", _PAGE_DEFAULT, _PAGE_MAX)
        if "page_token" in request.query_params:
            (after,) = token_parts(request.query_params["page_token"], 1)
            found = [contract for contract in found if contract.symbol > after]
        page = found[:limit]
        more = len(found) > limit
        body = {
            "option_contracts": [self._body(contract) for contract in page],
            "next_page_token": token_of(page[-1].symbol) if more else None,
        }
        return JSONResponse(body)

    async def contract(self, request: Request) -> Response:
        """One contract by symbol or id."""
        wanted = request.path_params["symbol"]
        for contract in self._market.instruments[1:]:
            if wanted in (contract.symbol, asset_id(contract.symbol)):
                return JSONResponse(self._body(contract))
        raise Refusal(404, f"option contract not found for {wanted}", NOT_FOUND_CODE)

    def _is_wanted(self, contract: Instrument, request: Request) -> bool:
        query = request.query_params
        underlyings = listed(request, "underlying_symbols")
        status = query.get("status", "active")
        if underlyings and self._market.symbol not in underlyings:
            return False
        return (
            status == self._status(contract)
            and query.get("style", "american") == "american"
            and query.get("ppind", str(_is_penny(contract)).lower()) == str(_is_penny(contract)).lower()
            and is_in_expiries(contract, request, default_last=_next_weekend(self._market.session.date))
            and is_in_strikes(contract, request)
        )

    def _status(self, contract: Instrument) -> str:
        is_past = contract.expiry is not None and contract.expiry < self._market.session.date
        return "inactive" if is_past else "active"

    def _body(self, contract: Instrument) -> dict[str, Any]:
        expiry = contract.expiry or self._market.session.date
        right = "Call" if contract.right == "C" else "Put"
        interest_date = contract.open_interest_date or previous_session(self._market.session.date).date
        has_interest = contract.open_interest is not None
        return {
            "id": asset_id(contract.symbol),
            "symbol": contract.symbol,
            "name": f"{self._market.symbol} {expiry:%b %d %Y} {money_text(contract.strike_e4)} {right}",
            "status": self._status(contract),
            "tradable": self._status(contract) == "active",
            "expiration_date": expiry.isoformat(),
            "root_symbol": root_of(contract),
            "underlying_symbol": self._market.symbol,
            "underlying_asset_id": asset_id(self._market.symbol),
            "type": right.lower(),
            "style": "american",
            "strike_price": money_text(contract.strike_e4),
            "multiplier": str(contract.multiplier),
            "size": str(contract.multiplier),
            "ppind": _is_penny(contract),
            "open_interest": str(contract.open_interest) if has_interest else None,
            "open_interest_date": interest_date.isoformat() if has_interest else None,
            # The tape does not know the day before's prints of a contract.
            "close_price": None,
            "close_price_date": None,
        }


def root_of(contract: Instrument) -> str:
    """Root of a contract's symbol, which differs from the underlying's after an adjustment."""
    return parse_occ(contract.symbol).root


def is_in_expiries(contract: Instrument, request: Request, default_last: dt.date | None = None) -> bool:
    """Whether a contract's expiry, type and root are those a query asks for.

    Args:
        contract: An option.
        request: Its `expiration_date`, `_gte`, `_lte`, `type` and `root_symbol`.
        default_last: Last expiry where the query names none.

    Raises:
        Refusal: 422, a day is none, or the type is unknown.
    """
    query = request.query_params
    expiry = contract.expiry or dt.date.min
    right = query.get("type")
    if right is not None and right not in _RIGHTS:
        raise Refusal(422, f"invalid type: {right}", UNPROCESSABLE_CODE)
    if right is not None and _RIGHTS[right] != contract.right:
        return False
    if query.get("root_symbol", root_of(contract)) != root_of(contract):
        return False
    if "expiration_date" in query:
        return expiry == day_of(query["expiration_date"], "expiration_date")
    if "expiration_date_gte" in query and expiry < day_of(query["expiration_date_gte"], "expiration_date_gte"):
        return False
    if "expiration_date_lte" in query:
        return expiry <= day_of(query["expiration_date_lte"], "expiration_date_lte")
    return default_last is None or expiry <= default_last


def is_in_strikes(contract: Instrument, request: Request) -> bool:
    """Whether a contract's strike is within a query's `strike_price_gte` and `strike_price_lte`.

    Raises:
        Refusal: 422, a strike is no number.
    """
    query = request.query_params
    try:
        low = float(query.get("strike_price_gte", "-inf"))
        high = float(query.get("strike_price_lte", "inf"))
    except ValueError:
        raise Refusal(422, "invalid strike_price", UNPROCESSABLE_CODE) from None
    return low <= contract.strike_e4 / E4_PER_USD <= high


def _is_penny(contract: Instrument) -> bool:
    return contract.tick_rule is not TickRule.NICKEL


def _next_weekend(day: dt.date) -> dt.date:
    return day + dt.timedelta(days=(_SUNDAY - day.weekday()) % 7)
