"""The three patterns that may start a trade (definitions, section 6).

Decides when a momentum burst, a VWAP rejection or a breakout rises and how long it holds. The 0.5 %
rule stands in `momentum_holds`. Thresholds belong to a lane, what they are held against to the
trackers, so that many lanes can share one pass.
"""

from __future__ import annotations

import math
from typing import Any

from scalpcli.core.layout import (
    BREAKOUT_BIT,
    CALL,
    LEVEL_SLOTS,
    MOMENTUM_BIT,
    NO_TIME_NS,
    REJECTION_BIT,
    SIDES,
    State,
)

Record = Any
Records = Any

IDLE = 0
FAR = 1
TOUCHED = 2


def is_confirmed(ratio: float, required: float) -> bool:
    """Whether the volume ratio is known and enough; a required ratio of 0 asks for nothing."""
    return required == 0.0 or ratio >= required


def momentum_holds(signed_velocity_pct: float, threshold_pct: float) -> bool:
    """Whether the move in the trigger's direction reaches the threshold; nan never does."""
    return signed_velocity_pct >= threshold_pct


def step_momentum(lane: Record, side: Record, velocity_pct: float, confirm_pct: float, ratio: float) -> None:
    """One step of the momentum burst of one side; velocities are signed by the side."""
    if (
        side.armed != 0
        and momentum_holds(velocity_pct, side.threshold_pct)
        and confirm_pct > 0.0
        and is_confirmed(ratio, lane.volume_spike_ratio)
    ):
        side.armed = 0
        side.rose_bits |= MOMENTUM_BIT
    if math.isnan(velocity_pct) or velocity_pct < lane.momentum_rearm_ratio * side.threshold_pct:
        side.armed = 1


def touch_tolerance(lane: Record, vwap: float, sigma: float) -> float:
    """How near VWAP counts as touching it, 1/10000 USD."""
    return float(max(lane.vwap_tolerance_sigma * sigma, lane.vwap_tolerance_pct * vwap / 100.0))


def rejection_holds(lane: Record, distance: float, vwap: float, sigma: float) -> bool:
    """Whether the price stands far enough from VWAP again, on the side it came from."""
    tolerance = touch_tolerance(lane, vwap, sigma)
    return bool(distance >= max(lane.vwap_bounce_sigma * sigma, lane.vwap_bounce_tolerance_ratio * tolerance))


def step_rejection(lane: Record, side: Record, tracker: Record, distance: float, ratio: float, t_ns: int) -> None:
    """One step of the VWAP rejection of one side.

    Args:
        lane: Thresholds.
        side: The machine; idle, far from VWAP, or touching it.
        tracker: VWAP and sigma, 1/10000 USD, and the open.
        distance: `s(P - vwap)`, 1/10000 USD; nan while unknown.
        ratio: Volume ratio of this side.
        t_ns: The instant.
    """
    tolerance = touch_tolerance(lane, tracker.vwap, tracker.sigma)
    through = distance < -lane.vwap_through_ratio * tolerance
    if side.rejection_state == IDLE:
        if distance >= lane.vwap_far_sigma * tracker.sigma:
            if side.far_since_ns == NO_TIME_NS:
                side.far_since_ns = t_ns
            if t_ns - side.far_since_ns >= lane.vwap_far_ns:
                side.rejection_state = FAR
        else:
            side.far_since_ns = NO_TIME_NS
        return
    if side.rejection_state == FAR:
        if distance <= tolerance and not through:
            side.rejection_state = TOUCHED
            side.touch_ns = t_ns
    elif t_ns - side.touch_ns > lane.vwap_touch_ns:
        side.rejection_state = IDLE
    elif (
        rejection_holds(lane, distance, tracker.vwap, tracker.sigma)
        and t_ns - tracker.open_ns >= lane.vwap_first_ns
        and is_confirmed(ratio, lane.vwap_volume_ratio)
    ):
        side.rose_bits |= REJECTION_BIT
        side.rejection_state = IDLE
    if through:
        side.rejection_state = IDLE
    if side.rejection_state == IDLE:
        side.far_since_ns = NO_TIME_NS


def breakout_buffer(lane: Record, level: float) -> float:
    """How far beyond a level the price must stand, 1/10000 USD."""
    return float(max(lane.breakout_buffer_e4, lane.breakout_buffer_pct * level / 100.0))


def breakout_holds(lane: Record, distance: float, level: float) -> bool:
    """Whether the price stands beyond the level by more than the buffer; nan never does."""
    return bool(distance >= breakout_buffer(lane, level))


def step_level(lane: Record, progress: Record, level: Record, distance: float, t_ns: int, confirmed: bool) -> bool:
    """One step of the breakout of one level; true at the instant it may rise."""
    if progress.generation != level.generation:
        progress.generation = level.generation
        progress.below_since_ns = NO_TIME_NS
        progress.cross_ns = NO_TIME_NS
        progress.armed = 0
    if distance < 0.0:
        if progress.below_since_ns == NO_TIME_NS:
            progress.below_since_ns = t_ns
        if t_ns - progress.below_since_ns >= lane.level_rearm_ns:
            progress.armed = 1
    else:
        progress.below_since_ns = NO_TIME_NS
    if not breakout_holds(lane, distance, level.value):
        progress.cross_ns = NO_TIME_NS
        return False
    if progress.armed == 0:
        return False
    if progress.cross_ns == NO_TIME_NS:
        progress.cross_ns = t_ns
    since_ns = t_ns - progress.cross_ns
    if since_ns > lane.breakout_confirm_ns:
        progress.armed = 0
        progress.cross_ns = NO_TIME_NS
        return False
    return bool(confirmed and since_ns >= lane.breakout_hold_ns)


def step_breakouts(state: State, lane_index: int, right: int, ratio: float, t_ns: int) -> None:
    """One step of every breakout of one side; of several that rise, the outermost is named."""
    lane = state.lanes[lane_index]
    side = state.lane_sides[lane_index * SIDES + right]
    levels = state.levels
    price = state.tracker[0].price
    first_state = (lane_index * SIDES + right) * LEVEL_SLOTS
    sign = 1.0 if right == CALL else -1.0
    confirmed = is_confirmed(ratio, lane.volume_spike_ratio)
    outermost = -1
    for slot in range(LEVEL_SLOTS):
        level = levels[right * LEVEL_SLOTS + slot]
        if level.active == 0:
            continue
        progress = state.lane_levels[first_state + slot]
        if step_level(lane, progress, level, sign * (price - level.value), t_ns, confirmed):
            progress.armed = 0
            progress.cross_ns = NO_TIME_NS
            if outermost < 0 or sign * (level.value - levels[right * LEVEL_SLOTS + outermost].value) > 0.0:
                outermost = slot
    if outermost >= 0:
        side.breakout_level = levels[right * LEVEL_SLOTS + outermost].value
        side.breakout_slot = outermost
        side.rose_bits |= BREAKOUT_BIT


def step_lane(state: State, lane_index: int, call_ratio: float, put_ratio: float, t_ns: int) -> int:
    """One step of every trigger of one lane; on how many sides one rose among those switched on."""
    rose = 0
    tracker = state.tracker[0]
    lane = state.lanes[lane_index]
    velocity_pct = state.windows[tracker.momentum_window].velocity_pct
    confirm_pct = state.windows[tracker.confirm_window].velocity_pct
    for right in range(SIDES):
        sign = 1.0 if right == CALL else -1.0
        ratio = call_ratio if right == CALL else put_ratio
        side = state.lane_sides[lane_index * SIDES + right]
        side.rose_bits = 0
        # A machine that is switched off takes no step: lanes that share one differ in what they leave off.
        if lane.enabled_bits & MOMENTUM_BIT:
            step_momentum(lane, side, sign * velocity_pct, sign * confirm_pct, ratio)
        if lane.enabled_bits & REJECTION_BIT:
            step_rejection(lane, side, tracker, sign * (tracker.price - tracker.vwap), ratio, t_ns)
        if lane.enabled_bits & BREAKOUT_BIT:
            step_breakouts(state, lane_index, right, ratio, t_ns)
        if side.rose_bits != 0:
            rose += 1
    return rose
