"""A recorder that loses nothing, through every fault of the exchange's script: alone, and mixed by seeds."""

from __future__ import annotations

import dataclasses
import importlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulation.fault_runs import Scenario, record_through, served_tape
from tests.simulation.fault_scenarios import alone, mixed
from tests.simulation.fault_truth import Truth

EVERY = list(alone())
CI_MIXED = 10
FULL_MIXED = 145
IN_CI = {
    "nothing", "stock-drop", "option-drop", "stock-down", "option-half-open", "stock-stall", "option-stall",
    "stock-half-close", "option-long-delay", "stock-407", "stock-garbage-bytes", "option-garbage-truncated",
    "option-delay", "stock-duplicate", "option-reorder", "stock-coalesce", "stock-garbage-unknown",
    "stock-exchange-ahead", "option-exchange-behind", "stock-refused-402", "option-refused-405",
    "option-drop-then-409", "stock-drop-then-413", "stock-refused-406", "option-late-429", "stock-drop-then-503",
    "lost-answer", "lost-update", "drop-history-429", "no-history", "halt", "our-clock-20", "our-clock+20",
    "restart", "restart-in-gap", "restart-in-stall",
}  # fmt: skip


@pytest.fixture(scope="module")
def tapes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Sessions to serve, by seed; what is loaded once is loaded, because the exchange's clock runs meanwhile."""
    importlib.import_module("scalpcli.adapters.alpaca_session")
    return {seed: served_tape(tmp_path_factory.mktemp("served"), seed) for seed in (11, 12, 13)}


@pytest.fixture(scope="module")
def tally() -> Iterator[Counter[str]]:
    """What all runs of this process saw; printed at their end."""
    seen: Counter[str] = Counter()
    yield seen
    print()
    for name, count in sorted(seen.items()):
        print(f"{count:8,} {name}")


def hold(scenario: Scenario, tape: Path, out: Path, tally: Counter[str]) -> None:
    """One run, judged."""
    run = record_through(scenario, tape, out)
    verdict = Truth(run).judge()
    print(f"{scenario.name}: {dict(verdict.seen)}", *run.said[1:], sep="\n    ")
    tally.update(verdict.seen)
    assert not verdict.wrong


@pytest.mark.parametrize("scenario", [one for one in EVERY if one.name in IN_CI], ids=lambda one: one.name)
def test_a_fault_leaves_a_gap_or_nothing(scenario, tapes, tmp_path, tally):
    """Rows sent outside a gap are there once, outages lie in gaps, gaps are true, the tape is sound."""
    hold(scenario, tapes[11], tmp_path, tally)


@pytest.mark.parametrize("seed", range(CI_MIXED))
def test_mixed_faults_leave_gaps_or_nothing(seed, tapes, tmp_path, tally):
    """Two to four faults at random."""
    hold(mixed(seed), tapes[11 + seed % 3], tmp_path, tally)


@pytest.mark.full
@pytest.mark.parametrize("scenario", [one for one in EVERY if one.name not in IN_CI], ids=lambda one: one.name)
def test_the_other_faults_leave_a_gap_or_nothing(scenario, tapes, tmp_path, tally):
    """The rest of the list, on another session and with other chance."""
    hold(dataclasses.replace(scenario, seed=7), tapes[12], tmp_path, tally)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(CI_MIXED, FULL_MIXED))
def test_more_mixed_faults_leave_gaps_or_nothing(seed, tapes, tmp_path, tally):
    """Two to four faults at random."""
    hold(mixed(seed), tapes[11 + seed % 3], tmp_path, tally)
