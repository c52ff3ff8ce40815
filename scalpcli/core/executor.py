"""Works orders: one executor for every strategy's signals (design, section 6).

Decides what is sent, re-priced, taken back and given up, and keeps each scalp's position. Leaves when to
leave to `exits` and how much to `risk`. The life of a scalp:

    entry working -> (filled, partly filled, given up) -> held -> exit decided
      -> entry taken back, if it still works -> exit working -> (filled | re-priced, again and again) -> closed

One order works at a time: a resting sell holds the quantity, and a cancel must end before the next order.
"""

from __future__ import annotations

from scalpcli.core.execution_records import exit_record, fill_record, order_record, stop_record, trade_record
from scalpcli.core.exits import ExitReason, ExitSignal, ScalpExitManager, stop_bid_e4, target_bid_e4
from scalpcli.core.gates import SessionTally
from scalpcli.core.layout import NEVER_NS, WATCH_EVERY, WATCH_HIGH, WATCH_LOW, WATCH_RECOVERY
from scalpcli.core.position import Scalp
from scalpcli.core.risk import ApprovedOrder, Ledger, approve, entry_limit_e4, exit_limit_e4
from scalpcli.core.signals import Emit, ScalpSignal
from scalpcli.core.view import MarketView
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.model.order import TERMINAL_REPLIES, CancelRequest, Leg, Reply, ReplyKind
from scalpcli.model.params import Params
from scalpcli.units import e4_to_usd, ms_to_ns

Command = ApprovedOrder | CancelRequest
Watch = tuple[int, int, int]
"""Bits of `layout.WATCH_*`, low bid, high bid."""


class AutoExecutor:
    """Executes the signals of one session.

    Args:
        params: All settings.
        order_prefix: First part of every order id: session and run nonce.
        view: The market.
        exits: When a position ends.
        ledger: The session's money.
        tally: What gates ask about.
        emit: Takes decisions.
    """

    def __init__(
        self,
        params: Params,
        order_prefix: str,
        view: MarketView,
        exits: ScalpExitManager,
        ledger: Ledger,
        tally: SessionTally,
        emit: Emit,
    ) -> None:
        self._params = params
        self._prefix = order_prefix
        self._view = view
        self._exits = exits
        self._ledger = ledger
        self._tally = tally
        self._emit = emit
        self._reprice_ns = ms_to_ns(params.risk.reprice_after_ms)
        self.scalps: list[Scalp] = []
        """Live scalps: an entry works, or contracts are held."""
        self.commands: list[Command] = []
        """What is to be sent, in order; whoever drives the engine takes it away."""
        self.orders = 0
        self.fills = 0
        self.trades = 0

    # --- entries -----------------------------------------------------------------------------------

    def execute_scalp(self, signal: ScalpSignal, threshold_pct: float, t_ns: int) -> None:
        """Send the first entry order of a signal.

        Args:
            signal: What to buy.
            threshold_pct: Burst threshold of its side, for the reversal exit.
            t_ns: When it was decided.
        """
        scalp = Scalp(signal=signal, threshold_pct=threshold_pct, target_quantity=signal.suggested_contracts)
        self.scalps.append(scalp)
        self._send_entry(scalp, "signal", t_ns)

    def _send_entry(self, scalp: Scalp, reason: str, t_ns: int) -> None:
        scalp.entry_tries += 1
        limit_e4 = entry_limit_e4(scalp.instrument, scalp.signal.entry_price_target_e4, scalp.entry_tries, self._params)
        self._send(scalp, Leg.ENTRY, scalp.entry_tries, scalp.missing, limit_e4, reason, t_ns)
        self._ledger.committed_e4 += limit_e4 * scalp.missing * STANDARD_MULTIPLIER

    def _send(self, scalp: Scalp, leg: Leg, attempt: int, quantity: int, limit_e4: int, reason: str, t_ns: int) -> None:
        order = approve(self._prefix, scalp.number, leg, attempt, scalp.instrument, quantity, limit_e4)
        quote = self._view.quote(scalp.instrument.instrument_id)
        scalp.working = order
        scalp.working_filled = 0
        scalp.is_cancelling = False
        scalp.retry_ns = t_ns + self._reprice_ns
        self.orders += 1
        self.commands.append(order)
        self._emit(t_ns, "order", order_record(order, quote, reason))

    def _take_back(self, scalp: Scalp, reason: str, t_ns: int) -> None:
        """Ask for the working order back, once; it may fill before the cancel arrives."""
        scalp.retry_ns = NEVER_NS
        if scalp.working is None or scalp.is_cancelling:
            return
        scalp.is_cancelling = True
        order_id = scalp.working.order_id
        self.commands.append(CancelRequest(order_id))
        self._emit(t_ns, "cancel", {"order_id": order_id, "signal": scalp.number, "reason": reason})

    # --- what the broker says ------------------------------------------------------------------------

    def on_reply(self, reply: Reply, t_ns: int) -> None:
        """Take one answer of the broker; an answer about an order that no longer works changes nothing."""
        scalp = next((each for each in self.scalps if each.working and each.working.order_id == reply.order_id), None)
        if scalp is None or scalp.working is None:
            return
        head = {"order_id": reply.order_id, "signal": scalp.number}
        if reply.kind is ReplyKind.ACCEPTED:
            self._emit(t_ns, "accepted", head | {"ts_market_ns": reply.ts_market_ns})
        elif reply.kind is ReplyKind.FILL:
            self._on_fill(scalp, scalp.working, reply, t_ns)
        elif reply.kind in TERMINAL_REPLIES:
            filled = {} if reply.kind is ReplyKind.REJECTED else {"filled": scalp.working_filled}
            self._emit(t_ns, str(reply.kind), head | filled | {"reason": reply.reason})
            self._on_end_of_order(scalp, scalp.working, reply, t_ns)

    def _on_fill(self, scalp: Scalp, order: ApprovedOrder, reply: Reply, t_ns: int) -> None:
        self.fills += 1
        scalp.working_filled += reply.quantity
        scalp.fills.append(self._ledger.add_fill(order.side, reply.quantity, reply.price_e4, scalp.number))
        is_first = scalp.bought == 0
        if order.leg is Leg.ENTRY:
            self._ledger.committed_e4 -= order.limit_e4 * reply.quantity * STANDARD_MULTIPLIER
            scalp.held += reply.quantity
            scalp.bought += reply.quantity
            scalp.bought_sum_e4 += reply.price_e4 * reply.quantity
        else:
            scalp.held -= reply.quantity
            scalp.sold += reply.quantity
            scalp.sold_sum_e4 += reply.price_e4 * reply.quantity
        self._emit(t_ns, "fill", fill_record(scalp, order, reply))
        if scalp.working_filled >= order.quantity:
            scalp.working = None
            scalp.retry_ns = NEVER_NS
        if order.leg is Leg.ENTRY:
            self._on_bought(scalp, t_ns, is_first=is_first)
        elif scalp.held == 0:
            self._close(scalp, t_ns)

    def _on_bought(self, scalp: Scalp, t_ns: int, *, is_first: bool) -> None:
        if is_first:
            scalp.opened_ns = t_ns
            self._tally.scalps_opened += 1
            self._tally.scalps_waiting -= 1
            self._restart_bid_extremes(scalp)
        if scalp.is_leaving:
            self._go_on_leaving(scalp, t_ns)
        elif scalp.called_off is not None:
            self.leave(scalp, scalp.called_off, t_ns)
        else:
            # The quote that stands when the position opens counts: no further one may come for a while.
            self.on_quote(scalp.instrument.instrument_id, t_ns)

    def _restart_bid_extremes(self, scalp: Scalp) -> None:
        """Let the extremes of the bid count from now; scalps that share the contract keep what they saw."""
        instrument_id = scalp.instrument.instrument_id
        for other in self.scalps:
            if other is not scalp and other.held > 0 and other.instrument.instrument_id == instrument_id:
                other.take_bid_extremes(*self._view.bid_extremes_e4(instrument_id))
        self._view.restart_bid_extremes(instrument_id)

    def _on_end_of_order(self, scalp: Scalp, order: ApprovedOrder, reply: Reply, t_ns: int) -> None:
        scalp.working = None
        scalp.retry_ns = NEVER_NS
        unfilled = order.quantity - scalp.working_filled
        if order.leg is Leg.ENTRY:
            self._ledger.committed_e4 -= order.limit_e4 * unfilled * STANDARD_MULTIPLIER
            self._after_entry(scalp, reply, t_ns)
        elif reply.kind is ReplyKind.REJECTED and scalp.exit_tries <= self._params.risk.exit_reprices_max:
            # Asked again after a while, not at once: what refused it a moment ago would refuse it now.
            # After the close every order is refused.
            scalp.retry_ns = t_ns + self._reprice_ns if t_ns < self._exits.close_ns else NEVER_NS
        elif reply.kind is ReplyKind.CANCELLED:
            self._go_on_leaving(scalp, t_ns)

    def _after_entry(self, scalp: Scalp, reply: Reply, t_ns: int) -> None:
        if scalp.called_off is None and t_ns >= self._exits.flatten_ns:
            scalp.called_off = self._exits.flatten_signal(t_ns)
        tries_left = self._params.risk.entry_reprices_max + 1 - scalp.entry_tries
        may_go_on = scalp.called_off is None and reply.kind is ReplyKind.CANCELLED and tries_left > 0
        if scalp.is_leaving:
            self._go_on_leaving(scalp, t_ns)
        elif may_go_on and scalp.missing > 0:
            self._send_entry(scalp, "reprice" if scalp.bought == 0 else "remainder", t_ns)
        elif scalp.held == 0:
            self._give_up(scalp, _why_unfilled(scalp, reply), t_ns)

    def _give_up(self, scalp: Scalp, reason: str, t_ns: int) -> None:
        self._emit(t_ns, "unfilled", scalp.head() | {"signal": scalp.number, "reason": reason})
        self._forget(scalp)

    def _forget(self, scalp: Scalp) -> None:
        self.scalps.remove(scalp)
        self._tally.scalps_live -= 1
        self._tally.scalps_waiting -= scalp.bought == 0
        self._tally.live_kinds.discard((scalp.signal.trigger, scalp.right))

    # --- exits -----------------------------------------------------------------------------------------

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """Hold a quote row of a held contract against stop and target."""
        quote = self._view.quote(instrument_id)
        for scalp in list(self.scalps):
            if scalp.instrument.instrument_id == instrument_id and scalp.held > 0 and not scalp.is_leaving:
                was_standing = scalp.is_stop_standing
                found = self._exits.check_quote(scalp, quote, t_ns)
                if scalp.is_stop_standing != was_standing:
                    self._emit(t_ns, "stop_watch", stop_record(scalp, quote, self._params.scalp.stop_loss_pct))
                if found is not None:
                    self.leave(scalp, found, t_ns)

    def on_instant(self, t_ns: int) -> None:
        """Hold the clock and momentum against every position."""
        for scalp in list(self.scalps):
            if scalp.held > 0 and not scalp.is_leaving:
                quote = self._view.quote(scalp.instrument.instrument_id)
                found = self._exits.check_instant(scalp, quote, self._view.reversal_pct, t_ns)
                if found is not None:
                    self.leave(scalp, found, t_ns)
            elif scalp.held == 0 and t_ns >= self._exits.flatten_ns:
                self._call_off(scalp, self._exits.flatten_signal(t_ns), t_ns)

    def on_deadline(self, t_ns: int) -> None:
        """Decide standing stops and re-price what has worked long enough."""
        for scalp in list(self.scalps):
            quote = self._view.quote(scalp.instrument.instrument_id)
            if not scalp.is_leaving and scalp.is_stop_standing and scalp.held > 0:
                found = self._exits.check_deadline(scalp, quote, t_ns)
                if found is not None:
                    self.leave(scalp, found, t_ns)
            if t_ns >= scalp.retry_ns:
                self._reprice(scalp, t_ns)

    def _reprice(self, scalp: Scalp, t_ns: int) -> None:
        if scalp.working is None:
            scalp.retry_ns = NEVER_NS
            self._go_on_leaving(scalp, t_ns)
        elif scalp.working.leg is Leg.EXIT and scalp.exit_tries > self._params.risk.exit_reprices_max:
            # The last exit asks for any price and rests until it fills or the contract expires.
            scalp.retry_ns = NEVER_NS
        else:
            self._take_back(scalp, "reprice", t_ns)

    def leave(self, scalp: Scalp, exit_signal: ExitSignal, t_ns: int) -> None:
        """Write an exit down and begin to sell."""
        quote = self._view.quote(scalp.instrument.instrument_id)
        scalp.exit_reason = str(exit_signal.reason)
        scalp.exit_bid_e4 = max(quote.bid_e4, 0)
        scalp.stop_since_ns = NEVER_NS
        self._emit(t_ns, "exit", exit_record(scalp, exit_signal, t_ns))
        self._go_on_leaving(scalp, t_ns)

    def leave_all(self, reason: ExitReason, message: str, t_ns: int) -> None:
        """Leave every position and take every entry back (a gap, an operator, a protection)."""
        why = ExitSignal(reason, 0.0, 0.0, message)
        for scalp in list(self.scalps):
            if scalp.held > 0 and not scalp.is_leaving:
                self.leave(scalp, why, t_ns)
            elif scalp.held == 0:
                self._call_off(scalp, why, t_ns)

    def _call_off(self, scalp: Scalp, why: ExitSignal, t_ns: int) -> None:
        """Take an entry back for good: no other try follows, and what fills all the same is sold at once."""
        if scalp.called_off is None:
            scalp.called_off = why
        self._take_back(scalp, why.message, t_ns)

    def _go_on_leaving(self, scalp: Scalp, t_ns: int) -> None:
        """The next step out: take a working entry back first, then sell what is held."""
        if scalp.working is not None:
            if scalp.working.leg is Leg.ENTRY:
                self._take_back(scalp, "exit", t_ns)
            return
        if scalp.held == 0:
            self._give_up(scalp, "left before it was filled", t_ns)
            return
        bid_e4 = max(self._view.quote(scalp.instrument.instrument_id).bid_e4, 0)
        scalp.exit_tries += 1
        limit_e4 = exit_limit_e4(scalp.instrument, bid_e4, scalp.exit_tries, self._params.risk)
        self._send(scalp, Leg.EXIT, scalp.exit_tries, scalp.held, limit_e4, scalp.exit_reason, t_ns)

    # --- the end of a scalp ----------------------------------------------------------------------------

    def _close(self, scalp: Scalp, t_ns: int) -> None:
        """Book a scalp of which nothing is held any more."""
        gross_e4 = (scalp.sold_sum_e4 - scalp.bought_sum_e4) * STANDARD_MULTIPLIER
        fees_e4 = self._ledger.close_trade(gross_e4, scalp.fills)
        scalp.take_bid_extremes(*self._view.bid_extremes_e4(scalp.instrument.instrument_id))
        self._tally.realised_e4 = self._ledger.realised_e4
        if gross_e4 - fees_e4 < 0:
            self._tally.losses_in_a_row += 1
            self._tally.last_loss_ns = t_ns
        else:
            self._tally.losses_in_a_row = 0
        self._emit(t_ns, "trade", trade_record(scalp, self.trades, fees_e4, t_ns))
        self.trades += 1
        self._forget(scalp)

    def expire(self, scalp: Scalp, intrinsic_e4: int, t_ns: int) -> None:
        """Settle contracts still held at their expiry at their intrinsic value."""
        scalp.exit_reason = str(ExitReason.EXPIRED)
        scalp.exit_bid_e4 = intrinsic_e4
        message = f"expired with {scalp.held} held"
        expired = ExitSignal(ExitReason.EXPIRED, e4_to_usd(intrinsic_e4), 0.0, message)
        self._emit(t_ns, "exit", exit_record(scalp, expired, t_ns))
        self._ledger.cash_e4 += intrinsic_e4 * scalp.held * STANDARD_MULTIPLIER
        scalp.sold_sum_e4 += intrinsic_e4 * scalp.held
        scalp.sold += scalp.held
        scalp.held = 0
        self._close(scalp, t_ns)

    # --- what the driver must know ------------------------------------------------------------------------

    def deadline_ns(self) -> int:
        """The next time at which something must be decided though no row comes."""
        times = [NEVER_NS]
        for scalp in self.scalps:
            times.append(scalp.retry_ns)
            if scalp.held > 0 and not scalp.is_leaving:
                times.append(self._exits.stop_deadline_ns(scalp))
        return min(times)

    def wake_ns(self) -> int:
        """The next time from which an instant must be looked at for an exit."""
        times = [NEVER_NS]
        for scalp in self.scalps:
            if scalp.held > 0 and not scalp.is_leaving:
                times.append(self._exits.next_time_ns(scalp))
            elif scalp.held == 0 and scalp.called_off is None:
                times.append(self._exits.flatten_ns)
        return min(times)

    def watches(self) -> dict[int, Watch]:
        """What each contract's quotes are watched for."""
        watches: dict[int, Watch] = {}
        for scalp in self.scalps:
            if scalp.held == 0:
                continue
            instrument_id = scalp.instrument.instrument_id
            watch = self._watch(scalp)
            # Two scalps in one contract: look at every quote, each with its own limits.
            watches[instrument_id] = (WATCH_EVERY, 0, 0) if instrument_id in watches else watch
        return watches

    def _watch(self, scalp: Scalp) -> Watch:
        if scalp.is_leaving:
            # No limit is watched any more, but the extremes of the bid are still followed.
            return (WATCH_LOW, -1, 0)
        low_e4 = stop_bid_e4(scalp.average_e4, self._params.scalp.stop_loss_pct)
        high_e4 = target_bid_e4(scalp.average_e4, self._params.scalp.take_profit_pct)
        bits = WATCH_HIGH | (WATCH_RECOVERY if scalp.is_stop_standing else WATCH_LOW)
        if self._exits.needs_every_quote:
            bits |= WATCH_EVERY
        return (bits, low_e4, high_e4)


def _why_unfilled(scalp: Scalp, reply: Reply) -> str:
    if scalp.called_off is not None:
        return scalp.called_off.message
    return "not filled within the slippage budget" if reply.kind is ReplyKind.CANCELLED else reply.reason
