"""The benchmark runs, tiny; its figures are printed and not held against any time."""

from __future__ import annotations

from tests.benchmark.scan_speed import measure


def test_the_benchmark_measures_what_it_says(tmp_path):
    """Every figure comes out, and the whole chain is shown where all of it is asked for."""
    figures = measure(20_000, 40, tmp_path)

    assert figures["contracts"] == figures["shown_with_all"] == 40
    assert all(figures[name] >= 0.0 for name in ("greeks_ms", "scan_s", "all_s", "poll_s", "watch_cpu_pct"))
