"""Seals a recording: segments in, a tape out, the recording gone last.

Decides how a recording becomes a tape, also one that a crash left: rows stream through `TapeWriter`, what is missing
becomes gap rows, what breaks a rule is left out and told. The tape appears whole; the recording is removed only
after the tape has been read back and checked. An interrupted seal leaves the recording as it was: seal again.
A sealed tape is never changed. One of a recording that was kept, and went on, is replaced as a whole by the longer one.

Gap rows. A recorder that goes on after a restart writes for itself that it was blind. So a gap is added only where
rows are lost, where another process went on, or where the recording stops without an end, and there only for
the channels that no gap row of the recorder's own names before the next market row. One that is added in the middle
has both flags: blind from the last row before to the first one after. The one at the end stays open.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import itertools
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli import __version__
from scalpcli.errors import DataError
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import GAP_CAUSE, NOTE_KINDS
from scalpcli.model.params import TapeParams
from scalpcli.model.row import (
    CHANNEL_PRICE_ONLY,
    CHANNELS_ALL,
    COLD,
    COLUMNS,
    GAP,
    GAP_BEGIN,
    GAP_END,
    STATUS,
)
from scalpcli.runtime.manifest import json_value
from scalpcli.runtime.seal_room import release_room
from scalpcli.runtime.segment_file import own_folder, refused
from scalpcli.runtime.segment_read import LOST_NAME, Break, SegmentReader
from scalpcli.runtime.tape import read_manifest
from scalpcli.runtime.tape_rules import Limits, first_fault
from scalpcli.runtime.tape_verify import verify
from scalpcli.runtime.tape_writer import TapeWriter

_APPEND_ROWS: Final = 65_536
"""Rows handed on at once: rules are checked per piece, and small pieces would cost more than their rows."""
_TOLD_MAX: Final = 100
"""Places of damage, and reasons for leaving rows out, that the manifest lists; it counts all."""
_STREAMS: Final = CHANNELS_ALL & ~CHANNEL_PRICE_ONLY
"""Channels a recorder must name to have said that it was blind; not every feed has single prices."""
LIVE_RUN: Final = "live"
"""`made_by` in the source of a recording whose rows a live run decided on."""
_GAP_CONDITION: Final = "recording"
_REMOVED_SUFFIX: Final = ".removed"

Columns = dict[str, NDArray[Any]]
Notes = list[tuple[str, Mapping[str, Any]]]


def recording_folder(root: Path, symbol: str, session_date: dt.date) -> Path:
    """Where the recording of a session lies until it is sealed: `ROOT/SYMBOL/.YYYY-MM-DD.recording`."""
    return Path(root) / symbol.replace("/", ".") / f".{session_date.isoformat()}.recording"


def seal_recording(recording: Path, root: Path, tape_params: TapeParams, *, keep: bool = False) -> Path:
    """Make a tape of a recording that nobody writes any more, and remove the recording.

    Args:
        recording: Its folder.
        root: Folder of tapes; the tape goes to `ROOT/SYMBOL/YYYY-MM-DD`.
        tape_params: How the tape is laid out.
        keep: Leave the recording where it is.

    Returns:
        The tape's folder. A recording that was sealed before, and only not removed, is removed now.

    Raises:
        DataError: there is no recording or it has no rows; another process writes or seals it; a tape of this
            session exists that was not made of this recording; the disk refuses; the tape is not what was written.
            The recording stays in each case.
    """
    if not recording.is_dir():
        raise DataError("there is no recording", place=f"`{recording}`")
    lock = own_folder(recording)
    release_room(recording)
    try:
        reader = SegmentReader(recording)
        target = _target(reader, root)
        _remove_leftovers(reader, target)
        earlier = _sealed_from(reader, target)
        if earlier != _fingerprint(reader) or verify(target).findings:
            _write_tape(reader, root, tape_params, overwrite=earlier is not None)
            _check(target)
        if not keep:
            _remove(recording)
    except OSError as error:
        raise refused(error, recording) from None
    finally:
        lock.release()
    return target


def find_recordings(root: Path) -> list[Path]:
    """Recordings at `ROOT/SYMBOL` that are not sealed, one being written among them; sorted."""
    return sorted(path for path in Path(root).glob("[!.]*/.*.recording") if path.is_dir())


def _target(reader: SegmentReader, root: Path) -> Path:
    header = reader.header
    return Path(root) / str(header["symbol"]).replace("/", ".") / str(header["session"])


def _remove_leftovers(reader: SegmentReader, target: Path) -> None:
    """Take away what an interrupted seal of this session, or an interrupted removal, left beside the tape."""
    parent, name = target.parent, target.name
    # A tape that stepped aside for its own continuation is only in the way; anybody else's is not ours to remove.
    aside = [folder for folder in parent.glob(f".{name}.old.*") if _sealed_from(reader, folder / name) is not None]
    for folder in (*parent.glob(f".{name}.*.partial"), *parent.glob(f".*{_REMOVED_SUFFIX}"), *aside):
        shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(reader: SegmentReader) -> dict[str, Any]:
    return {
        "id": reader.recording_id,
        "segments": len(reader.segments),
        "bytes": sum(path.stat().st_size for path in reader.segments),
        "rows": reader.rows_read,
    }


def _sealed_from(reader: SegmentReader, target: Path) -> dict[str, Any] | None:
    """The state of this recording that the tape at `target` was made of; nothing where it is another tape, or none."""
    if not target.exists():
        return None
    with contextlib.suppress(DataError):
        sealed = read_manifest(target).source.get("recording")
        now = _fingerprint(reader)
        if isinstance(sealed, dict) and sealed.keys() == now.keys() and sealed["id"] == now["id"]:
            # Segments only ever grow in number: a longer tape than the recording means that some were taken away.
            return sealed if sealed["segments"] <= now["segments"] and sealed["rows"] <= now["rows"] else None
    return None


def _remove(recording: Path) -> None:
    """Remove a recording: from one instant to the next it is none, whatever happens meanwhile."""
    removed = recording.with_name(recording.name + _REMOVED_SUFFIX)
    recording.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def _check(target: Path) -> None:
    findings = verify(target).findings
    if findings:
        first = findings[0]
        raise DataError(
            f"the sealed tape is not what was recorded: `{first.file}` {first.found}",
            place=f"`{target / first.file}`, {first.place}",
            hint="the recording is still there; check the disk, then `scalpcli record repair`",
        )


def _write_tape(reader: SegmentReader, root: Path, tape_params: TapeParams, *, overwrite: bool) -> None:
    header = reader.header
    with TapeWriter(
        root,
        header["symbol"],
        dt.date.fromisoformat(header["session"]),
        params=tape_params,
        synthetic=bool(header.get("synthetic", False)),
        feeds=dict(header["feeds"]),
        source={},
        overwrite=overwrite,
    ) as writer:
        filler = _Filler(reader, writer)
        for item in reader.blocks():
            filler.take(item)
        filler.finish()
        if not writer.rows:
            raise DataError(
                "the recording has no rows",
                place=f"`{reader.folder}`",
                hint="record on, or remove the folder: there is nothing to seal",
            )
        writer.source.update(_source(reader, filler))
        writer.seal()


def _source(reader: SegmentReader, filler: _Filler) -> dict[str, Any]:
    """What the manifest says about where the rows come from, and what is missing."""
    counted: dict[str, int] = {}
    for summary in reader.summaries:
        for name, value in summary.items():
            if name != "rows" and type(value) is int:
                counted[name] = counted.get(name, 0) + value
    told = sum(damage.rows or 0 for damage in reader.damage)
    return {
        "recorder": f"scalpcli {__version__}",
        **dict(reader.header.get("source", {})),
        "recording": _fingerprint(reader),
        "settings": reader.settings,
        "restarts": max(0, reader.processes - 1),
        "ended_in_order": reader.is_complete,
        "counted": counted,
        "rows_lost": max(filler.rows_lost, told),
        "rows_repeated": reader.repeated,
        "rows_left_out": filler.left_out,
        "left_out": filler.reasons,
        "damaged_places": len(reader.damage),
        "damage": [dataclasses.asdict(damage) for damage in reader.damage[:_TOLD_MAX]],
    }


class _Filler:
    """Hands a recording's rows to a tape, in large pieces, with gap rows at breaks."""

    def __init__(self, reader: SegmentReader, writer: TapeWriter) -> None:
        self.rows_lost = 0
        self.left_out = 0
        self.reasons: list[str] = []
        self._writer = writer
        self._waiting: list[Block] = []
        self._waiting_rows = 0
        self._last_ns = 0
        self._break: Break | None = None
        self._blind_ns = 0
        self._said = 0
        # Rows that a live run decided on stay exactly those it folded: it tells of its own restarts in its own time.
        self._tells_restarts = dict(reader.header.get("source", {})).get("made_by") == LIVE_RUN
        self._instruments = self._add_instruments(reader.names.instruments)
        continuation = reader.continuation()
        self._conditions = [0, *map(writer.condition_code, continuation.conditions)]
        self._exchanges = [0, *map(writer.exchange_code, continuation.exchanges)]

    def _add_instruments(self, instruments: Mapping[int, Instrument]) -> list[int]:
        """Number on the tape by number in the recording; -1 where the contract is lost or cannot be on a tape."""
        numbers = [0] + [-1] * max(instruments, default=0)
        taken: dict[str, int] = {}
        for number in sorted(instruments):
            instrument = instruments[number]
            if instrument.symbol not in taken:
                renumbered = dataclasses.replace(instrument, instrument_id=len(taken) + 1)
                try:
                    self._writer.add_instruments([renumbered])
                except DataError as error:
                    self._say(error.found)
                    continue
                taken[instrument.symbol] = renumbered.instrument_id
            numbers[number] = taken[instrument.symbol]
        return numbers

    def take(self, item: Block | Break) -> None:
        """Take what follows."""
        if isinstance(item, Break):
            self._flush()
            self.rows_lost += item.rows
            if item.restarted and not item.rows and self._tells_restarts:
                return
            if self._break is None:
                self._blind_ns = self._last_ns
            self._break, self._said = item, 0
            return
        if self._break is not None:
            self._settle(self._break, item)
        self._waiting.append(item)
        self._waiting_rows += item.rows
        if self._waiting_rows >= _APPEND_ROWS or self._break is not None:
            self._flush()

    def finish(self) -> None:
        """Hand on what still waits, and say that the tape ends blind where it does."""
        self._flush()
        if self._break is not None and self._writer.rows:
            flags = GAP_BEGIN if self._break.ended else GAP_BEGIN | GAP_END
            self._add_gap(self._break, CHANNELS_ALL & ~self._said, self._last_ns, flags)

    def _settle(self, pause: Break, block: Block) -> None:
        """Look whether the recorder says itself that it was blind; say it in its place where market rows come first."""
        columns = block.columns
        is_market = columns["kind"] < STATUS
        head = int(is_market.argmax()) if is_market.any() else block.rows
        is_begin = (columns["kind"] == GAP) & (columns["flags"] & GAP_BEGIN != 0)
        said = is_begin & (columns["ts_event_ns"] <= self._blind_ns)
        self._said |= int(np.bitwise_or.reduce(columns["size"][:head][said[:head]], initial=0))
        if self._said & _STREAMS == _STREAMS:
            self._break = None
        elif head < block.rows:
            self._add_gap(pause, CHANNELS_ALL & ~self._said, int(columns["ts_recv_ns"][0]), GAP_BEGIN | GAP_END)
            self._break = None

    def _add_gap(self, pause: Break, channels: int, now_ns: int, flags: int) -> None:
        """A cold row with the cause, and the gap row after it."""
        columns = {name: np.zeros(2, dtype) for name, dtype in COLUMNS.items()}
        columns["kind"][:] = COLD, GAP
        columns["ts_recv_ns"][:] = now_ns
        columns["ts_event_ns"][:] = now_ns, self._blind_ns or now_ns
        columns["size"][1] = channels
        columns["flags"][1] = flags
        columns["conditions"][1] = self._writer.condition_code(_GAP_CONDITION)
        self._writer.append(columns, [(GAP_CAUSE, {"cause": pause.cause})])

    def _flush(self) -> None:
        waiting, self._waiting, self._waiting_rows = self._waiting, [], 0
        if not waiting:
            return
        columns = {name: np.concatenate([block.columns[name] for block in waiting]) for name in COLUMNS}
        columns["instrument_id"] = self._renumbered(columns["instrument_id"], self._instruments)
        for name in ("exchange", "ask_exchange"):
            columns[name] = self._coded(columns[name], self._exchanges, self._writer.exchange_code)
        columns["conditions"] = self._coded(columns["conditions"], self._conditions, self._writer.condition_code)
        notes: Notes = [note for block in waiting for note in block.notes]
        self._append_sound(*self._with_sound_notes(columns, notes))

    def _coded(self, codes: NDArray[Any], table: list[int], code_of: Callable[[str], int]) -> NDArray[Any]:
        # Damage may have taken the text of the highest codes: the rows are good, the text is said to be lost.
        while len(table) <= int(codes.max()):
            table.append(code_of(LOST_NAME.format(len(table))))
        return self._renumbered(codes, table)

    @staticmethod
    def _renumbered(numbers: NDArray[Any], table: list[int]) -> NDArray[Any]:
        is_known = (numbers >= 0) & (numbers < len(table))
        found = np.array(table, np.int16)[np.where(is_known, numbers, 0)]
        return np.where(is_known, found, np.int16(-1))

    def _with_sound_notes(self, columns: Columns, notes: Notes) -> tuple[Columns, Notes]:
        """Rows without the cold rows whose note cannot be on a tape."""
        sound = [self._is_sound(note) for note in notes]
        if all(sound):
            return columns, notes
        keep = np.ones(len(columns["kind"]), np.bool_)
        keep[np.flatnonzero(columns["kind"] == COLD)[~np.array(sound)]] = False
        self.left_out += len(sound) - sum(sound)
        return {name: values[keep] for name, values in columns.items()}, list(itertools.compress(notes, sound))

    def _is_sound(self, note: tuple[str, Mapping[str, Any]]) -> bool:
        kind, body = note
        if kind not in NOTE_KINDS:
            self._say(f"note kind `{kind}` is unknown")
            return False
        try:
            json_value(dict(body), f"note of kind `{kind}`")
        except DataError as error:
            self._say(error.found)
            return False
        return True

    def _append_sound(self, columns: Columns, notes: Notes) -> None:
        """Append the rows that keep the tape's rules; a row that breaks one is found by halving, and left out."""
        rows = len(columns["kind"])
        if not rows:
            return
        instruments, conditions, exchanges = (
            1 + max(table) for table in (self._instruments, self._conditions, self._exchanges)
        )
        limits = Limits(instruments, conditions, exchanges, self._writer.session.open_ns)
        fault = first_fault(columns, self._last_ns, limits)
        if fault is None:
            self._writer.append(columns, notes)
            self._last_ns = int(columns["ts_recv_ns"][-1])
        elif rows == 1:
            self.left_out += 1
            self._say(fault.found)
        else:
            half = rows // 2
            cold = int(np.count_nonzero(columns["kind"][:half] == COLD))
            self._append_sound({name: values[:half] for name, values in columns.items()}, notes[:cold])
            self._append_sound({name: values[half:] for name, values in columns.items()}, notes[cold:])

    def _say(self, reason: str) -> None:
        if len(self.reasons) < _TOLD_MAX:
            self.reasons.append(reason)
