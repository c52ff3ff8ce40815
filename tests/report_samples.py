"""A true run of the example tape, for tests of what a report reads from it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from typer.testing import CliRunner

from scalpcli.cli import app
from tests.replay_samples import DEMO, TAPE


def example_run(folder: Path) -> Path:
    """Replay the example tape into `folder` and give the run's folder."""
    cleared = {name: None for name in os.environ if name.startswith("SCALPCLI__")}
    words = ["replay", str(TAPE), "-c", DEMO, "--out", str(folder), "-q"]
    done = CliRunner().invoke(app, words, env=cleared, prog_name="scalpcli")
    assert done.exit_code == 0, done.stderr
    (run,) = folder.iterdir()
    return run


def without_tape(run: Path, folder: Path) -> Path:
    """A copy of a run whose tape is not there."""
    copy = folder / run.name
    shutil.copytree(run, copy)
    manifest = copy / "manifest.json"
    manifest.write_text(manifest.read_text().replace(str(TAPE), str(folder / "gone")))
    return copy
