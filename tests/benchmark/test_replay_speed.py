"""The benchmark runs, tiny; its figures are printed and not held against any time."""

from __future__ import annotations

from tests.benchmark.replay_speed import measure, replay_s


def test_the_benchmark_measures_what_it_says(tmp_path):
    """Every figure comes out, the decisions are those of a replay by itself, and the plain loop finds what it finds."""
    figures = measure(20_000, 40_000, 1, 10, 1, tmp_path)

    alone, _ = replay_s([tmp_path / "one"], tmp_path / "runs")

    assert figures["rows"] == 20_000
    assert figures["rows_larger"] == 40_000
    assert figures["engine_rows_per_s"] > 0
    assert figures["plain_python_agrees"]
    assert figures["decisions_digest"] == alone["decisions_digest"]
