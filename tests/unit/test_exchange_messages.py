"""Rows as messages of Alpaca's streams, in bytes."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from websockets.frames import Frame
from websockets.streams import StreamReader

from scalpcli.exchange.messages import (
    Encoder,
    RowMessages,
    Wire,
    array_of,
    control,
    decode,
    frame_of,
    letters,
    served_kinds,
    status_fields,
)
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import (
    CANCELLED,
    COLD,
    CORRECTED,
    GAP,
    HALT_BEGIN,
    HALT_END,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    STATUS,
    STOCK_QUOTE,
    STOCK_TRADE,
)
from tests.tape_samples import ALL, CALL, columns_of, contract, one

INSTRUMENTS = (Instrument(0, "TSLA"), contract(1, CALL))
CONDITIONS = ("", "@FI", "@ F", "I", "LUDP", "T")
EXCHANGES = ("", "V", "Q")
EVENT_NS = 1_763_649_000_123_456_789


def message_of(kind: int, **values: Any) -> dict[str, Any]:
    """The message of one row."""
    row = one(kind, 0, ts_event_ns=EVENT_NS) | values
    return RowMessages(columns_of([row]), INSTRUMENTS, CONDITIONS, EXCHANGES).message(0)


def test_a_stock_trade():
    """Conditions come letter by letter; the tape's letter is C."""
    message = message_of(STOCK_TRADE, price_e4=4_001_234, size=7, conditions=1, exchange=1, trade_id=9, flags=ALL)

    assert message == {
        "T": "t", "S": "TSLA", "i": 9, "x": "V", "p": 400.1234, "s": 7, "c": ["@", "F", "I"], "z": "C", "t": EVENT_NS,
    }  # fmt: skip


def test_a_stock_quote_with_an_empty_side():
    """A price of 0 says that nobody bids."""
    message = message_of(STOCK_QUOTE, ask_e4=4_000_100, ask_size=300, ask_exchange=2)

    assert message == {
        "T": "q", "S": "TSLA", "bx": "", "bp": 0.0, "bs": 0, "ax": "Q", "ap": 400.01, "as": 300, "c": [], "z": "C",
        "t": EVENT_NS,
    }  # fmt: skip


def test_option_messages_have_text_for_conditions_and_no_id():
    """So does Alpaca's; a trade id of the tape does not cross the wire."""
    trade = message_of(OPTION_TRADE, instrument_id=1, price_e4=31_000, size=3, conditions=3, exchange=1, trade_id=5)
    quote = message_of(OPTION_QUOTE, instrument_id=1, price_e4=30_500, ask_e4=31_500, size=1, ask_size=2, exchange=1)

    assert trade == {"T": "t", "S": CALL, "p": 3.1, "s": 3, "x": "V", "c": "I", "t": EVENT_NS}
    assert quote == {
        "T": "q", "S": CALL, "bx": "V", "bp": 3.05, "bs": 1, "ax": "", "ap": 3.15, "as": 2, "c": "", "t": EVENT_NS,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "text", "fields"),
    [
        (HALT_BEGIN, 4, {"sc": "H", "rc": "LUDP"}),
        (HALT_END, 5, {"sc": "T", "rc": ""}),
        (HALT_END, 0, {"sc": "T", "rc": ""}),
        (0, 3, {"sc": "I", "rc": ""}),
    ],
)
def test_a_status_says_halt_by_its_code_and_why_by_its_reason(flags, text, fields):
    """The text of the row is the reason of a halt, and the code of everything else."""
    message = message_of(STATUS, flags=flags, conditions=text)

    assert message["T"] == "s"
    assert {name: message[name] for name in fields} == fields
    assert status_fields(flags, CONDITIONS[text]).items() <= message.items()


def test_corrections_and_cancels_are_messages_of_their_own():
    """Only where the row may move nothing: a print that was corrected later was a print when it came."""
    common = {"price_e4": 4_000_000, "size": 5, "conditions": 1, "exchange": 1, "trade_id": 8}
    correction = message_of(STOCK_TRADE, flags=CORRECTED, **common)
    cancel = message_of(STOCK_TRADE, flags=CANCELLED, **common)
    marked = message_of(STOCK_TRADE, flags=CORRECTED | ALL, **common)

    assert [message["T"] for message in (correction, cancel, marked)] == ["c", "x", "t"]
    assert (correction["oi"], correction["ci"], correction["cp"], correction["cs"]) == (8, 8, 400.0, 5)
    assert correction["cc"] == ["@", "F", "I"]
    assert (cancel["i"], cancel["p"], cancel["s"], cancel["a"]) == (8, 400.0, 5, "C")


@pytest.mark.parametrize(("text", "found"), [("", []), (" ", []), ("@FI", ["@", "F", "I"]), ("@ F", ["@", "F"])])
def test_letters_of_conditions(text, found):
    """Blanks are none."""
    assert letters(text) == found


def test_rows_that_no_stream_carries():
    """Gaps and cold rows are the recorder's own; a price without size has no message at Alpaca."""
    rows = columns_of([one(kind, 0) for kind in KIND_NAMES])

    carried = [kind for kind, is_served in zip(KIND_NAMES, served_kinds(rows["kind"]), strict=True) if is_served]

    assert sorted(set(KIND_NAMES) - set(carried)) == sorted((PRICE_ONLY, GAP, COLD))


@pytest.mark.parametrize("event_ns", [EVENT_NS, 1_763_649_000_000_000_000, 5, 1 << 62])
@pytest.mark.parametrize("shift_ns", [0, -5])
def test_times_keep_every_nanosecond_in_both_encodings(event_ns, shift_ns):
    """Timestamps of four, eight and twelve bytes, and nine decimals in text; a stepped clock moves them."""
    message = {"T": "q", "t": event_ns}

    packed = msgpack.unpackb(Encoder().body(Wire.MSGPACK, message, shift_ns))
    text = json.loads(Encoder().body(Wire.JSON, message, shift_ns))

    assert packed["t"].to_unix_nano() == event_ns + shift_ns
    assert text["t"].endswith(f".{(event_ns + shift_ns) % 10**9:09d}Z")


def test_the_example_of_alpacas_wire_comes_out_byte_for_byte():
    """An option quote of 2026-11-22 as it was seen on the wire, but for the width of its sizes."""
    wire = bytes.fromhex(
        "918aa154a171a153b354534c41323631313233433030343030303030a174d7ff246748246b02c76fa26278a143a26270cb40086666"
        "66666666a262730ca26178a141a26170cb4009333333333333a2617309a163a141"
    )
    message = {
        "T": "q", "S": "TSLA261123C00400000", "t": 1_795_344_239_152_687_113, "bx": "C", "bp": 3.05, "bs": 12, "ax": "A",
        "ap": 3.15, "as": 9, "c": "A",
    }  # fmt: skip

    body = Encoder().body(Wire.MSGPACK, message)

    assert array_of(Wire.MSGPACK, [body]) == wire


@pytest.mark.parametrize("count", [1, 15, 16, 70_000])
@pytest.mark.parametrize("wire", list(Wire))
def test_bodies_make_an_array_of_any_length(wire, count):
    """The three widths of msgpack's arrays, and JSON's."""
    body = Encoder().body(wire, {"T": "q", "t": EVENT_NS})

    assert len(decode(array_of(wire, [body] * count))) == count


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
@pytest.mark.parametrize("binary", [True, False])
def test_frames_are_what_a_client_parses(size, binary):
    """Read back by the library's own parser, at each width of the length."""
    reader = StreamReader()
    reader.feed_data(frame_of(b"x" * size, binary=binary))
    parsing = Frame.parse(reader.read_exact, mask=False)

    with pytest.raises(StopIteration) as done:
        next(parsing)

    frame = done.value.value
    assert (bytes(frame.data), frame.fin, frame.opcode) == (b"x" * size, True, 2 if binary else 1)


@pytest.mark.parametrize("data", [b"\xc1", "{", b"\xff\xfe", "", b""])
def test_what_is_neither_encoding_is_a_value_error(data):
    """A client's nonsense must not end the server's handler."""
    with pytest.raises(ValueError, match=r".*"):
        decode(data)


@pytest.mark.parametrize("wire", list(Wire))
def test_a_control_message_is_an_array_of_one(wire):
    """Also in binary JSON, which a client may send."""
    data = control(wire, {"T": "success"})

    assert decode(data) == [{"T": "success"}]
