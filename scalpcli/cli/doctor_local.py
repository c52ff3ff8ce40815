"""What `doctor` finds on this machine: room on the disk, and the state of the tapes."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scalpcli.adapters.doctor_checks import Finding, Verdict
from scalpcli.errors import DataError
from scalpcli.model.session import previous_session
from scalpcli.runtime.tape import Tape

GB: Final = 1_000_000_000
DAY_GB: Final = 1.5
"""Disk that a session takes where no tape tells: a tape of 30 million rows and its segments while it is sealed."""
DAYS_WARN: Final = 10
_LOOKED_AT: Final = 5


def local_findings(root: Path, symbol: str, today: dt.date, *, min_free_gb: float) -> Iterator[Finding]:
    """One finding after another.

    Args:
        root: Folder of tapes; need not exist.
        symbol: The underlying.
        today: Day in New York.
        min_free_gb: Free space at which recording stops, GB.
    """
    folder = root / symbol.replace("/", ".")
    tapes = sorted(path for path in folder.glob("????-??-??") if path.is_dir())
    yield disk_finding(root, tapes[-_LOOKED_AT:], min_free_gb)
    yield tapes_finding(folder, tapes, today)


def disk_finding(root: Path, tapes: list[Path], min_free_gb: float) -> Finding:
    """How many sessions still fit."""
    place = next(path for path in (root.absolute(), *root.absolute().parents) if path.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        found = f"`{place}` cannot be written"
        return Finding("disk", Verdict.FAIL, found, "take another folder: `-p record.out=FOLDER`")
    free = shutil.disk_usage(place).free / GB
    sizes = [sum(file.stat().st_size for file in tape.iterdir() if file.is_file()) / GB for tape in tapes]
    # Segments and the tape made of them lie side by side for a moment.
    day_gb = max(2 * statistics.median(sizes), 0.001) if sizes else DAY_GB
    days = max(free - min_free_gb, 0.0) / day_gb
    found = f"{free:,.1f} GB free in `{place}`, room for {min(days, 9999):,.0f} sessions of {day_gb:.2g} GB"
    if days < 1:
        return Finding("disk", Verdict.FAIL, found, "free some space, or take another folder: `-p record.out=FOLDER`")
    if days < DAYS_WARN:
        return Finding("disk", Verdict.WARN, found, "make room: `scalpcli tape prune --keep 20`")
    return Finding("disk", Verdict.PASS, found)


def tapes_finding(folder: Path, tapes: list[Path], today: dt.date) -> Finding:
    """Whether the tapes are whole and the last sessions are there."""
    recordings = sorted(path.name[1:11] for path in folder.glob(".????-??-??.recording"))
    left = [date for date in recordings if date < today.isoformat()]
    if left:
        hint = f"`scalpcli record repair {folder / f'.{left[0]}.recording'}` makes a tape of it"
        return Finding("tapes", Verdict.FAIL, f"the recording of {', '.join(left)} was never sealed", hint)
    for tape in reversed(tapes[-_LOOKED_AT:]):
        try:
            Tape.open(tape)
        except DataError as error:
            return Finding(
                "tapes", Verdict.FAIL, f"`{tape}`: {error.found}", f"`scalpcli tape verify {tape}` tells more"
            )
    if not tapes:
        hint = "`scalpcli record backfill DATE` makes one of a past day"
        return Finding("tapes", Verdict.WARN, f"none in `{folder}`", hint)
    before = previous_session(today).date.isoformat()
    found = f"{len(tapes):,}, the last of {tapes[-1].name}"
    if tapes[-1].name < before:
        hint = "is the recorder started every day? `scalpcli record --print-cron`"
        return Finding("tapes", Verdict.WARN, f"{found}; none of the session before, {before}", hint)
    return Finding("tapes", Verdict.PASS, found)
