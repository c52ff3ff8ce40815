"""From a trigger to a signal, a refusal or a miss: what is offered, how often, and what is written down."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, CALL, market, perform

WIDE = (1.20, 1.40)
"""15.4 percent of the mid: refused for its spread."""


def test_a_transient_refusal_is_offered_again_and_becomes_a_signal():
    """The spread is too wide at three instants, journalled once, then narrows within the patience."""
    script = market(quote=WIDE).option("C400", "10:31:00.5", 1.36, 1.40)

    told = script.play(scalp={"eval_interval_ms": 200})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:00.600 signal call C400 x10 at 1.40",
        "10:31:00.600 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.900 accepted 0e1",
        "10:31:00.900 fill 0e1 10 at 1.40 of :00.850, 10 held",
    ]


def test_each_reason_is_written_down_once():
    """First too wide, then no size, then too wide again: two refusals; the second reason is the last."""
    script = market(CALL, quote=WIDE)
    script.option("C400", "10:31:00.5", 1.36, 1.40, (50, 0))
    script.option("C400", "10:31:01.1", 1.20, 1.40)
    script.option("C400", "10:31:01.7", 1.36, 1.40, (50, 0))

    told = script.play(scalp={"eval_interval_ms": 200})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:00.600 refusal call ask_size: 0 against 1 (C400)",
        "10:31:02.200 missed momentum_burst call after 11 offers: ask_size",
    ]


def test_when_the_patience_ends_the_trigger_is_missed_with_its_last_reason():
    """Two seconds after the rise, the bound included, at eleven instants of 200 ms; then it is over."""
    script = market(quote=WIDE).option("C400", "10:31:02.1", 1.36, 1.40)

    told = script.play(scalp={"eval_interval_ms": 200})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:02.200 missed momentum_burst call after 11 offers: spread",
    ]


def test_a_quote_that_becomes_good_at_the_last_instant_of_the_patience_is_taken():
    """An instant exactly `signal_patience_ms` after the rise is still offered."""
    script = market(quote=WIDE).option("C400", "10:31:02", 1.36, 1.40)

    told = script.play(scalp={"eval_interval_ms": 200}, **AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:02.000 signal call C400 x10 at 1.40",
        "10:31:02.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:02.000 accepted 0e1",
        "10:31:02.000 fill 0e1 10 at 1.40 of :02.000, 10 held",
    ]


def test_an_episode_is_no_longer_than_its_condition():
    """The price falls back below the threshold after one second: what is not taken by then is missed."""
    script = market(quote=WIDE).print("10:31:00.9", 400.2).print("10:31:01", 400.2)
    script.option("C400", "10:31:01.1", 1.36, 1.40)

    told = script.play(scalp={"eval_interval_ms": 200}, until="10:31:01.9")

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:01.000 missed momentum_burst call after 5 offers: spread",
    ]


def test_without_patience_a_trigger_is_offered_once():
    """`signal_patience_ms = 0`: the instant of the rise alone."""
    script = market(quote=WIDE).option("C400", "10:31:00.1", 1.36, 1.40)

    told = script.play(scalp={"eval_interval_ms": 200, "signal_patience_ms": 0})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:00.200 missed momentum_burst call after 1 offers: spread",
    ]


def test_a_standing_refusal_ends_the_episode():
    """The trigger comes in the first two minutes, without entries: one refusal, one miss, no second offer."""
    script = market()

    told = script.play(gates={"first_entry_minutes": 2.0})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call session_window: 1 against 2 (too early)",
        "10:31:00.000 missed momentum_burst call after 1 offers: session_window",
    ]


def test_a_standing_reason_ends_an_episode_that_was_waiting():
    """A wide spread waits; the halt of the stock does not."""
    script = market(quote=WIDE).halt("10:31:01.5")

    told = script.play(scalp={"eval_interval_ms": 200})

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 refusal call spread: 15.3846 against 5 (C400)",
        "10:31:01.500 halt begins TSLA",
        "10:31:01.600 refusal call halt: 0 against 60 (halted now)",
        "10:31:01.600 missed momentum_burst call after 9 offers: halt",
    ]


def test_a_refused_trigger_does_not_block_one_below_it():
    """A burst is refused for its confidence; the breakout of yesterday's high at the same instant is bought."""
    script = market()
    script.note("10:29:30", "previous_levels", {"high_e4": 4_004_000, "low_e4": 3_900_000, "close_e4": 3_950_000})
    settings = {
        "trigger_breakout": True,
        "breakout_hold_ms": 0,
        "level_rearm_s": 30,
        "confidence_base_momentum_burst": 10,
        "confidence_base_breakout": 90,
        "confidence_momentum_weight": 0.0,
        "confidence_min": 50,
    }

    told = script.play(scalp=settings, **AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        "10:31:00.000 refusal call confidence: 10 against 50 (too low)",
        "10:31:00.000 missed momentum_burst call after 1 offers: confidence",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 accepted 0e1",
        "10:31:00.000 fill 0e1 10 at 1.40 of :00.000, 10 held",
    ]


def test_a_trigger_above_goes_first_and_makes_the_one_below_wait():
    """Burst and breakout rise together: the burst becomes the signal and its scalp refuses the breakout."""
    script = market()
    script.note("10:29:30", "previous_levels", {"high_e4": 4_004_000, "low_e4": 3_900_000, "close_e4": 3_950_000})

    told = script.play(scalp={"trigger_breakout": True, "breakout_hold_ms": 0, "level_rearm_s": 30}, **AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 refusal call open_position: 1 against 1",
        "10:31:00.000 missed breakout call after 1 offers: open_position",
        "10:31:00.000 accepted 0e1",
        "10:31:00.000 fill 0e1 10 at 1.40 of :00.000, 10 held",
    ]


def test_a_trigger_that_is_switched_off_is_not_seen():
    """`trigger_momentum_burst = false`: the jump is nothing."""
    script = market()

    told = script.play(scalp={"trigger_momentum_burst": False})

    assert told == []


def test_an_episode_still_offered_at_the_end_is_missed():
    """Nothing is left open in the journal."""
    script = market(quote=WIDE)

    played = perform(script, scalp={"signal_patience_ms": 600_000}, until="10:31:02")

    assert played.told[-1] == "10:31:02.000 missed momentum_burst call after 3 offers: spread"
    assert played.end["refusals"] == {"spread": 1}


def test_triggers_only_writes_triggers_and_nothing_else():
    """No chain is needed, nothing is refused and nothing bought."""
    script = market(quote=None)

    told = script.play(triggers_only=True)

    assert told == ["10:31:00.000 trigger momentum_burst call"]


def test_confidence_is_the_base_and_what_speaks_for_it():
    """50 for a burst, 25 for a move of twice the threshold or more, 10 for a sweep on its side; no volume asked."""
    plain = market()
    swept = market()
    for number in range(3):
        swept.option_print("C400", f"10:30:50.{number}", 1.40 + number / 100, 60)

    signals = [perform(each, scalp={"sweep_gap_ms_max": 200}).of("signal")[0] for each in (plain, swept)]

    assert [each["confidence"] for each in signals] == [75, 85]


def test_confidence_counts_half_a_move():
    """The move is a quarter percent; against a threshold of 0.2 that is 1.25 times: 6.25 points of 25."""
    script = market()

    signal = perform(script, scalp={"momentum_threshold_pct": 0.2}).of("signal")[0]

    assert signal["confidence"] == 56
