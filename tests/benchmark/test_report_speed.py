"""The benchmark of the report, tiny: it runs, and its figures are far below their limits."""

from __future__ import annotations

from tests.benchmark.report_speed import measure


def test_the_report_benchmark_runs(tmp_path):
    """Ten runs and a small tape: every figure is there, and nothing takes the time of the full one."""
    figures = measure(10, 10, 50_000, 100, tmp_path)

    assert all(value > 0 for value in figures.values())
    assert figures["page_s"] < 10.0
    assert figures["many_runs_peak_mb"] < 500.0
