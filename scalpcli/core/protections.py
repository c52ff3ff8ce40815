"""Limits of the whole session, and of the orders it sends (design, section 6).

Decides when the day's loss ends entries or sells, and which entry order may not leave though everything before let
it pass. An exit is never refused: one may always leave. All of it is a function of rows and replies, so that a fold
of the same rows restores every state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from scalpcli.core.gates import SessionTally, entry_messages_max
from scalpcli.core.order_flow import OrderFlow
from scalpcli.core.position import Scalp
from scalpcli.core.risk import Ledger
from scalpcli.core.signals import Emit
from scalpcli.core.stops import DAILY_LOSS, REJECTS
from scalpcli.core.view import MarketView
from scalpcli.model.fees import SELL
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, round_to_tick
from scalpcli.model.order import Leg
from scalpcli.model.params import Params
from scalpcli.units import NS_PER_S, e4_to_usd, s_to_ns, usd_to_e4

OK: Final = "ok"
STOPPING: Final = "stopping entries"
SELLING: Final = "selling"


@dataclass(frozen=True, slots=True)
class ProtectionState:
    """How one protection stands, for people.

    Attributes:
        name: Its gate.
        value: What was found, in the unit of its setting.
        limit: What it is held against; nothing where it is off.
        state: `OK`, `STOPPING` or `SELLING`.
    """

    name: str
    value: float
    limit: float | None
    state: str


class Protections:
    """Protections of one session.

    Args:
        params: All settings.
        view: The market.
        ledger: The session's money.
        tally: What gates ask about.
        flow: Orders sent.
        emit: Takes decisions.
    """

    def __init__(
        self, params: Params, view: MarketView, ledger: Ledger, tally: SessionTally, flow: OrderFlow, emit: Emit
    ) -> None:
        self._params = params
        self._risk = params.risk
        self._view = view
        self._ledger = ledger
        self._tally = tally
        self._flow = flow
        self._emit = emit
        self._loss_e4 = usd_to_e4(params.gates.daily_loss_usd_max)
        self.sells_at_daily_loss = params.gates.daily_loss_sells

    # --- the day's loss ----------------------------------------------------------------------------------

    @property
    def follows_loss(self) -> bool:
        """Whether the day's loss is to be looked at while something is held, and was not reached yet."""
        return self._loss_e4 > 0 and not self._tally.stops.has(DAILY_LOSS)

    def result_e4(self, scalps: list[Scalp]) -> int:
        """The day's result if everything were sold at the bid now, after fees: 1/10000 USD."""
        return self._ledger.realised_e4 + sum(self._open_e4(scalp) for scalp in scalps if scalp.bought)

    def _open_e4(self, scalp: Scalp) -> int:
        bid_e4 = max(self._view.quote(scalp.instrument.instrument_id).bid_e4, 0)
        worth_e4 = bid_e4 * scalp.held + scalp.sold_sum_e4 - scalp.bought_sum_e4
        schedule = self._ledger.schedule
        paid_e4 = math.ceil(schedule.unrounded_e4(scalp.fills))
        leaving_e4 = schedule.estimate_e4(scalp.held, bid_e4, (SELL,)) if scalp.held else 0
        return worth_e4 * STANDARD_MULTIPLIER - paid_e4 - leaving_e4

    def reaches_loss(self, scalps: list[Scalp], t_ns: int) -> bool:
        """Whether the day's loss is reached now; it stays so until the session ends."""
        if not self.follows_loss:
            return False
        result_e4 = self.result_e4(scalps)
        if result_e4 > -self._loss_e4:
            return False
        found, limit = e4_to_usd(-result_e4), e4_to_usd(self._loss_e4)
        self._tally.stops.set(DAILY_LOSS, "", found, limit, "")
        self._alarm("the day's loss is reached", DAILY_LOSS, found, limit, t_ns)
        return True

    def _alarm(self, text: str, about: str, value: float, limit: float, t_ns: int) -> None:
        self._emit(t_ns, "alarm", {"text": text, "about": about, "value": float(value), "limit": float(limit)})

    # --- refusals of the broker ----------------------------------------------------------------------------

    def count_reject(self, t_ns: int) -> None:
        """Count an order that the broker refused; several in a row end entries: the next would be refused too."""
        self._tally.rejects_in_a_row += 1
        found, limit = self._tally.rejects_in_a_row, self._risk.rejects_in_a_row_max
        if 0 < limit <= found:
            if not self._tally.stops.has(REJECTS):
                self._alarm("orders were refused in a row: no more entries", REJECTS, found, limit, t_ns)
            self._tally.stops.set(REJECTS, "", float(found), float(limit), "orders in a row")

    # --- entry orders --------------------------------------------------------------------------------------

    def entry_fault(self, instrument: Instrument, quantity: int, limit_e4: int, t_ns: int) -> str:
        """Why an entry order must not be sent, or nothing."""
        if limit_e4 <= 0:
            return "no quote that its price could be held against"
        messages, limit = self._tally.messages_of_last_minute(t_ns), entry_messages_max(self._risk)
        if messages >= limit:
            return f"{messages} messages in a minute against {limit}: exits need the rest"
        since_ns = t_ns - s_to_ns(self._risk.duplicate_order_s)
        for sent in reversed(self._flow.sent.values()):
            if sent.ts_ns <= since_ns:
                break
            order = sent.order
            what = (order.leg, order.instrument, order.quantity, order.limit_e4)
            if what == (Leg.ENTRY, instrument, quantity, limit_e4) and not sent.has_ended:
                ago_s = (t_ns - sent.ts_ns) / NS_PER_S
                return f"the same as {order.order_id}, sent {ago_s:.1f} s ago"
        return ""

    def collared_e4(self, instrument: Instrument, limit_e4: int) -> int:
        """An entry's limit, no further above the ask that stands than the collar; 0 = no price may be asked for."""
        collar_pct = self._risk.price_collar_pct
        if collar_pct <= 0.0:
            return limit_e4
        quote = self._view.quote(instrument.instrument_id)
        if not quote.is_valid:
            return 0
        highest_e4 = math.floor(quote.ask_e4 * (1.0 + collar_pct / 100.0))
        return min(limit_e4, max(round_to_tick(instrument.tick_rule, highest_e4, up=False), 0))

    # --- for people ------------------------------------------------------------------------------------------

    def states(self, scalps: list[Scalp], t_ns: int) -> list[ProtectionState]:
        """How every protection stands at `t_ns`; what can be off is told as off, what stands beside them follows."""
        tally, gates, scalp = self._tally, self._params.gates, self._params.scalp
        begun = tally.scalps_opened + tally.scalps_waiting
        messages_max = entry_messages_max(self._risk)
        counted = (
            ("loss_streak", tally.losses_in_a_row, gates.loss_streak_max or None),
            ("daily_count", begun, scalp.max_daily_scalps),
            ("open_position", tally.scalps_live, scalp.max_concurrent_scalps),
            ("message_rate", tally.messages_of_last_minute(t_ns), None if math.isinf(messages_max) else messages_max),
            (REJECTS, tally.rejects_in_a_row, self._risk.rejects_in_a_row_max or None),
        )
        found = [self._kill_state(scalps), self._loss_state(scalps)]
        found += [
            ProtectionState(name, float(value), limit, STOPPING if limit is not None and value >= limit else OK)
            for name, value, limit in counted
        ]
        told = {DAILY_LOSS, REJECTS}
        return found + [
            ProtectionState(stop.gate, stop.value, stop.limit, STOPPING)
            for stop in tally.stops
            if stop.gate not in told
        ]

    def _kill_state(self, scalps: list[Scalp]) -> ProtectionState:
        tally = self._tally
        ends = STOPPING if tally.is_killed or tally.is_stopped else OK
        return ProtectionState("kill", float(ends != OK), 1.0, SELLING if tally.is_killed and scalps else ends)

    def _loss_state(self, scalps: list[Scalp]) -> ProtectionState:
        loss = max(0.0, -e4_to_usd(self.result_e4(scalps)))
        limit = e4_to_usd(self._loss_e4) if self._loss_e4 > 0 else None
        ends = STOPPING if self._tally.stops.has(DAILY_LOSS) else OK
        return ProtectionState(
            DAILY_LOSS, loss, limit, SELLING if ends != OK and scalps and self.sells_at_daily_loss else ends
        )
