"""The session's scalps and their money: what was bought, sold, closed, given up, and begun anew.

Keeps the books; when to buy, sell or leave is decided in `executor`.
"""

from __future__ import annotations

from scalpcli.core.execution_records import trade_record
from scalpcli.core.exits import ScalpExitManager
from scalpcli.core.gates import SessionTally
from scalpcli.core.order_flow import SentOrder
from scalpcli.core.position import Scalp
from scalpcli.core.risk import Ledger
from scalpcli.core.signals import Emit
from scalpcli.core.view import MarketView
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.model.order import OrderSide


class ScalpBooks:
    """The scalps of one session.

    Args:
        view: The market.
        exits: When the last rung is due.
        ledger: The session's money.
        tally: What gates ask about.
        emit: Takes decisions.
    """

    def __init__(
        self, view: MarketView, exits: ScalpExitManager, ledger: Ledger, tally: SessionTally, emit: Emit
    ) -> None:
        self._view = view
        self._exits = exits
        self.ledger = ledger
        self.tally = tally
        self._emit = emit
        self.scalps: list[Scalp] = []
        """Live scalps: an order works, or contracts are held."""
        self.trades = 0

    def is_live(self, scalp: Scalp) -> bool:
        """Whether it has not been closed or given up."""
        return any(each is scalp for each in self.scalps)

    def claim(self, limit_e4: int, quantity: int) -> None:
        """Claim the premium of an entry order."""
        self.ledger.committed_e4 += limit_e4 * quantity * STANDARD_MULTIPLIER

    def release(self, sent: SentOrder, quantity: int) -> None:
        """Give the claim back for contracts of an order that were filled, or will not be; only entries claim."""
        if sent.order.side is OrderSide.BUY:
            self.ledger.committed_e4 -= sent.order.limit_e4 * min(quantity, sent.remaining) * STANDARD_MULTIPLIER

    def buy(self, scalp: Scalp, quantity: int, price_e4: int, t_ns: int) -> None:
        """Book contracts bought."""
        scalp.fills.append(self.ledger.add_fill(OrderSide.BUY, quantity, price_e4, scalp.number))
        if scalp.bought == 0:
            self.tally.scalps_waiting -= 1
            self.tally.scalps_opened += 1
            scalp.opened_ns = t_ns
            if scalp.instrument.expiry == self._exits.date:
                scalp.last_rung_ns = max(self._exits.last_rung_ns, t_ns)
            self._restart_bid_extremes(scalp)
        scalp.held += quantity
        scalp.bought += quantity
        scalp.bought_sum_e4 += price_e4 * quantity
        self.ledger.open_premium_e4 += price_e4 * quantity * STANDARD_MULTIPLIER

    def sell(self, scalp: Scalp, quantity: int, price_e4: int) -> int:
        """Book contracts sold; how many of them were not held."""
        unheld = max(0, quantity - scalp.held)
        booked = quantity - unheld
        scalp.fills.append(self.ledger.add_fill(OrderSide.SELL, quantity, price_e4, scalp.number))
        scalp.held -= booked
        scalp.sold += booked
        scalp.sold_sum_e4 += price_e4 * booked
        self.ledger.unmatched_e4 += price_e4 * unheld * STANDARD_MULTIPLIER
        return unheld

    def match(self, scalp: Scalp, quantity: int, price_e4: int) -> None:
        """Let contracts that another scalp's order sold beyond its own count as this one's; the money is booked."""
        scalp.held -= quantity
        scalp.sold += quantity
        scalp.sold_sum_e4 += price_e4 * quantity
        self.ledger.unmatched_e4 -= price_e4 * quantity * STANDARD_MULTIPLIER

    def settle(self, scalp: Scalp, intrinsic_e4: int) -> None:
        """Book contracts that expired at their intrinsic value: no sale, no fee."""
        self.ledger.cash_e4 += intrinsic_e4 * scalp.held * STANDARD_MULTIPLIER
        scalp.sold_sum_e4 += intrinsic_e4 * scalp.held
        scalp.sold += scalp.held
        scalp.held = 0

    def _restart_bid_extremes(self, scalp: Scalp) -> None:
        """Let the extremes of the bid count from now; scalps that share the contract keep what they saw."""
        instrument_id = scalp.instrument.instrument_id
        for other in self.scalps:
            if other is not scalp and other.held > 0 and other.instrument.instrument_id == instrument_id:
                other.take_bid_extremes(*self._view.bid_extremes_e4(instrument_id))
        self._view.restart_bid_extremes(instrument_id)

    def close(self, scalp: Scalp, t_ns: int) -> None:
        """Book a scalp of which nothing is held any more."""
        gross_e4 = (scalp.sold_sum_e4 - scalp.bought_sum_e4) * STANDARD_MULTIPLIER
        fees_e4 = self.ledger.close_trade(gross_e4, scalp.fills)
        self.ledger.open_premium_e4 -= scalp.bought_sum_e4 * STANDARD_MULTIPLIER
        scalp.take_bid_extremes(*self._view.bid_extremes_e4(scalp.instrument.instrument_id))
        self.tally.realised_e4 = self.ledger.realised_e4
        if gross_e4 - fees_e4 < 0:
            self.tally.losses_in_a_row += 1
            self.tally.last_loss_ns = t_ns
        else:
            self.tally.losses_in_a_row = 0
        self._emit(t_ns, "trade", trade_record(scalp, self.trades, fees_e4, t_ns))
        self.trades += 1
        self._forget(scalp)

    def give_up(self, scalp: Scalp, reason: str, t_ns: int) -> None:
        """End a scalp of which nothing was bought."""
        self._emit(t_ns, "unfilled", scalp.head() | {"signal": scalp.number, "reason": reason})
        self._forget(scalp)

    def _forget(self, scalp: Scalp) -> None:
        self.scalps.remove(scalp)
        self.tally.scalps_live -= 1
        self.tally.scalps_waiting -= scalp.bought == 0
        self.tally.live_kinds.discard((scalp.signal.trigger, scalp.right))

    def revive(self, scalp: Scalp, quantity: int) -> Scalp:
        """The scalp that contracts of an ended order belong to: itself, or one begun anew where it was closed.

        Args:
            scalp: Whose order it was.
            quantity: Contracts that were bought late.
        """
        for each in self.scalps:
            if each.number == scalp.number:
                return each
        if scalp.bought:
            scalp = Scalp(scalp.signal, scalp.threshold_pct, target_quantity=quantity)
        self.scalps.append(scalp)
        self.tally.scalps_live += 1
        self.tally.scalps_waiting += 1
        self.tally.live_kinds.add((scalp.signal.trigger, scalp.right))
        return scalp
