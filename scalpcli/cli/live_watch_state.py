"""A snapshot of the running process, made whole: a screen must not fail because a number is not there yet.

Decides what stands for what is missing: nothing known. The names are those of the snapshot (`runtime/trader.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_PARTS: Final[dict[str, dict[str, Any]]] = {
    "underlying": dict.fromkeys(
        ("price", "price_ns", "bid", "ask", "vwap", "sigma", "volume_ratio", "session_high", "session_low")
    )
    | {"velocity_pct": {}, "levels": []},
    "account": {"last4": None},
    "result": dict.fromkeys(("trades", "realised_usd", "open_usd", "fees_usd", "equity_usd")),
    "feed": {"source": "-", "feed": "-", "option_feed": "-", "open_gaps": [], "blind": False}
    | dict.fromkeys(("lag_ms", "rows", "rows_per_s")),
    "broker": {"reconciled_ns": None, "differences": [], "updates_ready": None, "unknown": [], "silent": ""},
    "guard": {"pid": None, "alive": None},
    "late": dict.fromkeys(("p50_ms", "p99_ms", "max_ms")),
}
_ROWS: Final[dict[str, dict[str, Any]]] = {
    "gates": {"gate": "-", "open": None, "value": None, "limit": None, "detail": ""},
    "decisions": {},
    "positions": {"symbol": "-", "quantity": 0, "exit_tries": 0}
    | dict.fromkeys(("signal", "trigger", "side", "average", "bid", "ask", "quote_ns", "pnl_usd", "pnl_pct"))
    | dict.fromkeys(("stop_bid", "target_bid", "opened_ns", "time_exit_ns", "leaving")),
    "orders": {"order_id": "-", "leg": "-", "symbol": "-", "side": "-", "quantity": 0, "filled": 0, "status": "-"}
    | {"limit": None, "sent_ns": None},
    "protections": {"name": "-", "value": None, "limit": None, "state": "ok"},
    "alarms": {"ts_ns": 0, "text": ""},
    "next": {"what": "-", "at_ns": None},
}
_PLAIN: Final[dict[str, Any]] = {
    "mode": "paper",
    "symbol": "-",
    "session": "-",
    "phase": "waiting",
    "now_ns": 0,
    "open_ns": 0,
    "close_ns": 0,
    "is_trading": True,
    "killed": False,
    "stopped": False,
}


def completed(state: Mapping[str, Any]) -> dict[str, Any]:
    """The snapshot with everything a screen asks for; what was missing is `None`, empty or `-`.

    Args:
        state: As the running process told it.
    """
    parts = {name: _filled(defaults, state.get(name)) for name, defaults in _PARTS.items()}
    rows = {name: [_filled(row, each) for each in state.get(name) or []] for name, row in _ROWS.items()}
    known = {name: value for name, value in state.items() if value is not None}
    return {**_PLAIN, **known, **parts, **rows}


def _filled(defaults: Mapping[str, Any], told: Mapping[str, Any] | None) -> dict[str, Any]:
    """A part with its defaults; a list or a text that is told as unknown is its default too."""
    known = {
        name: value for name, value in (told or {}).items() if value is not None or defaults.get(name, None) is None
    }
    return {**defaults, **known}
