"""The example tape, its settings and its blessed decisions, for tests of `replay`."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
TAPE = EXAMPLES / "tapes" / "TSLA" / "2026-11-20"
DEMO = str(EXAMPLES / "configs" / "demo.toml")
BLESSED = EXAMPLES / "blessed" / "decisions.jsonl"


@dataclass
class Done:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output as an object."""
        return json.loads(self.out)

    @property
    def run(self) -> Path:
        """The run's folder, where JSON was printed."""
        return Path(self.json["run_dir"])

    @property
    def records(self) -> list[dict[str, Any]]:
        """The run's decisions, where JSON was printed."""
        return [json.loads(line) for line in (self.run / "decisions.jsonl").read_text().splitlines()]


def runs_of(folder: Path) -> list[Path]:
    """Whatever replays left in a test's folder of runs, hidden files too."""
    runs = folder / "runs"
    return list(runs.iterdir()) if runs.exists() else []


def copy_of(tape: Path, folder: Path) -> Path:
    """A copy of a tape that a test may damage."""
    copy = folder / "copy"
    shutil.copytree(tape, copy)
    return copy
