"""Signals out: a WebSocket on this machine that tells any front end what the running process decides.

Decides who may listen and what happens to those who cannot keep up. Leaves the words to `signals_schema.py`. It is
read only: the one thing taken from a client is the token, in the `Authorization: Bearer` header, as `?token=` or as the
first message (`{"token": …}`); whatever else comes ends the connection. A page of a foreign origin is refused with 403,
a name that is not this machine's (DNS rebinding) with 400, a wrong token with 401 or close code 1008.

The trading loop publishes and never waits: a message is put into a list, and written to the clients' sockets a moment
later. A client that lets `WAITING_BYTES_MAX` pile up is dropped and counted.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
from collections import deque
from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from scalpcli.errors import DataError

HOST: Final = "127.0.0.1"
CLIENTS_MAX: Final = 8
WAITING_BYTES_MAX: Final = 1 << 20
"""Bytes one client may be behind."""
MESSAGES_MAX: Final = 1024
"""Messages that may wait for the next write; the oldest are lost and counted beyond it."""
_STRANGERS_MAX: Final = 32
"""Connections in all, those included that have not said who they are."""
_CLIENT_MESSAGE_BYTES_MAX: Final = 1024
_TOKEN_WITHIN_S: Final = 5.0
# Orders go first: what is decided is sent to the broker before screens are told.
_WRITE_AFTER_S: Final = 0.005
_CLOSE_WITHIN_S: Final = 1.0
_POLICY_VIOLATION: Final = 1008
_GOING_AWAY: Final = 1001
_NAMES: Final = (HOST, "localhost", "[::1]")
_BEARER: Final = "bearer "


class SignalServer:
    """The server, in the event loop of the process that trades.

    Args:
        port: Port on loopback; 0 takes any free one.
        token: What a client must know; compared in constant time.
        allowed_origins: Origins of web pages that may connect, like `http://localhost:3000`. Programs that are no
            browsers send none and need only the token.
        welcome: What a client is told first, none where empty.
        waiting_bytes_max: Bytes one client may be behind.

    Attributes:
        dropped: Clients dropped because they read too slowly.
        refused: Connections refused: origin, host, path, token, too many.
        lost: Messages thrown away because too many waited for one write.
    """

    def __init__(
        self,
        port: int,
        token: str,
        allowed_origins: Collection[str] = (),
        *,
        welcome: Mapping[str, Any] | None = None,
        waiting_bytes_max: int = WAITING_BYTES_MAX,
    ) -> None:
        self.dropped = 0
        self.refused = 0
        self.lost = 0
        self._port = port
        self._token = token.encode()
        self._origins = frozenset(allowed_origins)
        self._welcome = welcome
        self._waiting_bytes_max = waiting_bytes_max
        self._waiting: deque[Mapping[str, Any]] = deque(maxlen=MESSAGES_MAX)
        self._clients: set[ServerConnection] = set()
        self._known: set[ServerConnection] = set()
        """Clients that brought the token with their request."""
        self._open_connections: set[ServerConnection] = set()
        self._server: Server | None = None
        self._encode = msgspec.json.Encoder(enc_hook=_plain).encode

    @property
    def count(self) -> int:
        """Clients that are listening."""
        return len(self._clients)

    @property
    def url(self) -> str:
        """Where to connect; empty while the server is not open."""
        return f"ws://{HOST}:{self._port}/" if self._server else ""

    async def open(self) -> None:
        """Listen from now on.

        Raises:
            DataError: the port is taken or may not be used.
        """
        try:
            self._server = await serve(
                self._handle,
                HOST,
                self._port,
                process_request=self._check,
                create_connection=_bounded(self._open_connections),
                compression=None,
                max_size=_CLIENT_MESSAGE_BYTES_MAX,
                max_queue=1,
                open_timeout=_TOKEN_WITHIN_S,
                close_timeout=_CLOSE_WITHIN_S,
                server_header=None,
                logger=_silent_logger(),
            )
        except OSError as error:
            raise DataError(
                f"port {self._port} cannot be used for signals: {(error.strerror or str(error)).lower()}",
                place="`live.signals_port`",
                hint="write `signals_port = 0` to take any free one",
            ) from None
        self._port = self._server.sockets[0].getsockname()[1]

    def publish(self, message: Mapping[str, Any]) -> None:
        """Tell every client, a few milliseconds from now; nothing happens where nobody listens.

        Args:
            message: What `signals_schema.message` made; not to be changed by the caller any more.
        """
        if not self._clients:
            return
        if not self._waiting:
            asyncio.get_running_loop().call_later(_WRITE_AFTER_S, self._write)
        self.lost += len(self._waiting) == MESSAGES_MAX
        self._waiting.append(message)

    async def close(self) -> None:
        """Tell what is waiting, say goodbye and stop listening."""
        self._write()
        if self._server is not None:
            self._server.close(code=_GOING_AWAY, reason="trading ended")
            await self._server.wait_closed()
            self._server = None
        self._clients.clear()

    def _write(self) -> None:
        for message in self._waiting:
            broadcast(self._clients, self._encode(message), text=True)
        self._waiting.clear()
        for client in self._clients.copy():
            if client.transport.get_write_buffer_size() > self._waiting_bytes_max:
                self._clients.discard(client)
                self.dropped += 1
                client.transport.abort()

    async def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a request before it becomes a WebSocket, or let it through with `None`."""
        target = urlsplit(request.path)
        tokens = [*_bearer(request), *parse_qs(target.query).get("token", [])]
        refusal: tuple[HTTPStatus, str] | None = None
        if not self._is_this_machine(request.headers.get_all("Host")):
            refusal = HTTPStatus.BAD_REQUEST, "this host name is not served"
        elif not self._origins.issuperset(request.headers.get_all("Origin")):
            refusal = HTTPStatus.FORBIDDEN, "this origin may not listen"
        elif target.path != "/":
            refusal = HTTPStatus.NOT_FOUND, "the signals are at /"
        elif len(self._clients) >= CLIENTS_MAX:
            refusal = HTTPStatus.SERVICE_UNAVAILABLE, f"{CLIENTS_MAX} clients are listening already"
        elif tokens and not all(self._is_token(token) for token in tokens):
            refusal = HTTPStatus.UNAUTHORIZED, "wrong token"
        elif tokens:
            self._known.add(connection)
        if refusal is None:
            return None
        self.refused += 1
        status, words = refusal
        return connection.respond(status, f"{words}\n")

    def _is_this_machine(self, hosts: list[str]) -> bool:
        allowed = {f"{name}:{self._port}" for name in _NAMES}
        return len(hosts) == 1 and hosts[0].lower() in allowed

    def _is_token(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="surrogatepass"), self._token)

    async def _handle(self, connection: ServerConnection) -> None:
        try:
            if connection not in self._known and not await self._says_token(connection):
                self.refused += 1
                await connection.close(_POLICY_VIOLATION, "the first message must be the token")
                return
            if len(self._clients) >= CLIENTS_MAX:
                self.refused += 1
                await connection.close(_POLICY_VIOLATION, f"{CLIENTS_MAX} clients are listening already")
                return
            await self._listen(connection)
        except ConnectionClosed:
            return
        finally:
            self._known.discard(connection)
            self._clients.discard(connection)

    async def _says_token(self, connection: ServerConnection) -> bool:
        try:
            said = await asyncio.wait_for(connection.recv(), _TOKEN_WITHIN_S)
            told = json.loads(said)
        except (TimeoutError, ValueError, RecursionError):
            return False
        token = told.get("token") if isinstance(told, dict) else None
        return isinstance(token, str) and self._is_token(token)

    async def _listen(self, connection: ServerConnection) -> None:
        if self._welcome is not None:
            await connection.send(self._encode(self._welcome), text=True)
        self._clients.add(connection)
        # Whatever a client says now is more than it may; its leaving ends the wait too.
        await connection.recv()
        self._clients.discard(connection)
        await connection.close(_POLICY_VIOLATION, "nothing is taken from clients but the token")


def _bounded(open_connections: set[ServerConnection]) -> type[ServerConnection]:
    """Connections that are cut at once where too many are open: none may exhaust the trader's descriptors."""

    class Bounded(ServerConnection):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            open_connections.add(self)
            if len(open_connections) > _STRANGERS_MAX:
                self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            open_connections.discard(self)
            super().connection_lost(exc)

    return Bounded


def _bearer(request: Request) -> list[str]:
    """Tokens of the `Authorization` headers; one of another scheme counts as a wrong one."""
    headers = request.headers.get_all("Authorization")
    return [header[len(_BEARER) :] if header.lower().startswith(_BEARER) else "" for header in headers]


def _silent_logger() -> logging.Logger:
    """What clients do wrong is counted, not logged: a request's line may hold the token."""
    logger = logging.getLogger(f"{__name__}.silent")
    logger.disabled = True
    return logger


def _plain(value: Any) -> Any:
    """NumPy scalars as numbers."""
    if hasattr(value, "item"):
        return value.item()
    return str(value)
