"""The figures of a tape's quality, each against a session small enough to reckon by hand."""

from __future__ import annotations

import numpy as np
import pytest

from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_OPTION_QUOTES,
    CHANNEL_STOCK_TRADES,
    COLD,
    GAP,
    GAP_BEGIN,
    GAP_END,
    OPTION_QUOTE,
    UNKNOWN_CONDITION,
)
from scalpcli.runtime.tape_quality import SkewHistogram, TapeQuality
from scalpcli.units import NS_PER_MS, NS_PER_S
from tests.tape_samples import CLOSE, OPEN, SESSION, columns_of, gap, one, quote, small_rows, trade

LENGTH_S = (CLOSE - OPEN) / NS_PER_S


def summary(rows, **more):
    """The figures over these rows."""
    quality = TapeQuality(SESSION)
    quality.update(columns_of(rows))
    return quality.summary(**more)


def share(seconds):
    """Seconds as percent of the session, as the manifest rounds them."""
    return round(seconds * 100 / LENGTH_S, 4)


def every_second(begin, end):
    """A trade each second."""
    return [trade(at) for at in range(begin, end + 1)]


def test_coverage_is_the_time_between_first_and_last_row():
    """A recording that starts an hour late and ends an hour early has lost two hours."""
    figures = summary(every_second(3600, 19_800))

    assert figures["coverage_pct"] == share(19_800 - 3600)
    assert (figures["first_ts_ns"], figures["last_ts_ns"]) == (OPEN + 3600 * NS_PER_S, OPEN + 19_800 * NS_PER_S)


def test_gaps_are_not_covered():
    """Blind time is lost time, whatever channel was blind."""
    rows = [*every_second(0, 1000), gap(1000, 1300, CHANNEL_STOCK_TRADES), *every_second(1300, 23_400)]

    figures = summary(rows)

    assert figures["coverage_pct"] == share(23_400 - 300)
    assert figures["gaps"] == {"count": 1, "seconds": 300.0, "longest_s": 300.0}


def test_overlapping_gaps_of_several_channels_count_once():
    """One outage is one gap, though each channel reports it at its own time."""
    rows = [
        trade(0),
        gap(100, 200, CHANNEL_STOCK_TRADES),
        gap(150, 260, CHANNEL_OPTION_QUOTES),
        gap(300, 310),
        trade(23_400),
    ]

    assert summary(rows)["gaps"] == {"count": 2, "seconds": 170.0, "longest_s": 160.0}


def test_a_gap_told_by_its_two_ends_lasts_from_begin_to_end():
    """A recorder that notices at once writes BEGIN, and END when it sees again."""
    rows = [
        trade(0),
        one(GAP, 101, ts_event_ns=OPEN + 100 * NS_PER_S, size=CHANNEL_STOCK_TRADES, flags=GAP_BEGIN),
        one(GAP, 150, size=CHANNEL_STOCK_TRADES, flags=GAP_END),
        trade(23_400),
    ]

    assert summary(rows)["gaps"] == {"count": 1, "seconds": 50.0, "longest_s": 50.0}


def test_a_second_begin_does_not_shorten_a_gap():
    """Blind is blind until it is said to be over; a recorder that starts anew may say BEGIN again."""
    begins = [one(GAP, at, ts_event_ns=OPEN + at * NS_PER_S, size=1, flags=GAP_BEGIN) for at in (100, 150)]

    rows = [trade(0), *begins, one(GAP, 200, size=1, flags=GAP_END), trade(23_400)]

    assert summary(rows)["gaps"] == {"count": 1, "seconds": 100.0, "longest_s": 100.0}


def test_a_gap_that_never_ends_lasts_to_the_close():
    """Who went blind and never said otherwise is blind."""
    rows = [trade(0), one(GAP, 23_000, size=1, flags=GAP_BEGIN, ts_event_ns=OPEN + 23_000 * NS_PER_S), trade(23_400)]

    figures = summary(rows)

    assert figures["gaps"]["seconds"] == 400.0
    assert figures["coverage_pct"] == share(23_000)


def test_an_end_without_a_begin_is_no_gap():
    """The tape may start with "sees again" after a restart; nothing is known of before."""
    assert summary([one(GAP, 10, size=1, flags=GAP_END), trade(20)])["gaps"]["count"] == 0


def test_gaps_outside_the_session_do_not_count():
    """The night is no part of the session."""
    rows = [gap(-600, -300), gap(-60, 60), trade(100)]

    assert summary(rows)["gaps"] == {"count": 1, "seconds": 60.0, "longest_s": 60.0}


def test_crossed_and_locked_are_shares_of_two_sided_quotes():
    """A quote with one side can be neither."""
    rows = [quote(1, 100, 200), quote(2, 200, 200), quote(3, 300, 200), quote(4, 100, 300), quote(5, 0, 200)]

    counts = summary(rows)["stock_quotes"]

    assert counts == {
        "two_sided": 4, "one_sided": 1, "crossed": 1, "locked": 1, "crossed_pct": 25.0, "locked_pct": 25.0,
    }  # fmt: skip


def test_option_quotes_are_counted_apart():
    """Options lock and cross far more often; mixing them in would hide the stock's."""
    rows = [quote(1, 100, 200), one(OPTION_QUOTE, 2, instrument_id=1, price_e4=300, ask_e4=200, size=1, ask_size=1)]

    figures = summary(rows)

    assert (figures["stock_quotes"]["crossed"], figures["option_quotes"]["crossed"]) == (0, 1)


def test_stale_is_the_time_a_channel_was_silent_beyond_five_seconds():
    """Silence counts from the open to the first row, between rows, and from the last row to the close."""
    rows = [trade(15), trade(18), trade(118), *every_second(118, 23_390)]

    assert summary(rows)["stale_pct"] == {"stock_trades": share(10 + 95 + 5)}


def test_channels_without_rows_are_not_called_stale():
    """A tape without options has no option channel that could fail."""
    assert set(summary([trade(1), quote(2, 100, 200)])["stale_pct"]) == {"stock_trades", "stock_quotes"}


def test_out_of_order_is_counted_within_a_kind():
    """A quote older than a trade is another feed's delay; a trade older than a trade is disorder."""
    at = [OPEN + second * NS_PER_S for second in (10, 8, 9, 11)]
    rows = [trade(20 + number, ts_event_ns=ts) for number, ts in enumerate(at)]

    assert summary([*rows, quote(30, 100, 200, ts_event_ns=OPEN)])["out_of_order"] == 2


def test_unknown_conditions_and_backfilled_rows_are_counted():
    """Both weaken what can be computed; neither is an error."""
    rows = [trade(1, flags=UNKNOWN_CONDITION), trade(2, flags=BACKFILLED), trade(3, flags=BACKFILLED)]

    figures = summary(rows, prices_rounded=7)

    assert (figures["unknown_conditions"], figures["backfilled"], figures["prices_rounded"]) == (1, 2, 7)


def test_rows_outside_the_session_are_counted():
    """The open and the close themselves are inside."""
    rows = [trade(-1), trade(0), trade(LENGTH_S), trade(LENGTH_S + 1), trade(LENGTH_S + 2)]

    assert summary(rows)["outside_session"] == 3


def test_clock_skew_leaves_out_backfilled_rows():
    """They come late because they were fetched late."""
    rows = [trade(1), trade(2, ts_event_ns=OPEN, flags=BACKFILLED), trade(3, ts_event_ns=OPEN + 4 * NS_PER_S)]

    skew = summary(rows)["clock_skew_ms"]

    assert (skew["min"], skew["max"], skew["negative"]) == (-1000.0, 2.0, 1)


def test_a_constant_skew_comes_out_exactly():
    """A stated delay of 250 ms reads 250 ms, not the middle of a bin."""
    histogram = SkewHistogram()

    histogram.add(np.full(1000, 250 * NS_PER_MS))

    assert histogram.summary() == {"median": 250.0, "p99": 250.0, "min": 250.0, "max": 250.0, "negative": 0}


def test_skew_quantiles_are_within_a_percent():
    """Bounded memory costs less than 0.8 percent of exactness."""
    skew_ns = np.random.default_rng(3).lognormal(15, 1.5, 100_000).astype(np.int64)
    histogram = SkewHistogram()

    for part in np.array_split(skew_ns, 7):
        histogram.add(part)

    found = histogram.summary()
    assert found["median"] == pytest.approx(np.quantile(skew_ns, 0.5) / NS_PER_MS, rel=0.008)
    assert found["p99"] == pytest.approx(np.quantile(skew_ns, 0.99) / NS_PER_MS, rel=0.008)


def test_no_market_row_gives_no_coverage_and_no_skew():
    """Head rows alone are no recording."""
    figures = summary([one(COLD, -60)])

    assert figures["coverage_pct"] == 0.0
    assert figures["first_ts_ns"] is None
    assert figures["clock_skew_ms"]["median"] is None


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_figures_do_not_depend_on_how_rows_are_cut(size):
    """They are folded block by block; a block's border must leave no trace."""
    rows = small_rows()
    for row in rows[5::11]:
        row["ts_event_ns"] -= 100 * NS_PER_S
    columns = columns_of(rows)
    parts = TapeQuality(SESSION)

    for start in range(0, len(columns["kind"]), size):
        parts.update({name: values[start : start + size] for name, values in columns.items()})

    assert parts.summary() == summary(rows)
    assert parts.summary()["gaps"]["count"] == 1
    assert parts.summary()["out_of_order"] > 200
