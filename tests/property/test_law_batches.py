"""Laws 1 and 2: the same input gives the same journal, however rows are cut and however the kernel runs."""

from __future__ import annotations

import numpy as np
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from scalpcli.core import layout
from scalpcli.core.market_state import InterpretedKernel
from tests.property.law_play import Case, Seen, case_of, cases, compiled, crowded, hasty, lengths, play


def ties(case: Case) -> list[int]:
    """Rows received at the same time as the one before them."""
    received = case.day.columns["ts_recv_ns"]
    return (np.flatnonzero(received[1:] == received[:-1]) + 1).tolist()


@lengths(12, 400)
def test_law_1_rows_may_be_cut_anywhere(length: settings) -> None:
    """Live hands the engine single rows and replay large blocks; both must decide alike, byte for byte."""
    seen = Seen("law 1")

    @length
    @given(case=cases(), shares=st.lists(st.floats(0.0, 1.0), max_size=60))
    def decides_alike(case: Case, shares: list[float]) -> None:
        rows = len(case.day.columns["kind"])
        some = [int(share * rows) for share in shares]
        for one in (case, hasty(case)):
            whole = play(one)
            others = {
                "again": play(one),
                "some cuts": play(one, cuts=some),
                "inside ties": play(one, cuts=ties(one)),
                "row by row": play(one, cuts=range(1, rows)),
            }

            seen.add(whole, cuts_in_ties=len(ties(one)))
            for how, other in others.items():
                assert other.lines == whole.lines, how

    decides_alike()

    seen.check("cuts_in_ties", "partial_fill", "reprice", "gap", "halt", at_least=5)


@lengths(10, 150)
def test_law_2_compiled_and_interpreted_kernels_agree(length: settings) -> None:
    """One source runs as machine code and as plain Python: same journal, same trackers to the last bit."""
    seen = Seen("law 2")

    # The interpreter takes a second or two for each example; shrinking would take minutes.
    @settings(length, phases=[Phase.generate])
    @given(case=st.integers(0, 2**32 - 1).map(lambda seed: crowded(case_of(seed, (5,)))))
    def agree(case: Case) -> None:
        machine = play(case, hot=compiled(), trace=True)
        plain = play(case, hot=InterpretedKernel(), trace=True)

        sweeps = sum(machine.records[-1]["sweeps"].values())
        seen.add(machine, instants=len(machine.trace), sweeps=sweeps)
        assert machine.lines == plain.lines
        assert machine.trace.shape == plain.trace.shape
        known = ~np.isnan(machine.trace)
        assert np.array_equal(known, ~np.isnan(plain.trace))
        assert np.array_equal(machine.trace[known].view(np.int64), plain.trace[known].view(np.int64))

    agree()

    seen.check("instants", "sweeps", at_least=10)


def test_law_2_no_field_hides_behind_an_attribute_of_numpy():
    """The interpreter reads `record.size` as NumPy's own attribute, the machine code as the field: no such name."""
    records = {name: kind for name, kind in vars(layout).items() if isinstance(kind, np.dtype) and kind.names}

    hidden = [f"{name}.{field}" for name, kind in records.items() for field in kind.names if hasattr(np.void, field)]

    assert len(records) >= 10
    assert hidden == []
