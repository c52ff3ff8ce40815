"""Runs on disk: which folders are meant, and what they hold.

Decides how paths, globs and roots become runs, and what a run must hold to be reported. Reads one run
after another and keeps only the columns a report needs, so memory grows with trades, not with rows.
Leaves the journal to `funnel.py` and every statistic to `summary.py`.
"""

from __future__ import annotations

import datetime as dt
import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli.errors import DataError
from scalpcli.report.funnel import SessionTally, read_journal
from scalpcli.report.quality import Quality, read_quality
from scalpcli.report.statistics import max_drawdown

MANIFEST_FILE: Final = "manifest.json"
JOURNAL_FILE: Final = "decisions.jsonl"
TRADES_FILE: Final = "trades.parquet"
EQUITY_FILE: Final = "equity.parquet"
RUN_SCHEMA_VERSION: Final = 1
"""Newest layout of a run folder this report reads."""

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
}
"""Columns of `trades.parquet` a report needs; others are left on disk."""
_EQUITY_COLUMNS: Final[dict[str, Any]] = {"session": pl.Date, "equity_usd": pl.Float64, "event": pl.String}
_MANIFEST_FIELDS: Final[dict[str, type]] = {
    "mode": str,
    "config_digest": str,
    "code_version": str,
    "sessions": list,
    "created_utc": str,
}
_SESSION_FIELDS: Final[dict[str, type]] = {"symbol": str, "session": str, "tape_digest": str, "synthetic": bool}
_AGAIN: Final = "replay the tape again, or restore the folder from a copy"


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder.

    Args:
        path: The folder.
        manifest: Content of its `manifest.json`.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


@dataclass(frozen=True, slots=True)
class SessionResult:
    """One session of one run.

    Args:
        run: Position of its run among all that were read.
        run_name: Name of that run's folder.
        symbol: The underlying.
        day: Day of the session.
        head: What the run's manifest says of it: tape, digest, rows, synthetic, feeds, quality.
        tally: What its journal counts.
        starting_equity_usd: Equity it started at.
        drawdown_usd: Largest `peak - equity`, the start a peak; `None` when the run recorded no equity.
        drawdown_pct: Largest `100 * (peak - equity) / peak`.
    """

    run: int
    run_name: str
    symbol: str
    day: dt.date
    head: dict[str, Any]
    tally: SessionTally
    starting_equity_usd: float
    drawdown_usd: float | None
    drawdown_pct: float | None

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
        trades: Closed trades, columns `TRADE_COLUMNS`, `run` (position in `runs`), `starting_equity_usd`
            and `synthetic`.
    """

    runs: tuple[Run, ...]
    sessions: tuple[SessionResult, ...]
    trades: pl.DataFrame

    def only(self, run: int) -> Results:
        """The results of one run; it keeps its position."""
        sessions = tuple(session for session in self.sessions if session.run == run)
        return Results((self.runs[run],), sessions, self.trades.filter(pl.col("run") == run))

    def where_synthetic(self, synthetic: bool) -> Results:
        """The results of made-up sessions, or of the others."""
        sessions = tuple(session for session in self.sessions if session.is_synthetic is synthetic)
        return Results(self.runs, sessions, self.trades.filter(pl.col("synthetic") == synthetic))


def load(paths: Iterable[Path]) -> Results:
    """Read runs.

    Args:
        paths: Run folders, see `find_runs`.

    Raises:
        DataError: A folder is no run, was written by a newer version, or is damaged.
    """
    runs = tuple(open_run(path) for path in paths)
    sessions: list[SessionResult] = []
    frames = [_empty_trades()]
    for position, run in enumerate(runs):
        found = _sessions(position, run)
        sessions += found
        frames.append(_trades(position, run, found))
    return Results(runs, tuple(sessions), pl.concat(frames))


def find_runs(patterns: Sequence[str], root: str = "runs") -> list[Path]:
    """The run folders meant by paths and globs, each once.

    Args:
        patterns: Run folders, folders that hold runs, or globs of either. Empty: the latest run of `root`.
        root: Where runs are looked for without a pattern.

    Returns:
        Folders in the order given; those of one root by name, which is by time.

    Raises:
        DataError: A pattern names no run.
    """
    if not patterns:
        runs = _runs_in(Path(root)) if Path(root).is_dir() else []
        if not runs:
            raise DataError(f"there is no run in `{root}`", hint=f"name a run folder, or write one: {_REPLAY}")
        return [max(runs, key=lambda path: (_created(path), path.name))]
    found: dict[Path, Path] = {}
    for pattern in patterns:
        for path in _matches(pattern):
            for run in [path] if (path / MANIFEST_FILE).exists() else _runs_in(path):
                found.setdefault(run.resolve(), run)
    return list(found.values())


_REPLAY: Final = "`scalpcli replay TAPE`"


def _matches(pattern: str) -> list[Path]:
    """Folders a path or a glob names, each a run or a root that holds one."""
    path = Path(pattern)
    # Path.glob takes no absolute pattern.
    paths = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207
    if not paths:
        raise DataError(
            f"no run at `{pattern}`", hint=f"`scalpcli report` alone shows the latest run; {_REPLAY} writes one"
        )
    folders = [each for each in paths if (each / MANIFEST_FILE).exists() or _runs_in(each)]
    if not folders:
        what = "is a file, not a run folder" if path.is_file() else "holds no run"
        raise DataError(
            f"`{pattern}` {what}",
            hint=f"a run is a folder with {MANIFEST_FILE} and {JOURNAL_FILE}, finished by {_REPLAY}",
        )
    return folders


def _runs_in(root: Path) -> list[Path]:
    """Finished runs directly inside a folder; one that is being written has a name with a dot before it."""
    folders = (path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    return sorted(path for path in folders if not path.name.startswith(".") and (path / JOURNAL_FILE).exists())


def _created(path: Path) -> str:
    """When a run was made, empty where its manifest cannot be read."""
    try:
        return str(json.loads((path / MANIFEST_FILE).read_bytes()).get("created_utc", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def open_run(path: Path) -> Run:
    """Read and check a run's manifest.

    Raises:
        DataError: It is missing, damaged, or of a newer version.
    """
    file = path / MANIFEST_FILE
    place = f"`{file}`"
    try:
        manifest = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"the run's manifest cannot be read: {error.strerror}", place=place, hint=_AGAIN) from None
    except ValueError as error:
        raise DataError(f"the run's manifest is not JSON: {error}", place=place, hint=_AGAIN) from None
    if not isinstance(manifest, dict) or not isinstance(version := manifest.get("schema_version"), int):
        raise DataError("the run's manifest has no `schema_version`", place=place, hint=_AGAIN)
    if version > RUN_SCHEMA_VERSION:
        raise DataError(
            f"the run has schema version {version}; this scalpcli reads versions up to {RUN_SCHEMA_VERSION}",
            place=place,
            hint="install a newer scalpcli, or replay the tape with this one",
        )
    _check_fields(manifest, _MANIFEST_FIELDS, place, "the run's manifest")
    if not manifest["sessions"]:
        raise DataError("the run's manifest names no session", place=place, hint=_AGAIN)
    for session in manifest["sessions"]:
        if not isinstance(session, dict):
            raise DataError("a session of the run's manifest is no object", place=place, hint=_AGAIN)
        _check_fields(session, _SESSION_FIELDS, place, "a session of the run's manifest")
        _day(session["session"], place)
    return Run(path, manifest)


def _check_fields(value: dict[str, Any], fields: dict[str, type], place: str, what: str) -> None:
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            found = f"`{name}` is {value[name]!r:.60}" if name in value else f"no `{name}`"
            raise DataError(f"{what} has {found}; it should be of type {kind.__name__}", place=place, hint=_AGAIN)


def _day(text: str, place: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise DataError(f"`{text:.40}` is no day of a session", place=place, hint=_AGAIN) from None


def _sessions(position: int, run: Run) -> list[SessionResult]:
    """The sessions of a run: manifest, journal and equity, which must tell of the same ones."""
    heads = run.manifest["sessions"]
    tallies = read_journal(run.path / JOURNAL_FILE)
    told = [(str(head["symbol"]), str(head["session"])) for head in heads]
    journalled = [(tally.symbol, tally.day) for tally in tallies]
    if told != journalled:
        raise DataError(
            f"the journal tells of {_listed(journalled)}, the manifest of {_listed(told)}",
            place=f"`{run.path / JOURNAL_FILE}`",
            hint=_AGAIN,
        )
    drawdowns = _drawdowns(run, [day for _, day in told])
    return [
        SessionResult(
            run=position,
            run_name=run.name,
            symbol=symbol,
            day=dt.date.fromisoformat(day),
            head=head,
            tally=tally,
            starting_equity_usd=tally.starting_equity_usd,
            drawdown_usd=drawdown[0],
            drawdown_pct=drawdown[1],
        )
        for (symbol, day), head, tally, drawdown in zip(told, heads, tallies, drawdowns, strict=True)
    ]


def _listed(sessions: Sequence[tuple[str, str]]) -> str:
    names = [" ".join(session) for session in sessions[:3]]
    more = f" and {len(sessions) - 3} more" if len(sessions) > 3 else ""
    return (", ".join(names) + more) or "no session"


def _drawdowns(run: Run, days: Sequence[str]) -> list[tuple[float | None, float | None]]:
    """Largest drawdown of each session, USD and percent.

    Every session's rows begin with its `open` event, so two symbols of one day stay apart.
    """
    frame = _scan(run.path / EQUITY_FILE, _EQUITY_COLUMNS)
    if frame.is_empty():
        return [(None, None)] * len(days)
    parts = frame.with_columns(number=(pl.col("event") == "open").cum_sum()).partition_by("number")
    found = [part["session"][0].isoformat() for part in parts]
    if found != list(days):
        raise DataError(
            f"the equity curve has {len(found)} sessions ({', '.join(found[:3])}), the manifest {len(days)}"
            f" ({', '.join(days[:3])})",
            place=f"`{run.path / EQUITY_FILE}`",
            hint=_AGAIN,
        )
    return [max_drawdown(part["equity_usd"].to_numpy()) for part in parts]


def _trades(position: int, run: Run, sessions: Sequence[SessionResult]) -> pl.DataFrame:
    """The run's trades, with what their session started at."""
    frame = _scan(run.path / TRADES_FILE, TRADE_COLUMNS)
    known = pl.DataFrame(
        {
            "session": [session.day for session in sessions],
            "symbol": [session.symbol for session in sessions],
            "starting_equity_usd": [session.starting_equity_usd for session in sessions],
            "synthetic": [session.is_synthetic for session in sessions],
        },
        schema={"session": pl.Date, "symbol": pl.String, "starting_equity_usd": pl.Float64, "synthetic": pl.Boolean},
    ).unique(["session", "symbol"], keep="first")
    joined = frame.join(known, on=["session", "symbol"], how="left", maintain_order="left")
    if joined["starting_equity_usd"].null_count():
        stray = joined.filter(pl.col("starting_equity_usd").is_null()).row(0, named=True)
        raise DataError(
            f"a trade is of {stray['symbol']} {stray['session']}, which the manifest does not name",
            place=f"`{run.path / TRADES_FILE}`",
            hint=_AGAIN,
        )
    return joined.with_columns(run=pl.lit(position, pl.Int64))


def _empty_trades() -> pl.DataFrame:
    more = {"starting_equity_usd": pl.Float64, "synthetic": pl.Boolean, "run": pl.Int64}
    return pl.DataFrame(schema=TRADE_COLUMNS | more)


def _scan(path: Path, columns: dict[str, Any]) -> pl.DataFrame:
    """The columns a report needs, in their types.

    Raises:
        DataError: The file is missing, damaged, or of another shape.
    """
    place = f"`{path}`"
    try:
        frame = pl.scan_parquet(path)
        missing = [name for name in columns if name not in frame.collect_schema()]
        if missing:
            raise DataError(f"`{path.name}` has no column `{missing[0]}`", place=place, hint=_AGAIN)
        return frame.select(pl.col(name).cast(kind) for name, kind in columns.items()).collect()
    except OSError as error:
        raise DataError(
            f"`{path.name}` cannot be read: {error.strerror or 'no such file'}", place=place, hint=_AGAIN
        ) from None
    except pl.exceptions.PolarsError as error:
        first_line = str(error).splitlines()[0]
        raise DataError(f"`{path.name}` is damaged: {first_line}", place=place, hint=_AGAIN) from None
