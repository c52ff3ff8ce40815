"""`kill -9` at random instants: while rows are written, after a restart, and while the recording is sealed."""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams, TapeParams
from scalpcli.model.row import COLD, COLUMNS, OPTION_QUOTE, STOCK_QUOTE, STOCK_TRADE
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from tests.segment_samples import HEADER, folder_in, joined, read, same
from tests.tape_samples import OPEN, contract

BLOCK_ROWS = 200
BLOCKS_MAX = 400
STEP_NS = 1_000_000
STRIKES = 300
NOTE_EVERY = 7
"""Each so many blocks begin with a note, and bring a new contract and a new text of conditions."""
POLICIES = ("never", "interval", "always")


def block_number(number: int) -> Block:
    """The block that any process writes in this place."""
    row = np.arange(number * BLOCK_ROWS, (number + 1) * BLOCK_ROWS)
    columns = {name: np.zeros(BLOCK_ROWS, dtype) for name, dtype in COLUMNS.items()}
    brings = number % NOTE_EVERY == 0
    columns["ts_recv_ns"][:] = OPEN + row * STEP_NS
    columns["ts_event_ns"][:] = columns["ts_recv_ns"] - row * 7919 % 5_000_000
    columns["kind"][:] = np.array([STOCK_TRADE, STOCK_QUOTE, OPTION_QUOTE])[row % 3]
    columns["instrument_id"][:] = np.where(row % 3 == 2, 1 + number // NOTE_EVERY, 0)
    columns["price_e4"][:] = 4_000_000 + row * 104_729 % 10_000
    columns["ask_e4"][:] = columns["price_e4"] + 100
    columns["size"][:] = 1 + row % 300
    columns["ask_size"][:] = 1 + row % 200
    columns["conditions"][:] = 1 + number // NOTE_EVERY
    columns["trade_id"][:] = row
    names, notes = {}, ()
    if brings:
        for name in ("price_e4", "ask_e4", "size", "ask_size", "instrument_id", "conditions", "trade_id"):
            columns[name][0] = 0
        columns["kind"][0] = COLD
        notes = (("operator", {"command": "arm", "block": number}),)
        symbol = f"TSLA261120C{(STRIKES + number // NOTE_EVERY) * 1000:08d}"
        names = {"instruments": (contract(1 + number // NOTE_EVERY, symbol),), "conditions": (f"c{number}",)}
    return Block(columns, notes, **names)


def write_until_killed(folder: Path, policy: str) -> None:
    """Go on with the recording, block by block, and say after each flush how many rows are safe."""
    continuation = None
    with contextlib.suppress(Exception):
        continuation = SegmentReader(folder).continuation()
    first = continuation.rows // BLOCK_ROWS if continuation else 0
    # Names of a block whose rows were torn away are known already.
    known = len(continuation.instruments) if continuation else 0
    params = RecordParams(fsync=policy, fsync_s=0.02, segment_minutes=0.0001)
    writer = SegmentWriter(folder, params, HEADER, continuation=continuation)
    for number in range(first, BLOCKS_MAX):
        block = block_number(number)
        if block.instruments and block.instruments[0].instrument_id <= known:
            block = Block(block.columns, block.notes)
        writer.append(block)
        print(writer.flush(), flush=True)
    writer.close()


def seal_until_killed(root: Path) -> None:
    """Seal the recording; say when it begins."""
    from scalpcli.runtime.seal import seal_recording

    print("ready", flush=True)
    seal_recording(folder_in(root), root, TapeParams(row_group_rows=1024))


def killed(function: str, *arguments: object, lines: int, after_s: float) -> list[str]:
    """What a process printed that was killed `after_s` after so many lines, or was done before."""
    words = f"from pathlib import Path; from tests.simulation.test_kill import {function}; {function}(*{arguments!r})"
    words = words.replace("PosixPath(", "Path(")
    process = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said = [process.stdout.readline() for _ in range(lines)]
    time.sleep(after_s)
    process.kill()
    rest, errors = process.communicate()
    assert errors == ""
    return [line for line in [*said, *rest.splitlines(keepends=True)] if line.endswith("\n")]


def check_written(folder: Path, acknowledged: int) -> int:
    """Every acknowledged row is there, none is changed, and only torn tails are missing; rows that are there."""
    reader = SegmentReader(folder)
    rows = reader.rows_read
    assert rows >= acknowledged
    assert rows % BLOCK_ROWS == 0
    blocks = [block_number(number) for number in range(rows // BLOCK_ROWS)]
    columns, notes = read(folder)
    assert same(columns, joined(blocks))
    assert notes == tuple(note for block in blocks for note in block.notes)
    for damage in reader.damage:
        assert damage.offset + damage.bytes == (folder / damage.file).stat().st_size
    return rows


def check_tape(path: Path, rows: int) -> None:
    """`tape verify` passes, and the tape has the recording's rows beside the gap rows that tell of the kills."""
    from scalpcli.runtime.tape import Tape
    from scalpcli.runtime.tape_verify import verify
    from tests.segment_samples import tape_columns, without_gaps_of_sealing

    tape = Tape.open(path)
    assert verify(path).findings == []
    expected = joined([block_number(number) for number in range(rows // BLOCK_ROWS)])
    assert same(without_gaps_of_sealing(tape_columns(path), tape.notes()), expected)
    assert [instrument.instrument_id for instrument in tape.instruments] == list(range(len(tape.instruments)))


def play(root: Path, seed: int) -> None:
    """One recording that is killed while it is written, once or twice, and while it is sealed, once or twice."""
    from scalpcli.runtime.seal import seal_recording

    chance = random.Random(seed)  # noqa: S311 - when a process dies, no secret
    folder, rows = folder_in(root), 0
    for _ in range(1 + seed % 2):
        said = killed(
            "write_until_killed", folder, POLICIES[seed % 3], lines=chance.randint(1, 60), after_s=chance.random() / 100
        )
        acknowledged = int(said[-1])
        assert acknowledged > rows
        rows = check_written(folder, acknowledged)
    for _ in range(1 + seed % 2):
        if folder.exists():
            killed("seal_until_killed", root, lines=1, after_s=chance.random() * 0.15)
    if folder.exists():
        assert check_written(folder, rows) == rows
        seal_recording(folder, root, TapeParams(row_group_rows=1024))
        assert [path.name for path in folder.parent.iterdir()] == ["2026-11-20"]
    check_tape(root / "TSLA" / "2026-11-20", rows)


@pytest.mark.parametrize("seed", range(15))
def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path, seed):
    """Whenever it comes, the recording can be sealed, and its tape is sound."""
    play(tmp_path, seed)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(15, 115))
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path, seed):
    """The same, a hundred times."""
    play(tmp_path, seed)
