"""Which settings are tried: the whole grid, or what Optuna proposes.

Decides how Optuna is asked, so that a search that was broken off goes on as if it had not been: every proposal
comes from a sampler of its own, seeded with the search's seed and the proposal's place, and Optuna's storage tells
it all that was proposed and learned before. What was proposed and not yet judged is judged first.
"""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any, Final

from scalpcli.optimize.space import Axis, Space
from scalpcli.optimize.store import Row

METHODS: Final = ("grid", "random", "tpe")
BATCH: Final = {"random": 1_000, "tpe": 20}
"""Settings proposed at one time: they are played in one pass, and a method that learns does so after each."""


class Proposer:
    """Optuna's study of one search, or of one window of a walk-forward.

    Args:
        space: What is searched.
        method: `random` or `tpe`.
        seed: Source of all chance.
        storage: File of Optuna's journal.
        name: Of the study.
    """

    def __init__(self, space: Space, method: str, seed: int, storage: Path, name: str) -> None:
        # Takes 0.8 s to import, which only a search that asks it should pay.
        import optuna  # noqa: PLC0415

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna: Any = optuna
        self._space = space
        self._method = method
        self._seed = seed
        backend = self._optuna.storages.journal.JournalFileBackend(str(storage))
        self._study = optuna.create_study(
            storage=optuna.storages.JournalStorage(backend), study_name=name, direction="maximize", load_if_exists=True
        )
        self._distributions = {axis.key: self._distribution(axis) for axis in space.axes}
        for trial in self._trials("RUNNING"):
            if len(trial.params) < len(space.axes):
                # It broke off while it was being proposed.
                self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def _trials(self, *states: str) -> list[Any]:
        wanted = tuple(getattr(self._optuna.trial.TrialState, state) for state in states)
        found: list[Any] = self._study.get_trials(deepcopy=False, states=wanted)
        return found

    def _distribution(self, axis: Axis) -> Any:
        kinds = self._optuna.distributions
        if not axis.values:
            if axis.is_whole:
                return kinds.IntDistribution(int(axis.low), int(axis.high))
            return kinds.FloatDistribution(axis.low, axis.high)
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in axis.values):
            # By number, so that neighbours are neighbours to the sampler.
            return kinds.IntDistribution(0, len(axis.values) - 1)
        return kinds.CategoricalDistribution(axis.values)

    def judged(self) -> list[Row]:
        """Settings that were judged, in the order in which they were proposed."""
        return [self._row(trial.params) for trial in self._trials("COMPLETE")]

    def _row(self, params: dict[str, Any]) -> Row:
        return tuple(
            axis.values[params[axis.key]]
            if isinstance(self._distributions[axis.key], self._optuna.distributions.IntDistribution) and axis.values
            else params[axis.key]
            for axis in self._space.axes
        )

    def ask(self, total: int) -> list[tuple[int, Row]]:
        """The next batch: Optuna's numbers and the settings; nothing when all were judged.

        Args:
            total: Settings proposed in all.
        """
        place = len(self._trials("COMPLETE", "RUNNING"))
        waiting = len(self._trials("RUNNING"))
        while place < total and (waiting == 0 or place % BATCH[self._method]):
            self._study.sampler = self._sampler(place)
            self._study.ask(self._distributions)
            place, waiting = place + 1, waiting + 1
        return [(trial.number, self._row(trial.params)) for trial in self._trials("RUNNING")]

    def _sampler(self, place: int) -> Any:
        digest = hashlib.sha256(f"{self._seed} {place}".encode()).digest()
        seed = int.from_bytes(digest[:4], "big") // 2
        if self._method == "random":
            return self._optuna.samplers.RandomSampler(seed=seed)
        return self._optuna.samplers.TPESampler(seed=seed)

    def tell(self, number: int, value: float) -> None:
        """Let Optuna learn what a setting was worth; unknown counts as worst."""
        self._study.tell(number, value if math.isfinite(value) else -1e300)
