"""Socket to disk: what one recorder process takes without loss, and how soon a row is safe.

`python -m tests.benchmark.record_speed` sends single-message frames over loopback from a process of its own into the
real recorder (stream consumer, merger, segments): 40,000 a second and more for 60 s, as fast as it goes, and 5,000 a
second for the time from receive stamp to the operating system. alpaca-py's own client reads the same frames in the
same run. Memory is that of the recorder's process, at a tenth of the time and at its end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import msgpack

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_feed import AlpacaFeed
from scalpcli.adapters.alpaca_streams import AlpacaStreams
from scalpcli.model.block import Block
from scalpcli.model.params import AlpacaParams, RecordParams
from scalpcli.model.row import COLUMNS
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.recorder import Limits, Recorder
from scalpcli.runtime.recorder_figures import LoopWatch
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from tests.benchmark.stream_speed import BEGIN_NS, Peer, _measure_one, frame_of, message, theirs

STEP_S = 0.01
HEADER = {"symbol": "TSLA", "session": "2026-11-20", "feeds": {"stock": "made"}, "synthetic": True}


def serve_paced(pipe: Connection, rate: int, seconds: float) -> None:
    """Send `rate` messages a second, one a frame, in steps of 10 ms; 0 sends them all at once."""
    step = max(1, round((rate or 40_000) * STEP_S))
    steps = round(seconds / STEP_S)
    parts = [
        b"".join(frame_of(msgpack.packb([message(number)])) for number in range(at * step, (at + 1) * step))
        for at in range(steps)
    ]
    server = socket.create_server(("127.0.0.1", 0))
    pipe.send((server.getsockname()[1], step * steps))
    connection, _ = server.accept()
    with contextlib.suppress(OSError), connection:
        Peer(connection).greet()
        started_s = time.perf_counter()
        for at, part in enumerate(parts):
            if rate:
                time.sleep(max(0.0, started_s + at * STEP_S - time.perf_counter()))
            connection.sendall(part)
        pipe.send(time.perf_counter() - started_s)
        connection.recv(65536)


class TimedLog:
    """A recording's log that notes how old its youngest and oldest row is once they are with the system."""

    def __init__(self, log: SegmentWriter, clock: MarketClock) -> None:
        self._log = log
        self._clock = clock
        self._oldest_ns = 0
        self.oldest_ms: list[float] = []
        self.sync = log.sync

    def append(self, block: Block) -> None:
        """Note the receive stamp of the block's first row."""
        if block.rows and not self._oldest_ns:
            self._oldest_ns = int(block.columns["ts_recv_ns"][0])
        self._log.append(block)

    def flush(self) -> None:
        """Note how long that row waited."""
        self._log.flush()
        if self._oldest_ns:
            self.oldest_ms.append((self._clock.now_ns() - self._oldest_ns) / 1e6)
            self._oldest_ns = 0

    def close(self, summary: Mapping[str, Any] | None = None) -> None:
        """Close the log."""
        self._log.close(summary)


class ShiftedClock(MarketClock):
    """The machine's clock, moved into the session the messages come from."""

    def __init__(self) -> None:
        self._offset_ns = BEGIN_NS - time.time_ns()

    def now_ns(self) -> int:
        """Time in the session, UTC nanoseconds."""
        return time.time_ns() + self._offset_ns


def rss_mb() -> float:
    """Memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


async def record(port: int, messages: int, folder: Path) -> dict[str, Any]:
    """Take every message and write it; figures of how that went."""
    clock = ShiftedClock()
    params = RecordParams()
    merged = DataAggregator("TSLA", now_ns=clock.now_ns, rows_waiting_max=2_000_000, monotonic_s=time.monotonic)
    # The server sends and does nothing else: it answers no ping.
    urls = AlpacaParams(stream_url=f"ws://127.0.0.1:{port}", stale_stock_s=60.0, ping_s=300.0)
    streams = AlpacaStreams(("rehearsal", "rehearsal"), urls, now_ns=clock.now_ns, is_expected=lambda _: True)
    feed = AlpacaFeed(merged, streams)
    log = TimedLog(SegmentWriter(folder, params, HEADER), clock)
    recorder = Recorder(feed, log, params=params, clock=clock, limits=Limits(2**62, folder.parent))
    watch = LoopWatch()
    tasks = [asyncio.create_task(watch.run()), asyncio.create_task(recorder.run())]
    waiting_most, early_mb, began_s, began_cpu_s = 0, 0.0, 0.0, 0.0
    rows = 0
    while rows < messages:
        await asyncio.sleep(0.02)
        if tasks[1].done():
            raise tasks[1].exception() or recorder.failure or AssertionError("the recorder ended early")
        waiting_most = max(waiting_most, merged.waiting)
        rows = recorder.figures.market_rows
        if rows and not began_s:
            began_s, began_cpu_s = time.perf_counter(), time.process_time()
        if not early_mb and rows > messages / 10:
            early_mb = rss_mb()
    elapsed_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    late_mb = rss_mb()
    recorder.stop("until")
    await tasks[1]
    tasks[0].cancel()
    waits = sorted(log.oldest_ms)
    return {
        "others": {
            name: count for name, count in recorder.figures.by_name().items() if name in ("gap", "cold") and count
        },
        "messages": messages,
        "rows": rows,
        "rate": rows / elapsed_s,
        "cpu_us": cpu_s / rows * 1e6,
        "dropped": merged.counters()["dropped"],
        "duplicates": merged.counters()["duplicates"],
        "waiting_most": waiting_most,
        "rss_mb_early": early_mb,
        "rss_mb_late": late_mb,
        "safe_ms_p50": waits[len(waits) // 2],
        "safe_ms_max": waits[-1],
        **watch.figures(),
    }


def read_back(folder: Path) -> tuple[int, str]:
    """Rows that are in the recording, and the digest of all but their receive stamps."""
    digests = {name: hashlib.sha256() for name in COLUMNS if name != "ts_recv_ns"}
    rows = 0
    for block in SegmentReader(folder).blocks():
        rows += block.rows
        for name, digest in digests.items():
            digest.update(block.columns[name].tobytes())
    return rows, hashlib.sha256(b"".join(digest.digest() for digest in digests.values())).hexdigest()[:16]


def run_one(rate: int, seconds: float) -> dict[str, Any]:
    """One recorder in this process, pinned to one core, against a server on the other."""
    cores = sorted(os.sched_getaffinity(0))
    mine, other = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve_paced, args=(other, rate, seconds), daemon=True)
    server.start()
    if len(cores) > 1:
        os.sched_setaffinity(server.pid or 0, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
    try:
        port, messages = mine.recv()
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / ".2026-11-20.recording"
            figures = asyncio.run(record(port, messages, recording))
            figures["sent_s"] = mine.recv()
            figures["rows_on_disk"], figures["digest"] = read_back(recording)
        return figures
    finally:
        server.terminate()
        server.join()
        os.sched_setaffinity(0, set(cores))


def in_a_fresh_process(rate: int, seconds: float) -> dict[str, Any]:
    """`run_one` where nothing ran before, so that memory is its own."""
    command = [sys.executable, "-m", "tests.benchmark.record_speed", "--one", str(rate), "--seconds", str(seconds)]
    root = Path(__file__).parents[2]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout)


def measure(seconds: float, ceiling_seconds: float) -> dict[str, dict[str, Any]]:
    """Sustained, ceiling and latency of ours; the SDK's client beside them."""
    figures = {
        "sustained, 45,000 a second": in_a_fresh_process(45_000, seconds),
        "ceiling": in_a_fresh_process(0, ceiling_seconds),
        "5,000 a second": in_a_fresh_process(5_000, seconds / 3),
    }
    messages = round(40_000 * ceiling_seconds)

    async def sdk(url: str, wanted: int) -> dict[str, Any]:
        return await theirs(url, wanted, raw=True)

    figures["alpaca-py raw, in memory"] = _measure_one(sdk, messages // 4, pin=True)
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--ceiling-seconds", type=float, default=20.0, help="messages of the ceiling run, at 40,000")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one is not None:
        print(json.dumps(run_one(chosen.one, chosen.seconds)))
        return
    figures = measure(chosen.seconds, chosen.ceiling_seconds)
    ceiling = figures["ceiling"]["rate"]
    for name, found in figures.items():
        print(f"{name}: {found['rate']:,.0f} messages/s ({ceiling / found['rate']:.1f} times as fast is our ceiling)")
        for key, value in found.items():
            print(f"    {key:20} {value:,.2f}" if isinstance(value, float) else f"    {key:20} {value}")


if __name__ == "__main__":
    main()
