"""The bare receiver that live trading is measured against.

It reads both market data streams with `websockets` and `msgspec`; on the print that completes a trigger it syncs
300 bytes to the disk and POSTs them on a warm connection. It does nothing else: no rows, no book, no checks.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import tempfile
import time
from typing import Any

import httpx
import msgspec
from websockets.asyncio.client import connect

BYTES = 300
KEYS = {"APCA-API-KEY-ID": "rehearsal", "APCA-API-SECRET-KEY": "rehearsal"}


class Trade(msgspec.Struct, tag_field="T", tag="t", gc=False):
    """A print; options have no id."""

    t: msgspec.msgpack.Ext
    p: float
    s: float
    i: int = 0


class Quote(msgspec.Struct, tag_field="T", tag="q", gc=False):
    """A quote."""

    t: msgspec.msgpack.Ext
    bp: float
    ap: float


DECODER = msgspec.msgpack.Decoder(list[Trade | Quote])


class SentTimes:
    """When the bytes of each POST of an order were on the socket, by the number of the order or its id."""

    def __init__(self, now_ns: Any) -> None:
        self.sent_ns: dict[str, int] = {}
        self._now_ns = now_ns

    def watch(self, order_id: str) -> dict[str, Any]:
        """Extensions of a request that note the end of its sending."""

        async def trace(event: str, _: dict[str, Any]) -> None:
            if event == "http11.send_request_body.complete":
                self.sent_ns[order_id] = self._now_ns()

        return {"trace": trace}


async def receive(url: str, path: str, symbols: dict[str, list[str]], take: Any) -> None:
    """Subscribe and hand every frame over with its stamp, until the server leaves."""
    headers = {"Content-Type": "application/msgpack"}
    async with connect(f"{url}{path}", additional_headers=headers, compression=None, proxy=None) as stream:
        await stream.recv()
        await stream.send(msgspec.msgpack.encode({"action": "auth", "key": "rehearsal", "secret": "rehearsal"}))
        await stream.recv()
        await stream.send(msgspec.msgpack.encode({"action": "subscribe"} | symbols))
        await stream.recv()
        async for frame in stream:
            take(time.perf_counter_ns(), frame)


async def run(rest_url: str, stream_url: str, contracts: list[str], jumps: set[int], seconds: float) -> dict[str, Any]:
    """Play the bare receiver for `seconds`; latencies in microseconds, processor time and messages."""
    client = httpx.AsyncClient(base_url=rest_url, headers=KEYS, trust_env=False)
    await client.get("/v2/clock")
    sent = SentTimes(time.perf_counter_ns)
    stamps: dict[str, int] = {}
    parts: list[tuple[int, int]] = []
    messages = 0
    tasks: set[asyncio.Task[Any]] = set()
    journal = tempfile.TemporaryFile(dir=".", buffering=0)  # noqa: SIM115 - closed below

    async def post(number: int, stamp_ns: int) -> None:
        body = json.dumps({"symbol": contracts[0], "qty": "1", "side": "buy", "type": "limit", "limit_price": "0.01"})
        body += " " * (BYTES - len(body))
        journal.write(body.encode())
        os.fsync(journal.fileno())
        parts.append((stamp_ns, time.perf_counter_ns()))
        stamps[str(number)] = stamp_ns
        await client.post("/v2/orders", content=body.encode(), extensions=sent.watch(str(number)))

    def take(stamp_ns: int, frame: bytes) -> None:
        nonlocal messages
        for message in DECODER.decode(frame):
            messages += 1
            if type(message) is Trade and message.i in jumps:
                task = asyncio.create_task(post(message.i, stamp_ns))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

    streams = [
        receive(stream_url, "/v2/sip", {"trades": ["TSLA"], "quotes": ["TSLA"]}, take),
        receive(stream_url, "/v1beta1/opra", {"trades": contracts, "quotes": contracts}, take),
    ]
    used_s = cpu_s()
    running = [asyncio.create_task(stream) for stream in streams]
    await asyncio.wait(running, timeout=seconds)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, *tasks, return_exceptions=True)
    await client.aclose()
    journal.close()
    return {
        "latency_us": [(sent.sent_ns[name] - stamp) / 1e3 for name, stamp in stamps.items() if name in sent.sent_ns],
        "sync_us": [(done - stamp) / 1e3 for stamp, done in parts],
        "messages": messages,
        "cpu_s": cpu_s() - used_s,
    }


def cpu_s() -> float:
    """Processor time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
