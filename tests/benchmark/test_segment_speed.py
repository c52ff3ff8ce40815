"""The benchmark of recordings, run tiny: its figures mean something only where its rows come back."""

from __future__ import annotations

import json
import subprocess
import sys


def test_every_block_size_and_policy_gives_the_same_rows():
    """Digests of what was read back are those of what was written, and the tape is the one they were taken from."""
    command = [sys.executable, "-m", "tests.benchmark.segment_speed", "--rows", "6000"]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    made, *measured, sealed, peaks = map(json.loads, done.stdout.splitlines())
    assert {one["digest"] for one in measured} == {made["digest"]}
    assert sealed["rows_digest"] == made["rows_digest"]
    assert len(measured) == 6
    assert [len(peaks[name]) for name in ("peaks_mb_once", "peaks_mb_six_times")] == [3, 3]
