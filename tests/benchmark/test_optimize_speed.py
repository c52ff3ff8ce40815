"""The benchmark of searches runs, tiny; its figures are printed and not held against any time."""

from __future__ import annotations

from tests.benchmark.optimize_speed import GRID, measure


def test_the_benchmark_measures_what_it_says(tmp_path):
    """Every figure comes out; the full grid has a thousand settings."""
    figures = measure(5_000, 1, 2, 1, tmp_path, with_dask=False)

    size = 1
    for _, _, count in GRID:
        size *= count
    assert size == 1_000
    assert figures["settings"] == GRID[0][2]
    assert figures["search_over_replay"] > 0
    assert figures["two_processes_over_one"] > 0
