"""Snapshots of a chain from a file, as rows.

Decides which underlying, day and snapshots a file holds where nobody says. Columns, profiles and checks are those
of `tape import`; nothing is written.
"""

from __future__ import annotations

import datetime as dt
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
from scalpcli.errors import DataError, ScalpcliError, UsageError
from scalpcli.model.instrument import Instrument, parse_occ
from scalpcli.model.note import Note
from scalpcli.model.row import COLD, COLUMNS, OPTION_TRADE, UNDERLYING_ID, VOLUME
from scalpcli.model.session import Session, ns_to_new_york_date, session_of

FLAG: Final = "--snapshot"
"""The flag that hands in such a file."""
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
        columns: Rows in order.
        notes: Those of the cold rows, in their order.
        bad_rows: Rows left out because something in them cannot be read.
    """

    symbol: str
    session: Session
    times_ns: tuple[int, ...]
    instruments: tuple[Instrument, ...]
    columns: Columns
    notes: tuple[Note, ...]
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
    try:
        return _read(path, maps, symbol, date)
    except ScalpcliError as error:
        # The importer's messages name its own flag.
        found, hint = (text.replace(Role.CHAIN.flag, FLAG) for text in (error.found, error.hint))
        raise type(error)(found, place=error.place, hint=hint) from None


def _read(path: Path, maps: Maps, symbol: str, date: dt.date | None) -> ChainFile:
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
    blocks: list[Columns] = []
    notes: list[Note] = []
    for block, bodies in plan.blocks():
        stamps = block["ts_recv_ns"][block["kind"] == COLD].tolist()
        notes += [
            Note(len(notes) + place, stamp, *told)
            for place, (stamp, told) in enumerate(zip(stamps, bodies, strict=True))
        ]
        blocks.append(block)
    span_ns = (int(blocks[0]["ts_recv_ns"][0]), int(blocks[-1]["ts_recv_ns"][-1]))
    columns = _in_order([_volume_rows(source, rows, instruments, span_ns), *blocks])
    times = np.unique(columns["ts_recv_ns"]).tolist()
    return ChainFile(symbol, session, tuple(times), instruments, columns, tuple(notes), plan.bad_count)


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


def _volume_rows(
    source: SourceFile, rows: pl.LazyFrame, instruments: tuple[Instrument, ...], span_ns: tuple[int, int]
) -> Columns:
    """What had traded before each contract's first snapshot: a tape counts rises only, a scan counts all."""
    inside = rows.filter(pl.col("ts_recv_ns").is_between(*span_ns) & pl.col("volume").is_not_null())
    first = inside.group_by("symbol").agg(pl.col("ts_recv_ns", "volume").sort_by("ts_recv_ns").first())
    told = {symbol: (ts, volume) for symbol, ts, volume in _collect(source, first).iter_rows() if volume > 0}
    traded = [(each.instrument_id, *told[each.symbol]) for each in instruments if each.symbol in told]
    columns = {name: np.zeros(len(traded), kind) for name, kind in COLUMNS.items()}
    columns["kind"][:] = OPTION_TRADE
    columns["flags"][:] = VOLUME
    columns["instrument_id"][:] = [number for number, _, _ in traded]
    columns["ts_recv_ns"][:] = columns["ts_event_ns"][:] = [ts for _, ts, _ in traded]
    columns["size"][:] = [volume for _, _, volume in traded]
    return columns


def _in_order(blocks: list[Columns]) -> Columns:
    joined = {name: np.concatenate([block[name] for block in blocks]) for name in COLUMNS}
    order = np.argsort(joined["ts_recv_ns"], kind="stable")
    return {name: values[order] for name, values in joined.items()}


def _collect(source: SourceFile, frame: pl.LazyFrame) -> pl.DataFrame:
    try:
        return frame.collect()
    except READ_ERRORS as reason:
        raise unreadable(source.path, reason) from None


def rows_until(file: ChainFile, t_ns: int) -> Columns:
    """Rows up to and including `t_ns`."""
    end = int(np.searchsorted(file.columns["ts_recv_ns"], t_ns, side="right"))
    return {name: values[:end] for name, values in file.columns.items()}
