"""Engine, trader, desk, guard and exchange in one world in virtual time: thousands of schedules, seeded.

`python -m tests.simulation.world --schedules N --seed S` runs any number; a failing seed is told as an event log by
`--seed S --trace`. `SCALPCLI_WORLD_SCHEDULES` changes how many the full suite runs.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.simulation.world.many import run_many, too_few

CI_PARTS, CI_SCHEDULES = 12, 250
FULL_PARTS = 40
FULL_SCHEDULES = int(os.environ.get("SCALPCLI_WORLD_SCHEDULES", "20000")) // FULL_PARTS


def check(first: int, count: int, record_property: Any) -> None:
    """Run schedules, tell what they held, and hold it against what they must hold."""
    held = run_many(first, count)

    record_property("world", held.told())
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
