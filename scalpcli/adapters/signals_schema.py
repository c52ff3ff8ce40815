"""What the signals' WebSocket says: every message, field by field, and how decisions become messages.

Decides the words of the outside; `signal_server.py` carries them. Prices are USD a share, money is USD, times are
ISO 8601 in UTC with microseconds: nanoseconds as numbers would lose digits in a browser. Every message carries
`type`, `mode` (SHADOW, PAPER or LIVE), `schema_version` and `data`.

Source: `scalp_signal` and its fields are those of the original design of the scalping module.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final

from scalpcli.units import E4_PER_USD, NS_PER_S, NS_PER_US

SIGNALS_SCHEMA_VERSION: Final = 1
"""Raised when a field changes its name or its meaning; new fields raise it too."""

SCALP_SIGNAL: Final = "scalp_signal"
FILL: Final = "fill"
POSITIONS: Final = "positions"
STATE: Final = "state"
ALARM: Final = "alarm"
WELCOME: Final = "welcome"

_Fields = dict[str, tuple[str, str]]

_POSITION_FIELDS: Final[_Fields] = {
    "signal": ("integer|null", "number of the signal in its session, 0-based"),
    "trigger": ("string|null", "momentum_burst, vwap_rejection or breakout"),
    "symbol": ("string", "contract held"),
    "side": ("string|null", "call or put"),
    "quantity": ("integer", "contracts held"),
    "average": ("number|null", "average premium paid"),
    "bid": ("number|null", "best bid"),
    "ask": ("number|null", "best ask"),
    "pnl_usd": ("number|null", "profit at the bid, fees apart"),
    "pnl_pct": ("number|null", "the same, percent of the premium paid"),
    "stop_bid": ("number|null", "bid at which the stop is met"),
    "target_bid": ("number|null", "bid at which the target is met"),
    "opened": ("string|null", "when the first fill was known"),
    "time_exit": ("string|null", "when it is sold for time"),
    "leaving": ("string|null", "reason of the exit under way"),
}
_UNDERLYING_FIELDS: Final[_Fields] = {
    "price": ("number|null", "last price"),
    "bid": ("number|null", "best bid"),
    "ask": ("number|null", "best ask"),
    "vwap": ("number|null", "volume weighted average price"),
    "sigma": ("number|null", "its standard deviation"),
    "volume_ratio": ("number|null", "volume against its baseline"),
    "velocity_pct": ("object", "percent moved, by seconds of the window"),
    "session_high": ("number|null", "high of the session"),
    "session_low": ("number|null", "low of the session"),
    "levels": ("array", "active levels"),
}
_RESULT_FIELDS: Final[_Fields] = {
    "trades": ("integer|null", "closed trades of the session"),
    "realised_usd": ("number|null", "their result after fees"),
    "open_usd": ("number|null", "result of what is held, at the bid"),
    "fees_usd": ("number|null", "fees so far"),
    "equity_usd": ("number|null", "equity now"),
}
_FEED_FIELDS: Final[_Fields] = {
    "source": ("string|null", "alpaca or tap"),
    "lag_ms": ("number|null", "from the exchange's stamp to ours"),
    "blind": ("boolean|null", "whether nothing can be seen now"),
    "open_gaps": ("array", "channels that are blind now"),
}
_GATE_FIELDS: Final[_Fields] = {
    "gate": ("string", "its name, or that of the gate of its group that is closed"),
    "open": ("boolean", "whether it lets entries through now"),
    "value": ("number|null", "what was found, in the unit of the gate's setting"),
    "limit": ("number|null", "what it was held against, same unit"),
    "detail": ("string", "contract, event or counts behind the numbers"),
}
_PROTECTION_FIELDS: Final[_Fields] = {
    "name": ("string", "which one"),
    "value": ("number|null", "what was found"),
    "limit": ("number|null", "where it acts; null = off"),
    "state": ("string", "ok, stopping entries or selling"),
}
_LEVEL_FIELDS: Final[_Fields] = {
    "kind": ("string", "swing, opening_range, session_extreme, previous or previous_close"),
    "side": ("string", "resistance or support"),
    "price": ("number", "price of the underlying"),
}
_PARTS: Final[dict[str, _Fields]] = {
    "underlying": _UNDERLYING_FIELDS,
    "result": _RESULT_FIELDS,
    "feed": _FEED_FIELDS,
}
_ROWS: Final[dict[str, _Fields]] = {
    POSITIONS: _POSITION_FIELDS,
    "gates": _GATE_FIELDS,
    "protections": _PROTECTION_FIELDS,
    "levels": _LEVEL_FIELDS,
}

MESSAGE_FIELDS: Final[dict[str, _Fields]] = {
    WELCOME: {
        "symbol": ("string", "the underlying"),
        "types": ("array", "types of messages that follow"),
    },
    SCALP_SIGNAL: {
        "id": ("string", "session, nonce, signal number"),
        "timestamp": ("string", "when it was decided"),
        "symbol": ("string", "the underlying"),
        "signal_type": ("string", "SCALP_CALL or SCALP_PUT"),
        "trigger": ("string", "momentum_burst, vwap_rejection or breakout"),
        "underlying_price": ("number", "price of the underlying"),
        "entry_price_target": ("number", "price aimed at: the ask"),
        "option_symbol": ("string", "contract chosen"),
        "strike": ("number", "its strike"),
        "expiry": ("string", "its expiry, ISO day"),
        "delta": ("number", "delta used"),
        "take_profit_pct": ("number", "target, percent of the premium"),
        "stop_loss_pct": ("number", "stop, percent of the premium"),
        "max_hold_minutes": ("number", "holding time"),
        "confidence": ("integer", "score 0 to 100, not a probability"),
        "suggested_contracts": ("integer", "size after every cap"),
    },
    FILL: {
        "order_id": ("string", "our id of the order"),
        "timestamp": ("string", "when we learned of it"),
        "signal": ("integer", "number of the signal in its session, 0-based"),
        "symbol": ("string|null", "contract; null where its order was sent before this process started"),
        "leg": ("string", "entry, exit, protect or guard"),
        "side": ("string", "buy or sell"),
        "quantity": ("integer", "contracts of this fill"),
        "price": ("number", "price"),
        "held": ("integer", "contracts of the scalp held after it"),
    },
    POSITIONS: {
        "timestamp": ("string", "of the engine"),
        "positions": ("array", "what is held, nothing when flat"),
    },
    STATE: {
        "timestamp": ("string", "of the engine"),
        "symbol": ("string", "the underlying"),
        "session": ("string", "ISO day"),
        "phase": ("string", "waiting, catching_up, trading, stopping or ended"),
        "killed": ("boolean", "whether it was killed"),
        "stopped": ("boolean", "whether entries were stopped"),
        "underlying": ("object", "prices and trackers"),
        "gates": ("array", "reasons to wait"),
        "protections": ("array", "what ends entries"),
        "result": ("object", "of the session"),
        "feed": ("object", "what it sees, and how late"),
    },
    ALARM: {
        "timestamp": ("string", "when it was raised"),
        "text": ("string", "what happened and what to do"),
    },
}
"""Type -> field of `data` -> (JSON type, meaning)."""


def signals_schema() -> dict[str, Any]:
    """Every message as one JSON Schema document, one alternative a type."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scalpcli signals",
        "version": SIGNALS_SCHEMA_VERSION,
        "oneOf": [_message_schema(name, fields) for name, fields in MESSAGE_FIELDS.items()],
    }


def message(type_name: str, mode: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """A message in its envelope.

    Args:
        type_name: One of `MESSAGE_FIELDS`.
        mode: `shadow`, `paper` or `live`.
        data: The fields of that type.
    """
    return {"type": type_name, "mode": mode.upper(), "schema_version": SIGNALS_SCHEMA_VERSION, "data": data}


def signal_data(symbol: str, ts_ns: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `scalp_signal`.

    Args:
        symbol: The underlying.
        ts_ns: When it was decided, UTC nanoseconds.
        body: The journal's record of kind `signal`, prices in 1/10000 USD.
    """
    same = {name: body[name] for name in MESSAGE_FIELDS[SCALP_SIGNAL] if name in body}
    return same | {
        "timestamp": iso(ts_ns),
        "symbol": symbol,
        "underlying_price": _usd(body["underlying_price_e4"]),
        "entry_price_target": _usd(body["entry_price_target_e4"]),
        "strike": _usd(body["strike_e4"]),
    }


def fill_data(symbol: str | None, ts_ns: int, body: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `fill`.

    Args:
        symbol: The contract, where it is known.
        ts_ns: When we learned of it, UTC nanoseconds.
        body: The journal's record of kind `fill`, prices in 1/10000 USD.
    """
    return {
        "order_id": body["order_id"],
        "timestamp": iso(ts_ns),
        "signal": body["signal"],
        "symbol": symbol,
        "leg": body["leg"],
        # Options are only ever bought to open, so every other leg sells.
        "side": "buy" if body["leg"] == "entry" else "sell",
        "quantity": body["quantity"],
        "price": _usd(body["price_e4"]),
        "held": body["held"],
    }


def positions_data(state: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `positions`, from a snapshot of the running process."""
    return {
        "timestamp": iso(state["now_ns"]),
        "positions": [_position(held) for held in state["positions"]],
    }


def state_data(state: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of `state`, from a snapshot of the running process."""
    fields = {name: state[name] for name in MESSAGE_FIELDS[STATE] if name in state and name not in _PARTS}
    parts = {part: {name: state[part].get(name) for name in names} for part, names in _PARTS.items()}
    return fields | parts | {"timestamp": iso(state["now_ns"])}


def iso(ts_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 with microseconds; finer digits are cut off."""
    seconds, rest_ns = divmod(ts_ns, NS_PER_S)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC) + dt.timedelta(microseconds=rest_ns // NS_PER_US)
    return moment.isoformat(timespec="microseconds")


def _position(held: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: held.get(f"{name}_ns") for name in ("opened", "time_exit")}
    return {name: held.get(name) for name in _POSITION_FIELDS} | {
        name: None if ts_ns is None else iso(ts_ns) for name, ts_ns in times.items()
    }


def _usd(price_e4: float) -> float:
    return price_e4 / E4_PER_USD


def _message_schema(name: str, fields: _Fields) -> dict[str, Any]:
    return {
        "type": "object",
        "title": name,
        "properties": {
            "type": {"const": name},
            "mode": {"enum": ["SHADOW", "PAPER", "LIVE"]},
            "schema_version": {"const": SIGNALS_SCHEMA_VERSION},
            "data": _object_schema(fields),
        },
        "required": ["type", "mode", "schema_version", "data"],
        "additionalProperties": False,
    }


def _object_schema(fields: _Fields) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: _field_schema(name, *field) for name, field in fields.items()},
        "required": list(fields),
        "additionalProperties": False,
    }


def _field_schema(name: str, json_type: str, meaning: str) -> dict[str, Any]:
    if name in _PARTS:
        return _object_schema(_PARTS[name]) | {"description": meaning}
    schema: dict[str, Any] = {"type": json_type.split("|") if "|" in json_type else json_type, "description": meaning}
    if name in _ROWS:
        schema["items"] = _object_schema(_ROWS[name])
    return schema
