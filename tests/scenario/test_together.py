"""Two scalps at one time, and latencies that are drawn."""

from __future__ import annotations

from typing import Any

from tests.scenario.world import AT_ONCE, BOUGHT, BOUGHT_AT_ONCE, BURST, CALL, PUT, Script, market, perform

TWO: dict[str, Any] = {"scalp": {"max_concurrent_scalps": 2, "min_signal_interval_seconds": 0.0}}
LEVELS = {"high_e4": 4_004_000, "low_e4": 3_900_000, "close_e4": 3_950_000}
BREAKOUT = {"trigger_breakout": True, "breakout_hold_ms": 0, "level_rearm_s": 30}


def burst_and_breakout(*, sizes: tuple[int, int] = (50, 50)) -> Script:
    """Both rise on the call side at 10:31:00: two scalps in one contract."""
    return market(CALL, sizes=sizes).note("10:29:30", "previous_levels", LEVELS)


def test_a_call_and_a_put_are_held_side_by_side():
    """A burst up, then one down: each scalp has its own position, target and stop."""
    script = market(CALL, PUT, jumps={BURST: 1.0, "10:31:40": -1.0})
    script.option("P400", "10:31:50", 1.82, 1.86).option("C400", "10:31:51", 1.19, 1.23)

    told = script.play(**TWO, **AT_ONCE)

    assert told == [
        *BOUGHT_AT_ONCE,
        "10:31:40.000 trigger momentum_burst put",
        "10:31:40.000 signal put P400 x10 at 1.40",
        "10:31:40.000 order 1e1 buy 10 P400 at 1.42 (signal)",
        "10:31:40.000 accepted 1e1",
        "10:31:40.000 fill 1e1 10 at 1.40 of :40.000, 10 held",
        "10:31:50.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:50.000 order 1x1 sell 10 P400 at 1.82 (TAKE_PROFIT)",
        "10:31:50.000 accepted 1x1",
        "10:31:50.000 fill 1x1 10 at 1.82 of :50.000, 0 held",
        "10:31:50.000 trade 10 P400 TAKE_PROFIT +420.00",
        "10:31:51.000 stop begins at bid 1.19, -15.0%",
        "10:31:51.300 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:51.300 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:51.300 accepted 0x1",
        "10:31:51.300 fill 0x1 10 at 1.19 of :51.300, 0 held",
        "10:31:51.300 trade 10 C400 STOP_LOSS -210.00",
    ]


def test_two_scalps_in_one_contract_share_its_size():
    """Twelve are shown at 1.40: the burst takes ten, the breakout the two that are left."""
    script = burst_and_breakout(sizes=(50, 12))
    scalp = TWO["scalp"] | BREAKOUT

    told = script.play(until="10:31:00.9", scalp=scalp)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 1e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.40 of :00.250, 10 held",
        "10:31:00.300 accepted 1e1",
        "10:31:00.300 fill 1e1 2 at 1.40 of :00.250, 2 held",
    ]


def test_two_scalps_in_one_contract_leave_by_their_own_premium():
    """One paid 1.40, the other 1.42 later: 1.82 is the target of the first, 1.85 that of the second."""
    script = burst_and_breakout(sizes=(50, 10)).option("C400", "10:31:00.5", 1.38, 1.42, (50, 50))
    script.option("C400", "10:31:20", 1.82, 1.86).option("C400", "10:31:30", 1.85, 1.89)

    told = script.play(scalp=TWO["scalp"] | BREAKOUT, **AT_ONCE)

    assert told[9:] == [
        "10:31:00.500 fill 1e1 10 at 1.42 of :00.500, 10 held",
        "10:31:20.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:20.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:20.000 accepted 0x1",
        "10:31:20.000 fill 0x1 10 at 1.82 of :20.000, 0 held",
        "10:31:20.000 trade 10 C400 TAKE_PROFIT +420.00",
        "10:31:30.000 exit TAKE_PROFIT: 30.2817 against 30, bid 1.85",
        "10:31:30.000 order 1x1 sell 10 C400 at 1.85 (TAKE_PROFIT)",
        "10:31:30.000 accepted 1x1",
        "10:31:30.000 fill 1x1 10 at 1.85 of :30.000, 0 held",
        "10:31:30.000 trade 10 C400 TAKE_PROFIT +430.00",
    ]


def test_a_second_signal_has_only_the_buying_power_the_first_left():
    """2,000 USD: the first claims 1,420 for ten at 1.42, the second can afford three at the dearest limit."""
    script = burst_and_breakout()
    settings = {"scalp": TWO["scalp"] | BREAKOUT | {"scalp_position_size_pct": 100.0}}

    signals = perform(script, until=BURST, risk={"starting_equity_usd": 2_000.0}, **settings).of("signal")

    sizes = [(each["suggested_contracts"], each["size_capped_by"]) for each in signals]
    assert sizes == [(10, "contracts_max"), (3, "buying_power")]


def test_an_entry_that_works_counts_for_the_day():
    """One scalp a day, two at a time: the second signal would make two of them."""
    script = burst_and_breakout()

    told = script.play(until=BURST, scalp=TWO["scalp"] | BREAKOUT | {"max_daily_scalps": 1})

    assert told[-2:] == [
        "10:31:00.000 refusal call daily_count: 1 against 1",
        "10:31:00.000 missed breakout call after 1 offers: daily_count",
    ]


def test_an_entry_given_up_does_not_count_for_the_day():
    """The first entry was never filled; the burst after it is the day's first scalp."""
    script = market(CALL, jumps={BURST: 1.0, "10:31:40": 1.0}).option("C400", "10:31:00.1", 1.46, 1.50)
    script.option("C400", "10:31:30", 1.36, 1.40)

    played = perform(script, scalp={"max_daily_scalps": 1, "min_signal_interval_seconds": 0.0})

    assert [len(played.of(kind)) for kind in ("signal", "unfilled", "refusal")] == [2, 1, 0]


def test_a_kill_leaves_every_scalp():
    """One is held, the other's entry works: the first is sold, the second called off."""
    script = burst_and_breakout(sizes=(50, 10)).operator("10:31:00.5", "kill")

    told = script.play(until="10:31:05", scalp=TWO["scalp"] | BREAKOUT)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 1e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.300 accepted 0e1",
        "10:31:00.300 fill 0e1 10 at 1.40 of :00.250, 10 held",
        "10:31:00.300 accepted 1e1",
        "10:31:00.500 operator kill",
        "10:31:00.500 exit OPERATOR: 0 against 0, bid 1.36",
        "10:31:00.500 order 0x1 sell 10 C400 at 1.36 (OPERATOR)",
        "10:31:00.500 cancel 1e1: operator: kill",
        "10:31:00.800 accepted 0x1",
        "10:31:00.800 fill 0x1 10 at 1.36 of :00.750, 0 held",
        "10:31:00.800 trade 10 C400 OPERATOR -40.00",
        "10:31:00.800 cancelled 1e1: taken back",
        "10:31:00.800 unfilled call: operator: kill",
    ]


def test_the_extremes_of_two_scalps_in_one_contract_are_their_own():
    """The low of 1.26 came before the second scalp was filled; the high of 1.54 both saw."""
    script = burst_and_breakout(sizes=(50, 10)).option("C400", "10:31:00.3", 1.26, 1.50)
    script.option("C400", "10:31:00.5", 1.38, 1.42).option("C400", "10:31:05", 1.54, 1.58)
    settings = {"scalp": TWO["scalp"] | BREAKOUT | {"max_hold_minutes": 0.2}}

    trades = perform(script, **settings, **AT_ONCE).of("trade")

    seen = [(each["trigger"], round(each["mae_pct"], 2), round(each["mfe_pct"], 2)) for each in trades]
    assert seen == [("momentum_burst", -10.0, 10.0), ("breakout", -2.82, 8.45)]


def test_without_latency_everything_of_one_instant_has_one_time():
    """Two signals, two orders, two fills, in the order of their making."""
    script = burst_and_breakout()

    told = script.play(until="10:31:00.9", scalp=TWO["scalp"] | BREAKOUT, **AT_ONCE)

    assert told == [
        "10:31:00.000 trigger momentum_burst call",
        "10:31:00.000 trigger breakout call",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 0e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 signal call C400 x10 at 1.40",
        "10:31:00.000 order 1e1 buy 10 C400 at 1.42 (signal)",
        "10:31:00.000 accepted 0e1",
        "10:31:00.000 fill 0e1 10 at 1.40 of :00.000, 10 held",
        "10:31:00.000 accepted 1e1",
        "10:31:00.000 fill 1e1 10 at 1.40 of :00.000, 10 held",
    ]


def test_latencies_are_drawn_by_seed():
    """The same seed draws the same latencies, another one others; all come from the file."""
    script = market()
    drawn = [(100.0, 10.0), (200.0, 20.0), (300.0, 30.0), (400.0, 40.0)]

    def fill_ns(seed: int) -> tuple[int, int]:
        played = perform(script, latencies_ms=drawn, simulated_broker={"seed": seed})
        fill, decision = played.of("fill")[0], next(each for each in played.decisions if each.kind == "fill")
        signal_ns = next(each.ts_ns for each in played.decisions if each.kind == "signal")
        return (fill["ts_market_ns"] - signal_ns) // 1_000_000, (decision.ts_ns - signal_ns) // 1_000_000

    times = [fill_ns(seed) for seed in (0, 1, 2, 3, 4, 5)]

    assert times[0] == fill_ns(0)
    assert len(set(times)) > 1
    assert set(times) <= {(100, 110), (200, 220), (300, 330), (400, 440)}


def test_a_fixed_latency_is_one_row_of_a_file():
    """A file of one row draws that row every time."""
    script = market()

    told = script.play(until="10:31:05", latencies_ms=[(250.0, 50.0)])

    assert told == BOUGHT


def test_a_cancel_does_not_overtake_its_order():
    """The order takes 1.6 s, its cancel 1 ms: it is taken back when it has arrived, and tried again."""
    script = market().option("C400", "10:31:00.1", 1.46, 1.50)
    drawn_slow_then_quick = {"latencies_ms": [(1600.0, 10.0), (1.0, 10.0)], "simulated_broker": {"seed": 1}}

    told = script.play(until="10:31:01.65", **drawn_slow_then_quick)

    assert told[3:] == [
        "10:31:01.000 cancel 0e1: reprice",
        "10:31:01.610 accepted 0e1",
        "10:31:01.610 cancelled 0e1: taken back",
        "10:31:01.610 order 0e2 buy 10 C400 at 1.44 (reprice)",
        "10:31:01.621 accepted 0e2",
    ]
