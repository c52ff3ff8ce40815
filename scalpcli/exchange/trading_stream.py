"""The stream of trade updates: JSON in binary frames, msgpack where a client asks for it.

Decides authentication in both of its envelopes, the set of streams listened to, and who gets an update. Leaves what
an update says to the account. An update that a fault loses, or that passes while nobody listens, does not come again.

Source: Alpaca, WebSocket streaming of the trading API.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any, Final

import msgpack
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from scalpcli.exchange.connections import Keys, Socket, key_check, keys_of
from scalpcli.exchange.fault_script import FaultName, Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.messages import decode
from scalpcli.exchange.serving_log import ServingLog

TRADING_PATH: Final = "/stream"
TRADE_UPDATES: Final = "trade_updates"
_POLICY_VIOLATION: Final = 1008


class TradingConnection(Socket):
    """A client of the stream of trade updates.

    Attributes:
        is_listening: Whether it gets them.
    """

    def __init__(self, connection: ServerConnection, number: int, log: ServingLog, *, is_packed: bool) -> None:
        super().__init__(connection, number, Scope.TRADING, TRADING_PATH, log)
        self.is_listening = False
        self._is_packed = is_packed

    def say(self, message: dict[str, Any]) -> None:
        """Send a message."""
        payload = msgpack.packb(message) if self._is_packed else json.dumps(message).encode()
        self.write([payload], binary=True)


class TradingStream:
    """All connections of the stream of trade updates.

    Args:
        keys: The only key and secret; `None` takes any pair that is not empty.
        auth_timeout_s: Seconds a client has to authenticate.
        faults: What goes wrong.
        log: Where connections and updates are noted.
    """

    def __init__(self, keys: Keys | None, auth_timeout_s: float, faults: FaultEngine, log: ServingLog) -> None:
        self._is_right = key_check(keys)
        self._auth_timeout_s = auth_timeout_s
        self._faults, self._log = faults, log
        self._connections: dict[int, TradingConnection] = {}

    def clients(self) -> Iterator[TradingConnection]:
        """Those that listen."""
        return (item for item in self._connections.values() if item.is_listening)

    def on_order_event(self, data: dict[str, Any]) -> None:
        """Send an update to whoever listens."""
        tags = frozenset({str(data.get("event", ""))})
        event = {"order": str(data.get("order", {}).get("id", "")), "update": str(data.get("event", ""))}
        if self._faults.takes(FaultName.LOSE_UPDATE, Scope.TRADING, tags) is not None:
            self._log.event("update_lost", why="fault", **event)
            return
        loop = asyncio.get_running_loop()
        repeat = self._faults.takes(FaultName.REPEAT_UPDATE, Scope.TRADING, tags)
        if repeat is not None:
            loop.call_later(abs(repeat.delay_ms) / 1e3, self._send, data, event)
        late = self._faults.takes(FaultName.LATE_UPDATE, Scope.TRADING, tags)
        if late is not None:
            loop.call_later(abs(late.delay_ms) / 1e3, self._send, data, event)
        else:
            self._send(data, event)
        self._faults.passed(Scope.TRADING, 1)
        if self._faults.takes(FaultName.LIQUIDATE, Scope.TRADING, tags) is not None:
            # Once whatever led to this update is done.
            loop.call_soon(self._faults.on_liquidate)

    def _send(self, data: dict[str, Any], event: dict[str, str]) -> None:
        for client in list(self.clients()):
            why = client.lost_why
            if why:
                self._log.event("update_lost", connection=client.number, why=why, **event)
                continue
            client.say({"stream": TRADE_UPDATES, "data": data})
            self._log.event("update_sent", connection=client.number, **event)

    async def serve(self, connection: ServerConnection, number: int) -> None:
        """Serve one client until it or a fault ends the connection."""
        request = connection.request
        assert request is not None
        is_packed = "msgpack" in request.headers.get("Content-Type", "").lower()
        client = TradingConnection(connection, number, self._log, is_packed=is_packed)
        self._connections[number] = client
        self._log.event("connection", connection=number, path=TRADING_PATH)
        why = "closed by the client"
        try:
            if await self._let_in(client, keys_of(request)):
                async for data in connection:
                    self._listen(client, data)
            else:
                why = "unauthorized"
                await connection.close(_POLICY_VIOLATION)
        except ConnectionClosed:
            why = "connection lost"
        finally:
            client.end(why)
            del self._connections[number]

    async def _let_in(self, client: TradingConnection, from_headers: Keys | None) -> bool:
        """Whether a client proved who it is in time."""
        given = from_headers
        try:
            async with asyncio.timeout(self._auth_timeout_s):
                while given is None:
                    given = _keys(_request(await client.connection.recv()))
                    if given is None:
                        client.say(_error("not authenticated"))
        except TimeoutError:
            client.say(_error("auth timeout"))
            return False
        is_right = self._is_right(given) and not self._faults.auth_refusal(Scope.TRADING)
        status = "authorized" if is_right else "unauthorized"
        client.say({"stream": "authorization", "data": {"status": status, "action": "authenticate"}})
        return is_right

    def _listen(self, client: TradingConnection, data: str | bytes) -> None:
        """Take the complete set of streams a client wants."""
        request = _request(data)
        body = request.get("data")
        streams = body.get("streams") if isinstance(body, dict) else None
        if request.get("action") != "listen" or not isinstance(streams, list):
            client.say(_error("invalid syntax"))
            return
        client.is_listening = TRADE_UPDATES in streams
        client.say({"stream": "listening", "data": {"streams": [TRADE_UPDATES] if client.is_listening else []}})
        self._log.event("listening", connection=client.number, streams=int(client.is_listening))


def _request(data: str | bytes) -> dict[Any, Any]:
    try:
        request = decode(data)
    except (ValueError, RecursionError):
        return {}
    return request if isinstance(request, dict) else {}


def _keys(request: dict[Any, Any]) -> Keys | None:
    """The key and secret of either envelope."""
    if request.get("action") == "auth":
        return str(request.get("key", "")), str(request.get("secret", ""))
    body = request.get("data")
    if request.get("action") == "authenticate" and isinstance(body, dict):
        return str(body.get("key_id", "")), str(body.get("secret_key", ""))
    return None


def _error(text: str) -> dict[str, Any]:
    return {"action": "error", "data": {"error_message": text}}
