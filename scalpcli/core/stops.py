"""What stands against entries until something ends it: the states of a session's protections.

Decides nothing: executor and engine say what stands, gates ask. Every state comes from rows and replies, so a fold
of the same rows has the same ones; that is what makes them survive a restart.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

NOT_LIVE: Final = "not_live"
"""Trading has not begun, or pauses."""
UNKNOWN_ORDER: Final = "unknown_order"
"""The broker has not said whether it has an order."""
RECONCILE: Final = "reconcile"
"""The broker holds something else than we believe."""
OVERSOLD: Final = "oversold"
"""More was sold than was held."""
DAILY_LOSS: Final = "daily_loss"
"""The day's loss was reached; nothing ends it before the session does."""
REJECTS: Final = "rejects"
"""The broker refused several orders in a row."""

ENDED_BY_ARM: Final = (RECONCILE, OVERSOLD, REJECTS)
"""What an operator's `arm` ends; the others end by what they wait for."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One thing that stands against entries.

    Args:
        gate: The gate that refuses for it.
        about: Contract, order or nothing: several may stand for one gate.
        value: What was found.
        limit: What it was held against, same unit.
        detail: In words.
    """

    gate: str
    about: str
    value: float
    limit: float
    detail: str


@dataclass(slots=True)
class Stops:
    """Everything that stands, in the order in which it came."""

    _standing: dict[tuple[str, str], Stop] = field(default_factory=dict)

    def set(self, gate: str, about: str, value: float, limit: float, detail: str) -> None:
        """Let something stand; said again, its numbers are the new ones and its place stays."""
        self._standing[gate, about] = Stop(gate, about, value, limit, detail)

    def clear(self, gate: str, about: str | None = None) -> None:
        """End it, or everything of its gate."""
        for key in [key for key in self._standing if key[0] == gate and about in (None, key[1])]:
            del self._standing[key]

    def has(self, gate: str) -> bool:
        """Whether anything of a gate stands."""
        return any(key[0] == gate for key in self._standing)

    def first(self) -> Stop | None:
        """The oldest that stands."""
        return next(iter(self._standing.values()), None)

    def __iter__(self) -> Iterator[Stop]:
        return iter(self._standing.values())
