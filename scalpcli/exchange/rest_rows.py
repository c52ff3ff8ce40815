"""Rows of the tape as the data API writes them: trades, quotes, bars.

Decides the spelling of one row, and how bars are made of trades. Numbers are numbers here, not text.
"""

from __future__ import annotations

import datetime as dt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.exchange.market import ServedMarket
from scalpcli.exchange.rest_answer import time_text, usd
from scalpcli.model.note import PREVIOUS_LEVELS, VOLUME_PROFILE
from scalpcli.model.row import (
    CANCELLED,
    LAST,
    OPTION_QUOTE,
    OPTION_TRADE,
    RANGE,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNDERLYING_ID,
    VOLUME,
    VWAP,
)
from scalpcli.model.session import at_ns, session_of
from scalpcli.units import E4_PER_USD

TAPE_PLAN: Final = "C"
"""Tape C, Nasdaq's; rows do not carry the plan."""


def trade_kind(instrument_id: int) -> int:
    """Kind of the rows that are trades of an instrument."""
    return STOCK_TRADE if instrument_id == UNDERLYING_ID else OPTION_TRADE


def row_body(market: ServedMarket, row: int) -> dict[str, Any]:
    """A trade or quote row."""
    kind = int(market.rows["kind"][row])
    return _BODIES[kind](market, row)


def _stock_trade(market: ServedMarket, row: int) -> dict[str, Any]:
    trade_id = int(market.rows["trade_id"][row])
    return _trade(market, row) | {"c": _letters(market, row), "i": trade_id, "z": TAPE_PLAN}


def _stock_quote(market: ServedMarket, row: int) -> dict[str, Any]:
    return _quote(market, row) | {"c": _letters(market, row), "z": TAPE_PLAN}


def _option_trade(market: ServedMarket, row: int) -> dict[str, Any]:
    return _trade(market, row) | {"c": market.conditions[market.rows["conditions"][row]]}


def _trade(market: ServedMarket, row: int) -> dict[str, Any]:
    columns = market.rows
    return {
        "t": time_text(int(columns["ts_event_ns"][row])),
        "x": market.exchanges[columns["exchange"][row]],
        "p": usd(int(columns["price_e4"][row])),
        "s": int(columns["size"][row]),
    }


def _option_quote(market: ServedMarket, row: int) -> dict[str, Any]:
    return _quote(market, row) | {"c": market.conditions[market.rows["conditions"][row]]}


def _quote(market: ServedMarket, row: int) -> dict[str, Any]:
    columns = market.rows
    return {
        "t": time_text(int(columns["ts_event_ns"][row])),
        "bx": market.exchanges[columns["exchange"][row]],
        "bp": usd(int(columns["price_e4"][row])),
        "bs": int(columns["size"][row]),
        "ax": market.exchanges[columns["ask_exchange"][row]],
        "ap": usd(int(columns["ask_e4"][row])),
        "as": int(columns["ask_size"][row]),
    }


def _letters(market: ServedMarket, row: int) -> list[str]:
    return [letter for letter in market.conditions[market.rows["conditions"][row]] if letter != " "]


_BODIES: Final = {
    STOCK_TRADE: _stock_trade,
    STOCK_QUOTE: _stock_quote,
    OPTION_TRADE: _option_trade,
    OPTION_QUOTE: _option_quote,
}


def correction_marks(market: ServedMarket) -> dict[int, str]:
    """Trade id -> what a later message said of that print: `canceled` or `incorrect`."""
    columns = market.rows
    return {
        int(columns["trade_id"][row]): "canceled" if columns["flags"][row] & CANCELLED else "incorrect"
        for row in market.corrections()
    }


def bars_of(market: ServedMarket, trades: NDArray[Any], length_ns: int, origin_ns: int) -> list[dict[str, Any]]:
    """Bars of trades: what each print may move is what its conditions allow (definitions, section 2).

    Args:
        market: Whose rows they are.
        trades: Row numbers in order of exchange time.
        length_ns: Of one bar.
        origin_ns: A moment at which a bar begins.

    Returns:
        Bars in order of time; a stretch without a print that moves a price has none.
    """
    if not len(trades):
        return []
    number = (market.rows["ts_event_ns"][trades] - origin_ns) // length_ns
    cuts = np.flatnonzero(np.diff(number)) + 1
    bars = []
    for part in np.split(trades, cuts):
        event_ns = int(market.rows["ts_event_ns"][part[0]])
        begin_ns = origin_ns + (event_ns - origin_ns) // length_ns * length_ns
        bar = _bar(market, part)
        if bar is not None:
            bars.append({"t": time_text(begin_ns)} | bar)
    return bars


def _bar(market: ServedMarket, part: NDArray[Any]) -> dict[str, Any] | None:
    price, size = market.rows["price_e4"][part], market.rows["size"][part].astype(np.int64)
    flags = market.rows["flags"][part]
    ranged, lasts = price[flags & RANGE != 0], price[flags & LAST != 0]
    if not len(ranged):
        return None
    weighed = (flags & VWAP != 0) & (size > 0)
    volume = int(size[weighed].sum())
    vwap_e4 = float((price[weighed] * size[weighed]).sum()) / volume if volume else float(ranged[-1])
    closes = lasts if len(lasts) else ranged
    return {
        "o": usd(int(closes[0])),
        "h": usd(int(ranged.max())),
        "l": usd(int(ranged.min())),
        "c": usd(int(closes[-1])),
        "v": int(size[flags & VOLUME != 0].sum()),
        "n": len(part),
        "vw": round(vwap_e4 / E4_PER_USD, 6),
    }


def previous_day_bars(market: ServedMarket) -> list[dict[str, Any]]:
    """The bar of the session before, where the tape's head rows tell it.

    Its open and its weighted price are not on the tape: the close stands in. Its volume is that of the profile, or 0.
    """
    volumes: dict[str, int] = {}
    for note in market.notes:
        if note.kind == VOLUME_PROFILE:
            volumes |= dict(zip(note.body["sessions"], map(sum, note.body["volumes"]), strict=True))
    bars = []
    for note in market.notes:
        if note.kind != PREVIOUS_LEVELS:
            continue
        day = str(note.body["session"])
        midnight_ns = at_ns(session_of(dt.date.fromisoformat(day)), "00:00")
        high, low, close = (usd(note.body[name]) for name in ("high_e4", "low_e4", "close_e4"))
        bar = {"o": close, "h": high, "l": low, "c": close, "v": volumes.get(day, 0), "n": 0, "vw": close}
        bars.append({"t": time_text(midnight_ns)} | bar)
    return bars
