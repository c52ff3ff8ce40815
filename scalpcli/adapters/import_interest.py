"""Finds the open interest that stood before the open, and what was told after it.

Decides which of several values is the contract's: the latest told at or before the open, from a file of
open interest; where there is none, the first a chain tells. Open interest is the previous close's and is
published before the open, so the first snapshot tells no future.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from scalpcli.adapters.import_read import SourceFile
from scalpcli.adapters.import_survey import reading
from scalpcli.model.session import Session, ns_to_new_york_date

_COLUMNS = ("instrument_id", "ts_event_ns", "ts_recv_ns", "open_interest")


@dataclass(frozen=True, slots=True)
class Interest:
    """Open interest of the contracts."""

    before_open: dict[int, tuple[int, dt.date | None]]
    """Instrument id -> contracts and the day it was told."""
    later: pl.DataFrame
    """What files of open interest tell after the open, with `date`."""


def read_interest(
    files: Sequence[tuple[SourceFile, pl.LazyFrame]],
    chains: Sequence[tuple[SourceFile, pl.LazyFrame]],
    session: Session,
) -> Interest:
    """Open interest of the kept rows of files of open interest and of chains."""
    told = _collect(files)
    early = told.filter(pl.col("ts_recv_ns") <= session.open_ns)
    later = told.filter(pl.col("ts_recv_ns") > session.open_ns)
    first = _collect(chains).unique("instrument_id", keep="first", maintain_order=True)
    latest = early.unique("instrument_id", keep="last", maintain_order=True)
    known: dict[int, tuple[int, dt.date | None]] = {}
    for frame in (first, latest):
        for number, event_ns, _, contracts in frame.select(_COLUMNS).iter_rows():
            # A file without times tells what held that morning.
            day = ns_to_new_york_date(event_ns) if event_ns > 0 else session.date
            known[number] = (contracts, day)
    return Interest(known, later.with_columns(pl.lit(session.date).alias("date")))


def _collect(parts: Sequence[tuple[SourceFile, pl.LazyFrame]]) -> pl.DataFrame:
    """All told open interest by receive time; rows of one time keep the order of the files."""
    frames = [pl.DataFrame(schema=dict.fromkeys(_COLUMNS, pl.Int64))]
    for source, rows in parts:
        with reading(source):
            told = rows.select(pl.col(_COLUMNS).cast(pl.Int64)).filter(pl.col("open_interest").is_not_null())
            frames.append(told.collect(engine="streaming"))
    return pl.concat(frames).sort("ts_recv_ns", maintain_order=True)
