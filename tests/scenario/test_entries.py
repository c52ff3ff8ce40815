"""How an entry is worked: latency, partial fills, re-pricing inside the slippage budget, giving up."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, BOUGHT, BOUGHT_AT_ONCE, Contract, market, perform

UNTOUCHED = {"risk": {"entry_reprices_max": 0}}


def test_an_entry_fills_when_it_arrives_and_is_known_later():
    """250 ms to the market, where the ask of that moment fills it, 50 ms back to us."""
    script = market().option("C400", "10:31:00.2", 1.37, 1.41)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.41 of :00.250, 10 held",
    ]


def test_without_latency_the_fill_is_known_at_the_instant_of_the_decision():
    """Signal, order, fill: one time."""
    script = market()

    told = script.play(until="10:31:05", **AT_ONCE)

    assert told == BOUGHT_AT_ONCE


def test_an_entry_is_repriced_in_equal_steps_of_the_slippage_budget():
    """Five percent above 1.40, a third more each try: 1.42, 1.44, 1.47; the third meets the ask."""
    script = market().option("C400", "10:31:00.1", 1.43, 1.47)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 order 0e2 buy 10 C400 at 1.44 (reprice)",
        "10:31:01.600 accepted 0e2",
        "10:31:02.300 cancel 0e2: reprice",
        "10:31:02.600 cancelled 0e2: taken back",
        "10:31:02.600 order 0e3 buy 10 C400 at 1.47 (reprice)",
        "10:31:02.900 accepted 0e3",
        "10:31:02.900 fill 0e3 10 at 1.47 of :02.850, 10 held",
    ]


def test_an_entry_is_given_up_when_the_budget_is_used():
    """Nobody sells at 1.47 or below: three tries, then it is over, and another signal may come."""
    script = market().option("C400", "10:31:00.1", 1.44, 1.48)

    told = script.play(until="10:31:10")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1: taken back",
        "10:31:01.300 order 0e2 buy 10 C400 at 1.44 (reprice)",
        "10:31:01.600 accepted 0e2",
        "10:31:02.300 cancel 0e2: reprice",
        "10:31:02.600 cancelled 0e2: taken back",
        "10:31:02.600 order 0e3 buy 10 C400 at 1.47 (reprice)",
        "10:31:02.900 accepted 0e3",
        "10:31:03.600 cancel 0e3: reprice",
        "10:31:03.900 cancelled 0e3: taken back",
        "10:31:03.900 unfilled call: not filled within the slippage budget",
    ]


def test_without_repricing_an_entry_has_one_try_with_the_whole_budget():
    """`entry_reprices_max = 0`: one limit, five percent above the ask."""
    script = market().option("C400", "10:31:00.1", 1.43, 1.47)

    told = script.play(until="10:31:05", **UNTOUCHED)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.47 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.47 of :00.250, 10 held",
    ]


def test_the_limit_stops_at_the_dearest_price():
    """`max_contract_price = 1.41` caps the budget."""
    script = market()

    told = script.play(until="10:31", scalp={"max_contract_price": 1.41})

    assert told[2] == "10:31:00.000 order 0e1 buy 10 C400 at 1.41 (signal)"


def test_below_three_dollars_the_grid_is_a_cent_and_above_five():
    """2.96 asked: 3.108 stands between 3.10 and 3.15; at 2.96 and 1.67 percent it is 3.00, one step of 0.05."""
    script = market(quote=(2.90, 2.96)).option("C400", "10:31:00.1", 3.20, 3.25)

    limits = [each["limit_e4"] / 10_000 for each in perform(script, until="10:31:05").of("order")]

    assert limits == [3.0, 3.05, 3.1]


def test_a_partial_fill_is_completed_by_the_next_quote():
    """Four are shown at the arrival, six more at another price within the limit."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.7", 1.37, 1.41, (50, 20))

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:00.750 fill 0e1 6 at 1.41 of :00.700, 10 held",
    ]


def test_what_is_missing_is_repriced_and_what_is_held_is_watched():
    """Four of ten are bought; the remainder follows the ask within the budget of the first decision."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.9", 1.40, 1.44, (50, 50))

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1 with 4 filled: taken back",
        "10:31:01.300 order 0e2 buy 6 C400 at 1.44 (remainder)",
        "10:31:01.600 accepted 0e2",
        "10:31:01.600 fill 0e2 6 at 1.44 of :01.550, 10 held",
    ]


def test_a_part_that_stays_alone_is_held():
    """The budget is used up with four of ten bought: four are the position, and leave as one."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.9", 1.60, 1.64, (50, 50)).option("C400", "10:31:20", 1.82, 1.86)

    told = script.play(until="10:31:30")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.300 cancelled 0e1 with 4 filled: taken back",
        "10:31:01.300 order 0e2 buy 6 C400 at 1.44 (remainder)",
        "10:31:01.600 accepted 0e2",
        "10:31:02.300 cancel 0e2: reprice",
        "10:31:02.600 cancelled 0e2: taken back",
        "10:31:02.600 order 0e3 buy 6 C400 at 1.47 (remainder)",
        "10:31:02.900 accepted 0e3",
        "10:31:03.600 cancel 0e3: reprice",
        "10:31:03.900 cancelled 0e3: taken back",
        "10:31:20.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:20.000 order 0x1 sell 4 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:20.300 accepted 0x1",
        "10:31:20.300 fill 0x1 4 at 1.82 of :20.250, 0 held",
        "10:31:20.300 trade 4 C400 TAKE_PROFIT +168.00",
    ]


def test_an_order_fills_after_its_cancel_was_sent_and_before_it_arrives():
    """The cancel leaves at 1.000 and arrives at 1.250; the ask comes down at 1.100: it is bought."""
    script = market().option("C400", "10:31:00.1", 1.40, 1.44).option("C400", "10:31:01.1", 1.38, 1.42)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.150 fill 0e1 10 at 1.42 of :01.100, 10 held",
    ]


def test_part_of_an_order_fills_before_its_cancel_arrives():
    """Four come in the race; the cancel takes the other six back, and they are tried again."""
    script = market().option("C400", "10:31:00.1", 1.40, 1.44).option("C400", "10:31:01.1", 1.38, 1.42, (50, 4))

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.150 fill 0e1 4 at 1.42 of :01.100, 4 held",
        "10:31:01.300 cancelled 0e1 with 4 filled: taken back",
        "10:31:01.300 order 0e2 buy 6 C400 at 1.44 (remainder)",
        "10:31:01.600 accepted 0e2",
        "10:31:02.300 cancel 0e2: reprice",
        "10:31:02.600 cancelled 0e2: taken back",
        "10:31:02.600 order 0e3 buy 6 C400 at 1.47 (remainder)",
        "10:31:02.900 accepted 0e3",
        "10:31:03.600 cancel 0e3: reprice",
        "10:31:03.900 cancelled 0e3: taken back",
    ]


def test_the_target_is_met_while_the_entry_still_works():
    """Four of ten are held when the bid reaches the target: the entry is taken back first, then four are sold."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4)).option("C400", "10:31:00.8", 1.82, 1.86)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:00.800 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:00.800 cancel 0e1: exit",
        "10:31:01.100 cancelled 0e1 with 4 filled: taken back",
        "10:31:01.100 order 0x1 sell 4 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:01.400 accepted 0x1",
        "10:31:01.400 fill 0x1 4 at 1.82 of :01.350, 0 held",
        "10:31:01.400 trade 4 C400 TAKE_PROFIT +168.00",
    ]


def test_what_fills_while_the_entry_is_taken_back_is_sold_too():
    """The exit is decided with four held; two more fill before the cancel arrives: six are sold."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.5", 1.19, 1.23, (50, 0)).option("C400", "10:31:00.9", 1.19, 1.23, (50, 2))

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:00.500 stop begins at bid 1.19, -15.0%",
        "10:31:00.800 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:00.800 cancel 0e1: exit",
        "10:31:00.950 fill 0e1 2 at 1.23 of :00.900, 6 held",
        "10:31:01.100 cancelled 0e1 with 6 filled: taken back",
        "10:31:01.100 order 0x1 sell 6 C400 at 1.19 (STOP_LOSS)",
        "10:31:01.400 accepted 0x1",
        "10:31:01.400 fill 0x1 6 at 1.19 of :01.350, 0 held",
        "10:31:01.400 trade 6 C400 STOP_LOSS -92.00",
    ]


def test_a_limit_is_a_whole_tick_above_an_ask_off_the_grid():
    """3.26 asked where the grid is 0.05: the limit is 3.30, never below the ask."""
    script = market(Contract("C400", 0.35), quote=(3.20, 3.26))

    told = script.play(until="10:31", risk={"slippage_budget_pct": 0.0})

    assert told[2] == "10:31:00.000 order 0e1 buy 10 C400 at 3.30 (signal)"


def test_how_rows_are_cut_into_batches_changes_nothing():
    """One row at a time or all at once: the same decisions."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4)).option("C400", "10:31:00.8", 1.82, 1.86)

    told = [script.play(until="10:31:30", batch_rows=rows) for rows in (0, 1, 7)]

    assert told[1] == told[0]
    assert told[2] == told[0]
    assert told[0][:3] == BOUGHT[:3]
