"""The broker holds something else than we believe, nothing is seen, or the close is near with something held."""

from __future__ import annotations

from typing import Any

import pytest

from scalpcli.model.order import DoNotExercise
from tests.scenario.restart import restarted
from tests.scenario.world import TO_THE_CLOSE, Contract, Script, market, perform

LIVE: dict[str, Any] = {"mode": "paper", "scalp": {"enabled": True}}
HELD = [
    "10:30:10.000 live begins: test",
    "10:31:00.000 trigger momentum_burst call",
    "10:31:00.000 signal call C400 x10 at 1.40",
    "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
    "10:31:00.500 fill 0e1 10 at 1.41 of :00.500, 10 held",
]


def held() -> Script:
    """Ten are held."""
    return market().live("10:30:10").says("10:31:00.5", "fill", "0e1", 10, 1.41)


def test_what_somebody_else_sold_is_booked_and_the_scalp_is_over():
    """By hand, by the broker or by the guard: at the price that is known."""
    told = restarted(held().compared("10:31:05", "adopt", 10, 0, 1.30), "10:31:10", **LIVE).told

    assert told == [
        *HELD,
        "10:31:05.000 reconcile adopt C400: 0 against 10",
        "10:31:05.000 exit EXTERNAL: 0 against 10, bid 1.36",
        "10:31:05.000 trade 10 C400 EXTERNAL -110.00",
    ]


def test_what_somebody_else_sold_at_a_price_nobody_knows_counts_at_the_bid():
    """The nearest there is."""
    told = perform(held().compared("10:31:05", "adopt", 10, 0), **LIVE).told

    assert told[-1] == "10:31:05.000 trade 10 C400 EXTERNAL -50.00"


def test_what_is_left_of_a_position_that_somebody_sold_from_is_sold_too():
    """Seven are left: whoever else trades here, we are out."""
    script = held().compared("10:31:05", "adopt", 10, 7, 1.30).says("10:31:06", "fill", "0x1", 7, 1.36)

    told = restarted(script, "10:31:05.5", **LIVE).told

    assert told == [
        *HELD,
        "10:31:05.000 reconcile adopt C400: 7 against 10",
        "10:31:05.000 exit EXTERNAL: 7 against 10, bid 1.36",
        "10:31:05.000 order 0x1 sell 7 C400 at 1.36 (EXTERNAL)",
        "10:31:06.000 fill 0x1 7 at 1.36 of :06.000, 0 held",
        "10:31:06.000 trade 10 C400 EXTERNAL -68.00",
    ]


def test_an_exit_that_works_is_taken_back_when_somebody_else_sold():
    """The scalp is over when the end of its order is known, not before: it may still sell."""
    script = held().operator("10:31:04", "flatten").compared("10:31:04.5", "adopt", 10, 0, 1.30)
    script.says("10:31:05", "cancelled", "0x1")

    told = restarted(script, "10:31:04.7", **LIVE).told

    assert told == [
        *HELD,
        "10:31:04.000 operator flatten",
        "10:31:04.000 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:04.000 order 0x1 sell 10 C400 at 1.36 (OPERATOR)",
        "10:31:04.500 reconcile adopt C400: 0 against 10",
        "10:31:04.500 cancel 0x1: works for more than is held",
        "10:31:05.000 cancelled 0x1: ",
        "10:31:05.000 trade 10 C400 OPERATOR -110.00",
    ]


def test_what_the_broker_holds_beyond_our_own_is_ours_and_sold_at_once():
    """A fill that was never told: three more than the ten we know of."""
    script = held().compared("10:31:05", "adopt", 10, 13, 1.42).says("10:31:06", "fill", "0x1", 13, 1.36)

    told = restarted(script, "10:31:05.5", **LIVE).told

    assert told == [
        *HELD,
        "10:31:05.000 reconcile adopt C400: 13 against 10",
        "10:31:05.000 exit ADOPTED: 13 against 10, bid 1.36",
        "10:31:05.000 order 0x1 sell 13 C400 at 1.36 (ADOPTED)",
        "10:31:06.000 fill 0x1 13 at 1.36 of :06.000, 0 held",
        "10:31:06.000 trade 13 C400 ADOPTED -68.00",
    ]


def test_what_the_broker_holds_of_a_scalp_that_was_given_up_is_sold_at_once():
    """Rejected as far as we knew; two are in the account."""
    script = market().live("10:30:10").says("10:31:00.4", "rejected", "0e1", reason="no")
    script.compared("10:31:05", "adopt", 0, 2).says("10:31:06", "fill", "0x1", 2, 1.36)

    told = restarted(script, "10:31:05.5", **LIVE).told

    assert told[4:] == [
        "10:31:00.400 rejected 0e1: no",
        "10:31:00.400 unfilled call: no",
        "10:31:05.000 reconcile adopt C400: 2 against 0",
        "10:31:05.000 exit ADOPTED: 2 against 0, bid 1.36",
        "10:31:05.000 order 0x1 sell 2 C400 at 1.36 (ADOPTED)",
        "10:31:06.000 fill 0x1 2 at 1.36 of :06.000, 0 held",
        "10:31:06.000 trade 2 C400 ADOPTED -8.00",
    ]


def test_a_comparison_that_is_out_of_date_changes_nothing():
    """It compared five; ten are held by now."""
    told = perform(held().compared("10:31:05", "adopt", 5, 5), **LIVE).told

    assert told == [*HELD, "10:31:05.000 reconcile adopt C400: 5 against 5, not applied"]


def test_a_contract_we_never_bought_is_not_touched_but_ends_entries():
    """It is somebody's: nothing of it is sold."""
    told = restarted(market().live("10:30:10").compared("10:30:20", "adopt", 0, 3), "10:30:30", **LIVE).told

    assert told == [
        "10:30:10.000 live begins: test",
        "10:30:20.000 reconcile adopt C400: 3 against 0, not applied",
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call reconcile: 3 against 0 (test)",
        "10:31:00.000 missed momentum_burst call after 1 offers: reconcile",
    ]


def test_an_account_that_is_short_ends_entries_and_calls_somebody():
    """Sold twice, by us and somebody else: nothing we can do but not go on."""
    script = held().compared("10:31:05", "adopt", 10, -10, 1.36)

    told = restarted(script, "10:31:10", **LIVE).told

    assert told[5:] == [
        "10:31:05.000 reconcile adopt C400: -10 against 10",
        "10:31:05.000 alarm C400: the account is short: -10 against 0",
        "10:31:05.000 exit EXTERNAL: -10 against 10, bid 1.36",
        "10:31:05.000 trade 10 C400 EXTERNAL -50.00",
    ]


@pytest.mark.parametrize("end", ["clear", "arm"])
def test_a_difference_ends_entries_until_it_is_gone_or_somebody_has_looked(end: str):
    """The burst at 10:31:00 is refused, the one at 10:32:05 is not."""
    script = market(jumps={"10:31:00": 1.0, "10:32:05": -1.5}).live("10:30:10").compared("10:30:30", "stop", 0, 3)
    if end == "clear":
        script.compared("10:31:30", "clear", 0, 0)
    else:
        script.operator("10:31:30", "arm")

    played = restarted(script, "10:31:10", until="10:32:05.5", **LIVE)

    assert [each["gate"] for each in played.of("refusal")] == ["reconcile"]
    assert len(played.of("signal")) == 1


@pytest.mark.parametrize(("on_stall", "reasons"), [("flatten", ["GAP"]), ("hold", [])])
def test_a_blind_feed_does_what_on_stall_says(on_stall: str, reasons: list[str]):
    """Not what replays are told: `replay.gaps` is the other choice here, and decides nothing."""
    script = held().gap("10:31:05", "10:31:06")
    gaps = "ignore" if on_stall == "flatten" else "fail"

    played = restarted(script, "10:31:05.5", live={"on_stall": on_stall}, replay={"gaps": gaps}, **LIVE)

    assert [each["reason"] for each in played.of("exit")] == reasons


def test_what_is_still_held_near_the_close_is_not_exercised_and_somebody_is_called():
    """The exit finds no bid; once, half a minute before the close, whoever reads the alarm is told in time."""
    script = held().option("C400", "10:31:30", 0.0, 1.40)

    played = restarted(script, "10:39:32", until="10:39:35", exits={"last_rung_before_close_minutes": 0.5}, **LIVE)

    assert [line for line in played.told if line >= "10:31:30" and "0x" not in line] == [
        "10:31:30.000 stop begins at bid 0.00, -100.0%",
        "10:31:30.300 exit STOP_LOSS: -100 against -15, bid 0.00",
        "10:39:30.000 do_not_exercise C400 x10",
        "10:39:30.000 alarm C400: still held near the close on its last day: 10 against 0",
    ]
    assert played.sent.count(DoNotExercise("TSLA261120C00400000")) == 1


def test_a_contract_of_another_day_may_be_held_at_the_close():
    """Nobody exercises it tonight."""
    script = market(Contract("C400", 0.35, dte=3)).live("10:30:10").says("10:31:00.5", "fill", "0e1", 10, 1.41)
    settings = LIVE | {"selection": {"max_dte": 3}, "exits": {"last_rung_before_close_minutes": 0.5}}

    played = perform(script, until="10:39:35", **settings)

    assert (len(played.of("fill")), played.of("do_not_exercise")) == (1, [])


def test_in_a_replay_the_last_rung_is_a_decision_without_effect():
    """Exercise does not exist there: the journal says what would have been asked for, and the contracts expire."""
    script = market().option("C400", "10:35:50", 0.0, 1.40)

    played = perform(script, until=TO_THE_CLOSE, exits={"last_rung_before_close_minutes": 0.5})

    assert [line for line in played.told if line >= "10:39:30" and "0x" not in line][:2] == [
        "10:39:30.000 do_not_exercise C400 x10",
        "10:39:30.000 alarm C400: still held near the close on its last day: 10 against 0",
    ]
    assert [each["reason"] for each in played.of("exit")] == ["STOP_LOSS", "EXPIRED"]


def test_the_last_rung_leaves_at_least_half_of_the_flatten_time_for_selling():
    """Ten minutes are wished for, a minute before the close is the flatten time: half a minute it is."""
    script = market().option("C400", "10:35:50", 0.0, 1.40)

    played = perform(script, until="10:39:35", exits={"last_rung_before_close_minutes": 10.0})

    told = [line for line in played.told if "do_not_exercise" in line]
    assert told == ["10:39:30.000 do_not_exercise C400 x10"]
