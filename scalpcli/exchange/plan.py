"""Data plans: what a subscription may ask for.

Source: Alpaca's market data plans as of autumn 2026. The trading limit is widely cited and not in its documents.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scalpcli.units import NS_PER_MIN


@dataclass(frozen=True, slots=True)
class Plan:
    """One subscription.

    Args:
        name: `basic` or `plus`.
        data_requests_per_min: Requests of the data API a minute.
        trading_requests_per_min: Requests of the trading API a minute.
        has_sip: Whether recent data of all exchanges is included; without, the last 15 minutes are not.
        has_opra: Whether the true option quotes are included.
        stock_symbols_max: Stock symbols of one stream, 0 = any number.
        option_quotes_max: Contracts whose quotes one stream carries.
    """

    name: str
    data_requests_per_min: int
    trading_requests_per_min: int
    has_sip: bool
    has_opra: bool
    stock_symbols_max: int
    option_quotes_max: int


BASIC: Final = Plan("basic", 200, 200, False, False, 30, 200)
PLUS: Final = Plan("plus", 10_000, 200, True, True, 0, 1_000)
PLANS: Final = {plan.name: plan for plan in (BASIC, PLUS)}
RECENT_NS: Final = 15 * NS_PER_MIN
"""How far back data counts as recent."""
