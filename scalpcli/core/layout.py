"""The arrays the kernel works on: one record type each, allocated once per session.

Decides field names and widths. The same arrays serve the compiled kernel (as C structs) and the
interpreted one (as NumPy record arrays), so both are one source (design, section 4). Every window has
a stated bound: `PRINTS_MAX` prints a ring, `SWING_LEVELS_MAX` swing levels a side, one minute record a
minute of the session.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from scalpcli.model.params import SWEEP_PRICES_MAX, SWING_LEVELS_MAX

NEVER_NS: Final = 2**62
"""A time that does not come; far below the end of int64, so that adding a window cannot wrap."""
NO_TIME_NS: Final = -(2**62)
"""The time of something that has not happened."""
PRINTS_START: Final = 1 << 15
"""Prints a ring has room for at first; a usual session's windows fit, so that it seldom grows."""
PRINTS_MAX: Final = 1 << 24
"""Prints one ring holds at most; a longer window of a busier market stops the replay with an error."""

# Why `advance` came back.
END: Final = 0
"""The batch is used up."""
UNTIL: Final = 1
"""Every row up to `until_ns` is folded, every instant before it evaluated."""
INSTANT: Final = 2
"""An instant was evaluated at which a trigger rose or the engine asked to be woken."""
WATCH: Final = 3
"""A quote of a watched contract was folded that met its watch."""
RARE: Final = 4
"""A status, gap or cold row was folded."""
GROW: Final = 5
"""A ring is full; the row was not folded."""
TRACE: Final = 6
"""The trace buffer is full; the instant was not evaluated."""
DISORDER: Final = 7
"""The next row was received before the one before it, or names no known instrument or kind."""

SIDES: Final = 2
CALL: Final = 0
PUT: Final = 1

# Channels, by the bit of `model.row.CHANNEL_*`.
STOCK_TRADES: Final = 0
STOCK_QUOTES: Final = 1
OPTION_TRADES: Final = 2
OPTION_QUOTES: Final = 3
PRICE_ONLY_CHANNEL: Final = 4
CHANNELS: Final = 5

# Slots of the level table of one side, in the order of definitions, section 5.
OPENING_RANGE_SLOT: Final = SWING_LEVELS_MAX
SESSION_EXTREME_SLOT: Final = SWING_LEVELS_MAX + 1
PREVIOUS_SLOT: Final = SWING_LEVELS_MAX + 2
PREVIOUS_CLOSE_SLOT: Final = SWING_LEVELS_MAX + 3
LEVEL_SLOTS: Final = SWING_LEVELS_MAX + 4

# What a watched contract waits for.
WATCH_EVERY: Final = 1
WATCH_LOW: Final = 2
"""A bid (0 when absent) at or below `watch_low_e4`."""
WATCH_HIGH: Final = 4
"""A valid bid at or above `watch_high_e4`."""
WATCH_RECOVERY: Final = 8
"""A valid bid above `watch_low_e4`."""

# Triggers, as bits and in their order at an instant.
MOMENTUM_BIT: Final = 1
REJECTION_BIT: Final = 2
BREAKOUT_BIT: Final = 4

VOLUME_FROM_STOCK: Final = 0
VOLUME_FROM_OPTIONS: Final = 1
VOLUME_FROM_BOTH: Final = 2

TRACE_COLUMNS: Final = 7
"""Fixed trace columns before the velocities: ts, price, vwap, sigma, volume ratio, high, low."""


def _record(*fields: tuple[str, str] | tuple[str, str, tuple[int, ...]]) -> np.dtype[Any]:
    # NumPy's own attributes hide fields of their name when interpreted, not when compiled (`size` did).
    assert not {field[0] for field in fields} & set(dir(np.record))
    return np.dtype(list(fields), align=True)


TRACKER: Final = _record(
    # The session and its instants.
    ("open_ns", "i8"),
    ("close_ns", "i8"),
    ("interval_ns", "i8"),
    ("next_instant_ns", "i8"),
    ("instant_ns", "i8"),
    ("now_ns", "i8"),
    ("reason", "i8"),
    ("wake_ns", "i8"),
    ("report_instants", "i8"),
    ("watched_id", "i8"),
    ("rare_row", "i8"),
    # Velocity.
    ("price_from_mid", "i8"),
    ("price", "f8"),
    ("price_ns", "i8"),
    ("prints_head", "i8"),
    ("prints_mask", "i8"),
    ("prints_floor", "i8"),
    ("momentum_window", "i8"),
    ("confirm_window", "i8"),
    ("reversal_window", "i8"),
    ("volume_window", "i8"),
    # Volume.
    ("volume", "i8"),
    ("volume_before_open", "i8"),
    ("volume_source", "i8"),
    ("baseline_min_ns", "i8"),
    ("option_prints_mask", "i8"),
    ("stock_ratio", "f8"),
    # Sweeps.
    ("sweep_size_min", "i8"),
    ("sweep_gap_ns_max", "i8"),
    ("sweep_run_ns_max", "i8"),
    ("sweep_prices_min", "i8"),
    ("sweep_exchanges_min", "i8"),
    # VWAP.
    ("vwap_weight", "f8"),
    ("vwap_mean", "f8"),
    ("vwap_m2", "f8"),
    ("vwap", "f8"),
    ("sigma", "f8"),
    # Levels.
    ("has_range", "i8"),
    ("session_high", "i8"),
    ("session_high_ns", "i8"),
    ("session_low", "i8"),
    ("session_low_ns", "i8"),
    ("has_opening_range", "i8"),
    ("opening_high", "i8"),
    ("opening_low", "i8"),
    ("opening_end_ns", "i8"),
    ("pivot_minute", "i8"),
    ("level_merge_pct", "f8"),
    ("level_min_touches", "i8"),
    ("level_min_age_ns", "i8"),
    # Trace.
    ("trace_rows", "i8"),
)
"""One record: the session's clock and the trackers' single values. Prices in 1/10000 USD."""

WINDOW: Final = _record(("window_ns", "i8"), ("tail", "i8"), ("velocity_pct", "f8"))
"""One record a velocity window: `tail` is the last print received at or before its start, -1 = none."""

PRINT: Final = _record(("ts_ns", "i8"), ("price", "f8"), ("price_ns", "i8"), ("volume", "i8"))
"""Ring of regular prints: price then known (nan = none) and when it printed, volume printed so far."""

OPTION_PRINT: Final = _record(("ts_ns", "i8"), ("volume", "i8"))
"""Two rings in one array, calls then puts: contracts printed so far."""

OPTION_SIDE: Final = _record(
    ("head", "i8"),
    ("tail", "i8"),
    ("floor", "i8"),
    ("volume", "i8"),
    ("volume_before_open", "i8"),
    ("ratio", "f8"),
    ("sweep_ns", "i8"),
    ("sweeps", "i8"),
    ("sell_sweeps", "i8"),
)
"""One record a right: its volume ring's ends, its volume ratio, its last buying sweep."""

CHANNEL: Final = _record(("last_ns", "i8"), ("gap_open", "i8"), ("gap_start_ns", "i8"), ("gap_end_ns", "i8"))
"""One record a channel: its last row, whether it is blind, when it last saw again."""

BOOK: Final = _record(
    ("bid_e4", "i8"),
    ("ask_e4", "i8"),
    ("bid_size", "i8"),
    ("ask_size", "i8"),
    ("quote_ns", "i8"),
    ("last_e4", "i8"),
    ("last_ns", "i8"),
    ("volume_today", "i8"),
    ("halted", "i8"),
    ("halt_end_ns", "i8"),
    ("right", "i8"),
    ("watch", "i8"),
    ("watch_low_e4", "i8"),
    ("watch_high_e4", "i8"),
    ("bid_low_e4", "i8"),
    ("bid_high_e4", "i8"),
)
"""One record an instrument, by `instrument_id`: its last quote and what is waited for.

`right` is CALL or PUT; `bid_low_e4` and `bid_high_e4` are the extremes of its valid bids since the watch began.
"""

SWEEP: Final = _record(
    ("side", "i8"),
    ("contracts", "i8"),
    ("first_event_ns", "i8"),
    ("last_event_ns", "i8"),
    ("price_levels", "i8"),
    ("prices_e4", "i8", (SWEEP_PRICES_MAX,)),
    ("price_min", "i8"),
    ("price_max", "i8"),
    ("exchanges", "i8"),
    ("bid_e4", "i8"),
    ("ask_e4", "i8"),
    ("raised", "i8"),
)
"""One record an instrument: the run of prints under way. `side`: 1 buys, -1 sells, 0 no run."""

MINUTE: Final = _record(("has", "i8"), ("high", "i8"), ("low", "i8"))
"""One record a minute of the session."""

LEVEL: Final = _record(("value", "f8"), ("pivot_sum", "i8"), ("touches", "i8"), ("active", "i8"), ("generation", "i8"))
"""`SIDES * LEVEL_SLOTS` records; `generation` counts what stood in the slot, so that lanes notice a new one."""

LEVEL_SIDE: Final = _record(("swings", "i8"))
"""One record a side: swing levels created so far."""

LANE: Final = _record(
    ("enabled_bits", "i8"),
    ("momentum_rearm_ratio", "f8"),
    ("volume_spike_ratio", "f8"),
    ("vwap_volume_ratio", "f8"),
    ("vwap_tolerance_sigma", "f8"),
    ("vwap_tolerance_pct", "f8"),
    ("vwap_far_sigma", "f8"),
    ("vwap_far_ns", "i8"),
    ("vwap_through_ratio", "f8"),
    ("vwap_bounce_sigma", "f8"),
    ("vwap_bounce_tolerance_ratio", "f8"),
    ("vwap_touch_ns", "i8"),
    ("vwap_first_ns", "i8"),
    ("breakout_buffer_e4", "f8"),
    ("breakout_buffer_pct", "f8"),
    ("breakout_hold_ns", "i8"),
    ("breakout_confirm_ns", "i8"),
    ("level_rearm_ns", "i8"),
)
"""One record a lane: one set of thresholds over the shared trackers."""

LANE_SIDE: Final = _record(
    ("threshold_pct", "f8"),
    ("armed", "i8"),
    ("rejection_state", "i8"),
    ("far_since_ns", "i8"),
    ("touch_ns", "i8"),
    ("rose_bits", "i8"),
    ("breakout_level", "f8"),
    ("breakout_slot", "i8"),
)
"""Two records a lane: the trigger machines of one side and what they said at the last instant."""

LANE_LEVEL: Final = _record(("generation", "i8"), ("below_since_ns", "i8"), ("armed", "i8"), ("cross_ns", "i8"))
"""`SIDES * LEVEL_SLOTS` records a lane: how far a breakout of each level has come."""


class State(NamedTuple):
    """The kernel's arrays: the whole of what is known of a session, in fields named as `STATE_ARRAYS`."""

    tracker: Any
    windows: Any
    prints: Any
    option_prints: Any
    option_sides: Any
    channels: Any
    book: Any
    sweeps: Any
    minutes: Any
    levels: Any
    level_sides: Any
    lanes: Any
    lane_sides: Any
    lane_levels: Any
    profile: Any
    trace: Any


STATE_ARRAYS: Final[tuple[np.dtype[Any], ...]] = (
    TRACKER,
    WINDOW,
    PRINT,
    OPTION_PRINT,
    OPTION_SIDE,
    CHANNEL,
    BOOK,
    SWEEP,
    MINUTE,
    LEVEL,
    LEVEL_SIDE,
    LANE,
    LANE_SIDE,
    LANE_LEVEL,
    np.dtype(np.float64),
    np.dtype(np.float64),
)
"""Element type of each array of `State`, in order."""
