"""Orders on their way out: what was sent, what is taken back, and what became of each.

Keeps every order of the session, ended or not, because a broker may speak of it late. Decides neither whether nor
at what price to trade: that is `executor`'s and `risk`'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from scalpcli.core.execution_records import order_record
from scalpcli.core.gates import SessionTally
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.position import Scalp
from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.core.signals import Emit
from scalpcli.core.view import MarketView
from scalpcli.model.order import CancelRequest, DoNotExercise, Leg, OrderKind
from scalpcli.model.params import Params
from scalpcli.units import ms_to_ns

Command = ApprovedOrder | CancelRequest | DoNotExercise


@dataclass(slots=True)
class SentOrder:
    """An order that was sent.

    Attributes:
        order: It.
        scalp: Whose it is; another one after a late fill has begun a position anew.
        ts_ns: When it was decided.
        filled: Contracts filled so far.
        has_ended: Whether nothing more is expected of it.
        is_cancelling: Whether it was asked back.
    """

    order: ApprovedOrder
    scalp: Scalp
    ts_ns: int
    filled: int = 0
    has_ended: bool = False
    is_cancelling: bool = False

    @property
    def remaining(self) -> int:
        """Contracts not filled yet."""
        return self.order.quantity - self.filled


class OrderFlow:
    """Sends and takes back the orders of one session.

    Args:
        params: All settings.
        order_prefix: First part of every order id: session and run nonce.
        view: The market.
        tally: What gates ask about; counts messages.
        emit: Takes decisions.
    """

    def __init__(self, params: Params, order_prefix: str, view: MarketView, tally: SessionTally, emit: Emit) -> None:
        self._prefix = order_prefix
        self._tally = tally
        self._view = view
        self._emit = emit
        self._reprice_ns = ms_to_ns(params.risk.reprice_after_ms)
        self.commands: list[Command] = []
        """What is to be sent, in order; whoever drives the engine takes it away."""
        self.sent: dict[str, SentOrder] = {}
        """Every order of the session by its id."""
        self._tries: dict[tuple[int, Leg], int] = {}

    def send(
        self,
        scalp: Scalp,
        leg: Leg,
        quantity: int,
        price_e4: int,
        reason: str,
        t_ns: int,
        kind: OrderKind = OrderKind.LIMIT,
        *,
        is_passive: bool = False,
    ) -> None:
        """Send an order; it is the scalp's working one until it ends.

        Args:
            scalp: Whose it is.
            leg: What it is for.
            quantity: Contracts.
            price_e4: As `risk.approve`.
            reason: Why, for the journal.
            t_ns: When it was decided.
            kind: At what price it may trade.
            is_passive: Whether it waits for the market to come to it.
        """
        attempt = self._tries[scalp.number, leg] = self._tries.get((scalp.number, leg), 0) + 1
        order = approve(
            self._prefix, scalp.number, leg, attempt, scalp.instrument, quantity, price_e4, kind, is_passive=is_passive
        )
        scalp.working = order
        scalp.retry_ns = NEVER_NS if leg is Leg.PROTECT else t_ns + self._reprice_ns
        self.sent[order.order_id] = SentOrder(order, scalp, t_ns)
        self._tally.count_message(t_ns)
        self.commands.append(order)
        self._emit(t_ns, "order", order_record(order, self._view.quote(scalp.instrument.instrument_id), reason))

    def working(self, scalp: Scalp) -> SentOrder | None:
        """The order of a scalp that works, with what became of it so far."""
        return self.sent[scalp.working.order_id] if scalp.working else None

    def take_back(self, scalp: Scalp, reason: str, t_ns: int) -> None:
        """Ask for the working order back, once; it may fill before the cancel arrives."""
        scalp.retry_ns = NEVER_NS
        sent = self.working(scalp)
        if sent is not None:
            self.take_order_back(sent, reason, t_ns)

    def take_order_back(self, sent: SentOrder, reason: str, t_ns: int) -> None:
        """Ask for one order back, once."""
        if sent.is_cancelling:
            return
        sent.is_cancelling = True
        self._tally.count_message(t_ns)
        order_id = sent.order.order_id
        self.commands.append(CancelRequest(order_id))
        self._emit(t_ns, "cancel", {"order_id": order_id, "signal": sent.order.signal, "reason": reason})

    def end(self, sent: SentOrder) -> None:
        """Expect nothing more of an order."""
        sent.has_ended = True
        scalp = sent.scalp
        if scalp.working is sent.order:
            scalp.working = None
            scalp.retry_ns = NEVER_NS
