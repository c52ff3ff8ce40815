"""A search from its plan to its result: proposes, plays, chooses, and judges what was chosen.

Decides which sessions a setting is chosen on and judged on, and when what was tried is noted in the ledger. Leaves
proposing to `proposals.py`, playing to `work.py`, and the words to the command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from scalpcli.core.engine import config_digest
from scalpcli.core.lanes import with_values
from scalpcli.errors import DataError
from scalpcli.model.params import Blackout, Params
from scalpcli.optimize.folds import Fold, WalkForward, folds, split_holdout
from scalpcli.optimize.ledger import Ledger
from scalpcli.optimize.proposals import Proposer
from scalpcli.optimize.scores import Floats, Objective, figures, objective_values
from scalpcli.optimize.space import Space
from scalpcli.optimize.store import PROPOSALS, Row, ScoreTable, SearchFolder
from scalpcli.optimize.work import LANES_MAX, Executor, Unit

Holds = Callable[[Mapping[str, float | None]], bool]
UNKNOWN: Final = math.nan


@dataclass(frozen=True, slots=True)
class TapeOf:
    """One session of the data set."""

    session: str
    path: str
    digest: str


@dataclass(frozen=True)
class Plan:
    """What is asked for; see `store.py` for how it is kept.

    Args:
        tapes: The data set, by session.
        params: All settings; those searched stand at their own values.
        blackouts: Dated windows without entries.
        space: What is searched.
        method: `grid`, `random` or `tpe`.
        trials: Settings to try; the grid tries all.
        seed: Source of all chance.
        objective: What is to be made large.
        constraints: Whether a setting's figures allow it.
        walk: Windows of the walk-forward; `None` = none.
        purge: Sessions left out between choosing and judging.
        embargo: Sessions left out after judged ones.
        holdout_pct: Share of the sessions that is sealed, percent.
        is_allowed: Whether settings may be meant together.
        latencies_digest: Digest of the latencies that are drawn from, where they are.
    """

    tapes: tuple[TapeOf, ...]
    params: Params
    blackouts: tuple[Blackout, ...]
    space: Space
    method: str
    trials: int
    seed: int
    objective: Objective
    constraints: Holds
    walk: WalkForward | None
    purge: int
    embargo: int
    holdout_pct: float
    is_allowed: Callable[[Params], bool]
    latencies_digest: str = ""


@dataclass
class Found:
    """What a search found, before it is judged.

    Args:
        table: Sums of all that was played.
        tried: Numbers of the settings of the main search, in the order in which they were proposed.
        values: Objective of each of them over the sessions that may be seen; NaN = unknown or not allowed.
        best: Number of the chosen one; `None` when none is allowed.
        windows: Fold, number of its choice, and the objective there; the choice `None` when none was allowed.
        seen: Numbers of the sessions that may be seen.
        sealed: Numbers of the sessions that may not.
    """

    table: ScoreTable
    tried: list[int]
    values: Floats
    best: int | None
    windows: list[tuple[Fold, int | None, float]] = field(default_factory=list)
    seen: list[int] = field(default_factory=list)
    sealed: list[int] = field(default_factory=list)


class Search:
    """Runs one plan; whatever its folder holds already is not played again.

    Args:
        plan: What is asked for.
        folder: Where it is kept.
        ledger: What was ever tried.
        executor: Does the work.
        on_unit: Told how many settings were played on a session.
    """

    def __init__(
        self, plan: Plan, folder: SearchFolder, ledger: Ledger, executor: Executor, on_unit: Callable[[int], None]
    ) -> None:
        self._plan = plan
        self._folder = folder
        self._ledger = ledger
        self._executor = executor
        self._on_unit = on_unit
        self._digests: dict[Row, str] = {}
        self.table = ScoreTable(len(plan.tapes))
        folder.mend()
        for session, rows, sums in folder.scores():
            for row, one in zip(rows, sums, strict=True):
                self.table.put(session, row, one)

    def run(self) -> Found:
        """Propose, play and choose.

        Raises:
            DataError: too few sessions for what is asked, a tape that stops the engine, or no setting left.
        """
        plan = self._plan
        seen, sealed = (list(each) for each in split_holdout(len(plan.tapes), plan.holdout_pct))
        if not seen:
            raise DataError(
                "the holdout leaves no session to search on", place="`--holdout`", hint="take a smaller one"
            )
        windows = folds(len(seen), plan.walk, plan.purge) if plan.walk else []
        rows = self._grid(seen) if plan.method == "grid" else self._proposed("main", seen)
        if not rows:
            raise DataError("no setting of the space may be meant", place="`--param`", hint="see `config show`")
        tried = [self.table.number(row) for row in dict.fromkeys(rows)]
        values = self.values(tried, seen)
        found = Found(self.table, tried, values, _best(tried, values), seen=seen, sealed=sealed)
        for number, fold in enumerate(windows):
            found.windows.append(self._window(number, fold, tried))
        return found

    def _window(self, number: int, fold: Fold, tried: list[int]) -> tuple[Fold, int | None, float]:
        """Choose on one window's first part, play the choice on its second."""
        candidates = tried
        if self._plan.method == "tpe":
            # A search that learns may learn from its own window alone.
            rows = self._proposed(f"window-{number}", list(fold.train))
            candidates = [self.table.number(row) for row in dict.fromkeys(rows)]
        values = self.values(candidates, list(fold.train))
        best = _best(candidates, values)
        if best is None:
            return fold, None, UNKNOWN
        self.play([self.table.rows[best]], list(fold.test))
        return fold, best, float(values[candidates.index(best)])

    def values(self, numbers: list[int], sessions: list[int]) -> Floats:
        """Objective of settings over sessions; NaN where it is unknown or a constraint does not hold."""
        sums = self.table.sums(numbers, sessions)
        values = objective_values(self._plan.objective, sums)
        columns = figures(sums)
        for place in range(len(numbers)):
            one = {name: known(float(column[place])) for name, column in columns.items()}
            if not self._plan.constraints(one):
                values[place] = UNKNOWN
        return values

    def _grid(self, sessions: list[int]) -> list[Row]:
        rows = [row for row in self._plan.space.grid() if self._is_allowed(row)]
        self.play(rows, sessions)
        return rows

    def _is_allowed(self, row: Row) -> bool:
        return self._plan.is_allowed(self.settings(row))

    def settings(self, row: Row) -> Params:
        """All settings of one row of values."""
        return with_values(self._plan.params, dict(zip(self._plan.space.keys, row, strict=True)))

    def digest(self, row: Row) -> str:
        """Digest of a setting, as the journal of its replay names it."""
        if row not in self._digests:
            plan = self._plan
            self._digests[row] = config_digest(self.settings(row), plan.blackouts, plan.latencies_digest)
        return self._digests[row]

    def _proposed(self, name: str, sessions: list[int]) -> list[Row]:
        """Let Optuna propose, batch by batch, and learn what each was worth on `sessions`."""
        plan = self._plan
        storage = self._folder.path / PROPOSALS
        proposer = Proposer(plan.space, plan.method, plan.seed, storage, name)
        while batch := proposer.ask(plan.trials):
            allowed = [row for row in dict.fromkeys(row for _, row in batch) if self._is_allowed(row)]
            self.play(allowed, sessions)
            worth = dict.fromkeys((row for _, row in batch), UNKNOWN)
            if allowed:
                values = self.values([self.table.number(row) for row in allowed], sessions)
                worth |= dict(zip(allowed, values.tolist(), strict=True))
            for number, row in batch:
                proposer.tell(number, worth[row])
        return [row for row in proposer.judged() if self._is_allowed(row)]

    def play(self, rows: Sequence[Row], sessions: Sequence[int]) -> None:
        """Play settings on sessions, as far as that was not done, and keep what came of it."""
        plan = self._plan
        todo = {session: [row for row in rows if not self.table.is_known(session, row)] for session in sessions}
        if not any(todo.values()):
            return
        # Noted before it is played: whoever breaks off when a result is bad has seen it all the same.
        digests = [plan.tapes[session].digest for session in sessions]
        self._ledger.add_settings(self._folder.path.name, digests, (self.digest(row) for row in rows))
        units: list[Unit] = []
        about: list[tuple[int, list[Row]]] = []
        for session, missing in todo.items():
            for begin in range(0, len(missing), LANES_MAX):
                some = missing[begin : begin + LANES_MAX]
                tape = plan.tapes[session].path
                units.append(Unit(len(units), tape, plan.params, plan.space.keys, tuple(some), plan.blackouts))
                about.append((session, some))
        for number, sums in self._executor.run(units):
            session, some = about[number]
            self._folder.add_scores(session, some, sums)
            for row, one in zip(some, sums, strict=True):
                self.table.put(session, row, one)
            self._on_unit(len(some))


def _best(numbers: list[int], values: Floats) -> int | None:
    """The setting with the largest value, the first of several; `None` when all are unknown."""
    if not np.isfinite(values).any():
        return None
    return numbers[int(np.nanargmax(values))]


def known(value: float) -> float | None:
    """A value, `None` where it is unknown."""
    return value if math.isfinite(value) else None
