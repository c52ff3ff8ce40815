"""Decisions: everything the engine takes or refuses, with its reason and the numbers compared.

The journal `decisions.jsonl` holds one JSON object a line: `n` (0-based number in its session), `ts_ns`
(engine time, UTC nanoseconds), `kind`, then the fields of that kind. Only functions of rows,
configuration and mode stand in it (definitions, section 9). Prices and money end in `_e4` (1/10000 USD;
money of a position counts the multiplier), percents in `_pct`. `DECISION_FIELDS` is the schema that
`replay --schema` prints and tests hold every record against.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

JOURNAL_SCHEMA_VERSION: Final = 1

_EPISODE: Final = {
    "episode": ("integer", "number of the trigger in its session, 0-based"),
    "trigger": ("string", "momentum_burst, vwap_rejection or breakout"),
    "side": ("string", "call or put"),
}
_ORDER: Final = {
    "order_id": ("string", "session, nonce, signal number, leg, try"),
    "signal": ("integer", "number of the signal in its session, 0-based"),
}
_JUDGED: Final = {
    "gate": ("string", "which gate refused"),
    "value": ("number|null", "what was found, in the unit of the gate's setting"),
    "limit": ("number|null", "what was asked for, same unit"),
    "detail": ("string", "contract, event or counts behind the numbers"),
}

DECISION_FIELDS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "session": {
        "schema_version": ("integer", "version of this journal's layout"),
        "symbol": ("string", "the underlying"),
        "session": ("string", "ISO day"),
        "mode": ("string", "replay, shadow, paper or live"),
        "open_ns": ("integer", "open of the regular session"),
        "close_ns": ("integer", "its close"),
        "config_digest": ("string", "sha256 of every setting that can change a decision"),
        "synthetic": ("boolean", "whether the tape was made up"),
        "starting_equity_e4": ("integer", "equity the session starts at"),
    },
    "trigger": _EPISODE
    | {
        "price_e4": ("number", "price of the underlying"),
        "velocity_pct": ("number|null", "percent over the momentum window"),
        "confirm_velocity_pct": ("number|null", "percent over the short window"),
        "threshold_pct": ("number", "burst threshold of this side"),
        "volume_ratio": ("number|null", "volume against its baseline"),
        "required_ratio": ("number", "ratio this trigger asks for; 0 = none"),
        "vwap_e4": ("number|null", "VWAP"),
        "sigma_e4": ("number|null", "its standard deviation"),
        "level_e4": ("number|null", "level that broke"),
        "level_kind": ("string", "swing, opening_range, session_extreme, previous, previous_close; empty otherwise"),
    },
    "refusal": _EPISODE | _JUDGED | {"standing": ("boolean", "whether it ends the episode")},
    "missed": _EPISODE | _JUDGED | {"offers": ("integer", "instants at which it was offered")},
    "signal": _EPISODE
    | {
        "signal": ("integer", "number in its session, 0-based"),
        "id": ("string", "session, nonce, signal number"),
        "signal_type": ("string", "SCALP_CALL or SCALP_PUT"),
        "underlying_price_e4": ("number", "price of the underlying"),
        "option_symbol": ("string", "contract chosen"),
        "strike_e4": ("integer", "its strike"),
        "expiry": ("string", "its expiry, ISO day"),
        "dte": ("integer", "calendar days to expiry"),
        "delta": ("number", "delta used"),
        "delta_source": ("string", "tape or computed"),
        "iv": ("number|null", "implied volatility computed from its mid, per year"),
        "theta_per_minute_e4": ("number|null", "time decay of one share's premium, per minute"),
        "open_interest": ("integer|null", "contracts open"),
        "bid_e4": ("integer", "best bid"),
        "ask_e4": ("integer", "best ask"),
        "bid_size": ("integer", "contracts at the bid"),
        "ask_size": ("integer", "contracts at the ask"),
        "spread_pct": ("number", "percent of the mid"),
        "quote_age_ms": ("number", "age of that quote"),
        "entry_price_target_e4": ("integer", "price aimed at: the ask"),
        "take_profit_pct": ("number", "target, percent of the premium"),
        "stop_loss_pct": ("number", "stop, percent of the premium"),
        "max_hold_minutes": ("number", "holding time"),
        "confidence": ("integer", "score 0 to 100, not a probability"),
        "suggested_contracts": ("integer", "size after every cap"),
        "size_capped_by": ("string", "which cap decided the size"),
        "eligible": ("integer", "contracts that passed every gate"),
    },
    "order": _ORDER
    | {
        "leg": ("string", "entry, exit or protect"),
        "try": ("integer", "1-based"),
        "symbol": ("string", "contract"),
        "side": ("string", "buy or sell"),
        "quantity": ("integer", "contracts"),
        "limit_e4": ("integer", "limit price, of a protective stop its stop price; 0 = a market order"),
        "bid_e4": ("integer", "best bid when decided"),
        "ask_e4": ("integer", "best ask when decided"),
        "reason": ("string", "signal, reprice, remainder or the exit's reason"),
    },
    "accepted": _ORDER | {"ts_market_ns": ("integer", "when it reached the market")},
    "fill": _ORDER
    | {
        "leg": ("string", "entry, exit or protect"),
        "quantity": ("integer", "contracts of this fill"),
        "price_e4": ("integer", "price"),
        "ts_market_ns": ("integer", "when it happened at the market"),
        "bid_e4": ("integer", "best bid the fill met"),
        "ask_e4": ("integer", "best ask the fill met"),
        "filled": ("integer", "contracts of the order filled so far"),
        "held": ("integer", "contracts of the scalp held after it"),
    },
    "cancel": _ORDER | {"reason": ("string", "reprice, exit, or why the entry was called off")},
    "cancelled": _ORDER | {"filled": ("integer", "contracts filled before"), "reason": ("string", "why")},
    "expired": _ORDER | {"filled": ("integer", "contracts filled before"), "reason": ("string", "why")},
    "rejected": _ORDER | {"reason": ("string", "the broker's words")},
    "unknown": _ORDER | {"reason": ("string", "why it is not certain whether the broker has the order")},
    "unfilled": _EPISODE
    | {"signal": ("integer", "number of the signal"), "reason": ("string", "why the entry was given up")},
    "stop_watch": {
        "signal": ("integer", "number of the signal"),
        "phase": ("string", "begins or recovers"),
        "bid_e4": ("integer", "best bid, 0 when absent"),
        "pnl_pct": ("number", "at the bid, on the premium paid"),
        "limit": ("number", "minus the stop"),
    },
    "exit": {
        "signal": ("integer", "number of the signal"),
        "reason": (
            "string",
            (
                "STOP_LOSS TAKE_PROFIT TRAILING_STOP TIME_EXIT MOMENTUM_REVERSED STALLED FLATTEN GAP OPERATOR"
                " PROTECTION PROTECTIVE_STOP UNKNOWN_ORDER LATE_FILL ADOPTED EXTERNAL or EXPIRED"
            ),
        ),
        "value": ("number", "what was found: percent, or seconds held, or the time"),
        "limit": ("number", "what it was held against, same unit"),
        "pnl_pct": ("number|null", "at the bid, on the premium paid"),
        "bid_e4": ("integer", "best bid, 0 when absent"),
        "held_s": ("number", "seconds since the first fill was known"),
        "message": ("string", "the same in words"),
    },
    "trade": _EPISODE
    | {
        "signal": ("integer", "number of the signal"),
        "trade": ("integer", "number of the closed trade in its session, 0-based"),
        "symbol": ("string", "contract"),
        "quantity": ("integer", "contracts bought and sold or expired"),
        "cost_e4": ("integer", "premium paid, multiplier counted"),
        "proceeds_e4": ("integer", "premium received, multiplier counted"),
        "gross_e4": ("integer", "proceeds less cost"),
        "fees_estimate_e4": ("integer", "fees of its fills before the day's rounding"),
        "opened_ns": ("integer", "when the first fill was known"),
        "closed_ns": ("integer", "when the last fill was known"),
        "exit_reason": ("string", "reason of the exit that closed it"),
        "pnl_pct": ("number", "gross, percent of the premium paid"),
        "mae_pct": ("number|null", "worst profit at the bid while held, percent"),
        "mfe_pct": ("number|null", "best profit at the bid while held, percent"),
    },
    "gap": {
        "phase": ("string", "begins, ends or learned"),
        "channels": ("array", "names of the channels"),
        "start_ns": ("integer", "since when it was blind"),
    },
    "halt": {
        "symbol": ("string", "what was halted"),
        "phase": ("string", "begins or ends"),
    },
    "live": {
        "phase": ("string", "begins or pauses: entries are made between the two only"),
        "reason": ("string", "why"),
    },
    "reconcile": {
        "symbol": ("string", "contract"),
        "action": ("string", "adopt, stop or clear"),
        "held": ("integer", "contracts held as we believe"),
        "broker": ("integer", "contracts held as the broker says"),
        "price_e4": ("integer", "paid or got for the difference, 0 = not known"),
        "applied": ("boolean", "whether it was acted on; not when what was compared has changed since"),
        "reason": ("string", "why"),
    },
    "do_not_exercise": {
        "symbol": ("string", "contract still held that expires today"),
        "held": ("integer", "contracts"),
    },
    "alarm": {
        "text": ("string", "what somebody must look at"),
        "about": ("string", "order id, contract or protection"),
        "value": ("number|null", "what was found"),
        "limit": ("number|null", "what it was held against, same unit"),
    },
    "operator": {"command": ("string", "stop, flatten, kill or arm")},
    "session_end": {
        "triggers": ("object", "count by trigger"),
        "refusals": ("object", "count by gate"),
        "signals": ("integer", "signals made"),
        "orders": ("integer", "orders sent"),
        "fills": ("integer", "fills"),
        "trades": ("integer", "closed trades"),
        "sweeps": ("object", "buying sweeps by side"),
        "gross_e4": ("integer", "result before fees"),
        "fees_e4": ("integer", "fees of the day, each type rounded up to the cent once"),
        "net_e4": ("integer", "result after fees"),
        "equity_e4": ("integer", "equity at the end"),
        "flat": ("boolean", "whether nothing is held"),
    },
}
"""Kind -> field -> (JSON type, meaning)."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the journal, without its number."""

    ts_ns: int
    kind: str
    body: dict[str, Any]


def journal_schema() -> dict[str, Any]:
    """The journal's layout as a JSON Schema document, one definition a kind."""
    common = {
        "n": {"type": "integer", "description": "0-based number in its session"},
        "ts_ns": {"type": "integer", "description": "engine time, UTC nanoseconds"},
    }
    kinds = [
        {
            "type": "object",
            "title": kind,
            "properties": common
            | {"kind": {"const": kind}}
            | {
                name: {"type": json_type.split("|") if "|" in json_type else json_type, "description": meaning}
                for name, (json_type, meaning) in fields.items()
            },
            "required": ["n", "ts_ns", "kind", *fields],
            "additionalProperties": False,
        }
        for kind, fields in DECISION_FIELDS.items()
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scalpcli decisions.jsonl",
        "version": JOURNAL_SCHEMA_VERSION,
        "oneOf": kinds,
    }
