"""Rows of another recorder as rows of one's own: other numbers, other stamps.

Decides nothing: which numbers and stamps they get is said by whoever takes them (`cli/live_tap.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.block import Block
from scalpcli.model.row import COLD, GAP, GAP_BEGIN, GAP_END, KIND_NAMES

Number = Callable[[int], int]


def renumbered(block: Block, instrument: Number, conditions: Number, exchange: Number) -> Block:
    """A block with other numbers; its names are left to whoever gives them.

    Args:
        block: The rows.
        instrument: Number of a contract -> the new one; rows of a contract with one below 0 are left out.
        conditions: Code of conditions -> the new one.
        exchange: Code of an exchange -> the new one.
    """
    columns = dict(block.columns)
    columns["instrument_id"] = _mapped(columns["instrument_id"], instrument)
    columns["conditions"] = _mapped(columns["conditions"], conditions)
    for name in ("exchange", "ask_exchange"):
        columns[name] = _mapped(columns[name], exchange)
    is_known = columns["instrument_id"] >= 0
    if not is_known.all():
        columns = {name: values[is_known] for name, values in columns.items()}
    return Block(columns, block.notes)


def stamped(block: Block, first_ns: int, last_ns: int) -> Block:
    """A block whose receive stamps are moved into a span, UTC nanoseconds; those inside stay."""
    return Block({**block.columns, "ts_recv_ns": np.clip(block.columns["ts_recv_ns"], first_ns, last_ns)}, block.notes)


def first_rows(block: Block, rows: int) -> Block:
    """The first rows of a block, with the notes that are theirs."""
    if block.rows <= rows:
        return block
    columns = {name: values[:rows] for name, values in block.columns.items()}
    return Block(columns, block.notes[: int((columns["kind"] == COLD).sum())])


def has_market_rows(block: Block) -> bool:
    """Whether there is more in it than notes."""
    return bool((block.columns["kind"] != COLD).any())


def rows_by_kind(block: Block) -> dict[str, int]:
    """Rows by the name of their kind."""
    kinds = np.bincount(block.columns["kind"], minlength=max(KIND_NAMES) + 1)
    return {name: int(kinds[kind]) for kind, name in KIND_NAMES.items() if kinds[kind]}


def gaps_after(block: Block, channels: int) -> int:
    """Channels that are blind after a block, as bits, where `channels` were before it."""
    columns: Mapping[str, NDArray[Any]] = block.columns
    for row in np.flatnonzero(columns["kind"] == GAP).tolist():
        bits, flags = int(columns["size"][row]), int(columns["flags"][row])
        if flags & GAP_BEGIN:
            channels |= bits
        if flags & GAP_END:
            channels &= ~bits
    return channels


def _mapped(values: NDArray[Any], to: Number) -> NDArray[Any]:
    known, places = np.unique(values, return_inverse=True)
    return np.array([to(int(value)) for value in known], np.int64)[places].astype(values.dtype)
