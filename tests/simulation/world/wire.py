"""Requests and updates between a process and the exchange: bytes, with delays and faults, in virtual time.

A request that is under way when its process dies still arrives, as bytes do that the operating system has. What the
exchange answers to a dead process is lost.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx

from tests.simulation.world import chance as faults
from tests.simulation.world.floor import Floor
from tests.simulation.world.loop import Process
from tests.simulation.world.watch import Watch

_HTML = b"<html><body>Bad Gateway</body></html>"
_STATUS = {faults.TOO_MANY: 429, faults.ERROR: 500, faults.UNAVAILABLE: 503, faults.GATEWAY: 504}
Answer = tuple[int, dict[str, str], bytes]


class Wire(httpx.AsyncBaseTransport):
    """What the desk of one process speaks over.

    Args:
        process: Whose it is.
        floor: The exchange.
        watch: Sees every request leave.
        chance: What goes wrong.
    """

    def __init__(self, process: Process, floor: Floor, watch: Watch, chance: faults.Chance) -> None:
        self._process, self._floor, self._watch, self._chance = process, floor, watch, chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and wait for its answer as long as the client does."""
        loop = asyncio.get_running_loop()
        body = await request.aread()
        is_order = request.method == "POST" and request.url.path == "/v2/orders"
        fault = self._chance.request(loop.time(), is_order=is_order)
        timeouts = request.extensions.get("timeout", {})
        self._watch.note(f"{self._process.name} {request.method} {request.url.path} {body.decode()[-90:]} {fault}")
        if fault == faults.REFUSED:
            await asyncio.sleep(self._chance.delay_s())
            raise httpx.ConnectError("refused", request=request)
        if fault == faults.NO_CONNECTION:
            await asyncio.sleep(timeouts.get("connect") or 60.0)
            raise httpx.ConnectTimeout("no connection", request=request)
        if is_order:
            self._watch.on_send(self._process, json.loads(body))
        heard: asyncio.Future[Answer] = loop.create_future()
        self._travel(request, body, fault, heard)
        try:
            async with asyncio.timeout(timeouts.get("read") or 60.0):
                status, headers, content = await heard
        except TimeoutError:
            raise httpx.ReadTimeout("no answer", request=request) from None
        except ConnectionError:
            raise httpx.ReadError("reset", request=request) from None
        return httpx.Response(status, headers=headers, content=content, request=request)

    def _travel(self, request: httpx.Request, body: bytes, fault: str, heard: asyncio.Future[Answer]) -> None:
        """Let a request arrive where it does, and its answer come back where one does."""
        out_s = self._chance.delay_s()
        if fault == faults.LATE:
            out_s += self._chance.draw.uniform(0.5, 9.0)
        if fault == faults.RESET:
            self._process.soon(out_s, _fail, heard)
        elif fault in _STATUS and fault not in faults.TAKEN:
            self._process.soon(2 * out_s, _hear, heard, self._refusal(fault))
        elif fault != faults.LOST:
            self._floor.process.soon(out_s, self._arrive, request, body, fault, heard)

    def _arrive(self, request: httpx.Request, body: bytes, fault: str, heard: asyncio.Future[Answer]) -> None:
        """At the exchange."""
        if fault == faults.REJECT:
            answer: Answer = (403, {}, b'{"code":40310000,"message":"insufficient options buying power"}')
        else:
            answer = self._floor.answer(request, body)
        back_s = self._chance.delay_s()
        if fault == faults.RESET_AFTER:
            self._process.soon(back_s, _fail, heard)
        elif fault == faults.GATEWAY:
            self._process.soon(back_s, _hear, heard, self._refusal(fault))
        elif fault == faults.GARBAGE:
            self._process.soon(back_s, _hear, heard, (200, {}, answer[2][: len(answer[2]) // 2]))
        elif fault != faults.ANSWER_LOST:
            self._process.soon(back_s, _hear, heard, answer)

    def _refusal(self, fault: str) -> Answer:
        reset_s = int(self._floor.market.now_ns() // 1_000_000_000) + self._chance.draw.choice((1, 2, 5))
        headers = {"x-ratelimit-limit": "200", "x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset_s)}
        if fault == faults.TOO_MANY:
            return 429, headers, b'{"message":"too many requests."}'
        return _STATUS[fault], {}, _HTML


def _hear(heard: asyncio.Future[Answer], answer: Answer) -> None:
    if not heard.done():
        heard.set_result(answer)


def _fail(heard: asyncio.Future[Answer]) -> None:
    if not heard.done():
        heard.set_exception(ConnectionError())


class Updates:
    """The stream of updates to one process: lost, late, twice or out of order.

    Args:
        process: Who listens.
        chance: What goes wrong.
        take: Takes a frame.
    """

    def __init__(self, process: Process, chance: faults.Chance, take: Callable[[bytes], Any]) -> None:
        self._process, self._chance, self._take = process, chance, take
        self.is_down = False

    def on_event(self, data: dict[str, Any]) -> None:
        """Send what happened to an order."""
        if self.is_down or not self._process.is_alive:
            return
        frame = json.dumps({"stream": "trade_updates", "data": data}).encode()
        chance, delay_s = self._chance, self._chance.delay_s()
        if chance.draw.random() < chance.updates_share:
            kind = chance.draw.choice(
                (faults.UPDATE_LOST, faults.UPDATE_LATE, faults.UPDATE_TWICE, faults.UPDATE_OVERTAKEN)
            )
            chance.counts[kind] += 1
            if kind == faults.UPDATE_LOST:
                return
            if kind == faults.UPDATE_TWICE:
                self._process.soon(delay_s + chance.draw.choice((0.0, 0.1, 4.0)), self._take, frame)
            else:
                delay_s += chance.draw.uniform(0.5, 8.0) if kind == faults.UPDATE_LATE else 0.3
        self._process.soon(delay_s, self._take, frame)
