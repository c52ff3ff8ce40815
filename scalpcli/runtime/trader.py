"""The live loop: rows in, decisions on disk, orders out, and what the broker says becomes rows.

Decides the order of things around one session with an account. Leaves deciding to the engine, rows to the source
and the recorder, and files to `live_run.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalpcli.model.broker import BrokerUpdate
from scalpcli.runtime.live_ports import LiveEnd, LiveParts


class Trader:
    """Trades one session of one symbol.

    All of it runs in one event loop, from one thread, and may run in one with virtual time: it waits on asyncio
    alone and reads the market clock it is given.

    Args:
        parts: Everything it touches, see `LiveParts`. Its `keeper` must hand over rows of the same source that
            `maker` writes cold rows into, and `setup.instruments` are all the contracts there will be.
    """

    def __init__(self, parts: LiveParts) -> None:
        self._parts = parts

    def wake(self) -> None:
        """Tell that a frame came: cheap, called by the source for every one."""
        raise NotImplementedError

    def take_update(self, update: BrokerUpdate) -> None:
        """Take one message of the broker's stream of updates."""
        raise NotImplementedError

    def updates_ready(self) -> None:
        """The stream of updates is there (again): everything is compared with the broker at once."""
        raise NotImplementedError

    def updates_down(self, cause: str) -> None:
        """The stream of updates is gone; look-ups go on."""
        raise NotImplementedError

    def command(self, command: str, *, by: str) -> None:
        """Write an operator's command down (one of `note.COMMANDS`); it acts as its row is read."""
        raise NotImplementedError

    def end(self, reason: str, *, flatten: bool = True) -> None:
        """End the run soon: entries stop; with `flatten` everything is sold first."""
        raise NotImplementedError

    async def reconcile(self) -> dict[str, Any]:
        """Compare with the broker now; what was found: `differences`, `unknown`, `reconciled_ns`, `refused`."""
        raise NotImplementedError

    def listen(self, listener: Callable[[dict[str, Any]], None]) -> Callable[[], None]:
        """Hand over every decision as `{"ts_ns", "kind", ...}` and every alarm; the result ends it."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """How everything stands, for `live status`, the screen and the signals."""
        raise NotImplementedError

    async def run(self) -> LiveEnd:
        """Trade until the end.

        Raises:
            DataError: the journal on disk is not what the rows of the run decide.
        """
        raise NotImplementedError
