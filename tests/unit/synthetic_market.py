"""Synthetic sessions in memory, for the tests of the generator; no tape is written."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from scalpcli.model import row
from scalpcli.runtime.synthetic import Blocks, Plan, plan_session
from scalpcli.runtime.synthetic_plan import SyntheticSpec

FRIDAY = dt.date(2026, 11, 20)
S = 1_000_000_000
STOCK_KINDS = (row.STOCK_TRADE, row.STOCK_QUOTE)
OPTION_KINDS = (row.OPTION_TRADE, row.OPTION_QUOTE)


@dataclass(frozen=True)
class Made:
    """A generated session: its plan, all columns, its notes and the texts of its condition codes."""

    plan: Plan
    columns: dict[str, Any]
    notes: list[tuple[str, dict[str, Any]]]
    conditions: list[str]

    @property
    def open_ns(self) -> int:
        return self.plan.frame.session.open_ns

    @property
    def close_ns(self) -> int:
        return self.plan.frame.session.close_ns

    def only(self, mask: Any) -> dict[str, Any]:
        """The columns of the rows in `mask`."""
        return {name: values[mask] for name, values in self.columns.items()}

    def kind(self, *kinds: int) -> dict[str, Any]:
        """The columns of the rows of these kinds."""
        return self.only(np.isin(self.columns["kind"], kinds))

    def codes(self, text: str) -> Any:
        """Which rows carry exactly these conditions, among trades of the stock."""
        return (self.columns["kind"] == row.STOCK_TRADE) & (self.columns["conditions"] == self.conditions.index(text))


@lru_cache(maxsize=6)
def make(**arguments: Any) -> Made:
    """The session of these arguments of `SyntheticSpec`; Friday 2026-11-20 unless told."""
    plan = plan_session(SyntheticSpec(**{"date": FRIDAY, **arguments}))
    conditions: dict[str, int] = {"": 0}
    exchanges: dict[str, int] = {"": 0}
    made = list(
        Blocks(
            plan,
            lambda text: conditions.setdefault(text, len(conditions)),
            lambda text: exchanges.setdefault(text, len(exchanges)),
        )
    )
    columns = {name: np.concatenate([block[name] for block, _ in made]) for name in row.COLUMNS}
    return Made(plan, columns, [note for _, notes in made for note in notes], list(conditions))


def hour(**arguments: Any) -> Made:
    """The first hour, small."""
    return make(**{"rows": 40_000, "contracts": 20, "minutes": 60, "seed": 3, **arguments})


def day(**arguments: Any) -> Made:
    """A whole session, small."""
    return make(**{"rows": 300_000, "contracts": 10, "seed": 1, **arguments})


def moves_pct(made: Made, window_s: int = 30) -> tuple[Any, Any]:
    """Seconds since the open, and the move of the last `window_s` of eligible prints at each, percent."""
    eligible = (made.columns["kind"] == row.STOCK_TRADE) & ((made.columns["flags"] & row.LAST) > 0)
    times, prices = made.columns["ts_recv_ns"][eligible], made.columns["price_e4"][eligible]
    seconds = np.arange(window_s + 1, made.plan.frame.window_s)
    at = made.open_ns + seconds * S
    now, then = (np.searchsorted(times, moment, side="right") - 1 for moment in (at, at - window_s * S))
    return seconds, (prices[now] - prices[then]) * 100.0 / prices[then]


def volume_ratios(made: Made, seconds: Any, window_s: int = 30) -> Any:
    """Volume of the last `window_s` against the session before them, at seconds since the open."""
    trades = made.kind(row.STOCK_TRADE)
    counted = ((trades["flags"] & row.VOLUME) > 0) & (trades["ts_event_ns"] >= made.open_ns)
    total = np.concatenate([[0], np.cumsum(trades["size"] * counted)])
    now, then = (
        total[np.searchsorted(trades["ts_recv_ns"], made.open_ns + moment * S, side="right")]
        for moment in (seconds, seconds - window_s)
    )
    return ((now - then) / window_s) / np.maximum(then / (seconds - window_s), 1e-9)


def rises(move: Any, ratio: Any, side: int, threshold: float = 0.5) -> list[int]:
    """Positions at which a confirmed move rises, armed again below 60 percent of the threshold."""
    found, armed = [], True
    for index, (percent, times) in enumerate(zip(side * move, ratio, strict=True)):
        if armed and percent >= threshold and times >= 2.0:
            found.append(index)
            armed = False
        elif percent < 0.6 * threshold:
            armed = True
    return found
