"""Makes rows from snapshots of a chain.

A snapshot gives a quote row for each contract, a price-only row (or a quote row, where it names bid and ask)
of the underlying, an option trade row with the flag `volume` alone for each rise of a contract's cumulative
volume since the snapshot before, one cold row with the recorded greeks, and one where open interest moved.
A rise is a row of the later snapshot: that is when it could be known. Its price is the last one reported,
else the middle of the quote; it moves nothing but volume. What had traded before the first snapshot is not
a rise, and a fall (a cancelled trade) makes no row; both are counted.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.adapters.import_rows import Coder, Notes, quote_rows, shape
from scalpcli.model.note import GREEKS, OPEN_INTEREST
from scalpcli.model.row import COLD, OPTION_QUOTE, OPTION_TRADE, PRICE_ONLY, STOCK_QUOTE, VOLUME

_GREEKS: Final = ("delta", "gamma", "theta", "vega", "iv")
_UNKNOWN: Final = -1

Staged = list[tuple[int, pl.DataFrame]]
"""Kind and rows."""


class ChainFolder:
    """Follows the snapshots of a session in order and remembers what the last one said.

    Args:
        symbols: Symbol of instrument 0, 1, 2, and so on.
        open_interest: Instrument id -> open interest that the instruments carry.
        session: Day of the session.
        coder: Codes of exchanges.
        source: Name of the greeks' source for the notes.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        open_interest: Mapping[int, int],
        *,
        session: dt.date,
        coder: Coder,
        source: str,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._symbols = list(symbols)
        self._session = session
        self._coder = coder
        self._source = source
        self._volume: NDArray[np.int64] = np.full(len(symbols), _UNKNOWN, np.int64)
        self._open_interest: NDArray[np.int64] = np.full(len(symbols), _UNKNOWN, np.int64)
        for number, contracts in open_interest.items():
            self._open_interest[number] = contracts

    def fold(self, frame: pl.DataFrame, notes: Notes) -> Staged:
        """Rows of the snapshots in `frame`, which follow those folded before; their notes are appended to `notes`.

        Args:
            frame: Rows of `import_read.read_rows` for a chain, with `instrument_id`.
            notes: Grows by the bodies of the cold rows; a cold row's `note` is its position here.
        """
        frame = frame.sort("ts_recv_ns", maintain_order=True)
        staged = [*self._underlying_rows(frame)]
        staged.append((OPTION_QUOTE, quote_rows(frame.lazy(), self._coder, is_option=True).collect()))
        staged.append((OPTION_TRADE, self._volume_rows(frame)))
        staged.append((COLD, self._cold_rows(frame, notes)))
        return staged

    def _underlying_rows(self, frame: pl.DataFrame) -> Staged:
        stamps = ("ts_recv_ns", "ts_event_ns")
        quoted = frame.filter(pl.col("underlying_bid_e4").is_not_null() & pl.col("underlying_ask_e4").is_not_null())
        quotes = quoted.unique(stamps, keep="first", maintain_order=True).lazy()
        priced = frame.filter(pl.col("spot_e4").is_not_null())
        prices = priced.unique(stamps, keep="first", maintain_order=True).lazy()
        spoken = priced.group_by(stamps).agg(pl.col("spot_e4").n_unique().alias("prices"))
        self.counters["snapshots_with_several_spots"] += spoken.filter(pl.col("prices") > 1).height
        # A chain tells no sizes of the underlying's quote; 0 is unknown, the price says that the side is there.
        bid, ask = pl.col("underlying_bid_e4"), pl.col("underlying_ask_e4")
        return [
            (STOCK_QUOTE, shape(quotes, STOCK_QUOTE, price_e4=bid, ask_e4=ask).collect()),
            (PRICE_ONLY, shape(prices, PRICE_ONLY, price_e4=pl.col("spot_e4")).collect()),
        ]

    def _changes(self, frame: pl.DataFrame, column: str, memory: NDArray[np.int64]) -> pl.DataFrame:
        """Rows that tell `column`, with `before`: what the same contract told last; brings `memory` up to date."""
        told = frame.filter(pl.col(column).is_not_null())
        remembered = pl.Series(memory[told["instrument_id"].to_numpy()], dtype=pl.Int64)
        earlier = pl.col(column).shift(1).over("instrument_id")
        told = told.with_columns(earlier.fill_null(remembered).alias("before"))
        last = told.group_by("instrument_id", maintain_order=True).agg(pl.col(column).last())
        memory[last["instrument_id"].to_numpy()] = last[column].to_numpy()
        return told

    def _volume_rows(self, frame: pl.DataFrame) -> pl.DataFrame:
        told = self._changes(frame, "volume", self._volume)
        first = told.filter(pl.col("before") == _UNKNOWN)
        moved = told.filter(pl.col("before") != _UNKNOWN).with_columns(
            (pl.col("volume") - pl.col("before")).alias("rise"),
            pl.coalesce(
                pl.col("last_e4"),
                pl.when((pl.col("bid_e4") > 0) & (pl.col("ask_e4") > 0)).then(
                    (pl.col("bid_e4") + pl.col("ask_e4")) // 2
                ),
                pl.max_horizontal("bid_e4", "ask_e4"),
            ).alias("trade_e4"),
        )
        rises = moved.filter(pl.col("rise") > 0)
        priced = rises.filter(pl.col("trade_e4") > 0)
        self.counters["volume_rises"] += priced.height
        self.counters["volume_rises_without_price"] += rises.height - priced.height
        self.counters["volume_falls"] += moved.filter(pl.col("rise") < 0).height
        self.counters["volume_before_first_snapshot"] += int(first["volume"].sum())
        return shape(
            priced.lazy(),
            OPTION_TRADE,
            instrument_id=pl.col("instrument_id"),
            price_e4=pl.col("trade_e4"),
            size=pl.col("rise"),
            flags=pl.lit(VOLUME),
        ).collect()

    def _cold_rows(self, frame: pl.DataFrame, notes: Notes) -> pl.DataFrame:
        moved = self._changes(frame, "open_interest", self._open_interest)
        moved = moved.filter((pl.col("before") != pl.col("open_interest")) & (pl.col("before") != _UNKNOWN))
        interest = open_interest_rows(moved.with_columns(pl.lit(self._session).alias("date")), self._symbols, notes)
        stamps: list[tuple[int, int, int]] = []
        # A volatility of 0 is what Cboe writes where it could not solve for one.
        graded = frame.filter(pl.col("delta").is_not_null()).with_columns(
            pl.when(pl.col("iv") > 0).then(pl.col("iv")).alias("iv")
        )
        for (recv_ns, event_ns), part in _by_snapshot(graded):
            stamps.append((recv_ns, event_ns, len(notes)))
            notes.append((GREEKS, {"source": self._source, "contracts": self._greeks(part)}))
        return pl.concat([interest, _cold_rows(stamps)])

    def _greeks(self, snapshot: pl.DataFrame) -> dict[str, dict[str, float]]:
        rows = snapshot.select("instrument_id", *_GREEKS).iter_rows()
        return {
            self._symbols[number]: {
                name: value for name, value in zip(_GREEKS, values, strict=True) if value is not None
            }
            for number, *values in rows
        }


def _by_snapshot(frame: pl.DataFrame) -> list[tuple[tuple[int, int], pl.DataFrame]]:
    """The rows of each snapshot, in order."""
    parts = frame.partition_by("ts_recv_ns", "ts_event_ns", maintain_order=True)
    return [((int(part["ts_recv_ns"][0]), int(part["ts_event_ns"][0])), part) for part in parts]


def _cold_rows(stamps: Sequence[tuple[int, int, int]]) -> pl.DataFrame:
    """Cold rows from receive time, event time and number of the note."""
    table = pl.DataFrame(stamps, schema=["ts_recv_ns", "ts_event_ns", "number"], orient="row")
    return shape(table.lazy().cast(pl.Int64), COLD, note=pl.col("number")).collect()


def open_interest_rows(frame: pl.DataFrame, symbols: Sequence[str], notes: Notes) -> pl.DataFrame:
    """Cold rows of open interest that was told after the open.

    Args:
        frame: `ts_recv_ns`, `ts_event_ns`, `date` (the day it was told), `instrument_id`, `open_interest`.
        symbols: Symbol of instrument 0, 1, 2, and so on.
        notes: Grows by the bodies of the cold rows.
    """
    stamps: list[tuple[int, int, int]] = []
    for (recv_ns, event_ns), part in _by_snapshot(frame.sort("ts_recv_ns", maintain_order=True)):
        told = zip(part["instrument_id"], part["open_interest"], strict=True)
        contracts = {symbols[number]: value for number, value in told}
        stamps.append((recv_ns, event_ns, len(notes)))
        notes.append((OPEN_INTEREST, {"date": part["date"][0].isoformat(), "contracts": contracts}))
    return _cold_rows(stamps)
