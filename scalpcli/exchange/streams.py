"""The market-data streams: stock and option connections from the handshake to the last message.

Decides who is let in (keys, plan, one connection per endpoint), what each connection receives and in which
encoding. Leaves pace to `serving.py`, channels and limits to `subscriptions.py`, frames to `outlet.py`.

The life of a connection: connected → authenticated within `auth_timeout_s`, by message or by the request's headers →
subscribed, step by step → data. Errors are arrays of one message; 402, 404, 406, 407, 409 and 412 end the connection.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from scalpcli.exchange.connections import Keys, Socket, key_check, keys_of
from scalpcli.exchange.fault_script import SLOW_CLIENT, Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.messages import Message, Wire, control, decode
from scalpcli.exchange.outlet import Outlet
from scalpcli.exchange.plan import Plan
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.exchange.subscriptions import Refused, Subscriptions, error_message

DATA_PATHS: Final = {
    "/v2/sip": Scope.STOCK,
    "/v2/iex": Scope.STOCK,
    "/v1beta1/opra": Scope.OPTION,
    "/v1beta1/indicative": Scope.OPTION,
}
"""Path -> its service."""
_PAID_PATHS: Final = {"/v2/sip": "has_sip", "/v1beta1/opra": "has_opra"}
_POLICY_VIOLATION: Final = 1008
_LAST_WORDS_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class StreamRules:
    """How the streams let clients in.

    Args:
        plan: The data plan.
        keys: The only key and secret; `None` takes any pair that is not empty.
        auth_timeout_s: Seconds a client has to authenticate.
        frame_messages: Data messages of a frame, at most, for a client that keeps up.
        deflate: Whether compression is agreed to when a client offers it.
    """

    plan: Plan
    keys: Keys | None = None
    auth_timeout_s: float = 10.0
    frame_messages: int = 1
    deflate: bool = True


class DataConnection(Socket):
    """A client of a data stream.

    Attributes:
        wire: How its messages are written.
        subscriptions: What it gets.
        outlet: Where its data messages leave.
        is_authenticated: Whether it may subscribe.
    """

    def __init__(self, connection: ServerConnection, number: int, path: str, streams: DataStreams, wire: Wire) -> None:
        super().__init__(connection, number, DATA_PATHS[path], path, streams.log)
        self.wire = wire
        self.subscriptions = Subscriptions(self.scope, streams.rules.plan, streams.market.instruments)
        self.outlet = Outlet(self, wire, streams.faults, streams.log, streams.rules.frame_messages)
        self.is_authenticated = False

    @property
    def is_open(self) -> bool:
        """Whether data may go out to it."""
        return self.is_authenticated and self.is_live

    def say(self, message: Message) -> None:
        """Send a control message."""
        self.write([control(self.wire, message)], binary=self.wire is Wire.MSGPACK)

    def end(self, why: str) -> None:
        """No more data goes out; what waited is lost."""
        if self.is_live:
            self.outlet.discard(why)
        super().end(why)

    def fail_slow(self) -> None:
        """Say 407, which may not arrive, and cut the connection."""
        self.say(error_message(SLOW_CLIENT))
        self.end("slow client")
        # It may never take what waits for it; it gets a moment to.
        asyncio.get_running_loop().call_later(_LAST_WORDS_S, self.connection.transport.abort)


class DataStreams:
    """All connections of the stock and option streams.

    Args:
        market: What is served.
        rules: How clients are let in.
        faults: What goes wrong.
        log: Where connections are noted.
        on_change: Called when a subscription changed.

    Attributes:
        connections: By number, those that still carry data.
    """

    def __init__(
        self,
        market: ServedMarket,
        rules: StreamRules,
        faults: FaultEngine,
        log: ServingLog,
        on_change: Callable[[], None],
    ) -> None:
        self.market, self.rules, self.faults, self.log = market, rules, faults, log
        self.connections: dict[int, DataConnection] = {}
        self._on_change = on_change
        self._is_right = key_check(rules.keys)
        self._held: list[DataConnection] = []

    def of_scope(self, scope: Scope) -> Iterator[DataConnection]:
        """Open, authenticated connections of a service, in the order they came."""
        return (item for item in self.connections.values() if item.scope is scope and item.is_open)

    @property
    def subscribed(self) -> int:
        """Connections that subscribed to something."""
        return sum(not item.subscriptions.is_empty for item in self.connections.values())

    async def serve(self, connection: ServerConnection, number: int, path: str) -> None:
        """Serve one client until it or a fault ends the connection."""
        request = connection.request
        assert request is not None
        is_packed = "msgpack" in request.headers.get("Content-Type", "").lower()
        client = DataConnection(connection, number, path, self, Wire.MSGPACK if is_packed else Wire.JSON)
        self.connections[number] = client
        self.log.event("connection", connection=number, path=path, wire=client.wire.value)
        why = "closed by the client"
        try:
            client.say({"T": "success", "msg": "connected"})
            await self._let_in(client, keys_of(request))
            async for data in connection:
                self._answer(client, data)
        except Refused as refusal:
            why = f"error {refusal.code}"
            client.say(error_message(refusal.code))
            client.end(why)
            await connection.close(_POLICY_VIOLATION)
        except ConnectionClosed:
            why = "connection lost"
        finally:
            client.end(why)
            del self.connections[number]
            if client.hold_until_s:
                self._held.append(client)
            self._on_change()

    async def _let_in(self, client: DataConnection, from_headers: Keys | None) -> None:
        """Authenticate a client.

        Raises:
            Refused: why it stays outside.
        """
        if client.scope is Scope.OPTION and client.wire is Wire.JSON:
            raise Refused(412)
        if from_headers is not None:
            self._check(client, from_headers)
        try:
            async with asyncio.timeout(self.rules.auth_timeout_s):
                while not client.is_authenticated:
                    request = _request(client, await client.connection.recv())
                    if request is None:
                        continue
                    if request.get("action") == "auth":
                        self._check(client, (str(request.get("key", "")), str(request.get("secret", ""))))
                    else:
                        client.say(error_message(401))
        except TimeoutError:
            raise Refused(404) from None
        client.say({"T": "success", "msg": "authenticated"})
        self.log.event("authenticated", connection=client.number)

    def _check(self, client: DataConnection, given: Keys) -> None:
        if not self._is_right(given):
            raise Refused(402)
        refusal = self.faults.auth_refusal(client.scope)
        if refusal:
            self.log.event("refused", connection=client.number, code=refusal)
            raise Refused(refusal)
        plan_field = _PAID_PATHS.get(client.path)
        if plan_field is not None and not getattr(self.rules.plan, plan_field):
            raise Refused(409)
        now_s = asyncio.get_running_loop().time()
        self._held = [item for item in self._held if item.hold_until_s > now_s]
        if any(item.path == client.path for item in itertools.chain(self.of_scope(client.scope), self._held)):
            raise Refused(406)
        client.is_authenticated = True

    def _answer(self, client: DataConnection, data: str | bytes) -> None:
        """Do what a message of an authenticated client asks for."""
        request = _request(client, data)
        if request is None:
            return
        try:
            self._change(client, request)
        except Refused as error:
            client.say(error_message(error.code))
            return
        client.say(client.subscriptions.message())
        self.log.event("subscription", connection=client.number, rows_from=self.market.known)
        self._on_change()

    def _change(self, client: DataConnection, request: dict[Any, Any]) -> None:
        """Subscribe or unsubscribe.

        Raises:
            Refused: why nothing changes.
        """
        action = request.get("action")
        if action == "auth":
            raise Refused(403)
        if action not in ("subscribe", "unsubscribe"):
            raise Refused(400)
        refusal = self.faults.subscribe_refusal(client.scope) if action == "subscribe" else 0
        if refusal:
            self.log.event("refused", connection=client.number, code=refusal)
            raise Refused(refusal)
        client.subscriptions.change(request, add=action == "subscribe")


def _request(client: DataConnection, data: str | bytes) -> dict[Any, Any] | None:
    """What a client asks for; what cannot be read is answered here."""
    try:
        request = decode(data)
    except (ValueError, RecursionError):
        request = None
    if isinstance(request, dict):
        return request
    client.say(error_message(400))
    return None
