"""A broker that fills by what the tape shows (definitions, section 8).

When a simulated order fills is decided here, and nowhere else. Its assumptions:

1. An order or a cancel reaches the market `order_latency_ms` after the decision; we learn of anything
   `report_latency_ms` after it happened. Both may be drawn from a file, in order of submission, seeded.
2. It meets the best bid and offer that stand at its arrival: the last quote with `ts_recv_ns <= arrival`.
   What is left then meets each later quote of the contract, in tape order.
3. A buy fills at the ask when the ask is at or below its limit, a sell at the bid when the bid is at or
   above its limit: the market's price, never better than shown and never inside the spread.
4. It takes no more than the size shown, and never the same size twice: while the price on that side
   stands, what was taken there stays taken; another price is other size.
5. A one-sided quote fills on the side it has. Nothing fills on a crossed quote, a quote older than
   `quote_age_ms_max`, while the contract or the underlying is halted, while option quotes are blind, or on
   a quote from before the last halt or blindness ended.
6. Our orders move nothing: no other participant reacts, no queue is joined, no print fills us.
7. A limit off the tick grid, a contract past its expiry or a closed session is rejected at arrival.
8. A cancel takes back what is unfilled when it arrives. A cancel of an ended order says nothing more.
9. What works at the close of the session expires then.
10. A market order takes what is shown at any price. A stop order wakes up on a bid at or below its stop price, of
   a quote that may fill, and is a market order from then on.
11. A passive order that has waited trades at its own limit when the other side comes to it, not at a better price:
   whoever crosses the spread takes the price that stands, which is ours. One that the market has reached when it
   arrives trades as any other.
12. Fees are the ledger's; exercise and assignment do not exist, expiry settles at intrinsic value.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.risk import ApprovedOrder
from scalpcli.core.view import MarketView, Quote
from scalpcli.model.order import CancelRequest, DoNotExercise, OrderKind, Reply, ReplyKind
from scalpcli.model.row import UNDERLYING_ID
from scalpcli.model.session import Session
from scalpcli.model.trade_params import SimulatedBrokerParams
from scalpcli.runtime.fill_rules import ShownSizes, can_fill, refusal
from scalpcli.units import ms_to_ns

_AT_MARKET: Final = 0
_TO_US: Final = 1


class Latencies:
    """Times between us and the market.

    Args:
        params: The fixed values and the seed.
        drawn_ms: Rows of order and report latency to draw from, shape ``(n, 2)``; `None` = the fixed values.
    """

    def __init__(self, params: SimulatedBrokerParams, drawn_ms: NDArray[np.float64] | None) -> None:
        self._fixed_ns = (ms_to_ns(params.order_latency_ms), ms_to_ns(params.report_latency_ms))
        self._drawn_ms = drawn_ms
        # Importing NumPy's generators costs 20 ms, which only a replay with drawn latencies should pay.
        self._random = None if drawn_ms is None else np.random.Generator(np.random.PCG64(params.seed))

    def next(self) -> tuple[int, int]:
        """Order and report latency of the next submission, nanoseconds."""
        if self._drawn_ms is None or self._random is None:
            return self._fixed_ns
        order_ms, report_ms = self._drawn_ms[int(self._random.integers(len(self._drawn_ms)))]
        return ms_to_ns(float(order_ms)), ms_to_ns(float(report_ms))


@dataclass(slots=True)
class _Working:
    """An order at the market."""

    order: ApprovedOrder
    report_ns: int
    remaining: int
    is_awake: bool
    """Whether it may trade: a stop sleeps until its price is met."""
    has_waited: bool = False
    """Whether it met a quote and was not filled by it as a whole."""


@dataclass(order=True, slots=True)
class _Event:
    ts_ns: int
    # At one time the market acts before we learn; within each, order of submission.
    phase: int
    number: int
    act: Callable[[], None] | None = field(compare=False, default=None)
    reply: Reply | None = field(compare=False, default=None)


class SimulatedBroker:
    """Fills orders of one session by its quotes.

    Args:
        params: Latencies and age of quotes.
        session: Whose close ends every order.
        view: The market as the tape tells it.
        latencies: Times between us and the market.
    """

    def __init__(self, params: SimulatedBrokerParams, session: Session, view: MarketView, latencies: Latencies) -> None:
        self._session = session
        self._view = view
        self._latencies = latencies
        self._quote_age_ns = ms_to_ns(params.quote_age_ms_max)
        self._events: list[_Event] = []
        self._numbers = 0
        self._working: dict[str, _Working] = {}
        self._shown = ShownSizes()
        self._arrivals: dict[str, int] = {}
        """When each order on its way reaches the market."""
        self._now_ns = 0
        self._is_close_due = False

    def send(self, command: Command, t_ns: int) -> None:
        """Take an order or a cancel on its way to the market."""
        if isinstance(command, DoNotExercise):
            # Exercise does not exist here (12).
            return
        order_ns, report_ns = self._latencies.next()
        if isinstance(command, CancelRequest):
            # Latencies are drawn, but a cancel does not overtake its order.
            arrival_ns = max(t_ns + order_ns, self._arrivals.get(command.order_id, 0))
            self._at(arrival_ns, lambda: self._cancel(command.order_id))
        else:
            self._arrivals[command.order_id] = t_ns + order_ns
            self._at(t_ns + order_ns, lambda: self._arrive(command, report_ns))
            if not self._is_close_due:
                self._is_close_due = True
                self._at(self._session.close_ns, self._expire_all)

    def next_ns(self) -> int:
        """When something happens next, here or at the market."""
        return self._events[0].ts_ns if self._events else NEVER_NS

    def run(self, t_ns: int) -> list[Reply]:
        """Let everything due at `t_ns` happen; every row up to then is folded. What we learn, in order."""
        learned: list[Reply] = []
        while self._events and self._events[0].ts_ns <= t_ns:
            event = heapq.heappop(self._events)
            self._now_ns = event.ts_ns
            if event.act is not None:
                event.act()
            elif event.reply is not None:
                learned.append(event.reply)
        return learned

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """Let orders in one contract meet its new quote."""
        self._now_ns = t_ns
        self._shown.on_quote(instrument_id, self._view.quote(instrument_id))
        for working in list(self._working.values()):
            if working.order.instrument.instrument_id == instrument_id:
                self._match(working)

    def watched(self) -> set[int]:
        """Contracts whose every quote may fill an order, or ends the price at which size was taken."""
        working = {working.order.instrument.instrument_id for working in self._working.values()}
        return working | self._shown.instruments()

    def _at(self, ts_ns: int, act: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._events, _Event(ts_ns, _AT_MARKET, self._numbers, act))

    def _report(self, working_report_ns: int, reply: Reply) -> None:
        self._numbers += 1
        heapq.heappush(self._events, _Event(self._now_ns + working_report_ns, _TO_US, self._numbers, None, reply))

    def _arrive(self, order: ApprovedOrder, report_ns: int) -> None:
        del self._arrivals[order.order_id]
        instrument = order.instrument
        reason = refusal(
            self._session,
            self._now_ns,
            expiry=instrument.expiry,
            tick_rule=instrument.tick_rule,
            limit_e4=order.limit_e4 or order.stop_e4,
        )
        if reason:
            self._report(report_ns, Reply(ReplyKind.REJECTED, order.order_id, self._now_ns, reason=reason))
            return
        working = _Working(order, report_ns, order.quantity, order.kind is not OrderKind.STOP)
        self._working[order.order_id] = working
        self._report(report_ns, Reply(ReplyKind.ACCEPTED, order.order_id, self._now_ns))
        self._match(working)

    def _cancel(self, order_id: str) -> None:
        working = self._working.pop(order_id, None)
        if working is not None:
            self._report(working.report_ns, Reply(ReplyKind.CANCELLED, order_id, self._now_ns, reason="taken back"))

    def _expire_all(self) -> None:
        for order_id, working in list(self._working.items()):
            del self._working[order_id]
            # Not before the fills that are still on their way to us.
            self._report(
                working.report_ns, Reply(ReplyKind.EXPIRED, order_id, self._now_ns, reason="end of the session")
            )

    def _match(self, working: _Working) -> None:
        """Fill what the quote that stands allows."""
        order = working.order
        quote = self._view.quote(order.instrument.instrument_id)
        if not self._can_fill(order.instrument.instrument_id, quote):
            return
        working.is_awake = working.is_awake or 0 < quote.bid_e4 <= order.stop_e4
        if not working.is_awake:
            return
        quantity, price_e4 = self._shown.take(
            order.instrument.instrument_id, order.side, order.limit_e4, working.remaining, quote
        )
        has_waited, working.has_waited = working.has_waited, True
        if not quantity:
            return
        if order.is_passive and has_waited:
            price_e4 = order.limit_e4
        working.remaining -= quantity
        if working.remaining == 0:
            del self._working[order.order_id]
        fill = Reply(ReplyKind.FILL, order.order_id, self._now_ns, quantity, price_e4, quote.bid_e4, quote.ask_e4)
        self._report(working.report_ns, fill)

    def _can_fill(self, instrument_id: int, quote: Quote) -> bool:
        halted_until_ns = max(self._view.halt_end_ns(instrument_id), self._view.halt_end_ns(UNDERLYING_ID))
        return can_fill(
            quote,
            now_ns=self._now_ns,
            age_ns_max=self._quote_age_ns,
            is_halted=self._view.is_halted(instrument_id) or self._view.is_halted(UNDERLYING_ID),
            sees_since_ns=max(halted_until_ns, self._view.sees_options_since_ns()),
        )
