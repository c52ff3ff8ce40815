"""Random traders: the same sessions, gates, selection, exits and number of entries, at minutes chosen by chance.

Decides how a random trader is drawn. For each session every minute of either side is played once, by the
engine's own rules (`hypothetical.py`); a random trader then takes, for each true entry, one of the outcomes
within `WINDOW_MIN` minutes of its time of day and of its side, no outcome twice in a session. So a random trader
has as many calls and puts as the true one, at about the same times of day, and differs in the minute alone.
An entry without any outcome in its window has the window doubled, up to the whole session.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.runtime.hypothetical import Outcome
from scalpcli.units import NS_PER_MIN

WINDOW_MIN: Final = 30
_WINDOW_MIN_MAX: Final = 480


@dataclass(frozen=True, slots=True)
class Entry:
    """A true entry: when its signal was made, its side, its net."""

    ts_ns: int
    side: str
    net_usd: float


@dataclass(frozen=True, slots=True)
class Pool:
    """Outcomes of one session to draw from, by side: times and nets."""

    ts_ns: dict[str, NDArray[np.int64]]
    net_usd: dict[str, NDArray[np.float64]]

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Pool:
        """The outcomes that became trades."""
        sides = ("call", "put")
        known = {side: [o for o in outcomes if o.wish.side == side and o.net_usd is not None] for side in sides}
        return cls(
            {side: np.array([o.wish.ts_ns for o in known[side]], np.int64) for side in sides},
            {side: np.array([o.net_usd for o in known[side]], np.float64) for side in sides},
        )

    def near(self, ts_ns: int, side: str) -> NDArray[np.intp]:
        """Outcomes of one side around a time of day, the window doubled until there are any."""
        minutes = WINDOW_MIN
        while True:
            rows = np.flatnonzero(np.abs(self.ts_ns[side] - ts_ns) <= minutes * NS_PER_MIN)
            if len(rows) or minutes > _WINDOW_MIN_MAX:
                return rows
            minutes *= 2


def random_totals(
    sessions: Sequence[tuple[Sequence[Entry], Pool]], traders: int, seed: int
) -> tuple[NDArray[np.float64], int]:
    """Net of random traders over all sessions, USD.

    Args:
        sessions: True entries of each session and the outcomes to draw from.
        traders: How many random traders.
        seed: The same seed gives the same traders.

    Returns:
        Their totals, shape `(traders,)`, and how many true entries found an outcome to stand for them.
    """
    random = np.random.default_rng(seed)
    totals = np.zeros(traders)
    matched = 0
    for entries, pool in sessions:
        choices = [(entry, pool.near(entry.ts_ns, entry.side)) for entry in entries]
        choices = [(entry, rows) for entry, rows in choices if len(rows)]
        matched += len(choices)
        taken: dict[str, list[NDArray[np.intp]]] = {"call": [], "put": []}
        for entry, rows in choices:
            drawn = random.choice(rows, size=traders)
            drawn = _again_where_taken(drawn, taken[entry.side], rows, random)
            taken[entry.side].append(drawn)
            totals += pool.net_usd[entry.side][drawn]
    return totals, matched


def _again_where_taken(
    drawn: NDArray[np.intp],
    taken: Sequence[NDArray[np.intp]],
    rows: NDArray[np.intp],
    random: np.random.Generator,
    tries: int = 20,
) -> NDArray[np.intp]:
    """Draw again for traders that already hold this outcome; given up after `tries`, where few are left."""
    for _ in range(tries):
        doubled = np.zeros(len(drawn), np.bool_)
        for earlier in taken:
            doubled |= earlier == drawn
        if not doubled.any():
            break
        drawn = np.where(doubled, random.choice(rows, size=len(drawn)), drawn)
    return drawn
