"""The bytes of a recording in progress: frames, packed columns, names.

Decides how rows lie in a segment. A frame is a header of `HEADER_BYTES` and a zstandard-compressed payload, each
with a CRC-32 of its own, so that a reader trusts a header (how long, how many rows, the how-manieth) even where
the payload is damaged. Leaves writing to `segment_log.py` and reading to `segment_read.py`.

Header, little-endian: magic (4 bytes), kind (1), version (1), process (2, the how-manieth that wrote into the
recording), payload bytes (4), rows (4), rows of the recording before it (8), `ts_recv_ns` of its last row (8),
CRC-32 of the payload (4), CRC-32 of the 36 bytes before (4).
"""

from __future__ import annotations

import datetime as dt
import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument, TickRule
from scalpcli.model.row import COLUMNS

MAGIC: Final = b"\xabSCL"
VERSION: Final = 1
"""Version of this layout; a reader refuses a newer one."""

BEGIN: Final = 1
"""First frame of each segment: JSON with `header`, settings and all names known so far."""
NAMES: Final = 2
"""Instruments and texts of codes, before and again after the first rows that use them: one hit spares a copy."""
ROWS: Final = 3
"""Rows and the notes of their cold rows: both are there or neither."""
END: Final = 4
"""JSON with what the recorder counted; it stopped in order."""
_KINDS: Final = (BEGIN, NAMES, ROWS, END)

_HEADER: Final = struct.Struct("<4sBBHIIQqI")
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEADER.size + _CRC.size
FRAME_ROWS_MAX: Final = 16_384
"""Rows of one frame at most; larger blocks become several."""

_COLUMN_HEAD: Final = struct.Struct("<" + "Bq" * len(COLUMNS) + "qI")
_WIDTHS: Final = {0: None, 1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4"), 8: np.dtype("<u8")}
_WRAP: Final = (1 << 64) - 1


class FrameHeader(NamedTuple):
    """What stands before a payload; see the module's head."""

    kind: int
    version: int
    process: int
    length: int
    rows: int
    first_row: int
    last_ns: int
    crc32: int


def pack_frame(kind: int, payload: bytes, process: int, *, rows: int = 0, first_row: int, last_ns: int) -> bytes:
    """A frame over a compressed payload."""
    head = _HEADER.pack(MAGIC, kind, VERSION, process, len(payload), rows, first_row, last_ns, zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head)) + payload


def unpack_header(data: bytes) -> FrameHeader | None:
    """The header at the start of `data`, or nothing where there is none, or a damaged one."""
    if len(data) < HEADER_BYTES or not data.startswith(MAGIC):
        return None
    head = data[: _HEADER.size]
    if _CRC.unpack_from(data, _HEADER.size)[0] != zlib.crc32(head):
        return None
    header = FrameHeader(*_HEADER.unpack(head)[1:])
    return header if header.kind in _KINDS or header.version > VERSION else None


def pack_rows(columns: Mapping[str, NDArray[Any]], notes: Sequence[tuple[str, Mapping[str, Any]]]) -> bytes:
    """Rows as bytes before compression: each column less its least value, in as few bytes as its range needs.

    Receive times are kept as steps and event times as what they lie behind, so that both are small.

    Args:
        columns: Every column of `COLUMNS`, at least one row, of the tape's types.
        notes: Kind and body of the cold rows among them.
    """
    recv_ns = columns["ts_recv_ns"]
    steps = np.zeros_like(recv_ns)
    np.subtract(recv_ns[1:], recv_ns[:-1], out=steps[1:])
    head: list[int] = []
    body: list[bytes] = []
    for name in COLUMNS:
        values = columns[name]
        if name == "ts_recv_ns":
            values = steps
        elif name == "ts_event_ns":
            values = recv_ns - values
        least, most = int(values.min()), int(values.max())
        width = _width(most - least)
        head += (width, least)
        if width:
            moved = values.astype(np.int64).view(np.uint64) - np.uint64(least & _WRAP)
            body.append(moved.astype(_WIDTHS[width]).tobytes())
    text = json.dumps(list(notes), separators=(",", ":"), ensure_ascii=False).encode() if notes else b""
    return b"".join([_COLUMN_HEAD.pack(*head, int(recv_ns[0]), len(text)), *body, text])


def _width(span: int) -> int:
    if span == 0:
        return 0
    return next(width for width in (1, 2, 4, 8) if span < 1 << (8 * width))


def unpack_rows(data: bytes, rows: int) -> tuple[dict[str, NDArray[Any]], list[tuple[str, dict[str, Any]]]]:
    """The columns and notes that `pack_rows` was given.

    Raises:
        ValueError: the bytes are not such rows; `struct.error` likewise.
    """
    *head, first_ns, text_bytes = _COLUMN_HEAD.unpack_from(data)
    at = _COLUMN_HEAD.size
    columns: dict[str, NDArray[Any]] = {}
    for number, (name, dtype) in enumerate(COLUMNS.items()):
        width, least = head[2 * number], head[2 * number + 1]
        if width:
            moved = np.frombuffer(data, _WIDTHS[width], rows, at).astype(np.uint64) + np.uint64(least & _WRAP)
            values = moved.view(np.int64)
            at += width * rows
        else:
            values = np.full(rows, least, np.int64)
        if name == "ts_recv_ns":
            values = np.cumsum(values) + first_ns
        elif name == "ts_event_ns":
            values = columns["ts_recv_ns"] - values
        columns[name] = values.astype(dtype, copy=False)
    if at + text_bytes != len(data):
        raise ValueError(f"{len(data)} bytes where {at + text_bytes} belong")
    notes = [(kind, body) for kind, body in json.loads(data[at:])] if text_bytes else []
    return columns, notes


@dataclass(slots=True)
class Names:
    """What numbers in rows stand for.

    Attributes:
        instruments: Number -> contract; the underlying, 0, is not among them.
        conditions: Code -> text of conditions, from 1.
        exchanges: Code -> text of an exchange, from 1.
    """

    instruments: dict[int, Instrument] = field(default_factory=dict)
    conditions: dict[int, str] = field(default_factory=dict)
    exchanges: dict[int, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.instruments or self.conditions or self.exchanges)

    def new_of(self, block: Block, place: str) -> Names:
        """The names that a block brings, numbered on from these.

        Raises:
            DataError: a contract's number is not the next one.
        """
        new = Names()
        for number, instrument in enumerate(block.instruments, 1 + len(self.instruments)):
            if instrument.instrument_id != number:
                raise DataError(
                    f"`{instrument.symbol}` has number {instrument.instrument_id}; the next one is {number}",
                    place=place,
                    hint="number contracts from 1 without holes; after a restart go on where the recording ends",
                )
            new.instruments[number] = instrument
        new.conditions.update(enumerate(block.conditions, 1 + len(self.conditions)))
        new.exchanges.update(enumerate(block.exchanges, 1 + len(self.exchanges)))
        return new

    def update(self, other: Names) -> None:
        """Take in names of another place of the same recording."""
        self.instruments.update(other.instruments)
        self.conditions.update(other.conditions)
        self.exchanges.update(other.exchanges)

    def to_plain(self) -> dict[str, Any]:
        """The names as JSON can write them."""
        return {
            "instruments": [_plain_instrument(instrument) for instrument in self.instruments.values()],
            "conditions": list(self.conditions.items()),
            "exchanges": list(self.exchanges.items()),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Names:
        """The names that `to_plain` wrote."""
        instruments = [_instrument(values) for values in plain["instruments"]]
        return cls(
            {instrument.instrument_id: instrument for instrument in instruments},
            dict(plain["conditions"]),
            dict(plain["exchanges"]),
        )


def _plain_instrument(instrument: Instrument) -> list[Any]:
    return [
        instrument.instrument_id,
        instrument.symbol,
        instrument.expiry and instrument.expiry.isoformat(),
        instrument.strike_e4,
        instrument.right,
        instrument.multiplier,
        instrument.tick_rule.value,
        instrument.open_interest,
        instrument.open_interest_date and instrument.open_interest_date.isoformat(),
    ]


def _instrument(values: Sequence[Any]) -> Instrument:
    number, symbol, expiry, strike_e4, right, multiplier, tick_rule, open_interest, interest_date = values
    return Instrument(
        number,
        symbol,
        expiry and dt.date.fromisoformat(expiry),
        strike_e4,
        right,
        multiplier,
        TickRule(tick_rule),
        open_interest,
        interest_date and dt.date.fromisoformat(interest_date),
    )


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where an existing recording ends, so that another process goes on with it.

    Attributes:
        header: Header of its latest segment.
        recording_id: What tells this recording from every other.
        instruments: Contracts, number 1 first; one whose name was damaged has no expiry and a symbol `lost-N`.
        conditions: Texts of condition codes, code 1 first; a damaged one is `lost-N`.
        exchanges: Texts of exchange codes, likewise.
        last_ts_recv_ns: Receive time of its last row; 0 where it has none. No later row may lie before it.
        rows: Rows it was given, lost ones among them.
        processes: Processes that wrote into it so far.
        tail: Its last readable rows, column by column: what was seen of each channel last.
    """

    header: dict[str, Any]
    recording_id: str
    instruments: tuple[Instrument, ...]
    conditions: tuple[str, ...]
    exchanges: tuple[str, ...]
    last_ts_recv_ns: int
    rows: int
    processes: int
    tail: dict[str, NDArray[Any]]

    @property
    def is_tail_whole(self) -> bool:
        """Whether the tail is all there is."""
        return len(self.tail["kind"]) == self.rows

    def names(self) -> Names:
        """The names to go on numbering from."""
        return Names(
            {instrument.instrument_id: instrument for instrument in self.instruments},
            dict(enumerate(self.conditions, 1)),
            dict(enumerate(self.exchanges, 1)),
        )
