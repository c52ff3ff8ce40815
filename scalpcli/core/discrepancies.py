"""What does not agree with the broker: fills nobody expected, positions that differ, contracts left near the close.

Decides how the books are made to agree and what somebody must be told. Nothing here opens a position: what turns up
is sold, what is missing is booked as sold elsewhere, and what cannot be explained ends entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from scalpcli.core.exits import ExitReason, ExitSignal
from scalpcli.core.gates import SessionTally
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.order_flow import SentOrder
from scalpcli.core.position import Scalp
from scalpcli.core.signals import Emit
from scalpcli.core.stops import OVERSOLD, RECONCILE
from scalpcli.core.view import MarketView
from scalpcli.model.note import Note
from scalpcli.model.order import DoNotExercise, Leg, Reply, ReplyKind

if TYPE_CHECKING:
    from scalpcli.core.executor import AutoExecutor


class Discrepancies:
    """Differences of one session.

    Args:
        executor: Whose orders and positions they concern.
        view: The market.
        tally: What gates ask about.
        emit: Takes decisions.
    """

    def __init__(self, executor: AutoExecutor, view: MarketView, tally: SessionTally, emit: Emit) -> None:
        self._executor = executor
        self._view = view
        self._stops = tally.stops
        self._emit = emit
        self._not_exercised: set[str] = set()

    def alarm(self, text: str, about: str, value: float | None, limit: float | None, t_ns: int) -> None:
        """Say what somebody must look at."""
        self._emit(t_ns, "alarm", {"text": text, "about": about, "value": value, "limit": limit})

    # --- replies -----------------------------------------------------------------------------------------

    def on_stranger(self, reply: Reply, t_ns: int) -> None:
        """A word about an order that is none of this session's: only a fill matters, and it is not ours to book."""
        if reply.kind is ReplyKind.FILL:
            self.alarm("fill of an order that this session did not send", reply.order_id, reply.quantity, 0.0, t_ns)

    def on_oversold(self, sent: SentOrder, unheld: int, price_e4: int, t_ns: int) -> None:
        """An order sold more than its scalp held: other scalps' contracts first, then what nobody here held.

        Its fill is booked, and what is held never goes below zero.
        """
        symbol = sent.order.instrument.symbol
        for scalp in self._of(symbol):
            quantity = min(unheld, scalp.held)
            if quantity > 0:
                unheld -= quantity
                if not scalp.is_leaving:
                    message = f"sold by {sent.order.order_id}"
                    why = ExitSignal(ExitReason.EXTERNAL, float(quantity), float(scalp.held), message)
                    self._executor.note_exit(scalp, why, t_ns)
                self._executor.books.match(scalp, quantity, price_e4)
                self._executor.go_on_leaving(scalp, t_ns)
        if unheld == 0:
            return
        self._stops.set(OVERSOLD, symbol, float(unheld), 0.0, symbol)
        self.alarm(f"{sent.order.order_id} sold more than was held", symbol, float(unheld), 0.0, t_ns)

    def on_stop_gone(self, sent: SentOrder, reply: Reply, t_ns: int) -> None:
        """The protective stop ended without selling and without our wish: nothing protects what is held but we."""
        text = f"no stop rests at the broker any more: {reply.kind}"
        self.alarm(text, sent.order.order_id, float(sent.scalp.held), 0.0, t_ns)

    # --- positions ---------------------------------------------------------------------------------------

    def held(self, symbol: str) -> int:
        """Contracts of one symbol that we hold."""
        return sum(scalp.held for scalp in self._of(symbol))

    def _of(self, symbol: str) -> list[Scalp]:
        return [scalp for scalp in self._executor.scalps if scalp.instrument.symbol == symbol]

    def reconcile(self, note: Note) -> None:
        """Take the result of a comparison with the broker.

        One that compared what is not held any more changes nothing: the next comparison is a moment away.
        """
        body, t_ns = note.body, note.ts_recv_ns
        symbol, broker, price_e4, action = body["symbol"], body["broker"], body["price_e4"], body["action"]
        ours, reason = self.held(symbol), str(body.get("reason", ""))
        is_new = int(body["held"]) == ours
        entry = self._last_entry(symbol)
        can_adopt = is_new and (broker <= ours or entry is not None)
        record = {
            "symbol": symbol,
            "action": action,
            "held": int(body["held"]),
            "broker": broker,
            "price_e4": price_e4,
            "applied": can_adopt if action == "adopt" else True,
            "reason": reason,
        }
        self._emit(t_ns, "reconcile", record)
        if action == "clear":
            self._stops.clear(RECONCILE, symbol)
        elif action == "stop" or (is_new and not can_adopt):
            self._stops.set(RECONCILE, symbol, float(broker), float(ours), reason or symbol)
        elif can_adopt:
            self._stops.clear(RECONCILE, symbol)
            self._adopt(symbol, ours, broker, price_e4, entry, t_ns)

    def _adopt(self, symbol: str, ours: int, broker: int, price_e4: int, entry: SentOrder | None, t_ns: int) -> None:
        if broker < 0:
            self._stops.set(OVERSOLD, symbol, float(-broker), 0.0, symbol)
            self.alarm("the account is short", symbol, float(broker), 0.0, t_ns)
        if broker < ours:
            self._sold_elsewhere(symbol, ours - max(broker, 0), price_e4, broker, t_ns)
        elif broker > ours and entry is not None:
            quote = self._view.quote(entry.order.instrument.instrument_id)
            entry.scalp = self._executor.books.revive(entry.scalp, broker - ours)
            self._executor.books.buy(entry.scalp, broker - ours, price_e4 or max(quote.ask_e4, 0), t_ns)
            why = ExitSignal(ExitReason.ADOPTED, float(broker), float(ours), "the broker holds more than we knew of")
            self._executor.sell_now(entry.scalp, why, t_ns)

    def _sold_elsewhere(self, symbol: str, missing: int, price_e4: int, broker: int, t_ns: int) -> None:
        """Book what is gone as sold, from the oldest scalp on; what is left of each is left too."""
        for scalp in self._of(symbol):
            quantity = min(missing, scalp.held)
            if quantity == 0:
                continue
            missing -= quantity
            if not scalp.is_leaving:
                why = ExitSignal(ExitReason.EXTERNAL, float(broker), float(scalp.held), "sold by somebody else")
                self._executor.note_exit(scalp, why, t_ns)
            bid_e4 = max(self._view.quote(scalp.instrument.instrument_id).bid_e4, 0)
            self._executor.books.sell(scalp, quantity, price_e4 or bid_e4)
            self._executor.go_on_leaving(scalp, t_ns)

    def _last_entry(self, symbol: str) -> SentOrder | None:
        """The last order by which we may have bought a contract."""
        entries = [
            sent
            for sent in self._executor.flow.sent.values()
            if sent.order.instrument.symbol == symbol and sent.order.leg is Leg.ENTRY
        ]
        return entries[-1] if entries else None

    # --- the last rung -----------------------------------------------------------------------------------

    def last_rung(self, t_ns: int) -> None:
        """Ask that what is still held of today's expiry is not exercised, once a contract, and call somebody."""
        for scalp in self._executor.scalps:
            if scalp.held == 0 or t_ns < scalp.last_rung_ns:
                continue
            scalp.last_rung_ns = NEVER_NS
            symbol = scalp.instrument.symbol
            if symbol not in self._not_exercised:
                held = self.held(symbol)
                self._not_exercised.add(symbol)
                self._executor.flow.commands.append(DoNotExercise(symbol))
                self._emit(t_ns, "do_not_exercise", {"symbol": symbol, "held": held})
                self.alarm("still held near the close on its last day", symbol, float(held), 0.0, t_ns)
