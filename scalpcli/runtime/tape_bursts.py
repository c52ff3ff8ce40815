"""How much a session moved: its largest momentum and how often it rose above a threshold.

A survey for choosing tapes, on whole seconds and independent of the engine: it looks every second where the
engine looks every `eval_interval_ms`, so it may miss a burst that lasts less than a second. Prints and
unknown values are those of definitions, section 3; a burst counts once until the move falls below 0.6 of
the threshold (section 6), without volume or short-window confirmation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_PRICE_ONLY,
    CHANNEL_STOCK_TRADES,
    GAP,
    LAST,
    PRICE_ONLY,
    STOCK_TRADE,
)
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_quality import Blindness
from scalpcli.units import NS_PER_S

_COLUMNS: Final = ("ts_recv_ns", "ts_event_ns", "kind", "price_e4", "size", "flags")
_REARM: Final = 0.6


@dataclass(frozen=True, slots=True)
class Bursts:
    """Moves of one session.

    Attributes:
        up: Times the move rose to the threshold.
        down: Times it fell to minus the threshold.
        largest_pct: Largest absolute move, percent; `None` when no move is known.
    """

    up: int
    down: int
    largest_pct: float | None


def count_bursts(tape: Tape, threshold_pct: float, window_s: int) -> Bursts:
    """Count the bursts of a tape.

    Args:
        tape: The tape; one without rows has none.
        threshold_pct: Percent in the window that makes a burst.
        window_s: The window, seconds.

    Raises:
        DataError: the rows are damaged.
    """
    move_pct = moves_on_seconds(tape, window_s)
    known = move_pct[~np.isnan(move_pct)]
    largest = float(np.abs(known).max()) if len(known) else None
    return Bursts(_rises(move_pct, threshold_pct), _rises(-move_pct, threshold_pct), largest)


def moves_on_seconds(tape: Tape, window_s: int) -> NDArray[np.float64]:
    """The move over `window_s` at each whole second of the session, percent; NaN where unknown."""
    session = tape.session
    seconds = (session.close_ns - session.open_ns) // NS_PER_S
    price = np.zeros(seconds + 1, np.int64)
    price_ns = np.zeros(seconds + 1, np.int64)
    blind = Blindness()
    for batch in tape.batches(columns=_COLUMNS, check_bytes=False):
        event_ns, kind, flags = batch["ts_event_ns"], batch["kind"], batch["flags"]
        is_last = (kind == STOCK_TRADE) & (flags & LAST != 0) & (flags & BACKFILLED == 0)
        regular = (event_ns >= session.open_ns) & (event_ns <= session.close_ns)
        rows = np.flatnonzero((is_last | (kind == PRICE_ONLY)) & regular)
        # A print counts from the next whole second on; one stamped before the open by a clock ahead, from the open.
        second = np.maximum(-((batch["ts_recv_ns"][rows] - session.open_ns) // -NS_PER_S), 0)
        rows, second = rows[second <= seconds], second[second <= seconds]
        # Where several rows fall on one second NumPy keeps the last assignment: the latest print.
        price[second] = batch["price_e4"][rows]
        price_ns[second] = batch["ts_recv_ns"][rows]
        blind.update(_price_gaps(batch))
    stretches = blind.stretches(session.open_ns, session.close_ns)
    return _moves(price, price_ns, session.open_ns, window_s, stretches)


def _price_gaps(batch: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    is_gap = (batch["kind"] == GAP) & (batch["size"] & (CHANNEL_STOCK_TRADES | CHANNEL_PRICE_ONLY) != 0)
    return {name: values[is_gap] for name, values in batch.items()}


def _moves(
    price: NDArray[np.int64],
    price_ns: NDArray[np.int64],
    open_ns: int,
    window_s: int,
    blind: list[tuple[int, int]],
) -> NDArray[np.float64]:
    latest = np.maximum.accumulate(np.where(price > 0, np.arange(len(price)), 0))
    held, held_ns = price[latest], price_ns[latest]
    at_ns = open_ns + np.arange(len(price), dtype=np.int64) * NS_PER_S
    is_known = (held > 0) & (at_ns - held_ns <= window_s * NS_PER_S)
    move = np.full(len(price), np.nan)
    if len(price) > window_s:
        now, then = held[window_s:], held[:-window_s]
        both = is_known[window_s:] & is_known[:-window_s]
        move[window_s:] = np.where(both, (now - then) * 100.0 / np.where(then > 0, then, 1), np.nan)
    for begin_ns, end_ns in blind:
        overlaps = (at_ns > begin_ns) & (at_ns - window_s * NS_PER_S < end_ns)
        move[overlaps] = np.nan
    return move


def _rises(move_pct: NDArray[np.float64], threshold_pct: float) -> int:
    """Times the move reaches the threshold after having been below 0.6 of it, or unknown."""
    above = np.flatnonzero(move_pct >= threshold_pct)
    disarmed = move_pct >= _REARM * threshold_pct
    rearms = np.concatenate(([0], np.cumsum(~disarmed)))
    # Two crossings are one burst when no second between them re-armed it.
    return len(np.unique(rearms[above]))
