"""Rows of live trading: which bodies are what their kind says."""

from __future__ import annotations

from typing import Any

import pytest

from scalpcli.model import note as notes
from scalpcli.model.note import Note, body_fault, reply_of
from scalpcli.model.order import Reply, ReplyKind

FILL = {"reply": "fill", "order_id": "scalp-1", "ts_market_ns": 5, "quantity": 2, "price_e4": 14_000}
DIFFERENCE = {"symbol": "TSLA261120C00400000", "held": 2, "broker": -1, "action": "adopt", "price_e4": 0}


def fault(kind: str, body: dict[str, Any]) -> str:
    """What is wrong with a note's body."""
    return body_fault(Note(0, 1, kind, body))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (notes.BROKER, FILL),
        (notes.BROKER, FILL | {"bid_e4": 13_900, "ask_e4": 14_000}),
        (notes.BROKER, {"reply": "unknown", "order_id": "scalp-1", "ts_market_ns": 0, "reason": "no answer"}),
        (notes.RECONCILE, DIFFERENCE),
        (notes.LIVE, {"phase": "begins", "reason": "compared"}),
    ],
)
def test_a_body_that_is_what_its_kind_says_is_taken(kind: str, body: dict[str, Any]):
    """A reply may be silent about numbers, and an account may be short."""
    assert fault(kind, body) == ""


@pytest.mark.parametrize(
    ("kind", "body", "name"),
    [
        (notes.BROKER, FILL | {"reply": "maybe"}, "reply"),
        (notes.BROKER, FILL | {"quantity": 0}, "quantity"),
        (notes.BROKER, FILL | {"quantity": 1.5}, "quantity"),
        (notes.BROKER, FILL | {"price_e4": -1}, "price_e4"),
        (notes.BROKER, {name: value for name, value in FILL.items() if name != "quantity"}, "quantity"),
        (notes.BROKER, FILL | {"ts_market_ns": "now"}, "ts_market_ns"),
        (notes.RECONCILE, DIFFERENCE | {"action": "sell"}, "action"),
        (notes.RECONCILE, DIFFERENCE | {"broker": None}, "broker"),
        (notes.RECONCILE, DIFFERENCE | {"price_e4": -5}, "price_e4"),
        (notes.LIVE, {"phase": "rests"}, "phase"),
    ],
)
def test_a_body_that_is_not_is_named(kind: str, body: dict[str, Any], name: str):
    """The engine takes only faultless notes: the message says which field."""
    assert f"`{name}`" in fault(kind, body)


def test_a_reply_comes_out_of_its_row_as_it_went_in():
    """Numbers it does not name are 0."""
    assert reply_of(Note(0, 1, notes.BROKER, FILL)) == Reply(ReplyKind.FILL, "scalp-1", 5, 2, 14_000)
