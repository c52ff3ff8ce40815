"""What earlier sessions tell the next one: its head rows (definitions, section 9).

Decides the previous high, low and close, and the volume profile, from finished tapes. They become cold rows
at the head of a tape, because nothing outside the tape is looked up at replay. A tape that is not earlier
would tell the future and is refused.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.row import BACKFILLED, COLD, COLUMNS, LAST, PRICE_ONLY, RANGE, STOCK_TRADE, VOLUME
from scalpcli.model.session import Session
from scalpcli.runtime.tape import Tape
from scalpcli.units import NS_PER_S

_COLUMNS: Final = ("ts_recv_ns", "ts_event_ns", "kind", "price_e4", "size", "flags")
_NO_PRICE: Final = 0
_BUCKET_S: Final = 1


@dataclass(slots=True)
class SessionSummary:
    """What one finished session leaves behind; prices in 1/10000 USD, 0 where no print gave one.

    Attributes:
        session: The day.
        high_e4: Highest range-eligible regular print.
        low_e4: Lowest range-eligible regular print.
        close_e4: Last `last`-eligible regular print, in tape order.
        volumes: Volume-eligible regular volume of each whole second by receive time, element 0 for the first.
    """

    session: Session
    high_e4: int
    low_e4: int
    close_e4: int
    volumes: NDArray[np.int64]


def summarise(tape: Tape) -> SessionSummary:
    """Fold a tape's prints of the underlying; a price without a print counts as last and range, not as volume."""
    session = tape.session
    seconds = (session.close_ns - session.open_ns) // NS_PER_S
    result = SessionSummary(session, _NO_PRICE, _NO_PRICE, _NO_PRICE, np.zeros(seconds, np.int64))
    for batch in tape.batches(columns=_COLUMNS):
        _fold(result, batch)
    return result


def _fold(result: SessionSummary, batch: dict[str, NDArray[Any]]) -> None:
    session = result.session
    event_ns = batch["ts_event_ns"]
    regular = (event_ns >= session.open_ns) & (event_ns <= session.close_ns)
    is_print = regular & (batch["kind"] == STOCK_TRADE)
    is_price = regular & (batch["kind"] == PRICE_ONLY)
    flags, price = batch["flags"], batch["price_e4"].astype(np.int64, copy=False)
    ranged = price[(is_print & (flags & RANGE != 0)) | is_price]
    if len(ranged):
        result.high_e4 = max(result.high_e4, int(ranged.max()))
        low = int(ranged.min())
        result.low_e4 = low if result.low_e4 == _NO_PRICE else min(result.low_e4, low)
    # A backfilled print came late: it may have set the range, never the last price.
    lasts = price[(is_print & (flags & LAST != 0) & (flags & BACKFILLED == 0)) | is_price]
    if len(lasts):
        result.close_e4 = int(lasts[-1])
    counted = is_print & (flags & VOLUME != 0)
    second = (batch["ts_recv_ns"][counted] - session.open_ns) // NS_PER_S
    inside = (second >= 0) & (second < len(result.volumes))
    np.add.at(result.volumes, second[inside], batch["size"][counted][inside].astype(np.int64))


def head_notes(
    paths: Sequence[Path], *, symbol: str, session: dt.date, sessions_max: int
) -> list[tuple[str, dict[str, Any]]]:
    """Kind and body of a tape's head rows.

    Args:
        paths: Tapes of earlier sessions of the same symbol, in any order; none gives no head rows.
        symbol: The underlying.
        session: Day of the tape that gets the head rows.
        sessions_max: Sessions kept in the volume profile; the oldest are dropped.

    Returns:
        The levels of the latest session, then the profile of all kept ones, oldest first.

    Raises:
        DataError: a tape is damaged, synthetic, of another symbol, not earlier, given twice, or has no
            regular print of the underlying.
    """
    tapes = sorted((_open(path, symbol, session) for path in paths), key=lambda tape: tape.session.date)
    for earlier, later in itertools.pairwise(tapes):
        if earlier.session.date == later.session.date:
            raise DataError(
                f"two context tapes of {later.session.date}", place=f"`{later.path}`", hint="name each session once"
            )
    kept = tapes[-sessions_max:]
    if not kept:
        return []
    summaries = [summarise(tape) for tape in kept]
    latest = summaries[-1]
    if _NO_PRICE in (latest.high_e4, latest.low_e4, latest.close_e4):
        raise DataError(
            f"the session of {latest.session.date} has no regular print that gives high, low and close",
            place=f"`{kept[-1].path}`",
            hint="take a tape with trades or prices of the underlying",
        )
    levels = {
        "session": latest.session.date.isoformat(),
        "high_e4": latest.high_e4,
        "low_e4": latest.low_e4,
        "close_e4": latest.close_e4,
    }
    # A session that recorded no volume would pull the median down to nothing.
    counted = [summary for summary in summaries if summary.volumes.any()]
    notes: list[tuple[str, dict[str, Any]]] = [(PREVIOUS_LEVELS, levels)]
    if counted:
        profile = {
            "bucket_s": _BUCKET_S,
            "sessions": [summary.session.date.isoformat() for summary in counted],
            "volumes": [summary.volumes.tolist() for summary in counted],
        }
        notes.append((VOLUME_PROFILE, profile))
    return notes


def head_rows(count: int, ts_recv_ns: int) -> dict[str, NDArray[Any]]:
    """The columns of `count` cold rows at the head of a tape whose first row is received at `ts_recv_ns`."""
    columns = {name: np.zeros(count, dtype) for name, dtype in COLUMNS.items()}
    columns["kind"][:] = COLD
    columns["ts_recv_ns"][:] = ts_recv_ns
    columns["ts_event_ns"][:] = ts_recv_ns
    return columns


def _open(path: Path, symbol: str, session: dt.date) -> Tape:
    tape = Tape.open(path)
    if tape.manifest.symbol != symbol:
        raise DataError(
            f"the context tape is of {tape.manifest.symbol}, not of {symbol}",
            place=f"`{tape.path}`",
            hint=f"`--context` takes earlier sessions of {symbol}",
        )
    if tape.session.date >= session:
        raise DataError(
            f"the context tape is of {tape.session.date}, which is not before {session}",
            place=f"`{tape.path}`",
            hint="a later session would tell the future; name earlier ones",
        )
    if tape.manifest.synthetic:
        raise DataError(
            f"the context tape of {tape.session.date} is synthetic",
            place=f"`{tape.path}`",
            hint="levels and volumes of an invented market say nothing about a recorded one",
        )
    return tape
