"""Decisions as a person would read them: a time, a kind, and what matters of it in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scalpcli.model.decision import Decision
from scalpcli.model.session import ns_to_new_york


def tell_all(decisions: list[Decision], labels: dict[str, str]) -> list[str]:
    """Every decision between the session's first line and its last, one line each.

    Args:
        decisions: As the engine made them.
        labels: Symbol -> what a contract is called.
    """
    return [
        f"{ns_to_new_york(each.ts_ns)} {_TELL[each.kind](each.body, labels)}"
        for each in decisions
        if each.kind not in ("session", "session_end")
    ]


def _usd(price_e4: int) -> str:
    return f"{price_e4 / 10_000:.2f}"


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.6g}"


def _short(body: dict[str, Any]) -> str:
    """`0e1` for `scalp-20261120-0-0000-e1`."""
    *_, number, leg = body["order_id"].split("-")
    return f"{int(number)}{leg}"


def _episode(body: dict[str, Any]) -> str:
    return f"{body['trigger']} {body['side']}"


def _refusal(body: dict[str, Any], labels: dict[str, str]) -> str:
    detail = body["detail"]
    for symbol, label in labels.items():
        detail = detail.replace(symbol, label)
    numbers = f"{_number(body['value'])} against {_number(body['limit'])}"
    return f"{body['side']} {body['gate']}: {numbers}" + (f" ({detail})" if detail else "")


def _fill(body: dict[str, Any], _: dict[str, str]) -> str:
    market_time = ns_to_new_york(body["ts_market_ns"])[6:]
    return f"fill {_short(body)} {body['quantity']} at {_usd(body['price_e4'])} of :{market_time}, {body['held']} held"


def _ended(kind: str) -> Callable[[dict[str, Any], dict[str, str]], str]:
    def tell(body: dict[str, Any], _: dict[str, str]) -> str:
        filled = f" with {body['filled']} filled" if body.get("filled") else ""
        return f"{kind} {_short(body)}{filled}: {body['reason']}"

    return tell


_TELL: dict[str, Callable[[dict[str, Any], dict[str, str]], str]] = {
    "trigger": lambda b, _: f"trigger {_episode(b)}",
    "refusal": lambda b, labels: "refusal " + _refusal(b, labels),
    "missed": lambda b, _: f"missed {_episode(b)} after {b['offers']} offers: {b['gate']}",
    "signal": lambda b, labels: (
        f"signal {b['side']} {labels[b['option_symbol']]} x{b['suggested_contracts']}"
        f" at {_usd(b['entry_price_target_e4'])}"
    ),
    "order": lambda b, labels: (
        f"order {_short(b)} {b['side']} {b['quantity']} {labels[b['symbol']]}"
        f" at {_usd(b['limit_e4']) if b['limit_e4'] else 'market'} ({b['reason']})"
    ),
    "accepted": lambda b, _: f"accepted {_short(b)}",
    "fill": _fill,
    "cancel": _ended("cancel"),
    "cancelled": _ended("cancelled"),
    "expired": _ended("expired"),
    "rejected": _ended("rejected"),
    "unfilled": lambda b, _: f"unfilled {b['side']}: {b['reason']}",
    "stop_watch": lambda b, _: f"stop {b['phase']} at bid {_usd(b['bid_e4'])}, {b['pnl_pct']:.1f}%",
    "exit": lambda b, _: (
        f"exit {b['reason']}: {_number(b['value'])} against {_number(b['limit'])}, bid {_usd(b['bid_e4'])}"
    ),
    "trade": lambda b, labels: (
        f"trade {b['quantity']} {labels[b['symbol']]} {b['exit_reason']} {b['gross_e4'] / 10_000:+.2f}"
    ),
    "gap": lambda b, _: f"gap {b['phase']} {' '.join(b['channels'])}",
    "halt": lambda b, labels: f"halt {b['phase']} {labels.get(b['symbol'], b['symbol'])}",
    "unknown": _ended("unknown"),
    "live": lambda b, _: f"live {b['phase']}: {b['reason']}",
    "reconcile": lambda b, labels: (
        f"reconcile {b['action']} {labels.get(b['symbol'], b['symbol'])}: {b['broker']} against {b['held']}"
        + ("" if b["applied"] else ", not applied")
    ),
    "do_not_exercise": lambda b, labels: f"do_not_exercise {labels[b['symbol']]} x{b['held']}",
    "alarm": lambda b, labels: (
        f"alarm {labels.get(b['about'], b['about'])}: {b['text']}: {_number(b['value'])} against {_number(b['limit'])}"
    ),
    "operator": lambda b, _: f"operator {b['command']}",
}
