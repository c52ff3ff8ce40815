"""Faults planted in the product's own code, one at a time: the world must find each.

Each is what a hand might write who does not know better: a retry under a new name, silence taken for an answer, a
guard in too much of a hurry.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from scalpcli.adapters import alpaca_orders_submit
from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.model.broker import BrokerFill, BrokerPosition, BrokerSilent
from scalpcli.model.order import Reply
from scalpcli.runtime import live_resume
from scalpcli.runtime.guard import Guard
from scalpcli.runtime.live_orders import TrackedOrder, is_entry
from scalpcli.runtime.live_outlet import Outlet
from scalpcli.runtime.live_sender import Sender

Plant = Callable[[], Any]
_FAR_NS = 1 << 62


@contextlib.contextmanager
def resent_under_a_new_id() -> Iterator[None]:
    """An order of unknown outcome that is not found is sent again under another id."""
    send = alpaca_orders_submit.Submission._send

    async def renamed(self: Any, patience_s: float) -> Any:
        if self._tries:
            self._body["client_order_id"] += "1"
        return await send(self, patience_s)

    with mock.patch.object(alpaca_orders_submit.Submission, "_send", renamed):
        yield


@contextlib.contextmanager
def silence_is_flat() -> Iterator[None]:
    """A broker that does not answer holds nothing."""
    position, positions = AlpacaDesk.position, AlpacaDesk.positions

    async def one(self: AlpacaDesk, symbol: str) -> int:
        try:
            return await position(self, symbol)
        except BrokerSilent:
            return 0

    async def every(self: AlpacaDesk) -> list[BrokerPosition]:
        try:
            return await positions(self)
        except BrokerSilent:
            return []

    with mock.patch.object(AlpacaDesk, "position", one), mock.patch.object(AlpacaDesk, "positions", every):
        yield


@contextlib.contextmanager
def fill_after_cancel_is_dropped() -> Iterator[None]:
    """What fills after an order was asked for back is not counted."""
    fills = TrackedOrder._fills

    def dropped(self: TrackedOrder, ts_ns: int) -> list[Reply]:
        return [] if self.is_cancelling else fills(self, ts_ns)

    with mock.patch.object(TrackedOrder, "_fills", dropped):
        yield


@contextlib.contextmanager
def execution_counts_twice() -> Iterator[None]:
    """An execution that is told again is another one."""
    numbers, take_fill = itertools.count(), TrackedOrder.take_fill

    def again(self: TrackedOrder, fill: BrokerFill) -> list[Reply]:
        return take_fill(self, dataclasses.replace(fill, execution_id=f"{fill.execution_id}-{next(numbers)}"))

    with mock.patch.object(TrackedOrder, "take_fill", again):
        yield


@contextlib.contextmanager
def sent_before_synced() -> Iterator[None]:
    """Orders leave, and a moment later they are written down."""

    def hurried(self: Outlet, lines: int, commands: int) -> None:
        going, self._waiting = self._waiting[:commands], self._waiting[commands:]
        for command, decided_ns in going:
            self._send(command, decided_ns)
        asyncio.get_running_loop().call_later(0.05, written, self, lines)

    def written(self: Outlet, lines: int) -> None:
        self._append(lines)
        self._store.sync()

    with mock.patch.object(Outlet, "_let_out", hurried):
        yield


@contextlib.contextmanager
def guard_without_a_fence() -> Iterator[None]:
    """The guard sells without ending the engine first."""

    async def hasty(_self: Guard, _process: Any) -> bool:
        return True

    with mock.patch.object(Guard, "_fence_off", hasty):
        yield


@contextlib.contextmanager
def entry_is_resent_blindly() -> Iterator[None]:
    """A process that goes on sends every entry again of which it does not know the end, however old."""
    sort_out = live_resume._sort_out

    def blindly(tracker: Any, others: Any, on_disk: set[str], resumed: Any) -> None:
        entries = [each for each in tracker.orders.values() if is_entry(each.order) and not each.is_ended]
        sort_out(tracker, others, on_disk, resumed)
        resumed.replies.clear()
        resumed.commands[:0] = [(each.order, _FAR_NS) for each in entries]
        for each in entries:
            each.is_ended = False
            tracker.working[each.order_id] = each

    with mock.patch.object(live_resume, "_sort_out", blindly):
        yield


@contextlib.contextmanager
def position_is_not_read() -> Iterator[None]:
    """A sell leaves without a look at what is held."""

    async def unseen(_self: Sender, _order: Any) -> str:
        return ""

    with mock.patch.object(Sender, "_missing", unseen):
        yield


PLANTS: dict[str, Plant] = {
    plant.__name__: plant
    for plant in (
        resent_under_a_new_id, silence_is_flat, fill_after_cancel_is_dropped, execution_counts_twice, sent_before_synced,
        guard_without_a_fence, entry_is_resent_blindly, position_is_not_read,
    )
}  # fmt: skip
