"""Reasons to wait, shared by all strategies (design, section 6).

Decides whether now is a moment to enter at all. Which contract is good enough is `option_selection`'s,
how much is `risk`'s. A refusal names its gate and the two numbers compared; a standing one ends the
trigger's episode, a transient one is offered again (definitions, section 7).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from scalpcli.core.layout import NEVER_NS, NO_TIME_NS, OPTION_QUOTES
from scalpcli.core.stops import Stops
from scalpcli.core.view import MarketView
from scalpcli.model.params import Blackout, Params
from scalpcli.model.row import UNDERLYING_ID
from scalpcli.model.session import Session
from scalpcli.model.trade_params import RiskParams
from scalpcli.units import NS_PER_MS, NS_PER_S, e4_to_usd, min_to_ns, ms_to_ns, s_to_ns

_MINUTE_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Refused:
    """Why not: the gate, what was found and what it was held against, in the unit of the gate's setting."""

    gate: str
    standing: bool
    value: float | None
    limit: float | None
    detail: str = ""


@dataclass(slots=True)
class SessionTally:
    """What the session has seen so far that gates ask about."""

    signals: int = 0
    last_signal_ns: int = NO_TIME_NS
    scalps_opened: int = 0
    scalps_waiting: int = 0
    """Scalps whose entry works and of which nothing was bought yet."""
    scalps_live: int = 0
    """Scalps whose entry works or whose position is open."""
    live_kinds: set[tuple[str, int]] = field(default_factory=set)
    """Trigger and side of each of them."""
    realised_e4: int = 0
    """Result of closed trades after fees, before the day's rounding."""
    losses_in_a_row: int = 0
    last_loss_ns: int = NO_TIME_NS
    rejects_in_a_row: int = 0
    """Orders the broker refused since it last took one."""
    messages: deque[int] = field(default_factory=deque)
    """When orders and cancels of the last minute before the last of them were decided."""
    is_killed: bool = False
    is_stopped: bool = False
    stops: Stops = field(default_factory=Stops)
    """What else stands against entries."""

    def count_message(self, t_ns: int) -> None:
        """Count an order or a cancel."""
        while self.messages and self.messages[0] <= t_ns - _MINUTE_NS:
            self.messages.popleft()
        self.messages.append(t_ns)

    def messages_of_last_minute(self, t_ns: int) -> int:
        """Orders and cancels of the minute before `t_ns`."""
        if not self.messages or self.messages[0] > t_ns - _MINUTE_NS:
            return len(self.messages)
        return sum(each > t_ns - _MINUTE_NS for each in self.messages)


def entry_messages_max(risk: RiskParams) -> float:
    """Orders and cancels of a minute at which no entry order may be sent any more."""
    return risk.messages_per_minute_max - risk.messages_reserved if risk.messages_per_minute_max > 0 else math.inf


class Gates:
    """The gates of one session.

    Args:
        params: All settings.
        session: Whose clock the windows follow.
        blackouts: Dated windows without entries.
        is_live: Whether real or paper money is at stake: only then must `scalp.enabled` be true. A shadow sends
            nothing, so that there is nothing to enable.
    """

    def __init__(self, params: Params, session: Session, blackouts: tuple[Blackout, ...], *, is_live: bool) -> None:
        self._params = params
        self._gates = params.gates
        self._session = session
        self._blackouts = blackouts
        self._is_live = is_live
        self.first_entry_ns = session.open_ns + min_to_ns(params.gates.first_entry_minutes)
        self.last_entry_ns = session.close_ns - min_to_ns(params.gates.last_entry_before_close_minutes)

    def standing(self, t_ns: int, trigger: str, right: int, tally: SessionTally, view: MarketView) -> Refused | None:
        """The first standing reason against an entry at `t_ns`, or none."""
        return (
            self._protections(tally)
            or self._clock(t_ns)
            or self._market(t_ns, view)
            or self._book(trigger, right, tally)
            or self._pace(t_ns, tally)
        )

    def lights(self, t_ns: int, tally: SessionTally, view: MarketView) -> dict[str, Refused | None]:
        """For people: each group of reasons, and the first of it that stands against any entry at `t_ns`."""
        scalp = self._params.scalp
        begun = tally.scalps_opened + tally.scalps_waiting
        is_full = tally.scalps_live >= scalp.max_concurrent_scalps
        return {
            "protections": self._protections(tally),
            "session_window": self._clock(t_ns),
            "market": self._market(t_ns, view),
            "daily_count": Refused("daily_count", True, float(begun), float(scalp.max_daily_scalps))
            if begun >= scalp.max_daily_scalps
            else None,
            "open_position": Refused("open_position", True, tally.scalps_live, scalp.max_concurrent_scalps)
            if is_full
            else None,
            "pace": self._pace(t_ns, tally),
            "freshness": self.transient(t_ns, view),
            "enabled": self.last_of_all(),
        }

    def last_of_all(self) -> Refused | None:
        """In live, nothing is ordered while `scalp.enabled` is false; asked after every other gate."""
        if self._is_live and not self._params.scalp.enabled:
            return Refused("disabled", True, 0.0, 1.0, "scalp.enabled is false")
        return None

    def _protections(self, tally: SessionTally) -> Refused | None:
        if tally.is_killed or tally.is_stopped:
            return Refused("kill", True, 1.0, 0.0, "killed" if tally.is_killed else "stopped by the operator")
        stop = tally.stops.first()
        if stop is not None:
            return Refused(stop.gate, True, stop.value, stop.limit, stop.detail)
        streak_max = self._gates.loss_streak_max
        if streak_max > 0 and tally.losses_in_a_row >= streak_max:
            return Refused("loss_streak", True, float(tally.losses_in_a_row), float(streak_max))
        return None

    def _clock(self, t_ns: int) -> Refused | None:
        since_open_s = (t_ns - self._session.open_ns) / NS_PER_S
        if t_ns < self.first_entry_ns:
            return Refused("session_window", True, since_open_s / 60.0, self._gates.first_entry_minutes, "too early")
        if t_ns > self.last_entry_ns:
            left_min = (self._session.close_ns - t_ns) / NS_PER_S / 60.0
            return Refused("session_window", True, left_min, self._gates.last_entry_before_close_minutes, "too late")
        for blackout in self._blackouts:
            if blackout.start_ns <= t_ns < blackout.end_ns:
                return Refused("blackout", True, (blackout.end_ns - t_ns) / NS_PER_S, 0.0, blackout.name)
        return None

    def _market(self, t_ns: int, view: MarketView) -> Refused | None:
        if view.is_halted(UNDERLYING_ID):
            return Refused("halt", True, 0.0, self._gates.halt_quiet_s, "halted now")
        since_halt_ns = t_ns - view.halt_end_ns(UNDERLYING_ID)
        if since_halt_ns < s_to_ns(self._gates.halt_quiet_s):
            return Refused("halt", True, since_halt_ns / NS_PER_S, self._gates.halt_quiet_s, "resumed")
        blind_until_ns = view.blind_until_ns()
        if blind_until_ns == NEVER_NS:
            return Refused("gap", True, 0.0, self._gates.gap_quiet_s, "blind now")
        if t_ns - blind_until_ns < s_to_ns(self._gates.gap_quiet_s):
            return Refused("gap", True, (t_ns - blind_until_ns) / NS_PER_S, self._gates.gap_quiet_s, "sees again")
        return None

    def _book(self, trigger: str, right: int, tally: SessionTally) -> Refused | None:
        scalp = self._params.scalp
        # An entry that works may still open a scalp, so it counts.
        begun = tally.scalps_opened + tally.scalps_waiting
        if begun >= scalp.max_daily_scalps:
            return Refused("daily_count", True, float(begun), float(scalp.max_daily_scalps))
        if (trigger, right) in tally.live_kinds:
            return Refused("duplicate", True, 1.0, 0.0, "the same trigger and side works or is open")
        if tally.scalps_live >= scalp.max_concurrent_scalps:
            return Refused("open_position", True, float(tally.scalps_live), float(scalp.max_concurrent_scalps))
        return None

    def _pace(self, t_ns: int, tally: SessionTally) -> Refused | None:
        scalp = self._params.scalp
        messages, messages_max = tally.messages_of_last_minute(t_ns), entry_messages_max(self._params.risk)
        if messages >= messages_max:
            return Refused("message_rate", True, float(messages), messages_max, "orders and cancels in a minute")
        since_ns = t_ns - tally.last_signal_ns
        if since_ns < s_to_ns(scalp.min_signal_interval_seconds):
            return Refused("signal_interval", True, since_ns / NS_PER_S, scalp.min_signal_interval_seconds)
        since_ns = t_ns - tally.last_loss_ns
        if since_ns < min_to_ns(scalp.cooldown_after_loss_minutes):
            return Refused("cooldown", True, since_ns / NS_PER_S / 60.0, scalp.cooldown_after_loss_minutes)
        return None

    def transient(self, t_ns: int, view: MarketView) -> Refused | None:
        """The first reason in the underlying or the option channel against an entry at `t_ns`, or none."""
        gates = self._gates
        silent_ns = t_ns - view.underlying_last_ns
        if silent_ns > ms_to_ns(gates.underlying_silence_ms_max):
            return _stale("underlying_silence", silent_ns, gates.underlying_silence_ms_max)
        price_age_ns = t_ns - view.underlying_price_ns
        if price_age_ns > ms_to_ns(gates.underlying_price_age_ms_max):
            return _stale("underlying_price_age", price_age_ns, gates.underlying_price_age_ms_max)
        if view.has_stock_quotes:
            quote = view.underlying
            quote_age_ns = t_ns - quote.ts_ns
            # Contracts are priced on its mid: trades that go on do not make an old quote fresh.
            if quote_age_ns > ms_to_ns(gates.underlying_price_age_ms_max):
                return _stale("underlying_quote_age", quote_age_ns, gates.underlying_price_age_ms_max)
            if not 0 < quote.bid_e4 < quote.ask_e4:
                detail = "missing side" if quote.bid_e4 <= 0 or quote.ask_e4 <= 0 else "crossed or locked"
                return Refused("underlying_quote", False, e4_to_usd(quote.bid_e4), e4_to_usd(quote.ask_e4), detail)
            if quote.spread_pct > gates.underlying_spread_pct_max:
                return Refused("underlying_spread", False, quote.spread_pct, gates.underlying_spread_pct_max)
        silent_ns = t_ns - view.channel_last_ns(OPTION_QUOTES)
        if silent_ns > ms_to_ns(gates.option_silence_ms_max):
            return _stale("option_silence", silent_ns, gates.option_silence_ms_max)
        return None


def _stale(gate: str, age_ns: int, limit_ms: int) -> Refused:
    # A channel that never spoke has no age worth printing.
    age_ms = age_ns / NS_PER_MS if age_ns < NEVER_NS // 2 else None
    return Refused(gate, False, age_ms, float(limit_ms), "never seen" if age_ms is None else "")
