"""Rows of a tape as people read them: symbols, dollars, clock times and words instead of codes.

Decides the plain columns of `tape head` and `tape export`. Leaves printing to the command line.

| plain column | from |
| --- | --- |
| `ts_recv`, `ts_event` | receive and event time, UTC; text with nanoseconds in CSV |
| `kind`, `symbol` | words |
| `price` | dollars of a trade or of a price-only row |
| `bid`, `ask`, `bid_size`, `ask_size`, `bid_exchange`, `ask_exchange` | a quote; an absent side is null |
| `size`, `exchange`, `trade_id` | a trade |
| `conditions` | raw conditions of a trade, reason of a halt, cause of a gap |
| `flags` | words with `|` between them |
| `channels` | what a gap made blind |
| `note` | kind of a cold row's note |
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from scalpcli.errors import DataError, UsageError
from scalpcli.model.row import (
    CHANNEL_NAMES,
    COLD,
    FLAG_NAMES,
    GAP,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.model.session import at_ns
from scalpcli.runtime.manifest import NOTES_FILE
from scalpcli.runtime.tape import BATCH_ROWS, READ_ERRORS, Tape, iter_notes, scan_rows
from scalpcli.runtime.tape_sink import first_line
from scalpcli.units import E4_PER_USD

_WORD_BREAK: Final = "|"
_ROW_GROUP_ROWS: Final = 131_072
_ISO: Final = "%Y-%m-%dT%H:%M:%S%.9fZ"
_TIMES: Final = ("ts_recv", "ts_event")
_IS_QUOTE: Final = pl.col("kind").is_in([STOCK_QUOTE, OPTION_QUOTE])
_IS_TRADE: Final = pl.col("kind").is_in([STOCK_TRADE, OPTION_TRADE])
_IS_PRICED: Final = pl.col("kind").is_in([STOCK_TRADE, OPTION_TRADE, PRICE_ONLY])
_HAS_BID: Final = _IS_QUOTE & (pl.col("price_e4") > 0)
_HAS_ASK: Final = _IS_QUOTE & (pl.col("ask_e4") > 0)


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which rows to show.

    Args:
        at: From this New York time on, like `10:31:05.250`; empty = from the first row.
        kinds: Names of kinds; none = all.
        symbols: Symbols of the underlying or of contracts; none = all.
    """

    at: str = ""
    kinds: Sequence[str] = ()
    symbols: Sequence[str] = ()


def _chosen_rows(tape: Tape, chosen: RowFilter) -> tuple[pl.LazyFrame, dict[str, pl.Expr]]:
    """The chosen rows as they are, and the plain columns over them.

    Raises:
        UsageError: a kind, symbol or time is unknown; the message names what there is.
        DataError: the notes or the flags cannot be read.
    """
    rows = scan_rows(tape.path)
    wanted = _conditions(tape, chosen)
    notes = [note.kind for note in iter_notes(tape.path / NOTES_FILE)] if tape.manifest.counts.get("cold") else []
    if notes:
        # The ordinal of a cold row counts all rows before it, also those that are not shown.
        rows = rows.with_columns((pl.col("kind") == COLD).cum_sum().alias("_note"))
    if wanted:
        rows = rows.filter(pl.all_horizontal(wanted))
    columns = {**_plain_columns(tape), "flags": _look_up("flags", _flag_words(tape)), "channels": _channels()}
    columns["note"] = pl.lit("")
    if notes:
        kinds = dict(enumerate(notes, start=1))
        columns["note"] = pl.when(pl.col("kind") == COLD).then(_look_up("_note", kinds)).otherwise(pl.lit(""))
    return rows, columns


def head_rows(tape: Tape, chosen: RowFilter, count: int) -> list[dict[str, Any]]:
    """The first `count` chosen rows as plain values; times as whole UTC nanoseconds.

    Raises:
        UsageError: a kind, symbol or time is unknown.
        DataError: the rows cannot be read.
    """
    rows, columns = _chosen_rows(tape, chosen)
    stamps = {name: pl.col(f"{name}_ns") for name in _TIMES}
    frame = rows.head(count).select(**{**columns, **stamps})
    found: pl.DataFrame = _read(tape, lambda: frame.collect(engine="streaming"))
    return found.to_dicts()


def export_rows(tape: Tape, chosen: RowFilter, target: Path, *, overwrite: bool = False) -> None:
    """Write the chosen rows to a CSV or Parquet file, by its name; it appears when it is complete.

    Raises:
        UsageError: the name ends otherwise, the file exists, or its folder does not.
        DataError: the rows cannot be read or the file not be written.
    """
    suffix = target.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise UsageError(f"`{target}` is neither CSV nor Parquet", hint="end its name with .csv or .parquet")
    if target.exists() and not overwrite:
        raise UsageError(f"`{target}` exists already", hint="name another file, or add `--overwrite`")
    if not target.parent.is_dir():
        raise UsageError(f"the folder of `{target}` does not exist", hint="make it first, or name another")
    rows, columns = _chosen_rows(tape, chosen)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent)
    os.close(descriptor)
    partial = Path(name)
    try:
        if suffix == ".csv":
            _read(tape, lambda: _write_csv(rows, columns, partial))
        else:
            _read(tape, lambda: _write_parquet(rows.select(**columns), partial))
        partial.chmod(0o644)
        partial.replace(target)
    finally:
        # Polars raises for Ctrl-C before Python's own handler has run; the second one may come just here.
        try:
            partial.unlink(missing_ok=True)
        except KeyboardInterrupt:
            partial.unlink(missing_ok=True)
            raise


def _write_csv(rows: pl.LazyFrame, columns: Mapping[str, pl.Expr], path: Path) -> None:
    # Polars' own CSV sink lets its queue of wide rows grow with the session: 0.85 GB at 20,000,000 rows.
    texts = {name: columns[name].dt.strftime(_ISO) for name in _TIMES}
    with path.open("wb") as file:
        file.write(",".join(columns).encode() + b"\n")
        for batch in rows.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True):
            batch.select(**{**columns, **texts}).write_csv(file, include_header=False)


def _write_parquet(frame: pl.LazyFrame, path: Path) -> None:
    frame.sink_parquet(path, compression="zstd", row_group_size=_ROW_GROUP_ROWS)


def _read(tape: Tape, run: Callable[[], Any]) -> Any:
    try:
        return run()
    except READ_ERRORS as error:
        raise DataError(
            f"rows cannot be read: {first_line(error)}",
            place=f"`{tape.path}`",
            hint=f"`scalpcli tape verify {tape.path}` tells what is damaged",
        ) from None


def _conditions(tape: Tape, chosen: RowFilter) -> list[pl.Expr]:
    wanted = []
    if chosen.at:
        wanted.append(pl.col("ts_recv_ns") >= at_ns(tape.session, chosen.at))
    if chosen.kinds:
        kinds = {name: kind for kind, name in KIND_NAMES.items()}
        wanted.append(pl.col("kind").is_in(_known(chosen.kinds, kinds, "kind")))
    if chosen.symbols:
        numbers = {instrument.symbol: instrument.instrument_id for instrument in tape.instruments}
        wanted.append(pl.col("instrument_id").is_in(_known(chosen.symbols, numbers, "symbol")))
        # Gaps and notes stand under the underlying's number but are not about it.
        wanted.append(~pl.col("kind").is_in([GAP, COLD]))
    return wanted


def _known(asked: Sequence[str], known: Mapping[str, int], what: str) -> list[int]:
    import difflib  # noqa: PLC0415 - only a mistyped name needs it

    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3) or list(known)[:8]
            raise UsageError(f"no {what} `{name}` on this tape", hint=f"nearest: {', '.join(near)}")
    return [known[name] for name in asked]


def _plain_columns(tape: Tape) -> dict[str, pl.Expr]:
    symbols = {instrument.instrument_id: instrument.symbol for instrument in tape.instruments}
    conditions = dict(enumerate(tape.manifest.conditions))
    exchanges = dict(enumerate(tape.manifest.exchanges))
    return {
        **{name: pl.from_epoch(f"{name}_ns", time_unit="ns").dt.replace_time_zone("UTC") for name in _TIMES},
        "kind": _look_up("kind", KIND_NAMES),
        "symbol": pl.when(pl.col("kind") < GAP).then(_look_up("instrument_id", symbols)),
        "price": pl.when(_IS_PRICED).then(_usd("price_e4")),
        "bid": pl.when(_HAS_BID).then(_usd("price_e4")),
        "ask": pl.when(_HAS_ASK).then(_usd("ask_e4")),
        "size": pl.when(_IS_TRADE).then("size"),
        "bid_size": pl.when(_HAS_BID).then("size"),
        "ask_size": pl.when(_HAS_ASK).then("ask_size"),
        "exchange": pl.when(_IS_TRADE).then(_look_up("exchange", exchanges)),
        "bid_exchange": pl.when(_HAS_BID).then(_look_up("exchange", exchanges)),
        "ask_exchange": pl.when(_HAS_ASK).then(_look_up("ask_exchange", exchanges)),
        "conditions": _look_up("conditions", conditions),
        "trade_id": pl.when(_IS_TRADE).then("trade_id"),
    }


def _usd(column: str) -> pl.Expr:
    # Polars divides by a constant as it multiplies by its reciprocal: 400.0125 came out as 400.01250000000005.
    return pl.col(column).map_batches(
        lambda values: pl.Series(values.to_numpy() / E4_PER_USD), return_dtype=pl.Float64, is_elementwise=True
    )


def _look_up(numbers: str | pl.Expr, words: Mapping[int, str]) -> pl.Expr:
    """The words for the numbers of a column.

    `replace_strict` would hold the whole session in memory (4.4 GB at 20,000,000 rows): it does not stream.
    """
    table = pl.Series([words.get(number, "") for number in range(max(words) + 1)], dtype=pl.String)
    column = pl.col(numbers) if isinstance(numbers, str) else numbers
    return column.map_batches(
        lambda values: table.gather(values.cast(pl.UInt32)), return_dtype=pl.String, is_elementwise=True
    )


def _flag_words(tape: Tape) -> dict[int, str]:
    # The distinct flags of a session are few; words for them are looked up, not joined row by row.
    distinct = scan_rows(tape.path).select(pl.col("flags").unique())
    found = _read(tape, lambda: distinct.collect(engine="streaming")).to_series().to_list()
    return {flags: words_of(flags, FLAG_NAMES) for flags in found}


def words_of(bits: int, names: Mapping[int, str]) -> str:
    """The names of the bits that are set, with `|` between them."""
    return _WORD_BREAK.join(name for bit, name in names.items() if bits & bit)


def _channels() -> pl.Expr:
    every = {bits: words_of(bits, CHANNEL_NAMES) for bits in range(1, 2 * max(CHANNEL_NAMES))}
    channels = pl.when(pl.col("kind") == GAP).then("size").otherwise(0)
    return _look_up(channels, {0: "", **every})
