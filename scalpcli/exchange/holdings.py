"""What an account holds of one instrument, and what becomes of it by trades and at its expiry."""

from __future__ import annotations

from dataclasses import dataclass

from scalpcli.exchange.orders import multiplier_of
from scalpcli.model.instrument import Instrument
from scalpcli.model.order import OrderSide


@dataclass(slots=True)
class Position:
    """What is held of one instrument.

    Attributes:
        cost_e4: Price times quantity of what is held, 1/10000 USD a share.
        is_exercised: Whether its exercise was asked for.
        is_abandoned: Whether it shall not be exercised.
    """

    instrument: Instrument
    quantity: int = 0
    cost_e4: int = 0
    is_exercised: bool = False
    is_abandoned: bool = False

    def trade(self, side: OrderSide, quantity: int, price_e4: int) -> int:
        """Book a fill; the cash it brings, 1/10000 USD, below 0 where it costs."""
        amount_e4 = price_e4 * quantity * multiplier_of(self.instrument)
        if side is OrderSide.BUY:
            self.quantity += quantity
            self.cost_e4 += price_e4 * quantity
            return -amount_e4
        self.cost_e4 -= self.cost_e4 * quantity // self.quantity
        self.quantity -= quantity
        return amount_e4

    def settle(self, underlying_e4: int) -> tuple[bool, int]:
        """Whether a contract is exercised at its expiry, and the cash that brings, 1/10000 USD.

        Args:
            underlying_e4: Last price of the underlying.
        """
        contract = self.instrument
        over_e4 = underlying_e4 - contract.strike_e4
        value_e4 = over_e4 if contract.right == "C" else -over_e4
        is_exercised = self.is_exercised or (value_e4 > 0 and not self.is_abandoned)
        return is_exercised, value_e4 * self.quantity * contract.multiplier if is_exercised else 0
