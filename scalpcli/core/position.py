"""One scalp from its signal to its last fill: what was ordered, what is held, what it cost.

Decides nothing; `executor` moves it, `exits` reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from scalpcli.core.layout import NEVER_NS
from scalpcli.core.risk import ApprovedOrder
from scalpcli.core.signals import ScalpSignal
from scalpcli.model.fees import FeeFill
from scalpcli.model.instrument import Instrument

if TYPE_CHECKING:
    from scalpcli.core.exits import ExitSignal


@dataclass(slots=True)
class Scalp:
    """State of one scalp. Prices in 1/10000 USD a share; `_sum` is price times contracts."""

    signal: ScalpSignal
    threshold_pct: float
    target_quantity: int
    working: ApprovedOrder | None = None
    """The one order that works: entry, exit or protective stop; what was filled of it keeps `order_flow`."""
    retry_ns: int = NEVER_NS
    """When the working order is re-priced, or a refused exit is sent again."""
    entry_tries: int = 0
    exit_tries: int = 0
    is_market_refused: bool = False
    """Whether the broker refused to sell at any price: limits again, then."""
    held: int = 0
    bought: int = 0
    bought_sum_e4: int = 0
    sold: int = 0
    sold_sum_e4: int = 0
    fills: list[FeeFill] = field(default_factory=list)
    opened_ns: int = NEVER_NS
    last_rung_ns: int = NEVER_NS
    """When its contracts must not be held any more, where they expire today and nobody was called yet."""
    stop_since_ns: int = NEVER_NS
    stop_bid_e4: int = 0
    """Last bid that met the stop."""
    best_bid_e4: int = 0
    bid_low_e4: int = NEVER_NS
    bid_high_e4: int = 0
    is_moving: bool = False
    called_off: ExitSignal | None = None
    """Why the entry was taken back for good; what fills all the same is sold at once."""
    exit_reason: str = ""
    exit_bid_e4: int = 0

    @property
    def number(self) -> int:
        """Number of the signal that began it."""
        return self.signal.number

    @property
    def instrument(self) -> Instrument:
        """The contract."""
        return self.signal.selection.instrument

    @property
    def right(self) -> int:
        """CALL or PUT."""
        return self.signal.right

    @property
    def average_e4(self) -> float:
        """Average premium paid a share."""
        return self.bought_sum_e4 / self.bought

    @property
    def is_leaving(self) -> bool:
        """Whether an exit has been decided."""
        return bool(self.exit_reason)

    @property
    def is_stop_standing(self) -> bool:
        """Whether the stop condition holds and waits for its confirmation."""
        return self.stop_since_ns != NEVER_NS

    @property
    def missing(self) -> int:
        """Contracts of the entry not bought yet."""
        return self.target_quantity - self.bought

    def take_bid_extremes(self, low_e4: int, high_e4: int) -> None:
        """Let extremes of the bid seen while it was held count."""
        self.bid_low_e4 = min(self.bid_low_e4, low_e4)
        self.bid_high_e4 = max(self.bid_high_e4, high_e4)

    def head(self) -> dict[str, Any]:
        """The fields records of its episode begin with."""
        return {
            "episode": self.signal.episode,
            "trigger": self.signal.trigger,
            "side": ("call", "put")[self.signal.right],
        }
