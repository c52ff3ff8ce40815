"""What befalls orders on purpose once they are taken: rejected at the market, filled in slices, filled after all.

Decides which order is hit, by the running fault script. Leaves doing it to `account.py`.
"""

from __future__ import annotations

from typing import Protocol

from scalpcli.exchange.fault_script import FaultName, Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.orders import Order
from scalpcli.exchange.serving_log import ServingLog


class OrderFaults(Protocol):
    """What befalls orders at the market on purpose."""

    def rejects(self, order: Order) -> bool:
        """Whether an order that was taken is rejected when it arrives."""

    def contracts_max(self, order: Order) -> int:
        """Contracts of it that one quote fills at most; 0 = all that it shows."""

    def fills_instead(self, order: Order) -> bool:
        """Whether it fills whole just before it would have been cancelled."""


class ScriptedOrders:
    """Orders as a fault script hits them.

    Args:
        engine: The running script.
        log: Where hits are noted.
    """

    def __init__(self, engine: FaultEngine, log: ServingLog) -> None:
        self._engine, self._log = engine, log
        self._slices: dict[str, int] = {}
        """Order -> contracts of a slice, 0 = not sliced; decided once, when it first meets a quote."""

    def rejects(self, order: Order) -> bool:
        """Whether an order that was taken is rejected when it arrives."""
        return self._is_hit(FaultName.REJECT_LATE, order)

    def contracts_max(self, order: Order) -> int:
        """Contracts of it that one quote fills at most; 0 = all that it shows."""
        if order.order_id not in self._slices:
            fault = self._engine.takes(FaultName.SLICE, Scope.REST, tags_of(order))
            self._slices[order.order_id] = fault.contracts if fault is not None else 0
        return self._slices[order.order_id]

    def fills_instead(self, order: Order) -> bool:
        """Whether it fills whole just before it would have been cancelled."""
        return self._is_hit(FaultName.FILL_ON_CANCEL, order)

    def _is_hit(self, name: FaultName, order: Order) -> bool:
        if self._engine.takes(name, Scope.REST, tags_of(order)) is None:
            return False
        self._log.event("order_hit", fault=name.value, order=order.request.client_order_id)
        return True


def tags_of(order: Order) -> frozenset[str]:
    """What a fault's `on` may call an order."""
    return frozenset({"order", order.request.side.value, order.request.kind})
