"""Laws of the tape: what went in comes out, however it was cut on the way."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLD, COLUMNS, GAP, GAP_BEGIN, GAP_END, HALT_BEGIN, OPTION_QUOTE, OPTION_TRADE, STATUS
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_verify import verify
from tests.tape_samples import OPEN, columns_of, one, quote, trade, writer

PRICES = st.integers(1, 2**40)
SIZES = st.integers(0, 2**31 - 1)
FLAGS = st.integers(0, 2**15 - 1)
STAMPS = st.integers(-(2**33), 2**33)


def option_quote(price_e4, size):
    """A quote of the call."""
    return one(OPTION_QUOTE, 0, instrument_id=1, price_e4=price_e4, ask_e4=price_e4 + 500, size=size, ask_size=size)


def option_trade(price_e4, number):
    """A trade of the put."""
    return one(OPTION_TRADE, 0, instrument_id=2, price_e4=price_e4, trade_id=number)


RARE = [
    one(STATUS, 0, flags=HALT_BEGIN),
    one(GAP, 0, size=5, flags=GAP_BEGIN),
    one(GAP, 0, size=31, flags=GAP_BEGIN | GAP_END),
    one(COLD, 0),
]
ANY_ROW = st.one_of(
    st.builds(lambda price, size, flags: trade(0, price, size, flags=flags), PRICES, SIZES, FLAGS),
    st.builds(lambda bid, ask: quote(0, bid, ask, exchange=1, ask_exchange=2), PRICES, PRICES | st.just(0)),
    st.builds(option_quote, PRICES, SIZES),
    st.builds(option_trade, PRICES, STAMPS),
    st.sampled_from(RARE),
)


@st.composite
def sessions(draw):
    """Rows in order of receipt, some at one instant, events before or after them; and one note a cold row."""
    rows = draw(st.lists(ANY_ROW, min_size=1, max_size=60))
    steps = draw(st.lists(st.integers(0, 2**34), min_size=len(rows), max_size=len(rows)))
    late = draw(st.lists(STAMPS, min_size=len(rows), max_size=len(rows)))
    ts_recv_ns = OPEN - 10**9 + np.cumsum(steps)
    stamped = [
        row | {"ts_recv_ns": int(at), "ts_event_ns": int(at) - (abs(delay) if row["kind"] == GAP else delay)}
        for row, at, delay in zip(rows, ts_recv_ns, late, strict=True)
    ]
    notes = [("operator", {"command": "stop", "n": number}) for number in range(sum(r["kind"] == COLD for r in rows))]
    return columns_of(stamped), notes


def written(root, columns, notes, cuts, params):
    """A tape of the rows, appended in blocks that end at `cuts`."""
    rows = len(columns["kind"])
    bounds = sorted({0, rows, *(cut % (rows + 1) for cut in cuts)})
    cold = columns["kind"] == COLD
    with writer(root, params=params) as tape:
        for begin, end in itertools.pairwise(bounds):
            first, last = int(cold[:begin].sum()), int(cold[:end].sum())
            tape.append({name: values[begin:end] for name, values in columns.items()}, notes[first:last])
        return Tape.open(tape.seal())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    session=sessions(),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    batch=st.integers(1, 70),
    level=st.integers(1, 9),
)
def test_rows_notes_and_digest_do_not_depend_on_how_rows_are_cut(session, cuts, batch, level):
    """Any split into blocks, any compression, any batches: the same rows, quality and digest."""
    columns, notes = session
    with tempfile.TemporaryDirectory() as folder:
        whole = written(Path(folder, "a"), columns, notes, [], TapeParams(row_group_rows=1024))

        cut = written(Path(folder, "b"), columns, notes, cuts, TapeParams(compression_level=level, row_group_rows=2048))
        read = list(cut.batches(rows=batch, columns=tuple(COLUMNS)))

        for name, values in columns.items():
            assert np.array_equal(np.concatenate([block[name] for block in read]), values)
        assert [note.body for note in cut.notes()] == [body for _, body in notes]
        assert cut.manifest.rows_digest == whole.manifest.rows_digest
        assert cut.manifest.quality == whole.manifest.quality
        assert verify(cut.path).findings == []
