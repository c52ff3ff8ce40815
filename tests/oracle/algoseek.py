"""Recorded ticks of 2013 as tape columns, decoded here and not by the product (definitions, section 2)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl

from scalpcli.model import row

Columns = Mapping[str, Any]

NEW_YORK = ZoneInfo("America/New_York")
_GROUPS = (
    ((0, 4, 5, 6, 7, 8, 11, 12, 15, 16, 17, 19, 21, 23, 27, 28, 29), row.LAST | row.RANGE | row.VWAP | row.VOLUME),
    ((9, 25, 3, 14), row.RANGE | row.VOLUME),
    ((31,), row.VWAP | row.VOLUME),
    ((20, 22, 1, 2, 18), row.VOLUME),
    ((10, 13), row.VOLUME),
    ((24, 26), 0),
)
_ALLOWED = {bit: allowed for bits, allowed in _GROUPS for bit in bits}
_ALL_FOUR = row.LAST | row.RANGE | row.VWAP | row.VOLUME


@cache
def eligibility(conditions: str) -> int:
    """What a print with these AlgoSeek bits (hexadecimal text) may move; the codes are ANDed, unknown is none."""
    allowed = _ALL_FOUR
    bits = int(conditions or "0", 16)
    for bit in range(bits.bit_length()):
        if bits >> bit & 1:
            allowed &= _ALLOWED.get(bit, 0)
    return allowed


def session_times(day: dt.date, *, opens: str = "09:30", closes: str = "16:00") -> tuple[int, int]:
    """Open and close of a session in New York, UTC nanoseconds."""
    moments = [dt.datetime.combine(day, dt.time.fromisoformat(text), NEW_YORK) for text in (opens, closes)]
    return int(moments[0].timestamp()) * 10**9, int(moments[1].timestamp()) * 10**9


def _price_e4(frame: pl.DataFrame, name: str) -> Any:
    return np.rint(frame[name].to_numpy() * 10_000).astype(np.int64)


def read_ticks(trades: Path, quotes: Path | None = None) -> dict[str, Any]:
    """Tape columns of one recorded day; a row's receive time is its event time, trades stand before quotes."""
    frame = pl.read_parquet(trades)
    columns = empty_columns(frame.height)
    columns["ts_recv_ns"][:] = frame["ts"].to_numpy()
    columns["kind"][:] = row.STOCK_TRADE
    columns["price_e4"][:] = _price_e4(frame, "price")
    columns["size"][:] = frame["size"].to_numpy()
    columns["flags"][:] = [eligibility(text) for text in frame["conditions"]]
    if quotes is not None:
        columns = merge(columns, _quote_columns(pl.read_parquet(quotes)))
    columns["ts_event_ns"] = columns["ts_recv_ns"].copy()
    return columns


def _quote_columns(frame: pl.DataFrame) -> dict[str, Any]:
    columns = empty_columns(frame.height)
    columns["ts_recv_ns"][:] = frame["ts"].to_numpy()
    columns["kind"][:] = row.STOCK_QUOTE
    columns["price_e4"][:] = _price_e4(frame, "bid")
    columns["ask_e4"][:] = _price_e4(frame, "ask")
    columns["size"][:] = frame["bid_size"].to_numpy()
    columns["ask_size"][:] = frame["ask_size"].to_numpy()
    return columns


def empty_columns(rows: int) -> dict[str, Any]:
    """All columns of a tape, filled with zeros."""
    return {name: np.zeros(rows, dtype) for name, dtype in row.COLUMNS.items()}


def merge(*parts: Columns) -> dict[str, Any]:
    """Several blocks of rows as one, ordered by receive time; equal times keep the order of the blocks."""
    joined = {name: np.concatenate([part[name] for part in parts]) for name in row.COLUMNS}
    order = np.argsort(joined["ts_recv_ns"], kind="stable")
    return {name: column[order] for name, column in joined.items()}
