"""Writes a run: `runs/<utc>-<hash>/` with journal, telemetry, trades, equity and manifest.

The folder appears whole or not at all.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli import __version__
from scalpcli.model.params import Params
from scalpcli.runtime import clock
from scalpcli.runtime.journal import EQUITY_COLUMNS, TRADE_COLUMNS
from scalpcli.runtime.replay import SessionResult

RUN_SCHEMA_VERSION: Final = 1
COUNTED: Final = {"triggers": "trigger", "signals": "signal", "orders": "order", "fills": "fill", "trades": "trade"}


def decisions_digest(results: Sequence[SessionResult]) -> str:
    """sha256 of the journal: the sessions' lines, one after another."""
    digest = hashlib.sha256()
    for result in results:
        digest.update(result.decisions)
    return digest.hexdigest()


def tape_digest(results: Sequence[SessionResult]) -> str:
    """The tape's digest; of several tapes, the sha256 of their digests."""
    if len(results) == 1:
        return results[0].tape_digest
    return hashlib.sha256("\n".join(result.tape_digest for result in results).encode()).hexdigest()


def run_manifest(results: Sequence[SessionResult], params: Params, facts: dict[str, Any]) -> dict[str, Any]:
    """What a run was played with and what came out, for people and for `report`.

    Args:
        results: Its sessions.
        params: All settings.
        facts: `mode`, `command`, `timings_s`, `peak_rss_mb`.
    """
    counts = {name: sum(result.counts.get(kind, 0) for result in results) for name, kind in COUNTED.items()}
    return {
        "schema_version": RUN_SCHEMA_VERSION,
        **facts,
        "config": dataclasses.asdict(params),
        "config_digest": results[0].config_digest,
        "code_version": __version__,
        "seed": params.simulated_broker.seed,
        "sessions": [
            {
                "symbol": result.symbol,
                "session": str(result.session),
                "tape": result.tape,
                "tape_digest": result.tape_digest,
                "rows": result.rows,
                "synthetic": result.synthetic,
                "quality": result.quality,
                "feeds": result.feeds,
            }
            for result in results
        ],
        "decisions_digest": decisions_digest(results),
        "counts": {"rows": sum(result.rows for result in results), **counts},
        "created_utc": clock.utc_now().isoformat(timespec="seconds"),
    }


def write_run(out: Path, results: Sequence[SessionResult], manifest: dict[str, Any]) -> Path:
    """Write a run's folder below `out`.

    Args:
        out: Folder of runs; made when missing.
        results: The run's sessions.
        manifest: As `run_manifest`; the time this takes is added to its `timings_s`.

    Returns:
        The folder.
    """
    started_s = clock.seconds()
    out.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".run-", dir=out))
    try:
        with (work / "decisions.jsonl").open("wb") as file:
            file.writelines(result.decisions for result in results)
        with (work / "telemetry.jsonl").open("w", encoding="utf-8") as file:
            for result in results:
                about = {
                    "session": str(result.session),
                    "symbol": result.symbol,
                    "rows": result.rows,
                    **result.timings_s,
                }
                file.write(json.dumps(about) + "\n")
        _concat([result.trades for result in results], TRADE_COLUMNS).write_parquet(work / "trades.parquet")
        _concat([result.equity for result in results], EQUITY_COLUMNS).write_parquet(work / "equity.parquet")
        timings_s = manifest["timings_s"]
        written_s = clock.seconds() - started_s
        timings_s |= {"write": written_s, "total": timings_s["total"] + written_s}
        (work / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
        work.chmod(0o755)
        return _publish(work, out, manifest["decisions_digest"][:8])
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file whole or not at all: to a hidden one beside it, which then takes its name.

    Args:
        path: The file.
        write: Writes all of it to the path it is given.
    """
    work = path.with_name(f".{path.name}.partial")
    try:
        write(work)
        work.replace(path)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def _concat(tables: list[pl.DataFrame], columns: dict[str, Any]) -> pl.DataFrame:
    return pl.concat([pl.DataFrame(schema=columns), *tables])


def _publish(work: Path, out: Path, tag: str) -> Path:
    """Give the folder its name; a run of the same second and digest takes the next free one."""
    stamp = clock.utc_now().strftime("%Y%m%dT%H%M%SZ")
    number = 1
    while True:
        path = out / (f"{stamp}-{tag}" if number == 1 else f"{stamp}-{tag}-{number}")
        try:
            # Renaming a folder onto a folder that holds something fails, so no run replaces another.
            return work.rename(path)
        except OSError:
            if not path.exists():
                raise
            number += 1
