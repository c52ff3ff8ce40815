"""A local exchange for tests of its REST side: over a small tape by hand, or over the example tape on a real port."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import tape_samples

from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.app import rest_app
from scalpcli.exchange.checks import AccountRules
from scalpcli.exchange.http_server import LOOPBACK, serve_rest
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import Order, parse_order
from scalpcli.model.row import OPTION_QUOTE
from scalpcli.runtime.tape import Tape

EXAMPLE_TAPES = Path(__file__).resolve().parents[1] / "examples" / "tapes"
CALL = tape_samples.CALL
PUT = tape_samples.PUT
KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}


def option_quote(at_s: float, bid_e4: int, ask_e4: int, **values: Any) -> dict[str, int]:
    """A quote of the call, ten contracts on each side, received `at_s` seconds after the open."""
    sizes = {"size": 10 * (bid_e4 > 0), "ask_size": 10 * (ask_e4 > 0)}
    given = {"instrument_id": 1, "price_e4": bid_e4, "ask_e4": ask_e4, **sizes, **values}
    return tape_samples.one(OPTION_QUOTE, at_s, **given)


class Exchange:
    """A market, its account and what was told of orders; rows are served when the test says so.

    Args:
        tape: Folder of a tape.
        rules: What the account may do.
    """

    def __init__(self, tape: Path, rules: AccountRules | None = None) -> None:
        self.clock_s = 0.0
        self.market = ServedMarket(Tape.open(tape), speed=0.0, seconds=lambda: self.clock_s)
        self.account = SimulatedAccount(self.market, rules)
        self.told: list[dict[str, Any]] = []
        self.market.on_order_event(self.told.append)
        self.events: list[str] = []
        self.market.on_order_event(lambda event: self.events.append(event["event"]))

    def serve(self, rows: int) -> None:
        """Serve the next rows, in one block."""
        first = self.market.known
        block = {name: column[first : first + rows] for name, column in self.market.rows.items()}
        self.market.fold(block, 0, len(block["kind"]))

    def serve_all(self) -> None:
        """Serve what is left."""
        self.serve(len(self.market.rows["kind"]) - self.market.known)

    def order(self, **fields: Any) -> Order:
        """Submit an order and let it reach the market; two calls at a limit of 2.05 unless told otherwise."""
        given = {"symbol": CALL, "qty": "2", "side": "buy", "type": "limit", "time_in_force": "day"}
        if fields.get("type") != "market":
            given["limit_price"] = "2.05"
        order = self.account.submit(parse_order({**given, **fields}, self.market.by_symbol))
        self.account.run_due()
        return order


def exchange_of(root: Path, rows: Sequence[dict[str, int]], rules: AccountRules | None = None) -> Exchange:
    """An exchange over these rows; all of them are to be served."""
    return Exchange(tape_samples.write(root, rows), rules)


class ServedExchange(Exchange):
    """An exchange that answers on a port of its own, in a thread."""

    def __init__(self, tape: Path, **app: Any) -> None:
        super().__init__(tape)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="exchange", daemon=True)
        self._thread.start()
        served = serve_rest(rest_app(self.market, self.account, **app), LOOPBACK, 0)
        self._server = asyncio.run_coroutine_threadsafe(served, self._loop).result(10)
        self.url = f"http://{LOOPBACK}:{self._server.port}"

    def at_exchange(self, act: Callable[..., Any], *arguments: Any) -> Any:
        """Do something in the exchange's thread and wait for it."""

        async def done() -> Any:
            return act(*arguments)

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def close(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._server.close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def ask(exchange: Exchange, method: str, path: str, *, headers=None, body=None, **app) -> httpx.Response:
    """One request, answered by the app itself."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(rest_app(exchange.market, exchange.account, **app))
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
            response = await client.request(method, path, headers=KEYS if headers is None else headers, json=body)
            await asyncio.sleep(0)
            return response

    return asyncio.run(answer())
