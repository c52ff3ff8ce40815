"""A search: what it plays, what it chooses, how it goes on after it broke off, and what the ledger knows."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from scalpcli.errors import DataError, UsageError
from scalpcli.model.params import Params
from scalpcli.optimize.folds import WalkForward
from scalpcli.optimize.judge import VERDICT, distribution, ranking, verdict
from scalpcli.optimize.ledger import LEDGER, Ledger
from scalpcli.optimize.scores import FIGURES, figures, objective_values, read_objective
from scalpcli.optimize.store import SCORES, params_from
from scalpcli.optimize.work import Local, Serial
from scalpcli.runtime.replay import ReplayOptions, replay_session
from tests.lane_samples import compiled
from tests.optimize_samples import plan_over, search_in, small_tapes


@pytest.fixture(scope="module")
def tapes(tmp_path_factory):
    """Ten small sessions; two of them are sealed by a holdout of 20 percent."""
    return small_tapes(tmp_path_factory.mktemp("tapes"), 10)


def judged(search, plan):
    """What a search comes to: its figures and every setting's, as they are kept."""
    found = search.run()
    values, _ = verdict(found, plan.space, 12, plan.purge, plan.embargo)
    return values, ranking(found, plan.space), found.windows


class BreaksOff(Serial):
    """Breaks off after some units, as a user or a crash does."""

    def __init__(self, units: int) -> None:
        self._left = units

    def run(self, units):
        for result in super().run(units):
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
            yield result


def test_a_search_scores_what_replays_earn(tapes, tmp_path):
    """Net, trades and return of a setting in a session are those of its replay."""
    plan = plan_over(tapes)
    search = search_in(tmp_path, plan)
    found = search.run()

    row = found.table.rows[5]
    alone = replay_session(tapes[3], search.settings(row), (), compiled(), ReplayOptions())

    sums = found.table.sums([5], [3])[0, 0]
    assert sums[0] == len(alone.trades)
    assert sums[2] == pytest.approx(alone.ends["net_e4"] / 1e4)
    assert search.digest(row) == alone.config_digest


def test_the_holdout_is_never_played(tapes, tmp_path):
    """Sealed sessions have no scores, and the ledger knows nothing of them."""
    plan = plan_over(tapes)
    found = search_in(tmp_path, plan).run()

    assert found.sealed == [8, 9]
    assert {json.loads(line)["session"] for line in (tmp_path / "one" / SCORES).read_text().splitlines()} == set(
        range(8)
    )
    sealed = {plan.tapes[number].digest for number in found.sealed}
    assert all(not sealed & set(record["tapes"]) for record in Ledger(tmp_path / LEDGER).records())


def test_the_choice_is_the_best_that_is_allowed(tapes, tmp_path):
    """A constraint takes settings out of the choice, not out of the count."""
    plan = plan_over(tapes)
    free = search_in(tmp_path / "free", plan).run()
    best_values = objective_values("expectancy", free.table.sums(free.tried, free.seen))
    limit = float(figures(free.table.sums([free.best], free.seen))["trades"][0])

    strict = dataclasses.replace(plan, constraints=lambda values: values["trades"] != limit)
    found = search_in(tmp_path / "strict", strict).run()

    assert free.best == free.tried[int(np.nanargmax(best_values))]
    assert found.best != free.best
    assert len(found.tried) == len(free.tried) == 12


def test_nothing_is_chosen_where_nothing_is_allowed(tapes, tmp_path):
    """Unknown figures, no crash, and a verdict that no condition accepts."""
    plan = plan_over(tapes, constraints=lambda _: False)

    values, rows, windows = judged(search_in(tmp_path, plan), plan)

    assert values["dsr"] is None
    assert values["objective"] is None
    assert values["oos_windows"] == 0.0
    assert [best for _, best, _ in windows] == [None, None]
    assert len(rows) == 12


@pytest.mark.parametrize("method", ["grid", "random", "tpe"])
def test_broken_off_and_resumed_is_the_same(tapes, tmp_path, method):
    """Done-when 4: interrupted again and again, the final result is that of an uninterrupted search."""
    plan = plan_over(tapes[:7], method=method, trials=24, holdout_pct=0.0, walk=WalkForward(4, 2, 1))
    whole = judged(search_in(tmp_path / "whole", plan), plan)

    for units in (1, 4):
        with pytest.raises(KeyboardInterrupt):
            search_in(tmp_path / "parts", plan, BreaksOff(units)).run()
        # A crash may cut the last line in two.
        with (tmp_path / "parts" / "one" / SCORES).open("a") as file:
            file.write('{"session": 1, "ro')
    resumed = judged(search_in(tmp_path / "parts", plan), plan)

    assert resumed == whole
    assert Ledger(tmp_path / "parts" / LEDGER).settings_tried([plan.tapes[0].digest])


def test_what_is_known_is_not_played_again(tapes, tmp_path):
    """A finished search resumes without any work."""
    plan = plan_over(tapes)
    whole = judged(search_in(tmp_path, plan), plan)

    assert judged(search_in(tmp_path, plan, BreaksOff(0)), plan) == whole


def test_two_processes_find_what_one_finds(tapes, tmp_path):
    """Results do not depend on the number of workers."""
    plan = plan_over(tapes)
    local = Local(2)
    try:
        two = judged(search_in(tmp_path / "two", plan, local), plan)
    finally:
        local.close()

    assert two == judged(search_in(tmp_path / "one", plan), plan)


def test_seeds_propose_alike(tapes, tmp_path):
    """The same seed proposes the same settings, another one others; both stay inside the space."""
    rows = []
    for number, seed in enumerate((1, 1, 2)):
        plan = plan_over(tapes[:4], method="tpe", trials=25, seed=seed, walk=None, holdout_pct=0.0)
        found = search_in(tmp_path / str(number), plan).run()
        rows.append([found.table.rows[each] for each in found.tried])

    assert rows[0] == rows[1]
    assert rows[0] != rows[2]
    assert all(row[0] in (0.06, 0.09, 0.12) for row in rows[0])


def test_contradictions_are_not_tried(tapes, tmp_path):
    """A setting that may not be meant is left out of grid and proposals."""

    def is_allowed(params: Params) -> bool:
        return params.scalp.take_profit_pct > params.scalp.stop_loss_pct

    for method in ("grid", "random"):
        plan = plan_over(tapes[:4], is_allowed=is_allowed, method=method, walk=None, holdout_pct=0.0)
        found = search_in(tmp_path / method, plan).run()
        assert {found.table.rows[each][1:] for each in found.tried} == {(10.0, 5.0)}


def test_every_figure_of_a_verdict_has_a_formula(tapes, tmp_path):
    """What `--accept-if` may name is what a verdict says."""
    plan = plan_over(tapes)
    found = search_in(tmp_path, plan).run()
    values, overfit = verdict(found, plan.space, 5_000, 0, 0)

    assert list(values) == list(VERDICT)
    assert values["trials"] == 5_000.0
    assert overfit is not None
    assert values["oos_sessions"] == 4.0
    assert values["oos_trades"] == sum(
        float(found.table.sums([best], list(fold.test))[:, :, 0].sum()) for fold, best, _ in found.windows
    )
    assert [row["percentile"] for row in distribution(found)] == [0, 5, 25, 50, 75, 95, 100]


def test_an_objective_of_ones_own(tapes, tmp_path):
    """FILE:function is given a sample and gives one number."""
    file = tmp_path / "mine.py"
    file.write_text("def worst_day(sample):\n    assert set(sample.figures)\n    return sample.net_usd.min()\n")
    plan = plan_over(tapes, objective=read_objective(f"{file}:worst_day"))

    found = search_in(tmp_path, plan).run()

    worst = found.table.sums(found.tried, found.seen)[:, :, 2].min(axis=1)
    assert found.values == pytest.approx(worst)


def test_objectives_that_cannot_be_meant(tmp_path):
    """A name, a file or a function that is not there, and one that fails."""
    file = tmp_path / "mine.py"
    file.write_text("def fails(sample):\n    return 1 / 0\n")
    for text in ("profit", f"{tmp_path}/none.py:x", f"{file}:other"):
        with pytest.raises(UsageError):
            read_objective(text)
    with pytest.raises(UsageError, match="`fails` failed: ZeroDivisionError"):
        objective_values(read_objective(f"{file}:fails"), np.zeros((1, 2, 6)))


def test_figures_by_hand():
    """Two sessions: three trades of 10, -4 and 6, then none."""
    sums = np.array([[[3, 2, 12.0, 16.0, -4.0, 0.012], [0, 0, 0.0, 0.0, 0.0, 0.0]]])

    found = {name: float(values[0]) for name, values in figures(sums).items()}

    assert found == {
        "trades": 3.0,
        "winners": 2.0,
        "win_rate": pytest.approx(200.0 / 3.0),
        "net_pnl_usd": 12.0,
        "expectancy_usd": 4.0,
        "profit_factor": 4.0,
        "sharpe_days": pytest.approx(0.006 / (0.012 / 2**0.5)),
        "sessions_traded": 1.0,
    }
    assert set(found) == set(FIGURES)


def test_the_ledger_counts_a_setting_once(tmp_path):
    """Across searches, over data sets that share a tape; openings of a holdout are kept apart."""
    ledger = Ledger(tmp_path / LEDGER)
    ledger.add_settings("one", ["tape-a", "tape-b"], ["s1", "s2"])
    ledger.add_settings("two", ["tape-b"], ["s2", "s3"])
    ledger.add_settings("two", ["tape-c"], ["s4"])
    ledger.add_opening("two", ["tape-c"], "s4")

    assert len(ledger.settings_tried(["tape-a"])) == 2
    assert len(ledger.settings_tried(["tape-b"])) == 3
    assert len(ledger.settings_tried(["tape-a", "tape-c"])) == 3
    assert ledger.openings(["tape-c"]) == 1
    assert ledger.openings(["tape-a"]) == 0


def test_a_damaged_ledger_is_not_passed_over(tmp_path):
    """A count that may be too small would accept too much."""
    (tmp_path / LEDGER).write_text("{}\n")

    with pytest.raises(DataError, match="a line of the ledger cannot be read"):
        Ledger(tmp_path / LEDGER).settings_tried(["a"])


def test_settings_survive_their_plan():
    """A plan keeps every setting, lists among them."""
    params = Params()

    assert params_from(json.loads(json.dumps(dataclasses.asdict(params)))) == params
