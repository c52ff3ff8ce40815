"""Gaps, halts and the operator's hand: what happens to a position and to an entry that still works."""

from __future__ import annotations

import pytest

from scalpcli.errors import DataError
from scalpcli.model import row
from tests.scenario.world import AT_ONCE, BOUGHT, BOUGHT_AT_ONCE, TO_THE_CLOSE, Script, market, perform


def unfilled() -> Script:
    """An entry at 1.42 that works while 1.50 is asked."""
    return market().option("C400", "10:31:00.1", 1.46, 1.50)


def test_a_gap_sells_what_is_held():
    """`gaps = "flatten"`: blind means out; the order fills when the market is seen again."""
    script = market().gap("10:31:10", "10:31:12").option("C400", "10:31:12.1", 1.35, 1.39)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 gap begins option_quotes",
        "10:31:10.000 exit GAP: 0 against 0, bid 1.36",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.36 (GAP)",
        "10:31:10.000 accepted 0x1",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.000 cancelled 0x1: taken back",
        "10:31:11.000 order 0x2 sell 10 C400 at 1.36 (GAP)",
        "10:31:11.000 accepted 0x2",
        "10:31:12.000 gap ends option_quotes",
        "10:31:12.000 cancel 0x2: reprice",
        "10:31:12.000 cancelled 0x2: taken back",
        "10:31:12.000 order 0x3 sell 10 C400 at 1.36 (GAP)",
        "10:31:12.000 accepted 0x3",
        "10:31:13.000 cancel 0x3: reprice",
        "10:31:13.000 cancelled 0x3: taken back",
        "10:31:13.000 order 0x4 sell 10 C400 at 1.35 (GAP)",
        "10:31:13.000 accepted 0x4",
        "10:31:13.000 fill 0x4 10 at 1.35 of :13.000, 0 held",
        "10:31:13.000 trade 10 C400 GAP -50.00",
    ]


def test_a_gap_may_be_ignored():
    """`gaps = "ignore"`: the position is held through it."""
    script = market().gap("10:31:10", "10:31:12").option("C400", "10:31:12.1", 1.35, 1.39)

    told = script.play(replay={"gaps": "ignore"}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 gap begins option_quotes",
        "10:31:12.000 gap ends option_quotes",
    ]


def test_a_gap_may_stop_the_replay():
    """`gaps = "fail"`: the message names the channels, the time and the other choices."""
    script = market().gap("10:31:10", channels=row.CHANNEL_OPTION_QUOTES | row.CHANNEL_STOCK_TRADES)

    with pytest.raises(DataError) as caught:
        script.play(replay={"gaps": "fail"})

    assert "a gap on stock_trades, option_quotes" in caught.value.found
    assert "--gaps flatten" in caught.value.hint


def test_a_gap_learned_of_afterwards_sells_nothing():
    """It is over: what is held is seen again."""
    script = market().gap_learned("10:31:10")

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 gap learned option_quotes",
    ]


def test_an_entry_in_a_gap_is_called_off_and_not_tried_again():
    """Two tries are left, but the market is not seen."""
    script = unfilled().gap("10:31:00.5")

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.500 gap begins option_quotes",
        "10:31:00.500 cancel 0e1: blind on option_quotes",
        "10:31:00.800 cancelled 0e1: taken back",
        "10:31:00.800 unfilled call: blind on option_quotes",
    ]


def test_a_kill_calls_an_entry_off_for_good():
    """The order is taken back; no other try follows and no other signal."""
    script = unfilled().operator("10:31:00.5", "kill")

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.500 operator kill",
        "10:31:00.500 cancel 0e1: operator: kill",
        "10:31:00.800 cancelled 0e1: taken back",
        "10:31:00.800 unfilled call: operator: kill",
    ]


def test_an_entry_that_fills_after_a_kill_is_sold_at_once():
    """The ask comes down while the cancel is on its way: what was bought against the wish is left for it."""
    script = unfilled().operator("10:31:00.5", "kill").option("C400", "10:31:00.6", 1.38, 1.42)

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.500 operator kill",
        "10:31:00.500 cancel 0e1: operator: kill",
        "10:31:00.650 fill 0e1 10 at 1.42 of :00.600, 10 held",
        "10:31:00.650 exit OPERATOR: 0 against 0, bid 1.38",
        "10:31:00.650 order 0x1 sell 10 C400 at 1.38 (OPERATOR)",
        "10:31:00.950 accepted 0x1",
        "10:31:00.950 fill 0x1 10 at 1.38 of :00.900, 0 held",
        "10:31:00.950 trade 10 C400 OPERATOR -40.00",
    ]


def test_a_part_that_fills_after_a_kill_is_sold_when_the_rest_is_back():
    """Four fill in the race; they are sold once the cancel of the other six has ended."""
    script = unfilled().operator("10:31:00.5", "kill").option("C400", "10:31:00.6", 1.38, 1.42, (50, 4))

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.500 operator kill",
        "10:31:00.500 cancel 0e1: operator: kill",
        "10:31:00.650 fill 0e1 4 at 1.42 of :00.600, 4 held",
        "10:31:00.650 exit OPERATOR: 0 against 0, bid 1.38",
        "10:31:00.800 cancelled 0e1 with 4 filled: taken back",
        "10:31:00.800 order 0x1 sell 4 C400 at 1.38 (OPERATOR)",
        "10:31:01.100 accepted 0x1",
        "10:31:01.100 fill 0x1 4 at 1.38 of :01.050, 0 held",
        "10:31:01.100 trade 4 C400 OPERATOR -16.00",
    ]


def test_an_entry_being_repriced_is_called_off_by_a_kill():
    """The cancel that was on its way for a re-pricing now ends the entry."""
    script = unfilled().operator("10:31:01.1", "kill")

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.100 operator kill",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 unfilled call: operator: kill",
    ]


def test_a_kill_sells_what_is_held_and_refuses_what_comes():
    """It lasts until the operator arms the engine again."""
    script = market(jumps={"10:31:00": 1.0, "10:32:30": 1.0}).operator("10:31:10", "kill")

    told = script.play(until="10:32:35", **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 operator kill",
        "10:31:10.000 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.36 (OPERATOR)",
        "10:31:10.000 accepted 0x1",
        "10:31:10.000 fill 0x1 10 at 1.36 of :10.000, 0 held",
        "10:31:10.000 trade 10 C400 OPERATOR -40.00",
        "10:32:30.000 trigger momentum_burst call",
        "10:32:30.000 refusal call kill: 1 against 0 (killed)",
        "10:32:30.000 missed momentum_burst call after 1 offers: kill",
    ]


def test_flatten_sells_what_is_held_and_refuses_nothing():
    """A minute later the next burst is bought."""
    script = market(jumps={"10:31:00": 1.0, "10:32:30": 1.0}).operator("10:31:10", "flatten")

    told = script.play(until="10:32:35", scalp={"cooldown_after_loss_minutes": 0.0}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 operator flatten",
        "10:31:10.000 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.36 (OPERATOR)",
        "10:31:10.000 accepted 0x1",
        "10:31:10.000 fill 0x1 10 at 1.36 of :10.000, 0 held",
        "10:31:10.000 trade 10 C400 OPERATOR -40.00",
        "10:32:30.000 trigger momentum_burst call",
        "10:32:30.000 signal call C400 x10 at 1.40",
        "10:32:30.000 order 1e1 buy 10 C400 at 1.42 (signal)",
        "10:32:30.000 accepted 1e1",
        "10:32:30.000 fill 1e1 10 at 1.40 of :30.000, 10 held",
    ]


def test_stop_keeps_what_is_held_and_refuses_what_comes():
    """The position is left by its own rules; the next burst is not bought."""
    script = market(jumps={"10:31:00": 1.0, "10:32:30": 1.0}).operator("10:31:10", "stop")

    told = script.play(until="10:32:35", scalp={"max_hold_minutes": 0.5}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 operator stop",
        "10:31:30.000 exit TIME_EXIT: 30 against 30, bid 1.36",
        "10:31:30.000 order 0x1 sell 10 C400 at 1.36 (TIME_EXIT)",
        "10:31:30.000 accepted 0x1",
        "10:31:30.000 fill 0x1 10 at 1.36 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 TIME_EXIT -40.00",
        "10:32:30.000 trigger momentum_burst call",
        "10:32:30.000 refusal call kill: 1 against 0 (stopped by the operator)",
        "10:32:30.000 missed momentum_burst call after 1 offers: kill",
    ]


def test_arm_ends_a_stop():
    """After it the next burst is bought."""
    script = market().operator("10:30:10", "stop").operator("10:30:40", "arm")

    told = script.play(until="10:31:05", **AT_ONCE)

    assert told == ["10:30:10.000 operator stop", "10:30:40.000 operator arm", *BOUGHT_AT_ONCE]


def test_an_entry_that_works_at_the_flatten_time_is_called_off():
    """Signalled a second before it; the order is taken back at 10:39:00 and not sent again."""
    script = market(jumps={"10:38:59": 1.0}).option("C400", "10:38:59.1", 1.46, 1.50)
    settings = {"gates": {"last_entry_before_close_minutes": 1.0}, "risk": {"reprice_after_ms": 5000}}

    told = script.play(until=TO_THE_CLOSE, **settings)

    assert told == [
        "10:38:59.000 trigger momentum_burst call",
        "10:38:59.000 signal call C400 x10 at 1.40",
        "10:38:59.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:38:59.300 accepted 0e1",
        "10:39:00.000 cancel 0e1: flatten time",
        "10:39:00.300 cancelled 0e1: taken back",
        "10:39:00.300 unfilled call: flatten time",
    ]


def test_an_entry_whose_cancel_ends_after_the_flatten_time_is_not_sent_again():
    """Taken back for a re-pricing at 10:38:59.4; flat from 59.5 on; the cancel ends at 59.7, before an instant."""
    script = market(jumps={"10:38:58": 1.0}).option("C400", "10:38:58.1", 1.46, 1.50)
    settings = {
        "exits": {"flatten_before_close_minutes": 60.5 / 60},
        "gates": {"last_entry_before_close_minutes": 1.0},
        "risk": {"reprice_after_ms": 1400},
    }

    told = script.play(until=TO_THE_CLOSE, **settings)

    assert told == [
        "10:38:58.000 trigger momentum_burst call",
        "10:38:58.000 signal call C400 x10 at 1.40",
        "10:38:58.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:38:58.300 accepted 0e1",
        "10:38:59.400 cancel 0e1: reprice",
        "10:38:59.700 cancelled 0e1: taken back",
        "10:38:59.700 unfilled call: flatten time",
    ]


def test_a_status_that_is_no_halt_says_nothing():
    """Other status rows of a feed are neither a beginning nor an end."""
    script = market()
    script._add("10:30:30", row.STATUS, flags=0)

    told = script.play(until="10:31:05")

    assert told == BOUGHT


def test_a_position_is_held_through_a_halt():
    """Nothing trades, so nothing can be sold: exits go on by their rules."""
    script = market().halt("10:31:10", "10:31:20").option("C400", "10:31:20.1", 1.82, 1.86)

    played = perform(script, **AT_ONCE)

    assert played.told[5:] == [
        "10:31:10.000 halt begins TSLA",
        "10:31:20.000 halt ends TSLA",
        "10:31:20.100 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:20.100 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:20.100 accepted 0x1",
        "10:31:20.100 fill 0x1 10 at 1.82 of :20.100, 0 held",
        "10:31:20.100 trade 10 C400 TAKE_PROFIT +420.00",
    ]


def test_a_cold_row_without_its_note_stops_the_replay():
    """The tape is damaged; the message says where and what to run."""
    script = market()
    script.notes.clear()

    with pytest.raises(DataError) as caught:
        script.play()

    assert caught.value.found == "the tape has more cold rows than notes"
    assert "tape verify" in caught.value.hint
