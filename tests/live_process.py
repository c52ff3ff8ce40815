"""A running `live` as seen from other processes: its lock and its control socket, telling what the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from scalpcli.runtime.control import ControlServer
from scalpcli.runtime.run_lock import RunLock, this_process


class Told:
    """What the control socket reaches: a snapshot that the test sets, and the commands that came.

    Attributes:
        state_: The snapshot.
        served: How often it was asked for.
        commands: What was commanded, in order.
    """

    def __init__(self, state: dict[str, Any]) -> None:
        self.state_ = state
        self.served = 0
        self.commands: list[str] = []
        self._listeners: list[Callable[[dict[str, Any]], None]] = []

    def state(self) -> dict[str, Any]:
        self.served += 1
        return self.state_

    def command(self, command: str, *, by: str) -> None:
        assert by.startswith("process ")
        self.commands.append(command)

    async def reconcile(self) -> dict[str, Any]:
        return {}

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def tell(self, event: dict[str, Any]) -> None:
        for listener in self._listeners:
            listener(event)


class RunningProcess:
    """Answers from a thread of its own while the block runs.

    Args:
        folder: The run's folder, `OUT/MODE/SYMBOL/DATE`.
        state: What it tells.
    """

    def __init__(self, folder: Path, state: dict[str, Any]) -> None:
        self.told = Told(state)
        self.loop = asyncio.new_event_loop()
        self.server = ControlServer(self.told)
        self._lock = RunLock(folder)
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._lock.acquire()
        self._thread.start()
        self._run(self.server.open())
        self._lock.tell(replace(this_process(), control=self.server.path))
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        self._lock.release(is_ended=True)

    def tell(self, event: dict[str, Any]) -> None:
        """Hand an event to whoever watches."""
        self.loop.call_soon_threadsafe(self.told.tell, event)

    def stall(self) -> threading.Event:
        """Answer nothing, connections open, until the returned event is set: as under SIGSTOP."""
        goes_on = threading.Event()
        self.loop.call_soon_threadsafe(goes_on.wait)
        return goes_on

    def _run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(20)
