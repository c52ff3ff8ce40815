"""How fast settings are searched: a thousand on one session against one replay of it; two workers against one.

`python -m tests.benchmark.optimize_speed` runs it in full; the test suite runs it tiny. Every figure is a ratio
within one sitting, of fresh processes, imports and reading included. The first is taken on one core and in
processor time, so that neighbours on a busy machine do not count; those of two workers are wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmark.replay_speed import ROOT, make_tape

GRID = (
    ("scalp.momentum_threshold_pct", "0.2:0.9:0.1", 8),
    ("scalp.volume_spike_ratio", "1.0:3.0:0.5", 5),
    ("scalp.take_profit_pct", "15,20,30,40,50", 5),
    ("scalp.stop_loss_pct", "8,10,15,20,25", 5),
)
"""1,000 settings of threshold x volume ratio x take profit x stop."""


def timed(words: list[str]) -> tuple[float, float, str]:
    """Wall and processor seconds of one fresh process, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started_s = time.perf_counter()
    command = [sys.executable, "-m", "scalpcli", *words]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    wall_s = time.perf_counter() - started_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, printed


def search_words(tapes: list[Path], axes: int, out: Path, *more: str) -> list[str]:
    """A search of the first `axes` axes of the grid; the others stand at their defaults."""
    searched = [word for key, values, _ in GRID[:axes] for word in ("-p", f"{key}={values}")]
    return ["optimize", "run", *map(str, tapes), *searched, "--out", str(out), "--json", "-q", *more]


def one_session(tape: Path, axes: int, repeats: int, work: Path) -> dict[str, Any]:
    """A search against a replay on one core: ratios of processor and of wall time, medians of alternating runs."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        pairs = []
        for number in range(repeats):
            replay = timed(["replay", str(tape), "--out", str(work / "runs"), "--json", "-q"])
            pairs.append((replay, timed(search_words([tape], axes, work / f"one-{number}"))))
    finally:
        os.sched_setaffinity(0, cores)
    found = json.loads(pairs[-1][1][2])
    return {
        "settings": len(found["settings"]),
        "replay_cpu_s": statistics.median(replay[1] for replay, _ in pairs),
        "search_cpu_s": statistics.median(search[1] for _, search in pairs),
        "search_over_replay": statistics.median(search[1] / replay[1] for replay, search in pairs),
        "search_over_replay_wall": statistics.median(search[0] / replay[0] for replay, search in pairs),
    }


def two_processes(tapes: list[Path], axes: int, repeats: int, work: Path) -> float:
    """Wall time of one process over that of two."""
    ratios = []
    for number in range(repeats):
        one, two = (
            timed(search_words(tapes, axes, work / f"p{number}-{jobs}", "--jobs", str(jobs))) for jobs in (1, 2)
        )
        ratios.append(one[0] / two[0])
    return statistics.median(ratios)


def on_dask(tapes: list[Path], axes: int, workers: int, repeats: int, work: Path) -> float:
    """Wall seconds of a search on a Dask scheduler with so many workers, once they are warm."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    commands = [["scheduler", "--host", "127.0.0.1", "--port", str(port)]]
    commands += [["worker", address, "--nthreads", "1"]] * workers
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "dask", *words, "--no-dashboard"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT, start_new_session=True,
        )
        for words in commands
    ]  # fmt: skip
    try:
        more = ("--executor", "dask", "--scheduler", address)
        time.sleep(5.0)
        timed(search_words(tapes, 1, work / f"warm-{workers}", *more))
        return statistics.median(
            timed(search_words(tapes, axes, work / f"dask-{workers}-{number}", *more))[0] for number in range(repeats)
        )
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def measure(rows: int, axes: int, sessions: int, repeats: int, work: Path, *, with_dask: bool) -> dict[str, Any]:
    """Every figure of the benchmark."""
    tapes = [make_tape(work / f"session-{seed}", rows, 100, seed + 3) for seed in range(sessions)]
    figures = {"rows": rows} | one_session(tapes[0], axes, repeats, work)
    figures["two_processes_over_one"] = two_processes(tapes, axes, repeats, work)
    if with_dask:
        one, two = (on_dask(tapes, axes, workers, repeats, work) for workers in (1, 2))
        figures["two_dask_workers_over_one"] = one / two
    return figures


def main() -> None:
    """Run in full and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(chosen.rows, 4, chosen.sessions, chosen.repeats, Path(folder), with_dask=True)
    for name, value in found.items():
        print(f"{name:28} {value:,.3f}" if isinstance(value, float) else f"{name:28} {value}")


if __name__ == "__main__":
    main()
