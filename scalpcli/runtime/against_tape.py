"""Rows of a live run, from its sealed tape or from the recording that a crash left.

Decides which of the two is read, and what of it the comparison with the simulated broker needs beside the rows:
when entries were made at all, and the quotes that stood when live orders filled. Leaves playing them to `against.py`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.core.layout import NEVER_NS
from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import LIVE, Note
from scalpcli.model.row import (
    CHANNEL_OPTION_QUOTES,
    COLD,
    COLUMNS,
    ENGINE_COLUMNS,
    GAP,
    GAP_BEGIN,
    GAP_END,
    OPTION_QUOTE,
    RowBatch,
)
from scalpcli.model.session import Session
from scalpcli.runtime.recording import symbol_folder
from scalpcli.runtime.seal import recording_folder
from scalpcli.runtime.segment_file import list_segments
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import Tape

TAPE_FOLDER: Final = "tape"
"""Where a live run keeps what it recorded, in its own folder."""


@dataclass(slots=True)
class RunTape:
    """What a live run recorded, to be folded once.

    Attributes:
        place: The tape's or the recording's folder.
        instruments: By `instrument_id`, the underlying first.
        is_sealed: Whether it is a tape; otherwise what a process left that did not end in order.
        is_synthetic: Whether the rows were made up.
        processes: Processes that wrote it: more than one after a restart.
        damage: What of it cannot be read, in words.
        rows: Rows handed out so far.
        last_ns: Receive time of the last of them.
    """

    place: Path
    instruments: tuple[Instrument, ...]
    is_sealed: bool
    is_synthetic: bool
    processes: int
    damage: tuple[str, ...]
    source: Tape | SegmentReader
    rows: int = 0
    last_ns: int = 0
    _notes: deque[Note] = field(default_factory=deque)
    _noted: int = 0

    def batches(self, rows_max: int) -> Iterator[RowBatch]:
        """The rows in order.

        Args:
            rows_max: Rows of a batch, about: frames of a recording stay whole.

        Raises:
            DataError: they cannot be read.
        """
        if isinstance(self.source, Tape):
            self._notes.extend(self.source.notes())
        for columns in self._columns(rows_max):
            batch = RowBatch.from_columns(dict(columns))
            if len(batch.ts_recv_ns):
                self.rows += len(batch.ts_recv_ns)
                self.last_ns = int(batch.ts_recv_ns[-1])
                yield batch

    def notes(self) -> Iterator[Note]:
        """Cold rows, each once its marker was handed out by `batches`."""
        while self._notes:
            yield self._notes.popleft()

    def _columns(self, rows_max: int) -> Iterator[Mapping[str, NDArray[Any]]]:
        if isinstance(self.source, Tape):
            yield from self.source.batches(rows_max)
            return
        # A frame holds what came within milliseconds: one at a time they would take minutes.
        waiting: list[Block] = []
        rows = 0
        for item in self.source.blocks():
            if isinstance(item, Block):
                self._take_notes(item)
                waiting.append(item)
                rows += item.rows
            if rows >= rows_max:
                yield _joined(waiting)
                waiting, rows = [], 0
        yield _joined(waiting)

    def _take_notes(self, block: Block) -> None:
        times = block.columns["ts_recv_ns"][block.columns["kind"] == COLD]
        for time_ns, (kind, body) in zip(times, block.notes, strict=True):
            self._notes.append(Note(self._noted, int(time_ns), kind, body))
            self._noted += 1


def _joined(blocks: list[Block]) -> Mapping[str, NDArray[Any]]:
    if not blocks:
        return {name: np.zeros(0, COLUMNS[name]) for name in ENGINE_COLUMNS}
    return {name: np.concatenate([block.columns[name] for block in blocks]) for name in ENGINE_COLUMNS}


def open_tape(folder: Path, symbol: str, session: Session) -> RunTape:
    """The tape of a live run, or its unsealed recording.

    Args:
        folder: The run.
        symbol: Its underlying.
        session: Its session.

    Raises:
        DataError: there is neither, or it cannot be read.
    """
    root = folder / TAPE_FOLDER
    recording = recording_folder(root, symbol, session.date)
    if recording.is_dir() and list_segments(recording):
        # Beside a tape that was sealed early, the recording is the longer one.
        return _recorded(recording, symbol)
    path = symbol_folder(root, symbol) / session.date.isoformat()
    if not path.exists():
        raise DataError(
            "the run has no tape",
            place=f"`{path}`",
            hint="a live run records its own; restore the folder `tape` of the run from a copy",
        )
    tape = Tape.open(path)
    found = tape.manifest.source
    lost = [f"{found[name]} rows {words}" for name, words in _LOST.items() if found.get(name)]
    restarts = found.get("restarts", 0)
    return RunTape(
        tape.path,
        tape.instruments,
        is_sealed=True,
        is_synthetic=tape.manifest.synthetic,
        processes=1 + (restarts if isinstance(restarts, int) else 0),
        damage=tuple(lost),
        source=tape,
    )


_LOST: Final = {"rows_lost": "were lost", "rows_left_out": "were left out when it was sealed"}


def _recorded(recording: Path, symbol: str) -> RunTape:
    reader = SegmentReader(recording)
    known = reader.continuation().instruments
    return RunTape(
        recording,
        (Instrument(0, symbol), *known),
        is_sealed=False,
        is_synthetic=bool(reader.header.get("synthetic", False)),
        processes=max(1, reader.processes),
        damage=tuple(f"{each.found} (`{each.file}`, byte {each.offset})" for each in reader.damage),
        source=reader,
    )


@dataclass(slots=True)
class Windows:
    """Follows the `live` notes of a tape: between which times entries were made.

    Attributes:
        idle: From and until when none were, UTC nanoseconds; the first one begins before every row.
    """

    idle: list[tuple[int, int]] = field(default_factory=list)
    _since_ns: int | None = 0

    def take(self, note: Note) -> None:
        """Follow one note; those of other kinds change nothing."""
        if note.kind != LIVE:
            return
        if note.body["phase"] == "begins" and self._since_ns is not None:
            self.idle.append((self._since_ns, note.ts_recv_ns))
            self._since_ns = None
        elif note.body["phase"] == "pauses" and self._since_ns is None:
            self._since_ns = note.ts_recv_ns

    def close(self, end_ns: int) -> None:
        """Let the last window end."""
        if self._since_ns is not None:
            self.idle.append((self._since_ns, end_ns))
            self._since_ns = None


class QuotesOf:
    """Keeps the quotes of some contracts while their rows pass, to be asked afterwards.

    Args:
        instrument_ids: Whose quotes are kept; a few contracts of a session, so a few hundred thousand rows at most.
        is_received: Whether times that are asked for are receive times, as a simulated broker's are; otherwise they
            are the market's.
    """

    def __init__(self, instrument_ids: set[int], *, is_received: bool) -> None:
        self._is_received = is_received
        self._wanted = np.array(sorted(instrument_ids), np.int64)
        self._parts: list[tuple[NDArray[Any], ...]] = []
        self._blind: list[list[int]] = []
        self._sorted: dict[int, tuple[NDArray[Any], ...]] | None = None

    def take(self, batch: RowBatch) -> None:
        """Keep what a batch holds of them, and when no quote could be seen."""
        is_gap = (batch.kind == GAP) & (batch.size & CHANNEL_OPTION_QUOTES != 0)
        for row in np.flatnonzero(is_gap):
            self._follow_gap(int(batch.flags[row]), int(batch.ts_event_ns[row]), int(batch.ts_recv_ns[row]))
        is_wanted = (batch.kind == OPTION_QUOTE) & np.isin(batch.instrument_id, self._wanted)
        if is_wanted.any():
            times_ns = batch.ts_recv_ns if self._is_received else batch.ts_event_ns
            columns = (batch.instrument_id, times_ns, batch.price_e4, batch.ask_e4)
            self._parts.append(tuple(column[is_wanted] for column in columns))

    def _follow_gap(self, flags: int, start_ns: int, now_ns: int) -> None:
        if flags & GAP_BEGIN:
            self._blind.append([start_ns, now_ns if flags & GAP_END else NEVER_NS])
        elif self._blind:
            self._blind[-1][1] = now_ns

    def at(self, instrument_id: int, time_ns: int) -> tuple[int, int] | None:
        """Bid and ask that stood at a time, 1/10000 USD; nothing where none had come since the tape last was blind."""
        if self._sorted is None:
            self._sorted = self._by_instrument()
        if instrument_id not in self._sorted:
            return None
        times, bids, asks = self._sorted[instrument_id]
        place = int(np.searchsorted(times, time_ns, side="right")) - 1
        seen_ns = max((end_ns for start_ns, end_ns in self._blind if start_ns <= time_ns), default=0)
        if place < 0 or not seen_ns <= times[place] <= time_ns:
            return None
        return int(bids[place]), int(asks[place])

    def _by_instrument(self) -> dict[int, tuple[NDArray[Any], ...]]:
        if not self._parts:
            return {}
        numbers, times, bids, asks = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        found: dict[int, tuple[NDArray[Any], ...]] = {}
        for instrument_id in self._wanted:
            own = np.flatnonzero(numbers == instrument_id)
            if len(own):
                # In the clock's order; of one time, the last that came stands.
                own = own[np.argsort(times[own], kind="stable")]
                found[int(instrument_id)] = (times[own], bids[own], asks[own])
        return found
