"""A websockets server that does what a test's script says, one script a connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Self

import msgpack
from websockets.asyncio.server import ServerConnection, serve

Script = Callable[[ServerConnection], Awaitable[None]]
STREAMS = ("trades", "quotes", "statuses")


class ScriptedServer:
    """Listens on a free loopback port; the k-th connection gets the k-th script, the last serves all after it."""

    def __init__(self, *scripts: Script, process_request: Any = None) -> None:
        self._scripts = scripts
        self._process_request = process_request
        self.connections = 0
        self.received: list[Any] = []

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._handle, "127.0.0.1", 0, process_request=self._process_request, ping_interval=None
        )
        self.url = f"ws://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close(close_connections=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 2)

    async def _handle(self, connection: ServerConnection) -> None:
        script = self._scripts[min(self.connections, len(self._scripts) - 1)]
        self.connections += 1
        connection.scripted = self  # type: ignore[attr-defined]
        await script(connection)

    async def hear(self, connection: ServerConnection) -> Any:
        message = msgpack.unpackb(await connection.recv())
        self.received.append(message)
        return message


async def say(connection: ServerConnection, *messages: dict[str, Any]) -> None:
    await connection.send(msgpack.packb(list(messages)))


async def greet(connection: ServerConnection, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """The whole handshake; symbols in `without` are not granted. Returns what was asked for."""
    server = connection.scripted
    await say(connection, {"T": "success", "msg": "connected"})
    await server.hear(connection)
    await say(connection, {"T": "success", "msg": "authenticated"})
    asked = await server.hear(connection)
    await grant(connection, {name: [s for s in asked.get(name, []) if s not in without] for name in STREAMS})
    return asked


async def grant(connection: ServerConnection, symbols: dict[str, list[str]]) -> None:
    await say(connection, {"T": "subscription", "bars": []} | symbols)


def refuse(code: int) -> Script:
    """A script that refuses after the keys."""

    async def script(connection: ServerConnection) -> None:
        await say(connection, {"T": "success", "msg": "connected"})
        await connection.scripted.hear(connection)
        await say(connection, {"T": "error", "code": code, "msg": "no"})

    return script


async def for_ever(connection: ServerConnection) -> None:
    await connection.wait_closed()
