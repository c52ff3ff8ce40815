"""Checks everything about a tape and says where it is damaged.

Decides what `tape verify` looks at: presence, size and sha256 of every file (and which bytes changed), the
layout, contracts, every rule of every row, the pairing of notes and cold rows, counts, and the digest of the
decoded rows. Leaves the rules themselves to `tape_rules.py`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import Note
from scalpcli.model.row import COLD, COLUMNS, KIND_NAMES
from scalpcli.runtime.manifest import (
    CHUNK_BYTES,
    DATA_FILES,
    INSTRUMENTS_FILE,
    MANIFEST_FILE,
    NOTES_FILE,
    ROWS_FILE,
    FileDigest,
    Manifest,
    RowsDigest,
    digest_file,
)
from scalpcli.runtime.tape import (
    BATCH_ROWS,
    READ_ERRORS,
    as_arrays,
    check_layout,
    find_tape,
    first_unreadable,
    iter_notes,
    manifest_session,
    read_manifest,
    scan_rows,
)
from scalpcli.runtime.tape_instruments import read_instruments
from scalpcli.runtime.tape_rules import Limits, faults_of_every_rule
from scalpcli.runtime.tape_sink import first_line

_RANGES_SHOWN_MAX: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong: the file, the place in it, and what was found."""

    file: str
    place: str
    found: str


@dataclass(slots=True)
class Verification:
    """Result of a check.

    Attributes:
        path: The tape's folder.
        manifest: What it should hold.
        rows: Rows that could be decoded and were checked.
        findings: What is wrong, in the order of the checks; empty for a sound tape.
    """

    path: Path
    manifest: Manifest
    rows: int = 0
    findings: list[Finding] = field(default_factory=list)

    def add(self, file: str, place: str, found: str) -> None:
        """Note something wrong."""
        self.findings.append(Finding(file, place, found))

    def row_place(self, row: int) -> str:
        """A 0-based row as findings name it."""
        return f"row {row} (row group {row // max(1, self.manifest.row_group_rows)})"


def verify(path: Path) -> Verification:
    """Check a tape in full, reading every byte and every row once.

    Args:
        path: The tape's folder, or a folder above it that holds exactly one.

    Raises:
        DataError: there is no tape at `path`, or its manifest cannot be read: nothing could be compared.
    """
    folder = find_tape(path)
    result = Verification(folder, read_manifest(folder))
    changed = {name for name in DATA_FILES if not _check_bytes(result, name)}
    instruments = _check_contracts(result)
    if not (folder / ROWS_FILE).is_file() or instruments is None:
        return result
    # Decoding a changed file may make Polars' threads print panics; what they found is in the findings.
    with _quiet_stderr() if ROWS_FILE in changed else contextlib.nullcontext():
        if _checked(result, ROWS_FILE, lambda: check_layout(folder / ROWS_FILE, result.manifest)):
            _check_rows(result, instruments)
    return result


def _check_bytes(result: Verification, name: str) -> bool:
    path = result.path / name
    if not path.is_file():
        result.add(name, "", "is missing")
        return False
    wanted, found = result.manifest.files[name], digest_file(path)
    if found.bytes != wanted.bytes:
        what = "cut off" if found.bytes < wanted.bytes else "longer than it was written"
        result.add(name, f"byte {min(found.bytes, wanted.bytes)}", f"is {what}: {found.bytes} of {wanted.bytes} bytes")
    if found.sha256 != wanted.sha256:
        result.add(name, _changed_bytes(found, wanted), "sha256 differs from the manifest's")
    return found.sha256 == wanted.sha256


def _changed_bytes(found: FileDigest, wanted: FileDigest) -> str:
    """The chunks whose CRC differs, as ranges of bytes."""
    pairs = zip(found.chunk_crc32, wanted.chunk_crc32, strict=False)
    changed = [number for number, (now, then) in enumerate(pairs) if now != then]
    ranges: list[tuple[int, int]] = []
    for number in changed:
        begin, end = number * CHUNK_BYTES, min((number + 1) * CHUNK_BYTES, found.bytes)
        if ranges and ranges[-1][1] == begin:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((begin, end))
    shown = [f"bytes {begin} to {end}" for begin, end in ranges[:_RANGES_SHOWN_MAX]]
    if len(ranges) > _RANGES_SHOWN_MAX:
        shown.append(f"{len(ranges) - _RANGES_SHOWN_MAX} more ranges")
    return ", ".join(shown)


def _check_contracts(result: Verification) -> tuple[Instrument, ...] | None:
    """The instruments, or `None` where session or contracts are wrong, which is then among the findings."""
    manifest, path = result.manifest, result.path / INSTRUMENTS_FILE
    read: list[tuple[Instrument, ...]] = []
    if not _checked(result, MANIFEST_FILE, lambda: manifest_session(result.path, manifest)) or not path.is_file():
        return None
    date = manifest_session(result.path, manifest).date
    if not _checked(result, INSTRUMENTS_FILE, lambda: read.append(read_instruments(path, manifest.symbol, date))):
        return None
    return read[0]


def _checked(result: Verification, name: str, check: Any) -> bool:
    try:
        check()
    except DataError as error:
        result.add(name, "", error.found)
        return False
    return True


def _check_rows(result: Verification, instruments: tuple[Instrument, ...]) -> None:
    manifest = result.manifest
    check = _RowCheck(result, instruments)
    chunks = scan_rows(result.path).collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
    failure = ""
    try:
        for frame in chunks:
            block, absent = as_arrays(frame, list(COLUMNS))
            if absent is not None:
                result.add(ROWS_FILE, result.row_place(result.rows + absent.row), absent.found)
                return
            check.take(block)
    except READ_ERRORS as error:
        failure = first_line(error)
    if failure or result.rows != manifest.rows:
        row = first_unreadable(result.path, manifest, 0)
        found = failure or f"{result.rows} rows can be read, the manifest says {manifest.rows}"
        result.add(ROWS_FILE, result.row_place(result.rows if row is None else row), f"cannot be decoded: {found}")
        return
    check.finish()


class _RowCheck:
    """Folds blocks of rows, and the notes beside them."""

    def __init__(self, result: Verification, instruments: tuple[Instrument, ...]) -> None:
        manifest = result.manifest
        self._result = result
        self._instruments = instruments
        open_ns = manifest_session(result.path, manifest).open_ns
        self._limits = Limits(len(instruments), len(manifest.conditions), len(manifest.exchanges), open_ns)
        self._digest = RowsDigest()
        self._counts = np.zeros(max(KIND_NAMES) + 1, np.int64)
        self._broken: set[str] = set()
        self._last_ns = 0
        self._cold_rows = 0
        notes_path = result.path / NOTES_FILE
        self._notes: Iterator[Note] | None = iter_notes(notes_path) if notes_path.is_file() else None

    def take(self, block: dict[str, NDArray[Any]]) -> None:
        """Check the next block."""
        result = self._result
        for fault in faults_of_every_rule(block, self._last_ns, self._limits):
            # The first row that breaks a rule is where to look; a million more say nothing.
            if fault.rule not in self._broken:
                self._broken.add(fault.rule)
                result.add(ROWS_FILE, result.row_place(result.rows + fault.row), fault.found)
        kind = block["kind"]
        known = kind[(kind > 0) & (kind < len(self._counts))]
        self._counts += np.bincount(known, minlength=len(self._counts))
        for row in np.flatnonzero(kind == COLD).tolist():
            self._pair(result.rows + row, int(block["ts_recv_ns"][row]))
        self._digest.update(block)
        self._last_ns = int(block["ts_recv_ns"][-1])
        result.rows += len(kind)

    def _pair(self, row: int, ts_recv_ns: int) -> None:
        note = self._next_note()
        if self._notes is None:
            return
        place = f"line {self._cold_rows + 1}"
        if note is None:
            self._result.add(NOTES_FILE, place, f"is missing: {self._result.row_place(row)} is a cold row")
            self._notes = None
            return
        if note.ts_recv_ns != ts_recv_ns:
            found = f"has `ts_recv_ns` {note.ts_recv_ns}, its cold row {row} has {ts_recv_ns}"
            self._result.add(NOTES_FILE, place, found)
        self._digest.update_note(note.seq, note.ts_recv_ns, note.kind, note.body)
        self._cold_rows += 1

    def _next_note(self) -> Note | None:
        if self._notes is None:
            return None
        try:
            return next(self._notes, None)
        except DataError as error:
            self._result.add(NOTES_FILE, error.place.rpartition(", ")[2], error.found)
            self._notes = None
            return None

    def finish(self) -> None:
        """Compare what was folded with the manifest."""
        result, manifest = self._result, self._result.manifest
        if self._next_note() is not None:
            result.add(NOTES_FILE, f"line {self._cold_rows + 1}", "belongs to no cold row")
        counts = {name: int(self._counts[kind]) for kind, name in KIND_NAMES.items()}
        wrong = [name for name, count in counts.items() if manifest.counts.get(name) != count]
        if wrong:
            found = f"counts {manifest.counts.get(wrong[0])} rows of {wrong[0]}, there are {counts[wrong[0]]}"
            result.add(MANIFEST_FILE, "`counts`", found)
        digest = self._digest.result(
            manifest.symbol, manifest.session, self._instruments, manifest.conditions, manifest.exchanges
        )
        if digest != manifest.rows_digest:
            result.add(MANIFEST_FILE, "`rows_digest`", "differs from the digest of the decoded rows")


@contextlib.contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Send the process's stderr nowhere meanwhile, also what native threads write."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
