"""Fixtures that the tests of commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from tests.replay_samples import DEMO, Done

Replay = Callable[..., Done]


@pytest.fixture
def replay(tmp_path: Path) -> Replay:
    """Run `scalpcli replay` with the demo's settings, its runs below this test's folder."""
    # Settings of whoever runs the tests decide nothing here.
    cleared = {name: None for name in os.environ if name.startswith("SCALPCLI__")}

    def call(*arguments: Any, demo: bool = True, **environ: str) -> Done:
        settings = ["-c", DEMO] if demo else []
        words = ["replay", *map(str, arguments), *settings, "--out", str(tmp_path / "runs")]
        result = CliRunner().invoke(app, words, env={**cleared, **environ}, prog_name="scalpcli")
        return Done(result.exit_code, result.stdout, result.stderr)

    return call
