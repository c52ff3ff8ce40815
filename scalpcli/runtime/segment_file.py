"""One segment on disk: whole pieces are written to it, or nothing of them.

Decides how bytes reach the operating system, what a refusal of the disk is called, and that one process at a time
owns a recording. Leaves what is written, and when, to `segment_log.py`.
"""

from __future__ import annotations

import contextlib
import errno
import os
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from scalpcli.errors import DataError

HEADER_FILE: Final = "recording.json"
"""What the recording says about itself; each segment says it too."""
LOCK_FILE: Final = ".lock"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SegmentFile:
    """The newest segment of a folder, numbered on from those that are there; never one that was there.

    Args:
        folder: Folder of the recording.
        is_synced: Whether the disk is to know of the new file at once.

    Raises:
        DataError: the disk refuses.
    """

    def __init__(self, folder: Path, *, is_synced: bool) -> None:
        segments = list_segments(folder)
        number = int(segments[-1].stem) + 1 if segments else 1
        self.path = folder / f"{number:06d}.log"
        self.size = 0
        self._descriptor: int | None = None
        try:
            self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
            if is_synced:
                _sync_folder(folder)
        except OSError as error:
            self._cut()
            raise refused(error, self.path) from None

    def write(self, data: bytes) -> None:
        """Write all of `data`, past Python's buffers.

        Raises:
            DataError: the disk refuses; the file ends where it ended before, and is closed.
        """
        assert self._descriptor is not None
        try:
            _write_all(self._descriptor, data)
        except OSError as error:
            self._cut()
            raise refused(error, self.path) from None
        self.size += len(data)

    def sync(self) -> None:
        """Wait until the disk has everything.

        Raises:
            OSError: nobody can tell what is on disk; the file is closed and must not be relied on.
        """
        assert self._descriptor is not None
        try:
            os.fdatasync(self._descriptor)
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Close it as it is."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            # Some file systems report here what `fdatasync` was asked for already.
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _cut(self) -> None:
        """Take the beginning of an unfinished piece away, and close; a reader tells it from a frame in any case."""
        if self._descriptor is None:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, self.size)
            if not self.size:
                self.path.unlink()
        self.close()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        # A full disk answers with a short count first, and only then with an error.
        written = os.write(descriptor, rest)
        if written <= 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def list_segments(folder: Path) -> list[Path]:
    """Segments of a recording, oldest first."""
    return sorted(path for path in folder.glob("*.log") if path.stem.isdigit())


def own_folder(folder: Path) -> FileLock:
    """Lock a recording for this process until `release`; its folder is made when missing.

    Raises:
        DataError: another process writes or seals it, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK_FILE, timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        raise DataError(
            "another process is writing or sealing this recording",
            place=f"`{folder}`",
            hint="wait until it is done; the lock goes with its process",
        ) from None
    except OSError as error:
        raise refused(error, folder) from None
    return lock


def refused(error: OSError, path: Path) -> DataError:
    """What to tell of a disk that does not take, or give, what belongs at `path`."""
    if error.errno in _FULL:
        hint = "free space; `scalpcli record repair` then seals what is there"
        return DataError("the disk is full", place=f"`{path}`", hint=hint)
    return DataError(f"the disk refuses: {error.strerror}", place=f"`{path}`", hint="check the disk and its rights")


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
