"""Support and resistance (definitions, section 5).

Decides which levels stand and which are active. Leaves what a breakout of one is to `triggers`.
Resistance is the table's call side, support its put side; every price is in 1/10000 USD.
"""

from __future__ import annotations

from typing import Any

from scalpcli.core.layout import (
    CALL,
    LEVEL_SLOTS,
    OPENING_RANGE_SLOT,
    PREVIOUS_CLOSE_SLOT,
    PREVIOUS_SLOT,
    PUT,
    SESSION_EXTREME_SLOT,
)
from scalpcli.model.params import SWING_LEVELS_MAX
from scalpcli.units import NS_PER_MIN

Record = Any
Records = Any


def add_to_range(tracker: Record, minutes: Records, price: int, ts_ns: int) -> None:
    """Take one range-eligible regular print into session, opening range and minute extremes."""
    if tracker.has_range == 0:
        tracker.has_range = 1
        tracker.session_high = price
        tracker.session_high_ns = ts_ns
        tracker.session_low = price
        tracker.session_low_ns = ts_ns
    if price > tracker.session_high:
        tracker.session_high = price
        tracker.session_high_ns = ts_ns
    if price < tracker.session_low:
        tracker.session_low = price
        tracker.session_low_ns = ts_ns
    since_open_ns = ts_ns - tracker.open_ns
    if since_open_ns < 0:
        return
    if ts_ns < tracker.opening_end_ns:
        if tracker.has_opening_range == 0:
            tracker.has_opening_range = 1
            tracker.opening_high = price
            tracker.opening_low = price
        tracker.opening_high = max(tracker.opening_high, price)
        tracker.opening_low = min(tracker.opening_low, price)
    number = since_open_ns // NS_PER_MIN
    if number < len(minutes):
        minute = minutes[number]
        if minute.has == 0:
            minute.has = 1
            minute.high = price
            minute.low = price
        minute.high = max(minute.high, price)
        minute.low = min(minute.low, price)


def set_level(level: Record, value: float) -> None:
    """Let another value stand in the slot, active; lanes see it as new and unarmed."""
    level.value = value
    level.active = 1
    level.generation += 1


def add_pivot(levels: Records, level_sides: Records, side: int, pivot: int, merge_pct: float, min_touches: int) -> None:
    """Let a pivot join the first swing level of its side that is near enough, or start one."""
    base = side * LEVEL_SLOTS
    created = level_sides[side].swings
    for number in range(max(0, created - SWING_LEVELS_MAX), created):
        level = levels[base + number % SWING_LEVELS_MAX]
        if abs(float(pivot) - level.value) <= merge_pct * level.value / 100.0:
            level.pivot_sum += pivot
            level.touches += 1
            level.value = float(level.pivot_sum) / float(level.touches)
            if level.touches >= min_touches:
                level.active = 1
            return
    level = levels[base + created % SWING_LEVELS_MAX]
    level.value = float(pivot)
    level.pivot_sum = pivot
    level.touches = 1
    level.active = 1 if min_touches <= 1 else 0
    level.generation += 1
    level_sides[side].swings = created + 1


def find_pivots(tracker: Record, minutes: Records, levels: Records, level_sides: Records, t_ns: int) -> None:
    """Look at every minute whose two followers have ended by `t_ns`."""
    ended = (t_ns - tracker.open_ns) // NS_PER_MIN
    while tracker.pivot_minute + 3 <= ended and tracker.pivot_minute + 2 < len(minutes):
        m = tracker.pivot_minute
        tracker.pivot_minute = m + 1
        complete = True
        is_high = True
        is_low = True
        for other in range(m - 2, m + 3):
            if minutes[other].has == 0:
                complete = False
            if other != m:
                is_high = is_high and minutes[m].high > minutes[other].high
                is_low = is_low and minutes[m].low < minutes[other].low
        if complete and is_high:
            add_pivot(levels, level_sides, CALL, minutes[m].high, tracker.level_merge_pct, tracker.level_min_touches)
        if complete and is_low:
            add_pivot(levels, level_sides, PUT, minutes[m].low, tracker.level_merge_pct, tracker.level_min_touches)


def follow_extreme(level: Record, extreme: int, since_ns: int, t_ns: int, min_age_ns: int) -> None:
    """Let the session's extreme become a level once it has stood long enough."""
    if t_ns - since_ns >= min_age_ns and (level.active == 0 or level.value != float(extreme)):
        set_level(level, float(extreme))


def update_levels(tracker: Record, minutes: Records, levels: Records, level_sides: Records, t_ns: int) -> None:
    """Bring every level to `t_ns`, before triggers are looked at."""
    find_pivots(tracker, minutes, levels, level_sides, t_ns)
    range_ended = tracker.has_opening_range != 0 and t_ns >= tracker.opening_end_ns
    if range_ended and levels[OPENING_RANGE_SLOT].active == 0:
        set_level(levels[OPENING_RANGE_SLOT], float(tracker.opening_high))
        set_level(levels[LEVEL_SLOTS + OPENING_RANGE_SLOT], float(tracker.opening_low))
    if tracker.has_range != 0:
        follow_extreme(
            levels[SESSION_EXTREME_SLOT], tracker.session_high, tracker.session_high_ns, t_ns, tracker.level_min_age_ns
        )
        follow_extreme(
            levels[LEVEL_SLOTS + SESSION_EXTREME_SLOT],
            tracker.session_low,
            tracker.session_low_ns,
            t_ns,
            tracker.level_min_age_ns,
        )


def set_previous_levels(levels: Records, high_e4: int, low_e4: int, close_e4: int) -> None:
    """Let yesterday's high, low and close stand; the close counts on both sides."""
    set_level(levels[PREVIOUS_SLOT], float(high_e4))
    set_level(levels[LEVEL_SLOTS + PREVIOUS_SLOT], float(low_e4))
    set_level(levels[PREVIOUS_CLOSE_SLOT], float(close_e4))
    set_level(levels[LEVEL_SLOTS + PREVIOUS_CLOSE_SLOT], float(close_e4))


def level_kind(slot: int) -> str:
    """The level's name as the journal writes it."""
    if slot < SWING_LEVELS_MAX:
        return "swing"
    names = {
        OPENING_RANGE_SLOT: "opening_range",
        SESSION_EXTREME_SLOT: "session_extreme",
        PREVIOUS_SLOT: "previous",
        PREVIOUS_CLOSE_SLOT: "previous_close",
    }
    return names[slot]
