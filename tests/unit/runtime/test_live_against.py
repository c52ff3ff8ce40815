"""What a trader did between fakes comes out of the files it leaves, crashes and faults included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from scalpcli.model.block import Block
from scalpcli.model.row import COLUMNS
from scalpcli.runtime.against import prove, simulate
from scalpcli.runtime.run_files import RunFacts, facts_of
from scalpcli.runtime.seal import recording_folder
from tests.segment_samples import record
from tests.unit.runtime.live_bench import Bench, kernel, market


@pytest.fixture
def bench(request) -> Iterator[Bench]:
    """A world for twenty minutes of the session, in which one scalp is made; a number lets messages be lost by it."""
    seed = getattr(request, "param", None)
    made = Bench(minutes=20) if seed is None else Bench(minutes=20, seed=seed, chance=0.2)
    yield made
    made.loop.bury()


def left_behind(bench: Bench, folder: Path) -> Path:
    """The files of a bench's run: rows as they were recorded, the journal, and what it was played with."""
    tape = market()
    names = {"instruments": tape.instruments[1:], "conditions": ("@",) * 8, "exchanges": ("Q",) * 8}
    blocks = []
    for block in bench.disk.blocks:
        rows = len(block.columns["kind"])
        columns = {name: block.columns.get(name, np.zeros(rows, kind)) for name, kind in COLUMNS.items()}
        blocks.append(Block(columns, block.notes, **({} if blocks else names)))
    record(recording_folder(folder / "tape", "TSLA", tape.session.date), blocks, close=False)
    (folder / "decisions.jsonl").write_bytes(bench.disk.journal)
    RunFacts(folder, facts_of(bench.setup())).tell(finished_ns=bench.trader.finished_ns)
    return folder


def kinds_of(bench: Bench) -> set[str]:
    """What was decided and told."""
    return {json.loads(line)["kind"] for line in bench.disk.journal.splitlines()}


def test_a_session_with_a_crash_is_proven(bench, tmp_path):
    """Killed while a position was open, started again, ended: one journal, and its rows decide it."""
    process = bench.start()
    bench.play(until=lambda: bool(bench.trader.live.held()))
    process.kill()
    bench.start()
    bench.play()

    proof = prove(left_behind(bench, tmp_path), kernel())

    assert proof.difference is None
    assert proof.is_whole
    assert [phase for phase, _ in phases(bench)] == ["begins", "pauses", "begins", "pauses"]
    assert len(proof.idle) == 3


def phases(bench: Bench) -> list[tuple[str, int]]:
    """When entries began and paused."""
    return [(each["phase"], each["ts_ns"]) for each in bench.decisions("live")]


def test_a_run_that_died_is_proven_as_far_as_it_went(bench, tmp_path):
    """Nobody started it again: its journal is the beginning of what its rows decide."""
    process = bench.start()
    bench.play(until=lambda: bool(bench.trader.live.held()))
    process.kill()

    proof = prove(left_behind(bench, tmp_path), kernel())

    assert proof.difference is None
    assert not proof.is_whole


@pytest.mark.parametrize("bench", [1, 2], indirect=True)
def test_a_session_full_of_faults_is_proven(bench, tmp_path):
    """Answers that are lost, late and doubtful are rows; an operator sells everything in the middle."""
    process = bench.start()
    bench.play(until=lambda: bool(bench.trader.live.held()))
    bench.loop.call_soon(process.here, lambda: bench.trader.command("flatten", by="somebody"))
    bench.play()

    proof = prove(left_behind(bench, tmp_path), kernel())
    simulated, _ = simulate(proof, kernel())

    assert proof.difference is None
    assert "operator" in kinds_of(bench)
    assert simulated.rows == proof.played.rows


def test_a_shadow_is_proven(bench, tmp_path):
    """The simulated market's answers were rows before the engine learned of them."""
    bench.mode = "shadow"
    bench.start()
    bench.play()

    proof = prove(left_behind(bench, tmp_path), kernel())

    assert proof.difference is None
    assert {"order", "fill"} <= kinds_of(bench)
