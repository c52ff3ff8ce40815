"""Room on the disk for sealing, set aside while a recording grows.

A recording becomes a tape beside itself, so a disk that is full to the last byte would leave rows and no tape. A
file of the recording's own size holds the place and goes when its time has come, or when the disk is full: then the
last rows are written and the tape is made where it was.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Final

from scalpcli.errors import DataError
from scalpcli.runtime.segment_file import list_segments

_NAME: Final = "room"
_AT_LEAST: Final = 1 << 20
"""Manifest, contracts, notes and the first row group of a small tape, bytes."""
_AHEAD: Final = 1 << 20
"""Bytes by which the place grows at a time."""


class SealRoom:
    """The place that is held for one recording's tape.

    Args:
        folder: The recording.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _NAME
        self._held_bytes = 0

    def hold(self) -> None:
        """Hold as much as sealing may need by now: a tape takes no more than its segments.

        Raises:
            DataError: the disk has no more.
        """
        needed = sum(_size(path) for path in list_segments(self._folder)) + _AT_LEAST
        if needed <= self._held_bytes:
            return
        wanted = needed + _AHEAD
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, wanted)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(
                f"the disk is full: sealing needs {needed / 1e6:.1f} MB beside the recording "
                f"({(error.strerror or str(error)).lower()})",
                place=f"`{self._folder}`",
                hint="make room (`scalpcli tape prune --keep` removes old tapes) and start again: it goes on "
                "where it ended",
            ) from None
        self._held_bytes = wanted

    def release(self) -> None:
        """Give the place back, to the last rows and to the tape."""
        release_room(self._folder)
        self._held_bytes = 0


def release_room(folder: Path) -> None:
    """Give back what a recording held, also one that a crash left."""
    with contextlib.suppress(OSError):
        (folder / _NAME).unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
