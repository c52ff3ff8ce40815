"""What a recording is compared with: the session that was served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalpcli.model.note import PREVIOUS_LEVELS
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLD, COLUMNS, GAP
from scalpcli.runtime.context import head_rows
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_writer import TapeWriter

IDENTITY = [
    "kind", "symbol", "ts_event_ns", "price_e4", "ask_e4", "size", "ask_size", "flags", "conditions_text",
    "exchange_text", "ask_exchange_text", "trade_id",
]  # fmt: skip
"""Every column of a row but its receive stamp, codes as their texts."""


def served_rows(tape: Path, *, from_ns: int = 0, until_ns: int = 2**62) -> pl.DataFrame:
    """A tape's rows but its own gaps and notes, in the tape's order, codes as their texts."""
    opened = Tape.open(tape)
    manifest = opened.manifest
    symbols = pl.Series([one.symbol for one in opened.instruments])
    conditions, exchanges = pl.Series(manifest.conditions), pl.Series(manifest.exchanges)
    rows = pl.read_parquet(tape / "rows.parquet").with_row_index("at")
    rows = rows.filter(
        ~pl.col("kind").is_in([GAP, COLD]), pl.col("ts_recv_ns") >= from_ns, pl.col("ts_recv_ns") <= until_ns
    )
    return rows.with_columns(
        symbol=symbols.gather(rows["instrument_id"].cast(pl.UInt32)),
        conditions_text=conditions.gather(rows["conditions"].cast(pl.UInt32)),
        exchange_text=exchanges.gather(rows["exchange"].cast(pl.UInt32)),
        ask_exchange_text=exchanges.gather(rows["ask_exchange"].cast(pl.UInt32)),
    )


def numbered(rows: pl.DataFrame) -> pl.DataFrame:
    """Equal rows told apart by how many came before."""
    return rows.with_columns(nth=pl.int_range(pl.len()).over(IDENTITY))


def differences(served: pl.DataFrame, recorded: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Served rows that were not recorded, and recorded ones that were not served, each as often as it is so."""
    one, other = numbered(served), numbered(recorded)
    key = [*IDENTITY, "nth"]
    return one.join(other, on=key, how="anti"), other.join(one, on=key, how="anti")


def levels_of(tape: Path) -> dict[str, Any] | None:
    """The previous session's levels a tape begins with."""
    lines = [json.loads(line) for line in (tape / "notes.jsonl").read_text().splitlines()]
    return next((line["body"] for line in lines if line["kind"] == PREVIOUS_LEVELS), None)


def with_served_stamps(tape: Path, served: pl.DataFrame, out: Path) -> Path:
    """A copy of a tape with the stamps and in the order of the rows that were served, and its head's levels."""
    opened = Tape.open(tape)
    stamps = numbered(served).select(*IDENTITY, "nth", "at", served_ns="ts_recv_ns")
    rows = numbered(served_rows(tape)).drop("at").join(stamps, on=[*IDENTITY, "nth"], how="inner").sort("at")
    columns = {name: rows[name].to_numpy().astype(kind) for name, kind in COLUMNS.items()}
    columns["ts_recv_ns"] = rows["served_ns"].to_numpy().astype(np.int64)
    levels = levels_of(tape)
    source: dict[str, Any] = {}
    with TapeWriter(
        out, opened.manifest.symbol, opened.session.date, params=TapeParams(), synthetic=True, feeds={}, source=source
    ) as writer:
        writer.add_instruments(opened.instruments[1:])
        for text in opened.manifest.conditions[1:]:
            writer.condition_code(text)
        for text in opened.manifest.exchanges[1:]:
            writer.exchange_code(text)
        if levels is not None:
            writer.append(head_rows(1, int(columns["ts_recv_ns"][0])), [(PREVIOUS_LEVELS, levels)])
        writer.append(columns)
        return writer.seal()
