"""Every example runs as it stands; the example tape gives its blessed decisions."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scalpcli.config import load

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(path.name for path in EXAMPLES.glob("*.sh"))
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def run(command: list[str], tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run one example with this environment's `scalpcli` first on the path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_script_runs(name, tmp_path):
    """A script that a user copies must end well and print something."""
    done = run(["bash", str(EXAMPLES / name), str(tmp_path / "out")], tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_program_runs(name, tmp_path):
    """So must a Python example."""
    done = run([sys.executable, str(EXAMPLES / name)], tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("configs/*.toml")), ids=lambda path: path.name)
def test_every_config_is_accepted(path):
    """A config in the examples is read without a complaint."""
    if path.name == "blackouts.toml":
        loaded = load([], [f'gates.blackout_file="{path}"'])
        assert [blackout.name for blackout in loaded.blackouts] == ["FOMC decision", "TSLA earnings day"]
    else:
        assert load([str(path)]).params.scalp.stop_loss_pct == 15.0


def test_the_example_tape_shows_the_whole_life_of_a_scalp():
    """The blessed decisions hold at least 30 triggers, 10 trades and 5 reasons of refusal."""
    records = [json.loads(line) for line in (EXAMPLES / "blessed" / "decisions.jsonl").read_text().splitlines()]

    kinds = [record["kind"] for record in records]
    gates = {record["gate"] for record in records if record["kind"] == "refusal"}

    assert kinds.count("trigger") >= 30
    assert kinds.count("trade") >= 10
    assert len(gates) >= 5


def test_the_workflow_runs_what_the_script_runs():
    """The workflow gates on the blessed decisions and on a requirement, as the tested script does."""
    workflow = (EXAMPLES / "ci-workflow.yml").read_text()

    commands = re.findall(r"scalpcli [a-z]+", workflow)

    assert commands == ["scalpcli config", "scalpcli tape", "scalpcli replay"]
    assert "--check examples/blessed/decisions.jsonl" in workflow
    assert "--require 'trades>=10'" in workflow


def test_the_demo_settings_say_what_they_change():
    """The demo's settings stay few, so that its tape shows the defaults at work."""
    changed = tomllib.loads((EXAMPLES / "configs" / "demo.toml").read_text())

    assert changed == {"scalp": {"max_daily_scalps": 20, "cooldown_after_loss_minutes": 1.0}}
