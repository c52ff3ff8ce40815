"""Keeps a search on disk, so that it can be resumed, shown and compared.

    optimizations/<utc>-<hash>/
      plan.json        what is asked for: tapes with their digests, settings, space, method, folds
      scores.jsonl     one line a unit of work that is done, appended as it is
      proposals.log    Optuna's own journal, where Optuna proposes
      result.json      what came of it, once it is done

A line that a crash cut in two is not read; its unit is done again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from scalpcli.errors import DataError
from scalpcli.model.params import Blackout, Params
from scalpcli.optimize.scores import PARTS, Floats
from scalpcli.optimize.space import Value
from scalpcli.runtime import clock
from scalpcli.runtime.run_folder import replace_file

SCHEMA_VERSION: Final = 1
PLAN, SCORES, PROPOSALS, RESULT = "plan.json", "scores.jsonl", "proposals.log", "result.json"

Row = tuple[Value, ...]


def params_from(data: dict[str, Any]) -> Params:
    """Settings from what `dataclasses.asdict` made of them and JSON kept."""
    sections = {}
    for name, owner in typing.get_type_hints(Params).items():
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in data[name].items()}
        sections[name] = owner(**values)
    return Params(**sections)


class SearchFolder:
    """The folder of one search.

    Args:
        path: Of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, out: Path, plan: dict[str, Any]) -> SearchFolder:
        """Make a folder below `out` and write the plan into it."""
        tag = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()[:8]
        stamp = clock.utc_now().strftime("%Y%m%dT%H%M%SZ")
        number = 1
        while True:
            path = out / (f"{stamp}-{tag}" if number == 1 else f"{stamp}-{tag}-{number}")
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:
                number += 1
        folder = cls(path)
        folder._write(PLAN, {"schema_version": SCHEMA_VERSION} | plan)
        return folder

    def plan(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            DataError: this is no search's folder, or a later version's.
        """
        try:
            plan: dict[str, Any] = json.loads((self.path / PLAN).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            hint = "`scalpcli optimize list` shows the searches there are"
            raise DataError("this is no folder of a search", place=f"`{self.path}`", hint=hint) from None
        if plan.get("schema_version") != SCHEMA_VERSION:
            found = f"its layout is version {plan.get('schema_version')}, this scalpcli reads {SCHEMA_VERSION}"
            raise DataError(found, place=f"`{self.path}`", hint="read it with the scalpcli that wrote it")
        return plan

    def result(self) -> dict[str, Any] | None:
        """What came of it; `None` while it is not done."""
        try:
            found: dict[str, Any] = json.loads((self.path / RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return found

    def write_result(self, result: dict[str, Any]) -> None:
        """Write what came of it, whole or not at all."""
        self._write(RESULT, result)

    def _write(self, name: str, value: dict[str, Any]) -> None:
        text = json.dumps(value, indent=2) + "\n"
        replace_file(self.path / name, lambda path: path.write_text(text, encoding="utf-8"))

    def add_scores(self, session: int, rows: list[Row], sums: Floats) -> None:
        """Append what one unit of work gave.

        Args:
            session: Number of the session.
            rows: Settings.
            sums: Shape `(settings, PARTS)`.
        """
        line = json.dumps({"session": session, "rows": rows, "sums": sums.tolist()})
        with (self.path / SCORES).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def scores(self) -> Iterator[tuple[int, list[Row], Floats]]:
        """Every unit that is done, as `add_scores` was given it."""
        path = self.path / SCORES
        if not path.exists():
            return
        with path.open(encoding="utf-8") as file:
            for line in file:
                try:
                    record = json.loads(line)
                except ValueError:
                    continue
                rows = [tuple(row) for row in record["rows"]]
                yield record["session"], rows, np.array(record["sums"], np.float64).reshape(len(rows), len(PARTS))

    def mend(self) -> None:
        """Drop a line that a crash cut in two, so that the next one begins on a line of its own."""
        path = self.path / SCORES
        if path.exists():
            content = path.read_bytes()
            if content and not content.endswith(b"\n"):
                keep = content[: content.rfind(b"\n") + 1]
                replace_file(path, lambda work: work.write_bytes(keep))


class ScoreTable:
    """Sums of every setting in every session, as far as they are known.

    Args:
        sessions: How many sessions there are.
    """

    def __init__(self, sessions: int) -> None:
        self._sessions = sessions
        self.rows: list[Row] = []
        self._number: dict[Row, int] = {}
        self._sums: list[Floats] = []

    def number(self, row: Row) -> int:
        """Number of a setting, a new one where it was not seen."""
        found = self._number.get(row)
        if found is None:
            found = self._number[row] = len(self.rows)
            self.rows.append(row)
            self._sums.append(np.full((self._sessions, len(PARTS)), np.nan))
        return found

    def put(self, session: int, row: Row, sums: Floats) -> None:
        """Let the sums of one setting in one session be known."""
        self._sums[self.number(row)][session] = sums

    def is_known(self, session: int, row: Row) -> bool:
        """Whether a setting was played on a session."""
        return row in self._number and bool(np.isfinite(self._sums[self._number[row]][session, 0]))

    def sums(self, numbers: list[int], sessions: list[int]) -> Floats:
        """Sums of some settings in some sessions, shape `(settings, sessions, PARTS)`."""
        return np.stack([self._sums[number][sessions] for number in numbers])


def find_searches(out: Path) -> list[SearchFolder]:
    """Every search below `out`, the oldest first."""
    return [SearchFolder(path.parent) for path in sorted(out.glob(f"*/{PLAN}"))]


def plan_params(plan: dict[str, Any]) -> tuple[Params, tuple[Blackout, ...]]:
    """Settings and blackouts of a plan."""
    return params_from(plan["params"]), tuple(Blackout(**each) for each in plan["blackouts"])


def blackouts_plain(blackouts: tuple[Blackout, ...]) -> list[dict[str, Any]]:
    """Blackouts as a plan keeps them."""
    return [dataclasses.asdict(blackout) for blackout in blackouts]
