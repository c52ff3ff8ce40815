"""Snapshots of a chain from a file, as rows.

Decides which underlying, day and snapshots a file holds where nobody says. Columns, profiles and checks are those
of `tape import`; nothing is written.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli.adapters.import_contracts import underlying_of
from scalpcli.adapters.import_job import ImportPlan, ImportRequest
from scalpcli.adapters.import_layout import Maps, Profile, Role
from scalpcli.adapters.import_read import READ_ERRORS, Reading, SourceFile, open_source, read_rows, unreadable
from scalpcli.errors import DataError, UsageError
from scalpcli.model.instrument import Instrument, parse_occ
from scalpcli.model.note import Note
from scalpcli.model.row import COLD, COLUMNS, OPTION_TRADE, UNDERLYING_ID, VOLUME
from scalpcli.model.session import Session, ns_to_new_york_date, session_of

_SYMBOLS_LOOKED_AT: Final = 100_000
Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ChainFile:
    """One session of a file of snapshots.

    Attributes:
        symbol: The underlying.
        session: Its session.
        times_ns: When each snapshot was known, in order.
        instruments: By `instrument_id`, the underlying first.
        blocks: Rows in order, with the cold rows' notes.
        bad_rows: Rows left out because something in them cannot be read.
    """

    symbol: str
    session: Session
    times_ns: tuple[int, ...]
    instruments: tuple[Instrument, ...]
    blocks: tuple[tuple[Columns, tuple[Note, ...]], ...]
    bad_rows: int


def read_chain_file(path: Path, maps: Maps, symbol: str = "", date: dt.date | None = None) -> ChainFile:
    """The snapshots of one session.

    Args:
        path: Parquet or CSV, one row a contract and snapshot.
        maps: Columns the user named.
        symbol: The underlying; found out from the contracts where empty.
        date: The session; the file's last day where `None`.

    Raises:
        DataError: the file is missing, damaged or lacks a column; it has no rows of that symbol and day.
        UsageError: it holds several underlyings and none was named.
    """
    source = open_source(Role.CHAIN, path, maps)
    rows = read_rows(source, Reading(Profile.CHAIN)).filter(pl.col("problem").is_null())
    symbol = symbol or _only_underlying(source, rows)
    session = session_of(date or _last_day(source, rows))
    request = ImportRequest(
        symbol=symbol, session=session, files=[(Role.CHAIN, path)], profile=Profile.CHAIN, maps=maps
    )
    plan = ImportPlan(request)
    underlying = Instrument(UNDERLYING_ID, symbol)
    instruments = (underlying, *plan.instruments)
    blocks: list[tuple[Columns, tuple[Note, ...]]] = []
    seq = 0
    for columns, bodies in plan.blocks():
        stamps = columns["ts_recv_ns"][columns["kind"] == COLD].tolist()
        notes = [Note(seq + place, stamps[place], kind, body) for place, (kind, body) in enumerate(bodies)]
        seq += len(notes)
        blocks.append((columns, tuple(notes)))
    first_ns = int(blocks[0][0]["ts_recv_ns"][0])
    blocks.insert(0, (_volume_rows(source, rows, instruments, first_ns), ()))
    times = sorted({int(ts) for columns, _ in blocks for ts in np.unique(columns["ts_recv_ns"])})
    return ChainFile(symbol, session, tuple(times), instruments, tuple(blocks), plan.bad_count)


def _only_underlying(source: SourceFile, rows: pl.LazyFrame) -> str:
    symbols = _collect(source, rows.select(pl.col("symbol").unique()).head(_SYMBOLS_LOOKED_AT))["symbol"]
    roots: set[str] = set()
    for text in symbols:
        try:
            roots.add(underlying_of(parse_occ(text).root))
        except DataError:
            continue
    if len(roots) == 1:
        return roots.pop()
    if not roots:
        raise DataError(
            "no row names a contract by an OCC symbol",
            place=f"`{source.name}`",
            hint="name the column: `--map chain.symbol=COLUMN`",
        )
    raise UsageError(
        f"the file holds contracts of {', '.join(sorted(roots)[:5])}",
        place=f"`{source.name}`",
        hint=f"name one: `--symbol {min(roots)}`",
    )


def _last_day(source: SourceFile, rows: pl.LazyFrame) -> dt.date:
    last = _collect(source, rows.select(pl.col("ts_event_ns").max()))["ts_event_ns"][0]
    if last is None:
        raise DataError("no row of the file has a time that can be read", place=f"`{source.name}`")
    return ns_to_new_york_date(int(last))


def _volume_rows(source: SourceFile, rows: pl.LazyFrame, instruments: tuple[Instrument, ...], first_ns: int) -> Columns:
    """What had traded before the first snapshot, one row a contract: a tape counts rises only, a scan counts all."""
    told = rows.filter((pl.col("ts_recv_ns") == first_ns) & (pl.col("volume") > 0)).select("symbol", "volume")
    volumes = dict(_collect(source, told).iter_rows())
    traded = [
        (each.instrument_id, volumes[each.symbol]) for each in instruments if volumes.get(each.symbol) is not None
    ]
    columns = {name: np.zeros(len(traded), kind) for name, kind in COLUMNS.items()}
    columns["ts_recv_ns"][:] = first_ns
    columns["ts_event_ns"][:] = first_ns
    columns["kind"][:] = OPTION_TRADE
    columns["flags"][:] = VOLUME
    columns["instrument_id"][:] = [number for number, _ in traded]
    columns["size"][:] = [volume for _, volume in traded]
    return columns


def _collect(source: SourceFile, frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect()
    except READ_ERRORS as reason:
        raise unreadable(source.path, reason) from None


def snapshots_until(file: ChainFile, t_ns: int) -> Iterator[tuple[Columns, tuple[Note, ...]]]:
    """Rows up to and including `t_ns`."""
    for columns, notes in file.blocks:
        end = int(np.searchsorted(columns["ts_recv_ns"], t_ns, side="right"))
        yield {name: values[:end] for name, values in columns.items()}, notes
        if end < len(columns["ts_recv_ns"]):
            return
