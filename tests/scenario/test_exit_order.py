"""Which exit gives the reason when several fall due at once: stop, target, time, reversal; flatten overrides."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, BOUGHT_AT_ONCE, TO_THE_CLOSE, market, perform


def test_flatten_overrides_time():
    """Both fall due at 10:39: the flatten time gives the reason."""
    script = market()

    told = script.play(until=TO_THE_CLOSE, scalp={"max_hold_minutes": 8.0}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:39:00.000 exit FLATTEN: 1 against 1, bid 1.36",
        "10:39:00.000 order 0x1 sell 10 C400 at 1.36 (FLATTEN)",
        "10:39:00.000 accepted 0x1",
        "10:39:00.000 fill 0x1 10 at 1.36 of :00.000, 0 held",
        "10:39:00.000 trade 10 C400 FLATTEN -40.00",
    ]


def test_a_target_met_at_the_instant_of_the_time_exit_goes_first():
    """Rows of one time are folded before its instant, so the quote's target is decided before the clock."""
    script = market().option("C400", "10:31:30", 1.82, 1.86)

    told = script.play(scalp={"max_hold_minutes": 0.5}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:30.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:30.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:30.000 accepted 0x1",
        "10:31:30.000 fill 0x1 10 at 1.82 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 TAKE_PROFIT +420.00",
    ]


def test_a_stop_confirmed_at_the_instant_of_the_time_exit_goes_first():
    """The deadline of the stop and the end of the holding time fall on 10:31:30: the stop gives the reason."""
    script = market().option("C400", "10:31:29.7", 1.19, 1.23)

    told = script.play(scalp={"max_hold_minutes": 0.5}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:29.700 stop begins at bid 1.19, -15.0%",
        "10:31:30.000 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:30.000 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:30.000 accepted 0x1",
        "10:31:30.000 fill 0x1 10 at 1.19 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 STOP_LOSS -210.00",
    ]


def test_a_stop_not_yet_confirmed_leaves_the_time_exit_its_turn():
    """The stop stands since 10:31:29.8 and would be confirmed at 30.1; time is over at 30.0."""
    script = market().option("C400", "10:31:29.8", 1.19, 1.23)

    told = script.play(scalp={"max_hold_minutes": 0.5}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:29.800 stop begins at bid 1.19, -15.0%",
        "10:31:30.000 exit TIME_EXIT: 30 against 30, bid 1.19",
        "10:31:30.000 order 0x1 sell 10 C400 at 1.19 (TIME_EXIT)",
        "10:31:30.000 accepted 0x1",
        "10:31:30.000 fill 0x1 10 at 1.19 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 TIME_EXIT -210.00",
    ]


def test_time_goes_before_reversal_and_reversal_before_stalled():
    """All three fall due at one instant; without time the reversal gives the reason, without it stalled does."""
    script = market().print("10:31:30", 400.7)
    all_three = {"reversal_enabled": True, "stalled_after_minutes": 0.5}
    in_time = {"max_hold_minutes": 0.5}

    reasons = [
        perform(script, exits=exits, scalp=scalp, **AT_ONCE).of("exit")[0]["reason"]
        for exits, scalp in (
            (all_three, in_time),
            (all_three, {}),
            ({"stalled_after_minutes": 0.5}, {}),
        )
    ]

    assert reasons == ["TIME_EXIT", "MOMENTUM_REVERSED", "STALLED"]
