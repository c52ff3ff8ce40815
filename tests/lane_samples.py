"""Random settings for lanes, and what a replay of one of them writes."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

from scalpcli.core.lanes import with_values
from scalpcli.model.params import Params
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.replay import ReplayOptions, replay_session

compiled = functools.cache(load_kernel)

CHOICES: dict[str, list[Any]] = {
    "scalp.momentum_threshold_pct": [0.2, 0.3, 0.4, 0.5, 0.7],
    "scalp.momentum_threshold_put_pct": [0.0, 0.0, 0.35],
    "scalp.momentum_rearm_ratio": [0.4, 0.6],
    "scalp.momentum_window_seconds": [30, 30, 30, 20],
    "scalp.volume_spike_ratio": [0.0, 1.0, 1.5, 2.0, 3.0],
    "scalp.volume_source": ["stock", "stock", "stock", "options"],
    "scalp.take_profit_pct": [5.0, 12.5, 20.0, 30.0, 60.0],
    "scalp.stop_loss_pct": [3.0, 8.0, 15.0, 25.0],
    "scalp.max_hold_minutes": [1.0, 5.0, 15.0],
    "scalp.max_daily_scalps": [5, 20, 100],
    "scalp.max_concurrent_scalps": [1, 1, 2, 5],
    "scalp.min_signal_interval_seconds": [0.0, 10.0, 60.0],
    "scalp.cooldown_after_loss_minutes": [0.0, 1.0, 5.0],
    "scalp.max_spread_pct": [3.0, 5.0, 8.0],
    "scalp.target_delta": [0.33, 0.35, 0.38],
    "scalp.signal_patience_ms": [0, 2000, 5000],
    "scalp.confidence_min": [0, 0, 50],
    "scalp.trigger_momentum_burst": [True, True, True, False],
    "scalp.trigger_breakout": [True, True, False],
    "scalp.trigger_vwap_rejection": [True, True, False],
    "scalp.vwap_tolerance_sigma": [0.1, 0.2],
    "scalp.vwap_volume_ratio": [0.0, 1.2],
    "scalp.breakout_hold_ms": [0, 2000],
    "scalp.level_rearm_s": [20, 60],
    "gates.option_quote_age_ms_max": [60_000, 5_000],
    "gates.daily_loss_usd_max": [0.0, 0.0, 1000.0],
    "selection.greeks_source": ["auto", "computed"],
    "exits.trailing_stop_pct": [0.0, 0.0, 10.0],
    "exits.stalled_after_minutes": [0.0, 0.0, 2.0],
    "exits.reversal_enabled": [False, False, False, True],
    "exits.stop_confirm_ms": [0, 300, 1500],
    "risk.displayed_size_share_pct": [10.0, 100.0],
    "risk.reprice_after_ms": [200, 1000],
    "risk.starting_equity_usd": [20_000.0, 100_000.0],
    "simulated_broker.order_latency_ms": [0.0, 250.0, 900.0],
    "simulated_broker.report_latency_ms": [0.0, 50.0, 300.0],
}


def random_settings(count: int, seed: int) -> list[Params]:
    """Settings that differ in what they look for, how they enter, how they leave and what the broker does."""
    chance = random.Random(seed)  # noqa: S311 - settings, not secrets
    return [with_values(Params(), {key: chance.choice(some) for key, some in CHOICES.items()}) for _ in range(count)]


def replayed(tape: Path, params: Params) -> bytes:
    """The journal of a single replay."""
    return replay_session(tape, params, (), compiled(), ReplayOptions()).decisions
