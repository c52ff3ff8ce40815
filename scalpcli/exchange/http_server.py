"""Runs the exchange's REST side on a loopback port.

Decides where it may listen: on this machine alone, because nothing behind it is protected.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from typing import Final

import uvicorn
from starlette.applications import Starlette

from scalpcli.errors import DataError, UsageError

LOOPBACK: Final = "127.0.0.1"
_GRACE_S: Final = 1
"""Seconds that open connections get when the server closes."""


def check_loopback(host: str) -> None:
    """Refuse an address that other machines could reach.

    Raises:
        UsageError: `host` is not a loopback address.
    """
    try:
        is_loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise UsageError(
            f"the local exchange listens on loopback only, not on `{host}`",
            hint=f"leave the host out or write {LOOPBACK}; from another machine use an SSH tunnel",
        )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket on loopback; port 0 takes any free one.

    Raises:
        UsageError: `host` is not a loopback address.
        DataError: the port is taken or may not be used.
    """
    check_loopback(host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle off only where the protocol is named; with it, every answer would wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise DataError(
            f"port {port} cannot be used: {error.strerror}",
            place=f"`{host}:{port}`",
            hint="another exchange may be running; choose another one with `--port`",
        ) from None
    listening.setblocking(False)
    return listening


class RestServer:
    """A running REST server.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: uvicorn.Server, task: asyncio.Task[None], listening: socket.socket) -> None:
        self.port: int = listening.getsockname()[1]
        self._server = server
        self._task = task
        self._listening = listening

    async def close(self) -> None:
        """Stop listening and end open connections."""
        self._server.should_exit = True
        # It would notice at its next tick only, a tenth of a second away.
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._server.shutdown([self._listening])
        self._listening.close()


async def serve_rest(app: Starlette, host: str, port: int) -> RestServer:
    """Serve `app` on a loopback port; 0 takes any free one.

    Returns:
        The server, once it accepts connections.

    Raises:
        UsageError: `host` is not a loopback address.
        DataError: the port is taken or may not be used.
    """
    listening = listen(host, port)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_GRACE_S, server_header=False
    )
    # Not `Server.serve`, which would take over the signals of the command that runs it.
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup([listening])
    return RestServer(server, asyncio.create_task(server.main_loop()), listening)
