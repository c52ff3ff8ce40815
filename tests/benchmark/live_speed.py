"""From the row that completes a trigger to the order's bytes on the socket: `live`, and a bare receiver beside it.

`python -m tests.benchmark.live_speed` plays a made-up tape of even speed with `scalpcli exchange`, 5,000 single-message
frames a second, once to the bare receiver (`live_bare.py`) and once to `scalpcli live run`, several rounds one after
the other. Each has one core, the exchange the other. The time runs from the receive stamp of the trigger's print to
the moment the POST's bytes were handed to the socket, which the requests of both tell by the same trace.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmark.live_bare import SentTimes, cpu_s, run
from tests.benchmark.live_tape import CONFIG, chain, write_tape

ROOT = Path(__file__).parents[2]
RATE = 5_000
WARM_S = 6.0
"""Market seconds at the beginning that do not count: imports, first connections, first compiled calls."""


def percentile(values: list[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


@contextlib.contextmanager
def exchange(tape: Path) -> Iterator[tuple[str, str]]:
    """A local exchange on a core of its own; its two addresses."""
    port = free_port()
    words = ["exchange", tape, "--port", port, "--wait-for", "2", "--start", "09:30", "--quiet"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scalpcli", *map(str, words)], stdout=subprocess.DEVNULL, cwd=ROOT
    )
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(process.pid, {cores[-1]})
    try:
        deadline_s = time.monotonic() + 30.0
        while time.monotonic() < deadline_s:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port + 1}"
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """The first of two free ports."""
    for _ in range(50):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            with contextlib.suppress(OSError):
                second.bind(("127.0.0.1", port + 1))
                return port
    raise AssertionError("no two free ports")


def play_bare(tape: Path, jumps: dict[int, int], seconds: float) -> dict[str, Any]:
    """One round of the bare receiver, in a process of its own."""
    with exchange(tape) as (rest_url, stream_url):
        counted = {trade_id: at_ns for trade_id, at_ns in jumps.items() if at_ns >= min(jumps.values()) + WARM_S * 1e9}
        job = {"rest": rest_url, "stream": stream_url, "jumps": list(counted), "seconds": seconds}
        return child("bare", job)


def play_live(tape: Path, config: Path, seconds: float, interval_ms: int) -> dict[str, Any]:
    """One round of `live run`, in a process of its own."""
    with exchange(tape) as (rest_url, _), tempfile.TemporaryDirectory(dir=ROOT) as out:
        job = {"rest": rest_url, "config": str(config), "out": out, "seconds": seconds, "interval_ms": interval_ms}
        return child("live", job)


def child(part: str, job: dict[str, Any]) -> dict[str, Any]:
    """Run one part of this file on the first core; what it prints last is its result."""
    cores = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-W", "ignore", "-m", "tests.benchmark.live_speed", "--part", part, json.dumps(job)]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, {cores[0]}),
    )
    if done.returncode:
        raise SystemExit(f"{part} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def part_bare(job: dict[str, Any]) -> dict[str, Any]:
    """In the child: the bare receiver."""
    symbols = [contract.symbol for contract in chain()]
    return asyncio.run(run(job["rest"], job["stream"], symbols, set(job["jumps"]), job["seconds"]))


class Stages:
    """When the last call of each step began and ended, and how that stood when each order left."""

    def __init__(self, now_ns: Any) -> None:
        self.orders: dict[str, dict[str, tuple[int, int]]] = {}
        self._now_ns = now_ns
        self._last: dict[str, tuple[int, int]] = {}

    def time(self, name: str, owner: type, method: str) -> None:
        """Take the times of a method from now on."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*args: Any, **more: Any) -> Any:
            begun_ns = self._now_ns()
            self._last[name] = (begun_ns, begun_ns)
            try:
                return inner(*args, **more)
            finally:
                self._last[name] = (begun_ns, self._now_ns())

        setattr(owner, method, timed)

    def keep_at(self, owner: type, method: str) -> None:
        """Keep the times for the order that `method` is called with."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def kept(this: Any, command: Any, *args: Any) -> Any:
            # A cancel of the order comes later, and has no part in it.
            self.orders.setdefault(command.order_id, self._last | {"leave": (self._now_ns(), 0)})
            return inner(this, command, *args)

        setattr(owner, method, kept)

    def parts_us(self, order_id: str, stamp_ns: int, sent_ns: int) -> dict[str, float]:
        """Microseconds of each part of one order's way."""
        at = self.orders[order_id]
        decide_ns = at["decide"][1] - at["decide"][0]
        return {
            "decode and wait": (at["fold"][0] - stamp_ns) / 1e3,
            "engine": (at["feed"][1] - at["fold"][0] - decide_ns) / 1e3,
            "decide": decide_ns / 1e3,
            "rows": (at["rows"][1] - at["rows"][0]) / 1e3,
            "sync": (at["sync"][1] - at["sync"][0]) / 1e3,
            "submit": (sent_ns - at["leave"][0]) / 1e3,
        }


def part_live(job: dict[str, Any]) -> dict[str, Any]:
    """In the child: `scalpcli live run`, the very command, with the trace on its POSTs."""
    from scalpcli.adapters.lean_http import LeanTransport
    from scalpcli.cli import main
    from scalpcli.core.engine import Engine
    from scalpcli.runtime.clock import RehearsalClock
    from scalpcli.runtime.live_engine import LiveEngine
    from scalpcli.runtime.live_sender import Sender
    from scalpcli.runtime.recorder import Recorder
    from scalpcli.runtime.run_files import JournalFile
    from scalpcli.runtime.trader import Trader

    clocks: list[RehearsalClock] = []
    begin = RehearsalClock.__init__
    handle = LeanTransport.handle_async_request
    # The clock is made later than this.
    sent = SentTimes(lambda: clocks[-1].now_ns())  # noqa: PLW0108

    stages = Stages(lambda: clocks[-1].now_ns())  # noqa: PLW0108
    stages.time("fold", Trader, "_fold")
    stages.time("feed", LiveEngine, "feed")
    stages.time("decide", Engine, "on_instant")
    stages.time("rows", Recorder, "write_now")
    stages.time("sync", JournalFile, "sync")
    stages.keep_at(Sender, "send")

    def remember(self: RehearsalClock, *args: Any) -> None:
        begin(self, *args)
        clocks.append(self)

    async def watched(self: LeanTransport, request: Any) -> Any:
        if request.method == "POST" and request.url.path == "/v2/orders":
            request.extensions = request.extensions | sent.watch(json.loads(request.content)["client_order_id"])
        return await handle(self, request)

    RehearsalClock.__init__, LeanTransport.handle_async_request = remember, watched  # type: ignore[method-assign]
    words = ["live", "run", "--rehearse", job["rest"], "-c", job["config"], "--out", job["out"], "--no-watch", "-q"]
    words += ["--until", f"{job['seconds']:.0f}s", "-p", f"scalp.eval_interval_ms={job['interval_ms']}"]
    sys.argv = ["scalpcli", *words]
    used_s = cpu_s()
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        main()
    (journal,) = Path(job["out"]).glob("*/*/*/decisions.jsonl")
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    begin_ns = next(line["open_ns"] for line in lines if line["kind"] == "session") + WARM_S * 1e9
    decided = {
        line["order_id"]: line["ts_ns"]
        for line in lines
        if line["kind"] == "order" and line["reason"] == "signal" and line["ts_ns"] >= begin_ns
    }
    parts = [
        stages.parts_us(name, at_ns, sent.sent_ns[name]) for name, at_ns in decided.items() if name in sent.sent_ns
    ]
    telemetry = journal.with_name("telemetry.jsonl").read_text(encoding="utf-8").splitlines()
    manifest = json.loads(journal.with_name("manifest.json").read_text(encoding="utf-8"))
    return {
        "latency_us": [(sent.sent_ns[name] - at_ns) / 1e3 for name, at_ns in decided.items() if name in sent.sent_ns],
        "messages": manifest["counts"]["rows"],
        "cpu_s": cpu_s() - used_s,
        "digest": hashlib.sha256(journal.read_bytes()).hexdigest()[:16],
        "parts_us": parts,
        "telemetry": [json.loads(line) for line in telemetry],
    }


def measure(rounds: int, seconds: float, interval_ms: int) -> dict[str, list[dict[str, Any]]]:
    """Bare and live, one after the other, `rounds` times."""
    found: dict[str, list[dict[str, Any]]] = {"bare": [], "live": []}
    with tempfile.TemporaryDirectory() as folder:
        tape, jumps = write_tape(Path(folder), RATE, seconds + 10.0)
        config = Path(folder) / "live.toml"
        config.write_text(CONFIG, encoding="utf-8")
        for _ in range(rounds):
            found["bare"].append(play_bare(tape, jumps, seconds))
            found["live"].append(play_live(tape, config, seconds, interval_ms))
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--interval-ms", type=int, default=0)
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.part:
        parts = {"bare": part_bare, "live": part_live}
        print(json.dumps(parts[chosen.part[0]](json.loads(chosen.part[1]))))
        return
    found = measure(chosen.rounds, chosen.seconds, chosen.interval_ms)
    figures = {}
    for name, rounds in found.items():
        latencies = [value for each in rounds for value in each["latency_us"]]
        used_us = sum(each["cpu_s"] for each in rounds) / max(1, sum(each["messages"] for each in rounds)) * 1e6
        figures[name] = (percentile(latencies, 0.5), percentile(latencies, 0.99), used_us)
        rows = sum(each["messages"] for each in rounds)
        print(
            f"{name}: {len(latencies)} orders, p50 {figures[name][0]:,.0f} us, p99 {figures[name][1]:,.0f} us; "
            f"{rows:,} rows, {used_us:.1f} us of processor a row"
        )
    ratios = [ours / theirs for ours, theirs in zip(figures["live"], figures["bare"], strict=True)]
    print(
        f"live / bare: p50 {ratios[0]:.2f} (goal 1.5), p99 {ratios[1]:.2f} (goal 2), processor {ratios[2]:.2f} (goal 2)"
    )
    parts = [part for each in found["live"] for part in each["parts_us"]]
    for name in parts[0] if parts else ():
        times = [part[name] for part in parts]
        print(f"    {name:16} p50 {percentile(times, 0.5):8,.0f} us, p99 {percentile(times, 0.99):8,.0f} us")
    for each in found["live"]:
        print(f"    journal {each['digest']}, {each['telemetry']}")


if __name__ == "__main__":
    main()
