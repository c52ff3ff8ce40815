"""What must always be true, looked at where money moves: at the exchange and on the wire, never in the engine's books.

A broken rule does not stop the world in the step that broke it; it is noted, and the schedule ends as soon as it can.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scalpcli.exchange.orders import OPEN, Order
from scalpcli.model.order import OrderSide
from tests.simulation.world.floor import CASH_USD, Floor
from tests.simulation.world.loop import Process, VirtualLoop
from tests.simulation.world.stores import Disk

_ID = re.compile(r"^(.*-\d{4})-([exsg])(\d+)$")
LATE_ENTRY_S = 2.5
"""An entry's first request leaves so long after its decision at most: `late_entry_ms_max` and a moment."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that did not hold: which, and what was found."""

    rule: str
    found: str


@dataclass(slots=True)
class Watch:
    """Looks at everything that crosses the wire and at every change of the account.

    Args:
        loop: Virtual time.
        disk: What the processes left on disk.
        contracts_max: Contracts of one order at most, by the settings.
        late_entry_s: As `LATE_ENTRY_S`.

    Attributes:
        broken: Rules that did not hold, in order.
        told: What happened, one line each, for whoever looks at one schedule.
        entries: Entry orders the exchange took.
    """

    loop: VirtualLoop
    disk: Disk
    contracts_max: int
    floor: Floor | None = None
    broken: list[Broken] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    is_telling: bool = False
    is_over: bool = False
    """Whether nobody looks any more: the dead clean up."""
    others_alive: Callable[[Process], str] = lambda _process: ""
    """Who else may send orders of the run while a process does; nobody should."""
    entries: int = 0
    is_armed: bool = False
    """Whether an operator armed the run after the guard had acted."""
    _bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    late_arrivals: int = 0
    """Sells the exchange had to refuse, because an order of a process dead by then arrived after all."""
    _sender: dict[str, str] = field(default_factory=dict)
    _posted: dict[str, Process] = field(default_factory=dict)
    _approved: dict[str, int] = field(default_factory=dict)
    _looked: Counter[str] = field(default_factory=Counter)
    _executions: int = 0

    def note(self, words: str) -> None:
        """Tell what happens, where somebody listens."""
        if self.is_telling and not self.is_over:
            self.told.append(f"{self.loop.time():9.4f} {words}")

    def fail(self, rule: str, found: str) -> None:
        """Note a rule that does not hold."""
        if self.is_over:
            return
        self.broken.append(Broken(rule, f"at {self.loop.time():.4f} s: {found}"))
        self.note(f"BROKEN {rule}: {found}")

    # --- what leaves a process ---------------------------------------------------------------------------

    def on_send(self, process: Process, body: dict[str, Any]) -> None:
        """An order leaves a process."""
        order_id = str(body["client_order_id"])
        parts = _ID.match(order_id)
        if parts is None:
            self.fail("ids are ours", f"{order_id} was sent")
            return
        others = self.others_alive(process)
        if others:
            self.fail("engine and guard never both sell", f"{process.name} sends {order_id} while {others} runs")
        before = self._bodies.setdefault(order_id, body)
        if before != body:
            self.fail("no duplicate order", f"{order_id} was sent as {before} and as {body}")
        decided_s = self._decided_s(order_id, process)
        if decided_s is None:
            self.fail("journalled and synced before it is sent", f"{order_id} is not on the disk")
        if body["side"] == OrderSide.BUY:
            self._on_entry(process, order_id, decided_s)
        else:
            self._on_sell(process, order_id, body)
        self._posted[order_id] = process

    def _decided_s(self, order_id: str, process: Process) -> float | None:
        """When an order was decided, by what is on the disk; nothing where the disk does not know it."""
        if process.name.startswith("guard"):
            fence = self.disk.folder / "fence.json"
            return self.loop.time() if fence.exists() and order_id in fence.read_text() else None
        line = self._line(order_id)
        assert self.floor is not None
        return (int(line["ts_ns"]) - self.floor.market.start_ns) / 1e9 if line else None

    def _line(self, order_id: str) -> dict[str, Any]:
        """The line in which an order was decided, as far as the disk was waited for; empty where there is none."""
        at = self.disk.synced.find(f'"order_id":"{order_id}"'.encode())
        if at < 0:
            return {}
        begin = self.disk.synced.rfind(b"\n", 0, at) + 1
        line: dict[str, Any] = json.loads(self.disk.synced[begin : self.disk.synced.find(b"\n", at)])
        return line

    def _on_entry(self, process: Process, order_id: str, decided_s: float | None) -> None:
        sender = self._sender.setdefault(order_id, process.name)
        is_first = sender == process.name and self._looked[order_id] == 0
        self._looked[order_id] += 1
        age_s = self.loop.time() - (decided_s if decided_s is not None else self.loop.time())
        if age_s > LATE_ENTRY_S and (is_first or sender != process.name):
            self.fail("no late entry", f"{order_id} was sent by {process.name} {age_s:.2f} s after its decision")
        if (self.disk.folder / "fence.json").exists() and not self.is_armed:
            self.fail("no entry behind the guard's fence", f"{order_id} was sent by {process.name}")

    def _on_sell(self, process: Process, order_id: str, body: dict[str, Any]) -> None:
        assert self.floor is not None
        account = self.floor.account
        if self.floor.market.now_ns() >= self.floor.market.session.close_ns:
            # Nothing trades any more, and what was held is settled.
            return
        if any(order.request.client_order_id == order_id for order in account.orders.values()):
            return
        instrument = self.floor.market.by_symbol[body["symbol"]]
        available = account.available(instrument.instrument_id)
        excess = int(body["qty"]) - available
        if excess > self._arrived_late(process, instrument.instrument_id):
            self.fail("never net short", f"{order_id} sells {body['qty']} of {available} that may be sold")
        elif excess > 0:
            self.late_arrivals += 1

    def _arrived_late(self, process: Process, instrument_id: int) -> int:
        """Contracts that orders of dead processes sell which were still on their way when these died.

        Nobody alive can know of them, however often the position is read; the broker's own check is what is left.
        """
        assert self.floor is not None
        start_ns = self.floor.market.start_ns
        late = 0
        for order in self.floor.account.orders.values():
            sender = self._posted.get(order.request.client_order_id, process)
            is_sell = order.request.side == OrderSide.SELL and order.instrument_id == instrument_id
            if is_sell and sender is not process and order.created_ns > start_ns + sender.died_s * 1e9:
                late += order.request.quantity
        return late

    # --- what stands at the exchange ---------------------------------------------------------------------

    def look(self) -> None:
        """Look at the account after anything happened there."""
        assert self.floor is not None
        account = self.floor.account
        for position in account.positions.values():
            if position.quantity < 0:
                self.fail("never net short", f"{position.quantity} {position.instrument.symbol}")
        live: Counter[tuple[str, str]] = Counter()
        for order in account.orders.values():
            self._look_at(order)
            if order.status in OPEN and order.request.side is OrderSide.SELL:
                live[_signal(order), "sell"] += 1
        for (signal, _), count in live.items():
            if count > 1:
                self.fail("no two exits at one time", f"{count} sells of {signal} work")
        self._look_at_cash()

    def _look_at(self, order: Order) -> None:
        """An order of ours was taken: hold it against what was approved."""
        order_id = order.request.client_order_id
        if order_id in self._approved:
            return
        self._approved[order_id] = order.request.quantity
        sent = self._bodies.get(order_id)
        if sent is None:
            self.fail("no duplicate order", f"{order_id} is at the exchange and was never sent")
        if order.request.side is not OrderSide.BUY:
            return
        self.entries += 1
        signal = _signal(order)
        approved = int(self._line(f"{signal}-e1").get("quantity", 0))
        mine = [each for each in self._orders() if _signal(each) == signal and each.request.side is OrderSide.BUY]
        bought = sum(each.filled if each.status not in OPEN else each.request.quantity for each in mine)
        if bought > approved or order.request.quantity > self.contracts_max:
            self.fail("never more than approved", f"{order_id}: {bought} may be bought of {approved} approved")

    def _orders(self) -> list[Order]:
        assert self.floor is not None
        return list(self.floor.account.orders.values())

    def _look_at_cash(self) -> None:
        assert self.floor is not None
        executions = self.floor.executions
        if len(executions) == self._executions:
            return
        self._executions = len(executions)
        expected_e4 = round(CASH_USD * 10_000) + sum(
            (each.price_e4 if each.side == "sell" else -each.price_e4) * each.quantity * 100 for each in executions
        )
        if self.floor.account.cash_e4 != expected_e4:
            self.fail("cash adds up", f"{self.floor.account.cash_e4} e4 is not {expected_e4} e4")


def _signal(order: Order) -> str:
    parts = _ID.match(order.request.client_order_id)
    return parts[1] if parts else order.request.client_order_id
