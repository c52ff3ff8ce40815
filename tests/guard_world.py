"""A scripted engine and broker around a guard, in time that jumps: whoever sleeps lets things happen.

The broker is lenient: it would let anybody sell more than is held, so that holding less than nothing is the guard's
own fault and shows.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import Answer, BrokerOrder, BrokerPosition, BrokerSilent, Outcome
from scalpcli.runtime.guard import Guard
from scalpcli.runtime.guard_ports import GuardEnd, GuardRules
from scalpcli.runtime.process_identity import ProcessIdentity

CALL = "TSLA261120C00400000"
PREFIX = "scalp-20261120-n1"
OPEN_NS = 1_795_185_000_000_000_000
CLOSE_NS = OPEN_NS + 390 * 60 * 1_000_000_000
RULES = GuardRules(timeout_s=10.0)
ENGINE = ProcessIdentity(4711, "77")
SECONDS_MAX = 30_000.0
"""A guard that goes on for longer never leaves."""


class Died(BaseException):
    """The guard's process ends here."""


@dataclass
class World:
    """Everything a guard touches.

    Attributes:
        folder: The run's folder.
        start_s: Seconds after the open at which the guard starts.
        engine: `awake`, `stopped`, `dead` or `another` (a process that holds the run and answers).
        held: Contracts at the broker, by symbol.
        resting: What becomes of a sale: called with the order, returns what fills at once.
        answer_after_s: How long an awake engine takes to answer.
        silent_until_s: The broker says nothing before.
        dies_at: The guard dies at its so many-th call; 0 = never.
    """

    folder: Path
    start_s: float = 3_600.0
    engine: str = "awake"
    has_ended_in_order: bool = False
    is_moved: bool = False
    held: dict[str, int] = field(default_factory=dict)
    fills_at_once: Callable[[ApprovedOrder], int] = lambda order: order.quantity
    answer_after_s: float = 0.0
    silent_until_s: float = 0.0
    bid_e4: int = 12_000
    dies_at: int = 0
    now_s: float = 0.0
    calls: int = 0
    holder: str = "engine"
    orders: dict[str, BrokerOrder] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)
    """Order ids whose first submission is accepted and its answer lost."""
    refused: dict[str, str] = field(default_factory=dict)
    fills_on_cancel: dict[str, int] = field(default_factory=dict)
    """Order id -> contracts that fill while it is being cancelled."""
    position_lag_s: float = 0.0
    refuses_promises: bool = False
    not_exercised: list[str] = field(default_factory=list)
    lowest: int = 0
    said: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    both: list[str] = field(default_factory=list)
    """Sales of a guard while an engine ran."""
    _plans: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _seen: list[tuple[float, dict[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.now_s = self.start_s
        self.folder.mkdir(parents=True, exist_ok=True)

    # --- the script ------------------------------------------------------------------------------------

    def at(self, seconds: float, do: Callable[[], None]) -> None:
        """Have something happen so many seconds after the start."""
        self._plans.append((self.start_s + seconds, do))
        self._plans.sort(key=lambda plan: plan[0])

    def become(self, engine: str) -> Callable[[], None]:
        """A step of the script that changes the engine."""

        def change() -> None:
            if self.engine == "awake" or engine != "stopped":
                self.engine = engine
            if engine == "dead" and self.holder == "engine":
                self.holder = ""

        return change

    def journal(self, *lines: dict) -> None:
        """Add decisions to the run's journal."""
        with (self.folder / "decisions.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def begin(self) -> None:
        """The journal's first line."""
        self.journal({"kind": "session", "open_ns": OPEN_NS, "close_ns": CLOSE_NS})

    def engine_bought(self, quantity: int, *, symbol: str = CALL, signal: int = 0) -> None:
        """An entry that was filled, by journal and broker."""
        self.engine_sent("e1", quantity, side="buy", symbol=symbol, signal=signal, filled=quantity)
        fill = {"kind": "fill", "order_id": f"{PREFIX}-{signal:04d}-e1", "signal": signal, "leg": "entry"}
        self.journal(fill | {"quantity": quantity, "held": quantity})

    def engine_sent(
        self, name: str, quantity: int, *, side: str = "sell", symbol: str = CALL, signal: int = 0, filled: int = 0
    ) -> str:
        """An order in the journal and at the broker; what fills changes the position. Its id."""
        self.write_order(name, quantity, side=side, symbol=symbol, signal=signal)
        order_id = self.place(name, quantity, side=side, symbol=symbol, signal=signal)
        self.fill(order_id, filled)
        return order_id

    def write_order(self, name: str, quantity: int, *, side: str = "sell", symbol: str = CALL, signal: int = 0) -> None:
        """An order of the engine in the journal, not at the broker yet."""
        line = {"kind": "order", "order_id": f"{PREFIX}-{signal:04d}-{name}", "signal": signal, "symbol": symbol}
        self.journal(line | {"side": side, "quantity": quantity, "leg": "entry" if side == "buy" else "exit"})

    def place(self, name: str, quantity: int, *, side: str = "sell", symbol: str = CALL, signal: int = 0) -> str:
        """An order of the engine reaches the broker; its id."""
        order_id = f"{PREFIX}-{signal:04d}-{name}"
        self.orders[order_id] = _order(order_id, symbol, side, quantity, 10_000)
        return order_id

    def end(self, order_id: str) -> None:
        """An order ends, with what it filled."""
        if not self.orders[order_id].is_ended:
            self.orders[order_id] = replace(self.orders[order_id], status="canceled")

    def fill(self, order_id: str, quantity: int) -> None:
        """Fill an order, or a part of it."""
        order = self.orders[order_id]
        quantity = min(quantity, order.quantity - order.filled)
        if quantity < 1 or order.is_ended:
            return
        filled = order.filled + quantity
        status = "filled" if filled == order.quantity else "partially_filled"
        self.orders[order_id] = replace(order, filled=filled, filled_sum_e4=filled * self.bid_e4, status=status)
        self._move(order.symbol, quantity if order.side == "buy" else -quantity)

    def _move(self, symbol: str, quantity: int) -> None:
        self._seen.append((self.now_s, dict(self.held)))
        self.held[symbol] = self.held.get(symbol, 0) + quantity
        self.lowest = min(self.lowest, self.held[symbol])

    # --- running ---------------------------------------------------------------------------------------

    async def guard(self, rules: GuardRules = RULES) -> GuardEnd:
        """Run a guard until it leaves."""
        guard = Guard(self.folder, self, self, self.bid, self, rules, self.said.append, close_ns=CLOSE_NS)  # type: ignore[arg-type]
        return await guard.run()

    def _call(self) -> None:
        self.calls += 1
        if self.dies_at and self.calls == self.dies_at:
            if self.holder == "guard":
                self.holder = ""
            raise Died

    def _ask(self) -> None:
        self._call()
        if self.now_s < self.start_s + self.silent_until_s:
            raise BrokerSilent("no answer in time")

    def _pass(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        assert until_s < SECONDS_MAX, f"the guard never leaves: {self.said[-3:]}"
        while self._plans and self._plans[0][0] <= until_s:
            due_s, do = self._plans.pop(0)
            self.now_s = max(self.now_s, due_s)
            do()
        self.now_s = until_s

    def pass_until(self, seconds: float) -> None:
        """Let time pass without a guard."""
        self._pass(self.start_s + seconds - self.now_s)

    # --- time ------------------------------------------------------------------------------------------

    def now_ns(self) -> int:
        return OPEN_NS + int(self.now_s * 1e9)

    def seconds(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self._call()
        self._pass(seconds)

    # --- the engine's process ----------------------------------------------------------------------------

    async def ping(self, answer_s: float) -> bool:
        self._call()
        until_s = self.now_s + answer_s
        if self.engine == "awake":
            self._pass(min(self.answer_after_s, answer_s))
            return self.answer_after_s <= answer_s and self.engine == "awake"
        while self.engine == "stopped" and self.now_s < until_s:
            self._pass(min(0.1, until_s - self.now_s))
        return self.engine == "another" or (self.engine == "awake" and self.now_s < until_s)

    def identity(self) -> ProcessIdentity | None:
        return replace(ENGINE, pid=1) if self.engine == "another" else ENGINE

    def is_running(self, process: ProcessIdentity) -> bool:
        return process == ENGINE and self.engine in ("awake", "stopped")

    def kill(self, process: ProcessIdentity) -> None:
        self._call()
        assert process == ENGINE
        assert (self.folder / "fence.json").exists(), "nobody knows why the engine was ended"
        self.engine = "dead"
        if self.holder == "engine":
            self.holder = ""

    def lock(self) -> bool:
        if self.holder == "":
            self.holder = "guard"
        return self.holder == "guard"

    def unlock(self) -> None:
        if self.holder == "guard":
            self.holder = ""

    def has_ended(self) -> bool:
        return self.has_ended_in_order

    def is_here(self) -> bool:
        return not self.is_moved

    # --- the broker --------------------------------------------------------------------------------------

    async def bid(self, symbol: str) -> int:
        del symbol
        return self.bid_e4

    async def submit(self, order: ApprovedOrder) -> Answer:
        self._ask()
        self.submitted.append(order.order_id)
        if self.holder != "guard" or self.engine in ("awake", "stopped", "another"):
            self.both.append(f"{order.order_id} at {self.now_s}: {self.engine}, {self.holder} holds the run")
        if order.order_id in self.refused:
            return Answer(Outcome.REJECTED, reason=self.refused[order.order_id], status=422)
        if order.order_id not in self.orders:
            saved = json.loads((self.folder / "fence.json").read_text())["sales"]
            assert order.order_id in [sale["order_id"] for sale in saved], "sent before it was written down"
            self.orders[order.order_id] = _order(
                order.order_id, order.instrument.symbol, "sell", order.quantity, order.limit_e4
            )
            self.fill(order.order_id, self.fills_at_once(order))
        if order.order_id in self.lost:
            self.lost.discard(order.order_id)
            raise BrokerSilent("no answer in time")
        return Answer(Outcome.ACCEPTED, self.orders[order.order_id])

    async def cancel(self, broker_id: str) -> Answer:
        self._ask()
        order = self.orders[broker_id.removeprefix("b-")]
        self.fill(order.order_id, self.fills_on_cancel.pop(order.order_id, 0))
        order = self.orders[order.order_id]
        if order.is_ended:
            return Answer(Outcome.REJECTED, order, "it has ended")
        self.orders[order.order_id] = replace(order, status="canceled")
        return Answer(Outcome.ACCEPTED, order)

    async def order(self, order_id: str) -> BrokerOrder | None:
        self._ask()
        return self.orders.get(order_id)

    async def open_orders(self) -> list[BrokerOrder]:
        self._ask()
        return [order for order in self.orders.values() if not order.is_ended]

    async def positions(self) -> list[BrokerPosition]:
        self._ask()
        return [BrokerPosition(symbol, held, held, 10_000) for symbol, held in self._shown().items() if held]

    async def position(self, symbol: str) -> int:
        self._ask()
        return self._shown().get(symbol, 0)

    def _shown(self) -> dict[str, int]:
        """Positions as the broker tells them, which may lag behind its orders."""
        for at_s, before in self._seen:
            if at_s > self.now_s - self.position_lag_s:
                return before
        return self.held

    async def do_not_exercise(self, symbol: str) -> Answer:
        self._ask()
        self.not_exercised.append(symbol)
        return Answer(Outcome.REJECTED, reason="not now") if self.refuses_promises else Answer(Outcome.ACCEPTED)


def _order(order_id: str, symbol: str, side: str, quantity: int, limit_e4: int) -> BrokerOrder:
    return BrokerOrder(order_id, f"b-{order_id}", symbol, side, "limit", "new", quantity, 0, 0, limit_e4, 0)
