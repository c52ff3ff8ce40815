"""Levels and sweeps of the recomputation, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from scalpcli.model import row
from scalpcli.model.params import ScalpConfig
from tests.oracle import levels, sweeps, trackers
from tests.oracle.handmade import ALL, CLOSE, MS, OPEN, S, seconds, tape


def ranges(*by_minute: float) -> trackers.Series:
    """One print in the middle of each minute."""
    times = seconds(*(60 * k + 30 for k in range(len(by_minute))))
    return trackers.Series(times, np.array([round(price * 10_000) for price in by_minute], np.int64))


def test_swing_is_known_after_the_second_minute_behind_it() -> None:
    """With one touch needed it is active from the end of minute m + 2, at its price."""
    times = seconds(299, 300, 301)

    found = levels.swing_levels(ranges(1, 2, 5, 2, 1), 1, times, OPEN, CLOSE, ScalpConfig(level_min_touches=1))

    assert [level.prices.tolist()[1:] for level in found] == [[50_000.0, 50_000.0]]
    assert np.isnan(found[0].prices[0])


def test_minute_begins_with_its_first_nanosecond() -> None:
    """A print received exactly at a full minute belongs to the minute that begins."""
    series = trackers.Series(seconds(0, 59.5, 60, 120), np.array([1, 2, 3, 4]))

    found = levels.minute_extremes(series, 1, OPEN, OPEN + 180 * S)

    assert found == [2, 3, 4]


def test_merge_distance_includes_its_bound() -> None:
    """0.05 percent of 100.00 is 0.05."""
    times, touching, missing = seconds(700), [1, 1, 100.00, 1, 1, 100.05, 1, 1], [1, 1, 100.00, 1, 1, 100.0501, 1, 1]

    found = [levels.swing_levels(ranges(*highs), 1, times, OPEN, CLOSE, ScalpConfig()) for highs in (touching, missing)]

    assert [len(each) for each in found] == [1, 0]


def test_equal_high_next_to_it_is_no_swing() -> None:
    """The pivot stands strictly above all four neighbours."""
    assert levels.pivots([1, 2, 5, 5, 1], 1) == []
    assert levels.pivots([1, 2, 5, None, 1, 2], 1) == []
    assert levels.pivots([5, 3, 1, 2, 4], -1) == [(2, 1)]


def test_pivot_joins_the_oldest_level_in_reach() -> None:
    """Two levels lie within the merge distance of the third pivot; the first made takes it, as a mean."""
    highs = [1, 1, 100.00, 1, 1, 100.09, 1, 1, 100.045, 1, 1]
    times = seconds(700)

    found = levels.swing_levels(ranges(*highs), 1, times, OPEN, CLOSE, ScalpConfig())

    assert [level.prices.tolist() for level in found] == [[(1_000_000 + 1_000_450) / 2]]


def test_seventeenth_swing_ends_the_oldest() -> None:
    """Sixteen levels a side are kept; the one that goes is inactive at once."""
    highs = [1.0, 1.0]
    for k in range(17):
        highs += [100.0 + k, 1.0, 1.0]
    last_known = 60 * (2 + 3 * 16 + 3)
    times = seconds(last_known - 1, last_known)

    found = levels.swing_levels(ranges(*highs), 1, times, OPEN, CLOSE, ScalpConfig(level_min_touches=1))

    active = [[level.prices[k] for level in found if level.prices[k] > 0] for k in (0, 1)]
    assert [(min(each), max(each)) for each in active] == [(1_000_000, 1_150_000), (1_010_000, 1_160_000)]


def test_session_extreme_stays_until_a_later_one_is_old_enough() -> None:
    """A new high is a level of its own only after its age; until then the old one holds."""
    series = trackers.Series(seconds(10, 20, 100), np.array([10_000, 10_000, 20_000]))
    times = seconds(69, 70, 100, 159, 160)

    found = levels.session_extremes(series, 1, times, ScalpConfig(level_min_age_s=60))

    np.testing.assert_array_equal(
        [level.prices for level in found], [[np.nan, 1e4, 1e4, 1e4, np.nan], [np.nan] * 4 + [2e4]]
    )


def test_opening_range_is_active_when_it_is_over() -> None:
    """A print received at the end of the range no longer belongs to it."""
    series = trackers.Series(seconds(0, 59, 60), np.array([1, 3, 9]))

    found = levels.opening_range(series, 1, seconds(59, 60), OPEN, ScalpConfig(opening_range_minutes=1))

    np.testing.assert_array_equal([level.prices for level in found], [[np.nan, 3.0]])


def test_previous_close_counts_on_both_sides() -> None:
    """High and close resist, low and close support."""
    found = [[level.prices[0] for level in levels.previous_levels((3, 1, 2), side, seconds(1))] for side in (1, -1)]

    assert found == [[3.0, 2.0], [1.0, 2.0]]


SWEEP = SimpleNamespace(
    sweep_gap_ms_max=50, sweep_run_ms_max=500, sweep_prices_min=2, sweep_exchanges_min=3, min_sweep_contracts=30
)
QUOTE = {"at": 0, "kind": row.OPTION_QUOTE, "instrument_id": 1, "price_e4": 10_000, "ask_e4": 10_200, "flags": 0}


def swept(*prints: tuple[float, int, dict[str, Any]], quote: dict[str, Any] | None = None) -> list[tuple[float, str]]:
    """Milliseconds and sides of the sweeps among (milliseconds, price, other fields), ten contracts each."""
    plain = {"kind": row.OPTION_TRADE, "instrument_id": 1, "size": 10, "exchange": 1}
    rows = [plain | {"at": at_ms / 1000, "price_e4": price} | fields for at_ms, price, fields in prints]
    found = sweeps.find_sweeps(tape(quote or QUOTE, *rows), SWEEP, float("inf"))
    return [((sweep.ts_ns - OPEN) / MS, sweep.side) for sweep in found]


def test_sweep_takes_size_and_two_prices() -> None:
    """Raised once, at the print that completes it."""
    lifted = [(1, 10_200, {}), (51, 10_200, {}), (101, 10_300, {}), (102, 10_300, {})]

    assert swept(*lifted) == [(101, "buy")]
    assert swept((1, 10_000, {}), (2, 10_000, {}), (3, 9_900, {})) == [(3, "sell")]
    assert swept((1, 10_200, {}), (2, 10_200, {}), (3, 10_200, {})) == []


def test_sweep_of_one_price_needs_three_known_exchanges() -> None:
    """Exchange 0 is unknown and not counted."""
    assert swept(*((k, 10_200, {"exchange": k}) for k in (1, 2, 3))) == [(3, "buy")]
    assert swept(*((k + 1, 10_200, {"exchange": k}) for k in (0, 1, 2))) == []


def test_sweep_ends_when_its_prints_are_too_far_apart() -> None:
    """51 ms between two prints, or more than 500 ms in all, starts a new run."""
    assert swept((1, 10_200, {}), (52, 10_200, {}), (53, 10_300, {})) == []
    slow = [(50 * k, 10_200, {}) for k in range(11)]
    assert swept(*slow, (505, 10_300, {})) == []
    assert swept(*slow, (500, 10_300, {})) == [(500, "buy")]


def test_print_between_the_quotes_breaks_a_sweep() -> None:
    """A print that may not count is invisible instead."""
    middle = (2, 10_100, {})
    spread = (2, 10_100, {"flags": ALL | row.MULTI_LEG})
    ends = [(1, 10_200, {"size": 20}), (3, 10_300, {})]

    assert swept(ends[0], middle, ends[1]) == []
    assert swept(ends[0], spread, ends[1]) == [(3, "buy")]


def test_sweep_is_judged_by_the_quote_before_it() -> None:
    """The quote it moves does not judge it; an absent or locked quote gives no side."""
    moved = {"kind": row.OPTION_QUOTE, "price_e4": 10_300, "ask_e4": 10_400, "flags": 0}
    lifted = [(1, 10_200, {}), (2, 10_300, {}), (3, 0, moved), (4, 10_300, {})]

    assert swept(*lifted) == [(4, "buy")]
    assert swept(*lifted, quote=QUOTE | {"ask_e4": 0, "price_e4": 0}) == []
    assert swept((1, 10_200, {"size": 20}), (2, 10_200, {"exchange": 2}), quote=QUOTE | {"price_e4": 10_200}) == []
