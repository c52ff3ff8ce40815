"""The processes of one run: an engine, whoever starts it again when it dies, and its guard.

An engine is built as the command builds one, of the product's own parts; what it touches outside is the world's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_orders_wire import broker_update
from scalpcli.adapters.alpaca_updates import UpdatesEndpoint
from scalpcli.model import note as notes
from scalpcli.model import row
from scalpcli.model.params import LiveParams, Params
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.guard_fence import read_fence
from scalpcli.runtime.live_ports import LiveEnd, LiveLimits, LiveParts, Past
from scalpcli.runtime.process_identity import ProcessIdentity
from scalpcli.runtime.trader import Trader
from scalpcli.units import NS_PER_S
from tests.simulation.world.chance import Chance
from tests.simulation.world.floor import Floor
from tests.simulation.world.loop import Process, VirtualLoop
from tests.simulation.world.market import DELTAS, INSTRUMENTS, SESSION, SYMBOL, Made
from tests.simulation.world.settings import setup_of
from tests.simulation.world.stores import Disk, MemoryJournal, MemoryKeeper
from tests.simulation.world.watch import Watch
from tests.simulation.world.wire import Updates, Wire

URL = "http://127.0.0.1:1"
NONCE = "7f"
ROWS_WAITING_MAX = 100_000
STREAM_CHANNELS = row.CHANNELS_ALL & ~row.CHANNEL_PRICE_ONLY


class WorldClock(MarketClock):
    """Time at the market in virtual time.

    Args:
        loop: Virtual time.
        start_ns: Market time at its second 0.
    """

    def __init__(self, loop: VirtualLoop, start_ns: int) -> None:
        self._loop, self._start_ns = loop, start_ns

    def now_ns(self) -> int:
        """Time at the market now."""
        return self._start_ns + int(self._loop.time() * NS_PER_S)


def desk_of(process: Process, floor: Floor, watch: Watch, chance: Chance, live: LiveParams) -> AlpacaDesk:
    """The product's desk of one process, over a wire in memory."""
    wire = Wire(process, floor, watch, chance)
    return AlpacaDesk(URL, "key", "secret", live, transport=wire, now_ns=floor.market.now_ns)


class EngineProcess:
    """One process of the engine, from its start to its end.

    Args:
        process: Its process.
        params: Settings.
        disk: What it and its predecessors left.
        floor: The exchange.
        watch: Sees what it sends.
        chance: What goes wrong.
        say: Takes its words.

    Attributes:
        end: How it ended; nothing while it runs.
        failure: What it raised.
        alarms: Alarms it told.
        has_traded: Whether it came so far as to trade.
    """

    def __init__(
        self, process: Process, params: Params, disk: Disk, floor: Floor, watch: Watch, chance: Chance
    ) -> None:
        self.process, self._disk, self._floor, self._watch = process, disk, floor, watch
        self.end: LiveEnd | None = None
        self.failure: BaseException | None = None
        self.alarms: list[str] = []
        self._made_rows: dict[str, Any] = {}
        loop = process.loop
        clock = WorldClock(loop, floor.market.start_ns)
        past = disk.blocks
        self.maker = _maker(past, clock)
        keeper = MemoryKeeper(self.maker, disk)
        fence = read_fence(disk.folder)
        desk = desk_of(process, floor, watch, chance, params.live)
        self.trader = Trader(
            LiveParts(
                setup=setup_of(params),
                hot=_kernel(),
                maker=self.maker,
                keeper=keeper,
                store=MemoryJournal(disk),
                clock=clock,
                desk=desk,
                limits=LiveLimits(until_ns=SESSION.close_ns + NS_PER_S, flat_s_max=10.0),
                past=Past(tuple(past), disk.journal(), fenced_ns=fence.at_ns if fence else 0),
                has_updates=False,
                say=self._say,
                about={"run": "world", "pid": process.pid, "version": "0", "feed": "sip", "option_feed": "opra"},
            )
        )
        self.trader.listen(self._hear)
        if not past:
            self._write_head()
        endpoint = UpdatesEndpoint(
            URL, ("key", "secret"), on_update=self._take_update,
            on_ready=self.trader.updates_ready, on_down=self.trader.updates_down,
        )  # fmt: skip
        self.updates = Updates(process, chance, endpoint.take)
        floor.market.on_order_event(self.updates.on_event)
        process.start(keeper.run())
        process.start(self._run())
        process.soon(0.02, self.trader.updates_ready)

    def _take_update(self, update: Any) -> None:
        self.trader.take_update(broker_update(update))

    async def _run(self) -> None:
        try:
            self.end = await self.trader.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the schedule failed
            self.failure = error
            self._watch.fail("no process fails", f"{self.process.name}: {type(error).__name__}: {error}")
        self.process.on_death = None
        self.process.kill()

    def _say(self, words: str) -> None:
        self._watch.note(f"{self.process.name} says: {words}")

    def _hear(self, event: dict[str, Any]) -> None:
        if self._watch.is_telling:
            about = " ".join(f"{key}={value}" for key, value in event.items() if key not in ("ts_ns", "kind"))
            self._watch.note(f"{self.process.name} | {event['kind']} {about[:200]}")
        if event["kind"] == "alarm":
            self.alarms.append(f"{event.get('about', '')} {event.get('text', '')}")

    def _write_head(self) -> None:
        self.maker.add_contracts(INSTRUMENTS[1:])
        self.maker.note(notes.RUN, {"nonce": NONCE})
        deltas = {symbol: {"delta": delta} for symbol, delta in DELTAS.items()}
        self.maker.note(notes.GREEKS, {"source": "world", "contracts": deltas})

    # --- the feed ------------------------------------------------------------------------------------

    def deliver(self, made: Made, start: int, stop: int) -> None:
        """A frame of the feed comes, as decoders hand it over."""
        self.maker.stamp()
        if self.maker.open_gaps:
            self.maker.end_gap(self.maker.open_gaps)
        for number in range(start, stop):
            _write(self.maker, made.rows, number)
        self.trader.wake()

    def lose_feed(self, cause: str) -> None:
        """The feed breaks."""
        self.maker.begin_gap(STREAM_CHANNELS, self.maker.stamp_ns, cause)
        self.trader.wake()


@functools.lru_cache(maxsize=1)
def _kernel() -> Any:
    return load_kernel()


def _maker(past: list[Any], clock: WorldClock) -> DataAggregator:
    """The aggregator of a process, which goes on where the rows on the disk end."""
    if not past:
        return DataAggregator(SYMBOL, now_ns=clock.now_ns, rows_waiting_max=ROWS_WAITING_MAX)
    columns = {name: np.concatenate([block.columns[name] for block in past]) for name in row.COLUMNS}
    last_ns = int(columns["ts_recv_ns"][-1])
    maker = DataAggregator(
        SYMBOL,
        now_ns=clock.now_ns,
        rows_waiting_max=ROWS_WAITING_MAX,
        instruments=[each for block in past for each in block.instruments],
        conditions=[text for block in past for text in block.conditions],
        exchanges=[text for block in past for text in block.exchanges],
        last_ns=last_ns,
    )
    maker.remember(columns, is_whole=True)
    maker.begin_gap(STREAM_CHANNELS, last_ns, "recorder restarted")
    return maker


def _write(maker: DataAggregator, rows: dict[str, Any], number: int) -> None:
    """One row of the market as a message of a stream."""
    kind, event_ns = int(rows["kind"][number]), int(rows["ts_event_ns"][number])
    symbol = INSTRUMENTS[int(rows["instrument_id"][number])].symbol
    price, ask = int(rows["price_e4"][number]) / 1e4, int(rows["ask_e4"][number]) / 1e4
    size, ask_size = int(rows["size"][number]), int(rows["ask_size"][number])
    if kind == row.STOCK_TRADE:
        maker.stock_trade(event_ns, price, size, "V", ("@",), number)
    elif kind == row.STOCK_QUOTE:
        maker.stock_quote(event_ns, price, size, "V", ask, ask_size, "V", ("R",))
    elif kind == row.OPTION_QUOTE:
        maker.option_quote(symbol, event_ns, price, size, "C", ask, ask_size, "C", ("A",))
    else:
        is_halt = bool(int(rows["flags"][number]) & row.HALT_BEGIN)
        maker.status(event_ns, "H" if is_halt else "T", "")


class Sight:
    """How the guard sees the engine: its answers, its process and the run's lock.

    Args:
        engine: The engine's latest process, where there is one.
        has_ended: Whether the run ended in order.
        chance: How long an answer takes.
    """

    def __init__(self, engine: Callable[[], Process | None], has_ended: Callable[[], bool], chance: Chance) -> None:
        self._engine, self._has_ended, self._chance = engine, has_ended, chance
        self.is_locked = False
        """Whether the guard has the run's lock."""

    async def ping(self, answer_s: float) -> bool:
        """Ask the engine's control socket."""
        import asyncio

        process = self._engine()
        if process is None or not process.is_alive:
            return False
        answered = asyncio.Event()
        process.soon(self._chance.delay_s(), answered.set)
        try:
            async with asyncio.timeout(answer_s):
                await answered.wait()
        except TimeoutError:
            return False
        return True

    def identity(self) -> ProcessIdentity | None:
        """The engine's latest process."""
        process = self._engine()
        return ProcessIdentity(process.pid, str(process.pid)) if process is not None else None

    def is_running(self, process: ProcessIdentity) -> bool:
        """Whether it runs."""
        engine = self._engine()
        return engine is not None and engine.is_alive and engine.pid == process.pid

    def kill(self, process: ProcessIdentity) -> None:
        """End it."""
        engine = self._engine()
        if engine is not None and engine.pid == process.pid:
            engine.kill()

    def lock(self) -> bool:
        """Take the run's lock."""
        engine = self._engine()
        if engine is not None and engine.is_alive:
            return False
        self.is_locked = True
        return True

    def unlock(self) -> None:
        """Give it back."""
        self.is_locked = False

    def is_here(self) -> bool:
        """Whether the run lies where it lay: always."""
        return True

    def has_ended(self) -> bool:
        """Whether the run ended in order."""
        return self._has_ended()
