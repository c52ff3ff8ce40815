"""How many messages a second a stream is read with: ours, and alpaca-py's own client, over loopback.

A server in a process of its own sends frames made beforehand, one message each, as fast as they are taken.
Run `python tests/benchmark/stream_speed.py [MESSAGES] [--pin]`; prints one line a consumer.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import multiprocessing
import os
import socket
import sys
import time
import warnings
from multiprocessing.connection import Connection
from typing import Any

import msgpack
import numpy as np
from websockets.server import ServerProtocol

BEGIN_NS = 1_795_000_000_000_000_000
END = {"T": "error", "code": 500, "msg": "end"}


def message(number: int) -> dict[str, Any]:
    """Three quotes to one print, as on a busy day."""
    common = {"S": "TSLA", "t": msgpack.Timestamp(*divmod(BEGIN_NS + number, 1_000_000_000)), "z": "C"}
    cents = number % 997 / 100
    if number % 4:
        sides = {"bx": "VQPK"[number % 3], "bp": 400 + cents, "bs": 100, "ax": "Q", "ap": 400.02 + cents, "as": 200}
        return {"T": "q"} | common | sides | {"c": ["R"]}
    return {"T": "t", "i": number, "x": "V", "p": 400.01 + cents, "s": 10, "c": ["@", "I"][: 1 + number % 2]} | common


def frame_of(payload: bytes) -> bytes:
    """A binary websocket frame from a server."""
    size = len(payload)
    return b"\x82" + (bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2, "big")) + payload


class Peer:
    """The server's end of one connection, without an event loop of its own."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.protocol = ServerProtocol()
        self.events: list[Any] = []

    def event(self) -> Any:
        """The next request or frame."""
        while not self.events:
            self.events += self.protocol.events_received()
            if not self.events:
                self.protocol.receive_data(self.connection.recv(65536))
        return self.events.pop(0)

    def hear(self) -> Any:
        """The next message, which the SDK sends in fragments."""
        parts = b""
        while True:
            frame = self.event()
            parts += frame.data
            if frame.fin:
                return msgpack.unpackb(parts)

    def say(self, *items: Any) -> None:
        """Send one frame."""
        self.protocol.send_binary(msgpack.packb(list(items)))
        self.pump()

    def pump(self) -> None:
        """Send what the protocol has ready."""
        for piece in self.protocol.data_to_send():
            self.connection.sendall(piece)

    def greet(self) -> None:
        """The whole handshake; everything asked for is granted."""
        self.protocol.send_response(self.protocol.accept(self.event()))
        self.say({"T": "success", "msg": "connected"})
        self.hear()
        self.say({"T": "success", "msg": "authenticated"})
        asked = self.hear()
        self.say({"T": "subscription"} | {name: asked.get(name) or [] for name in ("trades", "quotes", "statuses")})


def serve(pipe: Connection, messages: int, cpu: int | None) -> None:
    """Accept connections one after the other and send everything to each."""
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    body = b"".join(frame_of(msgpack.packb([message(number)])) for number in range(messages))
    server = socket.create_server(("127.0.0.1", 0))
    pipe.send(server.getsockname()[1])
    while True:
        connection, _ = server.accept()
        with contextlib.suppress(OSError), connection:
            Peer(connection).greet()
            connection.sendall(body)
            # The client says that it has everything, or hangs up.
            connection.recv(65536)


async def loop_lag(lags_s: list[float]) -> None:
    while True:
        due_s = time.perf_counter() + 0.005
        await asyncio.sleep(0.005)
        lags_s.append(time.perf_counter() - due_s)


async def ours(url: str, messages: int) -> dict[str, Any]:
    """Socket to drained columns, drained every 50 ms as a recorder does."""
    from scalpcli.adapters.aggregator import DataAggregator
    from scalpcli.adapters.alpaca_feed import AlpacaFeed
    from scalpcli.adapters.alpaca_streams import AlpacaStreams
    from scalpcli.model.params import AlpacaParams

    offset_ns = BEGIN_NS - time.time_ns()
    clock = lambda: time.time_ns() + offset_ns  # noqa: E731
    merged = DataAggregator("TSLA", now_ns=clock, rows_waiting_max=2_000_000, monotonic_s=time.monotonic)
    keys = ("rehearsal", "rehearsal")
    streams = AlpacaStreams(keys, AlpacaParams(stream_url=url), now_ns=clock, is_expected=lambda _: True)
    feed = AlpacaFeed(merged, streams)
    lags_s: list[float] = []
    tasks = [asyncio.create_task(feed.run()), asyncio.create_task(loop_lag(lags_s))]
    digests, rows, began_s, began_cpu_s, most = {}, 0, 0.0, 0.0, 0
    while rows < messages:
        await asyncio.sleep(0.05 if rows else 0.001)
        if tasks[0].done():
            tasks[0].result()
        most = max(most, merged.waiting)
        block = feed.drain()
        if block.rows and not rows:
            began_s, began_cpu_s, first_rows = time.perf_counter(), time.process_time(), block.rows
        rows += block.rows
        for name, column in block.columns.items():
            if name != "ts_recv_ns":
                digests.setdefault(name, hashlib.sha256()).update(column.tobytes())
    elapsed_s, cpu_s = time.perf_counter() - began_s, time.process_time() - began_cpu_s
    counters = merged.counters()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return {
        "rate": (rows - first_rows) / elapsed_s,
        "cpu_us": cpu_s / (rows - first_rows) * 1e6,
        "lag_ms": float(np.percentile(lags_s, 99.9)) * 1e3,
        "rows": rows,
        "dropped": counters["dropped"],
        "duplicates": counters["duplicates"],
        "waiting_most": most,
        "digest": hashlib.sha256(b"".join(each.digest() for each in digests.values())).hexdigest()[:16],
    }


async def theirs(url: str, messages: int, *, raw: bool) -> dict[str, Any]:
    """alpaca-py's client with a handler that counts."""
    warnings.simplefilter("ignore", DeprecationWarning)
    from alpaca.data.live import StockDataStream

    stream = StockDataStream("rehearsal", "rehearsal", raw_data=raw, url_override=f"{url}/v2/sip")
    seen = [0, 0.0, 0.0]
    done = asyncio.Event()

    async def count(_: Any) -> None:
        if not seen[0]:
            seen[1], seen[2] = time.perf_counter(), time.process_time()
        seen[0] += 1
        if seen[0] >= messages:
            done.set()

    stream.subscribe_trades(count, "TSLA")
    stream.subscribe_quotes(count, "TSLA")
    lags_s: list[float] = []
    tasks = [asyncio.create_task(stream._run_forever()), asyncio.create_task(loop_lag(lags_s))]
    await done.wait()
    elapsed_s, cpu_s = time.perf_counter() - seen[1], time.process_time() - seen[2]
    await stream.stop_ws()
    await tasks[0]
    tasks[1].cancel()
    lag_ms = float(np.percentile(lags_s or [0.0], 99.9)) * 1e3
    return {"rate": messages / elapsed_s, "cpu_us": cpu_s / messages * 1e6, "lag_ms": lag_ms, "rows": seen[0]}


def measure(messages: int, *, with_sdk: bool = True, pin: bool = False) -> dict[str, dict[str, Any]]:
    """Figures of each consumer: messages a second, processor microseconds a message, loop lag p99.9."""
    figures = {"ours": _measure_one(ours, messages, pin=pin)}
    if with_sdk:
        # It is slower; a quarter of the messages takes as long.
        figures["alpaca-py raw"] = _measure_one(functools.partial(theirs, raw=True), messages // 4, pin=pin)
        figures["alpaca-py models"] = _measure_one(functools.partial(theirs, raw=False), messages // 4, pin=pin)
    return figures


def _measure_one(consumer: Any, messages: int, *, pin: bool) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    mine, other = context.Pipe()
    server = context.Process(target=serve, args=(other, messages, 1 if pin else None), daemon=True)
    server.start()
    if pin:
        os.sched_setaffinity(0, {0})
    try:
        found: dict[str, Any] = asyncio.run(consumer(f"ws://127.0.0.1:{mine.recv()}", messages))
        return found
    finally:
        server.terminate()
        server.join()


def main() -> None:
    """Print the figures."""
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    figures = measure(numbers[0] if numbers else 400_000, pin="--pin" in sys.argv)
    ours_rate = figures["ours"]["rate"]
    for name, found in figures.items():
        words = ", ".join(
            f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value}" for key, value in found.items()
        )
        print(
            f"{name}: {found['rate']:,.0f} messages/s (ours is {ours_rate / found['rate']:.1f} times as fast); {words}"
        )


if __name__ == "__main__":
    main()
