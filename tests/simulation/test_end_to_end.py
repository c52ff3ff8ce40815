"""A served session is recorded whole, and its recording replays to the same decisions."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from scalpcli.model.params import Params, ScalpConfig
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.replay import ReplayOptions, SessionResult, replay_session
from tests.recorded import differences, levels_of, served_rows, with_served_stamps

SPEED = 60


@dataclass
class Length:
    """How long a session is served: minutes of it, the end of the recording, its rows, seconds the whole may take."""

    minutes: int
    until: str
    rows: int
    patience_s: float


def command(*words: object) -> list[str]:
    """A command of ours, in a process of its own."""
    return [sys.executable, "-m", "scalpcli", *map(str, words)]


@contextlib.contextmanager
def exchange(tape: Path, *words: object) -> Iterator[str]:
    """`scalpcli exchange` over a tape; the address of its REST side."""
    serving = subprocess.Popen(
        command("exchange", tape, "--port", 0, "--json", *words), stdout=subprocess.PIPE, text=True
    )
    try:
        yield read_address(serving)
    finally:
        serving.terminate()
        serving.communicate(timeout=20)


def read_address(serving: subprocess.Popen[str]) -> str:
    """The address the exchange prints first."""
    assert serving.stdout is not None
    printed = ""
    for line in serving.stdout:
        printed += line
        with contextlib.suppress(json.JSONDecodeError):
            return str(json.loads(printed)["rest"])
    raise AssertionError(f"the exchange printed no address: {printed}")


def watchful(params: Params) -> Params:
    """Thresholds at which twenty minutes hold enough to compare."""
    scalp: ScalpConfig = replace(
        params.scalp, momentum_threshold_pct=0.07, volume_spike_ratio=0.0, min_signal_interval_seconds=5.0,
        cooldown_after_loss_minutes=0.2, max_daily_scalps=14, max_hold_minutes=0.7, scalp_position_size_pct=2.0,
        take_profit_pct=8.0, stop_loss_pct=5.0,
    )  # fmt: skip
    return replace(params, scalp=scalp, selection=replace(params.selection, delta_min=0.33, delta_max=0.37))


def play(tape: Path) -> SessionResult:
    """A replay of a tape with settings under which much happens."""
    return replay_session(tape, watchful(Params()), (), load_kernel(), ReplayOptions())


@pytest.mark.parametrize(
    "length",
    [
        pytest.param(Length(20, "09:51", 48_000, 60.0), id="20-minutes"),
        pytest.param(Length(390, "close", 600_000, 600.0), id="day", marks=pytest.mark.full),
    ],
)
def test_what_is_recorded_is_what_was_served(tmp_path, length):
    """Every row comes once, in every column but its receive stamp; with the served stamps put back it replays alike."""
    made = ["--date", "2026-11-20", "--rows", length.rows, "--contracts", 12, "--seed", 5, "--bursts", 8]
    subprocess.run(
        command("tape", "synth", tmp_path / "served", *made, "--minutes", length.minutes, "--quiet"),
        check=True, capture_output=True,
    )  # fmt: skip
    tape = tmp_path / "served" / "TSLA" / "2026-11-20"

    with exchange(tape, "--speed", SPEED, "--wait-for", 2) as address:
        out = ["--out", tmp_path / "recorded", "--until", length.until, "--dte", "0", "--strikes", 50]
        done = subprocess.run(
            command("record", "--rehearse", address, *out, "--json"),
            capture_output=True, text=True, timeout=length.patience_s, check=False,
        )  # fmt: skip

    assert done.returncode == 0, done.stderr
    recording = tmp_path / "recorded" / "TSLA" / "2026-11-20"
    served, recorded = served_rows(tape), served_rows(recording)
    missing, extra = differences(served, recorded)
    assert (missing.height, extra.height) == (0, 0)
    assert json.loads(done.stdout)["tapes"][0]["gaps"] == 0
    assert levels_of(recording) == levels_of(tape)
    control = play(with_served_stamps(tape, served, tmp_path / "control"))
    again = play(with_served_stamps(recording, served, tmp_path / "stamped"))
    gates = {json.loads(line)["gate"] for line in again.decisions.splitlines() if b'"kind":"refusal"' in line}
    print(f"{again.rows} rows, {again.counts}, refused by {sorted(gates)}")
    assert again.decisions == control.decisions
    assert again.counts["trigger"] >= 30
    assert again.trades.height >= 10
    assert len(gates) >= 5
