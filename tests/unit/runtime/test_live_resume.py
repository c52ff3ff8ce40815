"""A trader killed anywhere and started again: it believes what the broker holds, and never doubles an order."""

from __future__ import annotations

import json
import random
from collections.abc import Callable

import pytest

from scalpcli.errors import DataError
from scalpcli.runtime.live_resume import check_prefix, whole_lines
from tests.unit.runtime.live_bench import Bench

KILLS = 5


@pytest.fixture
def world():
    """Makes worlds around the first scalp of the example tape."""
    made: list[Bench] = []

    def make(**options) -> Bench:
        made.append(Bench(start_minute=12.0, minutes=16.0, **options))
        return made[-1]

    yield make
    for each in made:
        each.loop.bury()


def play_until_killed(bench: Bench, chance: random.Random) -> None:
    """Kill the process some steps after the next order, fill, or line of an order; or it ends before."""
    posts, length = len(bench.broker.posts), len(bench.disk.journal)
    is_due = chance.choice(
        [
            lambda: True,
            lambda: len(bench.broker.posts) > posts,
            lambda: any(bench.broker.held.values()),
            lambda: b'"kind":"order"' in bench.disk.journal[length:],
        ]
    )
    kill_when(bench, is_due, chance.randrange(1, 60))


def kill_when(bench: Bench, is_due: Callable[[], bool], steps: int) -> None:
    """Kill the process so many steps after `is_due` holds; or it ends before."""
    process, take_step = bench.process, bench.loop._step

    def step(handle):
        take_step(handle)
        if process.is_alive and not process.dies_at and is_due():
            process.dies_at = process.steps + steps

    bench.loop._step = step
    bench.play(lambda: not process.is_alive)
    bench.loop._step = take_step


@pytest.mark.parametrize("seed", range(12))
def test_a_process_killed_anywhere_goes_on_where_it_was(world, seed):
    """Five kills between any two steps, messages late, twice or lost, an answer and an order lost on some seeds."""
    chance = random.Random(seed)  # noqa: S311 - chance of a test
    bench = world(seed=seed, chance=0.3)
    bench.broker.loses_answers, bench.broker.loses_orders = chance.choice([(0, 0), (1, 0), (0, 1), (1, 1)])
    bench.start()
    for _ in range(KILLS):
        play_until_killed(bench, chance)
        if bench.end is not None:
            break
        again_s = bench.loop.time() + chance.choice([0.01, 0.5, 3.0, 20.0])
        bench.play(lambda again_s=again_s: bench.loop.time() >= again_s)
        bench.start()

    bench.play()

    assert len(bench.broker.posts) == len(set(bench.broker.posts))
    assert set(bench.broker.posts) <= {each["order_id"] for each in bench.decisions("order")}
    assert bench.broker.lowest == 0
    assert bench.end.is_flat
    assert not any(bench.broker.held.values())
    assert bench.disk.journal == b"".join(bench.refold())


def test_what_was_decided_while_nobody_traded_is_not_bought(world):
    """A process that dies before its order's line is on the disk has sent nothing; the next one does not catch up."""
    bench = world()
    bench.start()
    bench.play(lambda: bench.trader.permission.is_begun)
    # Somebody writes rows just now, so that lines wait: the process dies between the two.
    bench.rows.written_waits = 1_000_000
    kill_when(bench, lambda: bool(bench.trader.tracker.orders), 1)
    assert bench.broker.posts == []
    assert bench.decisions("order") == []
    bench.start()

    bench.play()

    assert bench.broker.posts == []
    assert bench.disk.journal == b"".join(bench.refold())


def test_what_is_held_is_managed_within_two_seconds(world):
    """Killed with a position open: the next process sells when it is told to, at once."""
    bench = world()
    bench.start()
    bench.play(lambda: bool(bench.trader.live.held()) and not bench.trader.tracker.working)
    bench.process.kill()
    bench.start()
    began_s = bench.loop.time()
    bench.do(lambda: bench.trader.command("flatten", by="test"))

    bench.play(lambda: not any(bench.broker.held.values()))

    assert bench.loop.time() - began_s < 2.0


def test_a_session_that_was_ended_stays_ended(world):
    """Killed after the sums were written, before anybody was told: the next process says so and decides nothing."""
    bench = world()
    bench.start()
    bench.play()
    journal, finished_ns = bench.disk.journal, bench.trader.finished_ns
    bench.end = None
    bench.start()

    bench.play()

    assert (bench.end.ended, bench.end.is_flat) == ("until", True)
    assert bench.disk.journal == journal
    assert bench.trader.finished_ns == finished_ns


def test_a_session_whose_sums_were_torn_is_ended_again(world):
    """Killed in the middle of the last line: whole lines stand, and the next process writes the sums."""
    bench = world()
    bench.start()
    bench.play()
    bench.end, bench.disk.journal = None, bench.disk.journal[:-40]
    whole = bench.disk.journal[: bench.disk.journal.rfind(b"\n") + 1]
    bench.start()

    bench.play()

    assert bench.disk.journal.startswith(whole)
    assert len(bench.decisions("session_end")) == 1
    assert bench.disk.journal == b"".join(bench.refold())


def test_a_torn_line_was_never_acted_on():
    """Whole lines count; what a killed process left half written does not."""
    assert whole_lines(b'{"n":0}\n{"n":1}\n{"n":') == [b'{"n":0}\n', b'{"n":1}\n']


@pytest.mark.parametrize("decided", [[], [b'{"n":1}\n']])
def test_a_journal_that_is_not_the_beginning_is_named_by_its_line(decided):
    """The first line that differs, and what is decided instead."""
    with pytest.raises(DataError) as error:
        check_prefix([b'{"n":0}\n'], decided)

    assert error.value.place == '`decisions.jsonl`, line 1: {"n":0}'


def test_numbers_go_on_after_a_restart(world):
    """Lines are numbered on, so that the journal is one."""
    bench = world()
    bench.start()
    bench.play(lambda: any(bench.broker.held.values()))
    bench.process.kill()
    bench.start()

    bench.play()

    numbers = [json.loads(line)["n"] for line in bench.disk.journal.splitlines()]
    assert numbers == list(range(len(numbers)))
