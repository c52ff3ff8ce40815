"""Tapes of a few rows, written by hand, over a session of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from scalpcli.model import row
from tests.oracle.algoseek import empty_columns

S = 1_000_000_000
MS = 1_000_000
OPEN, CLOSE = 1_000_000 * S, 1_023_400 * S
ALL = row.LAST | row.RANGE | row.VWAP | row.VOLUME


def tape(*rows: dict[str, Any]) -> dict[str, Any]:
    """Columns of a few rows; `at` is seconds since the open, stock trades of one share at 100.00 by default."""
    columns = empty_columns(len(rows))
    plain = {"kind": row.STOCK_TRADE, "price_e4": 1_000_000, "size": 1, "flags": ALL}
    for k, given_fields in enumerate(rows):
        fields = plain | given_fields
        received = OPEN + round(fields.pop("at") * S)
        fields = {"ts_recv_ns": received, "ts_event_ns": received} | fields
        for name, value in fields.items():
            columns[name][k] = value
    return columns


def seconds(*values: float) -> Any:
    """Times, seconds since the open, as nanoseconds."""
    return np.array([OPEN + round(value * S) for value in values], np.int64)
