"""A search must find an edge that was planted, and must not bless noise.

Sessions without planted bursts have no edge: over hundreds of them the settings searched here lose a little. Each
search has sessions of its own. In sessions with an edge every burst goes on, so momentum pays.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scalpcli.optimize.judge import verdict
from scalpcli.optimize.space import parse_space
from tests.optimize_samples import plan_over, search_in, small_tapes

SPACE = ("momentum_threshold_pct=0.06,0.09,0.12,0.16", "take_profit_pct=5,10,20", "stop_loss_pct=5,10")


def dsr_of(about: tuple[int, int, int]) -> float:
    """Deflated Sharpe of one search: its seed, its sessions, and the bursts planted in each; 0 where unknown."""
    seed, sessions, bursts = about
    with TemporaryDirectory() as folder:
        tapes = small_tapes(Path(folder) / "tapes", sessions, bursts=bursts, follow_through=100.0, seed=seed * 1_000)
        plan = plan_over(tapes, space=parse_space(SPACE, None), walk=None, holdout_pct=0.0)
        found = search_in(Path(folder), plan).run()
        values, _ = verdict(found, plan.space, len(found.tried), 0, 0)
    return values["dsr"] or 0.0


def accepted(searches: range, sessions: int, bursts: int) -> float:
    """Share of searches that `--accept-if 'dsr>0.95'` accepts."""
    asked = [(seed, sessions, bursts) for seed in searches]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return sum(dsr > 0.95 for dsr in pool.map(dsr_of, asked)) / len(asked)


def test_noise_is_not_accepted():
    """At most 5 percent of searches on noise; the full count is below."""
    assert accepted(range(1, 21), sessions=8, bursts=0) <= 0.05


def test_a_planted_edge_is_found():
    """Most searches on sessions in which momentum pays."""
    assert accepted(range(1, 5), sessions=14, bursts=6) >= 0.5


@pytest.mark.full
def test_two_hundred_searches_on_noise():
    """Done-when 2: at most 5 percent of 200 searches are accepted."""
    assert accepted(range(1_000, 1_200), sessions=16, bursts=0) <= 0.05


@pytest.mark.full
def test_the_power_on_a_planted_edge():
    """Done-when 2: with 16 sessions of 45 minutes, some 40 trades, 85 percent of 40 searches were accepted."""
    assert accepted(range(2_000, 2_040), sessions=16, bursts=6) >= 0.7
