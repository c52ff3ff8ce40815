"""The three state machines of the recomputation, by hand."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from scalpcli.model.params import ScalpConfig
from tests.oracle import levels, triggers
from tests.oracle.handmade import OPEN, S, seconds


def burst_times(long: list[float], short: list[float], volume: list[bool], **more: Any) -> list[float]:
    """Positions of the instants at which calls burst at a threshold of 1 percent."""
    config = ScalpConfig(momentum_threshold_pct=1.0, **more)
    times = np.arange(len(long))
    found = triggers.momentum_bursts(times, 1, np.array(long), np.array(short), np.array(volume), config)
    return [rise.ts_ns for rise in found]


def test_burst_rises_once_until_it_is_armed_again() -> None:
    """Armed below 0.6 of the threshold, or where unknown; at 0.6 itself it is not."""
    long = [1.0, 1.2, 0.6, 1.0, 0.59, 1.0, np.nan, 1.0]

    assert burst_times(long, [1.0] * 8, [True] * 8) == [0, 5, 7]


def test_burst_waits_for_volume_and_the_short_window() -> None:
    """It stays armed while something is missing; an unknown short window agrees with nothing."""
    assert burst_times([1.0] * 4, [np.nan, 0.0, 1.0, 1.0], [True, True, False, True]) == [3]


def test_threshold_of_one_side_replaces_the_common_one() -> None:
    """0 means the common threshold."""
    assert burst_times([0.8], [1.0], [True], momentum_threshold_call_pct=0.8) == [0]
    assert burst_times([0.8], [1.0], [True], momentum_threshold_put_pct=0.8) == []


REJECT = ScalpConfig(vwap_far_s=2, vwap_touch_s=3, vwap_first_minutes=0)


def rejections(
    distances: list[float], config: ScalpConfig = REJECT, volume: Any = None, sigma: float = 1.0
) -> list[int]:
    """Seconds at which calls are rejected from a VWAP of 100.00; distances and sigma in USD."""
    count = len(distances)
    times = seconds(*range(count))
    price = 1_000_000.0 + np.array(distances) * 10_000
    bands = (np.full(count, 1_000_000.0), np.full(count, sigma * 10_000))
    confirms = np.ones(count, bool) if volume is None else np.array(volume)
    found = triggers.vwap_rejections(times, 1, price, bands, confirms, OPEN, config)
    return [(rise.ts_ns - OPEN) // S for rise in found]


def test_rejection_needs_far_touch_and_bounce() -> None:
    """Far for 2 s, at most 0.10 away, then at least 0.25 away."""
    assert rejections([0.5, 0.5, 0.5, 0.1, 0.24, 0.25]) == [5]
    assert rejections([0.5, 0.5, 0.1, 0.25, 0.1, 0.25]) == []
    assert rejections([0.5, 0.5, 0.5, 0.11, 0.25, 0.3]) == []


def test_tolerance_is_at_least_a_share_of_vwap() -> None:
    """On a calm day 0.03 percent of 100.00 is the tolerance, and twice that the bounce."""
    assert rejections([0.1, 0.1, 0.1, 0.03, 0.05, 0.06], sigma=0.0) == [5]
    assert rejections([0.1, 0.1, 0.1, 0.04, 0.05, 0.06], sigma=0.0) == []


def test_rejection_within_its_time_includes_the_bound() -> None:
    """Three seconds after the touch it may still rise; a second later it is idle."""
    assert rejections([0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.3]) == [6]
    assert rejections([0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.3]) == []


def test_rejection_is_void_once_through_vwap() -> None:
    """Exactly 1.5 tolerances beyond is not yet through."""
    assert rejections([0.5, 0.5, 0.5, 0.1, -0.15, 0.3]) == [5]
    assert rejections([0.5, 0.5, 0.5, 0.1, -0.16, 0.3]) == []
    assert rejections([0.5, 0.5, 0.5, -0.16, 0.1, 0.3]) == []


def test_rejection_counts_anew_after_it_rose() -> None:
    """The instant that rises is not counted in the next run of far instants."""
    again = [0.5, 0.5, 0.5, 0.1, 0.5]

    assert rejections([*again, 0.5, 0.5, 0.1, 0.5]) == [4]
    assert rejections([*again, 0.5, 0.5, 0.5, 0.1, 0.5]) == [4, 9]


def test_instant_that_ends_the_touch_is_not_counted() -> None:
    """At the instant on which the time is over the machine only turns idle."""
    late = [0.5, 0.5, 0.5, 0.1, 0.1, 0.1, 0.1, 0.5]

    assert rejections([*late, 0.5, 0.5, 0.1, 0.3]) == []
    assert rejections([*late, 0.5, 0.5, 0.5, 0.1, 0.3]) == [12]


def test_rejection_waits_for_volume_and_for_the_first_minutes() -> None:
    """Both only delay the rise while the touch is young enough."""
    path = [0.5, 0.5, 0.5, 0.1, 0.3, 0.3, 0.3]

    assert rejections(path, volume=[True] * 4 + [False, True, True]) == [5]
    assert rejections([*path, *path], dataclasses.replace(REJECT, vwap_first_minutes=1)) == []


BREAK = ScalpConfig(level_rearm_s=2, breakout_hold_ms=2000, breakout_confirm_s=4)


def breaks(distances: list[float], config: ScalpConfig = BREAK, volume: Any = None) -> list[int]:
    """Seconds at which a resistance at 10.00 breaks (its buffer is 0.02); distances in USD."""
    count = len(distances)
    level = levels.Level("swing", 1, np.full(count, 100_000.0))
    confirms = np.ones(count, bool) if volume is None else np.array(volume)
    price = 100_000 + np.rint(np.array(distances) * 10_000)
    return triggers.level_breaks(seconds(*range(count)), level, price, confirms, config)


def test_breakout_arms_crosses_and_holds() -> None:
    """Below for 2 s, at the buffer for 2 s; at the level itself is not below it."""
    assert breaks([-1, -1, -1, 0.02, 0.02, 0.02]) == [5]
    assert breaks([-1, -1, 0, 0.02, 0.02, 0.02]) == []
    assert breaks([-1, -1, -1, 0.02, 0.01, 0.02, 0.02]) == []


def test_run_that_ends_leaves_the_level_armed() -> None:
    """The crossing is void, the next run counts by itself, also when the confirmation time passed meanwhile."""
    assert breaks([-1, -1, -1, 0.02, 0.01, 0.02, 0.02, 0.02]) == [7]
    dry = [False] * 8 + [True] * 4
    assert breaks([-1, -1, -1, 0.02, 0.02, 0.02, 0.02, 0.02, 0.01, 0.02, 0.02, 0.02], volume=dry) == [11]


def test_breakout_without_volume_is_disarmed_in_the_end() -> None:
    """Volume may come up to 4 s after the crossing, bound included, and not later."""
    path = [-1, -1, -1] + [0.02] * 7

    assert breaks(path, volume=[False] * 7 + [True] * 3) == [7]
    assert breaks(path, volume=[False] * 8 + [True] * 2) == []
    assert breaks([*path, -1, 0.02, 0.02, 0.02], volume=[False] * 8 + [True] * 6) == []


def test_level_is_followed_only_while_active() -> None:
    """The run below it starts at the instant it becomes active."""
    prices = np.array([np.nan, np.nan, 1e5, 1e5, 1e5, 1e5, 1e5, 1e5])
    price = 1e5 + np.array([-1, -1, -1, -1, 1, 1, 1, 1]) * 10_000
    level = levels.Level("swing", 1, prices)

    assert triggers.level_breaks(seconds(*range(8)), level, price, np.ones(8, bool), BREAK) == []


def test_levels_that_rise_together_are_one_trigger() -> None:
    """The outermost names it; equal ones go by their order in the definitions."""
    times = seconds(*range(6))
    price = np.array([-1.0, -1, -1, 1, 1, 1]) * 10_000 + 1e5
    kinds = [("previous", 1e5), ("opening_range", 1e5), ("session_extreme", 99_990.0)]
    found = {}

    for side in (1, -1):
        mirrored = [levels.Level(kind, side, np.full(6, 2e5 - at if side < 0 else at)) for kind, at in kinds]
        moving = 2e5 - price if side < 0 else price
        found[side] = triggers.breakouts(times, mirrored, moving, np.ones(6, bool), BREAK)

    assert found[1] == [triggers.Rise(OPEN + 5 * S, "breakout", "call", 10.0, "opening_range")]
    assert found[-1] == [triggers.Rise(OPEN + 5 * S, "breakout", "put", 10.0, "opening_range")]
