"""The benchmark runs, tiny; its figures are printed and not held against any time."""

from __future__ import annotations

from tests.benchmark.replay_speed import measure


def test_the_benchmark_measures_what_it_says(tmp_path):
    """Every figure comes out, and equal tapes give equal decisions."""
    first = measure(20_000, 40_000, 1, 10, 1, tmp_path / "first")

    second = measure(20_000, 40_000, 1, 10, 1, tmp_path / "second")

    assert first["rows"] == 20_000
    assert first["rows_larger"] == 40_000
    assert first["engine_rows_per_s"] > 0
    assert first["decisions_digest"] == second["decisions_digest"]
