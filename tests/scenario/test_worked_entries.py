"""`entry_style = "worked"`: from the mid to the ask, one step a try; a passive price waits for the market to come."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenario.world import market, perform

WORKED: dict[str, Any] = {
    "scalp": {"max_spread_pct": 100.0},
    "risk": {"entry_style": "worked", "entry_reprices_max": 2},
}
BEGUN = [
    "10:31:00.000 trigger momentum_burst call",
    "10:31:00.000 signal call C400 x10 at 1.40",
    "10:31:00.000 order 0e1 buy 10 C400 at 1.36 (signal)",
    "10:31:00.300 accepted 0e1",
]


def test_a_worked_entry_walks_from_the_mid_to_the_ask():
    """1.33 to 1.40: 1.365 down to the grid, a step of 1.7 cents, at last the ask, which sells."""
    told = market(quote=(1.33, 1.40)).play(until="10:31:04", **WORKED)

    assert told == [
        *BEGUN,
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 order 0e2 buy 10 C400 at 1.38 (reprice)",
        "10:31:01.600 accepted 0e2",
        "10:31:02.300 cancel 0e2: reprice",
        "10:31:02.600 cancelled 0e2: taken back",
        "10:31:02.600 order 0e3 buy 10 C400 at 1.40 (reprice)",
        "10:31:02.900 accepted 0e3",
        "10:31:02.900 fill 0e3 10 at 1.40 of :02.850, 10 held",
    ]


def test_a_passive_price_fills_when_the_ask_comes_down_to_it():
    """An ask a cent above it fills nothing, one at it does."""
    script = market(quote=(1.33, 1.40)).option("C400", "10:31:00.4", 1.33, 1.37)
    script.option("C400", "10:31:00.6", 1.33, 1.36)

    told = script.play(until="10:31:04", **WORKED)

    assert told == [*BEGUN, "10:31:00.650 fill 0e1 10 at 1.36 of :00.600, 10 held"]


def test_a_passive_price_that_has_waited_gets_nothing_better():
    """The ask falls to 1.30, six cents below it: whoever sold took our 1.36."""
    script = market(quote=(1.33, 1.40)).option("C400", "10:31:00.6", 1.26, 1.30)

    told = script.play(until="10:31:00.9", **WORKED)

    assert told == [*BEGUN, "10:31:00.650 fill 0e1 10 at 1.36 of :00.600, 10 held"]


def test_a_passive_price_that_the_market_has_reached_when_it_arrives_is_filled_at_the_ask():
    """At 250 ms the ask is 1.34."""
    script = market(quote=(1.33, 1.40)).option("C400", "10:31:00.2", 1.30, 1.34)

    told = script.play(until="10:31:00.9", **WORKED)

    assert told == [*BEGUN, "10:31:00.300 fill 0e1 10 at 1.34 of :00.250, 10 held"]


def test_a_bid_that_rises_to_a_passive_price_fills_nothing():
    """Others bid the same: nobody has sold to us."""
    script = market(quote=(1.33, 1.40)).option("C400", "10:31:00.4", 1.36, 1.40)

    assert perform(script, until="10:31:01", **WORKED).of("fill") == []


def test_a_worked_entry_never_pays_more_than_the_ask_that_was_decided_on():
    """The market runs away: after its last try at 1.40 it is given up."""
    script = market(quote=(1.33, 1.40)).option("C400", "10:31:00.1", 1.46, 1.50)

    played = perform(script, until="10:31:05", **WORKED)

    assert [each["limit_e4"] for each in played.of("order")] == [13_600, 13_800, 14_000]
    assert [each["reason"] for each in played.of("unfilled")] == ["not filled within the slippage budget"]


def test_a_single_try_stands_at_the_mid():
    """Without re-pricing there is no way to walk."""
    played = perform(
        market(quote=(1.33, 1.40)),
        until="10:31:03",
        **WORKED | {"risk": {"entry_style": "worked", "entry_reprices_max": 0}},
    )

    assert [each["limit_e4"] for each in played.of("order")] == [13_600]


@pytest.mark.parametrize(("quote", "limits"), [((0.01, 0.02), [100]), ((3.02, 3.08), [30_500])])
def test_a_worked_price_stands_on_the_grid(quote: tuple[float, float], limits: list[int]):
    """Down to a cent below three dollars, to five above, and never to nothing."""
    played = perform(market(quote=quote), until="10:31:00.9", **WORKED)

    assert [each["limit_e4"] for each in played.of("order")] == limits
