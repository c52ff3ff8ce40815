"""Frames as they came over the wire (`record --raw`), for whoever doubts what became of them.

Decides where they lie: `ROOT/SYMBOL/DATE.raw/NNNN.frames.zst`, one file a process. Decompressed (`zstd -dc`), each
record is little-endian: receive stamp (8 bytes, UTC nanoseconds), length of the stream's name (2), length of the
frame (4), the name, the frame. What cannot be kept is counted and left out: rows go first.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, Any, Final

import zstandard

from scalpcli.runtime.segment_log import SegmentWriter

WAITING_BYTES_MAX: Final = 64 << 20
_HEAD: Final = struct.Struct("<qHI")


class RawFrames:
    """Keeps frames; `take` belongs to the event loop, the rest to the writing thread.

    Args:
        folder: Where they go; made at the first frame.
    """

    def __init__(self, folder: Path) -> None:
        self.frames = 0
        self.dropped = 0
        self._folder = folder
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._file: IO[bytes] | None = None
        self._compress = zstandard.ZstdCompressor(level=3).compress

    def take(self, name: str, stamp_ns: int, frame: bytes) -> None:
        """Keep a frame of the stream `name`, received at `stamp_ns`."""
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self.dropped += 1
            return
        text = name.encode()
        self._waiting.append(_HEAD.pack(stamp_ns, len(text), len(frame)) + text + frame)
        self._waiting_bytes += len(frame)

    def write(self) -> None:
        """Write what was taken; a disk that refuses costs these frames, not the recording."""
        taken, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if not taken:
            return
        try:
            if self._file is None:
                self._file = self._create()
            self._file.write(self._compress(b"".join(taken)))
            self._file.flush()
            self.frames += len(taken)
        except OSError:
            self.dropped += len(taken)

    def close(self) -> None:
        """Write the rest and let go."""
        self.write()
        if self._file is not None:
            self._file.close()

    def _create(self) -> IO[bytes]:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1 + sum(1 for _ in self._folder.glob("*.frames.zst"))
        return (self._folder / f"{number:04d}.frames.zst").open("xb")


class RawLog:
    """A recording's log that writes raw frames beside the rows.

    Args:
        log: Takes the rows.
        raw: Takes the frames.
    """

    def __init__(self, log: SegmentWriter, raw: RawFrames) -> None:
        self._log = log
        self._raw = raw
        self.append = log.append
        self.hand_over = log.hand_over
        self.sync = log.sync

    def flush(self) -> None:
        """Rows first."""
        self._log.flush()
        self._raw.write()

    def close(self, summary: Any = None) -> None:
        """Rows first."""
        self._log.close(summary)
        self._raw.close()
