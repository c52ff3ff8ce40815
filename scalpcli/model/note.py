"""Cold rows: what happens rarely and does not fit a hot row's columns (design, section 5).

A note is one line of `notes.jsonl`. Its `seq` is the 0-based ordinal of its cold-marker row in
`rows.parquet`; everything it says was known at that row's `ts_recv_ns` and not before.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.model.order import Reply, ReplyKind

PREVIOUS_LEVELS: Final = "previous_levels"
"""Body: `session` (ISO day), `high_e4`, `low_e4`, `close_e4`: regular session, range and last prints."""
VOLUME_PROFILE: Final = "volume_profile"
"""Body: `bucket_s` (1), `sessions` (ISO days), `volumes`: per session, the volume of each whole second of
the regular session by receive time, element 0 for `[O, O+1 s)`; volume-eligible regular prints only."""
GREEKS: Final = "greeks"
"""Body: `source` and `contracts`: symbol -> `delta`, and where known `gamma`, `theta`, `vega`, `iv`."""
OPEN_INTEREST: Final = "open_interest"
"""Body: `date` (ISO day) and `contracts`: symbol -> contracts."""
RUN: Final = "run"
"""Body: `nonce`: distinguishes the order ids of two runs over one session."""
OPERATOR: Final = "operator"
"""Body: `command` (one of `COMMANDS`)."""
GAP_CAUSE: Final = "gap_cause"
"""Body: `cause`, free text for the gap row that follows."""

BROKER: Final = "broker"
"""Body: one `model.order.Reply` of the real broker: `reply` (a `ReplyKind`), `order_id`, `ts_market_ns`, and where they
say something `quantity`, `price_e4`, `bid_e4`, `ask_e4`, `reason`. Repetitions are left out before it becomes a row."""
RECONCILE: Final = "reconcile"
"""Body: `symbol`, `held` (contracts we believe we hold), `broker` (contracts the broker says), `action` (one of
`RECONCILE_ACTIONS`), `price_e4` (what was paid or got for the difference, 0 = not known), `reason`."""
LIVE: Final = "live"
"""Body: `phase` (one of `LIVE_PHASES`), `reason`. Entries are made between `begins` and `pauses` only."""

RECONCILE_ACTIONS: Final = ("adopt", "stop", "clear")
"""adopt = the broker's position is ours now; stop = entries end; clear = an earlier difference is gone."""
LIVE_PHASES: Final = ("begins", "pauses")

COMMANDS: Final = ("stop", "flatten", "kill", "arm")
"""What an operator may command."""

NOTE_KINDS: Final = (
    PREVIOUS_LEVELS,
    VOLUME_PROFILE,
    GREEKS,
    OPEN_INTEREST,
    RUN,
    OPERATOR,
    GAP_CAUSE,
    BROKER,
    RECONCILE,
    LIVE,
)


@dataclass(frozen=True, slots=True)
class Note:
    """One cold row."""

    seq: int
    ts_recv_ns: int
    kind: str
    body: dict[str, Any]


_NUMBER_MAX: Final = 2**53
"""Floats hold every whole number up to here."""


def body_fault(note: Note) -> str:
    """Why a note's body is not what its kind says, or nothing; the engine takes only faultless ones."""
    for name, is_right, what in _RULES.get(note.kind, ()):
        if name not in note.body:
            return f"a note of kind `{note.kind}` has no `{name}`"
        if not is_right(note.body[name]):
            return f"`{name}` of a note of kind `{note.kind}` is not {what}"
    if note.kind == BROKER:
        return _fill_fault(note.body)
    return ""


def _fill_fault(body: dict[str, Any]) -> str:
    """Why a reply's numbers are not right; only a fill must have them."""
    least = 1 if body["reply"] == ReplyKind.FILL else 0
    for name, lowest in (("quantity", least), ("price_e4", least), ("bid_e4", 0), ("ask_e4", 0)):
        if not _is_count(body.get(name, 0)) or body.get(name, 0) < lowest:
            return f"`{name}` of a note of kind `{BROKER}` is not a whole number from {lowest}"
    return ""


def reply_of(note: Note) -> Reply:
    """The broker's answer that a faultless `BROKER` note holds."""
    body = note.body
    return Reply(
        ReplyKind(body["reply"]),
        body["order_id"],
        body["ts_market_ns"],
        quantity=body.get("quantity", 0),
        price_e4=body.get("price_e4", 0),
        bid_e4=body.get("bid_e4", 0),
        ask_e4=body.get("ask_e4", 0),
        reason=body.get("reason", ""),
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= _NUMBER_MAX


def _is_price_e4(value: object) -> bool:
    return type(value) is int and 0 < value <= _NUMBER_MAX


def _is_sessions_volumes(value: object) -> bool:
    return isinstance(value, list) and all(
        # By types and extremes: a profile holds half a million numbers.
        isinstance(session, list)
        and set(map(type, session)) <= {int}
        and (not session or (_is_count(min(session)) and _is_count(max(session))))
        for session in value
    )


def _is_interest(value: object) -> bool:
    return isinstance(value, dict) and all(_is_count(contracts) for contracts in value.values())


def _is_greeks(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(greeks, dict) and _is_number(greeks.get("delta", 0.0)) for greeks in value.values()
    )


def _is_number(value: Any) -> bool:
    # NaN is outside every bound.
    return type(value) in (int, float) and -_NUMBER_MAX <= value <= _NUMBER_MAX


_PRICE: Final = (_is_price_e4, "a whole number of 1/10000 USD above 0")
_RULES: Final[dict[str, tuple[tuple[str, Callable[[Any], bool], str], ...]]] = {
    PREVIOUS_LEVELS: tuple((name, *_PRICE) for name in ("high_e4", "low_e4", "close_e4")),
    VOLUME_PROFILE: (("volumes", _is_sessions_volumes, "a list of lists of whole numbers from 0"),),
    GREEKS: (("contracts", _is_greeks, "an object of symbols with a finite `delta`"),),
    OPEN_INTEREST: (("contracts", _is_interest, "an object of symbols with whole numbers from 0"),),
    RUN: (("nonce", lambda value: isinstance(value, str), "text"),),
    OPERATOR: (("command", lambda value: value in COMMANDS, f"one of {', '.join(COMMANDS)}"),),
    BROKER: (
        ("reply", lambda value: value in set(ReplyKind), f"one of {', '.join(ReplyKind)}"),
        ("order_id", lambda value: isinstance(value, str), "text"),
        ("ts_market_ns", lambda value: type(value) is int, "a whole number"),
    ),
    RECONCILE: (
        ("symbol", lambda value: isinstance(value, str), "text"),
        ("held", lambda value: type(value) is int, "a whole number"),
        ("broker", lambda value: type(value) is int, "a whole number"),
        ("action", lambda value: value in RECONCILE_ACTIONS, f"one of {', '.join(RECONCILE_ACTIONS)}"),
        ("price_e4", _is_count, "a whole number from 0"),
    ),
    LIVE: (("phase", lambda value: value in LIVE_PHASES, f"one of {', '.join(LIVE_PHASES)}"),),
}
"""What the engine reads of each kind's body: name, rule, the rule in words."""
