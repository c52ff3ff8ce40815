"""How a run ends: everything sold where that is wanted, every answer there, everything compared once more.

Decides how long each is waited for: a broker that says nothing must not keep a process for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from scalpcli.model.broker import BrokerSilent
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_orders import OrderTracker
from scalpcli.runtime.live_ports import LiveParts
from scalpcli.runtime.live_reconcile import Reconciler
from scalpcli.runtime.live_sender import Sender
from scalpcli.units import s_to_ns

_LOOK_S: Final = 0.02
_ASK_S: Final = 0.25
_ANSWERS_S_MAX: Final = 8.0
"""Seconds an end waits for what was sent to be answered."""
_AGREES_S_MAX: Final = 15.0
"""Seconds it waits for the broker to agree."""


class Ending:
    """The end of one run.

    Args:
        parts: What the trader is made of.
        live: What is held.
        tracker: What works.
        sender: What is on its way; nothing in shadow mode.
        reconciler: Looks at the broker; nothing in shadow mode.
    """

    def __init__(
        self,
        parts: LiveParts,
        live: LiveEngine,
        tracker: OrderTracker,
        sender: Sender | None,
        reconciler: Reconciler | None,
    ) -> None:
        self._parts = parts
        self._live = live
        self._tracker = tracker
        self._sender = sender
        self._reconciler = reconciler
        self.is_left = False
        """Whether nothing is waited for any more."""

    @property
    def is_busy(self) -> bool:
        """Whether an order works or a position is open."""
        return bool(self._live.scalps) or bool(self._tracker.working)

    async def until_flat(self) -> None:
        """Wait until nothing is held and nothing works."""
        until_ns = self._parts.clock.now_ns() + s_to_ns(self._parts.limits.flat_s_max)
        while self.is_busy and self._waits(until_ns):  # noqa: ASYNC110 - many things end it
            await asyncio.sleep(_LOOK_S)

    async def until_agreed(self) -> None:
        """Compare with the broker until it agrees: fills that came with the close, what a guard sold."""
        begun_ns, until_ns = self._parts.clock.now_ns(), self._after(_AGREES_S_MAX)
        while self._reconciler is not None and self._waits(until_ns):
            await self._reconciler.look()
            if self._reconciler.reconciled_ns >= begun_ns and not self._tracker.working:
                moves = self._tracker.moves
                with contextlib.suppress(BrokerSilent):
                    await self._reconciler.audit()
                    if self._tracker.moves == moves:
                        return
            await asyncio.sleep(_ASK_S)

    async def until_answered(self) -> None:
        """Wait for answers to what was sent, then give up what waits."""
        until_ns = self._after(_ANSWERS_S_MAX)
        if self._sender is not None:
            while not self._sender.is_idle and self._waits(until_ns):  # noqa: ASYNC110 - it happens once
                await asyncio.sleep(_LOOK_S)
            await self._sender.close()

    def _after(self, seconds: float) -> int:
        # Of the machine's time, not the market's: in a fast rehearsal answers take as long as ever.
        return self._parts.clock.now_ns() + s_to_ns(seconds * max(1.0, self._parts.clock.speed))

    def _waits(self, until_ns: int) -> bool:
        return not self.is_left and self._parts.clock.now_ns() < until_ns
