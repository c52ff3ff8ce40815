"""The recorder's benchmark runs, tiny; its figures are printed and not held against any time."""

from __future__ import annotations

from tests.benchmark.record_speed import in_a_fresh_process


def test_every_message_sent_is_on_disk():
    """Nothing is dropped, taken twice or left in memory."""
    found = in_a_fresh_process(5_000, 1.0)

    assert found["messages"] == found["rows"] == found["rows_on_disk"] == 5_000
    assert found["dropped"] == found["duplicates"] == 0
