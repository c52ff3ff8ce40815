"""Wakes the loop: once for however many frames came, and when something is due though none did."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from scalpcli.core.layout import NEVER_NS
from scalpcli.runtime.clock import MarketClock


class Waker:
    """Calls `pump` when there is something to do.

    Args:
        clock: Time at the market.
        pump: What is called; it calls `set` when it is done.

    Attributes:
        is_due: Whether `pump` will be called as soon as the loop comes to it.
    """

    def __init__(self, clock: MarketClock, pump: Callable[[], None]) -> None:
        self.is_due = False
        self._clock = clock
        self._pump = pump
        self._timer: asyncio.TimerHandle | None = None
        self._timer_ns = NEVER_NS

    def soon(self) -> None:
        """Call it as soon as the loop comes to it, once."""
        if not self.is_due:
            self.is_due = True
            asyncio.get_running_loop().call_soon(self._on_soon)

    def set(self, next_ns: int) -> None:
        """Call it when `next_ns`, market time, is over."""
        if self._timer is not None:
            if self._timer_ns == next_ns:
                return
            self._timer.cancel()
        self._timer, self._timer_ns = None, next_ns
        if next_ns < NEVER_NS:
            # One nanosecond later: an instant is decided once no row of its time can come any more.
            delay_s = max(0.0, (next_ns + 1 - self._clock.now_ns()) / 1e9 / self._clock.speed)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def cancel(self) -> None:
        """Call it no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_soon(self) -> None:
        self.is_due = False
        self._pump()

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()
