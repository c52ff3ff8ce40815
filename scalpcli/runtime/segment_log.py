"""Writes a recording in progress: rows reach the operating system in whole frames, or not at all.

Decides when rows are safe and where they lie: `FOLDER/000001.log` and on, a new file after each restart, size,
time limit or error; a file that was closed is never written again. What `flush` returned survives the death of
this process, what `sync` returned that of the machine. Leaves the bytes to `segment_format.py`.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np
import zstandard

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams
from scalpcli.model.row import COLD, COLUMNS
from scalpcli.runtime import clock
from scalpcli.runtime.segment_file import HEADER_FILE, SegmentFile, list_segments, own_folder, refused
from scalpcli.runtime.segment_format import (
    BEGIN,
    END,
    FRAME_ROWS_MAX,
    NAMES,
    ROWS,
    Continuation,
    Names,
    pack_frame,
    pack_rows,
)
from scalpcli.runtime.tape_rules import as_tape_types

_HEADER_KEYS: Final = ("symbol", "session", "feeds")
_COMPRESSION_LEVEL: Final = 3
_BYTES_PER_MB: Final = 1_000_000
_S_PER_MIN: Final = 60.0
_PENDING_BYTES_MAX: Final = 4 << 20
"""Rows that nobody flushed are flushed beyond this, so that memory stays bounded."""
_UNSYNCED_BYTES_MAX: Final = 32 << 20
"""Bytes kept to be written again should the disk report that it lost them."""


class SegmentWriter:
    """A recording being written by this process, and by no other at the time.

    `append` belongs to one thread; `flush`, `sync` and `close` may run in another beside it.

    Args:
        folder: Folder of the recording, like `ROOT/TSLA/.2026-11-20.recording`; made when missing.
        params: When a segment ends and when the disk is waited for (`segment_mb`, `segment_minutes`, `fsync`,
            `fsync_s`).
        header: What the tape will say: `symbol`, `session` (`YYYY-MM-DD`) and `feeds`, and where they apply
            `synthetic` and `source`, a mapping that goes into the manifest.
        continuation: Where the recording ends that lies in `folder`; nothing in a new one.
        seconds: A clock that only goes forward, seconds.

    Raises:
        DataError: the folder cannot be written, is being written by another process, or holds a recording
            that is not continued; the header misses a key.
    """

    def __init__(
        self,
        folder: Path,
        params: RecordParams,
        header: Mapping[str, Any],
        *,
        continuation: Continuation | None = None,
        seconds: Callable[[], float] = clock.seconds,
    ) -> None:
        self.folder = Path(folder)
        self._params = params
        self._seconds = seconds
        self._header = dict(header)
        missing = [key for key in _HEADER_KEYS if key not in header]
        if missing:
            raise DataError(f"the header of the recording has no `{missing[0]}`", place=f"`{self.folder}`")
        self._names = continuation.names() if continuation else Names()
        self._recording_id = continuation.recording_id if continuation else os.urandom(8).hex()
        self._process = continuation.processes + 1 if continuation else 1
        self._rows = continuation.rows if continuation else 0
        self._last_ns = continuation.last_ts_recv_ns if continuation else 0
        self._rows_written = self._rows
        self._compress_rows = zstandard.ZstdCompressor(level=_COMPRESSION_LEVEL).compress
        self._pending: list[tuple[int, bytes]] = []
        self._pending_bytes = 0
        self._unsynced: list[bytes] = []
        self._unsynced_bytes = 0
        self._file: SegmentFile | None = None
        self._began_s = self._synced_s = seconds()
        self._closed = False
        self._pending_lock = threading.Lock()
        self._file_lock = threading.RLock()
        self._folder_lock = own_folder(self.folder)
        try:
            self._prepare_folder(continuation)
        except BaseException:
            self._folder_lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abandon()

    @property
    def rows(self) -> int:
        """Rows of the recording so far, those of earlier processes among them."""
        return self._rows

    def append(self, block: Block) -> None:
        """Add what was learned since the last block; it is safe only after `flush`.

        Raises:
            DataError: a column is missing or does not fit, receive time falls, notes and cold rows do not match,
                or a contract's number is out of turn: nothing of the block is taken. Where more is waiting than
                memory should hold it is flushed, with the errors of `flush`; then the block was taken.
        """
        place = f"`{self.folder}`"
        columns, wrong = as_tape_types(block.columns)
        if wrong:
            raise DataError(wrong, place=place)
        recv_ns = columns["ts_recv_ns"]
        if len(recv_ns) and (recv_ns[0] < self._last_ns or (recv_ns[1:] < recv_ns[:-1]).any()):
            raise DataError(f"`ts_recv_ns` falls after row {self._rows}; it never may", place=place)
        cold = columns["kind"] == COLD
        if np.count_nonzero(cold) != len(block.notes):
            found = f"the block has {np.count_nonzero(cold)} cold rows and {len(block.notes)} notes"
            raise DataError(found, place=place, hint="the k-th cold row of a block pairs with its k-th note")
        new = self._names.new_of(block, place)
        names = [(self._rows, self._frame(NAMES, new.to_plain()))] if new else []
        frames, rows, noted = [*names], self._rows, 0
        for begin in range(0, len(recv_ns), FRAME_ROWS_MAX):
            part = {name: columns[name][begin : begin + FRAME_ROWS_MAX] for name in COLUMNS}
            cold_rows = int(np.count_nonzero(cold[begin : begin + FRAME_ROWS_MAX]))
            payload = self._compress_rows(pack_rows(part, block.notes[noted : noted + cold_rows]))
            count, last_ns = len(part["kind"]), int(part["ts_recv_ns"][-1])
            frame = pack_frame(ROWS, payload, self._process, rows=count, first_row=rows, last_ns=last_ns)
            rows, noted = rows + count, noted + cold_rows
            frames.append((rows, frame))
        # Again behind them: rows whose contract nobody can name any more would be lost with one damaged place.
        frames += [(rows, frame) for _, frame in names]
        with self._pending_lock:
            self._names.update(new)
            self._rows = rows
            self._last_ns = int(recv_ns[-1]) if len(recv_ns) else self._last_ns
            self._pending += frames
            self._pending_bytes += sum(len(frame) for _, frame in frames)
        if self._pending_bytes > _PENDING_BYTES_MAX:
            self.flush()

    def flush(self) -> int:
        """Hand all appended rows to the operating system, and wait for the disk where `fsync` says so.

        Returns:
            Rows of the recording that are with the operating system: they survive `kill -9` of this process.

        Raises:
            DataError: the disk refuses. What was flushed before stays readable; what was not is kept, and tried
                again in a new segment at the next call.
        """
        with self._file_lock:
            self._write_pending()
            policy = self._params.fsync
            is_due = policy == "interval" and self._seconds() - self._synced_s >= self._params.fsync_s
            if policy == "always" or is_due or self._unsynced_bytes > _UNSYNCED_BYTES_MAX:
                self._sync()
            return self._rows_written

    def hand_over(self) -> int:
        """Hand all appended rows to the operating system and wait for no disk, whatever `fsync` says: an order waits.

        Returns:
            As `flush`.

        Raises:
            DataError: as `flush`.
        """
        with self._file_lock:
            self._write_pending()
            return self._rows_written

    def sync(self) -> int:
        """Have all appended rows on the disk itself before going on, whatever `fsync` says.

        Returns:
            Rows of the recording that are on disk: they survive power loss.

        Raises:
            DataError: the disk refuses.
        """
        with self._file_lock:
            self._write_pending()
            self._sync()
            return self._rows_written

    def close(self, summary: Mapping[str, Any] | None = None) -> None:
        """Flush, say that recording ended in order, and wait for the disk. A second call does nothing.

        Args:
            summary: What was counted, like `duplicates` and `dropped`; the manifest adds up its numbers.

        Raises:
            DataError: the disk refuses; the file is closed nevertheless.
        """
        with self._file_lock:
            if self._closed:
                return
            try:
                with self._pending_lock:
                    ended = self._frame(END, {"rows": self._rows, **(summary or {})})
                    self._pending.append((self._rows, ended))
                self._write_pending()
                self._sync()
            finally:
                self.abandon()

    def abandon(self) -> None:
        """Close the file as it is, without a word about the end; rows not flushed are lost."""
        with self._file_lock:
            if not self._closed:
                self._closed = True
                self._leave_segment()
                self._folder_lock.release()

    def _prepare_folder(self, continuation: Continuation | None) -> None:
        if continuation is None and list_segments(self.folder):
            raise DataError(
                "there is a recording already",
                place=f"`{self.folder}`",
                hint="go on with it, or seal it first: `scalpcli record repair`",
            )
        path = self.folder / HEADER_FILE
        text = json.dumps(self._about(), indent=2, ensure_ascii=False)
        try:
            draft = path.with_suffix(".new")
            draft.write_text(text + "\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            raise refused(error, path) from None

    def _frame(self, kind: int, value: Mapping[str, Any]) -> bytes:
        # A compressor of its own: rows are compressed by the thread that appends, at the same time, and one compressor
        # in two threads gives bytes that nobody can read.
        payload = zstandard.compress(json.dumps(value, ensure_ascii=False).encode(), _COMPRESSION_LEVEL)
        return pack_frame(kind, payload, self._process, first_row=self._rows, last_ns=self._last_ns)

    def _write_pending(self) -> None:
        with self._pending_lock:
            taken, self._pending = self._pending, []
            self._pending_bytes = 0
        if not taken:
            return
        data = b"".join(frame for _, frame in taken)
        try:
            if self._is_full():
                self._sync()
                self._leave_segment()
            self._write(data)
        except BaseException:
            with self._pending_lock:
                self._pending = taken + self._pending
                self._pending_bytes += len(data)
            raise
        self._rows_written = taken[-1][0]
        if self._params.fsync != "never":
            self._unsynced.append(data)
            self._unsynced_bytes += len(data)

    def _is_full(self) -> bool:
        if self._file is None:
            return False
        is_large = self._file.size >= self._params.segment_mb * _BYTES_PER_MB
        return is_large or self._seconds() - self._began_s >= self._params.segment_minutes * _S_PER_MIN

    def _write(self, data: bytes) -> None:
        """Write whole frames, all or none; after a refusal the next call tries a new segment."""
        if self._closed:
            raise DataError("the recording is closed", place=f"`{self.folder}`")
        begin = b""
        if self._file is None:
            self._file = SegmentFile(self.folder, is_synced=self._params.fsync != "never")
            self._began_s = self._seconds()
            begin = self._begin_frame()
        try:
            self._file.write(begin + data)
        except DataError:
            self._file = None
            raise

    def _about(self) -> dict[str, Any]:
        params = self._params
        return {
            "header": self._header,
            "recording_id": self._recording_id,
            "flush_ms": params.flush_ms,
            "fsync": params.fsync,
            "fsync_s": params.fsync_s,
        }

    def _begin_frame(self) -> bytes:
        with self._pending_lock:
            names = self._names.to_plain()
        return self._frame(BEGIN, {**self._about(), "names": names})

    def _leave_segment(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _sync(self) -> None:
        """Wait for the disk.

        Whether bytes are on disk cannot be told after an error, nor by asking once more: the file is left as it
        is, and everything since the last success is written again to a new one. A reader skips the copies.
        """
        if self._file is None:
            return
        failed = self._sync_failure(self._file)
        if failed is not None:
            if not self._unsynced:
                raise failed
            self._write(b"".join(self._unsynced))
            again = self._sync_failure(self._file)
            if again is not None:
                raise again
        self._unsynced.clear()
        self._unsynced_bytes = 0
        self._synced_s = self._seconds()

    def _sync_failure(self, file: SegmentFile) -> DataError | None:
        try:
            file.sync()
        except OSError as error:
            self._file = None
            return refused(error, file.path)
        return None
