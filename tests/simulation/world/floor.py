"""The exchange as a process of the world: the product's own account, served market and REST side, without sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from scalpcli.exchange.account import Position, SimulatedAccount
from scalpcli.exchange.checks import AccountRules
from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.orders import OPEN, PENDING_CANCEL, REJECTED, Order
from tests.simulation.world import chance as faults
from tests.simulation.world.door import Door
from tests.simulation.world.loop import VirtualLoop
from tests.simulation.world.market import SESSION, Made

CASH_USD = 100_000.0


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as the exchange booked it; prices in 1/10000 USD."""

    order_id: str
    symbol: str
    side: str
    quantity: int
    price_e4: int
    at_s: float


class MoodyAccount(SimulatedAccount):
    """The account, which takes its time with cancels and refuses some orders only at the market.

    Args:
        market: Where its orders work.
        chance: What goes wrong.
        loop: Virtual time.
    """

    def __init__(self, market: ServedMarket, chance: faults.Chance, loop: VirtualLoop) -> None:
        super().__init__(market, AccountRules(cash_usd=CASH_USD, last_entry_min=0))
        self._chance, self._loop = chance, loop
        self.left: list[Position] = []
        """What was held at the close."""
        self.asked_back: set[str] = set()
        """Broker ids of orders whose end was asked for."""

    def cancel(self, order: Order) -> None:
        """Ask for an order back; it may fill until it ends."""
        is_open = order.status in OPEN and order.status != PENDING_CANCEL
        if is_open and order.order_id in self.asked_back:
            return
        if is_open and self._chance.happens(self._chance.slow_cancels, faults.SLOW_CANCEL):
            self.asked_back.add(order.order_id)
            self._loop.call_later(self._chance.draw.choice((0.2, 0.8, 2.0)), self._cancel_late, order)
            return
        super().cancel(order)

    def _cancel_late(self, order: Order) -> None:
        if order.status in OPEN and order.status != PENDING_CANCEL:
            super().cancel(order)
            self.run_due()

    def _settle(self, position: Position, now_ns: int) -> None:
        self.left.append(position)
        super()._settle(position, now_ns)

    def _arrive(self, order: Order, known: int, now_ns: int) -> None:
        if self._chance.happens(self._chance.later_rejects, faults.REJECTED_LATER):
            order.failed_ns = now_ns
            self._end(order, REJECTED, now_ns)
        else:
            super()._arrive(order, known, now_ns)


class Floor:
    """The exchange.

    Args:
        loop: Virtual time.
        made: The market it serves.
        chance: What goes wrong.

    Attributes:
        process: Its process, which nothing kills.
        executions: Everything that was traded.
        on_frame: Called with the first and last row of each frame when it was served.
    """

    def __init__(self, loop: VirtualLoop, made: Made, chance: faults.Chance) -> None:
        self.process = loop.process("exchange")
        self.market = ServedMarket(made.tape(), speed=1.0, seconds=loop.time)
        self.account = MoodyAccount(self.market, chance, loop)
        self.executions: list[Execution] = []
        self.on_frame: Callable[[int, int], None] = lambda _start, _stop: None
        self._made, self._loop, self._chance = made, loop, chance
        self._door = Door(self.market, self.account)
        self.market.on_order_event(self._on_event)

    async def run(self) -> None:
        """Serve every row at its time, then the close."""
        for start, stop, ns in self._made.frames:
            await asyncio.sleep((ns - self.market.now_ns()) / 1e9)
            self.market.fold(_slice(self._made.rows, start, stop), 0, stop - start)
            self.on_frame(start, stop)
        await asyncio.sleep((SESSION.close_ns - self.market.now_ns()) / 1e9)
        self.account.run_due()

    def answer(self, request: httpx.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Answer a request."""
        return self._door.answer(request, body)

    def _on_event(self, data: dict[str, Any]) -> None:
        if data["event"] not in ("fill", "partial_fill"):
            return
        order = data["order"]
        if data["event"] == "partial_fill":
            self._chance.counts[faults.PARTIAL] += 1
        if order["id"] in self.account.asked_back:
            self._chance.counts[faults.LATE_FILL] += 1
        price_e4 = round(float(data["price"]) * 10_000)
        self.executions.append(
            Execution(
                order["client_order_id"], order["symbol"], order["side"], int(data["qty"]), price_e4, self._loop.time()
            )
        )


def _slice(rows: dict[str, Any], start: int, stop: int) -> dict[str, Any]:
    return {"ts_recv_ns": rows["ts_recv_ns"][start:stop]}
