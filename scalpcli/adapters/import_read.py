"""Reads files of other formats into plain columns and says what is wrong with each row.

Decides how times, dollars and sizes are read and which rows are bad. Nothing is computed before the
frame is collected, so a file larger than memory is read in pieces.
Leaves symbols to `import_contracts` and the rows of a tape to `import_rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from scalpcli.adapters.import_layout import UNIT_NS, Column, Maps, Profile, Role, Unit, resolve_columns
from scalpcli.errors import DataError
from scalpcli.units import E4_PER_USD

_SIZE_MAX: Final = 2**31 - 1
_PRICE_E4_MAX: Final = 2**62
# Differences below this are the noise of a binary fraction, not a finer price.
_FINER_E4: Final = 1e-3
_PARQUET: Final = (".parquet", ".pq")
_FORMATS: Final = (*_PARQUET, ".csv", ".csv.gz", ".txt")
_INTEGER_TEXT: Final = r"^[+-]?\d+$"
_ZONE_TEXT: Final = r"(?:Z|[+-]\d\d:?\d\d)$"

READ_ERRORS: Final = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
"""What Polars raises on a damaged file; some damage makes it panic."""

PROBLEMS: Final = {
    "ts_missing": "the time is missing or cannot be read",
    "ts_recv_missing": "the receive time is missing or cannot be read",
    "price_missing": "the price is missing",
    "price_unreadable": "the price cannot be read",
    "price_not_finite": "the price is not a number",
    "price_negative": "the price is negative",
    "price_zero": "the price is zero",
    "price_too_large": "the price is too large",
    "size_missing": "the size is missing",
    "size_unreadable": "the size cannot be read",
    "size_not_finite": "the size is not a number",
    "size_negative": "the size is negative",
    "size_too_large": "the size is above 2,147,483,647",
    "symbol_missing": "the symbol is missing",
    "symbol_unreadable": "the symbol is not an OCC option symbol",
    "symbol_other_root": "the contract belongs to another underlying",
    "adjusted_deliverable": "the contract does not deliver 100 shares",
    "contract_expired": "the contract expired before the session",
    "bar_end_not_after_start": "the bar ends at or before its own start",
    "open_interest_unreadable": "the open interest is missing, negative or cannot be read",
}
"""Reason a row is refused -> words."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file, its role and the columns its fields stand in."""

    role: Role
    path: Path
    columns: Mapping[str, Column]
    frame: pl.LazyFrame
    schema: pl.Schema

    @property
    def name(self) -> str:
        """The file's name without its folders, which say nothing about the data."""
        return self.path.name

    @property
    def is_parquet(self) -> bool:
        """Whether the file tells how many rows it has."""
        return self.path.suffix.lower() in _PARQUET

    def has(self, field: str) -> bool:
        """Whether a column stands for `field`."""
        return field in self.columns


@dataclass(frozen=True, slots=True)
class Reading:
    """How the files of one import are read."""

    profile: Profile
    recv_delay_ns: int = 0
    quote_lot: int = 1


def open_source(role: Role, path: Path, maps: Maps) -> SourceFile:
    """A file ready to be read.

    Raises:
        DataError: absent, damaged, of an unknown format, or without a column that is needed.
    """
    if not path.is_file():
        raise DataError("the file does not exist", place=f"`{path}`", hint=f"check the path given to {role.flag}")
    if not path.name.lower().endswith(_FORMATS):
        raise DataError(
            f"{role.flag} takes Parquet or CSV, found `{path.name}`",
            place=f"`{path}`",
            hint="name the file with the ending .parquet or .csv",
        )
    try:
        frame = _scan(path)
        schema = frame.collect_schema()
    except READ_ERRORS as reason:
        raise unreadable(path, reason) from None
    columns = resolve_columns(role, [name for name in schema.names() if name != "_row"], maps, path.name)
    return SourceFile(role, path, columns, frame, schema)


def unreadable(path: Path, reason: BaseException) -> DataError:
    """The error of a file that Polars cannot read."""
    text = str(reason).strip() or type(reason).__name__
    return DataError(
        f"the file cannot be read: {text.splitlines()[0]}",
        place=f"`{path}`",
        hint="it may be truncated or of another format; fetch it again",
    )


def _scan(path: Path) -> pl.LazyFrame:
    """The file with its row numbers, 1 for the first row of data, in `_row`."""
    if path.suffix.lower() in _PARQUET:
        return pl.scan_parquet(path, row_index_name="_row", row_index_offset=1, glob=False)
    # Every column stays text: inferred types would refuse the file where a single cell is bad.
    return pl.scan_csv(path, infer_schema=False, row_index_name="_row", row_index_offset=1, glob=False)


def time_ns(source: SourceFile, field: str) -> pl.Expr:
    """UTC nanoseconds of a time; null where it is missing or cannot be read."""
    column = source.columns[field]
    raw, dtype = pl.col(column.name), source.schema[column.name]
    if isinstance(dtype, pl.Datetime):
        return raw.dt.timestamp("ns")
    if isinstance(dtype, pl.Date):
        return pl.lit(None, pl.Int64)
    if dtype.is_integer():
        # A bare column lets Polars skip the parts of a file that lie outside the asked time.
        scale = UNIT_NS.get(column.unit, 1)
        return raw.cast(pl.Int64) * scale if scale > 1 else raw.cast(pl.Int64)
    if dtype.is_float():
        return (raw * UNIT_NS.get(column.unit, 1)).round().cast(pl.Int64, strict=False)
    text = raw.cast(pl.String).str.strip_chars()
    if column.unit in UNIT_NS:
        exact = text.cast(pl.Int64, strict=False) * UNIT_NS[column.unit]
        return pl.coalesce(exact, (text.cast(pl.Float64, strict=False) * UNIT_NS[column.unit]).round().cast(pl.Int64))
    stamp = text.str.replace(" ", "T", literal=True)
    zoned = pl.when(stamp.str.contains(_ZONE_TEXT)).then(stamp).otherwise(stamp + "Z")
    iso = zoned.str.to_datetime("%+", time_unit="ns", time_zone="UTC", strict=False).dt.timestamp("ns")
    if column.unit is Unit.ISO:
        return iso
    return pl.when(text.str.contains(_INTEGER_TEXT)).then(text.cast(pl.Int64, strict=False)).otherwise(iso)


def text(source: SourceFile, field: str) -> pl.Expr:
    """A field as text without outer blanks; empty where it is missing."""
    if not source.has(field):
        return pl.lit("")
    return pl.col(source.columns[field].name).cast(pl.String).str.strip_chars().fill_null("")


@dataclass(frozen=True, slots=True)
class Number:
    """A number of a file: its value, and whether something stood there that is none."""

    value: pl.Expr
    is_unreadable: pl.Expr


def number(source: SourceFile, field: str) -> Number:
    """A field as a float; null where it is missing or cannot be read."""
    if not source.has(field):
        return Number(pl.lit(None, pl.Float64), pl.lit(value=False))
    column = source.columns[field].name
    raw, dtype = pl.col(column), source.schema[column]
    if dtype.is_numeric():
        return Number(raw.cast(pl.Float64), pl.lit(value=False))
    words = raw.cast(pl.String).str.strip_chars()
    value = words.cast(pl.Float64, strict=False)
    return Number(value, value.is_null() & (words.fill_null("") != ""))


def to_e4(usd: pl.Expr) -> pl.Expr:
    """Dollars as whole 1/10000 USD, rounded half to even (definitions, section 10)."""
    return (usd * E4_PER_USD).round(0, mode="half_to_even").cast(pl.Int64, strict=False)


def is_finer(usd: pl.Expr) -> pl.Expr:
    """Whether a price has a part below 1/10000 USD, which rounding drops."""
    scaled = usd * E4_PER_USD
    return ((scaled - scaled.round(0, mode="half_to_even")).abs() > _FINER_E4).fill_null(value=False)


def price_problem(price: Number, *, absent_is_fine: bool) -> pl.Expr:
    """What is wrong with a price; null where nothing is. A quote may lack a side, a print needs a price."""
    value = price.value
    problem = (
        pl.when(price.is_unreadable)
        .then(pl.lit("price_unreadable"))
        .when(value.is_not_null() & ~value.is_finite())
        .then(pl.lit("price_not_finite"))
        .when(value < 0)
        .then(pl.lit("price_negative"))
        .when(value * E4_PER_USD > _PRICE_E4_MAX)
        .then(pl.lit("price_too_large"))
    )
    if absent_is_fine:
        return problem
    # A price that rounds to nothing is as little a price as nothing.
    nothing = to_e4(value) == 0
    return problem.when(value.is_null()).then(pl.lit("price_missing")).when(nothing).then(pl.lit("price_zero"))


def size_problem(size: Number, needed: pl.Expr) -> pl.Expr:
    """What is wrong with a size; null where nothing is. `needed`: whether a missing one is wrong."""
    value = size.value
    return (
        pl.when(size.is_unreadable)
        .then(pl.lit("size_unreadable"))
        .when(value.is_null() & needed)
        .then(pl.lit("size_missing"))
        .when(value.is_not_null() & ~value.is_finite())
        .then(pl.lit("size_not_finite"))
        .when(value < 0)
        .then(pl.lit("size_negative"))
        .when(value > _SIZE_MAX)
        .then(pl.lit("size_too_large"))
    )


def read_rows(source: SourceFile, reading: Reading) -> pl.LazyFrame:
    """The rows of a file as plain columns.

    Returns:
        `row` (1 is the first), `ts_event_ns`, `ts_recv_ns`, `symbol`, `problem` (a key of `PROBLEMS` or
        null), `is_finer` (a price was rounded), `is_fraction` (a size was cut to a whole number) and the
        columns of the role; prices in 1/10000 USD, an absent side of a quote is 0 and 0.
    """
    columns, problems, rounded = _role_columns(source, reading)
    event, recv, time_problems = _times(source, reading)
    symbol = pl.lit(None, pl.String)
    if source.has("symbol"):
        symbol = text(source, "symbol")
        if source.role.is_option:
            # Padded symbols have blanks after the root, some vendors write `O:` before it.
            symbol = symbol.str.replace_all(r"^O:|\s+", "")
        problems.append(pl.when(symbol == "").then(pl.lit("symbol_missing")))
    finer = pl.any_horizontal([is_finer(value) for value in rounded["price"]] or [pl.lit(value=False)])
    fraction = pl.any_horizontal(
        [(value != value.floor()).fill_null(value=False) for value in rounded["size"]] or [pl.lit(value=False)]
    )
    return source.frame.select(
        pl.col("_row").cast(pl.Int64).alias("row"),
        event.alias("ts_event_ns"),
        recv.alias("ts_recv_ns"),
        symbol.alias("symbol"),
        pl.coalesce(*time_problems, *problems).alias("problem"),
        finer.alias("is_finer"),
        fraction.alias("is_fraction"),
        *(expression.alias(name) for name, expression in columns.items()),
    )


def _times(source: SourceFile, reading: Reading) -> tuple[pl.Expr, pl.Expr, list[pl.Expr]]:
    """Event time, receive time and what is wrong with them."""
    if not source.has("ts"):
        # Open interest without a time was known before the session.
        return pl.lit(0, pl.Int64), pl.lit(0, pl.Int64), []
    ts = time_ns(source, "ts")
    problems: list[pl.Expr] = [pl.when(ts.is_null()).then(pl.lit("ts_missing"))]
    recv = ts + reading.recv_delay_ns if reading.recv_delay_ns else ts
    if source.has("ts_recv"):
        recv = time_ns(source, "ts_recv")
        problems.append(pl.when(recv.is_null()).then(pl.lit("ts_recv_missing")))
    is_bar = reading.profile is Profile.BARS and source.role is not Role.OPEN_INTEREST
    if is_bar and source.has("bar_start"):
        problems.append(pl.when(ts <= time_ns(source, "bar_start")).then(pl.lit("bar_end_not_after_start")))
    # A bar tells of the time before its end: the one that ends at the open is not of the session.
    return (ts - 1 if is_bar else ts), recv, problems


_Parts = tuple[dict[str, pl.Expr], list[pl.Expr], dict[str, list[pl.Expr]]]
"""Columns, what is wrong with them, and the raw values whose rounding is counted."""


def _role_columns(source: SourceFile, reading: Reading) -> _Parts:
    if source.role in (Role.TRADES, Role.OPTION_TRADES):
        parts = _print_columns(source)
    elif source.role is Role.OPEN_INTEREST:
        parts = _open_interest_columns(source)
    else:
        lot = reading.quote_lot if source.role is Role.QUOTES else 1
        parts = _book_columns(source, lot)
        if source.role is Role.CHAIN:
            parts = (parts[0] | _chain_columns(source), parts[1], parts[2])
    columns, problems, rounded = parts
    if source.has("multiplier"):
        multiplier = number(source, "multiplier").value
        problems.append(pl.when(multiplier != 100).then(pl.lit("adjusted_deliverable")))
    return columns, problems, rounded


def _print_columns(source: SourceFile) -> _Parts:
    price, size = number(source, "price"), number(source, "size")
    trade_id = number(source, "trade_id").value
    if source.has("trade_id") and source.schema[source.columns["trade_id"].name].is_integer():
        trade_id = pl.col(source.columns["trade_id"].name)
    columns = {
        "price_e4": to_e4(price.value),
        "size": size.value.floor().cast(pl.Int64, strict=False),
        "raw_conditions": text(source, "conditions"),
        "raw_correction": text(source, "correction"),
        "raw_exchange": text(source, "exchange"),
        "trade_id": trade_id.cast(pl.Int64, strict=False).fill_null(0),
    }
    problems = [price_problem(price, absent_is_fine=False), size_problem(size, pl.lit(value=True))]
    return columns, problems, {"price": [price.value], "size": [size.value]}


def _book_columns(source: SourceFile, lot: int) -> _Parts:
    columns: dict[str, pl.Expr] = {}
    problems: list[pl.Expr] = []
    prices, sizes = [], []
    for side in ("bid", "ask"):
        price, told = number(source, side), number(source, f"{side}_size")
        size = Number(told.value * lot if lot > 1 else told.value, told.is_unreadable)
        price_e4 = to_e4(price.value).fill_null(0)
        is_there = price_e4 > 0
        columns[f"{side}_e4"] = price_e4
        shown = size.value.floor().cast(pl.Int64, strict=False)
        columns[f"{side}_size"] = pl.when(is_there).then(shown).otherwise(0).fill_null(0)
        columns[f"raw_{side}_exchange"] = text(source, f"{side}_exchange")
        problems += [price_problem(price, absent_is_fine=True), size_problem(size, is_there)]
        prices.append(price.value)
        sizes.append(size.value)
    return columns, problems, {"price": prices, "size": sizes}


def _open_interest_columns(source: SourceFile) -> _Parts:
    value = number(source, "open_interest").value
    is_bad = value.is_null() | ~value.is_finite() | (value < 0)
    problem = pl.when(is_bad).then(pl.lit("open_interest_unreadable"))
    return {"open_interest": value.cast(pl.Int64, strict=False)}, [problem], {"price": [], "size": []}


def _chain_columns(source: SourceFile) -> dict[str, pl.Expr]:
    """What a snapshot says beside the quote; null where it says nothing that can be used."""

    def known(field: str) -> pl.Expr:
        value = number(source, field).value
        return pl.when(value.is_finite()).then(value)

    columns = {field: known(field) for field in ("iv", "delta", "gamma", "theta", "vega")}
    for field in ("volume", "open_interest"):
        value = known(field)
        columns[field] = pl.when(value >= 0).then(value).cast(pl.Int64, strict=False)
    for field in ("last", "spot", "underlying_bid", "underlying_ask"):
        value = known(field)
        columns[f"{field}_e4"] = to_e4(pl.when(value > 0).then(value))
    return columns
