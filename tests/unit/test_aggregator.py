"""The merger: stamps, numbers, gaps, bounds, history."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_messages import CALL, NOW_NS, PUT, aggregator, contract

from scalpcli.adapters import aggregator_codes
from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.aggregator_codes import DUPLICATE_WINDOW_ROWS, PastQuote, PastTrade
from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_STOCK_QUOTES,
    CHANNEL_STOCK_TRADES,
    COLD,
    GAP,
    GAP_BEGIN,
    GAP_END,
    OPTION_TRADE,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.runtime.tape_rules import Limits, faults_of_every_rule

SECOND_NS = 1_000_000_000


class Clocks:
    """A market clock and a monotonic one, set by hand."""

    def __init__(self) -> None:
        self.now_ns = NOW_NS
        self.seconds = 100.0

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * SECOND_NS)
        self.seconds += seconds


def with_clocks(**other: Any) -> tuple[DataAggregator, Clocks]:
    clocks = Clocks()
    return aggregator(now_ns=lambda: clocks.now_ns, monotonic_s=lambda: clocks.seconds, **other), clocks


def print_of(merged: DataAggregator, number: int, event_ns: int = NOW_NS) -> None:
    merged.stock_trade(event_ns, 400.0, 100, "V", ("@",), number)


def past(number: int, event_ns: int = NOW_NS, **other: Any) -> PastTrade:
    return PastTrade("TSLA", event_ns, 400.0, 100, "V", ("@",), number)._replace(**other)


def column(block: Any, name: str) -> list[int]:
    return block.columns[name].tolist()


def test_stamps_never_go_back():
    """A clock set back holds the stamp still until it has caught up."""
    merged, clocks = with_clocks()
    stamps = []

    for step_ns in (5, -3, -SECOND_NS, SECOND_NS, 10):
        clocks.now_ns += step_ns
        stamps.append(merged.stamp())

    assert stamps == [NOW_NS + 5, NOW_NS + 5, NOW_NS + 5, NOW_NS + 5, NOW_NS + 12]


def test_a_recording_taken_up_again_continues_its_stamps_and_numbers():
    """Its last stamp is the floor; known texts and contracts keep their numbers and are not new."""
    known = [contract(PUT)]
    merged = DataAggregator(
        "TSLA",
        now_ns=lambda: NOW_NS,
        rows_waiting_max=10,
        instruments=[type(known[0])(1, PUT, known[0].expiry)],
        conditions=["I"],
        exchanges=["C"],
        last_ns=NOW_NS + 7,
    )
    merged.add_contracts([contract(PUT), contract(CALL)])

    merged.stamp()
    merged.option_trade(CALL, NOW_NS, 3.0, 1, "C", ("I",))
    merged.option_trade(PUT, NOW_NS, 3.0, 1, "A", ("f",))
    block = merged.drain()

    assert [(item.instrument_id, item.symbol) for item in block.instruments] == [(2, CALL)]
    assert (block.conditions, block.exchanges) == (("f",), ("A",))
    assert column(block, "ts_recv_ns") == [NOW_NS + 7] * 2
    assert (column(block, "instrument_id"), column(block, "conditions")) == ([2, 1], [1, 2])


@pytest.mark.parametrize(("step_ms", "told"), [(249, 0), (251, 1), (-251, 1), (3_600_000, 1)])
def test_steps_of_the_clock_are_told(step_ms, told):
    """More than a quarter of a second between two stamps is a step, whichever way."""
    merged, clocks = with_clocks()
    clocks.pass_s(1000.0)
    clocks.now_ns += step_ms * 1_000_000

    merged.stamp()
    clocks.pass_s(1.0)
    merged.stamp()

    assert merged.counters()["clock_steps"] == told
    assert [body["cause"] for _, body in merged.drain().notes] == [f"clock step of {step_ms} ms"] * told


def test_a_gap_is_told_once_with_its_cause():
    """Its note comes first; the words before the colon are the row's text; a second begin says nothing new."""
    merged, clocks = with_clocks()
    clocks.pass_s(5.0)

    merged.begin_gap(CHANNEL_STOCK_TRADES | CHANNEL_STOCK_QUOTES, NOW_NS, "mute: no data for 5 s")
    merged.begin_gap(CHANNEL_STOCK_TRADES, NOW_NS, "again")
    clocks.pass_s(1.0)
    merged.end_gap(31)
    merged.end_gap(31)
    block = merged.drain()

    assert column(block, "kind") == [COLD, GAP, GAP]
    assert column(block, "flags") == [0, GAP_BEGIN, GAP_END]
    assert column(block, "size") == [0, 3, 3]
    assert column(block, "ts_event_ns")[1] == NOW_NS
    assert block.notes == (("gap_cause", {"cause": "mute: no data for 5 s"}),)
    assert block.conditions == ("mute",)


def test_rows_beyond_the_bound_are_counted_and_told_as_a_gap():
    """The gap names the channels that lost rows, from the last row kept until there was room."""
    merged, clocks = with_clocks(rows_waiting_max=3)
    for number in range(5):
        clocks.pass_s(1.0)
        merged.stamp()
        print_of(merged, number)
    merged.option_quote(CALL, NOW_NS, 1.0, 1, "C", 1.1, 1, "C", ())

    first, second = merged.drain(), merged.drain()

    assert (first.rows, merged.counters()["dropped"]) == (3, 3)
    assert column(second, "kind") == [COLD, GAP]
    assert column(second, "flags")[1] == GAP_BEGIN | GAP_END
    assert column(second, "size")[1] == CHANNEL_STOCK_TRADES | CHANNEL_OPTION_QUOTES
    assert (column(second, "ts_event_ns")[1], column(second, "ts_recv_ns")[1]) == (
        NOW_NS + 3 * SECOND_NS,
        NOW_NS + 5 * SECOND_NS,
    )
    assert merged.drain().rows == 0


def test_a_repetition_is_recognised_within_the_window():
    """The window is bounded: what is older may come again."""
    merged = aggregator()
    for number in range(DUPLICATE_WINDOW_ROWS + 1):
        print_of(merged, number)

    print_of(merged, 1)
    print_of(merged, 0)

    assert merged.counters()["duplicates"] == 1
    assert column(merged.drain(), "trade_id")[-1] == 0


def test_one_different_field_is_another_print():
    """Same id on another exchange, another size: both are rows."""
    merged = aggregator()

    merged.stock_trade(NOW_NS, 400.0, 100, "V", (), 1)
    merged.stock_trade(NOW_NS, 400.0, 100, "Q", (), 1)
    merged.stock_trade(NOW_NS, 400.0, 101, "V", (), 1)

    assert merged.drain().rows == 3


def test_history_leaves_out_what_came_live():
    """Stock prints are told by exchange and id, even where the vendor has corrected them since."""
    merged = aggregator()
    print_of(merged, 1)
    merged.hold(31)
    print_of(merged, 4)

    written = merged.backfilled(
        STOCK_TRADE,
        [past(3), past(2, NOW_NS - 5), past(1, price=401.0), past(4), past(2, NOW_NS - 5), past(9, NOW_NS - SECOND_NS)],
        NOW_NS - 10,
        NOW_NS + 10,
    )
    block = merged.drain()

    assert written == 2
    assert column(block, "trade_id") == [1, 4, 2, 3]
    assert [bool(flags & BACKFILLED) for flags in column(block, "flags")] == [False, False, True, True]


def test_history_before_the_remembered_rows_came_live():
    """The window has lost its first rows; history of their time would double them."""
    merged = aggregator()
    for number in range(DUPLICATE_WINDOW_ROWS + 100):
        print_of(merged, number, NOW_NS + number)

    written = merged.backfilled(STOCK_TRADE, [past(5, NOW_NS + 5), past(-1, NOW_NS + 200)], NOW_NS, NOW_NS + SECOND_NS)

    assert written == 1


def test_a_late_print_does_not_say_how_far_back_rows_are_remembered():
    """The oldest row remembered happened long ago; what was forgotten before it happened later."""
    merged = aggregator()
    for number in range(100):
        print_of(merged, number, NOW_NS + number)
    print_of(merged, 100, NOW_NS - SECOND_NS)
    for number in range(101, 100 + DUPLICATE_WINDOW_ROWS):
        print_of(merged, number, NOW_NS + number)

    written = merged.backfilled(STOCK_TRADE, [past(50, NOW_NS + 50)], NOW_NS - SECOND_NS, NOW_NS + SECOND_NS)

    assert written == 0


def test_rows_of_an_earlier_process_are_not_written_again():
    """Neither live nor as history; and a gap that it left open ends, so that the next one can begin."""
    earlier = aggregator()
    print_of(earlier, 1)
    earlier.backfilled(STOCK_TRADE, [past(2)], NOW_NS, NOW_NS)
    earlier.begin_gap(CHANNEL_STOCK_TRADES, NOW_NS, "mute")
    left = earlier.drain()
    merged = aggregator(conditions=left.conditions, exchanges=left.exchanges)

    merged.remember(left.columns, is_whole=True)
    print_of(merged, 1)
    written = merged.backfilled(STOCK_TRADE, [past(1), past(2), past(3)], NOW_NS, NOW_NS)
    block = merged.drain()

    assert written == 1
    assert column(block, "kind") == [GAP, STOCK_TRADE]
    assert (block.columns["flags"][0], block.columns["size"][0]) == (GAP_END, CHANNEL_STOCK_TRADES)
    assert column(block, "trade_id")[1:] == [3]


def test_history_before_the_rows_of_an_earlier_process_that_are_known_is_not_asked_again():
    """There were others before them: what happened up to the oldest known ones may be written already."""
    earlier = aggregator()
    for number in range(3):
        print_of(earlier, number, NOW_NS + number)
    left = earlier.drain()
    merged = aggregator(conditions=left.conditions, exchanges=left.exchanges)

    merged.remember(left.columns, is_whole=False)

    assert merged.backfilled(STOCK_TRADE, [past(9, NOW_NS + 1), past(10, NOW_NS + 3)], NOW_NS, NOW_NS + 9) == 1


def test_held_rows_are_remembered_until_released():
    """What comes live after a gap is told from its history however much it is."""
    merged = aggregator()
    merged.hold(31)
    for number in range(2 * DUPLICATE_WINDOW_ROWS):
        print_of(merged, number, NOW_NS + number)

    assert merged.backfilled(STOCK_TRADE, [past(0)], NOW_NS, NOW_NS) == 0
    merged.release(31)
    print_of(merged, 0)

    assert column(merged.drain(), "trade_id")[-1] == 0


def test_history_longer_than_the_window_is_written_whole(monkeypatch):
    """Rows of history push no live row out of the window and do not move its begin."""
    monkeypatch.setattr(aggregator_codes, "HELD_WINDOW_ROWS_MAX", DUPLICATE_WINDOW_ROWS + 10)
    merged = aggregator()
    for number in range(DUPLICATE_WINDOW_ROWS + 1):
        print_of(merged, number, NOW_NS)
    merged.hold(31)
    print_of(merged, -1, NOW_NS + 100)

    written = [
        merged.backfilled(
            STOCK_TRADE, [past(10_000 + number, NOW_NS + 50), past(-1, NOW_NS + 100)], NOW_NS, NOW_NS + 100
        )
        for number in range(50)
    ]

    assert written == [1] * 50


def test_a_print_of_history_that_comes_live_later_is_a_repetition():
    """Rows of history enter the window as they came, without the mark."""
    merged = aggregator()
    merged.backfilled(STOCK_TRADE, [past(1)], NOW_NS, NOW_NS)

    print_of(merged, 1)

    assert (merged.drain().rows, merged.counters()["duplicates"]) == (1, 1)


def test_quotes_and_option_prints_of_history_are_told_by_all_fields():
    """They have no id."""
    merged = aggregator()
    quote = PastQuote("TSLA", NOW_NS, 400.0, 1, "V", 400.1, 2, "Q", ("R",))
    trade = PastTrade(CALL, NOW_NS, 3.1, 2, "C", ("I",))
    merged.stock_quote(*quote[1:])
    merged.option_trade(CALL, NOW_NS, 3.1, 2, "C", ("I",))

    quotes = merged.backfilled(STOCK_QUOTE, [quote, quote._replace(bid_size=5)], NOW_NS, NOW_NS)
    trades = merged.backfilled(
        OPTION_TRADE, [trade, trade._replace(size=7), trade._replace(symbol="X")], NOW_NS, NOW_NS
    )

    assert (quotes, trades) == (1, 1)
    assert merged.refused == {"option_trade: unknown symbol": 1}


def test_lag_and_late_rows_are_counted():
    """Lag is receive stamp less event time; late is an event before one already written."""
    merged = aggregator()
    for number, event_ns in enumerate((NOW_NS, NOW_NS - 5, NOW_NS + 5)):
        print_of(merged, number, event_ns)

    merged.drain()
    counters = merged.counters()

    assert (counters["late"], counters["rows"], counters["lag_ms"]) == (1, {"stock_trade": 3}, {"stock_trade": 1.0})


NUMBERS = st.floats() | st.integers(-(2**70), 2**70) | st.sampled_from([0, 0.0, 1e-5, 400.01])
TEXTS = st.text(max_size=3) | st.sampled_from(["V", " ", "@"])


@given(
    calls=st.lists(st.tuples(st.integers(0, 4), st.lists(NUMBERS, min_size=5, max_size=5), TEXTS, TEXTS), max_size=12),
    limit=st.integers(1, 8),
)
@settings(max_examples=200, deadline=None)
def test_no_call_raises_and_every_row_keeps_the_rules(calls, limit):
    """Whatever numbers come, the tape takes the rows."""
    merged = aggregator(rows_waiting_max=limit)
    for which, (one, two, three, four, five), text, other in calls:
        event_ns = NOW_NS + int(max(-1e9, min(1e9, five))) if not math.isnan(five) else NOW_NS
        if which == 0:
            merged.stock_trade(event_ns, one, two, text, tuple(other), three)
        elif which == 1:
            merged.stock_quote(event_ns, one, two, text, three, four, other, (text,))
        elif which == 2:
            merged.option_quote(CALL, event_ns, one, two, text, three, four, other, ())
        elif which == 3:
            merged.status(event_ns, text, other)
        else:
            merged.begin_gap(1 + which, event_ns, text)
    texts: list[int] = [1, 1]
    previous_ns = 0
    for _ in range(2):
        block = merged.drain()
        texts = [texts[0] + len(block.conditions), texts[1] + len(block.exchanges)]
        assert not faults_of_every_rule(block.columns, previous_ns, Limits(3, *texts, NOW_NS))
        previous_ns = int(block.columns["ts_recv_ns"][-1]) if block.rows else previous_ns
