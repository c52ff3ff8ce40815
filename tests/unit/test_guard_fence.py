"""The fence of a run whose guard is not the only one who may write it."""

from __future__ import annotations

import dataclasses

from scalpcli.runtime.guard_fence import Fence, FenceKeeper, Phase, Sale, read_fence, write_fence

SOLD = Sale("run-0000-g1", "TSLA261120C00400000", 0, 1, 2, 11_000, is_ended=True, filled=2, filled_sum_e4=22_000)


def fence(at_ns: int, *sales: Sale) -> Fence:
    """A fence that was begun at `at_ns`."""
    return Fence(1, Phase.SELLING, "no answer", at_ns, sales=sales)


def test_a_new_fence_keeps_sales_that_another_wrote_meanwhile(tmp_path):
    """`live flatten` without a process sold: its ids are never used again, and its sales are not lost."""
    keeper = FenceKeeper(tmp_path, print)
    write_fence(tmp_path, fence(5, SOLD))

    keeper.begin(fence(9))

    found = read_fence(tmp_path)
    assert (found.number, found.sales, found.attempts(0)) == (2, (SOLD,), 1)


def test_what_another_wrote_is_taken_in_once(tmp_path):
    """Whoever withdraws leaves another's fence as it is."""
    keeper = FenceKeeper(tmp_path, print)
    keeper.begin(fence(5))
    write_fence(tmp_path, dataclasses.replace(fence(9, SOLD), number=2))

    assert (keeper.refresh(), keeper.refresh(), keeper.fence.sales) == (True, False, (SOLD,))


def test_a_fence_that_cannot_be_read_stops_no_guard(tmp_path):
    """It goes on with what it knows: the position is at stake."""
    said = []
    keeper = FenceKeeper(tmp_path, said.append)
    keeper.begin(fence(5, SOLD))
    (tmp_path / "fence.json").write_text("{", encoding="utf-8")

    assert not keeper.refresh()
    assert (keeper.fence.sales, len(said)) == ((SOLD,), 1)
