"""How fast rows reach the operating system, come back, and become a tape.

`python -m tests.benchmark.segment_speed` appends and flushes the rows of a synthetic session in blocks of 250 and of
5,000, under each fsync policy, reads them back and seals them. Digests are of the decoded rows: all are equal to that
of what was written, whatever the blocks. Peak memory is that of one fresh process which writes ever more rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams, TapeParams
from scalpcli.model.row import COLD, COLUMNS
from scalpcli.runtime.seal import seal_recording
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import Tape

BLOCKS = (250, 5_000)
HEADER = {"symbol": "TSLA", "session": "2026-11-20", "feeds": {"stock": "made"}, "synthetic": True}


def make_tape(root: Path, rows: int) -> Tape:
    """A synthetic session."""
    command = ["tape", "synth", str(root), "--date", "2026-11-20", "--rows", str(rows), "--quiet"]
    subprocess.run([sys.executable, "-m", "scalpcli", *command, "--contracts", "80"], check=True, capture_output=True)
    return Tape.open(root)


def blocks_of(tape: Tape, rows: int, *, is_again: bool = False) -> Iterator[Block]:
    """The tape as blocks, the names in the first; once more without names, at the time of the last row."""
    notes = [(note.kind, note.body) for note in tape.notes()]
    names: Any = (tape.instruments[1:], tuple(tape.manifest.conditions[1:]), tuple(tape.manifest.exchanges[1:]))
    last_ns = tape.manifest.quality["last_ts_ns"]
    for columns in tape.batches(rows, tuple(COLUMNS)):
        cold = int(np.count_nonzero(columns["kind"] == COLD))
        if is_again:
            columns["ts_recv_ns"] = np.full(len(columns["kind"]), last_ns)
            names = ()
        yield Block(columns, tuple(notes[:cold]), *names)
        notes, names = notes[cold:], ()


def digest_of(blocks: Any) -> str:
    """sha256 of the rows' values, whatever blocks they come in."""
    digests = {name: hashlib.sha256() for name in COLUMNS}
    for block in blocks:
        for name in COLUMNS:
            digests[name].update(block.columns[name].tobytes())
    return hashlib.sha256("".join(one.hexdigest() for one in digests.values()).encode()).hexdigest()


def measure(blocks: list[Block], fsync: str, folder: Path) -> dict[str, Any]:
    """Rows a second in and out, bytes a row, the slowest flush, and the digest of what came back."""
    rows = sum(block.rows for block in blocks)
    slowest_s = 0.0
    started_s = time.perf_counter()
    with SegmentWriter(folder, RecordParams(fsync=fsync), HEADER) as writer:
        for block in blocks:
            began_s = time.perf_counter()
            writer.append(block)
            writer.flush()
            slowest_s = max(slowest_s, time.perf_counter() - began_s)
    wrote_s = time.perf_counter() - started_s
    size = sum(path.stat().st_size for path in folder.glob("*.log"))
    started_s = time.perf_counter()
    back = list(SegmentReader(folder).blocks())
    read_s = time.perf_counter() - started_s
    return {
        "block_rows": blocks[0].rows,
        "fsync": fsync,
        "rows": rows,
        "written_rows_s": round(rows / wrote_s),
        "slowest_ms": round(slowest_s * 1e3, 2),
        "read_rows_s": round(rows / read_s),
        "bytes_per_row": round(size / rows, 2),
        "digest": digest_of(back),
    }


def seal_speed(folder: Path, root: Path) -> dict[str, Any]:
    """Rows a second from recording to checked tape."""
    started_s = time.perf_counter()
    tape = Tape.open(seal_recording(folder, root, TapeParams()))
    sealed_s = time.perf_counter() - started_s
    return {"sealed_rows_s": round(tape.manifest.rows / sealed_s), "rows_digest": tape.manifest.rows_digest}


def peaks_mb(tape: Path, times: int) -> list[float]:
    """Peak memory, MB, of a process that records a session `times` over: before, after recording, after sealing."""
    command = [sys.executable, "-m", "tests.benchmark.segment_speed", "--peak", str(tape), "--times", str(times)]
    return [float(word) for word in subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()]


def _peak(path: Path, times: int) -> None:
    tape = Tape.open(path)
    for _ in blocks_of(tape, 250):
        # Reading the tape costs memory too; that is not what is asked for.
        pass
    print(_own_peak_mb())
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "recording"
        with SegmentWriter(folder, RecordParams(fsync="never"), HEADER) as writer:
            for turn in range(times):
                for block in blocks_of(tape, 250, is_again=turn > 0):
                    writer.append(block)
                    writer.flush()
        print(_own_peak_mb())
        seal_recording(folder, Path(root), TapeParams())
    print(_own_peak_mb())


def _own_peak_mb() -> float:
    """Peak of this process alone; `getrusage` also counts what its parent had when it began."""
    status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(round(int(line.split()[1]) / 1024, 1) for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Measure and print, one JSON line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--peak", type=Path)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    if given.peak:
        _peak(given.peak, given.times)
        return
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tape = make_tape(root / "made", given.rows)
        print(json.dumps({"digest": digest_of(blocks_of(tape, 65_536)), "rows_digest": tape.manifest.rows_digest}))
        for fsync in ("never", "interval", "always"):
            for rows in BLOCKS:
                print(json.dumps(measure(list(blocks_of(tape, rows)), fsync, root / f"{fsync}-{rows}")), flush=True)
        print(json.dumps(seal_speed(root / "interval-250", root / "sealed")))
        print(json.dumps({"peaks_mb_once": peaks_mb(tape.path, 1), "peaks_mb_six_times": peaks_mb(tape.path, 6)}))


if __name__ == "__main__":
    main()
