"""Small tapes for tests, and ways to damage them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.model.instrument import Instrument, parse_occ
from scalpcli.model.params import TapeParams
from scalpcli.model.row import (
    CHANNELS_ALL,
    COLD,
    COLUMNS,
    GAP,
    GAP_BEGIN,
    GAP_END,
    HALT_BEGIN,
    LAST,
    OPTION_QUOTE,
    OPTION_TRADE,
    RANGE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
    VOLUME,
    VWAP,
)
from scalpcli.model.session import session_of
from scalpcli.runtime.manifest import DATA_FILES, MANIFEST_FILE, ROWS_FILE, digest_file
from scalpcli.runtime.tape_writer import TapeWriter
from scalpcli.units import NS_PER_MS, NS_PER_S

DAY = dt.date(2026, 11, 20)
SESSION = session_of(DAY)
OPEN = SESSION.open_ns
CLOSE = SESSION.close_ns
ALL = LAST | RANGE | VWAP | VOLUME
CALL = "TSLA261120C00400000"
PUT = "TSLA261120P00400000"
ROW_GROUP = 1024
DELAY_NS = 2 * NS_PER_MS
SMALL_ROWS = 3000


def contract(number: int, symbol: str, **changes: Any) -> Instrument:
    """A contract of a tape."""
    occ = parse_occ(symbol)
    return Instrument(
        **{
            "instrument_id": number,
            "symbol": symbol,
            "expiry": occ.expiry,
            "strike_e4": occ.strike_e4,
            "right": occ.right,
            "open_interest": 1200,
            "open_interest_date": dt.date(2026, 11, 19),
            **changes,
        }
    )


def one(kind: int, at_s: float, **values: Any) -> dict[str, int]:
    """One row, received `at_s` seconds after the open, 2 ms after it happened."""
    ts_recv_ns = OPEN + round(at_s * NS_PER_S)
    row = dict.fromkeys(COLUMNS, 0) | {"ts_recv_ns": ts_recv_ns, "ts_event_ns": ts_recv_ns - DELAY_NS, "kind": kind}
    return row | values


def trade(at_s: float, price_e4: int = 4_000_000, size: int = 100, **values: Any) -> dict[str, int]:
    """A trade of the stock that may move everything."""
    return one(STOCK_TRADE, at_s, price_e4=price_e4, size=size, **{"flags": ALL, **values})


def quote(at_s: float, bid_e4: int, ask_e4: int, **values: Any) -> dict[str, int]:
    """A quote of the stock; a side of price 0 is absent."""
    sizes = {"size": 100 * (bid_e4 > 0), "ask_size": 200 * (ask_e4 > 0)}
    return one(STOCK_QUOTE, at_s, price_e4=bid_e4, ask_e4=ask_e4, **{**sizes, **values})


def gap(begin_s: float, end_s: float, channels: int = CHANNELS_ALL) -> dict[str, int]:
    """A gap learned of when it was over."""
    begin_ns = OPEN + round(begin_s * NS_PER_S)
    return one(GAP, end_s, ts_event_ns=begin_ns, size=channels, flags=GAP_BEGIN | GAP_END)


def columns_of(rows: Sequence[dict[str, int]]) -> dict[str, NDArray[Any]]:
    """Rows as the writer takes them."""
    return {name: np.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()}


def small_rows(count: int = SMALL_ROWS) -> list[dict[str, int]]:
    """A session of every kind: a note, quotes and trades of stock and two contracts, a halt, a gap."""
    rows = [one(COLD, -60)]
    for number in range(1, count - 3):
        at_s = number * 23_000 / count
        price_e4 = 4_000_000 + 100 * (number % 7)
        premium_e4 = 20_000 + 500 * (number % 5)
        rows.append(
            (
                trade(at_s, price_e4, conditions=1 + number % 2, exchange=1, trade_id=number),
                quote(at_s, price_e4 - 100, price_e4 + 100, exchange=1, ask_exchange=2),
                one(OPTION_QUOTE, at_s, instrument_id=1 + number // 4 % 2, price_e4=premium_e4, ask_e4=premium_e4 + 500,
                    size=10, ask_size=20, exchange=2, ask_exchange=1),
                one(OPTION_TRADE, at_s, instrument_id=1 + number // 4 % 2, price_e4=premium_e4, size=3, flags=ALL,
                    exchange=2, trade_id=number),
            )[number % 4]
        )  # fmt: skip
    return [*rows, one(STATUS, 23_100, flags=HALT_BEGIN, conditions=1), gap(23_150, 23_200), one(COLD, 23_300)]


NOTES = (
    ("previous_levels", {"session": "2026-11-19", "high_e4": 4_100_000, "low_e4": 3_900_000, "close_e4": 4_000_000}),
    ("operator", {"command": "stop"}),
)


def writer(root: Path, **changes: Any) -> TapeWriter:
    """A writer of a synthetic TSLA tape with two contracts, two conditions and two exchanges."""
    given = {"params": TapeParams(row_group_rows=ROW_GROUP), "synthetic": True, "feeds": {"stock": "made"}}
    tape = TapeWriter(root, "TSLA", DAY, **{**given, "source": {"importer": "test"}, **changes})
    tape.add_instruments([contract(1, CALL), contract(2, PUT)])
    for text in ("@", "@ F"):
        tape.condition_code(text)
    for text in ("Q", "N"):
        tape.exchange_code(text)
    return tape


def write(root: Path, rows: Sequence[dict[str, int]], notes: Sequence[tuple[str, Any]] = (), **changes: Any) -> Path:
    """A sealed tape of these rows."""
    with writer(root, **changes) as tape:
        tape.append(columns_of(rows), notes)
        return tape.seal()


def small_tape(root: Path, **changes: Any) -> Path:
    """A sealed tape of `small_rows`, three row groups long."""
    return write(root, small_rows(), NOTES, **changes)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit the manifest in place."""
    path = folder / MANIFEST_FILE
    value = json.loads(path.read_text(encoding="utf-8"))
    change(value)
    path.write_text(json.dumps(value), encoding="utf-8")


def vouch(folder: Path) -> None:
    """Make the manifest vouch for the files as they are now, as a faulty writer would."""

    def renew(value: dict[str, Any]) -> None:
        for name in DATA_FILES:
            digest = digest_file(folder / name)
            entry = {"bytes": digest.bytes, "sha256": digest.sha256, "chunk_crc32": list(digest.chunk_crc32)}
            value["files"][name] = entry

    change_manifest(folder, renew)


def forge(folder: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Rewrite the rows and vouch for them: the damage is in what is written, not in its bytes."""
    path = folder / ROWS_FILE
    rows = change(pl.read_parquet(path))
    rows.write_parquet(path, row_group_size=ROW_GROUP)
    change_manifest(folder, lambda value: value.update(rows=rows.height))
    vouch(folder)


def put(row: int, **values: int) -> Callable[[pl.DataFrame], pl.DataFrame]:
    """An edit for `forge`: values of one row."""

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        is_row = pl.int_range(pl.len()) == row
        kinds = frame.schema
        return frame.with_columns(
            pl.when(is_row).then(pl.lit(value, kinds[name])).otherwise(name).alias(name)
            for name, value in values.items()
        )

    return change


def flip_byte(path: Path, at: int) -> None:
    """Change one bit of one byte."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def leftovers(folder: Path) -> list[str]:
    """Everything below a folder, hidden things too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
