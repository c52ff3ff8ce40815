"""A broker in memory that goes wrong by a script, behind httpx's mock transport; it waits in virtual time."""

from __future__ import annotations

import asyncio
import itertools
import json
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import httpx
import tape_samples
from virtual_time import run_virtual

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import Leg
from scalpcli.units import NS_PER_S

T = TypeVar("T")
URL = "http://127.0.0.1:1"
KEY, SECRET = (uuid.uuid4().hex for _ in range(2))
PARAMS = LiveParams()
FOREVER_S = 1e6
START_NS = 1_795_446_000 * NS_PER_S
PAGE = b"<html><body><h1>Bad Gateway</h1></body></html>"
CALL = tape_samples.contract(1, tape_samples.CALL)

OK = "ok"
NO_CONNECTION = "no connection"
LOST = "lost on the way, silence"
RESET = "lost on the way, reset"
TAKEN_SILENCE = "taken, silence"
TAKEN_RESET = "taken, reset"
TAKEN_504 = "taken, 504"
TAKEN_PAGE = "taken, an answer that is no JSON"
TAKEN_LATE = "taken after 4 s, 504 at once"
ERROR = "not taken, 503"
TOO_MANY = "429"
REFUSED = "403"
KEYS_REFUSED = "401"
FAULTS_OF_ORDERS = (
    OK, NO_CONNECTION, LOST, RESET, TAKEN_SILENCE, TAKEN_RESET, TAKEN_504, TAKEN_PAGE, TAKEN_LATE, ERROR, TOO_MANY,
    REFUSED,
)  # fmt: skip
FAULTS_OF_QUESTIONS = (OK, NO_CONNECTION, LOST, RESET, ERROR, TAKEN_PAGE, TOO_MANY, KEYS_REFUSED)


class ScriptedBroker:
    """Takes orders and answers about them, each request as the script says, then without faults.

    Args:
        orders: Faults of POSTs and DELETEs, in their order.
        questions: Faults of GETs.
        reset_s: Seconds until the minute is over, told with a 429.

    Attributes:
        orders: What it has, by client id.
        asked: Method and path of every request.
        bodies: Of every POST of an order.
        fixed: Path -> status and body of an answer, instead of its own.
    """

    def __init__(self, orders: Sequence[str] = (), questions: Sequence[str] = (), *, reset_s: float = 7.0) -> None:
        self.orders: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[dict[str, Any]] = []
        self.fixed: dict[str, tuple[int, bytes]] = {}
        self._faults = {False: iter(orders), True: iter(questions)}
        self._ids = itertools.count(1)
        self._reset_s = reset_s
        self._late: set[asyncio.Task[None]] = set()

    def now_ns(self) -> int:
        """Time at the market."""
        return START_NS + round(asyncio.get_running_loop().time() * NS_PER_S)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request, or fail as the network does."""
        is_question = request.method == "GET"
        self.asked.append((request.method, request.url.path))
        if request.url.path == "/v2/orders" and not is_question:
            self.bodies.append(json.loads(request.content))
        fault = next(self._faults[is_question], OK)
        if fault == NO_CONNECTION:
            raise httpx.ConnectError(f"refused {KEY}", request=request)
        if fault == RESET:
            raise httpx.ReadError("reset", request=request)
        if fault == LOST:
            await asyncio.sleep(FOREVER_S)
        return self._refusal(fault) or await self._taken(request, fault)

    def _refusal(self, fault: str) -> httpx.Response | None:
        if fault == ERROR:
            return httpx.Response(503, content=PAGE)
        if fault == TOO_MANY:
            reset = str((self.now_ns() + round(self._reset_s * NS_PER_S)) // NS_PER_S)
            return httpx.Response(429, headers={"X-RateLimit-Reset": reset}, json={"message": "too many requests."})
        if fault == KEYS_REFUSED:
            return httpx.Response(401, json={"message": f"unauthorized. {KEY} {SECRET}"})
        if fault == REFUSED:
            return httpx.Response(403, json={"code": 40310000, "message": f"insufficient buying power {SECRET}"})
        return None

    async def _taken(self, request: httpx.Request, fault: str) -> httpx.Response:
        if fault == TAKEN_LATE:
            task = asyncio.ensure_future(self._later(request))
            self._late.add(task)
            return httpx.Response(504, content=PAGE)
        answer = self.answer(request)
        if fault == TAKEN_RESET:
            raise httpx.RemoteProtocolError("server disconnected", request=request)
        if fault == TAKEN_SILENCE:
            await asyncio.sleep(FOREVER_S)
        if fault == TAKEN_504:
            return httpx.Response(504, content=PAGE)
        if fault == TAKEN_PAGE:
            return httpx.Response(200, content=PAGE)
        return answer

    async def _later(self, request: httpx.Request) -> None:
        await asyncio.sleep(4.0)
        self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """What it does and says when nothing goes wrong."""
        path = request.url.path
        if path in self.fixed:
            status, body = self.fixed[path]
            return httpx.Response(status, content=body)
        if (request.method, path) == ("POST", "/v2/orders"):
            return self._take(json.loads(request.content))
        if path == "/v2/orders:by_client_order_id":
            return told(self.orders.get(request.url.params["client_order_id"]))
        if (request.method, path) == ("GET", "/v2/orders"):
            return httpx.Response(200, json=list(self.orders.values()))
        by_id = {order["id"]: order for order in self.orders.values()}
        order = by_id.get(path.rpartition("/")[2])
        if request.method == "DELETE" and order is not None:
            if order["status"] != "new":
                message = f'order is already in "{order["status"]}" state'
                return httpx.Response(422, json={"code": 42210000, "message": message})
            order["status"] = "canceled"
            return httpx.Response(204)
        return told(order)

    def _take(self, body: dict[str, Any]) -> httpx.Response:
        order_id = body["client_order_id"]
        if order_id in self.orders:
            return httpx.Response(422, json={"code": 40010001, "message": "client_order_id must be unique"})
        order = {**body, "id": f"b{next(self._ids)}", "status": "new", "filled_qty": "0", "filled_avg_price": None}
        self.orders[order_id] = order
        return httpx.Response(200, json=order)


def told(order: dict[str, Any] | None) -> httpx.Response:
    """An order, or that there is none."""
    if order is None:
        return httpx.Response(404, json={"code": 40410000, "message": "order not found"})
    return httpx.Response(200, json=order)


def an_order(leg: Leg = Leg.ENTRY, quantity: int = 2, limit_e4: int = 20_500) -> ApprovedOrder:
    """An approved order for the call."""
    return approve("test-20261120-n", 7, leg, 1, CALL, quantity, limit_e4)


def at_desk(broker: ScriptedBroker, act: Callable[[AlpacaDesk], Awaitable[T]], **params: Any) -> tuple[T, float]:
    """What a desk at `broker` returns, and the virtual seconds it took."""

    async def main() -> T:
        transport = httpx.MockTransport(broker.handle)
        settings = LiveParams(**params) if params else PARAMS
        desk = AlpacaDesk(URL, KEY, SECRET, settings, transport=transport, now_ns=broker.now_ns)
        try:
            return await act(desk)
        finally:
            await desk.close()

    return run_virtual(main())
