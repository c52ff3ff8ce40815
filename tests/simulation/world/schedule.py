"""One schedule: a session of the world from its seed to its end, and what it held."""

from __future__ import annotations

import asyncio
import random
import shutil
import tempfile
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from scalpcli.runtime import live_chores
from scalpcli.runtime.guard import Guard
from scalpcli.runtime.guard_ports import GuardEnd, GuardRules
from scalpcli.runtime.recorder_figures import LoopWatch
from tests.simulation.world import chance as faults
from tests.simulation.world import market
from tests.simulation.world.crew import EngineProcess, Sight, WorldClock, desk_of
from tests.simulation.world.end import check_end
from tests.simulation.world.floor import Floor
from tests.simulation.world.loop import Process, Stuck, VirtualLoop
from tests.simulation.world.settings import settings_of
from tests.simulation.world.stores import Disk
from tests.simulation.world.watch import Broken, Watch

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made in it
AFTER_CLOSE_S = 30.0
"""A world that has not ended so long after the close never will."""
LOOK_S = 0.5
ANSWER_S = 0.5
"""Longer than an answer of the exchange is under way."""


@dataclass(slots=True)
class Outcome:
    """What a schedule held.

    Attributes:
        seed: Which.
        broken: Rules that did not hold.
        counts: Faults that happened, by kind.
        entries: Entry orders the exchange took.
        fills: Executions.
        told: What happened, where it was asked for.
    """

    seed: int
    broken: list[Broken] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    entries: int = 0
    fills: int = 0
    told: list[str] = field(default_factory=list)


class World:
    """One schedule.

    Args:
        seed: Which.
        folder: A folder of its own, empty.
        is_telling: Whether to keep an event log.
    """

    def __init__(self, seed: int, folder: Path, *, is_telling: bool = False) -> None:
        self.seed = seed
        self.loop = VirtualLoop()
        self.chance = faults.Chance(seed)
        self.params = settings_of(seed)
        self.made = market.make(seed % market.MARKETS)
        self.disk = Disk(folder)
        self.watch = Watch(self.loop, self.disk, self.params.risk.contracts_max, is_telling=is_telling)
        self.floor = self.watch.floor = Floor(self.loop, self.made, self.chance)
        self.engines: list[EngineProcess] = []
        self.guard_end: GuardEnd | None = None
        self.guard_words: list[str] = []
        self.left: list[bytes] = []
        """The journal as each process left it."""
        self.loop.executor_s = lambda: self.chance.draw.choice((0.0, 0.001, 0.02))
        self.sight = Sight(lambda: self.engine.process if self.engines else None, lambda: self._is_over, self.chance)
        self.watch.others_alive = self._others_alive
        self._crashes = list(self.chance.crashes)
        self._blind_until_s = self._heard_s = 0.0

    @property
    def engine(self) -> EngineProcess:
        """The engine's latest process."""
        return self.engines[-1]

    @property
    def _is_over(self) -> bool:
        return bool(self.engines) and self.engine.end is not None

    def run(self) -> Outcome:
        """Let it happen."""
        try:
            self.loop.run_until_complete(self._main())
        except Stuck as stuck:
            self.watch.fail("the world goes on", str(stuck))
        for error in self.loop.errors:
            found = error.get("exception") or error.get("message")
            self.watch.fail("no process fails", f"{type(found).__name__}: {found}")
        check_end(self)
        self.watch.is_over = True
        self.loop.bury()
        self.chance.counts[faults.HALT] += self.made.halts
        return Outcome(
            self.seed, self.watch.broken, self.chance.counts, self.watch.entries, len(self.floor.executions),
            self.watch.told,
        )  # fmt: skip

    async def _main(self) -> None:
        self.floor.on_frame = self._on_frame
        self.floor.market.on_order_event(lambda event: self.watch.note(_words(event)))
        self.floor.market.on_order_event(lambda _: self.floor.process.soon(0.0, self.watch.look))
        self.floor.process.start(self.floor.run())
        self._begin_engine()
        self._begin_guard(self.chance.guard_crash)
        self._plan()
        end_s = (market.SESSION.close_ns - self.floor.market.start_ns) / 1e9 + AFTER_CLOSE_S
        while self.loop.time() < end_s and not self.watch.broken:
            await asyncio.sleep(LOOK_S)
            self.watch.look()
            self._look_at_belief()
            is_closed = self.floor.market.now_ns() >= market.SESSION.close_ns
            if is_closed and self._is_over and self.guard_end is not None:
                return
        if not self.watch.broken:
            self.watch.fail("the run ends", "it did not, long after the close")

    def _look_at_belief(self) -> None:
        """What an engine believes to hold, after it says that the broker agrees, is what the account holds."""
        trader, executions = self.engine.trader, self.floor.executions
        changed_s = executions[-1].at_s if executions else 0.0
        agreed_s = (trader.reconciler.reconciled_ns - self.floor.market.start_ns) / 1e9 if trader.reconciler else 0.0
        if not self.engine.process.is_alive or agreed_s < changed_s + ANSWER_S:
            return
        held = {each.instrument.symbol: each.quantity for each in self.floor.account.positions.values()}
        if not self.floor.account.left and trader.live.held() != held:
            found = f"{self.engine.process.name} believes {trader.live.held()}, the account holds {held}"
            self.watch.fail("a restart goes on with the same position", found)

    # --- processes -----------------------------------------------------------------------------------

    def _begin_engine(self) -> None:
        """Start the engine, again and again until it may: the guard may hold the run's lock."""
        if self.sight.is_locked:
            self.loop.call_later(1.0, self._begin_engine)
            return
        number = len(self.engines)
        process = self.loop.process(f"engine{number}")
        process.on_death = lambda: self._on_death(process)
        self.disk.dies_in = 0
        if self._crashes:
            kind, count = self._crashes[0]
            if kind == faults.CRASH_WRITING:
                self.disk.dies_in = count
            else:
                process.dies_at = count
        self.watch.note(f"{process.name} starts, dies {self._crashes[:1]}")
        self.engines.append(
            process.here(EngineProcess, process, self.params, self.disk, self.floor, self.watch, self.chance)
        )

    def _on_death(self, process: Process) -> None:
        self.watch.note(f"{process.name} is dead after {process.steps} steps")
        self.left.append(self.disk.journal())
        if self._crashes and not self.sight.is_locked:
            self.chance.counts[self._crashes.pop(0)[0]] += 1
        self.loop.call_later(self.chance.draw.choice((0.05, 0.5, 2.0, 5.0)), self._begin_engine)

    def _begin_guard(self, dies_at: int) -> None:
        """Start the guard; one that dies is started again, and goes on where its fence says."""
        process = self.loop.process("guard")
        process.dies_at = dies_at
        process.on_death = self._on_death_of_guard
        process.start(self._guard(process))

    def _on_death_of_guard(self) -> None:
        self.watch.note("guard is dead")
        self.chance.counts[faults.GUARD_CRASH] += 1
        self.sight.is_locked = False
        self.loop.call_later(self.chance.draw.choice((0.5, 2.0)), self._begin_guard, 0)

    async def _guard(self, process: Process) -> None:
        clock = _GuardClock(self.loop, self.floor.market.start_ns)
        rules = GuardRules(self.params.live.guard_timeout_s, stay_s=10.0, last_rung_min=0.05)
        desk = desk_of(process, self.floor, self.watch, self.chance, self.params.live)
        guard = Guard(
            self.disk.folder, self.sight, desk, self._bid_e4, clock, rules, self._hear_guard, market.SESSION.close_ns
        )
        try:
            self.guard_end = await guard.run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the schedule failed
            self.watch.fail("no process fails", f"guard: {type(error).__name__}: {error}")
            return
        self.chance.counts[faults.GUARD] += self.guard_end.acted
        await desk.close()

    async def _bid_e4(self, symbol: str) -> int:
        await asyncio.sleep(self.chance.delay_s())
        return self.floor.market.quote(self.floor.market.by_symbol[symbol].instrument_id).bid_e4

    def _hear_guard(self, words: str) -> None:
        self.guard_words.append(words)
        self.watch.note(f"guard says: {words}")

    def _others_alive(self, process: Process) -> str:
        """Who holds the run besides a process that sends an order of it."""
        if process.name.startswith("guard"):
            return self.engine.process.name if self.engine.process.is_alive else ""
        if self.sight.is_locked:
            return "the guard"
        return self.engine.process.name if process is not self.engine.process else ""

    # --- what is planned -------------------------------------------------------------------------------

    def _plan(self) -> None:
        loop, chance = self.loop, self.chance
        for at_s, for_s in chance.stalls:
            loop.call_later(at_s, self._stall, for_s)
        for begin_s, end_s in chance.gaps:
            loop.call_later(begin_s, self._lose_feed, end_s)
        for begin_s, end_s in chance.downs:
            loop.call_later(begin_s, self._updates_down)
            loop.call_later(end_s, self._updates_up)
        for at_s, command in chance.commands:
            loop.call_later(at_s, self._command, command)

    def _stall(self, for_s: float) -> None:
        process = self.engine.process
        if process.is_alive:
            self.chance.counts[faults.STALL] += 1
            self.watch.note(f"{process.name} stands still for {for_s:.2f} s")
            process.stop()
            self.loop.call_later(for_s, process.go_on)

    def _lose_feed(self, end_s: float) -> None:
        self.chance.counts[faults.GAP] += 1
        self._blind_until_s = max(self._blind_until_s, end_s)
        self._in_engine(lambda engine: engine.lose_feed("stream broke"))

    def _updates_down(self) -> None:
        self.chance.counts[faults.UPDATES_DOWN] += 1
        self.engine.updates.is_down = True
        self._in_engine(lambda engine: engine.trader.updates_down("stream broke"))

    def _updates_up(self) -> None:
        self.engine.updates.is_down = False
        self._in_engine(lambda engine: engine.trader.updates_ready())

    def _command(self, command: str) -> None:
        self.chance.counts[faults.COMMAND] += 1
        self.watch.note(f"operator: {command}")
        self.watch.is_armed |= command == "arm"
        self._in_engine(lambda engine: engine.trader.command(command, by="world"))

    def _in_engine(self, act: object) -> None:
        engine = self.engine
        if engine.process.is_alive:
            engine.process.soon(0.0, act, engine)  # type: ignore[arg-type]

    def _on_frame(self, start: int, stop: int) -> None:
        """Send what was served to the engine, unless its feed is broken."""
        if self.loop.time() >= self._blind_until_s and self.engine.process.is_alive:
            now_s = self.loop.time()
            # One connection: no frame overtakes another.
            self._heard_s = max(self._heard_s, now_s + self.chance.delay_s())
            self.engine.process.soon(self._heard_s - now_s, self.engine.deliver, self.made, start, stop)


class _GuardClock(WorldClock):
    """A guard's clock."""

    def seconds(self) -> float:
        """Virtual seconds."""
        return self._loop.time()

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)


def _words(event: dict[str, object]) -> str:
    order = event["order"]
    assert isinstance(order, dict)
    about = " ".join(f"{name}={order[name]}" for name in ("status", "side", "qty", "filled_qty", "limit_price"))
    return (
        f"exchange: {event['event']} {order['client_order_id']} {about} {event.get('qty', '')}@{event.get('price', '')}"
    )


def run_schedule(seed: int, *, is_telling: bool = False) -> Outcome:
    """Run one schedule in a folder of its own, with ids that come from its seed."""
    ids = random.Random(f"ids {seed}")  # noqa: S311 - made to be told from a seed
    root = MEMORY if MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="scalpcli-world-", dir=root))
    try:
        # How late a loop is says nothing in virtual time, and there is no kill file: a hundred looks a second would
        # be half of the work.
        with (
            mock.patch.object(uuid, "uuid4", side_effect=lambda: uuid.UUID(int=ids.getrandbits(128), version=4)),
            mock.patch.object(LoopWatch, "PERIOD_S", 5.0),
            mock.patch.object(live_chores, "KILL_LOOK_S", 5.0),
        ):
            return World(seed, folder, is_telling=is_telling).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
