"""Writes a tape: rows and notes in, a sealed folder out.

Decides what may be written, when it reaches the disk and how the folder appears: everything is written to
a hidden folder beside the target, and renamed to `ROOT/SYMBOL/YYYY-MM-DD` when it is complete and on
disk. Whoever looks sees the old tape, no tape, or the whole new one. Leaves rules of rows to `tape_rules.py`,
figures to `tape_quality.py` and bytes to `tape_sink.py`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import re
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from scalpcli import __version__
from scalpcli.errors import DataError, UsageError
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import NOTE_KINDS
from scalpcli.model.params import TapeParams
from scalpcli.model.row import COLD, COLUMNS, SCHEMA_VERSION, UNDERLYING_ID
from scalpcli.model.session import session_of
from scalpcli.runtime.manifest import (
    DATA_FILES,
    INSTRUMENTS_FILE,
    MANIFEST_FILE,
    NOTES_FILE,
    ROWS_FILE,
    Manifest,
    RowsDigest,
    canonical_json,
    digest_file,
    json_value,
)
from scalpcli.runtime.tape_instruments import check_instrument, write_instruments
from scalpcli.runtime.tape_quality import TapeQuality
from scalpcli.runtime.tape_rules import Limits, as_tape_types, first_fault
from scalpcli.runtime.tape_sink import ParquetSink

_SYMBOL: Final = re.compile(r"[A-Z]{1,6}([./][A-Z]{1,2})?")
_CODE_MAX: Final = int(np.iinfo(np.int16).max)
_ROUNDED_KEY: Final = "prices_rounded"


class TapeWriter:
    """One tape being written; a context that removes everything unless it was sealed.

    Args:
        root: Folder of tapes; made when missing.
        symbol: The underlying, like `TSLA`.
        session_date: Day of the session in New York.
        params: How the file is laid out.
        synthetic: Whether the rows are made, not recorded.
        feeds: Where stock and option rows come from.
        source: What the manifest says about the input; may be added to until `seal`. `prices_rounded`
            in it goes into the quality.
        overwrite: Replace a tape of this session.

    Raises:
        DataError: there is no session that day, or a tape of it exists.
        UsageError: `symbol` is not a symbol.
    """

    def __init__(
        self,
        root: Path,
        symbol: str,
        session_date: dt.date,
        *,
        params: TapeParams,
        synthetic: bool,
        feeds: dict[str, str],
        source: dict[str, Any],
        overwrite: bool = False,
    ) -> None:
        if not _SYMBOL.fullmatch(symbol):
            raise UsageError(f"`{symbol}` is not a stock symbol", hint="write it in capitals, like TSLA or BRK.B")
        self.session = session_of(session_date)
        self.symbol = symbol
        self.source = source
        self.rows = 0
        self._target = Path(root) / symbol.replace("/", ".") / session_date.isoformat()
        self._overwrite = overwrite
        self._refuse_existing()
        self._params = params
        self._synthetic = synthetic
        self._feeds = feeds
        self._instruments = [Instrument(UNDERLYING_ID, symbol)]
        self._symbols = {symbol}
        self._conditions = {"": 0}
        self._exchanges = {"": 0}
        self._quality = TapeQuality(self.session)
        self._digest = RowsDigest()
        self._buffer: dict[str, NDArray[Any]] = {}
        self._buffered = 0
        self._last_ns = 0
        self._cold_rows = 0
        self._work: Path | None = None
        self._sink: ParquetSink | None = None
        self._notes: IO[bytes] | None = None
        self._sealed = False
        # Leaving the context discards. But Polars raises for Ctrl-C before Python's own handler has run, and the
        # second interrupt can come at the very start of `__exit__`; then this runs when the writer is forgotten.
        self._on_discard = contextlib.ExitStack()
        self._abandon = weakref.finalize(self, self._on_discard.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._sealed:
            self.discard()

    def add_instruments(self, instruments: Sequence[Instrument]) -> None:
        """Add contracts, numbered from 1 without holes; the underlying is there already.

        Raises:
            DataError: a number is out of turn, a symbol comes twice, a contract expired before the session
                or delivers something other than 100 shares.
        """
        for instrument in instruments:
            check_instrument(instrument, len(self._instruments), self.session.date, self._place)
            if instrument.symbol in self._symbols:
                raise DataError(f"`{instrument.symbol}` comes twice", place=self._place, hint="number each symbol once")
            self._symbols.add(instrument.symbol)
            self._instruments.append(instrument)

    def condition_code(self, text: str) -> int:
        """The code of raw conditions, a new one where they are new; "" is 0."""
        return _code(self._conditions, text, "condition texts", self._place)

    def exchange_code(self, text: str) -> int:
        """The code of an exchange, a new one where it is new; "" is 0."""
        return _code(self._exchanges, text, "exchanges", self._place)

    def append(self, columns: Mapping[str, NDArray[Any]], notes: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> None:
        """Add rows in the tape's order; the arrays may be used again afterwards.

        Args:
            columns: Every column of `model/row.py`, of one length, whole numbers that fit its type.
            notes: Kind and body of the block's cold rows, in their order.

        Raises:
            DataError: a row breaks a rule (named by its number in the tape), notes and cold rows do not
                match, or the disk refuses.
        """
        block, wrong = as_tape_types(columns)
        if wrong:
            raise DataError(wrong, place=self._place, hint="a block has every column of `model/row.py`, whole numbers")
        limits = Limits(len(self._instruments), len(self._conditions), len(self._exchanges), self.session.open_ns)
        fault = first_fault(block, self._last_ns, limits)
        if fault is not None:
            raise DataError(fault.found, place=f"row {self.rows + fault.row} of {self._place}")
        self._append_notes(block, notes)
        rows = len(block["kind"])
        if rows:
            self._last_ns = int(block["ts_recv_ns"][-1])
            self.rows += rows
            self._fill(block, rows)

    def _append_notes(self, block: Mapping[str, NDArray[Any]], notes: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        cold_ns = block["ts_recv_ns"][block["kind"] == COLD]
        if len(cold_ns) != len(notes):
            raise DataError(
                f"the block has {len(cold_ns)} cold rows and {len(notes)} notes",
                place=f"row {self.rows} and after of {self._place}",
                hint="the k-th cold row of a block pairs with its k-th note",
            )
        for ts_recv_ns, (kind, body) in zip(cold_ns.tolist(), notes, strict=True):
            place = f"note {self._cold_rows} of {self._place}"
            if kind not in NOTE_KINDS:
                raise DataError(f"note kind `{kind}` is unknown; kinds are {', '.join(NOTE_KINDS)}", place=place)
            plain = json_value(dict(body), place)
            line = {"seq": self._cold_rows, "ts_recv_ns": ts_recv_ns, "kind": kind, "body": plain}
            self._digest.update_note(self._cold_rows, ts_recv_ns, kind, plain)
            self._open_notes().write(canonical_json(line).encode() + b"\n")
            self._cold_rows += 1

    def _fill(self, block: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Copy a block into the buffer, which is handed on each time a row group is full."""
        size = self._params.row_group_rows
        done = 0
        while done < rows:
            if not self._buffer:
                self._buffer = {name: np.empty(size, kind) for name, kind in COLUMNS.items()}
            take = min(rows - done, size - self._buffered)
            for name, values in self._buffer.items():
                values[self._buffered : self._buffered + take] = block[name][done : done + take]
            self._buffered += take
            done += take
            if self._buffered == size:
                self._flush()

    def _flush(self) -> None:
        full = {name: values[: self._buffered] for name, values in self._buffer.items()}
        # The sink keeps these arrays while it writes them; the next row group gets its own.
        self._buffer, self._buffered = {}, 0
        self._digest.update(full)
        self._quality.update(full)
        self._open_sink().put(full)

    def seal(self) -> Path:
        """Complete the tape and move it to its place.

        Returns:
            The tape's folder.

        Raises:
            DataError: the disk refuses, or a tape of this session appeared meanwhile.
        """
        work = self._work_folder()
        if self._buffered:
            self._flush()
        self._open_sink().close()
        self._open_notes().close()
        write_instruments(work / INSTRUMENTS_FILE, self._instruments)
        (work / MANIFEST_FILE).write_text(self._manifest(work).to_json(), encoding="utf-8")
        for name in (*DATA_FILES, MANIFEST_FILE):
            _sync(work / name)
        _sync(work)
        self._publish(work)
        self._sealed = True
        self._abandon.detach()
        return self._target

    def _manifest(self, work: Path) -> Manifest:
        session = self.session.date.isoformat()
        conditions, exchanges = list(self._conditions), list(self._exchanges)
        return Manifest(
            schema_version=SCHEMA_VERSION,
            symbol=self.symbol,
            session=session,
            synthetic=self._synthetic,
            feeds=dict(self._feeds),
            source=dict(self.source),
            rows=self.rows,
            counts=self._quality.counts,
            files={name: digest_file(work / name) for name in DATA_FILES},
            rows_digest=self._digest.result(self.symbol, session, self._instruments, conditions, exchanges),
            quality=self._quality.summary(int(self.source.get(_ROUNDED_KEY, 0))),
            conditions=conditions,
            exchanges=exchanges,
            written_by={"scalpcli": __version__, "polars": pl.__version__, "python": sys.version.split()[0]},
            row_group_rows=self._params.row_group_rows,
        )

    def _publish(self, work: Path) -> None:
        self._refuse_existing()
        if not self._target.exists():
            work.rename(self._target)
        else:
            # A folder cannot be replaced in one step: the old tape steps aside first, and is gone last.
            old = Path(tempfile.mkdtemp(prefix=f".{self._target.name}.old.", dir=self._target.parent))
            aside = self._target.rename(old / self._target.name)
            try:
                work.rename(self._target)
            except BaseException:
                aside.rename(self._target)
                raise
            finally:
                shutil.rmtree(old)
        _sync(self._target.parent)

    def discard(self) -> None:
        """Give the tape up: nothing of it stays on disk."""
        self._abandon()

    def _refuse_existing(self) -> None:
        if self._target.exists() and not self._overwrite:
            raise DataError(
                f"a tape of {self.symbol} on {self.session.date} exists already",
                place=self._place,
                hint="name another folder, or add `--overwrite`",
            )

    @property
    def _place(self) -> str:
        return f"`{self._target}`"

    def _work_folder(self) -> Path:
        if self._work is None:
            parent = self._target.parent
            made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
            parent.mkdir(parents=True, exist_ok=True)
            self._on_discard.callback(_remove_empty, made)
            self._work = Path(tempfile.mkdtemp(prefix=f".{self._target.name}.", suffix=".partial", dir=parent))
            self._on_discard.callback(shutil.rmtree, self._work, ignore_errors=True)
            # A private temporary folder becomes a public tape: give it the rights any new folder has.
            self._work.chmod(parent.stat().st_mode & 0o777)
        return self._work

    def _open_sink(self) -> ParquetSink:
        if self._sink is None:
            self._sink = ParquetSink(self._work_folder() / ROWS_FILE, self._params)
            self._on_discard.callback(self._sink.abort)
        return self._sink

    def _open_notes(self) -> IO[bytes]:
        if self._notes is None:
            self._notes = (self._work_folder() / NOTES_FILE).open("wb")
            self._on_discard.callback(self._notes.close)
        return self._notes


def _code(dictionary: dict[str, int], text: str, what: str, place: str) -> int:
    if text not in dictionary and len(dictionary) > _CODE_MAX:
        raise DataError(f"more than {_CODE_MAX} different {what}", place=place, hint="check the columns' mapping")
    return dictionary.setdefault(text, len(dictionary))


def _remove_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        # Another tape may have been written into it meanwhile; then it stays.
        with contextlib.suppress(OSError):
            folder.rmdir()


def _sync(path: Path) -> None:
    """Wait until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
