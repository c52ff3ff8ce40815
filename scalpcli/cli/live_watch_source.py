"""Where `live watch` gets its numbers: the control socket of the running process, found again when it restarts.

Decides when to look again and what is told meanwhile. Leaves finding the process to its caller and the socket to
`runtime/control.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from scalpcli.errors import ScalpcliError
from scalpcli.runtime.control import INTERVAL_MS, ControlClient

_AGAIN_S: Final = 0.5
"""Seconds between two looks for a process that is gone."""
_SILENCE_S: Final = 1.0
_WAITING_MAX: Final = 64
"""Updates that wait to be shown; beyond it the socket is read no further."""


class Source:
    """One running process, as long as somebody watches, through its restarts.

    Args:
        find: Path of the control socket of the process to watch; asked again after every connection that ended.
            Raises a `ScalpcliError` where nothing runs.
        interval_ms: Milliseconds between two snapshots.
        silence_s: Seconds after which silence is told.
        again_s: Seconds between two looks for a process that is gone.
    """

    def __init__(
        self,
        find: Callable[[], str],
        *,
        interval_ms: int = INTERVAL_MS,
        silence_s: float = _SILENCE_S,
        again_s: float = _AGAIN_S,
    ) -> None:
        self._find = find
        self._interval_ms = interval_ms
        self._silence_s = silence_s
        self._again_s = again_s

    async def updates(self) -> AsyncIterator[dict[str, Any]]:
        """What happens, until the caller stops asking.

        Yields:
            `{"state": …}` and `{"event": …}` of the process; `{"lost": words}` when there is none or no more;
            `{"silent_s": seconds}` about once a second while one is connected and says nothing.
        """
        updates: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WAITING_MAX)
        loop = asyncio.get_running_loop()
        heard_s = loop.time()
        reading = asyncio.create_task(self._read(updates))
        try:
            while True:
                try:
                    async with asyncio.timeout(self._silence_s):
                        update = await updates.get()
                except TimeoutError:
                    yield {"silent_s": loop.time() - heard_s}
                    continue
                heard_s = loop.time()
                yield update
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

    async def command(self, command: str) -> str:
        """Send a command to the process; what became of it, in words."""
        try:
            client = await ControlClient.open(self._find())
            try:
                await client.ask(command)
            finally:
                await client.close()
        except ScalpcliError as error:
            return f"{command} NOT taken: {error.found}"
        return f"{command} taken"

    async def _read(self, updates: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            try:
                client = await ControlClient.open(self._find())
                try:
                    async for update in client.watch(self._interval_ms):
                        await updates.put(update)
                finally:
                    await client.close()
                words = "the process ended or restarts"
            except ScalpcliError as error:
                words = error.found
            await updates.put({"lost": words})
            await asyncio.sleep(self._again_s)


async def first_state(find: Callable[[], str]) -> dict[str, Any]:
    """One snapshot of the running process.

    Raises:
        UpstreamUnavailable: it does not answer.
    """
    client = await ControlClient.open(find())
    try:
        answer = await client.ask("status")
    finally:
        await client.close()
    state: dict[str, Any] = answer["state"]
    return state
