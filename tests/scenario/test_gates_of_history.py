"""Reasons to wait that come from what the session did before: losses, counts, distance, what is open."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, BOUGHT_AT_ONCE, BURST, Script, market

ONE_OFFER = {"signal_patience_ms": 0}
TWICE = {BURST: 1.0, "10:32:00": 1.0}
"""The same burst again, a minute later."""


def lost(*, jumps: dict[str, float]) -> Script:
    """The first burst's trade loses 210 USD at 10:31:10.400."""
    return market(jumps=jumps).option("C400", "10:31:10.1", 1.19, 1.23).option("C400", "10:31:12", 1.36, 1.40)


def test_the_loss_of_the_day_ends_entries():
    """The first trade lost 210 USD, 200 are allowed: the second burst is refused."""
    script = lost(jumps=TWICE)

    told = script.play(
        until="10:32:30",
        gates={"daily_loss_usd_max": 200.0},
        scalp={"cooldown_after_loss_minutes": 0.0},
        **AT_ONCE,
    )

    assert told[-3:] == [
        "10:32:00.000 trigger momentum_burst call",
        "10:32:00.000 refusal call daily_loss: 210 against 200",
        "10:32:00.000 missed momentum_burst call after 1 offers: daily_loss",
    ]


def test_a_streak_of_losses_ends_entries():
    """One losing trade in a row, one is the limit."""
    script = lost(jumps=TWICE)

    told = script.play(
        until="10:32:30", gates={"loss_streak_max": 1}, scalp={"cooldown_after_loss_minutes": 0.0}, **AT_ONCE
    )

    assert told[-3:] == [
        "10:32:00.000 trigger momentum_burst call",
        "10:32:00.000 refusal call loss_streak: 1 against 1",
        "10:32:00.000 missed momentum_burst call after 1 offers: loss_streak",
    ]


def test_a_loss_cools_down():
    """From the closing fill at 10:31:10.400 five minutes; the next burst comes 0.83 minutes after it."""
    script = lost(jumps=TWICE)

    told = script.play(until="10:32:30", **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.400 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:10.400 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:10.400 fill 0x1 10 at 1.19 of :10.400, 0 held",
        "10:31:10.400 trade 10 C400 STOP_LOSS -210.00",
        "10:32:00.000 trigger momentum_burst call",
        "10:32:00.000 refusal call cooldown: 0.826667 against 5",
        "10:32:00.000 missed momentum_burst call after 1 offers: cooldown",
    ]


def test_the_count_of_the_day_ends_entries():
    """One scalp was opened and closed at its target; one a day is allowed."""
    script = market(jumps=TWICE).option("C400", "10:31:10", 1.82, 1.86)

    told = script.play(until="10:32:30", scalp={"max_daily_scalps": 1}, **AT_ONCE)

    assert told[-3:] == [
        "10:32:00.000 trigger momentum_burst call",
        "10:32:00.000 refusal call daily_count: 1 against 1",
        "10:32:00.000 missed momentum_burst call after 1 offers: daily_count",
    ]


def test_signals_keep_their_distance():
    """40 seconds after the last signal, 60 are asked for; the first trade is long closed."""
    script = market(jumps={BURST: 1.0, "10:31:40": 1.0}).option("C400", "10:31:10", 1.82, 1.86)

    told = script.play(**AT_ONCE)

    assert told[-3:] == [
        "10:31:40.000 trigger momentum_burst call",
        "10:31:40.000 refusal call signal_interval: 40 against 60",
        "10:31:40.000 missed momentum_burst call after 1 offers: signal_interval",
    ]


def test_a_refusal_is_no_signal_and_starts_no_interval():
    """The first burst is refused for its spread; the next one, 40 seconds later, may trade."""
    script = market(jumps={BURST: 1.0, "10:31:40": 1.0}, quote=(1.20, 1.40)).option("C400", "10:31:30", 1.36, 1.40)

    told = script.play(scalp=ONE_OFFER, **AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:01.000 missed momentum_burst call after 1 offers: spread",
        "10:31:40.000 trigger momentum_burst call",
        "10:31:40.000 signal call C400 x10 at 1.40",
        "10:31:40.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:40.000 accepted 0e1",
        "10:31:40.000 fill 0e1 10 at 1.40 of :40.000, 10 held",
    ]


def test_the_same_trigger_and_side_is_no_second_signal_while_the_first_is_open():
    """Two scalps are allowed; the second burst of the same side is a duplicate of the first."""
    script = market(jumps=TWICE)

    told = script.play(until="10:32:30", scalp={"max_concurrent_scalps": 2}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:32:00.000 trigger momentum_burst call",
        "10:32:00.000 refusal call duplicate: 1 against 0 (the same trigger and side works or is open)",
        "10:32:00.000 missed momentum_burst call after 1 offers: duplicate",
    ]


def test_an_open_scalp_refuses_another_side():
    """A burst down while the call is held: one scalp at a time."""
    script = market(jumps={BURST: 1.0, "10:32:00": -1.0})

    told = script.play(until="10:32:30", **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:32:00.000 trigger momentum_burst put",
        "10:32:00.000 refusal put open_position: 1 against 1",
        "10:32:00.000 missed momentum_burst put after 1 offers: open_position",
    ]


def test_an_entry_that_only_works_refuses_as_well():
    """Nothing is bought yet, the ask stands above the limit; the next burst finds one scalp working."""
    script = market(jumps={BURST: 1.0, "10:31:01": -2.0}).option("C400", "10:31:00.1", 1.46, 1.50)
    settings = {"min_signal_interval_seconds": 0.0, "momentum_threshold_pct": 0.2}

    told = script.play(until="10:31:01.1", scalp=settings, risk={"reprice_after_ms": 60_000})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:01.000 trigger momentum_burst put",
        "10:31:01.000 refusal put open_position: 1 against 1",
        "10:31:01.000 missed momentum_burst put after 1 offers: open_position",
    ]
