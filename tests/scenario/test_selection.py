"""Which contract is bought: expiry first, then delta, spread, open interest, symbol; and how many."""

from __future__ import annotations

from typing import Any

import pytest

from scalpcli.model import note as notes
from scalpcli.model.instrument import TickRule
from tests.scenario.world import CALL, DAY, Contract, Script, market, perform

MONDAY = Contract("C400", 0.35, dte=3)
WEDNESDAY = Contract("C400", 0.35, dte=5)
WEEK = {"max_dte": 7}


def chosen(script: Script, **sections: Any) -> str:
    """Which contract the burst buys."""
    played = perform(script, **sections)
    symbol = played.of("signal")[0]["option_symbol"]
    return next(each.label for each in script.contracts if each.instrument(0).symbol == symbol)


def test_the_contract_nearest_the_target_delta_is_bought():
    """0.36 is nearer to 0.35 than 0.33."""
    script = market(Contract("C399", 0.39), Contract("C400", 0.36), Contract("C401", 0.33))

    assert chosen(script) == "C400"


def test_the_delta_of_a_put_counts_without_its_sign():
    """A fall buys the put whose delta is nearest to -0.35."""
    script = market(Contract("P399", -0.31), Contract("P400", -0.34), jumps={"10:31:00": -1.0})

    assert chosen(script) == "P400"


def test_of_two_deltas_as_near_the_narrower_spread_is_bought():
    """Both stand a sixty-fourth from the target, which floats hold exactly; the second is quoted tighter."""
    script = market(Contract("C400", 0.375 - 1 / 64), Contract("C401", 0.375 + 1 / 64))
    script.option("C401", "10:30:30", 1.37, 1.40)

    assert chosen(script, scalp={"target_delta": 0.375}) == "C401"


def test_of_two_spreads_as_wide_the_larger_open_interest_is_bought():
    """Deltas and quotes are equal."""
    script = market(Contract("C400", 0.35, open_interest=900), Contract("C401", 0.35, open_interest=901))

    assert chosen(script) == "C401"


def test_of_contracts_equal_in_all_the_first_symbol_is_bought():
    """The last word: a lower strike comes first in the alphabet, wherever it stands on the tape."""
    script = market(Contract("C401", 0.35), Contract("C400", 0.35))

    assert chosen(script) == "C400"


def test_a_nearer_contract_that_is_refused_gives_way():
    """0.35 is too wide; 0.38 is bought."""
    script = market(Contract("C400", 0.35), Contract("C401", 0.38)).option("C400", "10:30:30", 1.20, 1.40)

    assert chosen(script) == "C401"


def test_the_refusal_tells_of_the_contract_nearest_the_target():
    """Two contracts are out for different reasons; the reason is that of the nearer one."""
    script = market(Contract("C400", 0.36, open_interest=10), Contract("C401", 0.39)).option(
        "C401", "10:30:30", 1.20, 1.40
    )

    told = script.play(until="10:31")

    assert told[1] == "10:31:00.000 refusal call open_interest: 10 against 500 (C400)"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "C400"),
        ({"scalp": {"prefer_0dte": False}}, "C400/3"),
        ({"selection": WEEK | {"preferred_dte": 5}}, "C400/5"),
        ({"selection": WEEK | {"preferred_dte": 4}}, "C400/3"),
        ({"selection": WEEK | {"min_dte": 1}}, "C400/3"),
        ({"selection": WEEK | {"min_dte": 4}}, "C400/5"),
        ({"selection": {"max_dte": 0}}, "C400"),
    ],
)
def test_the_expiry_is_chosen_before_the_contract(settings: dict[str, Any], expected: str):
    """Friday, Monday and Wednesday expire: the nearest, unless told to prefer or leave out some."""
    script = market(CALL, MONDAY, WEDNESDAY)

    assert chosen(script, **({"selection": WEEK} | settings)) == expected


def test_without_the_preferred_expiry_the_next_is_bought():
    """Today's contract is too wide; Monday's passes and is bought, though today is preferred."""
    script = market(CALL, MONDAY).option("C400", "10:30:30", 1.20, 1.40)

    assert chosen(script, selection=WEEK) == "C400/3"


def test_today_is_the_last_resort_when_it_is_not_preferred():
    """`prefer_0dte = false` and Monday's contract is too wide: today's is bought."""
    script = market(CALL, MONDAY).option("C400/3", "10:30:30", 1.20, 1.40)

    assert chosen(script, selection=WEEK, scalp={"prefer_0dte": False}) == "C400"


def test_computed_deltas_choose_as_recorded_ones_do():
    """Without recorded greeks: of calls quoted by one volatility the one near delta 0.35 stands out of the money."""
    chain = [Contract(f"{right}{strike}", None) for strike in (398, 400, 402, 404) for right in "CP"]
    script = market(*chain, jumps={"10:31:00": 1.0})
    for strike, call, put in ((398, 3.26, 0.26), (400, 1.78, 0.78), (402, 0.78, 1.78), (404, 0.26, 3.26)):
        script.option(f"C{strike}", "10:30:40", call - 0.02, call)
        script.option(f"P{strike}", "10:30:40", put - 0.02, put)

    played = perform(script, selection={"greeks_source": "auto"})

    signal = played.of("signal")[0]
    assert signal["option_symbol"].endswith("C00402000")
    assert signal["delta_source"] == "computed"
    assert 0.30 <= signal["delta"] <= 0.40


def test_recorded_deltas_go_first_while_they_are_fresh():
    """`greeks_source = "auto"`: 0.35 was recorded, whatever the quotes say."""
    script = market()

    signal = perform(script, selection={"greeks_source": "auto"}).of("signal")[0]

    assert (signal["delta"], signal["delta_source"]) == (0.35, "tape")


def test_open_interest_of_a_later_note_replaces_that_of_the_tape():
    """The tape knew 1000; what became known later counts."""
    body = {"date": str(DAY), "contracts": {CALL.instrument(1).symbol: 10}}
    script = market(CALL).note("10:30:30", notes.OPEN_INTEREST, body)

    told = script.play(until="10:31")

    assert told[1] == "10:31:00.000 refusal call open_interest: 10 against 500 (C400)"


RICH = {"contracts_max": 1000}


@pytest.mark.parametrize(
    ("cap", "settings", "quantity"),
    [
        # 5 percent of 100,000 USD over 140 USD a contract.
        ("equity_share", {"risk": RICH}, 35),
        ("contracts_max", {"risk": {"contracts_max": 34}}, 34),
        # The dearest try may pay 1.47: 1,470 USD buy ten.
        ("order_value", {"risk": RICH | {"order_value_usd_max": 1_500.0}}, 10),
        ("displayed_size", {"risk": RICH | {"displayed_size_share_pct": 25.0}}, 12),
        ("buying_power", {"risk": {"starting_equity_usd": 1_000.0}, "scalp": {"scalp_position_size_pct": 100.0}}, 6),
    ],
)
def test_each_cap_of_the_size_is_named(cap: str, settings: dict[str, Any], quantity: int):
    """Fifty contracts are shown at 1.40; the smallest of all caps decides and gives its name."""
    script = market()

    signal = perform(script, **settings).of("signal")[0]

    assert (signal["suggested_contracts"], signal["size_capped_by"]) == (quantity, cap)


def test_fees_count_in_the_size():
    """A round trip costs 0.0868 USD a contract; 2,800 USD at 5 percent buy one contract without, none with."""
    settings = {"risk": {"starting_equity_usd": 2_800.0}}

    free = market().play(until="10:31", **settings)
    charged = market().play(until="10:31", fees="alpaca", **settings)

    assert free[1] == "10:31:00.000 signal call C400 x1 at 1.40"
    assert charged[1].startswith("10:31:00.000 refusal call size_zero: 0 against 1 (C400: equity_share allows none")


def test_the_size_follows_the_result_of_the_session():
    """The first trade made 1,470 USD of 35 contracts; the second burst risks 5 percent of 101,470 USD."""
    script = market(jumps={"10:31:00": 1.0, "10:32:30": 1.0})
    script.option("C400", "10:31:10", 1.82, 1.86).option("C400", "10:31:40", 1.36, 1.40)
    settings = {"risk": RICH, "simulated_broker": {"order_latency_ms": 0.0, "report_latency_ms": 0.0}}

    played = perform(script, until="10:32:40", **settings)

    assert [each["suggested_contracts"] for each in played.of("signal")] == [35, 36]


def test_a_nickel_class_is_bought_on_its_grid():
    """0.05 below 3.00: the budget of 1.67 percent above 1.40 allows 1.40, not 1.42."""
    script = market(Contract("C400", 0.35, tick_rule=TickRule.NICKEL), quote=(1.35, 1.40))

    told = script.play()

    assert told[2] == "10:31:00.000 order 0e1 buy 10 C400 at 1.40 (signal)"
