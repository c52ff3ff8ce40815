"""The live loop on the example tape in virtual time: what is decided, sent, told and written."""

from __future__ import annotations

import dataclasses
import json

import pytest

from scalpcli.errors import DataError
from scalpcli.model.broker import BrokerFill
from scalpcli.model.params import Params
from tests.unit.runtime.live_bench import Bench, FakeDesk, S, market, params

FIRST_SCALP = {"start_minute": 12.0, "minutes": 16.0}
"""The minutes of the example tape in which the first scalp is made."""


@pytest.fixture
def world():
    """Makes worlds around the first scalp of the example tape."""
    made: list[Bench] = []

    def make(settings: Params | None = None) -> Bench:
        made.append(Bench(settings, **FIRST_SCALP))
        return made[-1]

    yield make
    for each in made:
        each.loop.bury()


@pytest.fixture
def bench(world):
    """A world with the settings that trade often."""
    return world()


def is_open(bench: Bench) -> bool:
    """Whether a position is open and nothing works."""
    return bool(bench.trader.live.held()) and not bench.trader.tracker.working


def held(bench: Bench) -> bool:
    return any(bench.broker.held.values())


def test_a_session_is_traded_and_its_rows_decide_the_same_again(bench):
    """Every order the journal names was sent once, the end is flat, and folding the tape gives the same bytes."""
    bench.start()
    bench.play()

    orders = [each["order_id"] for each in bench.decisions("order")]
    assert len(bench.decisions("trade")) == 1
    assert bench.broker.posts == orders
    assert bench.end.is_flat
    assert not held(bench)
    assert bench.disk.journal == b"".join(bench.refold())


def test_no_entry_is_made_before_the_broker_was_compared(bench):
    """A silent broker says nothing, least of all that all is well."""
    bench.broker.is_silent = True

    bench.start()
    bench.play()

    assert bench.broker.posts == []
    assert {each["gate"] for each in bench.decisions("refusal")} == {"not_live"}


def test_an_account_that_may_not_trade_makes_no_entry(bench):
    """Status, block, options level and buying power are looked at before entries begin."""
    bench.broker.account_status = "ACCOUNT_CLOSED"

    bench.start()
    bench.play()

    assert bench.broker.posts == []
    assert "no entries: the account is `ACCOUNT_CLOSED`, not `ACTIVE`" in bench.said


def test_an_account_that_is_blocked_in_the_middle_ends_entries(world):
    """It is looked at again while all is calm; what is held would be sold all the same."""
    bench = world(params(reconcile_s=5.0))
    bench.start()
    bench.play(lambda: bench.trader.permission.is_begun)
    bench.broker.account_status = "ACCOUNT_CLOSED"

    bench.play()

    assert bench.broker.posts == []
    assert [each["phase"] for each in bench.decisions("live")] == ["begins", "pauses"]


def test_positions_that_are_not_ours_are_refused(bench):
    """Whoever trades beside us must say so with `--foreign ignore`."""
    bench.broker.held["AAPL"] = 100

    bench.start()
    bench.play()

    assert bench.end.ended == "failed"
    assert bench.end.failure == "the account holds what is not ours: 100 x AAPL"


def test_positions_that_are_not_ours_end_no_run_that_goes_on(bench):
    """A process that goes on has a position of its own to look after: it makes no entries, and sells in time."""
    bench.start()
    bench.play(lambda: is_open(bench))
    bench.process.kill()
    bench.broker.held["AAPL"] = 100
    bench.start()

    bench.play()

    assert bench.end.ended == "until"
    assert [held for symbol, held in bench.broker.held.items() if symbol != "AAPL"] == [0]
    assert "no entries: the account holds what is not ours: 100 x AAPL" in bench.said


def test_positions_that_are_not_ours_are_left_alone_where_asked(world):
    """They are no difference, then as later."""
    bench = world(params(foreign="ignore"))
    bench.broker.held["AAPL"] = 100

    bench.start()
    bench.play()

    assert len(bench.decisions("trade")) == 1
    assert bench.broker.held["AAPL"] == 100
    assert bench.decisions("reconcile") == []


def test_an_entry_is_not_sent_late(world):
    """The market has moved on: it ends as rejected, and the row says why."""
    bench = world(params(late_entry_ms_max=1))
    bench.start()
    # The disk is busy for a moment, as it is when a segment is synced.
    bench.rows.written_waits = 100_000

    bench.play()

    assert bench.broker.posts == []
    assert all("above the limit: 1" in each["reason"] for each in bench.decisions("rejected"))


def test_an_order_whose_answer_is_lost_is_looked_up_and_never_doubled(bench):
    """It counts as working until the look-up tells; then everything goes its way."""
    bench.broker.loses_answers = 1

    bench.start()
    bench.play()

    assert len(bench.decisions("trade")) == 1
    assert len(bench.broker.posts) == len(set(bench.broker.posts))
    assert bench.end.is_flat


def test_an_order_that_never_arrived_is_given_up(bench):
    """The broker says twice, a while apart, that it knows no such order."""
    bench.broker.loses_orders = 1

    bench.start()
    bench.play()

    assert [each["reason"] for each in bench.decisions("rejected")] == ["the broker never had it"]
    assert bench.disk.journal == b"".join(bench.refold())


def test_kill_sells_what_is_held(bench):
    """The kill file is seen within half a second; entries end and the position is sold."""
    bench.start()
    bench.play(lambda: held(bench))
    began_s = bench.loop.time()
    bench.is_killed = True

    bench.play(lambda: not held(bench))

    assert bench.loop.time() - began_s < 2.0
    assert [each["command"] for each in bench.decisions("operator")] == ["kill"]


def test_an_end_sells_what_is_held(bench):
    """SIGTERM while a position is open: entries stop, it is sold, and a later process may go on."""
    bench.start()
    bench.play(lambda: held(bench))

    bench.do(lambda: bench.trader.end("terminated"))
    bench.play()

    assert (bench.end.ended, bench.end.is_flat) == ("terminated", True)
    assert not held(bench)
    assert bench.trader.finished_ns == 0
    assert bench.decisions("session_end") == []


def test_what_is_sold_by_hand_is_adopted(bench):
    """Two looks show the same and nothing of ours was on its way: it is gone, at the price it got."""
    bench.start()
    bench.play(lambda: is_open(bench))
    (symbol, quantity) = next(iter(bench.broker.held.items()))
    bench.broker.held[symbol] = 0
    bench.broker.fills.append(
        BrokerFill("hand", "", "b-hand", symbol, "sell", quantity, 20_100, quantity, bench.clock.now_ns())
    )

    bench.play()

    assert [(each["action"], each["broker"], each["price_e4"]) for each in bench.decisions("reconcile")] == [
        ("adopt", 0, 20_100)
    ]
    assert bench.broker.lowest == 0
    assert bench.end.is_flat


def test_what_is_bought_by_hand_ends_entries_and_is_not_sold(bench):
    """More than we believe is not ours to sell; when it is gone the difference is cleared."""
    bench.start()
    bench.play(lambda: bench.trader.permission.is_begun)
    symbol = market().instruments[1].symbol
    bench.broker.held[symbol] = 2
    bench.play(lambda: bench.decisions("reconcile"))
    bench.broker.held[symbol] = 0

    bench.play()

    assert [each["action"] for each in bench.decisions("reconcile")] == ["stop", "clear"]


def test_a_sell_is_not_sent_for_what_the_broker_does_not_hold(bench):
    """The position is read again before each sell."""
    bench.start()
    bench.play(lambda: is_open(bench))
    for symbol in bench.broker.held:
        bench.broker.held[symbol] = 0
    posts = len(bench.broker.posts)

    bench.do(lambda: bench.trader.command("flatten", by="test"))
    bench.play()

    assert bench.broker.posts[posts:] == []
    assert bench.broker.lowest == 0


def test_orders_with_our_prefix_that_nobody_follows_are_taken_back(bench):
    """An order that a process sent and nobody knows of must not fill."""
    bench.start()
    bench.play(lambda: bench.broker.posts)
    known = bench.broker.orders[bench.broker.posts[0]].sent
    import copy

    stray = copy.copy(known)
    object.__setattr__(stray, "order_id", known.order_id[:-2] + "e9")
    object.__setattr__(stray, "limit_e4", 100)

    bench.broker.receive(stray)
    bench.play()

    assert bench.broker.orders[stray.order_id].status == "canceled"


def test_a_disk_that_refuses_sends_no_entry(bench):
    """No line on the disk, no order: the entry ends as rejected, and somebody is told."""
    bench.start()
    bench.play(lambda: bench.trader.permission.is_begun)
    bench.disk.refuses = True

    bench.play()

    assert bench.broker.posts == []
    assert any("no space left on device" in alarm["text"] for alarm in bench.trader.state()["alarms"])


def test_a_disk_that_refuses_lets_us_out(bench):
    """What is held is sold though its line cannot be written, and loudly."""
    bench.start()
    bench.play(lambda: is_open(bench))
    bench.disk.refuses = True

    bench.do(lambda: bench.trader.command("flatten", by="test"))
    bench.play(lambda: not held(bench))

    assert not held(bench)


def test_after_the_guard_acted_no_entry_is_made_until_armed(bench):
    """What the guard did is not undone by a start; `arm` is an operator's word."""
    bench.start()
    bench.play(lambda: bench.disk.journal)
    bench.do(bench.trader.abandon)
    bench.play()
    bench.end, bench.fenced_ns = None, bench.clock.now_ns()
    bench.start()
    bench.play(lambda: bench.trader.reconciler.compared_ns)
    assert not bench.trader.permission.is_begun

    bench.do(lambda: bench.trader.command("arm", by="test"))
    bench.play()

    assert len(bench.decisions("trade")) == 1


def test_shadow_decides_and_sends_nothing(world):
    """The simulated market answers, its answers are rows, and folding them again gives the same bytes."""
    bench = world()
    bench.mode = "shadow"

    bench.start()
    bench.play()

    assert bench.broker.posts == []
    assert bench.decisions("fill")
    assert bench.disk.journal == b"".join(bench.refold())


def test_a_journal_that_its_rows_do_not_decide_is_refused(bench):
    """Another version or other settings wrote it: nobody may trade on."""
    bench.disk.journal = b'{"n":0,"ts_ns":1,"kind":"session","mode":"live"}\n'

    bench.start()
    with pytest.raises(DataError) as error:
        bench.play()

    assert error.value.found.startswith("the run's rows decide something else than its journal says")


def test_the_state_is_plain_and_tells_what_is_held(bench):
    """Everything of the schema, as JSON takes it, with the position's bid, stop and target."""
    bench.start()
    bench.play(lambda: bool(bench.trader.live.held()))

    state = json.loads(json.dumps(bench.trader.state(), allow_nan=False))

    (position,) = state["positions"]
    assert position["stop_bid"] < position["average"] < position["target_bid"]
    assert state["phase"] == "trading"
    assert state["account"]["last4"] == "WXYZ"
    assert {each["what"] for each in state["next"]} >= {"last entry", "sell everything", "end of the run"}
    assert state["now_ns"] - bench.start_ns < 600 * S


def test_who_listens_hears_decisions_and_alarms_and_may_fail(bench):
    """Trading goes on whatever a listener does; one that left hears no more."""
    heard: list[str] = []

    def fail(_event):
        raise RuntimeError

    bench.start()
    bench.trader.listen(fail)
    leave = bench.trader.listen(lambda event: heard.append(event["kind"]))
    bench.play(lambda: held(bench))
    leave()
    count = len(heard)

    bench.play()

    assert {"live", "signal", "order"} <= set(heard)
    assert len(heard) == count


def test_a_protection_that_ended_the_day_is_told(world):
    """The exit code comes from it: the day's loss was reached, and everything was sold."""
    settings = params()
    settings = dataclasses.replace(settings, gates=dataclasses.replace(settings.gates, daily_loss_usd_max=1.0))
    bench = world(settings)

    bench.start()
    bench.play()

    assert bench.end.protection.startswith("daily_loss, ")
    assert bench.end.is_flat


def test_a_fault_of_ours_in_a_comparison_ends_no_run(bench, monkeypatch):
    """It is told, and counts as a broker that says nothing; what is held is sold in time."""
    bench.start()
    bench.play(lambda: is_open(bench))

    async def fail(_self):
        raise KeyError("qty")

    monkeypatch.setattr(FakeDesk, "positions", fail)
    bench.play()

    assert bench.end.ended == "until"
    assert not held(bench)
    assert "comparing with the broker failed (KeyError: 'qty')" in bench.said


def test_words_that_reach_nobody_end_no_run(bench):
    """A terminal may be closed while something is held."""

    def gone(_words):
        raise BrokenPipeError

    bench.start()
    bench.play(lambda: is_open(bench))
    bench.trader.news._say = gone

    bench.do(lambda: bench.trader.command("flatten", by="test"))
    bench.play()

    assert bench.end.is_flat


def test_an_end_with_an_order_that_may_fill_is_not_flat(bench):
    """Nobody can say that nothing is held while a buy works at a broker that does not answer: exit 8, not 0."""
    bench.broker.fills_entries = False
    bench.start()
    bench.play(lambda: bool(bench.trader.tracker.working))
    bench.broker.is_silent = True
    bench.do(lambda: bench.trader.end("terminated"))
    bench.play()

    assert not bench.end.is_flat
    assert bench.end.held == {}
