"""The simulated world's own parts: a wrong world finds nothing, or faults that are none."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.simulation.world import chance as faults
from tests.simulation.world import market
from tests.simulation.world.chance import Chance
from tests.simulation.world.crew import desk_of
from tests.simulation.world.floor import Floor
from tests.simulation.world.loop import Killed, Stuck, VirtualLoop
from tests.simulation.world.many import Held, too_few
from tests.simulation.world.settings import settings_of
from tests.simulation.world.stores import Disk, MemoryJournal
from tests.simulation.world.watch import Watch

CALM = 4
"""A seed whose schedule holds no faults of requests."""


@pytest.fixture
def loop():
    """A loop in virtual time, closed at the end."""
    loop = VirtualLoop()
    yield loop
    loop.bury()


def test_an_hour_takes_as_long_as_its_work(loop):
    """The clock jumps to the next timer; nobody waits."""
    loop.run_until_complete(asyncio.sleep(3600))

    assert loop.time() == 3600


def test_whoever_waits_for_nothing_is_told(loop):
    """Without anything to run and without a timer a world would stand for ever."""
    with pytest.raises(Stuck):
        loop.run_until_complete(asyncio.Event().wait())


def test_a_killed_process_takes_no_step_and_cleans_nothing_up(loop):
    """A crash falls between two steps; what would be done on the way out is not done."""
    told = []

    async def work():
        try:
            for number in range(5):
                told.append(number)
                await asyncio.sleep(1)
        finally:
            told.append("cleaned up")

    process = loop.process("engine")
    # The work, its timer, the work again.
    process.dies_at = 3
    process.start(work())
    loop.run_until_complete(asyncio.sleep(10))

    assert told == [0, 1]


def test_a_stopped_process_goes_on_late_and_in_order(loop):
    """SIGSTOP: what became due meanwhile happens after it, nothing is lost."""
    told = []
    process = loop.process("engine")
    for second in (1, 2, 3):
        process.soon(second, told.append, second)
    loop.call_later(0.5, process.stop)
    loop.call_later(5, process.go_on)

    loop.run_until_complete(asyncio.sleep(4))
    before = list(told)
    loop.run_until_complete(asyncio.sleep(4))

    assert (before, told) == ([], [1, 2, 3])


def test_what_a_dying_process_sent_still_arrives(loop, tmp_path):
    """Bytes that the operating system has reach the exchange, though nobody waits for the answer any more."""
    floor, process, ask = _desk(loop, tmp_path)
    seen = []
    floor.account.run_due = lambda: seen.append(loop.time())

    process.start(ask())
    loop.call_later(0.001, process.kill)
    loop.run_until_complete(asyncio.sleep(1))

    assert len(seen) == 1


def _desk(loop, folder):
    draws = Chance(CALM)
    draws.requests_share, draws.outages = 0.0, []
    watch = Watch(loop, Disk(folder), contracts_max=5)
    floor = watch.floor = Floor(loop, market.make(1), draws)
    process = loop.process("engine")
    desk = process.here(desk_of, process, floor, watch, draws, settings_of(CALM).live)
    return floor, process, desk.positions


def test_a_crash_in_the_middle_of_writing_leaves_a_torn_line(loop, tmp_path):
    """The next process finds whole lines alone."""
    disk = Disk(tmp_path, dies_in=3)
    process = loop.process("engine")
    store = process.here(MemoryJournal, disk)
    process.here(store.append, b'{"n":0}\n')

    with pytest.raises(Killed):
        process.here(store.append, b'{"n":1}\n')

    assert disk.journal() == b'{"n":0}\n{"n"'
    MemoryJournal(disk)
    assert disk.journal() == b'{"n":0}\n'


def test_a_run_that_holds_too_little_proves_nothing():
    """Schedules in which nothing happens break no rule either: each kind of fault must have happened."""
    held = Held(schedules=1000, entries=2000, fills=3000, counts=Counter(dict.fromkeys(faults.KINDS, 500)))
    held.counts[faults.GATEWAY] = 9

    assert too_few(held) == {faults.GATEWAY: (9, 10)}
