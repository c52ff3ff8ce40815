"""Looks through a file before anything is written: what is kept, what is left out, what is wrong.

Decides what becomes of each row. A row of another day or another symbol is left out and counted; a bad row
is left out, counted by reason, and the first few are shown with file and row number.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import polars as pl

from scalpcli.adapters.import_contracts import Contracts
from scalpcli.adapters.import_layout import Role
from scalpcli.adapters.import_read import PROBLEMS, READ_ERRORS, SourceFile, unreadable
from scalpcli.adapters.import_rows import lookup
from scalpcli.model.session import NEW_YORK
from scalpcli.units import NS_PER_MIN, NS_PER_S

KEPT: Final = "kept"
_OTHER_DAY: Final = "other_day"
_OTHER_SYMBOL: Final = "other_symbol"
_LEFT_OUT: Final = "contract_not_asked"
_EXAMPLES_MAX: Final = 5
_DAYS_SHOWN_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar day in New York, UTC nanoseconds; `end_ns` is the first moment of the next."""

    date: dt.date
    start_ns: int
    end_ns: int

    @classmethod
    def of(cls, date: dt.date) -> Day:
        """The day of a date."""
        midnights = [dt.datetime.combine(day, dt.time(), NEW_YORK) for day in (date, date + dt.timedelta(days=1))]
        start, end = (int(midnight.timestamp()) * NS_PER_S for midnight in midnights)
        return cls(date, start, end)


@dataclass(frozen=True, slots=True)
class BadRow:
    """One refused row."""

    file: str
    row: int
    reason: str
    values: str

    def __str__(self) -> str:
        return f"{self.file} row {self.row}: {PROBLEMS[self.reason]} ({self.values})"


@dataclass(slots=True)
class Survey:
    """What stands in one file."""

    counts: Counter[str] = field(default_factory=Counter)
    """Kept rows, left-out rows and, by reason, bad ones."""
    rounded: Counter[str] = field(default_factory=Counter)
    """Prices and sizes that lost a part."""
    per_minute: Counter[int] = field(default_factory=Counter)
    """Minute since 1970 (receive time) -> kept rows."""
    examples: list[BadRow] = field(default_factory=list)

    @property
    def bad(self) -> Counter[str]:
        """Reason -> refused rows."""
        return Counter({reason: count for reason, count in self.counts.items() if reason in PROBLEMS})


@contextmanager
def reading(source: SourceFile) -> Iterator[None]:
    """Names the file in the error of a file that turns out damaged while it is read."""
    try:
        yield
    except READ_ERRORS as reason:
        raise unreadable(source.path, reason) from None


def in_day(role: Role, day: Day) -> pl.Expr:
    """Whether a row belongs to the day; open interest of an earlier day still holds, what has no time is kept."""
    ts = pl.col("ts_event_ns")
    if role is Role.OPEN_INTEREST:
        return ts.is_null() | (ts < day.end_ns)
    return ts.is_null() | ts.is_between(day.start_ns, day.end_ns, closed="left")


def unique_symbols(source: SourceFile, rows: pl.LazyFrame, day: Day) -> list[str]:
    """Distinct symbols of a file's rows of the day."""
    with reading(source):
        found = rows.filter(in_day(source.role, day)).select(pl.col("symbol").unique()).collect(engine="streaming")
    return [symbol for symbol in found["symbol"].to_list() if symbol]


def with_fate(source: SourceFile, rows: pl.LazyFrame, day: Day, underlying: str, contracts: Contracts) -> pl.LazyFrame:
    """The rows with `instrument_id` (0 is the underlying) and `fate`: kept, why it is left out, or what is wrong."""
    if source.role.is_option:
        number = lookup("symbol", contracts.ids, -1)
        foreign = pl.when(lookup("symbol", dict.fromkeys(contracts.left_out, 1), 0) == 1).then(pl.lit(_LEFT_OUT))
        reasons = contracts.refused
        refused = (
            pl.col("symbol").replace_strict(list(reasons), list(reasons.values()), default=None, return_dtype=pl.String)
            if reasons
            else pl.lit(None, pl.String)
        )
    else:
        number, refused = pl.lit(0, pl.Int32), pl.lit(None, pl.String)
        foreign = pl.when(pl.col("symbol").is_not_null() & ~pl.col("symbol").is_in(["", underlying])).then(
            pl.lit(_OTHER_SYMBOL)
        )
    fate = (
        pl.when(pl.col("ts_event_ns").is_null())
        .then(pl.lit("ts_missing"))
        .when(~in_day(source.role, day))
        .then(pl.lit(_OTHER_DAY))
        .otherwise(pl.coalesce(foreign, refused, pl.col("problem"), pl.lit(KEPT)))
    )
    return rows.with_columns(number.alias("instrument_id"), fate.alias("fate"))


def survey(source: SourceFile, rows: pl.LazyFrame) -> Survey:
    """Counts of a file whose rows have a fate, with the first bad ones."""
    minute = (pl.col("ts_recv_ns") // NS_PER_MIN).alias("minute")
    with reading(source):
        groups = (
            rows.group_by("fate", minute)
            .agg(pl.len().alias("rows"), pl.col("is_finer").sum(), pl.col("is_fraction").sum())
            .collect(engine="streaming")
        )
        total = source.frame.select(pl.len()).collect().item() if source.is_parquet else groups["rows"].sum()
    if groups["rows"].sum() != total:
        # A panic in one of Polars' threads may end a read early without an error; only the count tells.
        raise unreadable(source.path, OSError(f"{groups['rows'].sum():,} of its {total:,} rows can be read"))
    result = Survey()
    for fate, at, count, finer, fraction in groups.iter_rows():
        result.counts[fate] += count
        if fate == KEPT:
            result.rounded.update(prices_rounded=finer, sizes_rounded=fraction)
            result.per_minute[at] += count
    if result.bad:
        with reading(source):
            bad = rows.filter(pl.col("fate").is_in(list(PROBLEMS))).select("row", "fate").head(_EXAMPLES_MAX).collect()
        result.examples = [BadRow(source.name, row, fate, _values(source, row)) for row, fate in bad.iter_rows()]
    return result


def _values(source: SourceFile, row: int) -> str:
    """The fields of one row as the file writes them."""
    names = list(dict.fromkeys(column.name for column in source.columns.values()))
    with reading(source):
        values = source.frame.filter(pl.col("_row") == row).select(names).collect().row(0, named=True)
    return ", ".join(f"{name}={value}" for name, value in values.items() if value is not None)


def days_found(source: SourceFile, rows: pl.LazyFrame) -> str:
    """The days a file holds, for the message that the asked one is not among them."""
    stamp = pl.from_epoch(pl.col("ts_event_ns"), time_unit="ns").dt.replace_time_zone("UTC")
    day = stamp.dt.convert_time_zone(str(NEW_YORK)).dt.date().alias("day")
    with reading(source):
        days = rows.filter(pl.col("ts_event_ns").is_not_null()).select(day).unique().collect()["day"].sort().to_list()
    if not days:
        return "no readable time"
    shown = ", ".join(str(day) for day in days[:_DAYS_SHOWN_MAX])
    return shown if len(days) <= _DAYS_SHOWN_MAX else f"{shown} and {len(days) - _DAYS_SHOWN_MAX} more"
