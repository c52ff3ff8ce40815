"""`scalpcli rehearse`: exchange and live in one command, with the proof at its end and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from scalpcli.cli import app
from scalpcli.runtime.replay import read_latencies
from scalpcli.runtime.run_lock import read_run_owner
from tests.replay_samples import DEMO, TAPE

SETTINGS = ("scalp.enabled=true", "live.guard_timeout_s=0", "live.late_entry_ms_max=600000")
"""Entries are made however late: at a high speed a busy machine is late by seconds of the market."""
TRADES = ["-c", DEMO, *(word for setting in SETTINGS for word in ("-p", setting))]
PATIENCE_S = 90.0


def words_of(*words) -> list[str]:
    """A rehearsal of the example tape."""
    return [str(word) for word in ("rehearse", TAPE, *TRADES, *words)]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A rehearsal of the first quarter of an hour, in which one scalp is made."""
    out = tmp_path_factory.mktemp("rehearsal") / "new"
    arguments = words_of("--until", "09:46", "--speed", 200, "--out", out, "--json")
    environ = {**os.environ, "ALPACA_API_KEY": "", "ALPACA_SECRET_KEY": ""}
    run = subprocess.run(
        [sys.executable, "-m", "scalpcli", *arguments], capture_output=True, text=True, env=environ, check=False
    )
    return run, out


def test_a_rehearsal_ends_with_the_proof(done):
    """Everything that was decided over real sockets comes out of the tape it left."""
    run, _ = done

    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert found["proof"]["equal"]
    assert found["proof"]["finished"]
    assert found["proof"]["mode"] == "paper"
    assert found["proof"]["rows"] > 1_000


def test_a_rehearsal_keeps_everything_in_its_folder(done):
    """Run, words and measured latencies lie where they were asked for."""
    run, out = done

    lines = (out / "runs/paper/TSLA/2026-11-20/decisions.jsonl").read_text().splitlines()
    assert {"order", "fill"} <= {json.loads(line)["kind"] for line in lines}, run.stderr
    assert len(read_latencies(str(out / "latencies.csv"))) > 0
    assert "PAPER" in run.stderr


def test_a_rehearsal_takes_a_new_folder(tmp_path):
    """What lies there is not mixed with another rehearsal."""
    (tmp_path / "something").touch()

    result = CliRunner().invoke(app, words_of("--out", tmp_path), prog_name="scalpcli")

    assert result.exit_code == 2
    assert "holds something" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["--speed", "max"], ["--speed", "0"], ["--until", "25:00"], ["--fault", "rain=rest"], ["-c", "-"]],
)
def test_what_cannot_be_meant_starts_nothing(tmp_path, words):
    """Nothing is left behind either."""
    out = tmp_path / "new"

    result = CliRunner().invoke(app, words_of(*words, "--out", out), prog_name="scalpcli")

    assert result.exit_code == 2
    assert not out.exists()


def is_alive(pid: int) -> bool:
    """Whether a process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_for(found, what: str):
    """The first true answer, asked again and again."""
    end_s = time.monotonic() + PATIENCE_S
    while not (answer := found()):
        assert time.monotonic() < end_s, what
        time.sleep(0.05)
    return answer


def test_impatience_leaves_neither_live_nor_its_guard(tmp_path):
    """The third interrupt kills `live` where it stands; its guard would look for an exchange that is gone."""
    out = tmp_path / "new"
    settings = ["-c", DEMO, "-p", "live.guard_timeout_s=60"]
    words = ["rehearse", TAPE, *settings, "--speed", 10, "--out", out, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "scalpcli", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = out / "runs/paper/TSLA/2026-11-20"
    owner = wait_for(lambda: (found := read_run_owner(run)).guard_pid and found, "the guard began")

    # Two that come at one time are one.
    while is_alive(owner.pid):
        process.send_signal(signal.SIGINT)
        time.sleep(0.05)
    process.wait(PATIENCE_S)

    assert not is_alive(owner.pid)
    wait_for(lambda: not is_alive(owner.guard_pid), "the guard ended")


def facts_below(out: Path):
    """What `live` says of its run, once it does."""
    for path in out.glob("runs/*/*/*/live.json"):
        return json.loads(path.read_text())
    return None


def test_an_interrupt_ends_live_in_order_and_leaves_nothing(tmp_path):
    """Ctrl-C reaches `live`, which puts things in order; the rest is told all the same."""
    out = tmp_path / "new"
    process = subprocess.Popen(
        [sys.executable, "-m", "scalpcli", *words_of("--speed", 100, "--out", out, "--json")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    facts = wait_for(lambda: facts_below(out), "live began")
    wait_for(lambda: sum(path.stat().st_size for path in out.rglob("*.log")) > 20_000, "the market was recorded")

    process.send_signal(signal.SIGINT)
    told, errors = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == 130, errors
    assert told, errors
    assert json.loads(told)["proof"]["equal"]
    assert not is_alive(facts["pid"])
