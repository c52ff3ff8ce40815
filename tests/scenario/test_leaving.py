"""How a position is sold once it is to be left: at the bid, then through it, at last at any price."""

from __future__ import annotations

from typing import Any

from tests.scenario.world import AT_ONCE, BOUGHT, CALL, TO_THE_CLOSE, Contract, Script, market, perform

TARGET = ("C400", "10:31:10", 1.82, 1.86)


def fading(script: Script, seconds: int, start: float = 1.82) -> Script:
    """From 10:31:10.1 on the bid is a cent lower before each sell order can arrive."""
    for number in range(seconds * 5):
        bid = start - 0.01 * (number + 1)
        second, part = divmod(100 + number * 200, 1000)
        script.option("C400", f"10:31:{10 + second:02d}.{part:03d}", bid, bid + 0.04)
    return script


def exits_of(script: Script, **sections: Any) -> list[str]:
    """What is told from the exit on."""
    told = script.play(**sections)
    first = next(number for number, line in enumerate(told) if " exit " in line)
    return told[first:]


def test_an_exit_that_finds_its_bid_gone_is_repriced_at_the_new_one():
    """1.82 was bid when it was decided, 1.80 when it arrives: a second later it asks for 1.80."""
    script = market().option(*TARGET).option("C400", "10:31:10.2", 1.80, 1.84)

    told = exits_of(script)

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.300 cancelled 0x1: taken back",
        "10:31:11.300 order 0x2 sell 10 C400 at 1.80 (TAKE_PROFIT)",
        "10:31:11.600 accepted 0x2",
        "10:31:11.600 fill 0x2 10 at 1.80 of :11.550, 0 held",
        "10:31:11.600 trade 10 C400 TAKE_PROFIT +400.00",
    ]


def test_an_exit_sells_at_the_bid_where_it_is_better_than_the_limit():
    """The bid has risen to 1.85 when it arrives."""
    script = market().option(*TARGET).option("C400", "10:31:10.2", 1.85, 1.89)

    told = exits_of(script)

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:10.300 fill 0x1 10 at 1.85 of :10.250, 0 held",
        "10:31:10.300 trade 10 C400 TAKE_PROFIT +450.00",
    ]


def test_after_half_of_its_tries_an_exit_goes_through_the_bid():
    """Four re-pricings: two tries at the bid, the third and fourth two cents below it."""
    script = fading(market().option(*TARGET), 10)

    told = exits_of(script, risk={"exit_reprices_max": 4})

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.300 cancelled 0x1: taken back",
        "10:31:11.300 order 0x2 sell 10 C400 at 1.75 (TAKE_PROFIT)",
        "10:31:11.600 accepted 0x2",
        "10:31:12.300 cancel 0x2: reprice",
        "10:31:12.600 cancelled 0x2: taken back",
        "10:31:12.600 order 0x3 sell 10 C400 at 1.67 (TAKE_PROFIT)",
        "10:31:12.900 accepted 0x3",
        "10:31:12.900 fill 0x3 10 at 1.68 of :12.850, 0 held",
        "10:31:12.900 trade 10 C400 TAKE_PROFIT +280.00",
    ]


def test_the_last_exit_sells_at_any_price():
    """One re-pricing: the second order is a market order, and gets the bid that stands."""
    script = fading(market().option(*TARGET), 5)

    told = exits_of(script, risk={"exit_reprices_max": 1})

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.300 cancelled 0x1: taken back",
        "10:31:11.300 order 0x2 sell 10 C400 at market (TAKE_PROFIT)",
        "10:31:11.600 accepted 0x2",
        "10:31:11.600 fill 0x2 10 at 1.74 of :11.550, 0 held",
        "10:31:11.600 trade 10 C400 TAKE_PROFIT +340.00",
    ]


def test_the_last_exit_rests_until_someone_bids():
    """Nobody bids for a minute: the last order is not taken back, and the first bid gets it."""
    script = market().option(*TARGET).option("C400", "10:31:10.1", 0.0, 1.86).option("C400", "10:31:55", 0.70, 1.86)

    told = exits_of(script, risk={"exit_reprices_max": 2})

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.300 cancelled 0x1: taken back",
        "10:31:11.300 order 0x2 sell 10 C400 at 0.01 (TAKE_PROFIT)",
        "10:31:11.600 accepted 0x2",
        "10:31:12.300 cancel 0x2: reprice",
        "10:31:12.600 cancelled 0x2: taken back",
        "10:31:12.600 order 0x3 sell 10 C400 at market (TAKE_PROFIT)",
        "10:31:12.900 accepted 0x3",
        "10:31:55.050 fill 0x3 10 at 0.70 of :55.000, 0 held",
        "10:31:55.050 trade 10 C400 TAKE_PROFIT -700.00",
    ]


def test_an_exit_sells_what_the_bid_shows_and_the_rest_later():
    """Four are bid for at 1.82; the remaining six are re-priced at the next bid."""
    script = market().option(*TARGET, (4, 50)).option("C400", "10:31:10.6", 1.81, 1.85, (50, 50))

    told = exits_of(script)

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:31:10.000 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:10.300 fill 0x1 4 at 1.82 of :10.250, 6 held",
        "10:31:11.000 cancel 0x1: reprice",
        "10:31:11.300 cancelled 0x1 with 4 filled: taken back",
        "10:31:11.300 order 0x2 sell 6 C400 at 1.81 (TAKE_PROFIT)",
        "10:31:11.600 accepted 0x2",
        "10:31:11.600 fill 0x2 6 at 1.81 of :11.550, 0 held",
        "10:31:11.600 trade 10 C400 TAKE_PROFIT +414.00",
    ]


def test_a_bid_above_three_dollars_is_sold_to_on_the_grid_of_five_cents():
    """3.93 is bid, off the grid: the limit is 3.90, and the fill the bid."""
    script = market(quote=(2.95, 3.00)).option("C400", "10:31:10", 3.93, 3.99)

    told = exits_of(script, risk={"contracts_max": 1})

    assert told == [
        "10:31:10.000 exit TAKE_PROFIT: 31 against 30, bid 3.93",
        "10:31:10.000 order 0x1 sell 1 C400 at 3.90 (TAKE_PROFIT)",
        "10:31:10.300 accepted 0x1",
        "10:31:10.300 fill 0x1 1 at 3.93 of :10.250, 0 held",
        "10:31:10.300 trade 1 C400 TAKE_PROFIT +93.00",
    ]


def test_through_the_bid_the_grid_changes_below_three_dollars():
    """Two ticks of 0.05 below 3.05 are 2.95, where a tick is a cent."""
    script = market(Contract("C400", 0.35), quote=(2.30, 2.34)).option("C400", "10:31:10", 3.05, 3.10)
    script.option("C400", "10:31:10.1", 3.05, 3.10, (0, 50))

    orders = perform(script, until="10:31:13", risk={"exit_reprices_max": 3}).of("order")

    assert [each["limit_e4"] / 10_000 for each in orders[1:3]] == [3.05, 2.95]


def test_an_exit_near_zero_asks_for_one_tick():
    """Two cents below a bid of 0.02 is nothing; the least limit is a cent."""
    script = market().option("C400", "10:31:10", 0.02, 1.40, (0, 50))

    orders = perform(script, until="10:31:14", risk={"exit_reprices_max": 3}).of("order")

    assert [each["limit_e4"] for each in orders[1:3]] == [200, 100]


def test_leaving_skips_every_gate_and_limit():
    """The stock is halted at the stop's deadline and the day's count is used up: it is sold all the same."""
    script = market().halt("10:31:10.2", "10:31:12").option("C400", "10:31:10.1", 1.19, 1.23)
    script.option("C400", "10:31:12.1", 1.18, 1.22)

    told = script.play(scalp={"max_daily_scalps": 1}, **AT_ONCE)

    assert told[5:] == [
        "10:31:10.100 stop begins at bid 1.19, -15.0%",
        "10:31:10.200 halt begins TSLA",
        "10:31:10.400 exit STOP_LOSS: -15 against -15, bid 1.19",
        "10:31:10.400 order 0x1 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:10.400 accepted 0x1",
        "10:31:11.400 cancel 0x1: reprice",
        "10:31:11.400 cancelled 0x1: taken back",
        "10:31:11.400 order 0x2 sell 10 C400 at 1.19 (STOP_LOSS)",
        "10:31:11.400 accepted 0x2",
        "10:31:12.000 halt ends TSLA",
        "10:31:12.400 cancel 0x2: reprice",
        "10:31:12.400 cancelled 0x2: taken back",
        "10:31:12.400 order 0x3 sell 10 C400 at 1.18 (STOP_LOSS)",
        "10:31:12.400 accepted 0x3",
        "10:31:12.400 fill 0x3 10 at 1.18 of :12.400, 0 held",
        "10:31:12.400 trade 10 C400 STOP_LOSS -220.00",
    ]


def test_an_exit_decided_too_late_for_the_market_is_refused_once_and_expires():
    """Its order would arrive after the close: one rejection, no second try, then the contract settles."""
    script = market(jumps={"10:37:00": 1.0}).option("C400", "10:39:59.8", 1.82, 1.86)
    settings: dict[str, Any] = {
        "exits": {"flatten_before_close_minutes": 0.0},
        "gates": {"last_entry_before_close_minutes": 0.0},
    }

    told = exits_of(script, until=TO_THE_CLOSE, **settings)

    assert told == [
        "10:39:59.800 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:39:59.800 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:40:00.100 rejected 0x1: the session is closed",
        "10:40:00.100 exit EXPIRED: 1 against 0, bid 1.00",
        "10:40:00.100 trade 10 C400 EXPIRED -400.00",
    ]


def test_a_partial_fill_on_its_way_at_the_close_is_not_lost():
    """Four are sold 20 ms before the close; we learn of it 30 ms after, then that the order expired."""
    script = market(jumps={"10:37:00": 1.0}).option("C400", "10:39:59.7", 1.82, 1.86, (4, 50))
    script.option("C400", "10:39:59.98", 1.82, 1.86, (4, 50))
    settings: dict[str, Any] = {
        "exits": {"flatten_before_close_minutes": 0.0},
        "gates": {"last_entry_before_close_minutes": 0.0},
        "simulated_broker": {"order_latency_ms": 280.0, "report_latency_ms": 50.0},
    }

    told = exits_of(script, until=TO_THE_CLOSE, **settings)

    assert told == [
        "10:39:59.700 exit TAKE_PROFIT: 30 against 30, bid 1.82",
        "10:39:59.700 order 0x1 sell 10 C400 at 1.82 (TAKE_PROFIT)",
        "10:40:00.030 accepted 0x1",
        "10:40:00.030 fill 0x1 4 at 1.82 of :59.980, 6 held",
        "10:40:00.050 expired 0x1 with 4 filled: end of the session",
        "10:40:00.050 exit EXPIRED: 1 against 0, bid 1.00",
        "10:40:00.050 trade 10 C400 EXPIRED -72.00",
    ]


def test_what_is_still_held_at_its_expiry_settles_at_its_worth():
    """Held over the close with the stock at 401: the call of 400 is worth 1.00 a share."""
    script = market(jumps={"10:37:00": 1.0})
    settings: dict[str, Any] = {
        "exits": {"flatten_before_close_minutes": 0.0, "stop_confirm_ms": 0},
        "gates": {"last_entry_before_close_minutes": 0.0},
        "scalp": {"max_hold_minutes": 60.0},
    }
    script.halt("10:38:00", name="C400")

    played = perform(script, until=TO_THE_CLOSE, **settings)

    assert played.told[5:] == [
        "10:38:00.000 halt begins C400",
        "10:40:00.000 exit FLATTEN: 0 against 0, bid 1.36",
        "10:40:00.000 order 0x1 sell 10 C400 at 1.36 (FLATTEN)",
        "10:40:00.300 rejected 0x1: the session is closed",
        "10:40:00.300 exit EXPIRED: 1 against 0, bid 1.00",
        "10:40:00.300 trade 10 C400 EXPIRED -400.00",
    ]
    assert played.end["flat"]


def test_a_worthless_contract_expires_at_nothing():
    """The stock fell back to 399: the premium is lost."""
    script = market(jumps={"10:37:00": 1.0, "10:38:10": -2.0}).halt("10:38:00", name="C400")
    settings: dict[str, Any] = {
        "exits": {"flatten_before_close_minutes": 0.0},
        "gates": {"last_entry_before_close_minutes": 0.0},
        "scalp": {"max_hold_minutes": 60.0},
    }

    played = perform(script, until=TO_THE_CLOSE, **settings)

    assert [line for line in played.told if "trade" in line or " exit " in line] == [
        "10:40:00.000 exit FLATTEN: 0 against 0, bid 1.36",
        "10:40:00.300 exit EXPIRED: 0 against 0, bid 0.00",
        "10:40:00.300 trade 10 C400 EXPIRED -1400.00",
    ]


def test_a_contract_that_lives_on_stays_held_after_the_close():
    """Monday's contract cannot be sold in a halt that lasts: nothing settles, and the session says so."""
    monday = Contract("C400", 0.35, dte=3)
    script = market(monday).halt("10:38:00", name="C400/3")

    played = perform(script, until=TO_THE_CLOSE, selection={"max_dte": 3}, scalp={"max_hold_minutes": 60.0})

    assert played.of("trade") == []
    assert not played.end["flat"]


def test_nothing_expires_where_a_replay_stops_early():
    """`--until` ends the telling, not the contract: the position stays as it is."""
    script = market()

    played = perform(script, until="10:31:30")

    assert played.told == BOUGHT
    assert not played.end["flat"]


def test_fees_decide_whether_a_trade_lost():
    """Sold where it was bought, 0.00 before fees: with fees it lost, and the next burst meets the cooldown."""
    script = market(CALL, jumps={"10:31:00": 1.0, "10:32:00": 1.0}).option("C400", "10:31:20", 1.40, 1.44)
    script.option("C400", "10:31:31", 1.36, 1.40)
    settings: dict[str, Any] = {"until": "10:32:05", "scalp": {"max_hold_minutes": 0.5}, **AT_ONCE}

    free = perform(script, **settings)
    charged = perform(script, fees="alpaca", **settings)

    assert [each["gross_e4"] for each in (free.of("trade")[0], charged.of("trade")[0])] == [0, 0]
    assert [free.of("refusal"), [each["gate"] for each in charged.of("refusal")]] == [[], ["cooldown"]]


def test_the_bill_of_the_day_is_rounded_once():
    """Two trades of ten contracts: each fee type is summed over the day, then rounded up to the cent."""
    script = market(CALL, jumps={"10:31:00": 1.0, "10:32:30": 1.0})
    script.option("C400", "10:31:10", 1.82, 1.86).option("C400", "10:31:40", 1.36, 1.40)
    script.option("C400", "10:32:40", 1.82, 1.86)

    played = perform(script, until="10:33", fees="alpaca", **AT_ONCE)

    # Per contract: ORF 0.015 and OCC 0.025 a side, CAT 0.0003 a side, TAF 0.00329 and SEC 0.0000206 of 182 USD a sale.
    assert played.end["trades"] == 2
    assert played.end["fees_e4"] == 6000 + 10000 + 200 + 700 + 800
    assert played.end["net_e4"] == 2 * 4_200_000 - 17_700
    shares = played.journal.trades()["fees_usd"].to_list()
    assert sum(round(each * 10_000) for each in shares) == played.end["fees_e4"]
