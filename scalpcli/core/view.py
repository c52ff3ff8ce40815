"""Reads the market's state the way a decision asks for it: quotes, ages, blindness, what triggers saw.

Decides nothing; `gates` and `option_selection` hold limits against what stands here.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from scalpcli.core.book import gap_end_ns, is_valid_quote
from scalpcli.core.layout import (
    CALL,
    CHANNELS,
    NO_TIME_NS,
    OPTION_QUOTES,
    PRICE_ONLY_CHANNEL,
    SIDES,
    STOCK_QUOTES,
    STOCK_TRADES,
)
from scalpcli.core.market_state import MarketState
from scalpcli.core.volume import side_ratio
from scalpcli.model.row import UNDERLYING_ID


class Quote(NamedTuple):
    """Best bid and offer of one instrument as it stands; prices in 1/10000 USD, 0 = that side is empty."""

    bid_e4: int
    ask_e4: int
    bid_size: int
    ask_size: int
    ts_ns: int

    @property
    def is_valid(self) -> bool:
        """Two-sided and uncrossed."""
        return is_valid_quote(self.bid_e4, self.ask_e4)

    @property
    def spread_pct(self) -> float:
        """Bid-ask spread in percent of the mid price; nan when a side is missing."""
        if self.bid_e4 <= 0 or self.ask_e4 <= 0:
            return math.nan
        return (self.ask_e4 - self.bid_e4) * 200.0 / (self.ask_e4 + self.bid_e4)


class MarketView:
    """The state of `market`, in the words of the desk."""

    def __init__(self, market: MarketState) -> None:
        self._market = market

    @property
    def _tracker(self) -> Any:
        return self._market.tracker

    @property
    def lane(self) -> Any:
        """Thresholds of the lane that decides."""
        return self._market.state.lanes[0]

    def lane_side(self, right: int) -> Any:
        """Trigger machines of one side."""
        return self._market.state.lane_sides[right]

    @property
    def price_e4(self) -> float:
        """`P`: what velocity is measured on; nan when there is none."""
        return float(self._tracker["price"])

    @property
    def vwap_e4(self) -> float:
        """VWAP; nan when there is none."""
        return float(self._tracker["vwap"])

    @property
    def sigma_e4(self) -> float:
        """Standard deviation of VWAP; nan when there is none."""
        return float(self._tracker["sigma"])

    @property
    def momentum_pct(self) -> float:
        """Velocity of the momentum window at the last instant, percent; nan = unknown."""
        return float(self._market.state.windows[self._tracker["momentum_window"]].velocity_pct)

    @property
    def confirm_pct(self) -> float:
        """Velocity of the short window at the last instant."""
        return float(self._market.state.windows[self._tracker["confirm_window"]].velocity_pct)

    @property
    def reversal_pct(self) -> float:
        """Velocity of the reversal window at the last instant."""
        return float(self._market.state.windows[self._tracker["reversal_window"]].velocity_pct)

    def volume_ratio(self, right: int) -> float:
        """The ratio that confirms this side at the last instant; nan = unknown."""
        return side_ratio(self._market.state.tracker[0], self._market.state.option_sides, right)

    def last_sweep_ns(self, right: int) -> int:
        """When the last buying sweep of this right was seen."""
        return int(self._market.state.option_sides[right].sweep_ns)

    def sweep_counts(self) -> dict[str, int]:
        """Buying sweeps so far, by side."""
        sides = self._market.state.option_sides
        return {name: int(sides[right].sweeps) for right, name in enumerate(("call", "put"))}

    def quote(self, instrument_id: int) -> Quote:
        """The quote of one instrument."""
        # A quote's fields come first in a book record, in this order.
        return Quote(*self._market.book[instrument_id].item()[: len(Quote._fields)])

    @property
    def underlying(self) -> Quote:
        """The quote of the underlying."""
        return self.quote(UNDERLYING_ID)

    @property
    def has_stock_quotes(self) -> bool:
        """Whether the feed carries quotes of the underlying; a chain with a bare spot price does not."""
        return self.channel_last_ns(STOCK_QUOTES) > NO_TIME_NS

    @property
    def underlying_last_ns(self) -> int:
        """Last row of the underlying on any channel."""
        return max(self.channel_last_ns(channel) for channel in (STOCK_TRADES, STOCK_QUOTES, PRICE_ONLY_CHANNEL))

    @property
    def underlying_price_ns(self) -> int:
        """When the price that stands was received."""
        return int(self._tracker["price_ns"])

    @property
    def spot_e4(self) -> float:
        """What options are priced on: the mid of a valid quote of the underlying, else its last price."""
        quote = self.underlying
        if quote.is_valid:
            return (quote.bid_e4 + quote.ask_e4) / 2.0
        last = int(self._market.book[UNDERLYING_ID]["last_e4"])
        return float(last) if last > 0 else math.nan

    def channel_last_ns(self, channel: int) -> int:
        """Last row of one channel."""
        return int(self._market.channels[channel]["last_ns"])

    def is_halted(self, instrument_id: int) -> bool:
        """Whether trading of it stands still."""
        return bool(self._market.book[instrument_id]["halted"])

    def halt_end_ns(self, instrument_id: int) -> int:
        """When its last halt ended."""
        return int(self._market.book[instrument_id]["halt_end_ns"])

    def blind_until_ns(self) -> int:
        """End of the latest gap of any channel an entry relies on; `NEVER_NS` while one lasts."""
        channels = self._market.state.channels
        return max(gap_end_ns(channels[channel]) for channel in range(CHANNELS))

    def sees_options_since_ns(self) -> int:
        """End of the latest gap of option quotes; `NEVER_NS` while it lasts."""
        return gap_end_ns(self._market.state.channels[OPTION_QUOTES])

    def bid_extremes_e4(self, instrument_id: int) -> tuple[int, int]:
        """Lowest and highest valid bid since its watch began, or since they were restarted."""
        stands = self._market.state.book[instrument_id]
        return int(stands.bid_low_e4), int(stands.bid_high_e4)

    def restart_bid_extremes(self, instrument_id: int) -> None:
        """Let the extremes of the bid count from the quote that stands."""
        self._market.restart_bid_extremes(instrument_id)

    def book_columns(self, ids: Any) -> Any:
        """Quote records of many instruments at once."""
        return self._market.state.book[ids]


def sign_of(right: int) -> float:
    """+1 for calls, -1 for puts (definitions, section 6)."""
    return 1.0 if right == CALL else -1.0


def side_name(right: int) -> str:
    """How the journal calls a side."""
    return ("call", "put")[right]


RIGHTS = tuple(range(SIDES))
