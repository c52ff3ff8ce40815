"""When a simulated order fills: the quote it meets, the size that is there, and what fills nothing."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, CALL, market, perform


def test_a_quote_received_at_the_arrival_fills_the_order():
    """The last quote with a receive time at or before the arrival counts: 1.42 at 10:31:00.250."""
    script = market().option("C400", "10:31:00.25", 1.38, 1.42).option("C400", "10:31:00.250001", 1.36, 1.40)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.42 of :00.250, 10 held",
    ]


def test_an_ask_above_the_limit_is_waited_for():
    """At the arrival 1.43 is asked, above the limit of 1.42; the next quote is not."""
    script = market().option("C400", "10:31:00.2", 1.39, 1.43).option("C400", "10:31:00.6", 1.38, 1.42)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.650 fill 0e1 10 at 1.42 of :00.600, 10 held",
    ]


def test_the_displayed_size_is_taken_once():
    """Four are shown at 1.40 again and again: they are the same four while the price stands."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    for tenth in range(4, 8):
        script.option("C400", f"10:31:00.{tenth}", 1.36, 1.40, (50 + tenth, 4))

    told = script.play(until="10:31:00.95")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
    ]


def test_more_size_at_the_same_price_is_new_size():
    """Seven are shown where four were taken: three are there to take."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.4", 1.36, 1.40, (50, 7))

    told = script.play(until="10:31:00.95")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:00.450 fill 0e1 3 at 1.40 of :00.400, 7 held",
    ]


def test_another_price_is_other_size():
    """The ask moves away, beyond the limit, and comes back with four: they are another four."""
    script = market().option("C400", "10:31:00.1", 1.36, 1.40, (50, 4))
    script.option("C400", "10:31:00.4", 1.46, 1.50, (50, 4)).option("C400", "10:31:00.5", 1.36, 1.40, (50, 4))

    told = script.play(until="10:31:00.95")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 4 at 1.40 of :00.250, 4 held",
        "10:31:00.550 fill 0e1 4 at 1.40 of :00.500, 8 held",
    ]


def test_what_was_taken_is_forgotten_once_the_price_moved_though_nothing_worked_meanwhile():
    """Ten of ten were taken at 1.40; the ask moved and came back before the second scalp: ten are there again."""
    script = market(CALL, jumps={"10:31:00": 1.0, "10:32:30": 1.0}, sizes=(50, 10))
    script.option("C400", "10:31:10", 1.82, 1.86).option("C400", "10:31:40", 1.36, 1.40, (50, 10))

    played = perform(script, until="10:32:40", **AT_ONCE)

    assert [each["quantity"] for each in played.of("fill") if each["leg"] == "entry"] == [10, 10]


def test_what_was_taken_stays_taken_while_the_price_stands():
    """The bid alone moved: the ten contracts at 1.40 are gone, the second scalp finds none."""
    script = market(CALL, jumps={"10:31:00": 1.0, "10:32:30": 1.0}, sizes=(50, 10))
    script.option("C400", "10:31:10", 1.37, 1.40, (60, 10))

    settings = {"max_hold_minutes": 0.5, "cooldown_after_loss_minutes": 0.0}

    played = perform(script, until="10:32:31.5", scalp=settings, **AT_ONCE)

    assert [each["quantity"] for each in played.of("fill") if each["leg"] == "entry"] == [10]
    assert played.told[-1] == "10:32:31.000 accepted 1e2"


def test_nothing_fills_on_a_crossed_quote():
    """Bid above ask: whoever shows this is late."""
    script = market().option("C400", "10:31:00.1", 1.42, 1.40).option("C400", "10:31:00.7", 1.36, 1.40)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.750 fill 0e1 10 at 1.40 of :00.700, 10 held",
    ]


def test_nothing_fills_on_a_quote_that_is_too_old():
    """The quote of 10:30:00.6 is older than 60 s when the order arrives; the next one fills it."""
    script = market().option("C400", "10:31:00.7", 1.36, 1.40)

    told = script.play(until="10:31:05", simulated_broker={"quote_age_ms_max": 60_000, "order_latency_ms": 650.0})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.700 accepted 0e1",
        "10:31:00.750 fill 0e1 10 at 1.40 of :00.700, 10 held",
    ]


def test_nothing_fills_while_the_contract_is_halted():
    """Quotes keep coming during a halt; the first after it fills."""
    script = market().halt("10:31:00.1", "10:31:00.6", "C400")
    script.option("C400", "10:31:00.4", 1.36, 1.40).option("C400", "10:31:00.7", 1.37, 1.41)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.100 halt begins C400",
        "10:31:00.300 accepted 0e1",
        "10:31:00.600 halt ends C400",
        "10:31:00.750 fill 0e1 10 at 1.41 of :00.700, 10 held",
    ]


def test_nothing_fills_while_the_stock_is_halted():
    """A halt of the stock halts its options."""
    script = market().halt("10:31:00.1", "10:31:00.6")
    script.option("C400", "10:31:00.4", 1.36, 1.40).option("C400", "10:31:00.7", 1.37, 1.41)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.100 halt begins TSLA",
        "10:31:00.300 accepted 0e1",
        "10:31:00.600 halt ends TSLA",
        "10:31:00.750 fill 0e1 10 at 1.41 of :00.700, 10 held",
    ]


def test_nothing_fills_while_option_quotes_are_blind():
    """With `gaps = "ignore"` the order keeps working; what fills it is seen after the gap."""
    script = market().gap("10:31:00.1", "10:31:00.6").option("C400", "10:31:00.7", 1.37, 1.41)

    told = script.play(until="10:31:05", replay={"gaps": "ignore"})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.100 gap begins option_quotes",
        "10:31:00.300 accepted 0e1",
        "10:31:00.600 gap ends option_quotes",
        "10:31:00.750 fill 0e1 10 at 1.41 of :00.700, 10 held",
    ]


def test_nothing_fills_on_a_quote_from_before_a_gap():
    """The order arrives after the gap: what the market shows now is known with the next quote."""
    script = market().gap("10:31:00.1", "10:31:00.2").option("C400", "10:31:00.7", 1.37, 1.41)

    told = script.play(until="10:31:05", replay={"gaps": "ignore"})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.100 gap begins option_quotes",
        "10:31:00.200 gap ends option_quotes",
        "10:31:00.300 accepted 0e1",
        "10:31:00.750 fill 0e1 10 at 1.41 of :00.700, 10 held",
    ]


def test_nothing_fills_on_a_quote_from_before_a_halt():
    """The order arrives after the halt of the stock: the old quote is nobody's price."""
    script = market().halt("10:31:00.1", "10:31:00.2").option("C400", "10:31:00.7", 1.37, 1.41)

    told = script.play(until="10:31:05")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.100 halt begins TSLA",
        "10:31:00.200 halt ends TSLA",
        "10:31:00.300 accepted 0e1",
        "10:31:00.750 fill 0e1 10 at 1.41 of :00.700, 10 held",
    ]
