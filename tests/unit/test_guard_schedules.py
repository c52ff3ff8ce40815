"""Engine, guard and broker on random schedules: whatever stops, dies or is late, only one of them sells."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from tests.guard_world import CALL, PREFIX, Died, World

SCHEDULES = 200
OVER_S = 900.0


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    """Whether the disk has it is held elsewhere; here it would be waited for ten thousand times."""
    monkeypatch.setattr("os.fsync", lambda _: None)


class Schedule:
    """One world with an engine that wants out, stops, wakes, dies and is started again; and a guard that dies too.

    The broker would let anybody sell what nobody holds, so that a second sale shows.
    """

    def __init__(self, folder, seed):
        self.chance = random.Random(seed)  # noqa: S311 - a schedule, no secret
        self.world = World(folder, start_s=3_600.0)
        self.world.begin()
        self.world.engine_bought(self.chance.randint(1, 5))
        self.world.position_lag_s = self.chance.choice([0.0, 0.0, 0.4, 1.5])
        self.world.answer_after_s = self.chance.choice([0.0, 0.0, 3.0, 9.0])
        self.world.fills_at_once = self.fills_at_once
        self.exits = 0
        self.seen = Counter()
        self.plan()

    def fills_at_once(self, order):
        """A part of a sale fills at once, the rest of it a while later, if it still works then."""
        now_s = self.world.now_s - self.world.start_s
        self.world.at(now_s + self.chance.uniform(0.5, 30.0), lambda: self.world.fill(order.order_id, order.quantity))
        return self.chance.randint(0, order.quantity)

    def plan(self):
        world, chance = self.world, self.chance
        for _ in range(chance.randint(1, 6)):
            world.at(chance.uniform(0, 300), self.engine_sells)
        for _ in range(chance.randint(0, 3)):
            world.at(chance.uniform(0, 300), self.step("stopped"))
            world.at(chance.uniform(0, 300), self.step("awake"))
        if chance.random() < 0.7:
            world.at(chance.uniform(0, 300), self.step("dead"))
        for _ in range(chance.randint(0, 2)):
            world.at(chance.uniform(0, 300), self.restart)
        if chance.random() < 0.3:
            begin_s = chance.uniform(0, 300)
            world.at(begin_s, lambda: setattr(world, "silent_until_s", begin_s + chance.uniform(1, 60)))
        # At last the engine is gone for good.
        world.at(400.0, self.step("stopped"))
        world.at(401.0, self.step("dead"))
        world.at(OVER_S, lambda: setattr(world, "has_ended_in_order", True))

    def step(self, engine):
        def act():
            if engine == "awake" and self.world.engine == "stopped":
                self.world.engine = "awake"
            elif engine == "stopped" and self.world.engine == "awake":
                self.seen["stops"] += 1
                self.world.engine = "stopped"
            elif engine == "dead" and self.world.engine != "dead":
                self.seen["deaths"] += 1
                self.world.become("dead")()

        return act

    def restart(self):
        """Somebody starts the engine again: it only comes up where it gets the run's lock."""
        if self.world.engine == "dead" and self.world.holder == "":
            self.seen["restarts"] += 1
            self.world.engine, self.world.holder = "awake", "engine"

    def engine_sells(self):
        """An engine that runs takes back what works and sells what the broker says it holds; it may be late there."""
        world = self.world
        if world.engine != "awake" or world.holder != "engine":
            return
        for order_id, order in list(world.orders.items()):
            if not order.is_ended:
                world.fill(order_id, self.chance.randint(0, order.quantity))
                world.end(order_id)
        held = world.held.get(CALL, 0)
        if held > 0:
            self.exits += 1
            self.seen["exits of the engine"] += 1
            name = f"x{self.exits}"
            # Written down now, at the broker a moment later, though the engine may be dead by then.
            world.write_order(name, held)
            world.at(world.now_s - world.start_s + self.chance.uniform(0.0, 0.3), lambda: self.arrive(name, held))

    def arrive(self, name, quantity):
        order_id = self.world.place(name, quantity)
        self.world.fill(order_id, self.chance.randint(0, quantity))

    def play(self):
        """One guard after the other until all is over; each may die at any of its calls."""
        world = self.world
        while True:
            world.dies_at = world.calls + self.chance.randint(1, 400) if self.chance.random() < 0.5 else 0
            try:
                end = asyncio.run(world.guard())
            except Died:
                self.seen["deaths of the guard"] += 1
            else:
                if world.has_ended_in_order:
                    return end
                # An engine that is started again brings its own.
                world.pass_until(world.now_s - world.start_s + 2.0)


def test_engine_and_guard_never_both_sell(tmp_path):
    """Never less than nothing held, no sale while an engine runs, every schedule ends flat, ids are used once."""
    seen = Counter()
    for seed in range(SCHEDULES):
        schedule = Schedule(tmp_path / str(seed), seed)

        end = schedule.play()

        world = schedule.world
        assert world.lowest == 0, (seed, world.said)
        assert world.both == [], (seed, world.both)
        assert (end.held, world.held[CALL]) == ({}, 0), (seed, end, world.said)
        assert all(order_id.startswith(PREFIX) for order_id in world.submitted)
        seen += schedule.seen + Counter({"schedules": 1, "sales of the guard": len(set(world.submitted))})
    print(dict(seen))
    assert min(seen[what] for what in ("restarts", "deaths of the guard", "sales of the guard", "stops")) > 50
