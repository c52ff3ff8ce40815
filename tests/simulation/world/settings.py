"""Settings under which a session of half a minute holds several scalps; some differ from schedule to schedule."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from scalpcli.core.engine import Setup
from scalpcli.model.fees import schedule_for
from scalpcli.model.params import Params
from tests.simulation.world.market import DAY, INSTRUMENTS, SESSION, SYMBOL

_QUIET_MS = 600_000
_FIXED: dict[str, dict[str, Any]] = {
    "scalp": {
        "enabled": True, "momentum_threshold_pct": 0.15, "momentum_window_seconds": 3,
        "momentum_confirm_window_seconds": 1, "volume_confirm_window_s": 3, "volume_baseline_min_s": 5,
        "velocity_windows_seconds": (1, 3, 5), "volume_spike_ratio": 0.0, "trigger_vwap_rejection": False,
        "trigger_breakout": False, "min_signal_interval_seconds": 1.0, "cooldown_after_loss_minutes": 0.0,
        "scalp_position_size_pct": 5.0, "max_daily_scalps": 20, "stop_loss_pct": 10.0,
        "max_spread_pct": 12.0,
    },
    "gates": {
        "underlying_silence_ms_max": _QUIET_MS, "underlying_price_age_ms_max": _QUIET_MS,
        "option_silence_ms_max": _QUIET_MS, "option_quote_age_ms_max": _QUIET_MS,
        "last_entry_before_close_minutes": 0.12, "gap_quiet_s": 2.0, "halt_quiet_s": 2.0,
        "underlying_spread_pct_max": 5.0,
    },
    "selection": {"greeks_source": "tape", "greeks_age_s_max": 3600.0},
    "exits": {
        "flatten_before_close_minutes": 0.1, "last_rung_before_close_minutes": 0.02, "reversal_window_seconds": 3,
    },
    "live": {
        "enabled": True, "order_connect_s": 1.0, "order_answer_s": 1.5, "look_up_s": 2.0, "reconcile_s": 8.0,
        "reconcile_busy_s": 2.0,
    },
    "alpaca": {"answer_s": 2.0},
}  # fmt: skip


def settings_of(seed: int) -> Params:
    """The settings of a schedule."""
    draw = random.Random(f"settings {seed}")  # noqa: S311 - settings, not a secret
    varied: dict[str, dict[str, Any]] = {
        "scalp": {
            "eval_interval_ms": draw.choice((0, 200, 500)),
            "max_hold_minutes": draw.choice((0.05, 0.12, 0.3)),
            "max_concurrent_scalps": draw.choice((1, 1, 2)),
            "take_profit_pct": draw.choice((10.0, 30.0)),
        },
        "exits": {
            "stop_confirm_ms": draw.choice((0, 300)), "protective_stop_pct": draw.choice((0.0, 0.0, 15.0, 40.0)),
        },
        "risk": {
            "contracts_max": draw.choice((2, 5, 8)),
            "reprice_after_ms": draw.choice((400, 1000)),
            "entry_reprices_max": draw.choice((0, 2)),
            "exit_reprices_max": draw.choice((3, 8)),
            "rejects_in_a_row_max": draw.choice((0, 3, 20)),
            "entry_style": draw.choice(("marketable",) * 5 + ("worked",)),
        },
        "live": {"guard_timeout_s": draw.choice((2.0, 4.0)), "on_stall": draw.choice(("flatten", "hold"))},
    }  # fmt: skip
    return Params(
        **{
            each.name: dataclasses.replace(
                getattr(Params(), each.name), **(_FIXED.get(each.name, {}) | varied.get(each.name, {}))
            )
            for each in dataclasses.fields(Params)
        }
    )


def setup_of(params: Params) -> Setup:
    """What the session is traded with."""
    return Setup(params, SYMBOL, SESSION, INSTRUMENTS, schedule_for(DAY, "none"), (), "paper", synthetic=True)
