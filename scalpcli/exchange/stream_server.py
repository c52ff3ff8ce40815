"""The port of the streams: market data and trade updates behind one WebSocket server on loopback.

Decides which paths exist and what is refused before a WebSocket is one (unknown paths, faults of the upgrade).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from scalpcli.exchange.fault_script import Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.http_server import listen
from scalpcli.exchange.outlet import SLOW_BYTES
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.exchange.streams import DATA_PATHS, DataStreams
from scalpcli.exchange.trading_stream import TRADING_PATH, TradingStream

_MESSAGE_MAX_BYTES: Final = 16 * 1024 * 1024
_PING_TIMEOUT_S: Final = 60.0
_CLOSE_TIMEOUT_S: Final = 1.0


class StreamServer:
    """A running stream server.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: Server, port: int) -> None:
        self.port = port
        self._server = server

    async def close(self) -> None:
        """Stop listening and end open connections; a client that does not answer is cut."""
        self._server.close()
        await self._server.wait_closed()


async def serve_streams(
    data: DataStreams,
    trading: TradingStream,
    faults: FaultEngine,
    log: ServingLog,
    host: str,
    port: int,
    on_contact: Callable[[], None],
) -> StreamServer:
    """Serve the streams on a loopback port; 0 takes any free one.

    Args:
        data: The market-data streams.
        trading: The stream of trade updates.
        faults: What goes wrong.
        log: Where refused upgrades are noted.
        host: A loopback address.
        port: The port.
        on_contact: Called whenever a client shows up.

    Raises:
        UsageError: `host` is not a loopback address.
        DataError: the port is taken or may not be used.
    """
    numbers = itertools.count(1)
    listening = listen(host, port)
    scopes = {**DATA_PATHS, TRADING_PATH: Scope.TRADING}

    def check(connection: ServerConnection, request: Request) -> Response | None:
        on_contact()
        scope = scopes.get(urlsplit(request.path).path)
        if scope is None:
            return connection.respond(HTTPStatus.NOT_FOUND, "not found\n")
        if faults.is_down(scope):
            log.event("upgrade_cut", scope=scope.value)
            connection.transport.abort()
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "down\n")
        status = faults.upgrade_refusal(scope)
        if status:
            log.event("upgrade_refused", scope=scope.value, code=status)
            return connection.respond(HTTPStatus(status), f"{HTTPStatus(status).phrase}\n")
        return None

    async def handle(connection: ServerConnection) -> None:
        assert connection.request is not None
        path = urlsplit(connection.request.path).path
        number = next(numbers)
        if path == TRADING_PATH:
            await trading.serve(connection, number)
        else:
            await data.serve(connection, number, path)

    server = await serve(
        handle,
        sock=listening,
        process_request=check,
        compression="deflate" if data.rules.deflate else None,
        max_size=_MESSAGE_MAX_BYTES,
        ping_timeout=_PING_TIMEOUT_S,
        close_timeout=_CLOSE_TIMEOUT_S,
        write_limit=SLOW_BYTES // 2,
        server_header=None,
    )
    return StreamServer(server, listening.getsockname()[1])
