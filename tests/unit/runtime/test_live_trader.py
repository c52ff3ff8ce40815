"""The live loop on the example tape in virtual time: what is decided, sent, told and written."""

from __future__ import annotations

import pytest

from tests.unit.runtime.live_bench import Bench, params


def test_a_session_is_traded_and_its_rows_decide_the_same_again():
    """Every order the journal names was sent once, the end is flat, and folding the tape gives the same bytes."""
    bench = Bench(minutes=40)

    bench.start()
    bench.play()

    orders = [each["order_id"] for each in bench.decisions("order")]
    assert len(bench.decisions("trade")) >= 2
    assert bench.broker.posts == orders
    assert bench.end.is_flat
    assert not any(bench.broker.held.values())
    assert bench.disk.journal == b"".join(bench.refold())
