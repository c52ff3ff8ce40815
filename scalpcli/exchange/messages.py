"""Messages as Alpaca's market-data streams write them: rows of a tape to bytes.

Decides which row becomes which message, its fields and its two encodings. Leaves who receives it to `streams.py`.

A frame carries an array of messages. A body here is one message without the array, so that one body serves
every subscriber and any number of bodies make a frame. Times are msgpack Timestamps (exact nanoseconds) or
RFC 3339 with nine decimals.

Source: Alpaca, real-time market data; extension -1 of the msgpack specification. Rows that no stream of Alpaca
carries (price only, gaps, cold rows) have no message.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import msgpack
import numpy as np
from numpy.typing import NDArray

from scalpcli.model.conditions import ELIGIBLE
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import (
    CANCELLED,
    CORRECTED,
    HALT_BEGIN,
    HALT_END,
    OPTION_QUOTE,
    OPTION_TRADE,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from scalpcli.units import E4_PER_USD, NS_PER_S

TAPE_LETTER: Final = "C"
"""Every underlying is served as a Nasdaq listing: a tape of ours does not keep the letter."""
_FIXARRAY_MAX: Final = 15
_ARRAY16_MAX: Final = 0xFFFF

Message = dict[str, Any]


class Wire(StrEnum):
    """How a connection's messages are written."""

    MSGPACK = "msgpack"
    JSON = "json"


class RowMessages:
    """The messages of one block of rows.

    Args:
        columns: The block, every column of `COLUMNS`.
        instruments: The tape's; `instruments[i].instrument_id == i`.
        conditions: Texts of condition codes, as the manifest has them.
        exchanges: Texts of exchange codes.
    """

    def __init__(
        self,
        columns: Mapping[str, NDArray[Any]],
        instruments: Sequence[Instrument],
        conditions: Sequence[str],
        exchanges: Sequence[str],
    ) -> None:
        self._symbols = [instrument.symbol for instrument in instruments]
        self._texts, self._exchanges = conditions, exchanges
        self._kind: list[int] = columns["kind"].tolist()
        self._instrument: list[int] = columns["instrument_id"].tolist()
        self._event_ns: list[int] = columns["ts_event_ns"].tolist()
        # Divided at once: the same quotient as `e4_to_usd`, at a hundredth of its time.
        self._price: list[float] = (columns["price_e4"] / E4_PER_USD).tolist()
        self._ask: list[float] = (columns["ask_e4"] / E4_PER_USD).tolist()
        self._size: list[int] = columns["size"].tolist()
        self._ask_size: list[int] = columns["ask_size"].tolist()
        self._flags: list[int] = columns["flags"].tolist()
        self._condition: list[int] = columns["conditions"].tolist()
        self._bid_exchange: list[int] = columns["exchange"].tolist()
        self._ask_exchange: list[int] = columns["ask_exchange"].tolist()
        self._trade_id: list[int] = columns["trade_id"].tolist()

    def message(self, row: int) -> Message:
        """The message of a row of the block, `t` in UTC nanoseconds.

        Args:
            row: Of a kind in `SERVED_KINDS`.
        """
        kind = self._kind[row]
        text = self._texts[self._condition[row]]
        body: Message = {"T": "q", "S": self._symbols[self._instrument[row]]}
        if kind in (STOCK_QUOTE, OPTION_QUOTE):
            body |= {
                "bx": self._exchanges[self._bid_exchange[row]],
                "bp": self._price[row],
                "bs": self._size[row],
                "ax": self._exchanges[self._ask_exchange[row]],
                "ap": self._ask[row],
                "as": self._ask_size[row],
            }
        elif kind == STOCK_TRADE:
            body |= self._stock_trade(row, text)
        elif kind == OPTION_TRADE:
            body |= {"T": "t", "p": self._price[row], "s": self._size[row]}
            body["x"] = self._exchanges[self._bid_exchange[row]]
        else:
            body |= status_fields(self._flags[row], text)
        if kind in (OPTION_QUOTE, OPTION_TRADE):
            body["c"] = text
        else:
            if kind == STOCK_QUOTE:
                body["c"] = letters(text)
            body["z"] = TAPE_LETTER
        body["t"] = self._event_ns[row]
        return body

    def _stock_trade(self, row: int, text: str) -> Message:
        trade_id, price, size = self._trade_id[row], self._price[row], self._size[row]
        exchange, flags = self._exchanges[self._bid_exchange[row]], self._flags[row]
        conditions = letters(text)
        # A print with rights is one of its own: marked, because it was corrected later or corrects the official close.
        if flags & CANCELLED and not flags & ELIGIBLE:
            return {"T": "x", "i": trade_id, "x": exchange, "p": price, "s": size, "a": "C"}
        if flags & CORRECTED and not flags & ELIGIBLE:
            # What the print was before stands on the tape in an earlier row, if at all; a client moves by the new.
            before = {"oi": trade_id, "op": price, "os": size, "oc": conditions}
            return {"T": "c", "x": exchange, **before, "ci": trade_id, "cp": price, "cs": size, "cc": conditions}
        return {"T": "t", "i": trade_id, "x": exchange, "p": price, "s": size, "c": conditions}


SERVED_KINDS: Final = frozenset({STOCK_TRADE, STOCK_QUOTE, OPTION_TRADE, OPTION_QUOTE, STATUS})
"""Kinds of rows that one of Alpaca's streams carries."""


def status_fields(flags: int, text: str) -> Message:
    """Fields of a trading status whose row has `flags` and `text`."""
    if flags & HALT_BEGIN:
        return {"T": "s", "sc": "H", "sm": "Trading Halt", "rc": text, "rm": ""}
    code = text or ("T" if flags & HALT_END else "")
    return {"T": "s", "sc": code, "sm": "Trading Resumption" if flags & HALT_END else "", "rc": "", "rm": ""}


def letters(text: str) -> list[str]:
    """Condition letters of a text: `@FI` has three; blanks and commas between them are none."""
    return [letter for letter in text if letter not in " ,"]


class Encoder:
    """Writes messages; one for all connections, because nothing runs beside the loop it lives in."""

    def __init__(self) -> None:
        self._packer = msgpack.Packer()
        self._second, self._prefix = -1, ""

    def body(self, wire: Wire, message: Message, shift_ns: int = 0) -> bytes:
        """One data message; its `t` is moved by `shift_ns`, what a stepped clock at the exchange does."""
        seconds, nanoseconds = divmod(message["t"] + shift_ns, NS_PER_S)
        if wire is Wire.MSGPACK:
            packed: bytes = self._packer.pack({**message, "t": msgpack.Timestamp(seconds, nanoseconds)})
            return packed
        return _json({**message, "t": self._rfc3339(seconds, nanoseconds)})

    def _rfc3339(self, seconds: int, nanoseconds: int) -> str:
        if seconds != self._second:
            self._second = seconds
            self._prefix = f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}"
        return f"{self._prefix}.{nanoseconds:09d}Z"


def control(wire: Wire, *messages: Message) -> bytes:
    """An array of control messages, which carry no time."""
    if wire is Wire.JSON:
        return _json(list(messages))
    packed: bytes = msgpack.packb(list(messages))
    return packed


def array_of(wire: Wire, bodies: Sequence[bytes]) -> bytes:
    """The array of some bodies: what one frame carries."""
    if wire is Wire.JSON:
        return b"[" + b",".join(bodies) + b"]"
    count = len(bodies)
    if count <= _FIXARRAY_MAX:
        return bytes((0x90 | count,)) + b"".join(bodies)
    if count > _ARRAY16_MAX:
        return b"\xdd" + count.to_bytes(4, "big") + b"".join(bodies)
    return b"\xdc" + count.to_bytes(2, "big") + b"".join(bodies)


def frame_of(payload: bytes, *, binary: bool) -> bytes:
    """A whole frame from server to client: unmasked, final, uncompressed (RFC 6455, section 5.2)."""
    first, size = 0x82 if binary else 0x81, len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65_536:
        return bytes((first, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first, 127)) + size.to_bytes(8, "big") + payload


def decode(data: str | bytes) -> Any:
    """What a client sent: JSON in text, msgpack or JSON in binary.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(data, bytes):
        try:
            return msgpack.unpackb(data)
        except (msgpack.UnpackException, msgpack.ExtraData, ValueError):
            return json.loads(data)
    return json.loads(data)


def served_kinds(kinds: NDArray[Any]) -> NDArray[Any]:
    """Which rows have a message."""
    return np.isin(kinds, list(SERVED_KINDS))


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
