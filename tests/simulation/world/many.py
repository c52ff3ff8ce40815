"""Many schedules: what they held, and the first that broke a rule."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.world import chance as faults
from tests.simulation.world.schedule import Outcome, run_schedule

STORY_LINES = 60
"""Lines of a broken schedule that are told at once."""
CRASHES = (faults.CRASH, faults.CRASH_WRITING, faults.CRASH_RESUMING)


@dataclass(slots=True)
class Held:
    """What many schedules held.

    Attributes:
        schedules: How many ran.
        entries: Entry orders the exchange took.
        fills: Executions.
        counts: Faults by kind.
        broken: Outcomes that broke a rule.
    """

    schedules: int = 0
    entries: int = 0
    fills: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    broken: list[Outcome] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        self.schedules += 1
        self.entries += outcome.entries
        self.fills += outcome.fills
        self.counts.update(outcome.counts)
        if outcome.broken:
            self.broken.append(outcome)

    def words(self) -> str:
        """What they held, for people."""
        faults = "\n".join(f"  {count:8d} {kind}" for kind, count in sorted(self.counts.items()))
        return (
            f"{self.schedules} schedules, {self.entries} entries, {self.fills} fills, "
            f"{sum(self.counts.values())} faults, {len(self.broken)} broke a rule\n{faults}"
        )

    def told(self) -> dict[str, int]:
        """What they held, as numbers by name; the sums that matter most begin with a space."""
        sums = {
            " schedules": self.schedules,
            " entries": self.entries,
            " fills": self.fills,
            " crashes": sum(self.counts[kind] for kind in CRASHES),
            " faults": sum(self.counts[kind] for kind in faults.KINDS),
        }
        return sums | dict(self.counts)


def too_few(held: Held) -> dict[str, tuple[int, int]]:
    """Of what a run held less than it must to mean anything: found and least, by name."""
    told = held.told()
    least = dict.fromkeys(faults.KINDS, held.schedules // 100)
    least |= {" entries": held.schedules, " fills": held.schedules, " crashes": held.schedules // 4}
    return {kind: (told.get(kind, 0), number) for kind, number in least.items() if told.get(kind, 0) < number}


def run_many(first: int, count: int, *, broken_max: int = 1) -> Held:
    """Run schedules from a seed on, until so many broke a rule."""
    held = Held()
    for seed in range(first, first + count):
        held.add(run_schedule(seed))
        if len(held.broken) >= broken_max:
            break
    return held


def story(seed: int) -> str:
    """The end of a schedule's event log, and how to have all of it."""
    told = run_schedule(seed, is_telling=True).told[-STORY_LINES:]
    return "\n".join([*told, f"all of it: python -m tests.simulation.world --seed {seed} --trace"])


def main(words: list[str]) -> int:
    """What `python -m tests.simulation.world` does."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.world")
    parser.add_argument("--schedules", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="the first, or the one that is told")
    parser.add_argument("--trace", action="store_true", help="tell one schedule from its begin to its end")
    parser.add_argument("--broken", type=int, default=1, help="go on until so many broke a rule")
    given = parser.parse_args(words)
    if given.trace:
        outcome = run_schedule(given.seed, is_telling=True)
        print("\n".join(outcome.told))
        print(outcome.counts, outcome.broken)
        return int(bool(outcome.broken))
    started_s = time.perf_counter()
    held = run_many(given.seed, given.schedules, broken_max=given.broken)
    took_s = time.perf_counter() - started_s
    print(held.words())
    print(f"{1000 * took_s / held.schedules:.1f} ms a schedule")
    for outcome in held.broken:
        print(f"seed {outcome.seed}: {outcome.broken[0].rule}: {outcome.broken[0].found}")
    if held.broken:
        print(story(held.broken[0].seed))
    return int(bool(held.broken))
