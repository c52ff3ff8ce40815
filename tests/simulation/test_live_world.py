"""Engine, trader, desk, guard and exchange in one world in virtual time: thousands of schedules, seeded.

`python -m tests.simulation.world --schedules N --seed S` runs any number; a failing seed is told as an event log by
`--seed S --trace`. `SCALPCLI_WORLD_SCHEDULES` changes how many the full suite runs.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulation.world.many import run_many, story, too_few
from tests.simulation.world.plants import PLANTS
from tests.simulation.world.schedule import run_schedule

# A killed process leaves coroutines behind: some it was about to await, some that would still clean up.
pytestmark = [
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

PLANTED_SCHEDULES = 600
"""A fifth of what CI runs."""
CI_PARTS, CI_SCHEDULES = 12, 250
FULL_PARTS = 40
FULL_SCHEDULES = int(os.environ.get("SCALPCLI_WORLD_SCHEDULES", "20000")) // FULL_PARTS


@pytest.fixture(autouse=True)
def _dead_are_buried() -> Iterator[None]:
    """What dead processes left is collected here, not in the middle of somebody else's test."""
    yield
    gc.collect()


def check(first: int, count: int, record_property: Any) -> None:
    """Run schedules, tell what they held, and hold it against what they must hold."""
    held = run_many(first, count)

    record_property("world", held.told())
    for outcome in held.broken:
        print(story(outcome.seed))
    assert [f"seed {each.seed}: {each.broken[0]}" for each in held.broken] == []
    assert too_few(held) == {}


@pytest.mark.parametrize("part", range(CI_PARTS))
def test_nothing_that_happens_breaks_a_rule(part, record_property):
    """3,000 schedules: never short, never doubled, every fill counted once, flat or alarmed at the end."""
    check(part * CI_SCHEDULES, CI_SCHEDULES, record_property)


@pytest.mark.full
@pytest.mark.parametrize("part", range(FULL_PARTS))
def test_nothing_that_happens_breaks_a_rule_in_many_more(part, record_property):
    """20,000 other schedules."""
    check(100_000 + part * FULL_SCHEDULES, FULL_SCHEDULES, record_property)


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name, record_property):
    """A fault in the product's own code breaks a rule long before all schedules ran."""
    with PLANTS[name]():
        held = run_many(0, PLANTED_SCHEDULES)

    record_property("planted", f"{name}: found by schedule {held.schedules}: {_rule(held)}")
    assert held.broken


def _rule(held: Any) -> str:
    return str(held.broken[0].broken[0]) if held.broken else "never"


def test_a_schedule_is_the_same_every_time():
    """A failing seed can be looked at: the same seed tells the same story, to the last byte."""
    told = [run_schedule(11, is_telling=True).told for _ in range(2)]

    assert told[0] == told[1]
    assert len(told[0]) > 100
