"""A trader between fakes, in virtual time: the example tape as its market, a broker that fills at the tape's quotes.

The broker and the disk outlive the trader's process, so that it can be killed between any two steps and started again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from scalpcli.core.engine import Setup
from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.block import Block
from scalpcli.model.broker import (
    Answer,
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    BrokerSilent,
    BrokerUpdate,
    Outcome,
)
from scalpcli.model.instrument import Instrument
from scalpcli.model.params import Params
from scalpcli.model.row import COLD, ENGINE_COLUMNS, OPTION_QUOTE
from scalpcli.model.row import COLUMNS as TYPES
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.live_ports import LiveLimits, LiveParts, Past
from scalpcli.runtime.replay import fee_schedule
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.trader import Trader
from tests.replay_samples import TAPE
from tests.simulation.world.loop import Process, VirtualLoop

MS = 1_000_000
S = 1_000 * MS
FRAME_S = 0.1
"""How often the market wakes the trader: finer than the grid."""


@dataclass(frozen=True)
class Market:
    """The example tape in memory."""

    columns: dict[str, np.ndarray]
    notes: list[tuple[str, dict[str, Any]]]
    instruments: tuple[Instrument, ...]
    session: Any


@cache
def market() -> Market:
    """Every row of the example tape."""
    tape = Tape.open(TAPE)
    batches = list(tape.batches(65_536))
    columns = {name: np.concatenate([each[name] for each in batches]) for name in ENGINE_COLUMNS}
    notes = [(note.kind, note.body) for note in tape.notes()]
    return Market(columns, notes, tape.instruments, tape.session)


@cache
def kernel() -> Any:
    """The compiled kernel."""
    return load_kernel()


def params(**live: Any) -> Params:
    """Settings that trade the example tape often."""
    base = Params()
    scalp = dataclasses.replace(
        base.scalp, enabled=True, max_daily_scalps=40, cooldown_after_loss_minutes=0.5, max_concurrent_scalps=2
    )
    return dataclasses.replace(base, scalp=scalp, live=dataclasses.replace(base.live, **live))


class VirtualClock(MarketClock):
    """Market time in a virtual loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, start_ns: int) -> None:
        self._loop, self._start_ns = loop, start_ns

    def now_ns(self) -> int:
        return self._start_ns + round(self._loop.time() * 1e9)


@dataclass
class Disk:
    """What outlives a process: rows, journal."""

    blocks: list[Block] = field(default_factory=list)
    journal: bytes = b""
    refuses: bool = False


class Rows:
    """The tape as a source, the rows a trader adds, and the disk: both `RowMaker` and `RowKeeper`."""

    def __init__(self, clock: VirtualClock, disk: Disk) -> None:
        self.open_gaps = 0
        self._clock, self._disk = clock, disk
        self._listeners: list[Any] = []
        self._own: list[tuple[int, str, dict[str, Any]]] = []
        self._waiting: list[Block] = []
        times = market().columns["ts_recv_ns"]
        last_ns = int(disk.blocks[-1].columns["ts_recv_ns"][-1]) if disk.blocks else 0
        self._stamp_ns = last_ns
        self._row = int(np.searchsorted(times, last_ns, "right"))
        self._noted = int(np.count_nonzero(market().columns["kind"][: self._row] == COLD))
        self.written_waits = 0

    def stamp(self) -> int:
        self._stamp_ns = max(self._stamp_ns + 1, self._clock.now_ns())
        return self._stamp_ns

    def note(self, kind: str, body: dict[str, Any]) -> None:
        self._own.append((self.stamp(), kind, body))

    def listen(self, listener: Any) -> None:
        self._listeners.append(listener)

    def take(self) -> None:
        every = market()
        end = int(np.searchsorted(every.columns["ts_recv_ns"], self._stamp_ns, "right"))
        columns = {name: values[self._row : end] for name, values in every.columns.items()}
        cold = int(np.count_nonzero(columns["kind"] == COLD))
        notes = [
            (int(time_ns), *note)
            for time_ns, note in zip(
                columns["ts_recv_ns"][columns["kind"] == COLD],
                every.notes[self._noted : self._noted + cold],
                strict=True,
            )
        ]
        self._row, self._noted = end, self._noted + cold
        own, self._own = self._own, []
        if own:
            added = {name: np.zeros(len(own), dtype) for name, dtype in TYPES.items()}
            added["kind"][:] = COLD
            added["ts_recv_ns"][:] = added["ts_event_ns"][:] = [each[0] for each in own]
            columns = {name: np.concatenate([columns[name], added[name]]) for name in ENGINE_COLUMNS}
            order = np.argsort(columns["ts_recv_ns"], kind="stable")
            columns = {name: values[order] for name, values in columns.items()}
            notes = sorted(notes + own, key=lambda each: each[0])
        if len(columns["kind"]):
            block = Block(columns, tuple((kind, body) for _, kind, body in notes))
            self._waiting.append(block)
            for listener in self._listeners:
                listener(block)

    def write_now(self) -> bool:
        if self.written_waits > 0:
            self.written_waits -= 1
            return False
        self._write()
        return True

    async def written(self, *, durable: bool = False) -> None:
        del durable
        self.take()
        await asyncio.sleep(0.003)
        self._write()

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, []
        self._disk.blocks += waiting


class Store:
    """The journal."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        disk.journal = disk.journal[: disk.journal.rfind(b"\n") + 1]

    def append(self, data: bytes) -> None:
        if self._disk.refuses:
            from scalpcli.errors import DataError

            raise DataError("no space left on device")
        self._disk.journal += data

    def sync(self) -> None:
        """Nothing is lost here but by a crash between two steps."""


@dataclass
class Order:
    """An order at the broker."""

    sent: ApprovedOrder
    broker_id: str
    status: str = "new"
    filled: int = 0
    sum_e4: int = 0

    def told(self, now_ns: int) -> BrokerOrder:
        sent = self.sent
        return BrokerOrder(
            sent.order_id, self.broker_id, sent.instrument.symbol, str(sent.side), str(sent.kind), self.status,
            sent.quantity, self.filled, self.sum_e4, sent.limit_e4, now_ns,
        )  # fmt: skip

    @property
    def is_open(self) -> bool:
        return self.status in ("new", "partially_filled")


class Broker:
    """A broker that fills at the tape's quotes, in parts, and tells of it late, twice or never.

    Args:
        clock: Time.
        loop: Where it runs.
        seed: Source of its chance.
        chance: How often a message is lost, and how often an answer is.
    """

    def __init__(self, clock: VirtualClock, loop: VirtualLoop, seed: int = 1, chance: float = 0.0) -> None:
        self.orders: dict[str, Order] = {}
        self.posts: list[str] = []
        self.held: dict[str, int] = {}
        self.fills: list[BrokerFill] = []
        self.lowest = 0
        self.is_silent = False
        self.loses_answers = 0
        self.loses_orders = 0
        self.listeners: list[Any] = []
        self.account_status = "ACTIVE"
        self.not_exercised: list[str] = []
        self.fills_entries = True
        self.cancels = 0
        self._clock, self._loop, self._chance = clock, loop, chance
        self._random = random.Random(seed)  # noqa: S311 - chance of a test
        self._parts_left = 3

    def quote(self, symbol: str) -> tuple[int, int]:
        times, bids, asks = _quotes(symbol)
        at = int(np.searchsorted(times, self._clock.now_ns(), "right")) - 1
        return (int(bids[at]), int(asks[at])) if at >= 0 else (0, 0)

    def receive(self, sent: ApprovedOrder) -> Order:
        """An order arrives."""
        self.posts.append(sent.order_id)
        if sent.order_id in self.orders:
            return self.orders[sent.order_id]
        order = self.orders[sent.order_id] = Order(sent, f"b{len(self.orders)}")
        symbol = sent.instrument.symbol
        if sent.side == "sell" and self.held.get(symbol, 0) - self._held_back(symbol) < sent.quantity:
            order.status = "rejected"
        else:
            self._tell(order, "new", None)
            self._loop.call_later(0.001, self._meet, order)
        return order

    def _held_back(self, symbol: str) -> int:
        others = [each for each in self.orders.values() if each.is_open and each.sent.instrument.symbol == symbol]
        return sum(each.sent.quantity - each.filled for each in others if each.sent.side == "sell") - (
            others[-1].sent.quantity if others and others[-1].sent.side == "sell" else 0
        )

    def _meet(self, order: Order) -> None:
        if not order.is_open:
            return
        bid_e4, ask_e4 = self.quote(order.sent.instrument.symbol)
        is_buy = order.sent.side == "buy"
        price_e4 = ask_e4 if is_buy else bid_e4
        limit_e4 = order.sent.limit_e4
        can_fill = price_e4 > 0 and (not limit_e4 or (price_e4 <= limit_e4 if is_buy else price_e4 >= limit_e4))
        if can_fill and (self.fills_entries or not is_buy):
            left = order.sent.quantity - order.filled
            self.fill(order, max(1, left // 2) if self._random.random() < 0.5 else left, price_e4)
        if order.is_open:
            self._loop.call_later(0.1, self._meet, order)

    def fill(self, order: Order, quantity: int, price_e4: int) -> None:
        """Fill a part."""
        order.filled += quantity
        order.sum_e4 += quantity * price_e4
        order.status = "filled" if order.filled == order.sent.quantity else "partially_filled"
        symbol = order.sent.instrument.symbol
        sign = 1 if order.sent.side == "buy" else -1
        self.held[symbol] = self.held.get(symbol, 0) + sign * quantity
        self.lowest = min(self.lowest, self.held[symbol])
        fill = BrokerFill(
            f"x{len(self.fills)}", order.sent.order_id, order.broker_id, symbol, str(order.sent.side), quantity,
            price_e4, order.filled, self._clock.now_ns(),
        )  # fmt: skip
        self.fills.append(fill)
        self._tell(order, "fill" if order.status == "filled" else "partial_fill", fill)

    def cancel(self, order: Order) -> None:
        """Take an order back."""
        self.cancels += 1
        order.status = "canceled"
        self._tell(order, "canceled", None)

    def _tell(self, order: Order, event: str, fill: BrokerFill | None) -> None:
        update = BrokerUpdate(event, order.told(self._clock.now_ns()), fill, None)
        times = 0 if self._random.random() < self._chance else 2 if self._random.random() < self._chance else 1
        for _ in range(times):
            late_s = 0.005 + self._random.random() * self._chance
            for listener in self.listeners:
                self._loop.call_later(late_s, listener, update)


@cache
def _quotes(symbol: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    every = market()
    number = next(each.instrument_id for each in every.instruments if each.symbol == symbol)
    own = (every.columns["kind"] == OPTION_QUOTE) & (every.columns["instrument_id"] == number)
    return tuple(every.columns[name][own] for name in ("ts_recv_ns", "price_e4", "ask_e4"))


class FakeDesk:
    """Asks the broker, with a way there and a way back; what is lost is told as the real desk tells it."""

    def __init__(self, broker: Broker, clock: VirtualClock) -> None:
        self._broker, self._clock = broker, clock

    async def _way(self) -> None:
        await asyncio.sleep(0.004)
        if self._broker.is_silent:
            raise BrokerSilent("no answer")

    async def submit(self, order: ApprovedOrder) -> Answer:
        broker = self._broker
        await asyncio.sleep(0.004)
        if broker.loses_orders:
            broker.loses_orders -= 1
            return Answer(Outcome.UNKNOWN, reason="timed out")
        found = broker.receive(order)
        # Told as it stands when the broker answers; it may fill on the way back.
        told = found.told(self._clock.now_ns())
        await asyncio.sleep(0.004)
        if broker.loses_answers:
            broker.loses_answers -= 1
            return Answer(Outcome.UNKNOWN, reason="timed out")
        if found.status == "rejected":
            return Answer(Outcome.REJECTED, reason="insufficient qty available for order", status=403)
        return Answer(Outcome.ACCEPTED, told)

    async def cancel(self, broker_id: str) -> Answer:
        await self._way()
        order = next(each for each in self._broker.orders.values() if each.broker_id == broker_id)
        is_open = order.is_open
        if is_open:
            self._broker.cancel(order)
        told = order.told(self._clock.now_ns())
        await self._way()
        return Answer(Outcome.ACCEPTED) if is_open else Answer(Outcome.REJECTED, told)

    async def order(self, order_id: str) -> BrokerOrder | None:
        await self._way()
        found = self._broker.orders.get(order_id)
        told = found.told(self._clock.now_ns()) if found and found.status != "rejected" else None
        await self._way()
        return told

    async def open_orders(self) -> list[BrokerOrder]:
        await self._way()
        told = [each.told(self._clock.now_ns()) for each in self._broker.orders.values() if each.is_open]
        await self._way()
        return told

    async def positions(self) -> list[BrokerPosition]:
        await self._way()
        told = [BrokerPosition(symbol, held, held, 0) for symbol, held in self._broker.held.items() if held]
        await self._way()
        return told

    async def position(self, symbol: str) -> int:
        await self._way()
        held = self._broker.held.get(symbol, 0)
        await self._way()
        return held

    async def account(self) -> BrokerAccount:
        await self._way()
        return BrokerAccount("PA1234WXYZ", self._broker.account_status, False, 2, 10**9, 10**9, 10**9)

    async def fills(self, since_ns: int) -> list[BrokerFill]:
        await self._way()
        return [fill for fill in self._broker.fills if fill.ts_market_ns >= since_ns]

    async def do_not_exercise(self, symbol: str) -> Answer:
        await self._way()
        self._broker.not_exercised.append(symbol)
        return Answer(Outcome.ACCEPTED)

    async def close(self) -> None:
        """Nothing is held."""


class Bench:
    """The world of one trader."""

    def __init__(
        self,
        settings: Params | None = None,
        *,
        minutes: float = 20.0,
        seed: int = 1,
        chance: float = 0.0,
        start_minute: float | None = None,
    ):
        self.params = settings or params()
        self.loop = VirtualLoop(20_000_000)
        self.start_ns = int(market().columns["ts_recv_ns"][0])
        if start_minute is not None:
            # Later than the first row: what came before is folded at once, by a trader that makes no entries yet.
            self.start_ns = market().session.open_ns + int(start_minute * 60 * S)
        self.until_ns = market().session.open_ns + int(minutes * 60 * S)
        self.clock = VirtualClock(self.loop, self.start_ns)
        self.broker = Broker(self.clock, self.loop, seed, chance)
        self.disk = Disk()
        self.mode = "paper"
        self.starts = 0
        self.fenced_ns = 0
        self.is_killed = False
        self.said: list[str] = []
        self.trader: Trader
        self.process: Process
        self.rows: Rows
        self.end: Any = None
        self.failure: BaseException | None = None

    def setup(self) -> Setup:
        every = market()
        return Setup(
            self.params, "TSLA", every.session, every.instruments, fee_schedule(self.params, every.session.date),
            mode=self.mode, synthetic=True,
        )  # fmt: skip

    def start(self) -> Process:
        """Start the trader's process (again)."""
        self.starts += 1
        self.process = process = self.loop.process(f"engine-{self.starts}")
        process.here(self._build, process)
        return process

    def do(self, act: Any) -> None:
        """Call `act` in the trader's process, in its event loop."""
        self.process.soon(0.0, act)

    def _build(self, process: Process) -> None:
        self.rows = Rows(self.clock, self.disk)
        desk = FakeDesk(self.broker, self.clock) if self.mode != "shadow" else None
        journal = self.disk.journal
        self.trader = Trader(
            LiveParts(
                setup=self.setup(), hot=kernel(), maker=self.rows, keeper=self.rows, store=Store(self.disk),
                clock=self.clock, desk=desk, limits=LiveLimits(self.until_ns),
                past=Past(tuple(self.disk.blocks), journal, self.fenced_ns),
                is_killed=lambda: self.is_killed, say=self.said.append,
            )
        )  # fmt: skip
        trader = self.trader
        # In virtual time nothing is ever late; a timer a hundred times a second would be most of the work.
        trader.watch.PERIOD_S = 10.0
        self.broker.listeners = [lambda update: process.is_alive and process.here(trader.take_update, update)]
        process.start(self._run(trader))
        process.start(self._frames(trader))

    async def _run(self, trader: Trader) -> None:
        try:
            self.end = await trader.run()
        except Exception as error:  # noqa: BLE001 - looked at by the test
            self.failure = error

    async def _frames(self, trader: Trader) -> None:
        while self.end is None and self.failure is None:
            trader.wake()
            await asyncio.sleep(FRAME_S)

    def play(self, until: Any = None) -> None:
        """Let time pass until the trader has ended, or `until` holds."""

        async def watch() -> None:
            while self.end is None and self.failure is None and not (until is not None and until()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(watch())
        if self.failure is not None:
            raise self.failure
        assert self.loop.errors == []

    def refold(self) -> list[bytes]:
        """The journal that the rows on the disk give, folded again in one piece."""
        live = LiveEngine(self.setup(), kernel())
        live.outbox.simulated = None
        live.feed(self.disk.blocks, self.trader.finished_ns)
        live.finish()
        return live.lines

    def decisions(self, kind: str) -> list[dict[str, Any]]:
        """Decisions of one kind on the disk."""
        import json

        lines = [json.loads(line) for line in self.disk.journal.splitlines()]
        return [line for line in lines if line["kind"] == kind]
