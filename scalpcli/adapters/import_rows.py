"""Makes the rows of a tape from prints and quotes that were read.

Decides the order of rows of one receive time: quotes of the underlying, its prints and prices, quotes of
contracts, their prints, then cold rows. Quotes go first because a print is judged against the quote that
stood before it, and files with millisecond times cannot tell which came first. Within one kind: the order
of the files as given, then of the rows in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl
from numpy.typing import NDArray

from scalpcli.model.row import (
    COLD,
    COLUMNS,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNDERLYING_ID,
)

_ORDER: Final = {STOCK_QUOTE: 0, STOCK_TRADE: 1, PRICE_ONLY: 2, OPTION_QUOTE: 3, OPTION_TRADE: 4, COLD: 5}
_INTEGERS: Final = {1: pl.Int8, 2: pl.Int16, 4: pl.Int32, 8: pl.Int64}
_TYPES: Final = {name: _INTEGERS[dtype.itemsize] for name, dtype in COLUMNS.items()}

Notes = list[tuple[str, dict[str, Any]]]
"""Kind and body of the cold rows of a block, in row order."""


@dataclass(frozen=True, slots=True)
class Coder:
    """Texts of a file -> the codes of the tape."""

    flags: Mapping[str, int]
    """Conditions and correction, joined by a tab -> row flags."""
    conditions: Mapping[str, int]
    exchanges: Mapping[str, int]


def shape(frame: pl.LazyFrame, kind: int, **columns: pl.Expr) -> pl.LazyFrame:
    """Rows of one kind in the tape's columns and types; what is not given is 0. Keeps `note`, -1 without one."""
    given = {"kind": pl.lit(kind), **columns}
    note = given.pop("note", pl.lit(-1))
    made = [given.get(name, pl.lit(0)).cast(_TYPES[name]).alias(name) for name in COLUMNS if not name.startswith("ts_")]
    return frame.select("ts_recv_ns", "ts_event_ns", *made, note.cast(pl.Int32).alias("note"))


def lookup(column: str, codes: Mapping[str, int], default: int) -> pl.Expr:
    """Codes of a column's texts."""
    if not codes:
        return pl.lit(default, pl.Int32)
    return pl.col(column).replace_strict(list(codes), list(codes.values()), default=default, return_dtype=pl.Int32)


def print_key() -> pl.Expr:
    """Conditions and correction of a print in one text."""
    return pl.concat_str("raw_conditions", "raw_correction", separator="\t")


def print_rows(frame: pl.LazyFrame, coder: Coder, *, is_option: bool) -> pl.LazyFrame:
    """Trade rows of prints that were read; `instrument_id` names the contract of an option print."""
    return shape(
        frame.with_columns(print_key().alias("key")),
        OPTION_TRADE if is_option else STOCK_TRADE,
        instrument_id=pl.col("instrument_id") if is_option else pl.lit(UNDERLYING_ID),
        price_e4=pl.col("price_e4"),
        size=pl.col("size"),
        flags=lookup("key", coder.flags, 0),
        conditions=lookup("raw_conditions", coder.conditions, 0),
        exchange=lookup("raw_exchange", coder.exchanges, 0),
        trade_id=pl.col("trade_id"),
    )


def quote_rows(frame: pl.LazyFrame, coder: Coder, *, is_option: bool) -> pl.LazyFrame:
    """Quote rows of quotes that were read; `instrument_id` names the contract of an option quote."""
    return shape(
        frame,
        OPTION_QUOTE if is_option else STOCK_QUOTE,
        instrument_id=pl.col("instrument_id") if is_option else pl.lit(UNDERLYING_ID),
        price_e4=pl.col("bid_e4"),
        ask_e4=pl.col("ask_e4"),
        size=pl.col("bid_size"),
        ask_size=pl.col("ask_size"),
        exchange=lookup("raw_bid_exchange", coder.exchanges, 0),
        ask_exchange=lookup("raw_ask_exchange", coder.exchanges, 0),
    )


def merge_rows(frames: Sequence[tuple[int, pl.DataFrame]]) -> tuple[dict[str, NDArray[Any]], list[int]]:
    """Frames of one stretch of time as the columns of a block, in the tape's order.

    Args:
        frames: Kind and rows, in the order of the files.

    Returns:
        The columns, and for each cold row of the block, in order, the number of its note.
    """
    ordered = [frame for _, frame in sorted(frames, key=lambda pair: _ORDER[pair[0]])]
    rows = pl.concat(ordered).sort("ts_recv_ns", maintain_order=True)
    columns = {name: rows[name].to_numpy(writable=False) for name in COLUMNS}
    return columns, rows.filter(pl.col("kind") == COLD)["note"].to_list()
