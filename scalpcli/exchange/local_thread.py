"""A local exchange in a thread of its own, for callers that have no event loop or must not share theirs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from scalpcli.exchange.local import LocalExchange

_START_S: Final = 60.0


class ExchangeThread(threading.Thread):
    """Runs an exchange until told to stop.

    Args:
        tape: The tape's folder.
        settings: As `LocalExchange` takes them.

    Attributes:
        exchange: The exchange, once started.
        failure: What ended it early.
        ended: Set when the last row was served.
    """

    exchange: LocalExchange

    def __init__(self, tape: Path, settings: dict[str, Any]) -> None:
        super().__init__(name="local-exchange", daemon=True)
        self.failure: BaseException | None = None
        self.ended = threading.Event()
        self._tape, self._settings = tape, settings
        self._is_ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._leave: asyncio.Event | None = None

    def run(self) -> None:
        """Serve; called by the thread."""
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - whoever started the thread raises it again
            self.failure = failure
        finally:
            self._is_ready.set()
            self.ended.set()

    def wait_ready(self) -> None:
        """Return once the exchange accepts clients.

        Raises:
            ScalpcliError: it could not start.
        """
        self._is_ready.wait(_START_S)
        self.raise_failure()

    def stop(self) -> None:
        """Close the exchange and wait for the thread.

        Raises:
            ScalpcliError: serving failed.
        """
        if self._loop is not None and self._leave is not None and self.is_alive():
            self._loop.call_soon_threadsafe(self._leave.set)
        self.join(_START_S)
        self.raise_failure()

    def raise_failure(self) -> None:
        """Raise what ended the exchange, if anything did."""
        if self.failure is not None:
            raise self.failure

    async def _serve(self) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        async with LocalExchange(self._tape, **self._settings) as self.exchange:
            self._is_ready.set()
            stopped = asyncio.ensure_future(self._leave.wait())
            ended = asyncio.ensure_future(self.exchange.wait_end())
            await asyncio.wait([stopped, ended], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                ended.result()
                self.ended.set()
                await stopped
            ended.cancel()


@contextmanager
def exchange_thread(tape: Path, **settings: Any) -> Iterator[ExchangeThread]:
    """A running exchange; it is closed at the end of the block.

    Args:
        tape: The tape's folder.
        settings: As `LocalExchange` takes them.

    Raises:
        ScalpcliError: it could not start, or serving failed.
    """
    thread = ExchangeThread(tape, settings)
    thread.start()
    thread.wait_ready()
    try:
        yield thread
    finally:
        thread.stop()
