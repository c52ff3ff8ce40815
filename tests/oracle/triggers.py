"""The three triggers as state machines that take one step an instant (definitions, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tests.oracle.levels import KINDS, Level
from tests.oracle.trackers import S

SIDES = {1: "call", -1: "put"}
E4 = 10_000


class Rise(NamedTuple):
    """One trigger. `value` and `reference` as in the reference lists: percent or dollars, VWAP or a level's kind."""

    ts_ns: int
    trigger: str
    side: str
    value: float
    reference: str | float | None


def confirmed(ratios: Sequence[Any], required: float) -> Any:
    """Instants at which every one of the volume ratios is known and at least `required`; 0 asks for nothing."""
    if required == 0:
        return np.ones(len(ratios[0]), bool)
    return np.all([ratio >= required for ratio in ratios], axis=0)


def momentum_bursts(times: Any, side: int, long: Any, short: Any, volume_confirms: Any, params: Any) -> list[Rise]:
    """Bursts of one side from the velocities of the long and the short window, percent."""
    own = params.momentum_threshold_call_pct if side > 0 else params.momentum_threshold_put_pct
    threshold = own if own > 0 else params.momentum_threshold_pct
    quiet = params.momentum_rearm_ratio * threshold
    holds = (side * long >= threshold) & (side * short > 0) & volume_confirms
    rearms = (side * long < quiet) | np.isnan(long)
    found, armed = [], True
    for k in np.flatnonzero(holds | rearms).tolist():
        if holds[k] and armed:
            found.append(Rise(int(times[k]), "momentum_burst", SIDES[side], float(long[k]), None))
            armed = False
        elif rearms[k]:
            armed = True
    return found


def vwap_rejections(
    times: Any, side: int, price: Any, bands: tuple[Any, Any], volume_confirms: Any, open_ns: int, params: Any
) -> list[Rise]:
    """Rejections of one side; `bands` are VWAP and sigma at each instant."""
    vwap, sigma = bands
    x = side * (price - vwap)
    tolerance = np.maximum(params.vwap_tolerance_sigma * sigma, params.vwap_tolerance_pct * vwap / 100)
    far = x >= params.vwap_far_sigma * sigma
    through = x < -params.vwap_through_ratio * tolerance
    touches = x <= tolerance
    bounces = x >= np.maximum(params.vwap_bounce_sigma * sigma, params.vwap_bounce_tolerance_ratio * tolerance)
    bounces &= volume_confirms & (times >= open_ns + params.vwap_first_minutes * 60 * S)
    found, state, run_since, touched_at = [], "idle", None, 0
    for k, t in enumerate(times.tolist()):
        if state == "idle":
            run_since = (t if run_since is None else run_since) if far[k] else None
            if run_since is not None and t - run_since >= params.vwap_far_s * S:
                state = "far"
        elif through[k]:
            state, run_since = "idle", None
        elif state == "far":
            if touches[k]:
                state, touched_at = "touched", t
        elif t - touched_at > params.vwap_touch_s * S:
            state, run_since = "idle", None
        elif bounces[k]:
            found.append(Rise(t, "vwap_rejection", SIDES[side], price[k] / E4, vwap[k] / E4))
            state, run_since = "idle", None
    return found


def breakouts(times: Any, levels: list[Level], price: Any, volume_confirms: Any, params: Any) -> list[Rise]:
    """Breakouts through all levels; those of one instant and side are one trigger, named by the outermost."""
    rising: dict[tuple[int, int], list[tuple[float, int]]] = {}
    for level in levels:
        for k in level_breaks(times, level, price, volume_confirms, params):
            outermost_first = (-level.side * level.prices[k], KINDS.index(level.kind))
            rising.setdefault((k, -level.side), []).append(outermost_first)
    found = []
    for (k, against), together in sorted(rising.items()):
        distance, kind = min(together)
        found.append(Rise(int(times[k]), "breakout", SIDES[-against], against * distance / E4, KINDS[kind]))
    return found


def level_breaks(times: Any, level: Level, price: Any, volume_confirms: Any, params: Any) -> list[int]:
    """Positions of the instants at which this one level breaks."""
    active = np.flatnonzero(~np.isnan(level.prices) & ~np.isnan(price))
    x = level.side * (price - level.prices)
    least = float(round(params.breakout_buffer_usd * E4))
    beyond = x >= np.maximum(least, params.breakout_buffer_pct * level.prices / 100)
    below = x < 0
    hold_ns, confirm_ns = params.breakout_hold_ms * 1_000_000, params.breakout_confirm_s * S
    found, armed = [], False
    below_since: int | None = None
    crossed_at: int | None = None
    moments = (
        times[active].tolist(),
        below[active].tolist(),
        beyond[active].tolist(),
        volume_confirms[active].tolist(),
    )
    for k, t, is_below, is_beyond, volume in zip(active.tolist(), *moments, strict=True):
        below_since = (t if below_since is None else below_since) if is_below else None
        if below_since is not None and t - below_since >= params.level_rearm_s * S:
            armed = True
        if not (armed and is_beyond):
            crossed_at = None
            continue
        crossed_at = t if crossed_at is None else crossed_at
        rises = volume and hold_ns <= t - crossed_at <= confirm_ns
        if rises:
            found.append(k)
        if rises or t - crossed_at > confirm_ns:
            armed, crossed_at = False, None
    return found


def in_order(rises: list[Rise]) -> list[Rise]:
    """As the engine reports them: by instant, then momentum, rejection, breakout, then calls before puts."""
    triggers = ("momentum_burst", "vwap_rejection", "breakout")
    return sorted(rises, key=lambda rise: (rise.ts_ns, triggers.index(rise.trigger), rise.side != "call"))
