"""Reads a recording in progress, also one that a crash or a bad disk left, and says what is missing.

Decides what of a recording can be trusted: whole frames whose checksums hold, in the order of their row numbers.
After damage it goes on at the next frame; a damaged row is never handed out. Leaves sealing to `seal.py`.
"""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import zstandard
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import COLUMNS
from scalpcli.runtime.segment_file import HEADER_FILE, list_segments
from scalpcli.runtime.segment_format import (
    BEGIN,
    END,
    HEADER_BYTES,
    MAGIC,
    NAMES,
    ROWS,
    VERSION,
    Continuation,
    FrameHeader,
    Names,
    unpack_header,
    unpack_rows,
)

LOST_NAME: Final = "lost-{}"
"""Text that stands for a name which damage took."""
TAIL_ROWS: Final = 50_000
"""Last rows that a process which goes on is told: above ten seconds of a busy market."""
_UNPACK_ERRORS: Final = (zstandard.ZstdError, struct.error, ValueError)
_SCAN_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Damage:
    """A place where a recording is not what was written.

    Attributes:
        file: Name of the segment.
        offset: First damaged byte.
        bytes: Bytes that cannot be used.
        rows: Rows lost there; `None` where nothing tells how many.
        found: What is wrong.
    """

    file: str
    offset: int
    bytes: int
    rows: int | None
    found: str


@dataclass(frozen=True, slots=True)
class Break:
    """Between two blocks something is missing, or may be.

    Attributes:
        rows: Rows known to be lost.
        restarted: Whether another process goes on after it.
        ended: Whether nothing follows, and the recorder did not say that it stopped.
    """

    rows: int
    restarted: bool = False
    ended: bool = False

    @property
    def cause(self) -> str:
        """The cause in words, for a gap row."""
        lost = f"; {self.rows} rows lost" if self.rows else ""
        if self.ended:
            return f"recorder stopped without an end{lost}"
        return f"recorder restarted{lost}" if self.restarted else f"recording damaged{lost}"


@dataclass(frozen=True, slots=True)
class _Frame:
    file: str
    offset: int
    header: FrameHeader
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Copy:
    """Rows that were read before: the disk failed to confirm them, so the writer wrote them once more."""

    rows: int


@dataclass(frozen=True, slots=True)
class _Fault:
    """Why no frame can be read at a place: rows it held where known, and words for the middle and the end of a file."""

    rows: int | None
    found: str
    at_end: str


@dataclass(slots=True)
class _Survey:
    """What the first pass over a recording finds."""

    begins: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    damage: list[Damage] = field(default_factory=list)
    names: Names = field(default_factory=Names)
    processes: int = 0
    rows: int = 0
    rows_read: int = 0
    repeated: int = 0
    last_ns: int = 0
    is_complete: bool = False
    tail: deque[_Frame] = field(default_factory=deque)
    tail_rows: int = 0


class SegmentReader:
    """A recording's segments, surveyed when opened: every byte is read and checked once.

    Attributes:
        folder: The recording's folder.
        segments: Its files, oldest first.
        header: What its latest readable segment says about itself.
        recording_id: What tells it from every other recording.
        settings: `flush_ms`, `fsync` and `fsync_s` it was written with.
        names: Contracts and texts of codes; after damage some numbers may be missing.
        damage: Every place that is not what was written.
        summaries: What each process that stopped in order counted.
        processes: Processes that wrote into it.
        rows: Rows it was given, lost ones among them where later ones tell.
        rows_read: Rows that can be read.
        repeated: Rows that stand there twice, since the disk failed to confirm the first copy; read once.
        last_ts_recv_ns: Receive time of the last readable row; 0 where there is none.
        is_complete: Whether the recorder stopped in order, and nothing follows.

    Raises:
        DataError: the folder is no recording, cannot be read, or a newer version wrote it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.segments = list_segments(self.folder)
        if not self.segments:
            raise DataError(
                "there is no recording",
                place=f"`{self.folder}`",
                hint="a recording is a folder with segments like `000001.log`",
            )
        found = self._survey()
        latest = found.begins[-1] if found.begins else _header_file(self.folder / HEADER_FILE)
        self.header: dict[str, Any] = latest["header"]
        self.recording_id: str = latest["recording_id"]
        self.settings = {name: latest[name] for name in ("flush_ms", "fsync", "fsync_s")}
        self.names = found.names
        self.damage = found.damage
        self.summaries = found.ends
        self.processes = found.processes
        self.rows = found.rows
        self.rows_read = found.rows_read
        self.repeated = found.repeated
        self.last_ts_recv_ns = found.last_ns
        self.is_complete = found.is_complete
        self._tail = found.tail

    def blocks(self) -> Iterator[Block | Break]:
        """The rows in order, a frame at a time, and every break between them.

        A block carries its columns and notes; what its numbers stand for is in `names`.

        Raises:
            DataError: while iterating: a segment cannot be read any more, or is not what this version writes.
        """
        decompress = zstandard.ZstdDecompressor().decompress
        for item in self._walk():
            if isinstance(item, Break):
                yield item
            elif isinstance(item, _Frame) and item.header.kind == ROWS:
                try:
                    columns, notes = unpack_rows(decompress(item.payload), item.header.rows)
                except _UNPACK_ERRORS:
                    # The disk did its part: these bytes were written. Whoever wrote them was at fault.
                    self._report_unreadable(item)
                    yield Break(item.header.rows)
                    continue
                yield Block(columns, tuple(notes))
        if not self.is_complete:
            yield Break(0, ended=True)

    def _report_unreadable(self, frame: _Frame) -> None:
        header = frame.header
        found = "the checksum of a frame holds, and its rows cannot be unpacked"
        damage = Damage(frame.file, frame.offset, HEADER_BYTES + header.length, header.rows, found)
        if damage not in self.damage:
            self.damage.append(damage)

    def continuation(self) -> Continuation:
        """Where another process goes on."""
        names = self.names
        numbers = range(1, max(names.instruments, default=0) + 1)
        return Continuation(
            header=self.header,
            recording_id=self.recording_id,
            instruments=tuple(
                names.instruments.get(number) or Instrument(number, LOST_NAME.format(number)) for number in numbers
            ),
            conditions=_filled(names.conditions),
            exchanges=_filled(names.exchanges),
            last_ts_recv_ns=self.last_ts_recv_ns,
            rows=self.rows,
            processes=self.processes,
            tail=self._tail_rows(),
        )

    def _tail_rows(self) -> dict[str, NDArray[Any]]:
        decompress = zstandard.ZstdDecompressor().decompress
        parts = [{name: np.zeros(0, dtype) for name, dtype in COLUMNS.items()}]
        for frame in self._tail:
            with contextlib.suppress(*_UNPACK_ERRORS):
                parts.append(unpack_rows(decompress(frame.payload), frame.header.rows)[0])
        return {name: np.concatenate([part[name] for part in parts]) for name in COLUMNS}

    def _survey(self) -> _Survey:
        found = _Survey()
        decompress = zstandard.ZstdDecompressor().decompress
        # Damage since the last readable row: how many rows it took, only the next row's number may tell.
        untold: list[int] = []
        for item in self._walk():
            if isinstance(item, Damage):
                untold.append(len(found.damage))
                found.damage.append(item)
                found.is_complete = False
            elif isinstance(item, Break):
                if not item.restarted:
                    _tell(found.damage, untold, item.rows)
                untold = []
            elif isinstance(item, _Copy):
                found.repeated += item.rows
            else:
                if item.header.kind == ROWS:
                    _tell(found.damage, untold, 0)
                    untold = []
                _fold(found, item, decompress)
        return found

    def _walk(self) -> Iterator[_Frame | _Copy | Damage | Break]:
        """Frames in order, with what is wrong between them."""
        rows, process = 0, 0
        numbers = [int(path.stem) for path in self.segments]
        for path, number, previous in zip(self.segments, numbers, [0, *numbers], strict=False):
            if number != previous + 1:
                yield Damage(path.name, 0, 0, None, "the segment before it is missing")
            for item in _frames(path):
                if isinstance(item, _Frame) and item.header.kind == ROWS:
                    header = item.header
                    if header.process != process and process:
                        yield Break(max(0, header.first_row - rows), restarted=True)
                    elif header.first_row < rows:
                        yield _Copy(header.rows)
                        continue
                    elif header.first_row > rows:
                        yield Break(header.first_row - rows)
                    rows, process = header.first_row + header.rows, header.process
                elif isinstance(item, _Frame) and item.header.kind == END and item.header.first_row > rows:
                    # No later row would tell that the last ones are lost.
                    yield Break(item.header.first_row - rows)
                    rows = item.header.first_row
                yield item


def _header_file(path: Path) -> dict[str, Any]:
    """What the recording says about itself, for want of a segment that does."""
    try:
        value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise DataError(
            "no segment says what it holds, and neither can this file be read",
            place=f"`{path}`",
            hint="restore the folder from a copy",
        ) from None
    return value


def _fold(found: _Survey, frame: _Frame, decompress: Callable[[bytes], bytes]) -> None:
    header = frame.header
    found.is_complete = header.kind == END
    found.processes = max(found.processes, header.process)
    if header.kind == ROWS:
        found.rows = header.first_row + header.rows
        found.rows_read += header.rows
        found.last_ns = header.last_ns
        found.tail.append(frame)
        found.tail_rows += header.rows
        while found.tail_rows - found.tail[0].header.rows >= TAIL_ROWS:
            found.tail_rows -= found.tail.popleft().header.rows
        return
    value = json.loads(decompress(frame.payload))
    if header.kind == BEGIN:
        found.begins.append(value)
        found.names.update(Names.from_plain(value["names"]))
    elif header.kind == NAMES:
        found.names.update(Names.from_plain(value))
    else:
        found.ends.append(value)


def _tell(damage: list[Damage], untold: list[int], lost: int) -> None:
    """Say of damage how many rows it took, where `lost` rows between two readable ones leave one answer."""
    unknown = [index for index in untold if damage[index].rows is None]
    known = sum(damage[index].rows or 0 for index in untold)
    if len(unknown) == 1 or lost == 0:
        for index in unknown:
            damage[index] = replace(damage[index], rows=max(0, lost - known))


def _filled(texts: dict[int, str]) -> tuple[str, ...]:
    return tuple(texts.get(code, LOST_NAME.format(code)) for code in range(1, max(texts, default=0) + 1))


def _frames(path: Path) -> Iterator[_Frame | Damage]:
    """The whole frames of one file, and each stretch between them."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            at = 0
            while at < size:
                item = _frame_at(file, at, size)
                if isinstance(item, _Frame):
                    yield item
                    at += HEADER_BYTES + item.header.length
                    continue
                # Where bytes were lost rather than changed, the next frame lies before this one's stated end.
                after = _next_header(file, at + 1, size)
                yield Damage(path.name, at, after - at, item.rows, item.found if after < size else item.at_end)
                at = after
    except OSError as error:
        raise DataError(f"the segment cannot be read: {error.strerror}", place=f"`{path}`") from None


def _frame_at(file: IO[bytes], at: int, size: int) -> _Frame | _Fault:
    file.seek(at)
    header = unpack_header(file.read(HEADER_BYTES))
    if header is None:
        cut = "a frame is cut off in its header" if size - at < HEADER_BYTES else "no frame begins here"
        return _Fault(None, "no frame begins here", cut)
    if header.version > VERSION:
        raise DataError(
            f"the segment has version {header.version}; this scalpcli reads up to {VERSION}",
            place=f"`{file.name}`",
            hint="use the version that recorded it, or a later one",
        )
    payload = file.read(header.length)
    rows = header.rows if header.kind == ROWS else 0
    if len(payload) < header.length:
        return _Fault(rows, "a frame is cut off", "a frame is cut off by the end of the file")
    if zlib.crc32(payload) != header.crc32:
        return _Fault(rows, "the checksum of a frame is wrong", "the checksum of the last frame is wrong")
    return _Frame(Path(file.name).name, at, header, payload)


def _next_header(file: IO[bytes], at: int, size: int) -> int:
    """Where the next frame with a sound header begins; the end of the file where there is none."""
    while at < size:
        file.seek(at)
        data = file.read(_SCAN_BYTES)
        found = data.find(MAGIC)
        while found >= 0 and found + HEADER_BYTES <= len(data):
            if unpack_header(data[found : found + HEADER_BYTES]) is not None:
                return at + found
            found = data.find(MAGIC, found + 1)
        # Whatever could be the beginning of a header at the end of the piece is looked at again.
        at += len(data) - HEADER_BYTES + 1 if at + len(data) < size else len(data)
    return size
