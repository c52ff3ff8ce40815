"""Price velocity by hand: prices in, velocities and spikes out.

A view over the engine's own arrays: prices are folded and windows measured by `kernel.advance`. What a
velocity is stands in `velocity.py`, what a burst is in `triggers.py`.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from scalpcli.core.by_hand import INTERPRETED, HandFed, asked_ns, check_order, moment_ns, moment_of, price_in_e4
from scalpcli.core.layout import NEVER_NS, NO_TIME_NS
from scalpcli.core.market_state import Kernel
from scalpcli.core.triggers import momentum_holds
from scalpcli.errors import UsageError
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params, ScalpConfig
from scalpcli.model.row import LAST, STOCK_TRADE
from scalpcli.model.session import Session
from scalpcli.model.trade_params import ExitParams
from scalpcli.units import NS_PER_S, e4_to_usd

Direction = Literal["up", "down", "flat", "unknown"]

WINDOW_SECONDS_MAX: Final = 7200
"""Longest window, as for `scalp.momentum_window_seconds`."""


@dataclass(frozen=True, slots=True)
class PriceVelocity:
    """How far and how fast the price moved; what is unknown is `None`, never zero.

    Args:
        window_seconds: Length of the window.
        change_pct: Percent the price moved in it.
        direction: `up`, `down`, `flat` at exactly 0, or `unknown`.
        speed: Percent per second.
    """

    window_seconds: int
    change_pct: float | None
    direction: Direction
    speed: float | None


@dataclass(frozen=True, slots=True)
class SpikeSignal:
    """A move that reached a threshold.

    Args:
        symbol: What moved.
        timestamp: The moment that was asked about, UTC.
        direction: `up` or `down`.
        change_pct: Percent the price moved in the window, with its sign.
        threshold_pct: What the move was held against.
        window_seconds: Length of the window.
        speed: Percent per second.
        price: Last price, USD.
    """

    symbol: str
    timestamp: dt.datetime
    direction: Direction
    change_pct: float
    threshold_pct: float
    window_seconds: int
    speed: float
    price: float


class PriceVelocityTracker:
    """Tracks price velocity over several windows.

    Every price handed in counts, whatever the hour: which prints may move a price is decided by whoever
    hands them in. A velocity is evaluated at the time of the last price, or at a later moment `at`: windows
    slide on while nothing trades, and a price older than its window makes the velocity unknown.

    Args:
        symbol: What is tracked.
        windows: Windows that are followed, seconds. Any window up to the longest may be asked for; these
            are answered without a search.
        hot: The kernel; `runtime.compiler.load_kernel()` hands in the compiled one.

    Raises:
        UsageError: no window, or one outside 1 to `WINDOW_SECONDS_MAX`.

    Source: definitions, section 3. The ring of prices holds what the longest window needs, at most
    `layout.PRINTS_MAX`.
    """

    def __init__(self, symbol: str, windows: Sequence[int] = (5, 15, 30, 60), *, hot: Kernel = INTERPRETED) -> None:
        self.symbol = symbol
        for window in windows or (0,):
            _check_window(window, WINDOW_SECONDS_MAX)
        self.windows = tuple(dict.fromkeys(int(window) for window in windows))
        self._longest_s = max(self.windows)
        self._feed = HandFed(_params(self.windows), _ALWAYS, (Instrument(0, symbol),), hot)
        self._feed.tracker["open_ns"] = NO_TIME_NS
        self._feed.tracker["close_ns"] = NEVER_NS

    @property
    def last_ns(self) -> int:
        """Time of the last price, UTC nanoseconds; `layout.NO_TIME_NS` before the first."""
        return self._feed.last_ns

    @property
    def last_price(self) -> float | None:
        """The last price, USD."""
        return None if self.last_ns == NO_TIME_NS else e4_to_usd(float(self._feed.tracker["price"]))

    def add_price(self, price: float, timestamp: dt.datetime) -> None:
        """Add a price.

        Args:
            price: USD; rounded to 1/10000.
            timestamp: When it was learned of; aware, and no earlier than the last.

        Raises:
            DataError: no price, or a time stamp out of order.
            UsageError: a time stamp without a time zone.
        """
        price_e4, ts_ns = price_in_e4(price), moment_ns(timestamp)
        check_order(ts_ns, self.last_ns)
        self._feed.fold(STOCK_TRADE, ts_ns, price_e4=price_e4, flags=LAST)

    def get_velocity(self, window_seconds: int, at: dt.datetime | None = None) -> PriceVelocity:
        """The velocity of one window.

        Args:
            window_seconds: Length of the window, at most the longest of `windows`.
            at: Its end; `None` = the time of the last price.

        Raises:
            UsageError: a window longer than the longest followed; `at` before the last price.
        """
        _check_window(window_seconds, self._longest_s)
        at_ns = asked_ns(at, self.last_ns)
        if self.last_ns == NO_TIME_NS:
            return PriceVelocity(window_seconds, None, "unknown", None)
        followed = window_seconds if window_seconds in self.windows else self._longest_s
        place = self.windows.index(followed)
        with self._feed.looking(at_ns, place, window_seconds * NS_PER_S):
            change_pct = float(self._feed.windows[place]["velocity_pct"])
        if math.isnan(change_pct):
            return PriceVelocity(window_seconds, None, "unknown", None)
        return PriceVelocity(window_seconds, change_pct, _direction(change_pct), change_pct / window_seconds)

    def detect_spike(
        self, threshold_pct: float = 0.5, window: int = 30, at: dt.datetime | None = None
    ) -> SpikeSignal | None:
        """A spike, where the price moved by the threshold or more in the window.

        Args:
            threshold_pct: Percent, in either direction; a move of exactly so much is a spike.
            window: Seconds.
            at: The moment asked about; `None` = the time of the last price.

        Raises:
            UsageError: a threshold not above 0; what `get_velocity` refuses.
        """
        if not threshold_pct > 0.0:
            raise UsageError(
                f"the threshold is {threshold_pct}, not above its limit: 0.0",
                hint="to detect moves of half a percent, write threshold_pct=0.5",
            )
        found = self.get_velocity(window, at)
        price = self.last_price
        if found.change_pct is None or found.speed is None or price is None:
            return None
        if not momentum_holds(abs(found.change_pct), threshold_pct):
            return None
        timestamp = moment_of(asked_ns(at, self.last_ns))
        return SpikeSignal(
            self.symbol, timestamp, found.direction, found.change_pct, threshold_pct, window, found.speed, price
        )


_ALWAYS: Final = Session(dt.date(1970, 1, 1), 0, 0, is_early_close=False)
"""No session of the calendar: it has no minutes, since no levels are kept."""


def _params(windows: tuple[int, ...]) -> Params:
    """Settings under which exactly these windows are measured."""
    first = windows[0]
    scalp = ScalpConfig(
        velocity_windows_seconds=windows,
        momentum_window_seconds=first,
        momentum_confirm_window_seconds=first,
        volume_confirm_window_s=first,
    )
    return Params(scalp=scalp, exits=ExitParams(reversal_window_seconds=first))


def _check_window(window_seconds: int, longest_s: int) -> None:
    if not 1 <= window_seconds <= longest_s or window_seconds != int(window_seconds):
        raise UsageError(
            f"the window is {window_seconds} s, not a whole number from 1 to {longest_s}",
            hint="name longer windows when the tracker is made: "
            f'PriceVelocityTracker("TSLA", windows=(30, 120)), at most {WINDOW_SECONDS_MAX}',
        )


def _direction(change_pct: float) -> Direction:
    if change_pct == 0.0:
        return "flat"
    return "up" if change_pct > 0.0 else "down"
