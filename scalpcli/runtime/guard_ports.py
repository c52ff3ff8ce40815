"""What a guard touches outside of itself: the engine's process and time, handed in; and how patient it is.

Decides nothing. A running guard hands in processes and sockets, tests a scripted engine in virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from scalpcli.model.instrument import TickRule
from scalpcli.runtime.process_identity import ProcessIdentity


class EngineProcess(Protocol):
    """The engine as the guard sees it from outside."""

    async def ping(self, answer_s: float) -> bool:
        """Whether it answers within `answer_s` seconds; no wait where nobody listens."""

    def identity(self) -> ProcessIdentity | None:
        """The process that holds the run, or held it last; none where none is known."""

    def is_running(self, process: ProcessIdentity) -> bool:
        """Whether this very process still runs, stopped ones included."""

    def kill(self, process: ProcessIdentity) -> None:
        """End this very process at once.

        Raises:
            PermissionError: it is another user's.
        """

    def lock(self) -> bool:
        """Take the run's lock; whether that was possible. Whoever holds it may send orders."""

    def unlock(self) -> None:
        """Give the run's lock back, where it was taken."""

    def has_ended(self) -> bool:
        """Whether the run ended in order."""

    def is_here(self) -> bool:
        """Whether the run still lies where it lay; not when it was set aside for another of the day."""


class GuardClock(Protocol):
    """What a guard knows of time."""

    def now_ns(self) -> int:
        """Time at the market, UTC nanoseconds."""

    def seconds(self) -> float:
        """A clock that only goes forward, seconds."""

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True, slots=True)
class GuardRules:
    """How patient a guard is, and how it sells.

    Attributes:
        timeout_s: Seconds without an answer after which the engine counts as gone.
        ping_s: Seconds between two questions.
        settle_s: Seconds in which what a killed process had sent reaches the broker, and a fill the position.
        poll_s: Seconds between two looks at an order of which an end is expected.
        retry_s: Seconds between two questions to a broker that is silent, and after an order it refused.
        reprice_s: Seconds a sale works before it is taken back and the next goes lower.
        lock_s: Seconds for which the run's lock is tried.
        stay_s: Seconds after the close for which it waits for a silent broker's word.
        broker_gone_s: Seconds of the broker's silence after which it leaves; in a rehearsal, whose exchange ends.
        through_ticks: Ticks below the bid of the first sale; the next is at any price.
        tick_rule: Grid of the contracts' prices.
        last_rung_min: Minutes before the close from which what is held is not to be exercised.
        is_shared: Whether the account may hold the same contracts from elsewhere (`foreign = "ignore"`).
    """

    timeout_s: float
    ping_s: float = 1.0
    settle_s: float = 0.5
    poll_s: float = 0.2
    retry_s: float = 1.0
    reprice_s: float = 2.0
    lock_s: float = 3.0
    stay_s: float = 60.0
    broker_gone_s: float = float("inf")
    through_ticks: int = 2
    tick_rule: TickRule = TickRule.PENNY_PROGRAM
    last_rung_min: float = 10.0
    is_shared: bool = False


@dataclass(frozen=True, slots=True)
class GuardEnd:
    """How a guard's watch ended.

    Attributes:
        reason: Why, in words.
        acted: How often it took the engine's place.
        held: Contracts held when it was last known, by symbol; empty = flat.
    """

    reason: str
    acted: int
    held: dict[str, int]
