"""The trading API's account, clock, calendar, assets and activities.

Decides nothing but their spelling; numbers are text, as in all of the trading API.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import asset_class, asset_id
from scalpcli.exchange.rest_answer import (
    NOT_FOUND_CODE,
    UNPROCESSABLE_CODE,
    Refusal,
    day_of,
    listed,
    money_text,
    new_york_text,
    time_ns,
    time_text,
    whole,
)
from scalpcli.exchange.routes import Route
from scalpcli.model.instrument import Instrument
from scalpcli.model.session import (
    FIRST_DATE,
    LAST_DATE,
    NEW_YORK,
    is_session,
    next_session,
    ns_to_new_york_date,
    session_of,
)
from scalpcli.units import E4_PER_USD, NS_PER_S

_PAGE_MAX: Final = 100


class TradingApi:
    """Account, clock, calendar, assets, activities.

    Args:
        market: Whose clock and instruments are told.
        account: Who trades.
    """

    def __init__(self, market: ServedMarket, account: SimulatedAccount) -> None:
        self._market = market
        self._account = account

    def routes(self) -> list[Route]:
        """Method, path and handler of each endpoint."""
        return [
            ("GET", "/v2/account", self.account),
            ("GET", "/v2/account/configurations", self.configurations),
            ("GET", "/v2/account/activities", self.activities),
            ("GET", "/v2/account/activities/{kind}", self.activities),
            ("GET", "/v2/account/portfolio/history", self.portfolio_history),
            ("GET", "/v2/clock", self.clock),
            ("GET", "/v2/calendar", self.calendar),
            ("GET", "/v2/assets", self.assets),
            ("GET", "/v2/assets/{symbol}", self.asset),
        ]

    async def account(self, _request: Request) -> Response:
        """Cash, equity and permissions."""
        account = self._account
        account.run_due()
        held_e4 = sum(account.value_e4(position) for position in account.positions.values())
        level = account.rules.options_level
        body = {
            "id": account.account_id,
            "account_number": "REHEARSAL",
            "status": "ACTIVE",
            "crypto_status": "INACTIVE",
            "currency": "USD",
            "cash": money_text(account.cash_e4),
            "portfolio_value": money_text(account.equity_e4),
            "equity": money_text(account.equity_e4),
            "last_equity": money_text(account.starting_e4),
            "buying_power": money_text(account.buying_power_e4),
            "options_buying_power": money_text(account.buying_power_e4),
            "regt_buying_power": money_text(account.buying_power_e4),
            "non_marginable_buying_power": money_text(account.buying_power_e4),
            "long_market_value": money_text(held_e4),
            "short_market_value": "0",
            "position_market_value": money_text(held_e4),
            "initial_margin": money_text(held_e4),
            "maintenance_margin": money_text(held_e4),
            "last_maintenance_margin": "0",
            "accrued_fees": "0",
            "multiplier": "1",
            "sma": "0",
            "options_approved_level": level,
            "options_trading_level": level,
            "shorting_enabled": False,
            "trading_blocked": False,
            "transfers_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
            "created_at": time_text(self._market.start_ns),
        }
        return JSONResponse(body)

    async def configurations(self, _request: Request) -> Response:
        """What the user may set; nothing can be changed here."""
        return JSONResponse(
            {
                "fractional_trading": False,
                "max_margin_multiplier": "1",
                "max_options_trading_level": self._account.rules.options_level,
                "no_shorting": True,
                "ptp_no_exception_entry": False,
                "suspend_trade": False,
                "trade_confirm_email": "none",
            }
        )

    async def clock(self, _request: Request) -> Response:
        """The exchange's time and the next opening and closing."""
        now_ns = self._market.now_ns()
        today = ns_to_new_york_date(now_ns)
        session = session_of(today) if is_session(today) else next_session(today)
        following = next_session(session.date)
        is_open = session.open_ns <= now_ns < session.close_ns
        body = {
            "timestamp": new_york_text(now_ns),
            "is_open": is_open,
            "next_open": new_york_text(session.open_ns if now_ns < session.open_ns else following.open_ns),
            "next_close": new_york_text(session.close_ns if now_ns < session.close_ns else following.close_ns),
        }
        return JSONResponse(body)

    async def calendar(self, request: Request) -> Response:
        """Sessions from `start` to `end`, which default to the whole calendar."""
        day, end = FIRST_DATE, LAST_DATE
        if "start" in request.query_params:
            day = max(day, day_of(request.query_params["start"], "start"))
        if "end" in request.query_params:
            end = min(end, day_of(request.query_params["end"], "end"))
        days = []
        while day <= end:
            if is_session(day):
                days.append(_calendar_day(day))
            day += dt.timedelta(days=1)
        return JSONResponse(days)

    async def assets(self, request: Request) -> Response:
        """The underlying; Alpaca lists no contracts here either."""
        underlying = self._market.instruments[0]
        wanted = request.query_params.get("asset_class", asset_class(underlying))
        return JSONResponse([_asset_body(underlying)] if wanted == asset_class(underlying) else [])

    async def asset(self, request: Request) -> Response:
        """One asset by symbol or id."""
        wanted = request.path_params["symbol"]
        for instrument in self._market.instruments:
            if wanted in (instrument.symbol, asset_id(instrument.symbol)):
                return JSONResponse(_asset_body(instrument))
        raise Refusal(404, f"asset not found for {wanted}", NOT_FOUND_CODE)

    async def activities(self, request: Request) -> Response:
        """Fills, exercises and expiries, newest first, in pages."""
        self._account.run_due()
        query = request.query_params
        kinds = listed(request, "activity_types")
        if "kind" in request.path_params:
            kinds = [request.path_params["kind"]]
        entries = [entry for entry in self._account.activities.entries if _is_wanted(entry, kinds, request)]
        if query.get("direction", "desc") != "asc":
            entries.reverse()
        token = query.get("page_token")
        if token is not None:
            ids = [entry["id"] for entry in entries]
            if token not in ids:
                raise Refusal(422, "invalid page_token", UNPROCESSABLE_CODE)
            entries = entries[ids.index(token) + 1 :]
        return JSONResponse(entries[: whole(request, "page_size", _PAGE_MAX, _PAGE_MAX)])

    async def portfolio_history(self, _request: Request) -> Response:
        """Equity at the session's start and now; the exchange keeps no curve between."""
        self._account.run_due()
        base, equity = self._account.starting_e4 / E4_PER_USD, self._account.equity_e4 / E4_PER_USD
        body = {
            "timestamp": [self._market.start_ns // NS_PER_S, self._market.market_ns() // NS_PER_S],
            "equity": [base, equity],
            "profit_loss": [0.0, equity - base],
            "profit_loss_pct": [0.0, (equity - base) / base],
            "base_value": base,
            "timeframe": "1D",
        }
        return JSONResponse(body)


def _calendar_day(day: dt.date) -> dict[str, str]:
    session = session_of(day)
    settlement = next_session(day).date if day < LAST_DATE else day
    open_, close = (
        dt.datetime.fromtimestamp(ns // NS_PER_S, NEW_YORK).strftime("%H:%M")
        for ns in (session.open_ns, session.close_ns)
    )
    return {
        "date": day.isoformat(),
        "open": open_,
        "close": close,
        "session_open": "0400",
        "session_close": "1700" if session.is_early_close else "2000",
        "settlement_date": settlement.isoformat(),
    }


def _asset_body(instrument: Instrument) -> dict[str, Any]:
    return {
        "id": asset_id(instrument.symbol),
        "class": asset_class(instrument),
        "exchange": "" if instrument.is_option else "NASDAQ",
        "symbol": instrument.symbol,
        "name": instrument.symbol,
        "status": "active",
        "tradable": True,
        "marginable": False,
        "shortable": False,
        "easy_to_borrow": False,
        "fractionable": False,
        "attributes": [] if instrument.is_option else ["has_options"],
    }


def _is_wanted(entry: dict[str, Any], kinds: list[str], request: Request) -> bool:
    if kinds and entry["activity_type"] not in kinds:
        return False
    stamp = str(entry.get("transaction_time") or entry["date"])
    moment_ns = time_ns(stamp, "time")
    query = request.query_params
    if "date" in query and not stamp.startswith(query["date"][:10]):
        return False
    if "after" in query and moment_ns <= time_ns(query["after"], "after"):
        return False
    return not ("until" in query and moment_ns >= time_ns(query["until"], "until", is_end=True))
