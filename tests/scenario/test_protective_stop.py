"""`exits.protective_stop_pct`: a stop that rests at the broker, and every exit that must wait for its end."""

from __future__ import annotations

from typing import Any

from scalpcli.model.order import OrderKind
from tests.scenario.restart import restarted
from tests.scenario.world import BOUGHT, Script, market, perform

STOP: dict[str, Any] = {"exits": {"protective_stop_pct": 50.0}}
LIVE: dict[str, Any] = STOP | {"mode": "paper", "scalp": {"enabled": True}}
RESTING = [*BOUGHT, "10:31:00.300 order 0s1 sell 10 C400 at 0.70 (protect)", "10:31:00.600 accepted 0s1"]


def live() -> Script:
    """Ten are held and the stop rests, with a true broker."""
    script = market().live("10:30:10").says("10:31:00.5", "fill", "0e1", 10, 1.40)
    return script.says("10:31:00.6", "accepted", "0s1")


def test_every_exit_waits_until_the_stop_is_taken_back():
    """The target is met at 10:31:10: 300 ms until the stop is known to be gone, then it is sold."""
    script = market().option("C400", "10:31:10", 1.82, 1.86)

    told = restarted(script, "10:31:10.1", **STOP).told

    assert told == [
        *RESTING,
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 cancel 0s1: exit",
        "10:31:10.300 cancelled 0s1: taken back",
        "10:31:10.300 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.600 accepted 0x1",
        "10:31:10.600 fill 0x1 10 at 1.82 of :10.550, 0 held",
        "10:31:10.600 trade 10 C400 TAKE_PROFIT +420.00",
    ]


def test_a_stop_that_sells_while_it_is_taken_back_ends_the_scalp():
    """The bid falls through 0.70 at once: the stop at the broker is faster than our own, confirmed one."""
    script = market().option("C400", "10:31:10", 0.60, 0.64)

    told = restarted(script, "10:31:10.02", **STOP).told

    assert told == [
        *RESTING,
        "10:31:10.000 stop begins at bid 0.60, -57.1%",
        "10:31:10.050 fill 0s1 10 at 0.60 of :10.000, 0 held",
        "10:31:10.050 exit PROTECTIVE_STOP: 0.6 against 0.7, bid 0.60",
        "10:31:10.050 trade 10 C400 PROTECTIVE_STOP -800.00",
    ]


def test_a_stop_sleeps_while_the_bid_is_above_it():
    """A cent above its price."""
    script = market().option("C400", "10:31:10", 0.71, 0.75)

    assert [each["leg"] for each in perform(script, until="10:31:10.2", **STOP).of("fill")] == ["entry"]


def test_a_stop_is_placed_for_what_was_bought_when_no_more_is():
    """Four of ten are filled; the stop for four is sent when the entry is over."""
    script = market(sizes=(50, 4))

    orders = perform(script, until="10:31:03", risk={"entry_reprices_max": 0}, **STOP).of("order")

    assert [(each["leg"], each["quantity"], each["limit_e4"]) for each in orders[1:]] == [("protect", 4, 7000)]


def test_a_stop_is_an_order_of_its_kind():
    """The broker is told a stop price and no limit."""
    order = perform(live(), **LIVE).sent[-1]

    assert (order.kind, order.stop_e4, order.limit_e4) == (OrderKind.STOP, 7000, 0)  # type: ignore[union-attr]


def test_a_stop_that_the_broker_does_not_take_is_an_alarm():
    """Nothing protects what is held but we; it is held on."""
    script = market().live("10:30:10").says("10:31:00.5", "fill", "0e1", 10, 1.40)
    script.says("10:31:00.6", "rejected", "0s1", reason="no stops today")

    told = restarted(script, "10:31:01", **LIVE).told

    assert told[-2:] == [
        "10:31:00.600 rejected 0s1: no stops today",
        "10:31:00.600 alarm scalp-20261120-0-0000-s1: no stop rests at the broker any more: rejected: 10 against 0",
    ]


def test_a_stop_that_sells_in_parts_is_taken_back_and_the_rest_is_sold():
    """Four went at the stop; six are sold as by any exit."""
    script = live().says("10:31:10", "fill", "0s1", 4, 0.69).says("10:31:10.4", "cancelled", "0s1")
    script.says("10:31:11", "fill", "0x1", 6, 1.36)

    told = restarted(script, "10:31:10.2", **LIVE).told

    assert told[7:] == [
        "10:31:10.000 fill 0s1 4 at 0.69 of :10.000, 6 held",
        "10:31:10.000 exit PROTECTIVE_STOP: 0.69 against 0.7, bid 1.36",
        "10:31:10.000 cancel 0s1: exit",
        "10:31:10.400 cancelled 0s1 with 4 filled: ",
        "10:31:10.400 order 0x1 sell 6 C400 at 1.36 (PROTECTIVE_STOP)",
        "10:31:11.000 fill 0x1 6 at 1.36 of :11.000, 0 held",
        "10:31:11.000 trade 10 C400 PROTECTIVE_STOP -308.00",
    ]


def test_an_operators_flatten_waits_for_the_end_of_the_stop():
    """One order at a time holds the quantity, whoever wishes to sell."""
    script = live().operator("10:31:05", "flatten").says("10:31:05.4", "cancelled", "0s1")

    told = restarted(script, "10:31:05.2", until="10:31:06", **LIVE).told

    assert told[7:] == [
        "10:31:05.000 operator flatten",
        "10:31:05.000 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:05.000 cancel 0s1: exit",
        "10:31:05.400 cancelled 0s1: ",
        "10:31:05.400 order 0x1 sell 10 C400 at 1.36 (OPERATOR)",
    ]
