"""Sessions on a lattice: a print a second, exactly at the second, at prices 0.10 apart.

They are poor in life and rich in edges: bounds of time and price, levels that merge, rise together or are
pushed out, machines that run through all their states every few seconds under `short_configs`.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from scalpcli.model import row
from scalpcli.model.params import ScalpConfig
from tests.oracle.algoseek import empty_columns, session_times
from tests.oracle.chain import ALL_FOUR, instruments
from tests.oracle.market import CENTRE_E4
from tests.oracle.sessions import DAY, SYMBOL, S, Session

STEP_E4 = 1000


def lattice_session(seed: int, *, minutes: int = 100) -> Session:
    """A session whose price walks from goal to goal over the lattice, with pauses and uneven volume."""
    rng = np.random.default_rng(seed)
    open_ns, close_ns = session_times(DAY)
    step, goal, until, loud, speed = 0, 0, 0, 1.0, 4
    seconds: list[int] = []
    prices: list[int] = []
    sizes: list[int] = []
    for second in range(minutes * 60):
        if second >= until:
            mean = round(float(np.mean(prices[-1200:]) - CENTRE_E4) / STEP_E4) if prices else 0
            # Every other goal is near VWAP, for a moment: touches are what rejections live on.
            is_touch = rng.random() < 0.5
            goal = mean + int(rng.integers(-1, 2)) if is_touch else mean // 2 + int(rng.integers(-20, 21))
            loud, speed = float(rng.choice([0.3, 1.0, 4.0])), int(rng.integers(1, 6))
            until = second + abs(goal - step) // speed + int(rng.integers(1, 5 if is_touch else 40))
        step += int(np.clip(goal - step, -speed, speed))
        if rng.random() < 0.15:
            continue
        noise = int(rng.integers(-1, 2)) if rng.random() < 0.3 else 0
        if second % 180 in (20, 40):
            # A high and a low every third minute: more swings in an hour than are kept.
            noise = (1 if second % 180 == 20 else -1) * int(rng.integers(15, 40))
        seconds.append(second)
        prices.append(int(CENTRE_E4) + STEP_E4 * (step + noise))
        sizes.append(1 + int(rng.exponential(50.0) * loud))
    columns = empty_columns(len(seconds))
    columns["ts_recv_ns"][:] = open_ns + np.array(seconds, np.int64) * S
    columns["ts_event_ns"][:] = columns["ts_recv_ns"]
    columns["kind"][:] = row.STOCK_TRADE
    columns["flags"][:] = ALL_FOUR
    columns["price_e4"][:] = prices
    columns["size"][:] = sizes
    columns["exchange"][:] = 1
    columns["trade_id"][:] = np.arange(1, len(seconds) + 1)
    previous = tuple(int(CENTRE_E4) + STEP_E4 * int(rng.integers(*ends)) for ends in ((10, 25), (-25, -10), (-5, 5)))
    return Session(
        columns=columns,
        open_ns=open_ns,
        close_ns=close_ns,
        until_ns=open_ns + minutes * 60 * S,
        instruments=instruments(SYMBOL, DAY, 0),
        previous=(previous[0], previous[1], previous[2]) if rng.random() < 0.5 else None,
        profile=None,
    )


def lattice_sessions(*, minutes: int = 100) -> st.SearchStrategy[Session]:
    """Any lattice session."""
    return st.builds(lattice_session, st.integers(0, 2**32 - 1), minutes=st.just(minutes))


def short_configs() -> st.SearchStrategy[ScalpConfig]:
    """Settings whose times are a few seconds, so that every bound is met."""
    return st.builds(
        ScalpConfig,
        eval_interval_ms=st.sampled_from([1000, 0, 2000, 500]),
        momentum_threshold_pct=st.sampled_from([0.1, 0.05]),
        momentum_window_seconds=st.sampled_from([5, 10]),
        momentum_confirm_window_seconds=st.sampled_from([2, 5]),
        momentum_rearm_ratio=st.sampled_from([0.6, 0.0, 1.0]),
        volume_spike_ratio=st.sampled_from([0.0, 0.5, 1.0]),
        vwap_volume_ratio=st.sampled_from([0.0, 0.5, 1.0]),
        volume_confirm_window_s=st.sampled_from([5, 2]),
        volume_baseline_min_s=st.sampled_from([0, 60]),
        level_merge_pct=st.sampled_from([0.0, 0.05, 0.025]),
        level_min_touches=st.sampled_from([1, 2]),
        level_min_age_s=st.sampled_from([3, 0, 30]),
        level_rearm_s=st.sampled_from([2, 0, 1, 5]),
        opening_range_minutes=st.sampled_from([1, 5]),
        vwap_far_sigma=st.sampled_from([0.2, 0.5]),
        vwap_far_s=st.sampled_from([2, 1, 5]),
        vwap_touch_s=st.sampled_from([2, 1, 5]),
        vwap_first_minutes=st.sampled_from([0, 1]),
        breakout_hold_ms=st.sampled_from([0, 1000, 2000]),
        breakout_confirm_s=st.sampled_from([2, 0, 4]),
        breakout_buffer_pct=st.sampled_from([0.03, 0.025, 0.0]),
    )
