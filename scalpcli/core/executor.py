"""Works orders: one executor for every strategy's signals (design, section 6).

Decides what is sent, re-priced, taken back and given up. Leaves when to leave to `exits`, how much to `risk`, the
books to `scalp_books`, and what does not agree with the broker to `discrepancies`. The life of a scalp:

    entry working -> (filled, partly filled, given up) -> held [protective stop working] -> exit decided
      -> what works taken back -> exit working -> (filled | re-priced, again and again) -> closed

One order works at a time: a resting sell holds the quantity, and a cancel must end before the next order.
"""

from __future__ import annotations

import dataclasses

from scalpcli.core.discrepancies import Discrepancies
from scalpcli.core.execution_records import exit_record, fill_record, stop_record
from scalpcli.core.exits import ExitReason, ExitSignal, ScalpExitManager
from scalpcli.core.gates import SessionTally
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.order_flow import Command, OrderFlow, SentOrder
from scalpcli.core.position import Scalp
from scalpcli.core.protections import Protections
from scalpcli.core.risk import Ledger, entry_limit_e4, exit_limit_e4, is_passive_try, protective_stop_e4
from scalpcli.core.scalp_books import ScalpBooks
from scalpcli.core.signals import Emit, ScalpSignal
from scalpcli.core.stops import UNKNOWN_ORDER
from scalpcli.core.view import MarketView
from scalpcli.core.waiting import Watch, wake_ns, watches
from scalpcli.model.order import TERMINAL_REPLIES, Leg, OrderKind, OrderSide, Reply, ReplyKind
from scalpcli.model.params import Params
from scalpcli.units import e4_to_usd, ms_to_ns

__all__ = ["AutoExecutor", "Command", "Watch"]


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
        self._view = view
        self._exits = exits
        self._tally = tally
        self._emit = emit
        self._reprice_ns = ms_to_ns(params.risk.reprice_after_ms)
        self.flow = OrderFlow(params, order_prefix, view, tally, emit)
        self.books = ScalpBooks(view, exits, ledger, tally, emit)
        self.scalps = self.books.scalps
        """Live scalps: an order works, or contracts are held."""
        self.protections = Protections(params, view, ledger, tally, self.flow, emit)
        self.discrepancies = Discrepancies(self, view, tally, emit)
        self.fills = 0

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
        limit_e4 = entry_limit_e4(scalp.signal.selection, scalp.entry_tries, self._params)
        limit_e4 = self.protections.collared_e4(scalp.instrument, limit_e4)
        fault = self.protections.entry_fault(scalp.instrument, scalp.missing, limit_e4, t_ns)
        if not fault:
            is_passive = is_passive_try(scalp.entry_tries, self._params.risk)
            self.flow.send(scalp, Leg.ENTRY, scalp.missing, limit_e4, reason, t_ns, is_passive=is_passive)
            self.books.claim(limit_e4, scalp.missing)
        elif scalp.held == 0:
            self.books.give_up(scalp, fault, t_ns)
        else:
            self._rest_stop(scalp, t_ns)

    # --- what the broker says ------------------------------------------------------------------------

    def on_reply(self, reply: Reply, t_ns: int) -> None:
        """Take one answer of the broker, in whatever order answers come; no fill is dropped."""
        sent = self.flow.sent.get(reply.order_id)
        if sent is None:
            self.discrepancies.on_stranger(reply, t_ns)
            return
        if reply.kind is not ReplyKind.UNKNOWN:
            self._tally.stops.clear(UNKNOWN_ORDER, reply.order_id)
        head = {"order_id": reply.order_id, "signal": sent.order.signal}
        if reply.kind is ReplyKind.FILL:
            self._on_fill(sent, reply, t_ns)
        elif reply.kind is ReplyKind.ACCEPTED:
            self._on_accepted(sent, head | {"ts_market_ns": reply.ts_market_ns}, t_ns)
        elif sent.has_ended:
            return
        elif reply.kind is ReplyKind.UNKNOWN:
            self._emit(t_ns, "unknown", head | {"reason": reply.reason})
            self._on_unknown(sent, reply, t_ns)
        elif reply.kind in TERMINAL_REPLIES:
            filled = {} if reply.kind is ReplyKind.REJECTED else {"filled": sent.filled}
            self._emit(t_ns, str(reply.kind), head | filled | {"reason": reply.reason})
            self._on_end_of_order(sent, reply, t_ns)

    def _on_accepted(self, sent: SentOrder, body: dict[str, object], t_ns: int) -> None:
        if sent.has_ended and sent.remaining == 0:
            # Its fills overtook the news that it was accepted.
            return
        self._tally.rejects_in_a_row = 0
        self._emit(t_ns, "accepted", body)
        if sent.has_ended:
            self.flow.take_order_back(sent, "works though it had ended", t_ns)

    def _on_unknown(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        """Nobody knows whether the broker has it: it counts as working, and buys nothing more if that can be helped."""
        self._tally.stops.set(UNKNOWN_ORDER, reply.order_id, 1.0, 0.0, reply.order_id)
        if sent.order.leg is Leg.ENTRY:
            why = ExitSignal(ExitReason.UNKNOWN_ORDER, 1.0, 0.0, f"outcome of {reply.order_id} unknown")
            self.call_off(sent.scalp, why, t_ns)

    def _on_fill(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        if reply.bid_e4 == 0 and reply.ask_e4 == 0:
            # A true broker does not say what its fill met: what stands when we learn of it is the nearest we have.
            quote = self._view.quote(sent.order.instrument.instrument_id)
            reply = dataclasses.replace(reply, bid_e4=max(quote.bid_e4, 0), ask_e4=max(quote.ask_e4, 0))
        self.fills += 1
        if sent.order.side is OrderSide.BUY:
            self._on_bought(sent, reply, t_ns)
        else:
            self._on_sold(sent, reply, t_ns)

    def _on_bought(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        is_late = sent.has_ended or reply.quantity > sent.remaining
        if sent.has_ended:
            sent.scalp = self.books.revive(sent.scalp, reply.quantity)
        else:
            self.books.release(sent, reply.quantity)
        sent.filled += reply.quantity
        scalp = sent.scalp
        self.books.buy(scalp, reply.quantity, reply.price_e4, t_ns)
        self._emit(t_ns, "fill", fill_record(scalp, sent.order, reply, sent.filled))
        if sent.remaining <= 0:
            self.flow.end(sent)
        if is_late:
            why = ExitSignal(ExitReason.LATE_FILL, reply.quantity, 0.0, f"late fill of {reply.order_id}")
            self.sell_now(scalp, why, t_ns)
        elif scalp.is_leaving:
            self.go_on_leaving(scalp, t_ns)
        elif scalp.called_off is not None:
            self.leave(scalp, scalp.called_off, t_ns)
        else:
            # The quote that stands when the position opens counts: no further one may come for a while.
            self.on_quote(scalp.instrument.instrument_id, t_ns)
            self._rest_stop(scalp, t_ns)

    def _rest_stop(self, scalp: Scalp, t_ns: int) -> None:
        """Let a stop rest at the broker once nothing more is bought, where it is wished for."""
        stop_pct = self._params.exits.protective_stop_pct
        if stop_pct > 0.0 and scalp.held > 0 and scalp.working is None and not scalp.is_leaving:
            stop_e4 = protective_stop_e4(scalp.average_e4, scalp.instrument, stop_pct)
            self.flow.send(scalp, Leg.PROTECT, scalp.held, stop_e4, "protect", t_ns, OrderKind.STOP)

    def _on_sold(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        scalp = sent.scalp
        sent.filled += reply.quantity
        unheld = self.books.sell(scalp, reply.quantity, reply.price_e4)
        self._emit(t_ns, "fill", fill_record(scalp, sent.order, reply, sent.filled))
        if sent.remaining <= 0:
            self.flow.end(sent)
        if unheld:
            self.discrepancies.on_oversold(sent, unheld, reply.price_e4, t_ns)
        if not self.books.is_live(scalp):
            return
        if not scalp.is_leaving:
            stop_e4 = sent.order.stop_e4
            why = ExitSignal(
                ExitReason.PROTECTIVE_STOP, e4_to_usd(reply.price_e4), e4_to_usd(stop_e4), "rested at the broker"
            )
            self.note_exit(scalp, why, t_ns)
        self.go_on_leaving(scalp, t_ns)

    def _on_end_of_order(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        scalp = sent.scalp
        self.books.release(sent, sent.remaining)
        self.flow.end(sent)
        if reply.kind is ReplyKind.REJECTED:
            self.protections.count_reject(t_ns)
        if sent.order.leg is Leg.ENTRY:
            self._after_entry(scalp, reply, t_ns)
        elif not scalp.is_leaving:
            if t_ns < self._exits.close_ns:
                self.discrepancies.on_stop_gone(sent, reply, t_ns)
        elif reply.kind is ReplyKind.CANCELLED or scalp.held == 0 or sent.order.leg is Leg.PROTECT:
            self.go_on_leaving(scalp, t_ns)
        else:
            scalp.is_market_refused |= sent.order.kind is OrderKind.MARKET
            # Asked again after a while, not at once: what refused it a moment ago would refuse it now.
            # After the close every order is refused.
            scalp.retry_ns = t_ns + self._reprice_ns if t_ns < self._exits.close_ns else NEVER_NS

    def _after_entry(self, scalp: Scalp, reply: Reply, t_ns: int) -> None:
        if scalp.called_off is None and t_ns >= self._exits.flatten_ns:
            scalp.called_off = self._exits.flatten_signal(t_ns)
        tries_left = self._params.risk.entry_reprices_max + 1 - scalp.entry_tries
        # Another try is another order to open: what stands against entries stands against it.
        may_go_on = scalp.called_off is None and reply.kind is ReplyKind.CANCELLED and not self._tally.stops.first()
        if scalp.is_leaving:
            self.go_on_leaving(scalp, t_ns)
        elif may_go_on and tries_left > 0 and scalp.missing > 0:
            self._send_entry(scalp, "reprice" if scalp.bought == 0 else "remainder", t_ns)
        elif scalp.held == 0:
            self.books.give_up(scalp, _why_unfilled(scalp, reply), t_ns)
        else:
            self._rest_stop(scalp, t_ns)

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
                self.call_off(scalp, self._exits.flatten_signal(t_ns), t_ns)

    def on_deadline(self, t_ns: int) -> None:
        """Decide standing stops, re-price what has worked long enough, and take the last rung out."""
        for scalp in list(self.scalps):
            quote = self._view.quote(scalp.instrument.instrument_id)
            if not scalp.is_leaving and scalp.is_stop_standing and scalp.held > 0:
                found = self._exits.check_deadline(scalp, quote, t_ns)
                if found is not None:
                    self.leave(scalp, found, t_ns)
            if t_ns >= scalp.retry_ns:
                self._reprice(scalp, t_ns)
        self.discrepancies.last_rung(t_ns)

    def _reprice(self, scalp: Scalp, t_ns: int) -> None:
        if scalp.working is None:
            scalp.retry_ns = NEVER_NS
            self.go_on_leaving(scalp, t_ns)
        elif scalp.working.leg is Leg.EXIT and scalp.exit_tries > self._params.risk.exit_reprices_max:
            # The last exit asks for any price and rests until it fills or the contract expires.
            scalp.retry_ns = NEVER_NS
        else:
            self.flow.take_back(scalp, "reprice", t_ns)

    def leave(self, scalp: Scalp, exit_signal: ExitSignal, t_ns: int) -> None:
        """Write an exit down and begin to sell."""
        self.note_exit(scalp, exit_signal, t_ns)
        self.go_on_leaving(scalp, t_ns)

    def note_exit(self, scalp: Scalp, exit_signal: ExitSignal, t_ns: int) -> None:
        """Write an exit down: from now on the scalp is being left."""
        quote = self._view.quote(scalp.instrument.instrument_id)
        scalp.exit_reason = str(exit_signal.reason)
        scalp.exit_bid_e4 = max(quote.bid_e4, 0)
        scalp.stop_since_ns = NEVER_NS
        self._emit(t_ns, "exit", exit_record(scalp, exit_signal, t_ns))

    def sell_now(self, scalp: Scalp, why: ExitSignal, t_ns: int) -> None:
        """Leave a scalp that should not hold what it holds; no entry of it is tried again."""
        scalp.called_off = scalp.called_off or why
        if scalp.is_leaving:
            self.go_on_leaving(scalp, t_ns)
        else:
            self.leave(scalp, why, t_ns)

    def leave_all(self, reason: ExitReason, message: str, t_ns: int) -> None:
        """Leave every position and take every entry back (a gap, an operator, a protection)."""
        why = ExitSignal(reason, 0.0, 0.0, message)
        for scalp in list(self.scalps):
            if scalp.held > 0 and not scalp.is_leaving:
                self.leave(scalp, why, t_ns)
            elif scalp.held == 0:
                self.call_off(scalp, why, t_ns)

    def call_off(self, scalp: Scalp, why: ExitSignal, t_ns: int) -> None:
        """Take an entry back for good: no other try follows, and what fills all the same is sold at once."""
        if scalp.called_off is None:
            scalp.called_off = why
        self.flow.take_back(scalp, why.message, t_ns)

    def protect(self, t_ns: int) -> None:
        """Follow the day's loss: at its limit entries are taken back, and where it is so set all is sold."""
        if self.protections.follows_loss and self.protections.reaches_loss(self.scalps, t_ns):
            why = ExitSignal(ExitReason.PROTECTION, 0.0, 0.0, "the day's loss is reached")
            for scalp in list(self.scalps):
                if scalp.held == 0:
                    self.call_off(scalp, why, t_ns)
                elif self.protections.sells_at_daily_loss and not scalp.is_leaving:
                    self.leave(scalp, why, t_ns)

    def go_on_leaving(self, scalp: Scalp, t_ns: int) -> None:
        """The next step out: take back what must not work, then sell what is held, then close."""
        sent = self.flow.working(scalp)
        if sent is not None:
            if sent.order.leg is not Leg.EXIT:
                self.flow.take_back(scalp, "exit", t_ns)
            elif sent.remaining > scalp.held:
                self.flow.take_back(scalp, "works for more than is held", t_ns)
        elif scalp.held > 0:
            self._send_exit(scalp, t_ns)
        elif scalp.bought > 0:
            self.books.close(scalp, t_ns)
        else:
            self.books.give_up(scalp, "left before it was filled", t_ns)

    def _send_exit(self, scalp: Scalp, t_ns: int) -> None:
        risk = self._params.risk
        scalp.exit_tries += 1
        is_last = scalp.exit_tries > risk.exit_reprices_max
        if is_last and not scalp.is_market_refused:
            self.flow.send(scalp, Leg.EXIT, scalp.held, 0, scalp.exit_reason, t_ns, OrderKind.MARKET)
            return
        bid_e4 = max(self._view.quote(scalp.instrument.instrument_id).bid_e4, 0)
        limit_e4 = exit_limit_e4(scalp.instrument, bid_e4, scalp.exit_tries, risk)
        self.flow.send(scalp, Leg.EXIT, scalp.held, limit_e4, scalp.exit_reason, t_ns)

    def expire(self, scalp: Scalp, intrinsic_e4: int, t_ns: int) -> None:
        """Settle contracts still held at their expiry at their intrinsic value."""
        message = f"expired with {scalp.held} held"
        expired = ExitSignal(ExitReason.EXPIRED, e4_to_usd(intrinsic_e4), 0.0, message)
        scalp.exit_reason = str(ExitReason.EXPIRED)
        scalp.exit_bid_e4 = intrinsic_e4
        self._emit(t_ns, "exit", exit_record(scalp, expired, t_ns))
        self.books.settle(scalp, intrinsic_e4)
        self.books.close(scalp, t_ns)

    # --- what the driver must know ------------------------------------------------------------------------

    def deadline_ns(self) -> int:
        """The next time at which something must be decided though no row comes."""
        due_ns = NEVER_NS
        for scalp in self.scalps:
            due_ns = min(due_ns, scalp.retry_ns)
            if scalp.held > 0:
                due_ns = min(due_ns, scalp.last_rung_ns)
                if not scalp.exit_reason:
                    due_ns = min(due_ns, self._exits.stop_deadline_ns(scalp))
        return due_ns

    def wake_ns(self) -> int:
        """The next time from which an instant must be looked at for an exit."""
        return wake_ns(self.scalps, self._exits) if self.scalps else NEVER_NS

    def watches(self) -> dict[int, Watch]:
        """What each contract's quotes are watched for."""
        return watches(self.scalps, self._exits, self._params) if self.scalps else {}


def _why_unfilled(scalp: Scalp, reply: Reply) -> str:
    if scalp.called_off is not None:
        return scalp.called_off.message
    return "not filled within the slippage budget" if reply.kind is ReplyKind.CANCELLED else reply.reason
