"""What goes wrong in one schedule: drawn from its seed, and counted when it happened.

Every schedule has a mood: how often requests and updates meet a fault, when nothing answers at all, when its
processes die, stall or see nothing. A tenth of them are calm, so that the calm way stays looked at too.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

LOST = "request lost"
ANSWER_LOST = "answer lost after the exchange took it"
LATE = "request late"
REFUSED = "connection refused"
NO_CONNECTION = "connection timed out"
RESET = "connection reset before"
RESET_AFTER = "connection reset after the exchange took it"
TOO_MANY = "429"
ERROR = "500"
UNAVAILABLE = "503"
GATEWAY = "504 after the exchange took it"
GARBAGE = "unreadable answer"
REJECT = "rejected at once"
REQUESTS = (
    (LOST, 3), (ANSWER_LOST, 4), (LATE, 3), (REFUSED, 2), (NO_CONNECTION, 1), (RESET, 2), (RESET_AFTER, 3),
    (TOO_MANY, 3), (ERROR, 2), (UNAVAILABLE, 2), (GATEWAY, 3), (GARBAGE, 1), (REJECT, 2),
)  # fmt: skip
"""What may become of a request, and how often beside the others."""
TAKEN = frozenset({ANSWER_LOST, LATE, RESET_AFTER, GATEWAY, GARBAGE})
"""With these the exchange does what was asked."""

UPDATE_LOST = "update lost"
UPDATE_LATE = "update late"
UPDATE_TWICE = "update twice"
UPDATE_OVERTAKEN = "update overtaken"
UPDATES_DOWN = "updates down"
CRASH = "crash between two steps"
CRASH_WRITING = "crash while writing"
CRASH_RESUMING = "crash of a process that was resuming"
STALL = "stall"
GAP = "feed gap"
HALT = "halt"
OUTAGE = "outage"
SLOW_CANCEL = "slow cancel"
REJECTED_LATER = "rejected at the market"
LATE_FILL = "fill after cancel was asked for"
PARTIAL = "partial fill"
COMMAND = "operator's command"
GUARD = "guard acted"
GUARD_CRASH = "crash of the guard"
KINDS = (
    *(kind for kind, _ in REQUESTS),
    UPDATE_LOST, UPDATE_LATE, UPDATE_TWICE, UPDATE_OVERTAKEN, UPDATES_DOWN, CRASH, CRASH_WRITING, CRASH_RESUMING,
    STALL, GAP, HALT, OUTAGE, SLOW_CANCEL, REJECTED_LATER, LATE_FILL, PARTIAL, COMMAND, GUARD, GUARD_CRASH,
)  # fmt: skip

STEPS_OF_A_RUN = 1_800
"""Steps after which most processes have ended; crashes fall among them."""


@dataclass
class Chance:
    """Draws of one schedule.

    Args:
        seed: Which.

    Attributes:
        counts: What happened, by kind.
    """

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    draw: random.Random = field(init=False)

    def __post_init__(self) -> None:
        draw = self.draw = random.Random(f"schedule {self.seed}")  # noqa: S311 - a schedule, not a secret
        is_calm = draw.random() < 0.1
        self.requests_share = 0.0 if is_calm else draw.choice((0.0, 0.02, 0.06, 0.15, 0.3))
        self.updates_share = 0.0 if is_calm else draw.choice((0.0, 0.05, 0.2, 0.5, 0.95))
        self.slow_cancels = 0.0 if is_calm else draw.choice((0.0, 0.3, 1.0))
        self.later_rejects = 0.0 if is_calm else draw.choice((0.0, 0.0, 0.05, 0.2))
        crashes = 0 if is_calm else draw.choices((0, 1, 2, 3), (35, 40, 15, 10))[0]
        self.crashes = [self._crash(number) for number in range(crashes)]
        self.guard_crash = 0 if is_calm or draw.random() < 0.7 else draw.randint(1, 400)
        """Steps after which the guard's first process is killed; 0 = never."""
        self.stalls = [] if is_calm or draw.random() < 0.7 else [(4 + 22 * draw.random(), self._stall_s())]
        self.gaps = [] if is_calm else [self._span(1, 5) for _ in range(draw.choice((0, 0, 0, 1, 2)))]
        self.outages = [] if is_calm else [self._span(1, 9) for _ in range(draw.choice((0, 0, 0, 1)))]
        self.downs = [] if is_calm else [self._span(1, 6) for _ in range(draw.choice((0, 0, 1)))]
        self.commands = [] if is_calm or draw.random() < 0.8 else self._commands()

    def _crash(self, number: int) -> tuple[str, int]:
        draw = self.draw
        if number and draw.random() < 0.4:
            return CRASH_RESUMING, draw.randint(1, 60)
        if draw.random() < 0.2:
            return CRASH_WRITING, draw.randint(1, 60)
        return CRASH, draw.randint(1, STEPS_OF_A_RUN)

    def _stall_s(self) -> float:
        return self.draw.choice((0.3, 1.0, 2.5, 6.0, 9.0)) * (0.5 + self.draw.random())

    def _span(self, low_s: float, high_s: float) -> tuple[float, float]:
        begin_s = 3 + 25 * self.draw.random()
        return begin_s, begin_s + self.draw.uniform(low_s, high_s)

    def _commands(self) -> list[tuple[float, str]]:
        moments = sorted(4 + 24 * self.draw.random() for _ in range(self.draw.choice((1, 2, 3))))
        return [(moment, self.draw.choice(("stop", "flatten", "kill", "arm"))) for moment in moments]

    def request(self, now_s: float, *, is_order: bool) -> str:
        """What becomes of a request; nothing = it is answered."""
        if any(begin <= now_s < end for begin, end in self.outages):
            self.counts[OUTAGE] += 1
            return self.draw.choice((LOST, REFUSED, NO_CONNECTION, UNAVAILABLE))
        if self.draw.random() >= self.requests_share:
            return ""
        kinds, weights = zip(*REQUESTS, strict=True)
        kind = self.draw.choices(kinds, weights)[0]
        if kind == REJECT and not is_order:
            return ""
        self.counts[kind] += 1
        return kind

    def delay_s(self) -> float:
        """How long a message is under way."""
        return self.draw.choice((0.004, 0.01, 0.03, 0.08)) * (0.5 + self.draw.random())

    def happens(self, share: float, kind: str) -> bool:
        """Whether something happens that does so with a share of all; counted where it does."""
        if share <= 0.0 or self.draw.random() >= share:
            return False
        self.counts[kind] += 1
        return True
