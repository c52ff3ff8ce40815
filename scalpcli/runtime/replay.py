"""Plays one recorded session through the engine and the simulated broker.

Decides how a tape, settings and a kernel become a session's result. Leaves folders to `run_folder` and
several sessions to `sessions`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.layout import NEVER_NS, TRACE_COLUMNS
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.errors import DataError
from scalpcli.model.fees import FeeSchedule, schedule_for
from scalpcli.model.params import Blackout, Params
from scalpcli.model.row import RowBatch
from scalpcli.model.session import at_ns
from scalpcli.runtime import clock
from scalpcli.runtime.ahead import Ahead
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from scalpcli.runtime.tape import Tape
from scalpcli.units import E4_PER_USD

BLOCKS_AHEAD_MAX: Final = 4
"""Blocks of rows decoded before the engine asks for them; each takes 3 MB."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How a replay is asked for, beyond the settings.

    Args:
        triggers_only: Write triggers down and go no further.
        until: New York time at which to stop, `HH:MM[:SS]`; empty = the whole session.
        speed: Times real time; 0 = as fast as it goes.
        trace: Whether to keep every instant's trackers.
        perturb_after_ns: Change every row received after this time (look-ahead check); `None` = nothing.
    """

    triggers_only: bool = False
    until: str = ""
    speed: float = 0.0
    trace: bool = False
    perturb_after_ns: int | None = None


@dataclass(slots=True)
class SessionResult:
    """What came of one session."""

    symbol: str
    session: dt.date
    tape: str
    tape_digest: str
    config_digest: str
    rows: int
    synthetic: bool
    feeds: dict[str, str]
    quality: dict[str, Any]
    decisions: bytes
    counts: dict[str, int]
    ends: dict[str, Any]
    """Body of the `session_end` decision."""
    trades: pl.DataFrame
    equity: pl.DataFrame
    trace: pl.DataFrame | None = None
    timings_s: dict[str, float] = field(default_factory=dict)


def read_latencies(path: str) -> NDArray[np.float64] | None:
    """Latencies to draw from.

    Args:
        path: CSV with the columns `order_latency_ms` and `report_latency_ms`; empty = none.

    Raises:
        DataError: the file is missing, has other columns, or holds a negative or missing time.
    """
    if not path:
        return None
    names = ["order_latency_ms", "report_latency_ms"]
    try:
        table = pl.read_csv(path, columns=names).cast(pl.Float64)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(
            f"latencies cannot be read: {str(error).splitlines()[0]}",
            place=f"`{path}`",
            hint="write a CSV with the columns order_latency_ms and report_latency_ms",
        ) from None
    drawn = table.to_numpy()
    if not len(drawn) or not (np.isfinite(drawn).all() and (drawn >= 0).all()):
        raise DataError(
            "a latency is missing or below its limit: 0", place=f"`{path}`", hint="write milliseconds, 0 or more"
        )
    return np.ascontiguousarray(drawn)


def fee_schedule(params: Params, date: dt.date) -> FeeSchedule:
    """The fees a session is charged, by `[fees]`."""
    as_of = dt.date.fromisoformat(params.fees.as_of) if params.fees.as_of else None
    return schedule_for(date, params.fees.schedule, as_of)


class _Reading:
    """Counts the rows handed over and the time spent waiting for them."""

    def __init__(self, batches: Iterable[RowBatch]) -> None:
        self._batches = iter(batches)
        self.waited_s = 0.0
        self.rows = 0

    def __iter__(self) -> Iterator[RowBatch]:
        while True:
            started_s = clock.seconds()
            batch = next(self._batches, None)
            self.waited_s += clock.seconds() - started_s
            if batch is None:
                return
            self.rows += len(batch.ts_recv_ns)
            yield batch


def tape_batches(tape: Tape, params: Params, options: ReplayOptions) -> Iterator[RowBatch]:
    """The tape's rows as the engine takes them: cut at `until`, paced, or perturbed where asked."""
    until_ns = at_ns(tape.session, options.until) if options.until else NEVER_NS
    pace = clock.Pace(options.speed) if options.speed > 0 else None
    # A paced replay shows rows as they come; a whole block would come at once.
    rows = 256 if pace else params.replay.batch_rows
    for columns in tape.batches(rows):
        batch = RowBatch.from_columns(columns)
        is_last = len(batch.ts_recv_ns) > 0 and batch.ts_recv_ns[-1] > until_ns
        if is_last:
            batch = batch.slice(0, int(np.searchsorted(batch.ts_recv_ns, until_ns, side="right")))
        if options.perturb_after_ns is not None:
            batch = perturbed(batch, options.perturb_after_ns)
        if pace and len(batch.ts_recv_ns):
            pace.wait_for(int(batch.ts_recv_ns[0]))
        yield batch
        if is_last:
            return


def perturbed(batch: RowBatch, after_ns: int) -> RowBatch:
    """The same rows up to `after_ns`; later ones with other prices and sizes (look-ahead check)."""
    first = int(np.searchsorted(batch.ts_recv_ns, after_ns, side="right"))
    if first == len(batch.ts_recv_ns):
        return batch
    changed = {"price_e4": batch.price_e4.copy(), "ask_e4": batch.ask_e4.copy(), "size": batch.size.copy()}
    # A tenth away, and sizes doubled: whatever looks ahead sees another market.
    changed["price_e4"][first:] += changed["price_e4"][first:] // 1000 * 100
    changed["ask_e4"][first:] += changed["ask_e4"][first:] // 1000 * 100
    is_gap_or_note = batch.kind[first:] >= 7
    changed["size"][first:] = np.where(is_gap_or_note, batch.size[first:], batch.size[first:] * 2)
    return batch._replace(**changed)


def replay_session(
    path: Path, params: Params, blackouts: tuple[Blackout, ...], hot: Kernel, options: ReplayOptions
) -> SessionResult:
    """Play one tape.

    Args:
        path: Folder of the tape.
        params: All settings.
        blackouts: Dated windows without entries.
        hot: The compiled or the interpreted kernel.
        options: How it is asked for.

    Raises:
        DataError: the tape is missing, damaged or below `replay.min_quality`; no fees are known for its day.
    """
    started_s = clock.seconds()
    tape = Tape.open(path)
    opened_s, work_s = clock.seconds() - started_s, clock.thread_seconds()
    check_quality(tape, params.replay.min_quality)
    session, manifest = tape.session, tape.manifest
    drawn_ms = read_latencies(params.simulated_broker.latency_file)
    setup = setup_of(tape, params, blackouts, drawn_ms, triggers_only=options.triggers_only)
    blocks: list[NDArray[np.float64]] = []
    market = MarketState(params, session, tape.instruments, hot, blocks.append if options.trace else None)
    engine = Engine(setup, market, hot)
    latencies = Latencies(params.simulated_broker, drawn_ms)
    broker = SimulatedBroker(params.simulated_broker, session, engine.view, latencies)
    journal = SessionJournal(engine, session.date, manifest.symbol)
    batches = tape_batches(tape, params, options)
    # A paced replay shows rows as they come, not ahead of time.
    reading = _Reading(batches if options.speed > 0 else Ahead(batches, BLOCKS_AHEAD_MAX))
    engine.start()
    runner = Runner(engine, market, broker, tape.notes(), journal.step)
    until_ns = at_ns(session, options.until) if options.until else NEVER_NS - 1
    runner.run(reading, until_ns)
    market.flush_trace()
    engine.finish(min(until_ns, session.close_ns))
    journal.step()
    total_s = clock.seconds() - started_s
    # Opening the tape and waiting for rows is reading, in wall time. Folding them and deciding is the engine, in
    # processor time of this one thread: rows are decoded beside it, on the cores it would otherwise be timed against.
    engine_s = clock.thread_seconds() - work_s
    read_s = opened_s + reading.waited_s
    return SessionResult(
        symbol=manifest.symbol,
        session=session.date,
        tape=str(path),
        tape_digest=manifest.rows_digest,
        config_digest=setup.config_digest,
        rows=reading.rows,
        synthetic=manifest.synthetic,
        feeds=dict(manifest.feeds),
        quality=dict(manifest.quality),
        decisions=b"".join(journal.lines),
        counts=journal.counts,
        ends=journal.ends,
        trades=journal.trades(),
        equity=journal.equity(),
        trace=trace_table(blocks, market, session.open_ns) if options.trace else None,
        timings_s={"read": read_s, "engine": engine_s, "total": total_s},
    )


def setup_of(
    tape: Tape,
    params: Params,
    blackouts: tuple[Blackout, ...],
    drawn_ms: NDArray[np.float64] | None,
    *,
    triggers_only: bool = False,
) -> Setup:
    """What a tape's session is replayed with.

    Raises:
        DataError: no fees are known for its day.
    """
    # Triggers cost nothing; days outside the fee table can still be searched for them.
    date = tape.session.date
    return Setup(
        params,
        tape.manifest.symbol,
        tape.session,
        tape.instruments,
        schedule_for(date, "none") if triggers_only else fee_schedule(params, date),
        blackouts,
        synthetic=tape.manifest.synthetic,
        triggers_only=triggers_only,
        latencies_digest="" if drawn_ms is None else hashlib.sha256(drawn_ms.tobytes()).hexdigest(),
    )


def check_quality(tape: Tape, coverage_pct_min: float) -> None:
    """Refuse a tape that covers too little of its session.

    Raises:
        DataError: its coverage is below the limit.
    """
    coverage_pct = float(tape.manifest.quality.get("coverage_pct", math.nan))
    if coverage_pct_min > 0.0 and not coverage_pct >= coverage_pct_min:
        raise DataError(
            f"the tape covers {coverage_pct:.1f} percent of its session, below the limit: {coverage_pct_min:g}",
            place=f"`{tape.path}`",
            hint="look at it with `scalpcli tape info`, or lower --min-quality",
        )


def trace_table(blocks: list[NDArray[np.float64]], market: MarketState, open_ns: int) -> pl.DataFrame:
    """Every instant's trackers in dollars; null where unknown (`replay --trace`)."""
    width = TRACE_COLUMNS + len(market.windows_s)
    values = np.concatenate(blocks) if blocks else np.zeros((0, width))
    columns: dict[str, Any] = {
        "ts_ns": values[:, 0].astype(np.int64) + open_ns,
        "price": values[:, 1] / E4_PER_USD,
    }
    for index, window_s in enumerate(market.traced_windows_s):
        columns[f"velocity_{window_s}_pct"] = values[:, TRACE_COLUMNS + index]
    columns |= {
        "vwap": values[:, 2] / E4_PER_USD,
        "sigma": values[:, 3] / E4_PER_USD,
        "volume_ratio": values[:, 4],
        "session_high": values[:, 5] / E4_PER_USD,
        "session_low": values[:, 6] / E4_PER_USD,
    }
    return pl.DataFrame(columns).with_columns(pl.exclude("ts_ns").fill_nan(None))
