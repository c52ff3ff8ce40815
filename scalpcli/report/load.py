"""What runs did: their sessions, trades and equity.

Decides what a run must hold to be reported. Reads one run after another and keeps only the columns a report
needs, so memory grows with trades, not with rows. Leaves folders to `runs.py`, the journal to `funnel.py`
and every statistic to `summary.py`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.statistics import max_drawdown
from scalpcli.report.funnel import SessionTally, read_journal, total
from scalpcli.report.quality import Quality, read_quality
from scalpcli.report.runs import AGAIN, JOURNAL_FILE, Days, Run, open_run

TRADES_FILE: Final = "trades.parquet"
EQUITY_FILE: Final = "equity.parquet"
TRADE_COLUMNS: Final[dict[str, Any]] = {
    "session": pl.Date,
    "symbol": pl.String,
    "trade": pl.Int64,
    "signal": pl.Int64,
    "trigger": pl.String,
    "side": pl.String,
    "option_symbol": pl.String,
    "strike": pl.Float64,
    "expiry": pl.Date,
    "dte": pl.Int64,
    "quantity": pl.Int64,
    "confidence": pl.Int64,
    "delta": pl.Float64,
    "iv": pl.Float64,
    "spread_pct": pl.Float64,
    "signal_ns": pl.Int64,
    "opened_ns": pl.Int64,
    "closed_ns": pl.Int64,
    "held_s": pl.Float64,
    "entry_price": pl.Float64,
    "exit_price": pl.Float64,
    "entry_slippage_usd": pl.Float64,
    "exit_slippage_usd": pl.Float64,
    "mid_slippage_usd": pl.Float64,
    "gross_pnl_usd": pl.Float64,
    "fees_usd": pl.Float64,
    "net_pnl_usd": pl.Float64,
    "pnl_pct": pl.Float64,
    "exit_reason": pl.String,
    "mae_pct": pl.Float64,
    "mfe_pct": pl.Float64,
}
"""Columns of `trades.parquet` a report needs; others are left on disk."""
MORE_COLUMNS: Final[dict[str, Any]] = {
    "run": pl.Int64,
    "number": pl.Int64,
    "config": pl.String,
    "synthetic": pl.Boolean,
    "starting_equity_usd": pl.Float64,
}
"""Columns every trade gets from its session: position of the run, number in it from 1, digest of the settings,
whether the tape was made up, equity at the start."""
_EQUITY_COLUMNS: Final[dict[str, Any]] = {
    "session": pl.Date,
    "ts_ns": pl.Int64,
    "equity_usd": pl.Float64,
    "event": pl.String,
}


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session of one run.

    Args:
        run: Position of its run among all that were read.
        run_name: Name of that run's folder.
        place: Its position among the sessions of the run, as the journal tells them.
        symbol: The underlying.
        day: Day of the session.
        head: What the run's manifest says of it: tape, digest, rows, synthetic, feeds, quality.
        tally: What its journal counts.
        trades: Its closed trades, columns `TRADE_COLUMNS` and `MORE_COLUMNS`.
        equity_ns: When its equity changed, shape `(n,)`; empty when the run recorded none.
        equity_usd: Equity at these times, the start first.
    """

    run: int
    run_name: str
    place: int
    symbol: str
    day: dt.date
    head: dict[str, Any]
    tally: SessionTally
    trades: pl.DataFrame
    equity_ns: NDArray[np.int64]
    equity_usd: NDArray[np.float64]

    @property
    def drawdown(self) -> tuple[float | None, float | None]:
        """Largest `peak - equity`, USD, and `100 * (peak - equity) / peak`; unknown where no equity was recorded."""
        return max_drawdown(self.equity_usd)

    @property
    def starting_equity_usd(self) -> float:
        """Equity it started at."""
        return self.tally.starting_equity_usd

    @property
    def quality(self) -> Quality:
        """How good its tape is."""
        return read_quality(self.head.get("quality"))

    @property
    def is_synthetic(self) -> bool:
        """Whether its tape was made up."""
        return bool(self.head["synthetic"])


@dataclass(frozen=True, slots=True)
class Results:
    """Everything a report is made from.

    Args:
        runs: Runs in the order given.
        sessions: Their sessions, run after run.
        trades: Closed trades of these sessions, columns `TRADE_COLUMNS` and `MORE_COLUMNS`.
    """

    runs: tuple[Run, ...]
    sessions: tuple[SessionResult, ...]
    trades: pl.DataFrame

    @classmethod
    def of(cls, runs: Sequence[Run], sessions: Sequence[SessionResult]) -> Results:
        """Results of some sessions and the runs they belong to."""
        trades = [session.trades for session in sessions if len(session.trades)]
        frame = pl.concat(trades) if trades else pl.DataFrame(schema=TRADE_COLUMNS | MORE_COLUMNS)
        return cls(tuple(runs), tuple(sessions), frame)

    def by_run(self) -> list[Results]:
        """The results of each run alone; sessions and trades keep their run's position."""
        sessions: list[list[SessionResult]] = [[] for _ in self.runs]
        for session in self.sessions:
            sessions[session.run].append(session)
        return [Results.of([run], own) for run, own in zip(self.runs, sessions, strict=True)]


def load(paths: Iterable[Path], days: Days | None = None) -> Results:
    """Read runs.

    Args:
        paths: Run folders, see `runs.find_runs`.
        days: Only sessions of these days; runs without any are left out.

    Raises:
        DataError: A folder is no run, was written by a newer version, or is damaged; no session is left.
    """
    runs = [open_run(path) for path in paths]
    if days is not None:
        runs = [run for run in runs if any(days.holds(head["session"]) for head in run.manifest["sessions"])]
        if not runs:
            raise DataError(
                f"no run has a session {days.words}",
                place="`--timerange`",
                hint="`scalpcli report RUN…` without it shows which sessions there are",
            )
    sessions = [session for position, run in enumerate(runs) for session in _sessions(position, run)]
    chosen = [session for session in sessions if days is None or days.holds(session.day.isoformat())]
    return Results.of(runs, chosen)


def _sessions(position: int, run: Run) -> list[SessionResult]:
    """The sessions of a run: manifest, journal and equity, which must tell of the same ones in the same order."""
    heads = run.manifest["sessions"]
    tallies = read_journal(run.path / JOURNAL_FILE)
    told = [(str(head["symbol"]), str(head["session"])) for head in heads]
    journalled = [(tally.symbol, tally.day) for tally in tallies]
    if told != journalled:
        raise DataError(
            f"the journal tells of {_listed(journalled)}, the manifest of {_listed(told)}",
            place=f"`{run.path / JOURNAL_FILE}`",
            hint=AGAIN,
        )
    equities = _equities(run, [day for _, day in told])
    return [
        SessionResult(
            run=position,
            run_name=run.name,
            place=place,
            symbol=symbol,
            day=dt.date.fromisoformat(day),
            head=head,
            tally=tally,
            trades=trades,
            equity_ns=equity[0],
            equity_usd=equity[1],
        )
        for place, ((symbol, day), head, tally, trades, equity) in enumerate(
            zip(told, heads, tallies, _trades(position, run, tallies), equities, strict=True)
        )
    ]


def _listed(sessions: Sequence[tuple[str, str]]) -> str:
    names = [" ".join(session) for session in sessions[:3]]
    more = f" and {len(sessions) - 3} more" if len(sessions) > 3 else ""
    return (", ".join(names) + more) or "no session"


def _equities(run: Run, days: Sequence[str]) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Times and levels of each session's equity.

    Every session's rows begin with its `open` event, so two symbols of one day stay apart.
    """
    frame = _scan(run.path / EQUITY_FILE, _EQUITY_COLUMNS)
    if frame.is_empty():
        return [(np.empty(0, np.int64), np.empty(0))] * len(days)
    parts = frame.with_columns(number=(pl.col("event") == "open").cum_sum()).partition_by("number")
    found = [part["session"][0].isoformat() for part in parts]
    if found != list(days):
        raise DataError(
            f"the equity curve has {len(found)} sessions ({', '.join(found[:3])}), the manifest {len(days)}"
            f" ({', '.join(days[:3])})",
            place=f"`{run.path / EQUITY_FILE}`",
            hint=AGAIN,
        )
    return [(part["ts_ns"].to_numpy(), part["equity_usd"].to_numpy()) for part in parts]


def _trades(position: int, run: Run, tallies: Sequence[SessionTally]) -> list[pl.DataFrame]:
    """The trades of each session, which stand in the order of the journal and are as many."""
    place = f"`{run.path / TRADES_FILE}`"
    frame = _scan(run.path / TRADES_FILE, TRADE_COLUMNS)
    counts = [total(tally.counts, "trade") for tally in tallies]
    if len(frame) != sum(counts):
        found = f"`{TRADES_FILE}` has {len(frame):,} trades, the journal {sum(counts):,}"
        raise DataError(found, place=place, hint=AGAIN)
    parts = []
    begin = 0
    for tally, count, head in zip(tallies, counts, run.manifest["sessions"], strict=True):
        part = frame.slice(begin, count)
        begin += count
        owners = {(symbol, str(day)) for symbol, day in zip(part["symbol"], part["session"], strict=True)}
        if strange := owners - {(tally.symbol, tally.day)}:
            found = f"a trade of {_listed(sorted(strange))} stands where {tally.symbol} {tally.day} should"
            raise DataError(found, place=place, hint=AGAIN)
        parts.append(
            part.with_columns(
                run=pl.lit(position, pl.Int64),
                number=pl.int_range(begin - count + 1, begin + 1, dtype=pl.Int64),
                config=pl.lit(run.manifest["config_digest"], pl.String),
                synthetic=pl.lit(bool(head["synthetic"])),
                starting_equity_usd=pl.lit(tally.starting_equity_usd, pl.Float64),
            )
        )
    return parts


def _scan(path: Path, columns: dict[str, Any]) -> pl.DataFrame:
    """The columns a report needs, in their types.

    Raises:
        DataError: The file is missing, damaged, or of another shape.
    """
    place = f"`{path}`"
    try:
        frame = pl.scan_parquet(path)
        found = frame.collect_schema()
        missing = [name for name in columns if name not in found]
        if missing:
            raise DataError(f"`{path.name}` has no column `{missing[0]}`", place=place, hint=AGAIN)
        casts = [pl.col(name).cast(kind) for name, kind in columns.items() if found[name] != kind]
        return frame.select(columns.keys()).with_columns(casts).collect()
    except OSError as error:
        raise DataError(
            f"`{path.name}` cannot be read: {error.strerror or 'no such file'}", place=place, hint=AGAIN
        ) from None
    except pl.exceptions.PolarsError as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"`{path.name}` is damaged: {first_line}", place=place, hint=AGAIN) from None
