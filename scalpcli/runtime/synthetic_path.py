"""The market behind a synthetic tape: where the price goes and how busy it is.

Decides the planted bursts, the path of the mid price and the activity of every second. Leaves rows to
`synthetic_stock.py` and `synthetic_options.py`.

The price is a mean-reverting diffusion with jumps; on it stand bursts of 0.65 to 1.2 percent in 10 to 25 s that
then go on, stall in a quiet market, or revert. Volume is U-shaped over the day, clustered, and four to
seven times the session's average in a burst. Constants are chosen so that every trigger, exit and most
refusals of the engine occur in a day; none is fitted to a market.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.runtime.synthetic_plan import (
    BURSTS_PER_SESSION,
    PREMARKET_S,
    REGULAR_SESSION_S,
    SESSIONS_PER_YEAR,
    US_PER_S,
    Frame,
    Part,
    Streams,
    SyntheticSpec,
)
from scalpcli.units import E4_PER_USD

Floats = NDArray[np.float64]

STEPS_PER_S: Final = 10
"""Points of the path a second; between them it is a straight line."""
_REVERSION_S: Final = 2_400.0
"""Seconds in which a displacement decays to 37 percent at ordinary volatility."""
_JUMPS_PER_SESSION: Final = 8
_FIRST_BURST_S: Final = 330
"""The session's own volume baseline is unknown before 300 s, so an earlier burst could not be confirmed."""
_LULL_S: Final = 1_020
"""A stalled burst is followed by 17 quiet minutes, longer than the default holding time."""
_LULL_VOLATILITY: Final = 0.12
_WALL_SHARE: Final = 0.9
"""No burst aims nearer at the wall than this share of the band."""
_FADE_S: Final = 30
"""Seconds after a burst's move until its volume is gone."""


@dataclass(frozen=True, slots=True)
class Burst:
    """One planted move.

    Args:
        start_s: Seconds since the tape's start.
        ramp_s: Seconds the move takes.
        move_pct: Percent of the spot, without sign.
        opposes: Whether it goes against the burst before it.
        outcome: `on`, `stall` or `revert`.
        pause_s: Seconds between the move and what follows.
        after_pct: Percent of the move that follows: on in its direction, or back.
        after_s: Seconds that takes.
        volume_ratio: Volume against the session's average so far.
    """

    start_s: int
    ramp_s: int
    move_pct: float
    opposes: bool
    outcome: str
    pause_s: int
    after_pct: float
    after_s: int
    volume_ratio: float

    @property
    def end_s(self) -> int:
        """Second at which the move itself is over."""
        return self.start_s + self.ramp_s


@dataclass(frozen=True, slots=True)
class Market:
    """Path and activity of a session, seconds and steps counted from the tape's start.

    Args:
        mid_e4: Mid price at each step, 1/10000 USD, shape ``(total_s * STEPS_PER_S + 1,)``.
        stress: 0 in a calm second, 1 in a violent one, shape ``(total_s,)``.
        busy: Messages a second against the session's mean, all channels alike, shape ``(total_s,)``.
        heat: How much of `busy` is a burst's, 0 to 1, shape ``(total_s,)``.
        shape: The day's U alone, mean 1 over the whole session, shape ``(session_s,)``.
    """

    mid_e4: Floats
    stress: Floats
    busy: Floats
    heat: Floats
    shape: Floats

    def mid_at(self, us: NDArray[np.int64]) -> Floats:
        """Mid price at microseconds since the start, 1/10000 USD."""
        position = np.clip(us, 0, None) * (STEPS_PER_S / US_PER_S)
        step = np.minimum(position.astype(np.int64), len(self.mid_e4) - 2)
        below = self.mid_e4[step]
        mid: Floats = below + (self.mid_e4[step + 1] - below) * (position - step)
        return mid

    def stress_at(self, us: NDArray[np.int64]) -> Floats:
        """Stress of the second in which a moment lies."""
        stress: Floats = self.stress[np.clip(us // US_PER_S, 0, len(self.stress) - 1)]
        return stress


def dollars_per_root_s(spec: SyntheticSpec) -> float:
    """Standard deviation of one second's change, USD."""
    return spec.spot * spec.volatility / math.sqrt(SESSIONS_PER_YEAR * REGULAR_SESSION_S)


def plan_bursts(spec: SyntheticSpec, frame: Frame, streams: Streams) -> list[Burst]:
    """Bursts in order of time: leaders spread evenly, some with an echo or a follower.

    An echo comes 20 to 50 s later the other way, so that the signal interval refuses it; a follower comes
    2 to 6 minutes later, when a position is likely to be open.
    """
    rng = streams.of(Part.BURSTS)
    wanted = spec.bursts
    if wanted is None:
        wanted = max(1, BURSTS_PER_SESSION * frame.window_s // REGULAR_SESSION_S)
    leaders = math.ceil(wanted * 0.62)
    last_s = frame.window_s - 60
    slot_s = (last_s - _FIRST_BURST_S) / max(1, leaders)
    starts: list[tuple[int, bool]] = []
    for index in range(leaders):
        start = int(_FIRST_BURST_S + slot_s * (index + 0.1 + 0.35 * rng.random()))
        starts.append((start, False))
        spare = wanted - leaders - (len(starts) - index - 1)
        if spare <= 0:
            continue
        if index % 2 == 0:
            starts.append((start + int(rng.integers(24, 46)), True))
        elif slot_s > 260:
            starts.append((start + int(rng.integers(120, int(min(360.0, 0.5 * slot_s)) + 1)), False))
    starts = _fill(starts, wanted, last_s, rng)
    return [
        _draw_burst(PREMARKET_S + start, opposes, spec.follow_through_pct / 100.0, rng)
        for start, opposes in sorted(starts)
    ]


def _fill(starts: list[tuple[int, bool]], wanted: int, last_s: int, rng: np.random.Generator) -> list[tuple[int, bool]]:
    """`starts` with further bursts in the middle of the widest spaces, up to the number wanted."""
    while len(starts) < wanted:
        times = sorted([_FIRST_BURST_S, *(start for start, _ in starts), last_s])
        left, right = max(pairwise(times), key=lambda pair: pair[1] - pair[0])
        starts = [*starts, (left + int((right - left) * (0.4 + 0.2 * rng.random())), bool(rng.random() < 0.5))]
    return starts[:wanted]


def _draw_burst(start_s: int, opposes: bool, follow_through: float, rng: np.random.Generator) -> Burst:
    draw = rng.random(8)
    if draw[0] < follow_through:
        outcome, after_pct, after_s = "on", 55.0 + 65.0 * draw[1], 40 + int(200 * draw[2])
    elif draw[0] < follow_through + (1.0 - follow_through) * 0.45:
        outcome, after_pct, after_s = "stall", 0.0, 1
    else:
        outcome, after_pct, after_s = "revert", -80.0 - 50.0 * draw[1], 40 + int(140 * draw[2])
    return Burst(
        start_s=start_s,
        ramp_s=10 + int(15 * draw[3]),
        move_pct=0.65 + 0.55 * draw[4] * draw[4],
        opposes=opposes or bool(draw[5] < 0.15),
        outcome=outcome,
        pause_s=4 + int(10 * draw[6]),
        after_pct=after_pct,
        after_s=after_s,
        volume_ratio=4.5 + 2.5 * draw[7],
    )


def build_market(
    spec: SyntheticSpec,
    frame: Frame,
    bursts: Sequence[Burst],
    streams: Streams,
    reopening_s: Sequence[int] = (),
) -> Market:
    """Path and activity of a session.

    At the seconds `reopening_s` trading opens again after a pause; the price gaps there.
    """
    shape = _volume_shape(frame.session_s)
    mid = _path(spec, frame, bursts, streams, reopening_s)
    stress = _stress(spec, mid)
    busy, heat = _activity(frame, bursts, streams, shape, stress)
    return Market(mid * E4_PER_USD, stress, busy, heat, shape)


def _volume_shape(session_s: int) -> Floats:
    """The day's U: three times the midday at the open, twice at the close, mean 1."""
    past = (np.arange(session_s) + 0.5) / session_s
    left = 1.0 - past
    # Squares of squares: NumPy's `power` may differ in the last bit from machine to machine.
    left4, past4 = (left * left) * (left * left), (past * past) * (past * past)
    shape = 0.62 + 0.5 * left * left + 1.9 * left4 * left4 * left4 + 1.0 * past4 * past4
    normal: Floats = shape / shape.mean()
    return normal


def _path(
    spec: SyntheticSpec, frame: Frame, bursts: Sequence[Burst], streams: Streams, reopening_s: Sequence[int]
) -> Floats:
    """Mid price in dollars at every step."""
    rng = streams.of(Part.PATH)
    steps = frame.total_s * STEPS_PER_S
    volatility = _volatility(frame, bursts, rng)
    per_step = dollars_per_root_s(spec) / math.sqrt(STEPS_PER_S)
    shocks = rng.standard_normal(steps) * volatility * per_step
    jumps = rng.integers(0, steps, size=max(1, _JUMPS_PER_SESSION * frame.window_s // REGULAR_SESSION_S))
    shocks[jumps] += (rng.random(jumps.size) - 0.5) * (0.004 * spec.spot)
    for second in reopening_s:
        shocks[second * STEPS_PER_S] += (rng.random() - 0.5) * (0.015 * spec.spot)
    decay = 1.0 - volatility * volatility / (_REVERSION_S * STEPS_PER_S)
    band = _band_usd(spec)
    away = np.zeros(steps + 1)
    sides = rng.random(len(bursts))
    last_side = 1.0
    begin = 0
    for burst, chance in zip(bursts, sides, strict=True):
        start = burst.start_s * STEPS_PER_S
        _walk(away, decay, shocks, begin, start)
        # The farther out, the likelier the burst leads back, so that the chain still covers the price.
        up = chance < 0.5 - 0.5 * max(-1.0, min(1.0, away[start] / (0.5 * band)))
        side = -last_side if burst.opposes else (1.0 if up else -1.0)
        here, move = float(away[start]), spec.spot / 100.0 * burst.move_pct
        last_side = side if abs(_behind_wall(here, band) + side * move) < _WALL_SHARE * band else -side
        _plant(shocks, burst, _through_wall(here, last_side * move, band), rng)
        begin = start
    _walk(away, decay, shocks, begin, steps)
    mid: Floats = spec.spot + _behind_wall(away, band)
    return mid


def _behind_wall(away: Any, band: float) -> Any:
    """A soft wall at the band's edge; square roots round alike everywhere, `power` may not."""
    squared = (away / band) * (away / band)
    return away / np.sqrt(np.sqrt(1.0 + squared * squared))


def _through_wall(away: float, move_usd: float, band: float) -> float:
    """The change of `away` that moves the price by `move_usd` although the wall flattens it."""
    reach = _WALL_SHARE * band
    wanted = min(max(float(_behind_wall(away, band)) + move_usd, -reach), reach)
    squared = (wanted / band) * (wanted / band)
    return wanted / math.sqrt(math.sqrt(1.0 - squared * squared)) - away


def _band_usd(spec: SyntheticSpec) -> float:
    """How far from the spot the price may go, USD: the chain must hold contracts out of the money beyond it."""
    half_chain = spec.strike_step * (max(2, spec.contracts // 2) - 1) / 2.0
    return min(max(half_chain - 0.011 * spec.spot, 0.014 * spec.spot), 0.03 * spec.spot)


def _walk(away: Floats, decay: Floats, shocks: Floats, begin: int, end: int) -> None:
    """Fill `away` from step `begin` to `end`; one step after another, since each needs the one before."""
    here = float(away[begin])
    path = [here]
    for kept, shock in zip(decay[begin:end].tolist(), shocks[begin:end].tolist(), strict=True):
        here = here * kept + shock
        path.append(here)
    away[begin : end + 1] = path


def _plant(shocks: Floats, burst: Burst, move_usd: float, rng: np.random.Generator) -> None:
    """Add a burst's move and what follows to the steps to come."""
    pieces = (
        (burst.start_s, burst.ramp_s, move_usd),
        (burst.end_s + burst.pause_s, burst.after_s, move_usd * burst.after_pct / 100.0),
    )
    for start_s, length_s, usd in pieces:
        begin = start_s * STEPS_PER_S
        end = min(begin + length_s * STEPS_PER_S, len(shocks))
        if begin < end:
            weights = 0.4 + 1.2 * rng.random(length_s * STEPS_PER_S)
            shocks[begin:end] += (weights * (usd / weights.sum()))[: end - begin]


def _volatility(frame: Frame, bursts: Sequence[Burst], rng: np.random.Generator) -> Floats:
    """Volatility of every step against the mean: higher at the open, drifting, low after a stalled burst."""
    seconds = np.arange(frame.total_s)
    left = np.clip(1.0 - (seconds - PREMARKET_S) / frame.session_s, 0.0, 1.0)
    left4 = (left * left) * (left * left)
    knots = np.arange(0, frame.total_s + 300, 300)
    drifting = np.interp(seconds, knots, 0.7 + 0.6 * rng.random(knots.size))
    by_second = (0.9 + 0.5 * left4 * left4) * drifting
    by_second[:PREMARKET_S] *= 0.4
    later = [*(burst.start_s for burst in bursts), frame.total_s][1:]
    for burst, next_start in zip(bursts, later, strict=True):
        if burst.outcome == "stall":
            by_second[burst.end_s : min(burst.end_s + _LULL_S, next_start)] *= _LULL_VOLATILITY
    return np.repeat(by_second, STEPS_PER_S)


def _stress(spec: SyntheticSpec, mid: Floats) -> Floats:
    """How violent each second is: the change over five seconds about it against its usual size."""
    by_second = mid[::STEPS_PER_S]
    before = np.concatenate([np.full(4, by_second[0]), by_second[:-5]])
    change = np.abs(by_second[1:] - before)
    usual = dollars_per_root_s(spec) * math.sqrt(5.0)
    stress: Floats = np.clip((change / usual - 1.5) / 4.0, 0.0, 1.0)
    return stress


def _activity(
    frame: Frame, bursts: Sequence[Burst], streams: Streams, shape: Floats, stress: Floats
) -> tuple[Floats, Floats]:
    """Messages a second against the session's mean, and the share of a burst in them."""
    rng = streams.of(Part.ACTIVITY)
    total = frame.total_s
    day = np.concatenate([np.full(PREMARKET_S, 0.02), shape[: frame.window_s]])
    average = np.cumsum(shape[: frame.window_s]) / np.arange(1, frame.window_s + 1)
    average = np.concatenate([np.full(PREMARKET_S, 0.02), average])
    knots = np.arange(0, total + 20, 20)
    clusters = np.interp(np.arange(total), knots, rng.standard_gamma(6.0, knots.size) / 6.0)
    busy = day * clusters * (1.0 + 1.2 * stress)
    for start in rng.integers(PREMARKET_S, total, size=1 + frame.window_s // 330):
        # Volume without a move: blocks, baskets, news that nobody trades on.
        length = int(rng.integers(15, 45))
        busy[start : start + length] = np.maximum(
            busy[start : start + length], average[start] * (1.5 + 2.0 * rng.random())
        )
    heat = np.zeros(total)
    for burst in bursts:
        # Against the average that really was, earlier bursts included: that is what the engine compares with.
        past = busy[PREMARKET_S : burst.start_s - 30]
        level = burst.volume_ratio * max(float(past.mean()), 0.5 * float(busy[burst.start_s]))
        begin, hold, end = burst.start_s - 3, burst.end_s + 8, min(burst.end_s + _FADE_S, total)
        fade = np.clip((burst.end_s + _FADE_S - np.arange(begin, end)) / (burst.end_s + _FADE_S - hold), 0.0, 1.0)
        heat[begin:end] = np.maximum(heat[begin:end], fade)
        busy[begin:end] = np.maximum(busy[begin:end], level * fade)
    return busy, heat
