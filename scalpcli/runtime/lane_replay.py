"""Replays one tape for many settings: groups them by their trackers and plays each group in one pass.

Decides how settings become lanes and what is kept of each. Leaves the pass itself to `lanes.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.core.lanes import lanes_of, tracker_key
from scalpcli.core.market_state import Kernel
from scalpcli.model.decision import Decision
from scalpcli.model.params import Blackout, Params
from scalpcli.runtime.ahead import Ahead
from scalpcli.runtime.journal import journal_line
from scalpcli.runtime.lanes import Lane, LanesRunner
from scalpcli.runtime.replay import (
    BLOCKS_AHEAD_MAX,
    ReplayOptions,
    check_quality,
    read_latencies,
    setup_of,
    tape_batches,
)
from scalpcli.runtime.simulated_broker import Latencies
from scalpcli.runtime.tape import Tape

EVERY_KIND: Final[frozenset[str]] = frozenset()
"""Keep all decisions."""
TRADES_ALONE: Final = frozenset(("signal", "trade"))
"""Keep what a search needs: signals and closed trades."""


@dataclass(frozen=True, slots=True)
class LaneTrade:
    """One closed trade; money in 1/10000 USD, its share of the day's fees taken off `net_e4`."""

    trigger: str
    side: str
    signal_ns: int
    opened_ns: int
    closed_ns: int
    net_e4: int
    cost_e4: int
    exit_reason: str


@dataclass(frozen=True, slots=True)
class LaneResult:
    """What came of one setting in one session."""

    session: dt.date
    trades: tuple[LaneTrade, ...]
    net_e4: int
    """Result after fees, 1/10000 USD."""
    starting_equity_e4: int
    decisions: tuple[Decision, ...]
    """Those of the kinds that were kept."""

    def lines(self) -> bytes:
        """The journal, where every kind was kept: what `replay` writes for this setting."""
        return b"".join(journal_line(number, decision) for number, decision in enumerate(self.decisions))


def replay_lanes(
    path: Path,
    settings: Sequence[Params],
    blackouts: tuple[Blackout, ...],
    hot: Kernel,
    keep: frozenset[str] = TRADES_ALONE,
) -> list[LaneResult]:
    """Play one tape for many settings; rows are folded once for each group of equal trackers.

    Args:
        path: Folder of the tape.
        settings: One a lane.
        blackouts: Dated windows without entries.
        hot: The compiled or the interpreted kernel.
        keep: Kinds of decisions that are kept.

    Returns:
        One result a setting, in their order.

    Raises:
        DataError: as `replay_session`.
    """
    tape = Tape.open(path)
    found: dict[int, LaneResult] = {}
    drawn: dict[str, NDArray[np.float64] | None] = {}
    for group in lanes_of(settings, lambda params: tracker_key(params, tape.session)):
        setups, latencies = [], []
        for number in group:
            params = settings[number]
            check_quality(tape, params.replay.min_quality)
            file = params.simulated_broker.latency_file
            if file not in drawn:
                drawn[file] = read_latencies(file)
            setups.append(setup_of(tape, params, blackouts, drawn[file]))
            latencies.append(Latencies(params.simulated_broker, drawn[file]))
        runner = LanesRunner(setups, hot, latencies, tape.notes(), keep)
        runner.run(Ahead(tape_batches(tape, settings[group[0]], ReplayOptions()), BLOCKS_AHEAD_MAX))
        runner.finish(tape.session.close_ns)
        for number, lane in zip(group, runner.lanes, strict=True):
            found[number] = _result(tape.session.date, lane)
    return [found[number] for number in range(len(settings))]


def _result(date: dt.date, lane: Lane) -> LaneResult:
    ledger = lane.engine.ledger
    shares_e4 = ledger.fees.shares_e4()
    signals_ns = {each.body["signal"]: each.ts_ns for each in lane.decisions if each.kind == "signal"}
    trades = tuple(
        LaneTrade(
            body["trigger"],
            body["side"],
            signals_ns[body["signal"]],
            body["opened_ns"],
            body["closed_ns"],
            body["gross_e4"] - shares_e4.get(body["signal"], 0),
            body["cost_e4"],
            body["exit_reason"],
        )
        for body in (decision.body for decision in lane.decisions if decision.kind == "trade")
    )
    net_e4 = ledger.gross_e4 - ledger.fees.total_e4()
    return LaneResult(date, trades, net_e4, ledger.starting_equity_e4, tuple(lane.decisions))
