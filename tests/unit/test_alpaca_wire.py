"""Wire to rows: fields, duplicates, garbage."""

from __future__ import annotations

import itertools
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_messages import CALL, NOW_NS, aggregator, option_quote, option_trade, pack, quote, stamp, trade

from scalpcli.adapters.alpaca_wire import OptionDecoder, StockDecoder, timestamp_ns
from scalpcli.adapters.symbol_router import SymbolRouter
from scalpcli.model.row import (
    CANCELLED,
    CORRECTED,
    HALT_BEGIN,
    HALT_END,
    LAST,
    OPTION_QUOTE,
    OPTION_TRADE,
    RANGE,
    STOCK_QUOTE,
    STOCK_TRADE,
    VOLUME,
    VWAP,
)
from scalpcli.runtime.tape_rules import Limits, faults_of_every_rule

ELIGIBLE = LAST | RANGE | VWAP | VOLUME


def rows_of(decoder_class: type[Any], *frames: bytes) -> tuple[list[tuple[int, ...]], Any]:
    merged = aggregator()
    decoder = decoder_class(SymbolRouter(merged))
    for frame in frames:
        merged.stamp()
        decoder.decode(frame)
    block = merged.drain()
    columns = [block.columns[name].tolist() for name in block.columns]
    fault = faults_of_every_rule(
        block.columns, 0, Limits(3, 1 + len(block.conditions), 1 + len(block.exchanges), NOW_NS)
    )
    assert not fault
    return list(zip(*columns, strict=True)), (merged, decoder, block)


def test_stock_trade_fills_every_column():
    """A print's price is 1/10000 USD, its letters are one text, its id is kept."""
    rows, (_, _, block) = rows_of(StockDecoder, pack(trade(7, c=["@", "F", "I"])))

    recv, event, kind, instrument, price, ask, size, ask_size, flags, conditions, exchange, ask_exchange, trade_id = (
        rows[0]
    )
    assert (recv, event, kind, instrument) == (NOW_NS + 1_000_000, NOW_NS + 7, STOCK_TRADE, 0)
    assert (price, ask, size, ask_size, trade_id) == (4_000_100, 0, 100, 0, 7)
    assert (block.conditions[conditions - 1], block.exchanges[exchange - 1], ask_exchange) == ("@FI", "V", 0)
    assert flags == VWAP | VOLUME | 16


def test_stock_quote_fills_every_column():
    """A quote has the bid in `price_e4`, the ask beside it, an exchange for each side."""
    rows, (_, _, block) = rows_of(StockDecoder, pack(quote(1)))

    assert rows[0][2:9] == (STOCK_QUOTE, 0, 4_000_000, 4_000_200, 100, 200, 0)
    assert [block.exchanges[code - 1] for code in rows[0][10:12]] == ["V", "Q"]


def test_option_messages_name_their_contract():
    """Contracts are numbered in the order they were added."""
    rows, _ = rows_of(OptionDecoder, pack(option_trade(1), option_quote(2, S="TSLA261120P00400000")))

    assert [row[2:8] for row in rows] == [(OPTION_TRADE, 1, 31_000, 0, 2, 0), (OPTION_QUOTE, 2, 30_500, 31_500, 12, 9)]


@pytest.mark.parametrize(
    ("code", "reason", "flags", "text"),
    [("H", "LUDP", HALT_BEGIN, "LUDP"), ("P", "", HALT_BEGIN, "P"), ("T", "", HALT_END, "T"), ("Q", "LUDP", 0, "")],
)
def test_status_halts_or_resumes(code, reason, flags, text):
    """The text of a halt is its reason; a resumption of quotes alone is no row."""
    message = {"T": "s", "S": "TSLA", "sc": code, "sm": "", "rc": reason, "rm": "", "t": stamp(NOW_NS), "z": "C"}

    rows, (merged, _, block) = rows_of(StockDecoder, pack(message))

    assert [(row[8], block.conditions[row[9] - 1]) for row in rows] == ([(flags, text)] if flags else [])
    assert merged.is_halted == (flags == HALT_BEGIN)


def test_corrections_and_cancels_move_nothing():
    """A correction names the original print and carries the right price; neither has any right."""
    correction = {
        "T": "c",
        "S": "TSLA",
        "x": "V",
        "oi": 5,
        "op": 1.0,
        "os": 1,
        "oc": ["@"],
        "ci": 6,
        "cp": 2.5,
        "cs": 3,
    }
    cancel = {"T": "x", "S": "TSLA", "i": 5, "x": "V", "p": 2.0, "s": 1, "a": "C", "z": "C", "t": stamp(NOW_NS)}

    rows, _ = rows_of(StockDecoder, pack(correction | {"cc": ["@"], "z": "C", "t": stamp(NOW_NS)}, cancel))

    assert [(row[4], row[6], row[8], row[12]) for row in rows] == [(25_000, 3, CORRECTED, 5), (20_000, 1, CANCELLED, 5)]


def test_timestamps_of_all_three_lengths():
    """msgpack writes 4, 8 or 12 bytes, whichever is enough."""
    moments = [1_795_000_000_000_000_000, NOW_NS + 123_456_789, (1 << 34) * 1_000_000_000 + 5]

    found = []
    for moment in moments:
        extension = msgpack.unpackb(msgpack.packb(stamp(moment)), timestamp=0)
        found.append(timestamp_ns(_Extension(extension.to_bytes())))

    assert found == moments


class _Extension:
    code = -1

    def __init__(self, data: bytes) -> None:
        self.data = data


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        (trade(1, p=0.0), "stock_trade: price outside its limits"),
        (trade(1, p=-1.0), "stock_trade: price outside its limits"),
        (trade(1, p=1e300), "stock_trade: price outside its limits"),
        (trade(1, p=float("nan")), "stock_trade: number outside its limits"),
        (trade(1, p=float("inf")), "stock_trade: number outside its limits"),
        (trade(1, s=-5), "stock_trade: negative size"),
        (trade(1, s=1e12), "stock_trade: number outside its limits"),
        (trade(1, i=2**63), "stock_trade: number outside its limits"),
        (trade(1, x="V" * 100), "stock_trade: a text of exchanges is too long"),
        (trade(1, t=msgpack.Timestamp(0)), "stock_trade: time far from now"),
        (trade(1, t=msgpack.ExtType(5, b"12345678")), "stock_trade: time far from now"),
        (quote(1, bp=0.0), "stock_quote: size on an empty side"),
        (quote(1, ap=float("nan")), "stock_quote: number outside its limits"),
        (trade(1, S="AAPL"), "stock message: unknown symbol"),
    ],
)
def test_what_no_tape_takes_is_counted_with_its_cause(message, cause):
    """A message that cannot be a row leaves the others of its frame alone."""
    rows, (merged, decoder, _) = rows_of(StockDecoder, pack(trade(2), message, trade(3)))

    assert [row[12] for row in rows] == [2, 3]
    assert merged.refused == {cause: 1}
    assert decoder.garbage == 0


def test_unknown_and_broken_elements_leave_the_rest_of_the_frame():
    """Kinds that are not recorded and fields of the wrong type are counted; no gap for either."""
    merged = aggregator()
    decoder = StockDecoder(SymbolRouter(merged))

    data = decoder.decode(pack(trade(1), {"T": "l", "S": "TSLA"}, trade(2, p="x"), 7, {"T": [1]}, trade(3)))

    assert data == 2
    assert merged.drain().columns["trade_id"].tolist() == [1, 3]
    assert (dict(decoder.unknown), decoder.garbage) == ({"l": 1}, 3)


@pytest.mark.parametrize("frame", [b"", b"\xc1", pack(trade(1))[:-3], b"\x93\x01", msgpack.packb({"T": "t"}), b"[{}]"])
def test_a_frame_that_cannot_be_read_is_told(frame):
    """Rows may have been lost in it."""
    assert StockDecoder(SymbolRouter(aggregator())).decode(frame) == -1


MESSAGES = st.lists(
    st.builds(
        lambda maker, number, price: maker(number, **({"p": price} if maker is trade else {"bp": price})),
        st.sampled_from([trade, quote]),
        st.integers(1, 200),
        st.integers(1, 4_000_000).map(lambda price_e4: price_e4 / 10_000),
    ),
    max_size=40,
)


@given(messages=MESSAGES, repeats=st.lists(st.integers(0, 39), max_size=20))
@settings(max_examples=60, deadline=None)
def test_repeated_messages_make_no_rows(messages, repeats):
    """dup(stream) == stream, wherever the repetitions stand after the first."""
    again = messages + [messages[index % len(messages)] for index in repeats if messages]

    assert rows_of(StockDecoder, pack(*again))[0] == rows_of(StockDecoder, pack(*messages))[0]


@given(messages=MESSAGES, cuts=st.sets(st.integers(0, 40)))
@settings(max_examples=60, deadline=None)
def test_rows_do_not_depend_on_frames(messages, cuts):
    """The server puts as many messages into a frame as it likes."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(messages)), len(messages)]
    frames = [pack(*messages[start:stop]) for start, stop in itertools.pairwise(edges)]

    assert rows_of(StockDecoder, *frames)[0] == rows_of(StockDecoder, pack(*messages))[0]


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("TSipsctxz"), inner, max_size=5),
    max_leaves=10,
)
SPOILT = st.builds(
    lambda message, changes: message | changes,
    st.sampled_from([trade(1), quote(1), option_trade(1), option_quote(1)]),
    st.dictionaries(
        st.sampled_from(["T", "S", "i", "x", "p", "s", "c", "t", "bp", "bs", "as", "ap", "bx"]), PLAIN, max_size=4
    ),
)


@given(frame=st.binary(max_size=60) | st.lists(PLAIN | SPOILT, max_size=4).map(msgpack.packb))
@settings(max_examples=300, deadline=None)
def test_garbage_never_raises_and_never_makes_a_wrong_row(frame):
    """Whatever comes, rows keep the tape's rules, and there are no more of them than messages."""
    for decoder_class in (StockDecoder, OptionDecoder):
        rows, _ = rows_of(decoder_class, frame)

        assert len(rows) <= 4


@given(frame=st.binary(max_size=8), at=st.integers(0, 200))
@settings(max_examples=100, deadline=None)
def test_overwritten_bytes_never_raise(frame, at):
    """A good frame with bytes overwritten: no more rows than it had, and each keeps the tape's rules."""
    good = pack(option_trade(1), option_quote(2))
    at %= len(good)

    rows, _ = rows_of(OptionDecoder, good[:at] + frame + good[at + len(frame) :])

    assert len(rows) <= 2


def test_control_messages_are_handed_out_and_are_no_data():
    """Acks and errors come between data."""
    merged = aggregator()
    decoder = OptionDecoder(SymbolRouter(merged))

    data = decoder.decode(
        pack({"T": "error", "code": 407, "msg": "slow"}, option_quote(1), {"T": "subscription", "quotes": [CALL]})
    )

    assert data == 1
    assert [type(control).__name__ for control in decoder.controls] == ["StreamError", "Subscription"]
    assert np.array_equal(merged.drain().columns["instrument_id"], [1])
