"""A tape against history: what counts as the same print, and what a gap explains."""

from __future__ import annotations

import numpy as np
from alpaca_day import OPEN_NS, SESSION, S

from scalpcli.adapters.aggregator_codes import PastTrade
from scalpcli.adapters.audit import COLUMNS_READ, audit
from scalpcli.model.row import (
    BACKFILLED,
    CANCELLED,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_STOCK_TRADES,
    GAP,
    GAP_BEGIN,
    GAP_END,
    LAST,
    STOCK_QUOTE,
    STOCK_TRADE,
)

EXCHANGES = ["", "V", "Q"]


def row(second, *, kind=STOCK_TRADE, price_e4=4_000_000, size=10, flags=LAST, exchange=1, trade_id=1, event_s=None):
    event_ns = OPEN_NS + int((second if event_s is None else event_s) * S)
    values = (OPEN_NS + int(second * S), event_ns, kind, price_e4, size, flags, exchange, trade_id, 0)
    return dict(zip(COLUMNS_READ, values, strict=True))


def past(second, price=400.0, size=10, exchange="V", trade_id=1):
    return PastTrade("TSLA", OPEN_NS + int(second * S), price, size, exchange, (), trade_id)


def compare(rows, history):
    batches = [{name: np.array([one[name]], np.int64) for name in COLUMNS_READ} for one in rows]
    return audit(batches, EXCHANGES, [history], SESSION)


def totals(rows, history):
    minutes = compare(rows, history)
    return tuple(sum(getattr(one, name) for one in minutes) for name in ("history", "tape", "missing", "extra"))


def test_the_same_prints_are_complete():
    """Order does not matter, nor when they were received."""
    assert totals([row(9, event_s=5), row(10)], [past(10), past(5)]) == (2, 2, 0, 0)


def test_every_field_names_a_print():
    """Price, size, exchange, id and time: another value is another print."""
    for other in (
        past(5, 400.01),
        past(5, size=11),
        past(5, exchange="Q"),
        past(5, trade_id=2),
        past(5.001),
        past(5, exchange="Z"),
    ):
        assert totals([row(5)], [other]) == (1, 1, 1, 1)


def test_a_doubled_print_is_extra():
    """Prints are counted as often as they come."""
    assert totals([row(5), row(5)], [past(5)]) == (1, 2, 0, 1)


def test_messages_of_cancellation_and_quotes_are_no_prints():
    """History has neither."""
    assert totals([row(5), row(6, flags=CANCELLED), row(7, kind=STOCK_QUOTE)], [past(5)]) == (1, 1, 0, 0)


def test_only_the_regular_session_is_compared():
    """The last instant before the open and the close itself are outside."""
    assert totals([row(-0.001), row(23_400)], [past(-1), past(23_400)]) == (0, 0, 0, 0)


def test_minutes_are_those_of_the_event():
    """A print that came late belongs to the minute in which it happened."""
    minutes = compare([row(65, event_s=59, flags=LAST | BACKFILLED)], [past(59), past(60)])

    assert [(one.history, one.tape, one.missing, one.backfilled) for one in minutes[:2]] == [(1, 1, 0, 1), (1, 0, 1, 0)]
    assert (minutes[0].completeness_pct, minutes[1].completeness_pct, minutes[2].completeness_pct) == (
        100.0,
        0.0,
        100.0,
    )


def test_a_gap_explains_what_is_missing_in_its_minutes():
    """The tape knows that it was blind; a gap of another channel explains nothing."""
    prints = [past(70), past(130)]
    gap = [
        row(0, kind=STOCK_QUOTE),
        row(70, kind=GAP, size=CHANNEL_STOCK_TRADES, flags=GAP_BEGIN, event_s=65),
        row(80, kind=GAP, size=CHANNEL_STOCK_TRADES, flags=GAP_END),
        row(140, kind=GAP, size=CHANNEL_OPTION_QUOTES, flags=GAP_BEGIN | GAP_END, event_s=125),
        row(23_400, kind=STOCK_QUOTE),
    ]
    minutes = compare(gap, prints)

    assert [one.gap_s for one in minutes[:3]] == [0.0, 15.0, 0.0]
    assert [one.is_explained for one in minutes[:3]] == [True, True, False]


def test_what_was_not_recorded_is_explained_too():
    """A recorder that began late and ended blind: it says nothing about the time before and after."""
    minutes = compare(
        [row(90, kind=GAP, size=31, flags=GAP_BEGIN), row(150, kind=STOCK_QUOTE)], [past(10), past(23_399)]
    )

    assert [one.gap_s for one in minutes[:4]] == [60.0, 60.0, 60.0, 60.0]
    assert all(one.is_explained for one in minutes)


def test_overlapping_gaps_count_once():
    """Two channels lost at one time are one stretch of blindness."""
    twice = [
        row(70 + number, kind=GAP, size=CHANNEL_STOCK_TRADES, flags=GAP_BEGIN | GAP_END, event_s=65)
        for number in (0, 5)
    ]
    minutes = compare([row(0, kind=STOCK_QUOTE), *twice, row(23_400, kind=STOCK_QUOTE)], [])

    assert [one.gap_s for one in minutes[:3]] == [0.0, 10.0, 0.0]
