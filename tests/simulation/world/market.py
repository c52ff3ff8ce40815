"""A session of half a minute with bursts, made from a seed, as the exchange serves it.

A stock near 400 that prints twice a second and jumps a few times; a call and a put on each of two strikes whose
quotes follow it, with few contracts shown, so that orders fill in parts; now and then a halt or an empty bid.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np

from scalpcli.model import row
from scalpcli.model.instrument import Instrument, TickRule
from scalpcli.model.session import Session, at_ns, session_of

DAY = dt.date(2026, 11, 20)
SYMBOL = "TSLA"
OPEN_NS = at_ns(session_of(DAY), "10:30")
SESSION_S = 32
SESSION = Session(DAY, OPEN_NS, OPEN_NS + SESSION_S * 1_000_000_000, is_early_close=False)
BEGIN_S = -2.0
"""The first rows come so long before the open."""
ELIGIBLE = row.LAST | row.RANGE | row.VWAP | row.VOLUME
MARKETS = 64
"""Different markets; schedules differ in everything else as well."""


def _contract(number: int, right: str, strike: int, tick_rule: TickRule = TickRule.PENNY_PROGRAM) -> Instrument:
    symbol = f"{SYMBOL}{DAY:%y%m%d}{right}{strike * 1000:08d}"
    return Instrument(number, symbol, DAY, strike * 10_000, right, 100, tick_rule, 1000, DAY)


INSTRUMENTS = (Instrument(0, SYMBOL), _contract(1, "C", 402), _contract(2, "P", 398), _contract(3, "C", 403))
DELTAS = {INSTRUMENTS[1].symbol: 0.36, INSTRUMENTS[2].symbol: -0.35, INSTRUMENTS[3].symbol: 0.33}


@dataclass(slots=True)
class Made:
    """Rows of a session, in the order they happen.

    Attributes:
        rows: Every column of a tape.
        frames: First and last row of what is sent at one time, and that time in nanoseconds.
        halts: How many there are.
    """

    rows: dict[str, Any]
    frames: list[tuple[int, int, int]] = field(default_factory=list)
    halts: int = 0

    def tape(self) -> Any:
        """The rows as the exchange opens a tape."""
        manifest = SimpleNamespace(
            symbol=SYMBOL, synthetic=True, conditions=[""], exchanges=[""], rows=len(self.rows["kind"])
        )
        return SimpleNamespace(
            manifest=manifest, session=SESSION, instruments=INSTRUMENTS, notes=lambda: (), batches=self._batches
        )

    def _batches(self, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        yield {name: self.rows[name] for name in columns}


@lru_cache(maxsize=MARKETS)
def make(seed: int) -> Made:
    """The market of a seed."""
    chance = random.Random(f"market {seed}")  # noqa: S311 - a market, not a secret
    told: list[tuple[int, dict[str, int]]] = []
    prices = _path(chance)
    quotes = _quotes(chance, prices)
    for number, price in enumerate(prices):
        told.append((_ns(number * 0.5), _print(price, 100 * chance.randint(1, 6))))
        if number % 4 == 0:
            told.append((_ns(number * 0.5), _stock_quote(price)))
    told += quotes
    halts = _halts(chance) if seed % 4 == 0 else []
    told += [(ns, {"kind": row.STATUS, "flags": flags}) for ns, flags in halts]
    told.sort(key=lambda each: each[0])
    return _made(told, len(halts) // 2)


def _ns(seconds: float) -> int:
    return OPEN_NS + round((seconds + BEGIN_S) * 1e9)


def _path(chance: random.Random) -> list[float]:
    """The stock's price every half second: quiet, then a burst, then a drift either way, again and again."""
    count = round((SESSION_S - BEGIN_S) * 2)
    price, drift, prices = 400.0, 0.0, []
    bursts = {round((3 + chance.random() * 3 - BEGIN_S) * 2)}
    while max(bursts) < count - 24:
        bursts.add(max(bursts) + chance.randint(9, 16))
    for number in range(count):
        if number in bursts:
            price += chance.choice((1, -1)) * (1.0 + 0.5 * chance.random())
            drift = chance.choice((-0.12, -0.06, 0.0, 0.06, 0.12))
        price += drift + chance.uniform(-0.03, 0.03) if bursts and number > min(bursts) else chance.uniform(-0.01, 0.01)
        drift *= 0.93
        prices.append(round(price, 2))
    return prices


def _quotes(chance: random.Random, prices: list[float]) -> list[tuple[int, dict[str, int]]]:
    """Every contract's quote: at the begin, and then whenever one moves or shows other sizes."""
    quotes = []
    for contract in INSTRUMENTS[1:]:
        moment = 0.25
        while moment < len(prices) * 0.5:
            spot = prices[min(int(moment * 2), len(prices) - 1)]
            quotes.append((_ns(moment), _option_quote(chance, contract, spot)))
            moment += chance.choice((0.25, 0.5, 0.75, 1.25))
    return quotes


def _option_quote(chance: random.Random, contract: Instrument, spot: float) -> dict[str, int]:
    mid = max(0.06, 1.40 + DELTAS[contract.symbol] * (spot - 400.0))
    half = chance.choice((0.01, 0.02, 0.02, 0.03))
    bid, ask = round(mid - half, 2), round(mid + half, 2)
    step = 0.05 if mid >= 2.9 else 0.01
    bid_e4, ask_e4 = round(bid / step) * round(step * 1e4), round(ask / step) * round(step * 1e4)
    if chance.random() < 0.02:
        bid_e4 = 0
    return {
        "kind": row.OPTION_QUOTE, "instrument_id": contract.instrument_id, "price_e4": bid_e4,
        "ask_e4": max(ask_e4, bid_e4 + 100), "size": chance.choice((1, 2, 3, 5, 20)) if bid_e4 else 0,
        "ask_size": chance.choice((1, 3, 5, 8, 20)),
    }  # fmt: skip


def _print(price: float, size: int) -> dict[str, int]:
    return {"kind": row.STOCK_TRADE, "price_e4": round(price * 1e4), "size": size, "flags": ELIGIBLE}


def _stock_quote(price: float) -> dict[str, int]:
    e4 = round(price * 1e4)
    return {"kind": row.STOCK_QUOTE, "price_e4": e4 - 100, "ask_e4": e4 + 100, "size": 3, "ask_size": 3}


def _halts(chance: random.Random) -> list[tuple[int, int]]:
    begin_s = 6 + 16 * chance.random() - BEGIN_S
    return [(_ns(begin_s), row.HALT_BEGIN), (_ns(begin_s + 2 + 6 * chance.random()), row.HALT_END)]


def _made(told: list[tuple[int, dict[str, int]]], halts: int) -> Made:
    columns = {name: np.zeros(len(told), kind) for name, kind in row.COLUMNS.items()}
    for number, (ns, fields) in enumerate(told):
        columns["ts_recv_ns"][number] = columns["ts_event_ns"][number] = ns
        columns["trade_id"][number] = number if fields["kind"] == row.STOCK_TRADE else 0
        for name, value in fields.items():
            columns[name][number] = value
    for column in columns.values():
        column.flags.writeable = False
    edges = np.flatnonzero(np.diff(columns["ts_recv_ns"])) + 1
    starts = [0, *(int(edge) for edge in edges)]
    frames = [
        (start, stop, int(columns["ts_recv_ns"][start]))
        for start, stop in zip(starts, [*starts[1:], len(told)], strict=True)
    ]
    return Made(columns, frames, halts)
