"""Limits of the whole session and of its orders, each with a restart while it stands."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.restart import restarted
from tests.scenario.test_gates import STANDING
from tests.scenario.test_gates_of_history import lost
from tests.scenario.world import AT_ONCE, BOUGHT, BOUGHT_AT_ONCE, BURST, CALL, PUT, Script, clock, market, perform

TWICE = {BURST: 1.0, "10:32:05": -1.0}
"""A call at 10:31:00, a put at 10:32:05."""
TWO: dict[str, Any] = {"max_concurrent_scalps": 2}
PUT_REFUSED = "10:32:05.000 missed momentum_burst put after 1 offers: "


def sunk() -> Script:
    """Ten bought at 1.40; from 10:31:30 to 10:31:50 the bid is 1.20, above the stop, 200 USD below cost."""
    return market(jumps=TWICE).option("C400", "10:31:30", 1.20, 1.24).option("C400", "10:31:50", 1.36, 1.40)


def test_the_loss_of_the_day_counts_what_is_open_at_the_bid():
    """200 USD are lost at the bid at one instant: entries end for the day, though it recovers."""
    settings = {"gates": {"daily_loss_usd_max": 200.0}, "scalp": TWO} | AT_ONCE

    told = restarted(sunk(), "10:31:40", until="10:32:10", **settings).told

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:30.000 alarm daily_loss: the day's loss is reached: 200 against 200",
        "10:32:05.000 trigger momentum_burst put",
        "10:32:05.000 refusal put daily_loss: 200 against 200",
        PUT_REFUSED + "daily_loss",
    ]


def test_the_loss_of_the_day_may_sell_as_well():
    """`daily_loss_sells`: what is held goes out at the instant at which the limit is reached."""
    gates = {"daily_loss_usd_max": 200.0, "daily_loss_sells": True}

    told = restarted(sunk(), "10:31:40", until="10:31:41", gates=gates, **AT_ONCE).told

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:30.000 alarm daily_loss: the day's loss is reached: 200 against 200",
        "10:31:30.000 exit PROTECTION: 0 against 0, bid 1.20",
        "10:31:30.000 order 0x1 sell 10 C400 at 1.20 (PROTECTION)",
        "10:31:30.000 accepted 0x1",
        "10:31:30.000 fill 0x1 10 at 1.20 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 PROTECTION -200.00",
    ]


def test_the_loss_of_the_day_counts_fees_of_both_ways():
    """200 USD at the bid are 200 and the fees of buying and selling: a limit of 200.50 is reached by them alone."""
    settings = {"gates": {"daily_loss_usd_max": 200.5}, "fees": "alpaca"} | AT_ONCE

    alarms = perform(sunk(), **settings).of("alarm")

    assert [(each["about"], each["limit"]) for each in alarms] == [("daily_loss", 200.5)]
    assert 200.5 < alarms[0]["value"] < 202.0


def test_the_loss_of_the_day_takes_a_working_entry_back():
    """The call loses while the put's entry still works: nothing new is begun."""
    script = market(CALL, PUT, jumps={BURST: 1.0, "10:32:05": -1.0}).option("P400", "10:32:05.1", 1.46, 1.50)
    script.option("C400", "10:32:05.5", 1.20, 1.24)
    settings = {"gates": {"daily_loss_usd_max": 200.0}, "scalp": TWO, "risk": {"reprice_after_ms": 60_000}}

    told = restarted(script, "10:32:06.1", until="10:32:07", **settings).told

    assert told == [
        *BOUGHT,
        "10:32:05.000 trigger momentum_burst put",
        "10:32:05.000 signal put P400 x10 at 1.40",
        "10:32:05.000 order 1e1 buy 10 P400 at 1.42 (signal)",
        "10:32:05.300 accepted 1e1",
        "10:32:06.000 alarm daily_loss: the day's loss is reached: 200 against 200",
        "10:32:06.000 cancel 1e1: the day's loss is reached",
        "10:32:06.300 cancelled 1e1: taken back",
        "10:32:06.300 unfilled put: the day's loss is reached",
    ]


def test_a_minute_full_of_messages_refuses_the_next_entry():
    """An order a scalp and its exit are two; of eight, six are kept for exits."""
    script = market(jumps={BURST: 1.0, "10:31:55": -1.0, "10:32:30": -1.0}).option("C400", "10:31:10", 1.82, 1.86)
    settings: dict[str, Any] = {
        "scalp": {"min_signal_interval_seconds": 0.0},
        "risk": {"messages_per_minute_max": 8, "messages_reserved": 6},
    }

    told = restarted(script, "10:31:56", until="10:32:31", **settings | AT_ONCE).told

    assert told[5:] == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.000 accepted 0x1",
        "10:31:10.000 fill 0x1 10 at 1.82 of :10.000, 0 held",
        "10:31:10.000 trade 10 C400 TAKE_PROFIT +420.00",
        "10:31:55.000 trigger momentum_burst put",
        "10:31:55.000 refusal put message_rate: 2 against 2 (orders and cancels in a minute)",
        "10:31:55.000 missed momentum_burst put after 1 offers: message_rate",
        "10:32:30.000 trigger momentum_burst put",
        "10:32:30.000 signal put P400 x10 at 1.40",
        "10:32:30.000 order 1e1 buy 10 P400 at 1.42 (signal)",
        "10:32:30.000 accepted 1e1",
        "10:32:30.000 fill 1e1 10 at 1.40 of :30.000, 10 held",
    ]


def test_an_entry_is_not_priced_anew_when_messages_run_out():
    """Its first try and the cancel of it were two: it is given up."""
    script = market().option("C400", "10:31:00.1", 1.46, 1.50)
    risk = {"messages_per_minute_max": 8, "messages_reserved": 6}

    told = restarted(script, "10:31:02", risk=risk).told

    assert told[3:] == [
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 unfilled call: 2 messages in a minute against 2: exits need the rest",
    ]


def test_an_exit_is_sent_however_many_messages_there_were():
    """No message is left for the minute: it is re-priced all the same."""
    script = market().option("C400", "10:31:10", 1.82, 1.86, (0, 50))

    orders = perform(script, until="10:31:14", risk={"messages_per_minute_max": 2, "messages_reserved": 1}).of("order")

    assert [each["order_id"][-2:] for each in orders] == ["e1", "x1", "x2", "x3", "x4"]


def test_an_entry_asks_for_no_more_than_the_collar_above_the_ask_of_its_moment():
    """Decided at 1.40, the ask is 1.25 and too small at the second try: 1.44 becomes 1.31, five percent above it."""
    script = market().option("C400", "10:31:00.1", 1.46, 1.50).option("C400", "10:31:01.1", 1.21, 1.25, (50, 0))

    told = restarted(script, "10:31:01.5", until="10:31:02", risk={"price_collar_pct": 5.0}).told

    assert told[4:] == [
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 order 0e2 buy 10 C400 at 1.31 (reprice)",
        "10:31:01.600 accepted 0e2",
    ]


def test_an_entry_without_a_quote_to_hold_its_price_against_is_given_up():
    """The ask has gone when the second try is due."""
    script = market().option("C400", "10:31:00.1", 1.46, 1.50).option("C400", "10:31:01.1", 1.46, 0.0)

    told = restarted(script, "10:31:01.5", until="10:31:02").told

    assert told[-1] == "10:31:01.300 unfilled call: no quote that its price could be held against"


def test_two_equal_entries_at_one_time_are_a_mistake():
    """A burst and a breakout wish for the same ten contracts at the same price: one order is sent."""
    levels = {"high_e4": 4_004_000, "low_e4": 3_900_000, "close_e4": 3_950_000}
    scalp = TWO | {
        "min_signal_interval_seconds": 0.0,
        "trigger_breakout": True,
        "breakout_hold_ms": 0,
        "level_rearm_s": 30,
    }
    script = market(CALL).note("10:29:30", "previous_levels", levels)

    told = restarted(script, "10:31:00.5", scalp=scalp, risk={"duplicate_order_s": 2.0}).told

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        *BOUGHT[1:3],
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 unfilled call: the same as scalp-20261120-0-0000-e1, sent 0.0 s ago",
        *BOUGHT[3:],
    ]


def test_refusals_of_the_broker_in_a_row_end_entries_until_somebody_has_looked():
    """The second in a row ends entries, `arm` begins them again."""
    jumps = {BURST: 1.0, "10:32:05": -1.0, "10:33:10": -1.0, "10:34:15": -1.0}
    script = market(jumps=jumps).live("10:30:10").says("10:31:00.3", "rejected", "0e1", reason="no")
    script.says("10:32:05.3", "rejected", "1e1", reason="no").operator("10:34:00", "arm")
    settings: dict[str, Any] = {"mode": "paper", "scalp": {"enabled": True}, "risk": {"rejects_in_a_row_max": 2}}

    told = restarted(script, "10:33:00", until="10:34:15.5", **settings).told

    assert told[4:] == [
        "10:31:00.300 rejected 0e1: no",
        "10:31:00.300 unfilled call: no",
        "10:32:05.000 trigger momentum_burst put",
        "10:32:05.000 signal put P400 x10 at 1.40",
        "10:32:05.000 order 1e1 buy 10 P400 at 1.42 (signal)",
        "10:32:05.300 rejected 1e1: no",
        "10:32:05.300 alarm rejects: orders were refused in a row: no more entries: 2 against 2",
        "10:32:05.300 unfilled put: no",
        "10:33:10.000 trigger momentum_burst put",
        "10:33:10.000 refusal put rejects: 2 against 2 (orders in a row)",
        "10:33:10.000 missed momentum_burst put after 1 offers: rejects",
        "10:34:00.000 operator arm",
        "10:34:15.000 trigger momentum_burst put",
        "10:34:15.000 signal put P400 x10 at 1.40",
        "10:34:15.000 order 2e1 buy 10 P400 at 1.42 (signal)",
    ]


def test_an_order_that_is_taken_ends_a_row_of_refusals():
    """One refused, one taken, one refused: never two in a row."""
    jumps = {BURST: 1.0, "10:32:05": -1.0, "10:33:10": -1.0, "10:34:15": -1.0}
    script = market(jumps=jumps).live("10:30:10").says("10:31:00.3", "rejected", "0e1")
    script.says("10:32:05.3", "accepted", "1e1").says("10:32:05.4", "cancelled", "1e1")
    script.says("10:33:10.3", "rejected", "2e1")
    risk = {"rejects_in_a_row_max": 2, "entry_reprices_max": 0}

    played = perform(script, until="10:34:16", mode="paper", scalp={"enabled": True}, risk=risk)

    assert (len(played.of("signal")), played.of("refusal")) == (4, [])


def test_the_premium_of_everything_open_limits_the_next_size():
    """1,400 USD are bought, 2,000 allowed: four of the put at a dearest price of 1.47 fit into the rest."""
    settings = {"scalp": TWO, "risk": {"open_premium_usd_max": 2000.0}} | AT_ONCE

    played = restarted(market(jumps=TWICE), "10:32:00", until="10:32:06", **settings)

    sizes = [(each["suggested_contracts"], each["size_capped_by"]) for each in played.of("signal")]
    assert sizes == [(10, "contracts_max"), (4, "open_premium")]


@pytest.mark.parametrize("case", STANDING)
def test_every_standing_reason_survives_a_restart(case: str):
    """What the gates asked before the process died they ask after it, to the byte."""
    make, settings, _ = STANDING[case]

    restarted(make(), "10:31:00.5", **settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"scalp": {"cooldown_after_loss_minutes": 0.0}, "gates": {"loss_streak_max": 1}},
        {"scalp": {"cooldown_after_loss_minutes": 0.0, "max_daily_scalps": 1}},
        {"scalp": {"cooldown_after_loss_minutes": 0.0}, "gates": {"daily_loss_usd_max": 200.0}},
    ],
    ids=["cooldown", "loss streak", "trades a day", "daily loss"],
)
def test_what_the_session_did_before_survives_a_restart(settings: dict[str, Any]):
    """The first trade lost; the process dies before the second burst, which is refused as without its death."""
    played = restarted(lost(jumps={BURST: 1.0, "10:32:00": 1.0}), "10:31:30", until="10:32:01", **settings | AT_ONCE)

    assert len(played.of("refusal")) == 1


def states(script: Script, until: str, **settings: Any) -> dict[str, tuple[float, float | None, str]]:
    """How every protection stands at the end of a play."""
    engine = perform(script, until=until, **settings).engine
    return {each.name: (each.value, each.limit, each.state) for each in engine.protections(clock(until))}


def test_protections_are_told_with_what_was_found_and_their_limits():
    """Off is no limit; one scalp of five, two messages of sixty."""
    found = states(sunk(), "10:31:40", **AT_ONCE)

    assert found == {
        "kill": (0.0, 1.0, "ok"),
        "daily_loss": (200.0, None, "ok"),
        "loss_streak": (0.0, None, "ok"),
        "daily_count": (1.0, 5, "ok"),
        "open_position": (1.0, 1, "stopping entries"),
        "message_rate": (1.0, 60, "ok"),
        "rejects": (0.0, 3, "ok"),
    }


def test_a_protection_that_sells_is_told_as_selling():
    """Killed with something held, and the day's loss reached with `daily_loss_sells`."""
    script = sunk().option("C400", "10:31:30.01", 0.0, 1.24).operator("10:31:41", "kill")
    gates = {"daily_loss_usd_max": 200.0, "daily_loss_sells": True}

    found = states(script, "10:31:42", gates=gates)

    assert (found["kill"][2], found["daily_loss"][1:]) == ("selling", (200.0, "selling"))


def test_what_else_stands_against_entries_is_told_too():
    """A difference with the broker and trading that has not begun."""
    script = market().compared("10:30:20", "stop", 0, 3)

    found = states(script, "10:30:30", mode="paper")

    assert (found["not_live"], found["reconcile"]) == ((0.0, 1.0, "stopping entries"), (3.0, 0.0, "stopping entries"))
