"""How fast a session is replayed, against merely reading it and against plain Python.

`python -m tests.benchmark.replay_speed` runs it in full (5 and 20 million rows); the test suite runs it
tiny. Every figure is a ratio within one sitting: reading and replaying alternate, each in a fresh process,
and medians are compared. *Read* is `polars.read_parquet` and every column to NumPy, Polars imported.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmark.plain_python import WINDOWS_NS

ROOT = Path(__file__).parents[2]

READ = """
import sys, time
import polars as pl
started_s = time.perf_counter()
table = pl.read_parquet(sys.argv[1])
columns = [table[name].to_numpy() for name in table.columns]
print(time.perf_counter() - started_s)
"""


def make_tape(root: Path, rows: int, contracts: int, seed: int) -> Path:
    """A synthetic session of `rows` rows; its folder."""
    command = ["tape", "synth", str(root), "--date", "2026-11-20", "--rows", str(rows), "--quiet"]
    run_scalpcli([*command, "--contracts", str(contracts), "--seed", str(seed)])
    return root / "TSLA" / "2026-11-20"


def run_scalpcli(arguments: list[str]) -> str:
    """Standard output of one command in a fresh process."""
    command = [sys.executable, "-m", "scalpcli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def read_s(tape: Path) -> float:
    """Seconds one fresh process takes to read the tape's rows."""
    command = [sys.executable, "-c", READ, str(tape / "rows.parquet")]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def replay_s(tapes: list[Path], out: Path) -> tuple[dict[str, Any], float]:
    """What one fresh process reports of a replay, and the seconds it lived."""
    started_s = time.perf_counter()
    printed = run_scalpcli(["replay", *map(str, tapes), "--format", "json", "--out", str(out)])
    return json.loads(printed), time.perf_counter() - started_s


def plain_python(tape: Path) -> tuple[float, list[float]]:
    """Seconds and sums of `plain_python.py`, in a fresh process."""
    command = [sys.executable, "-m", "tests.benchmark.plain_python", str(tape)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    seconds, *sums = json.loads(printed)
    return seconds, sums


def traced_sums(tape: Path, work: Path) -> list[float]:
    """What the plain loop sums, of a replay's own trace."""
    import polars as pl

    run_scalpcli(["replay", str(tape), "--trace", str(work / "trace.parquet"), "--out", str(work / "runs"), "--quiet"])
    trace = pl.read_parquet(work / "trace.parquet")
    names = [*(f"velocity_{window_ns // 1_000_000_000}_pct" for window_ns in WINDOWS_NS), "volume_ratio"]
    return [float(trace[name].sum()) for name in names]


def measure(rows: int, larger_rows: int, sessions: int, contracts: int, repeats: int, work: Path) -> dict[str, Any]:
    """Every figure of the benchmark, as ratios within this sitting."""
    tape = make_tape(work / "one", rows, contracts, 7)
    out = work / "runs"
    read_s(tape)
    replay_s([tape], out)
    reads, replays = [], []
    for _ in range(repeats):
        reads.append(read_s(tape))
        replays.append(replay_s([tape], out))
    read = statistics.median(reads)
    last = replays[-1][0]
    timing = {name: statistics.median(one[0]["timings_s"][name] for one in replays) for name in last["timings_s"]}
    larger, _ = replay_s([make_tape(work / "larger", larger_rows, contracts, 7)], out)
    several, _ = replay_s([tape] if sessions == 1 else session_tapes(work, rows, contracts, sessions), out)
    plain = [plain_python(tape) for _ in range(min(3, repeats))]
    plain_s, sums = statistics.median(seconds for seconds, _ in plain), plain[0][1]
    marginal_s = (several["timings_s"]["total"] - timing["total"]) / max(1, sessions - 1)
    return {
        "rows": last["rows"],
        "read_s": read,
        "read_rows_per_s": last["rows"] / read,
        "bytes_per_row": (tape / "rows.parquet").stat().st_size / last["rows"],
        "engine_rows_per_s": last["rows"] / timing["engine"],
        "total_over_read": timing["total"] / read,
        "process_over_read": statistics.median(one[1] for one in replays) / read,
        "marginal_session_over_read": marginal_s / read if sessions > 1 else None,
        "plain_python_over_total": plain_s / timing["total"],
        "plain_python_agrees": all(
            math.isclose(one, other, rel_tol=1e-9) for one, other in zip(sums, traced_sums(tape, work), strict=True)
        ),
        "peak_rss_mb": last["peak_rss_mb"],
        "peak_rss_mb_larger": larger["peak_rss_mb"],
        "rows_larger": larger["rows"],
        "triggers": last["triggers"],
        "trades": last["trades"],
        "decisions_digest": last["decisions_digest"],
    }


def session_tapes(work: Path, rows: int, contracts: int, sessions: int) -> list[Path]:
    """Tapes of one size with a seed of their own each."""
    return [make_tape(work / f"session-{seed}", rows, contracts, seed) for seed in range(sessions)]


def main() -> None:
    """Run in full and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--larger-rows", type=int, default=20_000_000)
    parser.add_argument("--sessions", type=int, default=10)
    parser.add_argument("--contracts", type=int, default=40)
    parser.add_argument("--repeats", type=int, default=5)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(
            chosen.rows, chosen.larger_rows, chosen.sessions, chosen.contracts, chosen.repeats, Path(folder)
        )
    for name, value in figures.items():
        print(f"{name:28} {value:,.3f}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
