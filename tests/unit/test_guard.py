"""The guard takes the position out when the engine is gone, once, and never while it answers."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path

import pytest

from scalpcli.errors import DataError
from scalpcli.runtime.guard_fence import Fence, Phase, read_fence, write_fence
from scalpcli.runtime.guard_journal import JournalBook
from tests.guard_world import CALL, CLOSE_NS, ENGINE, OPEN_NS, PREFIX, RULES, Died, World

SELL = f"{PREFIX}-0000-g1"


@pytest.fixture(autouse=True)
def _fast_disk(monkeypatch):
    """Whether the disk has it is held elsewhere; here it would be waited for ten thousand times."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture
def world(tmp_path):
    """A run with two contracts held, whose engine answers."""
    world = World(tmp_path / "run")
    world.begin()
    world.engine_bought(2)
    return world


def watch(world, rules=RULES):
    """What a guard's watch came to."""
    return asyncio.run(world.guard(rules))


def watch_until(world, seconds, rules=RULES):
    """Let a guard watch for so long, then end its process, where it has not left before."""

    def die():
        raise Died

    world.at(seconds, die)
    with contextlib.suppress(Died):
        asyncio.run(world.guard(rules))


def test_an_engine_that_answers_is_left_alone(world):
    """However long it holds: no question to the broker, no fence, no sale."""
    watch_until(world, 3_600)

    assert world.engine == "awake"
    assert world.submitted == []
    assert read_fence(world.folder) is None


def test_an_answer_that_comes_late_counts(world):
    """Nine and a half of ten seconds, again and again: it is slow, not gone."""
    world.answer_after_s = 9.5

    watch_until(world, 600)

    assert world.engine == "awake"
    assert world.submitted == []


@pytest.mark.parametrize("how", ["stopped", "dead"])
def test_what_a_silent_engine_holds_is_sold_once(world, how):
    """Its process is ended before the sale; the fence tells what was sold; the broker says flat."""
    world.at(100, world.become(how))
    world.at(130, lambda: setattr(world, "has_ended_in_order", True))

    end = watch(world)

    fence = read_fence(world.folder)
    assert (world.engine, world.held[CALL]) == ("dead", 0)
    assert world.submitted == [SELL]
    assert world.both == []
    assert (end.acted, end.held) == (1, {})
    assert (fence.phase, fence.is_flat, fence.engine_pid) == (Phase.DONE, True, ENGINE.pid)
    assert [(sale.order_id, sale.filled, sale.filled_sum_e4) for sale in fence.sales] == [(SELL, 2, 24_000)]
    assert any("flat" in words for words in world.said)


def test_it_is_out_within_ten_seconds_of_the_time_out(world):
    """The engine stops right after an answer; time-out, fence and sale together."""
    world.at(100, world.become("stopped"))

    watch_until(world, 100 + RULES.timeout_s + 10)

    assert world.held[CALL] == 0


def test_nothing_is_done_before_the_time_out(world):
    """An engine that comes back in time keeps its position."""
    world.at(100, world.become("stopped"))
    world.at(109, world.become("awake"))

    watch_until(world, 300)

    assert world.held[CALL] == 2
    assert read_fence(world.folder) is None


def test_a_machine_that_slept_asks_again_first(world):
    """Hours passed between two questions, for the engine too: it gets its time from the first silent one on."""
    world.at(100, lambda: setattr(world, "now_s", world.now_s + 7_200))
    world.at(7_301, world.become("stopped"))
    world.at(7_308, world.become("awake"))

    watch_until(world, 7_500)

    assert world.held[CALL] == 2


def test_a_dead_engine_that_holds_nothing_leaves_nothing_to_do(tmp_path):
    """No order, no position: after the time-out the guard leaves and has touched nothing."""
    world = World(tmp_path / "run")
    world.begin()
    world.at(100, world.become("dead"))

    end = watch(world)

    assert (end.acted, end.held, end.reason) == (0, {}, "the engine is gone and nothing is held")
    assert world.now_s - world.start_s < 120
    assert read_fence(world.folder) is None


def test_an_exchange_that_is_gone_lets_the_guard_of_a_rehearsal_go(world):
    """Nobody is there to sell to, and nothing of worth is held."""
    world.silent_until_s = 100_000
    world.at(100, world.become("dead"))

    end = watch(world, replace(RULES, broker_gone_s=60.0))

    assert (end.acted, end.held) == (0, {CALL: 2})
    assert world.now_s - world.start_s < 200


def test_a_run_that_ended_in_order_lets_the_guard_go(world):
    """Flat and over: it leaves at once, not at the close."""
    world.at(50, lambda: world.fill(world.engine_sent("x1", 2), 2))
    world.at(60, world.become("dead"))
    world.at(60, lambda: setattr(world, "has_ended_in_order", True))

    end = watch(world)

    assert end.reason == "the run has ended and nothing is held"
    assert world.now_s - world.start_s < 70
    assert end.acted == 0


def test_a_run_that_ended_with_something_held_is_taken_out(world):
    """Its end in order does not sell; the guard does."""
    world.at(60, world.become("dead"))
    world.at(60, lambda: setattr(world, "has_ended_in_order", True))

    end = watch(world)

    assert (end.acted, end.held) == (1, {})
    assert world.submitted == [SELL]


def test_a_position_that_closes_meanwhile_is_not_sold_again(world):
    """The engine's last exit fills while its process is being ended."""
    order_id = world.engine_sent("x1", 2)
    world.at(100, world.become("stopped"))
    world.at(110.5, lambda: world.fill(order_id, 2))

    watch_until(world, 200)

    assert world.held[CALL] == 0
    assert world.submitted == []
    assert read_fence(world.folder).is_flat


def test_an_exit_that_rests_is_taken_back_first(world):
    """A resting sell holds the quantity; the sale comes after its end."""
    order_id = world.engine_sent("x1", 2)
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert world.orders[order_id].status == "canceled"
    assert world.submitted == [SELL]
    assert (world.held[CALL], world.lowest) == (0, 0)


@pytest.mark.parametrize("filled", [1, 2])
def test_an_exit_that_fills_while_it_is_taken_back_is_counted(world, filled):
    """What it sold is not sold again."""
    order_id = world.engine_sent("x1", 2)
    world.fills_on_cancel[order_id] = filled
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert (world.held[CALL], world.lowest) == (0, 0)
    assert [sale.quantity for sale in read_fence(world.folder).sales] == [2 - filled] * (filled < 2)


def test_an_entry_that_works_is_taken_back_and_what_it_bought_sold(tmp_path):
    """Nothing is held yet: an order that may still buy is at stake too."""
    world = World(tmp_path / "run")
    world.begin()
    order_id = world.engine_sent("e1", 3, side="buy")
    world.fills_on_cancel[order_id] = 2
    world.at(20, world.become("stopped"))

    watch_until(world, 200)

    assert world.orders[order_id].is_ended
    assert world.held[CALL] == 0
    assert [sale.filled for sale in read_fence(world.folder).sales] == [2]


def test_a_sale_that_fills_in_part_is_taken_back_and_the_rest_sold(world):
    """Each try has an id of its own, and the second asks for what is left alone."""
    world.fills_at_once = lambda _: 1
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    sales = read_fence(world.folder).sales
    assert [(sale.order_id[-2:], sale.quantity, sale.filled) for sale in sales] == [("g1", 2, 1), ("g2", 1, 1)]
    assert (world.held[CALL], world.lowest) == (0, 0)


def test_the_first_sale_goes_through_the_bid_and_the_next_asks_for_any_price(world):
    """On the coarser price grid, which every class of contracts takes."""
    world.fills_at_once = lambda order: 0 if order.order_id == SELL else order.quantity
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert [sale.limit_e4 for sale in read_fence(world.folder).sales] == [11_000, 0]


def test_a_sale_is_not_repeated_because_the_position_lags(world):
    """The broker's orders know of the sale before its positions do."""
    world.position_lag_s = 1.8
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert (world.held[CALL], world.lowest) == (0, 0)
    assert world.submitted == [SELL]


def test_a_sale_whose_answer_is_lost_is_looked_up(world):
    """It was accepted and filled; no second one follows."""
    world.lost.add(SELL)
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert world.submitted == [SELL]
    assert (world.held[CALL], world.lowest) == (0, 0)


def test_a_sale_the_broker_refuses_is_tried_again(world):
    """With another id and at another price; why it was refused is said and written down."""
    world.refused[SELL] = "price out of bounds"
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    sales = read_fence(world.folder).sales
    assert [sale.reason for sale in sales] == ["price out of bounds", ""]
    assert any("price out of bounds" in words for words in world.said)
    assert world.held[CALL] == 0


def test_a_silent_broker_is_asked_on_and_the_engine_let_live(world):
    """Ending a process helps nobody while nothing can be sold; what the journal says is said."""
    world.silent_until_s = 400
    world.at(100, world.become("stopped"))
    world.at(300, world.become("awake"))

    watch_until(world, 600)

    assert world.engine == "awake"
    assert world.held[CALL] == 2
    assert any(f"held by the journal: 2 {CALL}" in words for words in world.said)


def test_a_broker_that_answers_again_is_sold_to(world):
    """The engine is still gone when it does."""
    world.silent_until_s = 400
    world.at(100, world.become("dead"))

    watch_until(world, 450)

    assert world.held[CALL] == 0
    assert world.submitted == [SELL]


def test_contracts_of_nobody_here_are_left_alone(world):
    """What this run never ordered is somebody else's."""
    world.held["TSLA261120P00390000"] = 5
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert world.held == {CALL: 0, "TSLA261120P00390000": 5}


def test_of_a_shared_contract_only_our_part_is_sold(world):
    """Five of the same contract were bought by hand, and the run was told to ignore them."""
    world.held[CALL] += 5
    world.fills_at_once = lambda _: 1
    world.at(100, world.become("stopped"))

    watch_until(world, 200, replace(RULES, is_shared=True))

    assert world.held[CALL] == 5


def test_what_cannot_be_sold_is_not_to_be_exercised(world):
    """Nobody buys; ten minutes before the close the broker is told, once; at the close the alarm says what is held."""
    world.fills_at_once = lambda _: 0
    world.at(100, world.become("stopped"))

    end = watch(world)

    fence = read_fence(world.folder)
    assert world.not_exercised == [CALL]
    assert fence.not_exercised == (CALL,)
    assert (fence.is_flat, fence.held, end.held) == (False, {CALL: 2}, {CALL: 2})
    assert any("NOT flat" in words for words in world.said)
    assert world.lowest == 0


def test_a_contract_of_a_later_day_is_not_spoken_of(tmp_path):
    """It cannot be exercised tonight; it is offered until the close all the same."""
    world = World(tmp_path / "run")
    world.begin()
    world.engine_bought(1, symbol="TSLA261123C00400000")
    world.fills_at_once = lambda _: 0
    world.at(100, world.become("stopped"))

    end = watch(world)

    assert world.not_exercised == []
    assert end.held == {"TSLA261123C00400000": 1}


def test_a_broker_that_does_not_promise_is_asked_again(world):
    """Every half minute of the last ten, and the alarm says what may become of it."""
    world.fills_at_once = lambda _: 0
    world.refuses_promises = True
    world.at(100, world.become("stopped"))

    watch(world)

    assert 15 <= len(world.not_exercised) <= 21
    assert any("may exercise it" in words for words in world.said)


def test_a_run_that_is_set_aside_is_left(world):
    """Another run of the day begins in its place, with a guard of its own."""
    world.at(100, lambda: setattr(world, "is_moved", True))

    end = watch(world)

    assert end.acted == 0
    assert read_fence(world.folder) is None


def test_an_engine_started_meanwhile_keeps_the_run(world):
    """The old process died, a new one has the lock and answers: the guard leaves it alone."""

    def restart():
        world.engine, world.holder = "another", "engine"

    world.at(100, world.become("dead"))
    world.at(105, restart)

    watch_until(world, 300)

    assert world.held[CALL] == 2
    assert world.submitted == []


def test_an_engine_that_stops_twice_is_taken_out_twice(world):
    """Ids go on where the first time ended, and the fence counts."""

    def restart():
        world.engine, world.holder = "awake", "engine"
        world.engine_sent("e2", 1, side="buy", filled=1)

    world.at(100, world.become("stopped"))
    world.at(200, restart)
    world.at(300, world.become("stopped"))

    first = watch(world)
    world.pass_until(201)
    watch_until(world, 400)

    assert first.reason == "the engine is gone and nothing is held"

    fence = read_fence(world.folder)
    assert (fence.number, [sale.order_id[-2:] for sale in fence.sales]) == (2, ["g1", "g2"])
    assert (world.held[CALL], world.lowest) == (0, 0)


@pytest.mark.parametrize("rests", [False, True])
def test_a_guard_that_dies_in_the_middle_is_gone_on_from(tmp_path, rests):
    """At each of its calls in turn: the next guard ends flat, and together they sell what was held."""
    deaths = 0
    for dies_at in range(1, 400):
        world = World(tmp_path / f"run{dies_at}", dies_at=dies_at)
        world.begin()
        world.engine_bought(2)
        world.engine_sent("x1", 2)
        world.fills_at_once = lambda order: 1 if rests else order.quantity
        world.at(3, world.become("stopped"))
        world.at(60, lambda world=world: setattr(world, "has_ended_in_order", True))
        try:
            end = watch(world)
        except Died:
            deaths += 1
            end = watch(world)
        assert end.held == {}
        assert (world.held[CALL], world.lowest) == (0, 0)
        assert world.both == []
        assert sum(sale.filled for sale in read_fence(world.folder).sales) <= 2
        if world.calls < dies_at:
            break
    print(f"{deaths} deaths of the guard, at each call in turn")
    assert deaths > 15
    assert world.calls < dies_at


def test_a_torn_line_that_is_cut_off_loses_no_later_one(tmp_path):
    """An engine dies amid a line; the next one cuts it off and writes on. Nothing torn was ever sent."""
    world = World(tmp_path / "run")
    world.begin()
    path = world.folder / "decisions.jsonl"
    whole = path.read_bytes()
    book = JournalBook(world.folder)
    path.write_bytes(whole + b'{"kind":"order","order_id":"scalp')
    book.read()

    path.write_bytes(whole)
    world.engine_bought(2)
    book.read()

    assert (book.held, book.damaged) == ({CALL: 2}, 0)


def test_what_the_journal_adopted_is_believed(tmp_path):
    """The broker's word about a contract is one position, whoever's orders it came from."""
    world = World(tmp_path / "run")
    world.begin()
    world.engine_bought(2)
    told = {"kind": "reconcile", "symbol": CALL, "held": 2, "action": "adopt", "applied": True}
    world.journal(told | {"broker": 5}, told | {"broker": 9, "applied": False})
    book = JournalBook(world.folder)
    book.read()
    adopted = book.held

    world.journal({"kind": "trade", "signal": 0})
    book.read()

    assert (adopted, book.held) == ({CALL: 5}, {})


def test_a_process_that_cannot_be_ended_keeps_the_guard_from_selling(world):
    """Another user's, or one that hangs in the system: it may still sell."""
    world.at(100, world.become("stopped"))
    world.kill = lambda _: None

    watch_until(world, 300)

    assert world.submitted == []
    assert sum("still there" in words for words in world.said) < 10


def test_an_unreadable_fence_stops_the_guard(world):
    """Nobody knows what was sold: it says so instead of selling again."""
    (world.folder / "fence.json").write_text('{"version": 1')

    with pytest.raises(DataError, match="fence cannot be read"):
        watch(world)

    assert world.submitted == []


def test_times_of_the_fence_are_the_markets(world):
    """What is written down can be held against the tape."""
    world.at(100, world.become("stopped"))

    watch_until(world, 200)

    assert OPEN_NS < read_fence(world.folder).at_ns < read_fence(world.folder).ended_ns < CLOSE_NS


def test_the_fence_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """Its bytes are synced, then renamed into place, then the folder is synced: a crash leaves old words or new."""
    steps = []
    monkeypatch.setattr("os.fsync", lambda descriptor: steps.append(Path(f"/proc/self/fd/{descriptor}").is_dir()))
    monkeypatch.setattr("pathlib.Path.replace", lambda *_: steps.append("named"))

    write_fence(tmp_path, Fence(1, Phase.FENCING, "it did not answer", OPEN_NS))

    assert steps == [False, "named", True]
