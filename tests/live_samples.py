"""What a running `live` tells, made by hand: one snapshot as the state's schema says, and the decisions behind it."""

from __future__ import annotations

import copy
from typing import Any

from scalpcli.units import NS_PER_MS, NS_PER_S

OPEN_NS = 1_764_081_000 * NS_PER_S
"""2025-11-25 09:30 in New York."""
CLOSE_NS = OPEN_NS + 23_400 * NS_PER_S
NOW_NS = OPEN_NS + 3_667 * NS_PER_S + 250 * NS_PER_MS
"""10:31:07.250 in New York."""
CALL = "TSLA251125C00420000"
PUT = "TSLA251125P00417500"


def at(clock: str) -> int:
    """UTC nanoseconds of a New York clock time of that day."""
    hours, minutes, seconds = (float(part) for part in clock.split(":"))
    return OPEN_NS + int(((hours - 9.5) * 3600 + minutes * 60 + seconds) * NS_PER_S)


def gate(name: str, value: float | None = None, limit: float | None = None, detail: str = "", *, is_open: bool = True):
    return {"gate": name, "open": is_open, "value": value, "limit": limit, "detail": detail}


SIGNAL: dict[str, Any] = {
    "ts_ns": at("10:29:14.200"),
    "kind": "signal",
    "episode": 6,
    "trigger": "momentum_burst",
    "side": "call",
    "signal": 1,
    "id": "20251125-7f3a-1",
    "signal_type": "SCALP_CALL",
    "underlying_price_e4": 4_193_100.0,
    "option_symbol": CALL,
    "strike_e4": 4_200_000,
    "expiry": "2025-11-25",
    "dte": 0,
    "delta": 0.36,
    "delta_source": "computed",
    "iv": 0.61,
    "theta_per_minute_e4": -31.5,
    "open_interest": 8_412,
    "bid_e4": 11_800,
    "ask_e4": 12_000,
    "bid_size": 41,
    "ask_size": 37,
    "spread_pct": 1.68,
    "quote_age_ms": 84.0,
    "entry_price_target_e4": 12_000,
    "take_profit_pct": 30.0,
    "stop_loss_pct": 15.0,
    "max_hold_minutes": 15.0,
    "confidence": 78,
    "suggested_contracts": 3,
    "size_capped_by": "equity",
    "eligible": 4,
}
FILL: dict[str, Any] = {
    "ts_ns": at("10:29:14.610"),
    "kind": "fill",
    "order_id": "20251125-7f3a-1-e-1",
    "signal": 1,
    "leg": "entry",
    "quantity": 3,
    "price_e4": 12_000,
    "ts_market_ns": at("10:29:14.580"),
    "bid_e4": 11_800,
    "ask_e4": 12_000,
    "filled": 3,
    "held": 3,
}


def _trigger(clock: str, episode: int, trigger: str, side: str) -> dict[str, Any]:
    return {
        "ts_ns": at(clock),
        "kind": "trigger",
        "episode": episode,
        "trigger": trigger,
        "side": side,
        "price_e4": 4_190_000.0,
        "velocity_pct": 0.52,
        "confirm_velocity_pct": 0.09,
        "threshold_pct": 0.5,
        "volume_ratio": 2.4,
        "required_ratio": 2.0,
        "vwap_e4": 4_181_000.0,
        "sigma_e4": 9_100.0,
        "level_e4": None,
        "level_kind": "",
    }


def _judged(kind: str, clock: str, episode: int, trigger: str, side: str, judged: dict[str, Any]) -> dict[str, Any]:
    head = {"ts_ns": at(clock), "kind": kind, "episode": episode, "trigger": trigger, "side": side}
    return head | {name: judged[name] for name in ("gate", "value", "limit", "detail")}


_CLOSED_SIGNAL = SIGNAL | {
    "ts_ns": at("10:04:31"),
    "episode": 3,
    "trigger": "breakout",
    "side": "put",
    "signal": 0,
    "signal_type": "SCALP_PUT",
    "option_symbol": PUT,
}
_DECISIONS = [
    _trigger("10:04:31", 3, "breakout", "put"),
    _CLOSED_SIGNAL,
    FILL | {"ts_ns": at("10:04:31.400"), "signal": 0, "quantity": 2, "filled": 2, "held": 2, "price_e4": 14_500},
    {
        "ts_ns": at("10:11:02"),
        "kind": "exit",
        "signal": 0,
        "reason": "TAKE_PROFIT",
        "value": 30.34,
        "limit": 30.0,
        "pnl_pct": 30.34,
        "bid_e4": 18_900,
        "held_s": 390.6,
        "message": "take profit at 30.3 %",
    },
    {
        "ts_ns": at("10:11:02.350"),
        "kind": "trade",
        "episode": 3,
        "trigger": "breakout",
        "side": "put",
        "signal": 0,
        "trade": 0,
        "symbol": PUT,
        "quantity": 2,
        "cost_e4": 2_900_000,
        "proceeds_e4": 3_780_000,
        "gross_e4": 880_000,
        "fees_estimate_e4": 1_400,
        "opened_ns": at("10:04:31.400"),
        "closed_ns": at("10:11:02.350"),
        "exit_reason": "TAKE_PROFIT",
        "pnl_pct": 30.34,
        "mae_pct": -4.1,
        "mfe_pct": 31.7,
    },
    _trigger("10:18:20.400", 4, "vwap_rejection", "call"),
    _judged(
        "refusal", "10:18:20.400", 4, "vwap_rejection", "call", gate("spread", 6.3, 5.0, "TSLA251125C00417500")
    ) | {"standing": False},
    _judged("missed", "10:18:22.400", 4, "vwap_rejection", "call", gate("spread", 6.3, 5.0, "TSLA251125C00417500"))
    | {"offers": 11},
    _trigger("10:24:50.600", 5, "momentum_burst", "put"),
    _judged("refusal", "10:24:50.600", 5, "momentum_burst", "put", gate("halt", 12.0, 30.0, "resumed"))
    | {"standing": True},
    _trigger("10:29:14.200", 6, "momentum_burst", "call"),
    SIGNAL,
    FILL,
    _trigger("10:31:05.800", 7, "breakout", "call"),
    _judged("refusal", "10:31:05.800", 7, "breakout", "call", gate("open_position", 1.0, 1.0)) | {"standing": True},
]  # fmt: skip

_STATE: dict[str, Any] = {
    "mode": "paper",
    "symbol": "TSLA",
    "session": "2025-11-25",
    "now_ns": NOW_NS,
    "open_ns": OPEN_NS,
    "close_ns": CLOSE_NS,
    "started_ns": at("09:25:01"),
    "run": "/home/desk/live/paper/TSLA/2025-11-25",
    "pid": 4242,
    "is_trading": True,
    "version": "0.1.0",
    "phase": "trading",
    "flatten_ns": at("15:10:00"),
    "last_entry_ns": at("15:00:00"),
    "underlying": {
        "price": 419.84,
        "price_ns": NOW_NS - 40 * NS_PER_MS,
        "bid": 419.82,
        "ask": 419.86,
        "vwap": 418.11,
        "sigma": 0.91,
        "volume_ratio": 1.74,
        "velocity_pct": {"5": 0.0214, "15": 0.1043, "30": 0.31, "60": None},
        "session_high": 420.02,
        "session_low": 415.6,
        "levels": [
            {"kind": "swing", "side": "resistance", "price": 420.02},
            {"kind": "previous", "side": "resistance", "price": 424.5},
            {"kind": "opening_range", "side": "resistance", "price": 419.1},
            {"kind": "opening_range", "side": "support", "price": 416.2},
            {"kind": "session_extreme", "side": "support", "price": 415.6},
        ],
    },
    "gates": [
        gate("protections"),
        gate("session_window"),
        gate("market"),
        gate("daily_count"),
        gate("open_position", 1.0, 1.0, is_open=False),
        gate("pace"),
        gate("freshness"),
        gate("enabled"),
    ],
    "decisions": _DECISIONS,
    "positions": [
        {
            "signal": 1,
            "trigger": "momentum_burst",
            "symbol": CALL,
            "side": "call",
            "quantity": 3,
            "average": 1.2,
            "bid": 1.31,
            "ask": 1.33,
            "quote_ns": NOW_NS - 12 * NS_PER_MS,
            "pnl_usd": 33.0,
            "pnl_pct": 9.17,
            "stop_bid": 1.02,
            "target_bid": 1.56,
            "opened_ns": at("10:29:14.610"),
            "time_exit_ns": at("10:44:14.610"),
            "leaving": None,
            "exit_tries": 0,
        }
    ],
    "orders": [],
    "account": {
        "cash_usd": 49_725.64,
        "equity_usd": 50_118.64,
        "buying_power_usd": 49_725.64,
        "last4": "7KQ2",
        "options_level": 3,
    },
    "result": {"trades": 1, "realised_usd": 85.64, "open_usd": 33.0, "fees_usd": 2.36, "equity_usd": 50_118.64},
    "protections": [
        {"name": "daily_loss", "value": -85.64, "limit": 500.0, "state": "ok"},
        {"name": "loss_streak", "value": 0, "limit": 3, "state": "ok"},
    ],
    "killed": False,
    "stopped": False,
    "alarms": [{"ts_ns": at("09:41:12"), "text": "trade updates were silent for 4.0 s; asked the broker by REST"}],
    "feed": {
        "source": "tap",
        "feed": "sip",
        "option_feed": "opra",
        "lag_ms": 11.6,
        "rows": 1_204_331,
        "rows_per_s": {"stock_trade": 212.0, "stock_quote": 900.0, "option_quote": 3_700.0, "cold": 0.0},
        "open_gaps": [],
        "blind": False,
    },
    "broker": {
        "reconciled_ns": NOW_NS - 800 * NS_PER_MS,
        "differences": [],
        "unknown": [],
        "foreign": {},
        "silent": "",
        "refused": False,
        "updates_ready": True,
    },
    "guard": {"pid": 4243, "alive": True},
    "next": [
        {"what": "leave TSLA251125C00420000", "at_ns": at("10:44:14.610")},
        {"what": "last entry", "at_ns": at("15:00:00")},
        {"what": "sell everything", "at_ns": at("15:10:00")},
    ],
    "late": {"p50_ms": 0.4, "p99_ms": 2.1, "max_ms": 14.9},
}


def live_state(**changes: Any) -> dict[str, Any]:
    """A snapshot at 10:31:07 of a paper session that holds one call, some names changed."""
    return copy.deepcopy(_STATE) | changes


def flat_state(**changes: Any) -> dict[str, Any]:
    """The same, nothing held."""
    return live_state(positions=[], **changes)
