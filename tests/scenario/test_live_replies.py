"""What a true broker says comes as rows: fills in any order, outcomes nobody knows, refusals."""

from __future__ import annotations

from typing import Any

from tests.scenario.restart import restarted
from tests.scenario.world import Script, market, perform

LIVE: dict[str, Any] = {"mode": "paper", "scalp": {"enabled": True}}
BEGUN = [
    "10:30:10.000 live begins: test",
    "10:31:00.000 trigger momentum_burst call",
    "10:31:00.000 signal call C400 x10 at 1.40",
    "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
]
HELD = [
    *BEGUN,
    "10:31:00.400 accepted 0e1",
    "10:31:00.500 fill 0e1 10 at 1.41 of :00.500, 10 held",
]


def live() -> Script:
    """A market in which trading has begun."""
    return market().live("10:30:10")


def held() -> Script:
    """The entry is filled as a whole."""
    return live().says("10:31:00.4", "accepted", "0e1").says("10:31:00.5", "fill", "0e1", 10, 1.41)


def test_a_broker_says_by_rows_what_became_of_orders():
    """Accepted, filled in parts, sold: the journal is the same as with the simulated broker."""
    script = live().says("10:31:00.4", "accepted", "0e1").says("10:31:00.5", "fill", "0e1", 4, 1.40)
    script.says("10:31:00.6", "fill", "0e1", 6, 1.41).option("C400", "10:31:10", 1.84, 1.88)
    script.says("10:31:10.4", "accepted", "0x1").says("10:31:10.5", "fill", "0x1", 10, 1.84)

    told = restarted(script, "10:31:05", **LIVE).told

    assert told == [
        *BEGUN,
        "10:31:00.400 accepted 0e1",
        "10:31:00.500 fill 0e1 4 at 1.40 of :00.500, 4 held",
        "10:31:00.600 fill 0e1 6 at 1.41 of :00.600, 10 held",
        "10:31:10.000 exit TAKE_PROFIT: 30.8677 against 30, bid 1.84",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:10.400 accepted 0x1",
        "10:31:10.500 fill 0x1 10 at 1.84 of :10.500, 0 held",
        "10:31:10.500 trade 10 C400 TAKE_PROFIT +434.00",
    ]


def test_a_fill_that_names_no_quote_takes_the_one_that_stands():
    """A true broker says its price and no more."""
    played = perform(held(), **LIVE)

    assert [(each["bid_e4"], each["ask_e4"]) for each in played.of("fill")] == [(13600, 14000)]


def test_a_replay_of_the_tape_asks_its_own_broker():
    """The same rows in a replay: nothing of what the true broker said is taken, nor that trading had to begin."""
    told = perform(held().compared("10:31:01", "stop", 10, 3)).told

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.40 of :00.250, 10 held",
    ]


def test_an_entry_of_unknown_outcome_is_called_off_and_what_it_bought_is_sold():
    """It counts as working, no other entry may begin, and its fill is sold at once."""
    script = live().says("10:31:00.4", "unknown", "0e1", reason="no answer in 5 s")
    script.says("10:31:01.5", "fill", "0e1", 3, 1.41).says("10:31:01.6", "cancelled", "0e1", reason="asked")
    script.says("10:31:02", "fill", "0x1", 3, 1.36)

    told = restarted(script, "10:31:01", **LIVE).told

    assert told == [
        *BEGUN,
        "10:31:00.400 unknown 0e1: no answer in 5 s",
        "10:31:00.400 cancel 0e1: outcome of scalp-20261120-0-0000-e1 unknown",
        "10:31:01.500 fill 0e1 3 at 1.41 of :01.500, 3 held",
        "10:31:01.500 exit UNKNOWN_ORDER: 1 against 0, bid 1.36",
        "10:31:01.600 cancelled 0e1 with 3 filled: asked",
        "10:31:01.600 order 0x1 sell 3 C400 at 1.36 (UNKNOWN_ORDER)",
        "10:31:02.000 fill 0x1 3 at 1.36 of :02.000, 0 held",
        "10:31:02.000 trade 3 C400 UNKNOWN_ORDER -15.00",
    ]


def test_an_unknown_order_refuses_every_other_entry_until_it_is_known():
    """A second burst on the other side is refused while the first entry's state is unknown, a third one is not."""
    jumps = {"10:31:00": 1.0, "10:32:05": -1.5, "10:33:20": 1.5}
    script = market(jumps=jumps).live("10:30:10").says("10:31:00.4", "unknown", "0e1", reason="silent")
    script.says("10:32:30", "rejected", "0e1", reason="the broker knows no such order")
    settings = LIVE | {"scalp": {"enabled": True, "max_concurrent_scalps": 3}}

    played = restarted(script, "10:32:20", until="10:34", **settings)

    assert [each["gate"] for each in played.of("refusal")] == ["unknown_order"]
    assert [each["signal"] for each in played.of("signal")] == [0, 1]


def test_an_exit_of_unknown_outcome_is_asked_back_and_followed_by_the_next():
    """It may have sold: nothing else is sent before its end is known, and entries wait."""
    script = held().option("C400", "10:31:10", 1.84, 1.88).says("10:31:10.4", "unknown", "0x1", reason="504")
    script.says("10:31:11.5", "cancelled", "0x1", reason="asked").says("10:31:12", "fill", "0x2", 10, 1.84)

    told = restarted(script, "10:31:11", **LIVE).told

    assert told == [
        *HELD,
        "10:31:10.000 exit TAKE_PROFIT: 30.4965 against 30, bid 1.84",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:10.400 unknown 0x1: 504",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.500 cancelled 0x1: asked",
        "10:31:11.500 order 0x2 sell 10 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:12.000 fill 0x2 10 at 1.84 of :12.000, 0 held",
        "10:31:12.000 trade 10 C400 TAKE_PROFIT +430.00",
    ]


def test_a_fill_after_the_entry_was_given_up_is_sold_at_once():
    """Rejected as far as we knew, and four were bought all the same."""
    script = live().says("10:31:00.4", "rejected", "0e1", reason="buying power")
    script.says("10:31:03", "fill", "0e1", 4, 1.41).says("10:31:04", "fill", "0x1", 4, 1.36)

    told = restarted(script, "10:31:03.5", **LIVE).told

    assert told == [
        *BEGUN,
        "10:31:00.400 rejected 0e1: buying power",
        "10:31:00.400 unfilled call: buying power",
        "10:31:03.000 fill 0e1 4 at 1.41 of :03.000, 4 held",
        "10:31:03.000 exit LATE_FILL: 4 against 0, bid 1.36",
        "10:31:03.000 order 0x1 sell 4 C400 at 1.36 (LATE_FILL)",
        "10:31:04.000 fill 0x1 4 at 1.36 of :04.000, 0 held",
        "10:31:04.000 trade 4 C400 LATE_FILL -20.00",
    ]


def test_a_late_fill_of_a_closed_scalp_begins_a_position_anew_and_sells_it():
    """Order ids go on where they were, the second result is a trade of its own, and the premium is counted once."""
    script = live().says("10:31:00.4", "fill", "0e1", 4, 1.40).says("10:31:00.6", "cancelled", "0e1")
    script.operator("10:31:01", "flatten").says("10:31:01.5", "fill", "0x1", 4, 1.36)
    script.says("10:31:03", "fill", "0e1", 6, 1.42).says("10:31:04", "fill", "0x2", 6, 1.36)

    told = restarted(script, "10:31:03.5", **LIVE | {"risk": {"entry_reprices_max": 0}}).told

    assert told[4:] == [
        "10:31:00.400 fill 0e1 4 at 1.40 of :00.400, 4 held",
        "10:31:00.600 cancelled 0e1 with 4 filled: ",
        "10:31:01.000 operator flatten",
        "10:31:01.000 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:01.000 order 0x1 sell 4 C400 at 1.36 (OPERATOR)",
        "10:31:01.500 fill 0x1 4 at 1.36 of :01.500, 0 held",
        "10:31:01.500 trade 4 C400 OPERATOR -16.00",
        "10:31:03.000 fill 0e1 6 at 1.42 of :03.000, 6 held",
        "10:31:03.000 exit LATE_FILL: 6 against 0, bid 1.36",
        "10:31:03.000 order 0x2 sell 6 C400 at 1.36 (LATE_FILL)",
        "10:31:04.000 fill 0x2 6 at 1.36 of :04.000, 0 held",
        "10:31:04.000 trade 6 C400 LATE_FILL -36.00",
    ]


def test_a_late_fill_of_an_entry_takes_its_next_try_back():
    """The first try filled after it had ended: the second would buy more than was approved."""
    script = live().says("10:31:01.2", "cancelled", "0e1").says("10:31:01.4", "fill", "0e1", 10, 1.42)
    script.says("10:31:01.6", "cancelled", "0e2").says("10:31:02", "fill", "0x1", 10, 1.36)

    told = restarted(script, "10:31:01.5", **LIVE).told

    assert told[4:] == [
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.200 cancelled 0e1: ",
        "10:31:01.200 order 0e2 buy 10 C400 at 1.44 (reprice)",
        "10:31:01.400 fill 0e1 10 at 1.42 of :01.400, 10 held",
        "10:31:01.400 exit LATE_FILL: 10 against 0, bid 1.36",
        "10:31:01.400 cancel 0e2: exit",
        "10:31:01.600 cancelled 0e2: ",
        "10:31:01.600 order 0x1 sell 10 C400 at 1.36 (LATE_FILL)",
        "10:31:02.000 fill 0x1 10 at 1.36 of :02.000, 0 held",
        "10:31:02.000 trade 10 C400 LATE_FILL -60.00",
    ]


def test_a_late_fill_of_an_exit_takes_back_what_would_sell_too_much():
    """Four of the first exit were sold after its end: the second, for ten, is asked back, and six go out by the third."""
    script = held().option("C400", "10:31:10", 1.84, 1.88).says("10:31:11.2", "cancelled", "0x1")
    script.says("10:31:11.4", "fill", "0x1", 4, 1.84).says("10:31:11.6", "cancelled", "0x2")
    script.says("10:31:12", "fill", "0x3", 6, 1.83)

    told = restarted(script, "10:31:11.5", **LIVE).told

    assert told[8:] == [
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.200 cancelled 0x1: ",
        "10:31:11.200 order 0x2 sell 10 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:11.400 fill 0x1 4 at 1.84 of :11.400, 6 held",
        "10:31:11.400 cancel 0x2: works for more than is held",
        "10:31:11.600 cancelled 0x2: ",
        "10:31:11.600 order 0x3 sell 6 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:12.000 fill 0x3 6 at 1.83 of :12.000, 0 held",
        "10:31:12.000 trade 10 C400 TAKE_PROFIT +424.00",
    ]


def test_what_was_sold_beyond_what_was_held_is_an_alarm_and_ends_entries():
    """Both exits filled: held stays at zero, the money is counted, and nobody buys before somebody has looked."""
    script = market(jumps={"10:31:00": 1.0, "10:32:05": -1.5, "10:33:20": 1.5}).live("10:30:10")
    script.says("10:31:00.5", "fill", "0e1", 10, 1.41).option("C400", "10:31:10", 1.84, 1.88)
    script.says("10:31:11.2", "cancelled", "0x1").says("10:31:11.4", "fill", "0x2", 10, 1.84)
    script.says("10:31:11.6", "fill", "0x1", 10, 1.84).operator("10:33:00", "arm")

    played = restarted(script, "10:32:30", until="10:33:20.5", **LIVE)

    told = [line for line in played.told if line > "10:31:11.3"]
    assert told == [
        "10:31:11.400 fill 0x2 10 at 1.84 of :11.400, 0 held",
        "10:31:11.400 trade 10 C400 TAKE_PROFIT +430.00",
        "10:31:11.600 fill 0x1 10 at 1.84 of :11.600, 0 held",
        "10:31:11.600 alarm C400: scalp-20261120-0-0000-x1 sold more than was held: 10 against 0",
        "10:32:05.000 trigger momentum_burst put",
        "10:32:05.000 refusal put oversold: 10 against 0 (C400)",
        "10:32:05.000 missed momentum_burst put after 1 offers: oversold",
        "10:33:00.000 operator arm",
        "10:33:20.000 trigger momentum_burst call",
        "10:33:20.000 signal call C400 x10 at 1.88",
        "10:33:20.000 order 1e1 buy 10 C400 at 1.91 (signal)",
    ]


def test_an_order_that_ended_and_is_accepted_all_the_same_is_taken_back():
    """Rejected as far as we knew, and the broker says it works."""
    script = live().says("10:31:00.4", "rejected", "0e1", reason="not found").says("10:31:01", "accepted", "0e1")

    told = restarted(script, "10:31:00.8", **LIVE).told

    assert told[4:] == [
        "10:31:00.400 rejected 0e1: not found",
        "10:31:00.400 unfilled call: not found",
        "10:31:01.000 accepted 0e1",
        "10:31:01.000 cancel 0e1: works though it had ended",
    ]


def test_news_of_acceptance_that_its_fills_overtook_is_old():
    """Filled as a whole first, accepted later."""
    script = live().says("10:31:00.4", "fill", "0e1", 10, 1.41).says("10:31:00.5", "accepted", "0e1")

    told = perform(script, **LIVE).told

    assert told == [*BEGUN, "10:31:00.400 fill 0e1 10 at 1.41 of :00.400, 10 held"]


def test_a_fill_of_an_order_that_is_none_of_ours_is_an_alarm():
    """It is booked nowhere: what the account holds is compared apart."""
    told = perform(live().says("10:30:20", "fill", "9e1", 2, 1.41), until="10:30:30", **LIVE).told

    assert told[1:] == [
        "10:30:20.000 alarm scalp-20261120-0-0009-e1: fill of an order that this session did not send: 2 against 0"
    ]


def test_a_refused_exit_is_tried_again_until_it_is_taken():
    """Even after its last try; at any price is refused too, so that a limit of a cent follows."""
    script = held().option("C400", "10:31:10", 1.84, 1.88)
    for second, order in ((10.2, "0x1"), (11.4, "0x2"), (12.6, "0x3")):
        script.says(f"10:31:{second}", "rejected", order, reason="no")
    script.says("10:31:14", "fill", "0x4", 10, 1.84)

    told = restarted(script, "10:31:12", **LIVE | {"risk": {"exit_reprices_max": 1}}).told

    assert told[7:] == [
        "10:31:10.000 order 0x1 sell 10 C400 at 1.84 (TAKE_PROFIT)",
        "10:31:10.200 rejected 0x1: no",
        "10:31:11.200 order 0x2 sell 10 C400 at market (TAKE_PROFIT)",
        "10:31:11.400 rejected 0x2: no",
        "10:31:12.400 order 0x3 sell 10 C400 at 0.01 (TAKE_PROFIT)",
        "10:31:12.600 rejected 0x3: no",
        "10:31:12.600 alarm rejects: orders were refused in a row: no more entries: 3 against 3",
        "10:31:13.600 order 0x4 sell 10 C400 at 0.01 (TAKE_PROFIT)",
        "10:31:14.000 fill 0x4 10 at 1.84 of :14.000, 0 held",
        "10:31:14.000 trade 10 C400 TAKE_PROFIT +430.00",
    ]
