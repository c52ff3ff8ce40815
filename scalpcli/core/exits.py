"""When a position ends (definitions, section 8; design, section 6).

Decides stop, target, trailing stop, time, reversal and stalled, in that order; flatten overrides. The -15 %
stop stands in `stop_bid_e4`. Leaves selling to `executor`. Exits skip gates: one may always leave.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from scalpcli.core.layout import NEVER_NS
from scalpcli.core.position import Scalp
from scalpcli.core.view import Quote, sign_of
from scalpcli.model.params import Params
from scalpcli.model.session import Session
from scalpcli.units import NS_PER_S, min_to_ns, ms_to_ns, s_to_ns


class ExitReason(StrEnum):
    """Why a position was left."""

    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TRAILING_STOP = "TRAILING_STOP"
    TIME_EXIT = "TIME_EXIT"
    MOMENTUM_REVERSED = "MOMENTUM_REVERSED"
    STALLED = "STALLED"
    FLATTEN = "FLATTEN"
    GAP = "GAP"
    OPERATOR = "OPERATOR"
    PROTECTION = "PROTECTION"
    """A limit of the session was reached, with what is open counted."""
    PROTECTIVE_STOP = "PROTECTIVE_STOP"
    """The stop that rested at the broker sold it."""
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    """Bought by an order of which nobody knew whether the broker had it."""
    LATE_FILL = "LATE_FILL"
    """Bought by an order that had ended as far as we knew."""
    ADOPTED = "ADOPTED"
    """The broker held more than we knew of."""
    EXTERNAL = "EXTERNAL"
    """Sold by somebody else: by hand, by the broker or by the guard."""
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """A wish to leave, with what was found and what it was held against."""

    reason: ExitReason
    value: float
    limit: float
    message: str


def pnl_pct(bid_e4: int, average_e4: float) -> float:
    """Profit in percent of the premium paid, at the bid; an absent bid counts as 0; fees apart.

    The bid, not the mid: whoever must leave now sells at the bid.
    """
    return (bid_e4 - average_e4) * 100.0 / average_e4


def stop_bid_e4(average_e4: float, stop_loss_pct: float) -> int:
    """The highest bid at which the stop condition holds, so that a watch on it agrees with `pnl_pct`."""
    bid_e4 = math.floor(average_e4 * (1.0 - stop_loss_pct / 100.0)) + 1
    while bid_e4 > 0 and pnl_pct(bid_e4, average_e4) > -stop_loss_pct:
        bid_e4 -= 1
    return bid_e4


def target_bid_e4(average_e4: float, take_profit_pct: float) -> int:
    """The lowest bid at which the target condition holds."""
    bid_e4 = max(0, math.floor(average_e4 * (1.0 + take_profit_pct / 100.0)) - 1)
    while pnl_pct(bid_e4, average_e4) < take_profit_pct:
        bid_e4 += 1
    return bid_e4


class ScalpExitManager:
    """The exit rules of one session.

    Args:
        params: All settings.
        session: Whose close the flatten time counts from.
    """

    def __init__(self, params: Params, session: Session) -> None:
        self._params = params
        self._exits = params.exits
        self.date = session.date
        self.close_ns = session.close_ns
        self.flatten_ns = session.close_ns - min_to_ns(params.exits.flatten_before_close_minutes)
        # Selling comes first: whoever flattens late has at least half of that time for it.
        flatten_minutes = params.exits.flatten_before_close_minutes
        last_rung_minutes = min(params.exits.last_rung_before_close_minutes, flatten_minutes / 2.0)
        self.last_rung_ns = session.close_ns - min_to_ns(last_rung_minutes) if last_rung_minutes > 0 else NEVER_NS
        self._confirm_ns = ms_to_ns(params.exits.stop_confirm_ms)
        self._hold_ns = min_to_ns(params.scalp.max_hold_minutes)
        self._stalled_ns = min_to_ns(params.exits.stalled_after_minutes)

    @property
    def needs_every_quote(self) -> bool:
        """Whether a trailing stop follows the best bid."""
        return self._exits.trailing_stop_pct > 0.0

    @property
    def needs_every_instant(self) -> bool:
        """Whether momentum is watched while a position is held."""
        return self._exits.reversal_enabled

    def next_time_ns(self, scalp: Scalp) -> int:
        """The first time at which an instant may end this position by the clock."""
        times = [self.flatten_ns, scalp.opened_ns + self._hold_ns]
        if self._stalled_ns > 0 and not scalp.is_moving:
            times.append(scalp.opened_ns + self._stalled_ns)
        return min(times)

    def stop_deadline_ns(self, scalp: Scalp) -> int:
        """When a standing stop is decided; `NEVER_NS` while none stands."""
        return scalp.stop_since_ns + self._confirm_ns if scalp.is_stop_standing else NEVER_NS

    def check_quote(self, scalp: Scalp, quote: Quote, t_ns: int) -> ExitSignal | None:
        """Hold one quote of the held contract against stop, target and trailing stop.

        A stop begins to stand at the first quote that meets it and is decided when it has stood for
        `stop_confirm_ms`: same-day quotes flicker. A quote without bid counts as a bid of 0; one that is
        crossed or has no ask says nothing.
        """
        if quote.bid_e4 > 0 and not quote.is_valid:
            return None
        found = pnl_pct(max(quote.bid_e4, 0), scalp.average_e4)
        stop = self._params.scalp.stop_loss_pct
        if found <= -stop:
            if not scalp.is_stop_standing:
                scalp.stop_since_ns = t_ns
            scalp.stop_bid_e4 = max(quote.bid_e4, 0)
            return self.check_deadline(scalp, quote, t_ns)
        scalp.stop_since_ns = NEVER_NS
        target = self._params.scalp.take_profit_pct
        if found >= target:
            return ExitSignal(ExitReason.TAKE_PROFIT, found, target, f"take profit at {found:.1f}%")
        return self._trailing(scalp, quote)

    def check_deadline(self, scalp: Scalp, quote: Quote, t_ns: int) -> ExitSignal | None:
        """Decide a standing stop at its deadline, even when no further quote came."""
        if t_ns < self.stop_deadline_ns(scalp):
            return None
        # The quote that stands now may be crossed, which says nothing: then the last bid that met the stop counts.
        speaks = quote.bid_e4 <= 0 or quote.is_valid
        found = pnl_pct(max(quote.bid_e4, 0) if speaks else scalp.stop_bid_e4, scalp.average_e4)
        stop = self._params.scalp.stop_loss_pct
        return ExitSignal(ExitReason.STOP_LOSS, found, -stop, f"stop loss at {found:.1f}%")

    def _trailing(self, scalp: Scalp, quote: Quote) -> ExitSignal | None:
        distance = self._exits.trailing_stop_pct
        if distance <= 0.0:
            return None
        scalp.best_bid_e4 = max(scalp.best_bid_e4, quote.bid_e4)
        if scalp.best_bid_e4 <= 0:
            return None
        below = (scalp.best_bid_e4 - quote.bid_e4) * 100.0 / scalp.best_bid_e4
        if below < distance:
            return None
        return ExitSignal(ExitReason.TRAILING_STOP, -below, -distance, f"{below:.1f}% below the best bid")

    def flatten_signal(self, t_ns: int) -> ExitSignal:
        """The exit at the flatten time: minutes left to the close against those asked for."""
        left_min = (self.close_ns - t_ns) / NS_PER_S / 60.0
        return ExitSignal(ExitReason.FLATTEN, left_min, self._exits.flatten_before_close_minutes, "flatten time")

    def check_instant(self, scalp: Scalp, quote: Quote, reversal_pct: float, t_ns: int) -> ExitSignal | None:
        """Hold the clock and momentum against a position at an instant.

        Args:
            scalp: The position.
            quote: Of its contract.
            reversal_pct: Velocity of the reversal window; nan = unknown confirms nothing.
            t_ns: The instant.
        """
        if t_ns >= self.flatten_ns:
            return self.flatten_signal(t_ns)
        held_s = (t_ns - scalp.opened_ns) / NS_PER_S
        if t_ns - scalp.opened_ns >= self._hold_ns:
            limit_s = self._params.scalp.max_hold_minutes * 60.0
            return ExitSignal(ExitReason.TIME_EXIT, held_s, limit_s, f"held {held_s:.1f} s")
        if self._exits.reversal_enabled and t_ns - scalp.opened_ns >= s_to_ns(self._exits.reversal_after_s):
            limit = -scalp.threshold_pct * self._exits.reversal_ratio
            found = sign_of(scalp.right) * reversal_pct
            if found <= limit:
                return ExitSignal(ExitReason.MOMENTUM_REVERSED, found, limit, f"momentum {found:.2f}%")
        if self._stalled_ns > 0 and not scalp.is_moving and t_ns - scalp.opened_ns >= self._stalled_ns:
            found = pnl_pct(max(quote.bid_e4, 0), scalp.average_e4)
            if found <= self._exits.stalled_profit_pct:
                return ExitSignal(ExitReason.STALLED, found, self._exits.stalled_profit_pct, f"stalled at {found:.1f}%")
            # It was in profit when it was asked: the question is put once.
            scalp.is_moving = True
        return None
