"""When a position ends: stop, target, trailing stop, time, reversal, stalled, flatten, and which goes first."""

from __future__ import annotations

from tests.scenario.world import AT_ONCE, BOUGHT, BOUGHT_AT_ONCE, BURST, CALL, PUT, TO_THE_CLOSE, market, perform


def test_a_burst_becomes_a_trade_that_ends_at_its_target():
    """A jump of a quarter percent buys the contract; a bid 30 percent above the premium paid sells it."""
    script = market().option("C400", "10:31:10.1", 1.82, 1.86)

    told = script.play()

    assert told == [
        *BOUGHT,
        "10:31:10.100 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.100 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.400 accepted 0x1",
        "10:31:10.400 fill 0x1 10 at 1.82 of :10.350, 0 held",
        "10:31:10.400 trade 10 C400 TAKE_PROFIT +420.00",
    ]


def test_a_fall_buys_a_put():
    """The same jump downwards is a burst of the put side and buys the put."""
    script = market(jumps={BURST: -1.0}).option("P400", "10:31:10.1", 1.82, 1.86)

    told = script.play(**AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst put",
        "10:31:00.000 signal put P400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 P400 at 1.42 (signal)",
        "10:31:00.000 accepted 0e1",
        "10:31:00.000 fill 0e1 10 at 1.40 of :00.000, 10 held",
        "10:31:10.100 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.100 order 0x1 sell 10 P400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.100 accepted 0x1",
        "10:31:10.100 fill 0x1 10 at 1.82 of :10.100, 0 held",
        "10:31:10.100 trade 10 P400 TAKE_PROFIT +420.00",
    ]


def test_a_bid_one_cent_short_of_the_target_sells_nothing():
    """30 percent above 1.40 is 1.82; 1.81 is not there yet."""
    script = market().option("C400", "10:31:10.1", 1.81, 1.86)

    told = script.play(**AT_ONCE)

    assert told == [*BOUGHT_AT_ONCE]


def test_a_stop_that_flickers_does_not_sell():
    """A bid 15 percent below the premium that recovers within 300 ms is noise of a same-day quote."""
    script = market().option("C400", "10:31:10.1", 1.19, 1.23).option("C400", "10:31:10.399", 1.20, 1.24)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.399 stop recovers at bid 1.20, -14.3%",
    ]


def test_a_stop_that_stands_is_decided_at_its_deadline_without_a_further_quote():
    """300 ms after the bid met the stop it is sold, though nothing was received meanwhile."""
    script = market().option("C400", "10:31:10.1", 1.19, 1.23)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.400 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:10.400 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:10.400 fill 0x1 10 at 1.19 of :10.400, 0 held",
        "10:31:10.400 trade 10 C400 STOP_LOSS -210.00",
    ]


def test_a_stop_confirms_from_the_first_bid_that_met_it():
    """A lower bid does not start the 300 ms anew; the exit tells the bid that stands at the deadline."""
    script = market().option("C400", "10:31:10.1", 1.19, 1.23).option("C400", "10:31:10.3", 1.15, 1.19)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.400 exit STOP_LOSS: -17.8571 against -15, bid 1.15",
        "10:31:10.400 order 0x1 sell 10 C400 at 1.15 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:10.400 fill 0x1 10 at 1.15 of :10.400, 0 held",
        "10:31:10.400 trade 10 C400 STOP_LOSS -250.00",
    ]


def test_a_stop_that_recovered_starts_anew():
    """The condition must hold at every valid quote; after a recovery its 300 ms begin again."""
    script = market()
    script.option("C400", "10:31:10.1", 1.19, 1.23)
    script.option("C400", "10:31:10.3", 1.20, 1.24)
    script.option("C400", "10:31:10.35", 1.19, 1.23)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.300 stop recovers at bid 1.20, -14.3%",
        "10:31:10.350 stop begins at bid 1.19, -15.0%",
        "10:31:10.650 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:10.650 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:10.650 accepted 0x1",
        "10:31:10.650 fill 0x1 10 at 1.19 of :10.650, 0 held",
        "10:31:10.650 trade 10 C400 STOP_LOSS -210.00",
    ]


def test_a_stop_without_confirmation_sells_at_once():
    """`stop_confirm_ms = 0`: the quote row that meets the stop decides."""
    script = market().option("C400", "10:31:10.1", 1.19, 1.23)

    told = script.play(exits={"stop_confirm_ms": 0}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.100 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:10.100 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:10.100 accepted 0x1",
        "10:31:10.100 fill 0x1 10 at 1.19 of :10.100, 0 held",
        "10:31:10.100 trade 10 C400 STOP_LOSS -210.00",
    ]


def test_an_absent_bid_counts_as_zero():
    """Nobody bids: the position is worth nothing, so the stop stands; a bid that comes back is sold to."""
    script = market().option("C400", "10:31:10.1", 0.0, 1.40).option("C400", "10:31:11.7", 0.90, 1.40)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 0.00, -100.0%",
        "10:31:10.400 exit STOP_LOSS: -100 against -15, bid 0.00",
        "10:31:10.400 order 0x1 sell 10 C400 at 0.01 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:11.400 cancel 0x1: reprice",
        "10:31:11.400 cancelled 0x1: taken back",
        "10:31:11.400 order 0x2 sell 10 C400 at 0.01 (STOP_LOSS)",
        "10:31:11.400 accepted 0x2",
        "10:31:11.700 fill 0x2 10 at 0.90 of :11.700, 0 held",
        "10:31:11.700 trade 10 C400 STOP_LOSS -500.00",
    ]


def test_a_crossed_quote_says_nothing():
    """A bid above its ask meets neither target nor stop."""
    script = market().option("C400", "10:31:10.1", 1.90, 1.86).option("C400", "10:31:10.2", 0.90, 0.80)

    told = script.play(**AT_ONCE)

    assert told == [*BOUGHT_AT_ONCE]


def test_a_crossed_quote_neither_confirms_nor_recovers_a_stop():
    """The stop stands through it; at the deadline the last bid that met it is told, not the crossed one."""
    script = market().option("C400", "10:31:10.1", 1.19, 1.23).option("C400", "10:31:10.3", 1.90, 1.86)
    script.option("C400", "10:31:10.5", 1.18, 1.22)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.400 exit STOP_LOSS: -15 against -15, bid 1.90",
        "10:31:10.400 order 0x1 sell 10 C400 at 1.90 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:11.400 cancel 0x1: reprice",
        "10:31:11.400 cancelled 0x1: taken back",
        "10:31:11.400 order 0x2 sell 10 C400 at 1.18 (STOP_LOSS)",
        "10:31:11.400 accepted 0x2",
        "10:31:11.400 fill 0x2 10 at 1.18 of :11.400, 0 held",
        "10:31:11.400 trade 10 C400 STOP_LOSS -220.00",
    ]


def test_a_locked_quote_meets_the_target():
    """Bid equal to ask is valid: one can sell to it."""
    script = market().option("C400", "10:31:10.1", 1.82, 1.82)

    told = script.play(**AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.100 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.100 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.100 accepted 0x1",
        "10:31:10.100 fill 0x1 10 at 1.82 of :10.100, 0 held",
        "10:31:10.100 trade 10 C400 TAKE_PROFIT +420.00",
    ]


def test_the_quote_that_stands_when_a_position_opens_counts():
    """The bid fell to the stop before the fill was known; no further quote is needed."""
    script = market().option("C400", "10:31:00.28", 1.10, 1.40)

    told = script.play()

    assert told == [
        *BOUGHT,
        "10:31:00.300 stop begins at bid 1.10, -21.4%",
        "10:31:00.600 exit STOP_LOSS: -21.4286 against -15, bid 1.10",
        "10:31:00.600 order 0x1 sell 10 C400 at 1.10 (STOP_LOSS)",
        "10:31:00.900 accepted 0x1",
        "10:31:00.900 fill 0x1 10 at 1.10 of :00.850, 0 held",
        "10:31:00.900 trade 10 C400 STOP_LOSS -300.00",
    ]


def test_time_ends_a_position_at_an_instant():
    """Half a minute after the first fill was known (10:31:00.300), at the next instant of the 200 ms grid."""
    script = market()

    told = script.play(scalp={"max_hold_minutes": 0.5, "eval_interval_ms": 200})

    assert told == [
        *BOUGHT,
        "10:31:30.400 exit TIME_EXIT: 30.1 against 30, bid 1.36",
        "10:31:30.400 order 0x1 sell 10 C400 at 1.36 (TIME_EXIT)",
        "10:31:30.700 accepted 0x1",
        "10:31:30.700 fill 0x1 10 at 1.36 of :30.650, 0 held",
        "10:31:30.700 trade 10 C400 TIME_EXIT -40.00",
    ]


def test_momentum_that_turns_ends_a_position():
    """`reversal_enabled`: half the threshold against it over 15 s sells."""
    script = market().print("10:31:21", 400.7)

    told = script.play(exits={"reversal_enabled": True}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:21.000 exit MOMENTUM_REVERSED: -0.074813 against -0.05, bid 1.36",
        "10:31:21.000 order 0x1 sell 10 C400 at 1.36 (MOMENTUM_REVERSED)",
        "10:31:21.000 accepted 0x1",
        "10:31:21.000 fill 0x1 10 at 1.36 of :21.000, 0 held",
        "10:31:21.000 trade 10 C400 MOMENTUM_REVERSED -40.00",
    ]


def test_momentum_is_not_asked_before_ten_seconds_held():
    """It has turned seven seconds after the fill; the exit waits until ten are over."""
    script = market()
    for second in range(7, 20):
        script.print(f"10:31:{second:02d}", 400.7)

    told = script.play(exits={"reversal_enabled": True, "reversal_window_seconds": 5}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:10.000 exit MOMENTUM_REVERSED: -0.074813 against -0.05, bid 1.36",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.36 (MOMENTUM_REVERSED)",
        "10:31:10.000 accepted 0x1",
        "10:31:10.000 fill 0x1 10 at 1.36 of :10.000, 0 held",
        "10:31:10.000 trade 10 C400 MOMENTUM_REVERSED -40.00",
    ]


def test_momentum_that_turns_is_ignored_by_default():
    """The reversal exit is off unless asked for."""
    script = market().print("10:31:21", 400.7)

    told = script.play(**AT_ONCE)

    assert told == [*BOUGHT_AT_ONCE]


def test_a_stalled_position_is_sold():
    """`stalled_after_minutes`: not in profit after twelve seconds."""
    script = market().option("C400", "10:31:05", 1.40, 1.44)

    told = script.play(exits={"stalled_after_minutes": 0.2}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:12.000 exit STALLED: 0 against 0, bid 1.40",
        "10:31:12.000 order 0x1 sell 10 C400 at 1.40 (STALLED)",
        "10:31:12.000 accepted 0x1",
        "10:31:12.000 fill 0x1 10 at 1.40 of :12.000, 0 held",
        "10:31:12.000 trade 10 C400 STALLED +0.00",
    ]


def test_a_position_in_profit_when_asked_is_not_stalled_later():
    """The question is put once: what was in profit then may come back without being sold for it."""
    script = market().option("C400", "10:31:05", 1.41, 1.45).option("C400", "10:31:20", 1.30, 1.34)

    told = script.play(exits={"stalled_after_minutes": 0.2}, **AT_ONCE)

    assert told == [*BOUGHT_AT_ONCE]


def test_a_trailing_stop_follows_the_best_bid():
    """Ten percent below the best bid since entry (1.70) is 1.53."""
    script = market()
    script.option("C400", "10:31:10", 1.70, 1.74)
    script.option("C400", "10:31:11", 1.54, 1.58)
    script.option("C400", "10:31:12", 1.53, 1.57)

    told = script.play(exits={"trailing_stop_pct": 10.0}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:12.000 exit TRAILING_STOP: -10 against -10, bid 1.53",
        "10:31:12.000 order 0x1 sell 10 C400 at 1.53 (TRAILING_STOP)",
        "10:31:12.000 accepted 0x1",
        "10:31:12.000 fill 0x1 10 at 1.53 of :12.000, 0 held",
        "10:31:12.000 trade 10 C400 TRAILING_STOP +130.00",
    ]


def test_the_flatten_time_sells_everything():
    """One minute before the close, whatever the position is worth."""
    script = market()

    told = script.play(until=TO_THE_CLOSE, scalp={"max_hold_minutes": 60.0}, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:39:00.000 exit FLATTEN: 1 against 1, bid 1.36",
        "10:39:00.000 order 0x1 sell 10 C400 at 1.36 (FLATTEN)",
        "10:39:00.000 accepted 0x1",
        "10:39:00.000 fill 0x1 10 at 1.36 of :00.000, 0 held",
        "10:39:00.000 trade 10 C400 FLATTEN -40.00",
    ]


def test_the_extremes_of_a_trade_are_those_of_the_bid_while_it_was_held():
    """A low bid before the first fill was known is not the trade's; nor is a crossed one."""
    script = market(CALL, PUT)
    script.option("C400", "10:31:00.1", 1.30, 1.40)
    script.option("C400", "10:31:00.29", 1.36, 1.40)
    script.option("C400", "10:31:05", 1.33, 1.40)
    script.option("C400", "10:31:06", 1.75, 1.70)
    script.option("C400", "10:31:07", 1.54, 1.58)
    script.option("C400", "10:31:10", 1.82, 1.86)

    trade = perform(script).of("trade")[0]

    assert (round(trade["mae_pct"], 6), round(trade["mfe_pct"], 6)) == (-5.0, 30.0)
