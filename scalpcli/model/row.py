"""The hot row: one thing that happened, stamped when we learned of it (design, section 5).

Decides the columns, their widths, the kinds and the flag bits. Leaves files to `runtime/tape.py`
and meaning to the engine.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

SCHEMA_VERSION: Final = 1
"""Version of the tape's layout; a reader refuses a newer one."""

# Kinds. The three last are rare: the kernel hands them to Python.
STOCK_TRADE: Final = 1
STOCK_QUOTE: Final = 2
OPTION_TRADE: Final = 3
OPTION_QUOTE: Final = 4
PRICE_ONLY: Final = 5
STATUS: Final = 6
GAP: Final = 7
COLD: Final = 8

KIND_NAMES: Final = {
    STOCK_TRADE: "stock_trade",
    STOCK_QUOTE: "stock_quote",
    OPTION_TRADE: "option_trade",
    OPTION_QUOTE: "option_quote",
    PRICE_ONLY: "price_only",
    STATUS: "status",
    GAP: "gap",
    COLD: "cold",
}

# Flags of trades: what the print may move (definitions, section 2), and what it was.
LAST: Final = 1
RANGE: Final = 2
VWAP: Final = 4
VOLUME: Final = 8
ISO: Final = 16
MULTI_LEG: Final = 32
LATE: Final = 64
CORRECTED: Final = 128
CANCELLED: Final = 256
AUCTION: Final = 512
"""Auction or cross."""
BACKFILLED: Final = 1024
# Flags of status rows.
HALT_BEGIN: Final = 2048
HALT_END: Final = 4096
# Flags of gap rows. BEGIN alone: blind since `ts_event_ns` and still blind. END alone: sees again
# from `ts_recv_ns` on. Both: was blind from `ts_event_ns` to `ts_recv_ns`, learned afterwards.
GAP_BEGIN: Final = 8192
GAP_END: Final = 16384
UNKNOWN_CONDITION: Final = 32768
"""The print carries a condition code that no table knows; it counts as none of the four."""

FLAG_NAMES: Final = {
    LAST: "last",
    RANGE: "range",
    VWAP: "vwap",
    VOLUME: "volume",
    ISO: "iso",
    MULTI_LEG: "multi_leg",
    LATE: "late",
    CORRECTED: "corrected",
    CANCELLED: "cancelled",
    AUCTION: "auction",
    BACKFILLED: "backfilled",
    HALT_BEGIN: "halt_begin",
    HALT_END: "halt_end",
    GAP_BEGIN: "gap_begin",
    GAP_END: "gap_end",
    UNKNOWN_CONDITION: "unknown_condition",
}

# Channels: what a gap row's `size` names, one bit each.
CHANNEL_STOCK_TRADES: Final = 1
CHANNEL_STOCK_QUOTES: Final = 2
CHANNEL_OPTION_TRADES: Final = 4
CHANNEL_OPTION_QUOTES: Final = 8
CHANNEL_PRICE_ONLY: Final = 16
CHANNELS_ALL: Final = 31
CHANNEL_NAMES: Final = {
    CHANNEL_STOCK_TRADES: "stock_trades",
    CHANNEL_STOCK_QUOTES: "stock_quotes",
    CHANNEL_OPTION_TRADES: "option_trades",
    CHANNEL_OPTION_QUOTES: "option_quotes",
    CHANNEL_PRICE_ONLY: "price_only",
}

UNDERLYING_ID: Final = 0
"""`instrument_id` of the underlying in every tape; contracts follow from 1."""
INSTRUMENT_ID_MAX: Final = 32_767

COLUMNS: Final[dict[str, np.dtype[Any]]] = {
    "ts_recv_ns": np.dtype(np.int64),
    "ts_event_ns": np.dtype(np.int64),
    "kind": np.dtype(np.int8),
    "instrument_id": np.dtype(np.int16),
    "price_e4": np.dtype(np.int64),
    "ask_e4": np.dtype(np.int64),
    "size": np.dtype(np.int32),
    "ask_size": np.dtype(np.int32),
    "flags": np.dtype(np.int32),
    "conditions": np.dtype(np.int16),
    "exchange": np.dtype(np.int16),
    "ask_exchange": np.dtype(np.int16),
    "trade_id": np.dtype(np.int64),
}
"""Column -> NumPy type, in file order.

`ts_recv_ns` never falls. `price_e4` is the trade price or the bid, `ask_e4` the ask (0 = that side is
empty). `conditions`, `exchange` and `ask_exchange` are codes into the manifest's dictionaries, 0 = none.
A gap row names its channels in `size` and its cause in `conditions`. A cold row's `trade_id` is 0; its
content is the line of `notes.jsonl` whose `seq` is its 0-based ordinal in the file.
"""

ENGINE_COLUMNS: Final = (
    "ts_recv_ns",
    "ts_event_ns",
    "kind",
    "instrument_id",
    "price_e4",
    "ask_e4",
    "size",
    "ask_size",
    "flags",
    "exchange",
)
"""The columns the engine reads; the others serve people, corrections and duplicate checks."""


class RowBatch(NamedTuple):
    """Rows as the kernel takes them: one contiguous array per engine column, all of one length."""

    ts_recv_ns: NDArray[Any]
    ts_event_ns: NDArray[Any]
    kind: NDArray[Any]
    instrument_id: NDArray[Any]
    price_e4: NDArray[Any]
    ask_e4: NDArray[Any]
    size: NDArray[Any]
    ask_size: NDArray[Any]
    flags: NDArray[Any]
    exchange: NDArray[Any]

    @classmethod
    def from_columns(cls, columns: dict[str, NDArray[Any]]) -> RowBatch:
        """A batch over `columns`; extra columns are left out, types are made the tape's."""
        return cls(*(np.ascontiguousarray(columns[name], COLUMNS[name]) for name in ENGINE_COLUMNS))

    def slice(self, start: int, stop: int) -> RowBatch:
        """Rows `start` to `stop` without copying."""
        return RowBatch(*(column[start:stop] for column in self))

    @classmethod
    def empty(cls) -> RowBatch:
        """A batch without rows: time passes and nothing happens."""
        return cls(*(np.zeros(0, COLUMNS[name]) for name in ENGINE_COLUMNS))
