"""What a scan says of a contract: names, types and meanings, once.

`scan-options --schema` prints them, every row holds exactly these, and tests compare. A field is null where the
value is unknown; unknown is never zero.
"""

from __future__ import annotations

from typing import Any, Final

from scalpcli.scan.checks import FLAGS

SCAN_SCHEMA_VERSION: Final = 1
PASS: Final = "pass"  # noqa: S105 - a verdict, not a password

ROW_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "contract": ("string", "OCC symbol"),
    "strike": ("number", "USD"),
    "right": ("string", "call or put"),
    "expiry": ("string", "ISO day"),
    "dte": ("integer", "calendar days to expiry"),
    "minutes_left": ("number", "minutes to the contract's last moment; half days counted"),
    "bid": ("number|null", "best bid, USD a share; null = nobody bids"),
    "bid_size": ("integer", "contracts at the bid"),
    "ask": ("number|null", "best ask, USD a share; null = nobody offers"),
    "ask_size": ("integer", "contracts at the ask"),
    "mid": ("number|null", "middle of a two-sided, uncrossed quote"),
    "spread_cents": ("number|null", "ask less bid, cents a share"),
    "spread_pct": ("number|null", "ask less bid, percent of the middle"),
    "spread_ticks": ("number|null", "ask less bid in price steps of the contract's grid"),
    "iv": ("number|null", "implied volatility of the middle, per year; 0.55 is 55 percent"),
    "delta": ("number|null", "delta the verdict stands on"),
    "delta_source": ("string|null", "computed or tape (a feed's)"),
    "gamma": ("number|null", "change of delta per USD of the underlying, computed"),
    "theta_per_minute_usd": ("number|null", "decay of one contract's premium in the next minute, USD, computed"),
    "vega_usd": ("number|null", "change of one contract's premium per point of volatility, USD, computed"),
    "computed_delta": ("number|null", "delta computed from the quote"),
    "feed_delta": ("number|null", "delta as a feed told it"),
    "delta_difference": ("number|null", "feed's delta less the computed one"),
    "feed_iv": ("number|null", "implied volatility as a feed told it"),
    "iv_difference": ("number|null", "feed's volatility less the computed one"),
    "feed_source": ("string|null", "which feed"),
    "feed_age_s": ("number|null", "age of the feed's greeks, seconds"),
    "open_interest": ("integer|null", "contracts open"),
    "open_interest_date": ("string|null", "day it was told or counted, ISO"),
    "volume": ("integer", "contracts traded today, as far as the source tells"),
    "quote_age_s": ("number|null", "age of the quote, seconds; null = never quoted"),
    "premium_usd": ("number|null", "price of one contract at the ask, USD"),
    "contracts": ("integer|null", "contracts for the configured size, after every cap"),
    "size_capped_by": ("string|null", "which cap decided the size"),
    "spread_cost_usd": ("number|null", "what a round trip loses to the spread, USD a contract"),
    "fees_usd": ("number|null", "fees of a round trip, USD a contract; null where the day's fees are unknown"),
    "round_trip_usd": ("number|null", "spread and fees, USD a contract"),
    "cost_move_pct": ("number|null", "move of the underlying that pays the costs, percent, at once"),
    "target_move_pct": ("number|null", "move that reaches the target, percent, at once"),
    "stop_move_pct": ("number|null", "move that hits the stop, percent, at once"),
    "target_move_late_pct": ("number|null", "move that reaches the target at the end of the holding time"),
    "stop_move_late_pct": ("number|null", "move that hits the stop at the end of the holding time"),
    "stop_taken_pct": ("number|null", "share of the stop that the spread has already taken, percent"),
    "target_first_pct": ("number|null", "chance of target before stop if the stock only diffuses, percent"),
    "stop_first_pct": ("number|null", "chance of stop before target, likewise"),
    "neither_pct": ("number|null", "chance that the holding time ends first, likewise"),
    "verdict": ("string", "pass, or the first gate that refuses"),
    "reasons": ("array", "every gate that refuses, in words with value and limit"),
    "flags": ("array", "what makes the quote doubtful: " + ", ".join(FLAGS)),
}
"""Field -> (JSON type, meaning)."""
EXPLAIN_FIELDS: Final = {"gates": ("array", "with --explain: every gate, its value, limit and verdict")}
GATE_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "gate": ("string", "name"),
    "value": ("number|null", "what was found, in the unit of the gate's setting"),
    "limit": ("number|null", "what was asked for, same unit"),
    "passed": ("boolean", "whether it lets the contract pass"),
}
HEAD_FIELDS: Final[dict[str, tuple[str, str]]] = {
    "schema_version": ("integer", "version of this layout"),
    "symbol": ("string", "the underlying"),
    "session": ("string", "ISO day"),
    "at": ("string", "instant, New York time of day"),
    "at_ns": ("integer", "instant, UTC nanoseconds"),
    "source": ("string", "where the rows come from"),
    "synthetic": ("boolean", "whether they were made up"),
    "spot": ("number|null", "price of the underlying, USD"),
    "spot_age_s": ("number|null", "age of that price, seconds"),
    "hold_minutes": ("number", "holding time the moves and odds are for"),
    "notices": ("array", "what a reader must know first"),
    "market": ("array", "gates that keep any entry out now: gate, value, limit, detail"),
    "expiries": ("array", "expiry, dte, minutes_left, forward, contracts, passed"),
    "matching": ("integer", "contracts that may be chosen; theta and size_zero are asked of the chosen one alone"),
    "contracts": ("array", "the contracts shown, best first"),
    "nearest_misses": ("array", "where none passes: the refused ones nearest to it"),
}
COMPUTED_LATE: Final = frozenset(
    {
        "cost_move_pct",
        "target_move_pct",
        "stop_move_pct",
        "target_move_late_pct",
        "stop_move_late_pct",
        "target_first_pct",
        "stop_first_pct",
        "neither_pct",
    }
)
"""Fields that cost time: computed for the contracts shown, for all only where sorted by."""


def _properties(fields: dict[str, tuple[str, str]]) -> dict[str, Any]:
    return {
        name: {"type": kind.split("|") if "|" in kind else kind, "description": meaning}
        for name, (kind, meaning) in fields.items()
    }


def _object(fields: dict[str, tuple[str, str]], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": _properties(fields) | (optional or {}),
        "required": list(fields),
        "additionalProperties": False,
    }


def scan_schema() -> dict[str, Any]:
    """The layout of `--format json` as a JSON Schema document; jsonl and csv have its contracts, one a line."""
    gates = {"type": "array", "description": EXPLAIN_FIELDS["gates"][1], "items": _object(GATE_FIELDS)}
    contract = _object(ROW_FIELDS, {"gates": gates})
    for name in ("reasons", "flags"):
        contract["properties"][name]["items"] = {"type": "string"}
    head = _object(HEAD_FIELDS)
    for name in ("contracts", "nearest_misses"):
        head["properties"][name]["items"] = {"$ref": "#/$defs/contract"}
    head["properties"]["notices"]["items"] = {"type": "string"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "scalpcli scan-options",
        "version": SCAN_SCHEMA_VERSION,
        "$defs": {"contract": contract},
        **head,
    }
