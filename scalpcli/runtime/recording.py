"""A day's recording: begun or gone on with, and sealed at its end.

Decides what is at the head of a new recording, that one which a crash, a kill or a restart left is continued under
the same numbers, and what becomes of a recording that ends early. Leaves the loop to `recorder.py` and bytes to
`segment_log.py` and `seal.py`.

A recording that ends at its time is sealed and removed. One that ends early (a signal, an error) is sealed too, but
stays beside its tape, hidden: a start later that day goes on with it, and its tape then replaces the shorter one,
whose rows it begins with. What is left of earlier days is sealed when today's recording has ended.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.params import Params, RecordParams
from scalpcli.model.session import Session
from scalpcli.runtime.context import head_notes, head_rows
from scalpcli.runtime.manifest import MANIFEST_FILE
from scalpcli.runtime.seal import find_recordings, recording_folder, seal_recording
from scalpcli.runtime.segment_file import list_segments
from scalpcli.runtime.segment_format import Continuation
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import find_tapes, read_manifest

Say = Callable[[str], None]
Notes = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Begun:
    """A recording that is being written.

    Attributes:
        folder: Where it lies.
        log: Takes its rows.
        header: What it says about itself.
        continuation: Where it ended before; nothing where it is new.
    """

    folder: Path
    log: SegmentWriter
    header: Mapping[str, Any]
    continuation: Continuation | None


def symbol_folder(root: Path, symbol: str) -> Path:
    """`ROOT/SYMBOL`: tapes, the recording in progress and the lock of a symbol."""
    return Path(root) / symbol.replace("/", ".")


def is_recorded(root: Path, symbol: str, session: Session) -> bool:
    """Whether the session's tape is there and nothing is left to go on with."""
    tape = symbol_folder(root, symbol) / session.date.isoformat()
    folder = recording_folder(root, symbol, session.date)
    return (tape / MANIFEST_FILE).is_file() and not (folder.is_dir() and list_segments(folder))


def begin(root: Path, session: Session, params: RecordParams, header: Mapping[str, Any]) -> Begun:
    """Begin the session's recording, or go on with it.

    Args:
        root: Folder of tapes.
        session: The session.
        params: `[record]`.
        header: `symbol`, `session`, `feeds`, `source` and the like.

    Raises:
        DataError: another process writes it, it is of another feed, it cannot be read, or the disk refuses.
    """
    folder = recording_folder(root, header["symbol"], session.date)
    continuation = None
    if folder.is_dir() and list_segments(folder):
        continuation = SegmentReader(folder).continuation()
        before = continuation.header["feeds"]
        if before != header["feeds"]:
            raise DataError(
                f"today's recording is of {_feeds(before)}, not of {_feeds(header['feeds'])}",
                place=f"`{folder}`",
                hint="record the other feed into a folder of its own with `--out`",
            )
    return Begun(folder, SegmentWriter(folder, params, header, continuation=continuation), header, continuation)


def head_block(notes: Notes, now_ns: int) -> tuple[Block, ...]:
    """The head rows of a recording, received at `now_ns`; none where there is nothing to tell."""
    return (Block(head_rows(len(notes), now_ns), tuple(notes)),) if notes else ()


def earlier_notes(root: Path, symbol: str, session: Session, sessions_max: int, say: Say) -> Notes:
    """Previous levels and the volume profile from earlier tapes of the symbol beside this one.

    A tape that is damaged or tells nothing is left out and named: it must not stop a recording.
    """
    paths = [path for path in find_tapes(symbol_folder(root, symbol)) if _is_earlier(path, session, say)]
    paths = paths[-sessions_max:]
    while paths:
        try:
            return head_notes(paths, symbol=symbol, session=session.date, sessions_max=sessions_max)
        except DataError as error:
            say(f"left out of the head rows: {error.found} ({error.place})")
            good = [path for path in paths if str(path) not in error.place]
            # An error that names no tape of ours would come again and again.
            paths = good if len(good) < len(paths) else []
    return []


def _is_earlier(path: Path, session: Session, say: Say) -> bool:
    try:
        manifest = read_manifest(path)
    except DataError as error:
        say(f"left out of the head rows: {error.found} ({error.place})")
        return False
    return manifest.session < session.date.isoformat() and not manifest.synthetic


def seal(begun: Begun, root: Path, params: Params, *, is_over: bool, is_empty: bool) -> Path | None:
    """Make the tape of a recording whose log is closed.

    Args:
        begun: The recording.
        root: Folder of tapes.
        params: All settings.
        is_over: Whether it ended at its time, so that nothing will go on with it.
        is_empty: Whether this run brought no row of the market.

    Returns:
        The tape; nothing where there is none, because there was nothing to record.

    Raises:
        DataError: it cannot be sealed; the recording stays.
    """
    if is_empty and begun.continuation is None:
        # Wrong keys, a wrong plan: nothing happened, so nothing stays that would look like a session.
        shutil.rmtree(begun.folder, ignore_errors=True)
        return None
    return seal_recording(begun.folder, root, params.tape, keep=not is_over)


def seal_earlier(root: Path, symbol: str, session: Session, params: Params, say: Say) -> None:
    """Seal what is left of earlier days; what cannot be sealed is told, and stays."""
    own = symbol_folder(root, symbol)
    for folder in find_recordings(root):
        if folder.parent != own or folder.name >= f".{session.date.isoformat()}":
            continue
        try:
            say(f"sealed what an earlier day left: {seal_recording(folder, root, params.tape)}")
        except DataError as error:
            say(f"{error.found} ({error.place}); {error.hint}")


def bytes_of(folder: Path) -> int:
    """Bytes of a recording's files."""
    total = 0
    for path in list_segments(folder):
        with contextlib.suppress(OSError):
            total += path.stat().st_size
    return total


def _feeds(feeds: Mapping[str, str]) -> str:
    return " and ".join(f"{feed}" for feed in feeds.values())
