"""The market a run saw, read back from its tape for the few contracts it traded.

Decides which tape is meant and which rows are kept: quotes of the contracts asked for, and the underlying's
price. Nothing is replayed; columns are read lazily, so that a session of millions of rows costs what its traded
contracts hold.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.row import LAST, OPTION_QUOTE, PRICE_ONLY, STOCK_QUOTE, STOCK_TRADE, UNDERLYING_ID
from scalpcli.report.load import SessionResult
from scalpcli.runtime.tape import Tape, read_manifest, scan_rows
from scalpcli.units import E4_PER_USD

Times = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Quotes:
    """Two-sided, uncrossed quotes of one contract in order of time; USD a share."""

    ts_ns: Times
    bid: Floats
    ask: Floats

    def at(self, ts_ns: Any) -> tuple[Floats, Floats]:
        """Bid and ask that stood at some times, NaN before the first quote."""
        row = np.searchsorted(self.ts_ns, np.asarray(ts_ns, dtype=np.int64), side="right") - 1
        bid, ask = np.append(self.bid, np.nan), np.append(self.ask, np.nan)
        return bid[row], ask[row]

    def mid(self, ts_ns: Any) -> Floats:
        """Mid that stood at some times, NaN before the first quote."""
        bid, ask = self.at(ts_ns)
        return (bid + ask) / 2.0


@dataclass(frozen=True, slots=True)
class Line:
    """The underlying's price in order of time: mids of its quotes, or its last prices where there are no quotes."""

    ts_ns: Times
    price: Floats

    def at(self, ts_ns: Any) -> Floats:
        """Price that stood at some times, NaN before the first."""
        row = np.searchsorted(self.ts_ns, np.asarray(ts_ns, dtype=np.int64), side="right") - 1
        return np.append(self.price, np.nan)[row]


@dataclass(frozen=True, slots=True)
class Market:
    """What one session's tape shows.

    Args:
        tape: The tape.
        contracts: Quotes by OCC symbol; a contract without any is there, empty.
        underlying: Its price.
        trades: Its prints that may set the price, and bare prices: time, USD, shares.
    """

    tape: Tape
    contracts: dict[str, Quotes]
    underlying: Line
    trades: tuple[Times, Floats, Floats]


_COLUMNS: Final = ("ts_recv_ns", "kind", "instrument_id", "price_e4", "ask_e4", "size", "flags")


def find_tape_of(session: SessionResult) -> Path | str:
    """The tape a session was played from, or why it cannot be used.

    A tape that was moved or replaced since says nothing about the run, so its digest must be the run's.
    """
    named = session.head.get("tape")
    if not named:
        return "the run names no tape"
    folder = Path(str(named))
    if not folder.is_dir():
        return f"its tape `{named}` is not there"
    try:
        manifest = read_manifest(folder)
    except DataError as error:
        return error.found
    if manifest.rows_digest != session.head["tape_digest"]:
        return f"the tape `{named}` is another one than was played"
    return folder


def read_market(folder: Path, symbols: Iterable[str]) -> Market:
    """Quotes of some contracts and the underlying's price.

    Args:
        folder: The tape.
        symbols: Contracts, OCC symbols as the tape writes them.

    Raises:
        DataError: The tape is damaged.
    """
    tape = Tape.open(folder)
    wanted = set(symbols)
    ids = {each.symbol: each.instrument_id for each in tape.instruments if each.symbol in wanted}
    is_option = (pl.col("kind") == OPTION_QUOTE) & pl.col("instrument_id").is_in(list(ids.values()))
    is_stock = (pl.col("instrument_id") == UNDERLYING_ID) & pl.col("kind").is_in([STOCK_TRADE, STOCK_QUOTE, PRICE_ONLY])
    try:
        rows = scan_rows(folder).select(_COLUMNS).filter(is_option | is_stock).collect()
    except pl.exceptions.PolarsError as error:
        raise DataError(f"rows cannot be read: {str(error).splitlines()[0]}", place=f"`{folder}`") from None
    options = rows.filter((pl.col("kind") == OPTION_QUOTE) & _is_valid())
    contracts = {symbol: _quotes(options.filter(pl.col("instrument_id") == number)) for symbol, number in ids.items()}
    quotes = rows.filter((pl.col("kind") == STOCK_QUOTE) & _is_valid())
    is_print = (pl.col("kind") == STOCK_TRADE) & ((pl.col("flags") & LAST) != 0)
    prints = rows.filter(is_print | (pl.col("kind") == PRICE_ONLY))
    times, prices = prints["ts_recv_ns"].to_numpy(), _usd(prints["price_e4"])
    stock = _quotes(quotes)
    line = Line(stock.ts_ns, (stock.bid + stock.ask) / 2.0) if len(stock.ts_ns) else Line(times, prices)
    return Market(tape, contracts, line, (times, prices, prints["size"].to_numpy().astype(np.float64)))


def _is_valid() -> pl.Expr:
    return (pl.col("price_e4") > 0) & (pl.col("ask_e4") > pl.col("price_e4"))


def _usd(values: pl.Series) -> Floats:
    return values.to_numpy().astype(np.float64) / E4_PER_USD


def _quotes(rows: pl.DataFrame) -> Quotes:
    return Quotes(rows["ts_recv_ns"].to_numpy(), _usd(rows["price_e4"]), _usd(rows["ask_e4"]))
