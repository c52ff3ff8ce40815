"""Small recordings for tests, and ways to look at them."""

from __future__ import annotations

import contextlib
import itertools
import subprocess
from pathlib import Path

import numpy as np
import pytest

from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams
from scalpcli.model.row import COLD, COLUMNS, GAP
from scalpcli.runtime.seal import recording_folder
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import Break, SegmentReader
from scalpcli.runtime.tape import Tape
from tests.tape_samples import CALL, DAY, NOTES, PUT, columns_of, contract, small_rows

HEADER = {"symbol": "TSLA", "session": "2026-11-20", "feeds": {"stock": "made"}, "synthetic": True}
NAMES = {"instruments": (contract(1, CALL), contract(2, PUT)), "conditions": ("@", "@ F"), "exchanges": ("Q", "N")}
MIB = 1 << 20


def blocks_of(rows, step, notes=NOTES, names=NAMES):
    """Rows as blocks of `step`, the names in the first."""
    columns = rows if isinstance(rows, dict) else columns_of(rows)
    rest, blocks = list(notes), []
    for begin in range(0, len(columns["kind"]), step):
        part = {name: values[begin : begin + step] for name, values in columns.items()}
        cold = int(np.count_nonzero(part["kind"] == COLD))
        blocks.append(Block(part, tuple(rest[:cold]), **({} if blocks else names)))
        rest = rest[cold:]
    return blocks


def small_blocks(count=600, step=50):
    """Blocks of a small session of every kind of row."""
    return blocks_of(small_rows(count), step)


def folder_in(root: Path) -> Path:
    """Where the sample recording of tapes at `root` lies."""
    return recording_folder(root, "TSLA", DAY)


def record(folder: Path, blocks, *, close=True, continuation=None, **settings) -> None:
    """A recording of blocks, each of them flushed."""
    writer = SegmentWriter(folder, RecordParams(**settings), HEADER, continuation=continuation)
    for block in blocks:
        writer.append(block)
        writer.flush()
    if close:
        writer.close({"duplicates": 3})
    writer.abandon()


def joined(blocks):
    """Columns of blocks, one after the other."""
    found = [block.columns for block in blocks if not isinstance(block, Break)]
    return {
        name: np.concatenate([columns[name] for columns in found] or [np.zeros(0, dtype)])
        for name, dtype in COLUMNS.items()
    }


def read(folder: Path):
    """Columns and notes of a recording."""
    found = list(SegmentReader(folder).blocks())
    notes = itertools.chain.from_iterable(block.notes for block in found if not isinstance(block, Break))
    return joined(found), tuple(notes)


def same(left, right) -> bool:
    """Whether every column is equal."""
    return all(np.array_equal(left[name], right[name]) for name in COLUMNS)


def tape_columns(path: Path):
    """Every column of a tape."""
    batches = list(Tape.open(path).batches(columns=tuple(COLUMNS)))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in COLUMNS}


def without_gaps_of_sealing(columns, notes):
    """A tape's rows without those that sealing adds: gap rows and the cold rows of their cause."""
    is_ours = np.zeros(len(columns["kind"]), np.bool_)
    cold = np.flatnonzero(columns["kind"] == COLD)
    causes = ("recorder stopped", "recorder restarted", "recording damaged")
    for row, note in zip(cold, notes, strict=True):
        if note.kind == "gap_cause" and note.body["cause"].startswith(causes):
            assert columns["kind"][row + 1] == GAP
            is_ours[row : row + 2] = True
    return {name: values[~is_ours] for name, values in columns.items()}


@contextlib.contextmanager
def small_disk(folder: Path, size: int):
    """A file system of `size` bytes in memory; skips where none can be mounted."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount`")
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)
