"""Messages as Alpaca's streams write them, for tests."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgpack

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.model.instrument import Instrument, parse_occ

NOW_NS = 1_795_000_000_000_000_000
CALL = "TSLA261120C00400000"
PUT = "TSLA261120P00400000"


def stamp(event_ns: int) -> msgpack.Timestamp:
    return msgpack.Timestamp(*divmod(event_ns, 1_000_000_000))


def trade(number: int, **other: Any) -> dict[str, Any]:
    message = {"T": "t", "S": "TSLA", "i": number, "x": "V", "p": 400.01, "s": 100, "c": ["@"], "z": "C"}
    return message | {"t": stamp(NOW_NS + number)} | other


def quote(number: int, **other: Any) -> dict[str, Any]:
    message = {"T": "q", "S": "TSLA", "bx": "V", "bp": 400.0, "bs": 100, "ax": "Q", "ap": 400.02, "as": 200, "c": ["R"]}
    return message | {"t": stamp(NOW_NS + number), "z": "C"} | other


def option_trade(number: int, **other: Any) -> dict[str, Any]:
    message = {"T": "t", "S": CALL, "p": 3.1, "s": 2, "x": "C", "c": "I"}
    return message | {"t": stamp(NOW_NS + number)} | other


def option_quote(number: int, **other: Any) -> dict[str, Any]:
    message = {"T": "q", "S": CALL, "bx": "C", "bp": 3.05, "bs": 12, "ax": "A", "ap": 3.15, "as": 9, "c": "A"}
    return message | {"t": stamp(NOW_NS + number)} | other


def pack(*messages: Any) -> bytes:
    return bytes(msgpack.packb(list(messages)))


def contract(symbol: str) -> Instrument:
    parts = parse_occ(symbol)
    return Instrument(0, symbol, dt.date(2026, 11, 20), parts.strike_e4, parts.right)


def aggregator(**other: Any) -> DataAggregator:
    settings: dict[str, Any] = {"now_ns": lambda: NOW_NS + 1_000_000, "rows_waiting_max": 1_000_000} | other
    result = DataAggregator("TSLA", **settings)
    result.add_contracts([contract(CALL), contract(PUT)])
    result.stamp()
    return result
