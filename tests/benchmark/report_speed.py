"""How fast runs are reported.

`python -m tests.benchmark.report_speed` runs it in full: a year of 250 runs with five trades a day and equity by
the minute, 1,000 runs for memory, and random traders on a session of five million rows. The test suite runs it
tiny. Each figure is a fresh process, imports included.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from scalpcli.model.session import is_session
from scalpcli.units import NS_PER_S
from tests.benchmark.replay_speed import make_tape
from tests.report_builder import RunBuilder

MINUTES = 390
PEAK = """
import sys
from scalpcli.cli import app
sys.argv[0] = 'scalpcli'
try:
    app()
finally:
    # Not `ru_maxrss`: a new process begins with that of whoever started it.
    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))
    print('peak_kb', peak.split()[1], file=sys.stderr)
"""


def year_of_runs(root: Path, runs: int, trades: int, minutes: int = MINUTES) -> Path:
    """Runs of one session each: trades at random minutes, equity every minute."""
    chance = random.Random(5)  # noqa: S311 - a benchmark, no secret
    day = dt.date(2010, 1, 4)
    for number in range(runs):
        while not is_session(day):
            day += dt.timedelta(days=1)
        run = RunBuilder(root, f"{day:%Y%m%d}T220000Z-{number:08x}", f"{day}T22:00:00+00:00")
        session = run.session(day.isoformat())
        for _ in range(trades):
            won = chance.random() < 0.55
            session.trade(
                chance.expovariate(1 / 300) if won else -chance.expovariate(1 / 250), confidence=chance.randint(40, 95)
            )
        begin = session.equity[0]
        session.equity[1:-1] = [
            begin | {"ts_ns": session.open_ns + minute * 60 * NS_PER_S, "event": "minute",
                     "equity_usd": begin["equity_usd"] + chance.gauss(0, 500)}
            for minute in range(1, minutes)
        ]  # fmt: skip
        run.write()
        day += dt.timedelta(days=1)
    return root


def report(arguments: list[str]) -> tuple[float, float]:
    """Seconds one fresh process takes, and the most memory it held, MB."""
    started_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "report", *arguments], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - started_s
    return seconds, int(done.stderr.rsplit("peak_kb", 1)[1]) / 1024


def cpu_s(arguments: list[str]) -> float:
    """Processor seconds of one fresh process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "scalpcli", *arguments], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(runs: int, many: int, rows: int, traders: int, work: Path) -> dict[str, Any]:
    """Every figure of the benchmark."""
    year = year_of_runs(work / "year", runs, 5)
    one = next(year.iterdir())
    page = work / "page.html"
    report([str(one)])
    page_s, page_mb = report([str(year), "--out", str(page)])
    more = year_of_runs(work / "many", many, 5, 40)
    many_s, many_mb = report([str(more), "--out", str(work / "many.html")])
    figures = {
        "runs": runs,
        "page_s": page_s,
        "page_peak_mb": page_mb,
        "page_mb": page.stat().st_size / 1e6,
        "one_run_s": min(report([str(one)])[0] for _ in range(3)),
        "one_run_cpu_s": min(cpu_s(["report", str(one)]) for _ in range(3)),
        "many_runs": many,
        "many_runs_s": many_s,
        "many_runs_peak_mb": many_mb,
    }
    return figures | random_traders(rows, traders, work)


def random_traders(rows: int, traders: int, work: Path) -> dict[str, Any]:
    """Seconds of random traders against seconds of one replay, processes and engine work alone."""
    tape = make_tape(work / "tapes", rows, 40, 7)
    words = [sys.executable, "-m", "scalpcli", "replay", str(tape), "--json", "--out", str(work / "runs")]
    subprocess.run(words, capture_output=True, check=True)
    started_s = time.perf_counter()
    played = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    replay_s = time.perf_counter() - started_s
    null_s, null_mb = report([played["run_dir"], "--null", str(traders), "--json"])
    return {
        "rows": rows,
        "replay_process_s": replay_s,
        "replay_total_s": played["timings_s"]["total"],
        "null_process_s": null_s,
        "null_peak_mb": null_mb,
        "null_over_replay_process": null_s / replay_s,
        "null_over_replay_total": null_s / played["timings_s"]["total"],
    }


def main() -> None:
    """Run in full and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=250)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--traders", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(chosen.runs, chosen.many, chosen.rows, chosen.traders, Path(folder))
    for name, value in figures.items():
        print(f"{name:28} {value:,.3f}" if isinstance(value, float) else f"{name:28} {value:,}")


if __name__ == "__main__":
    main()
