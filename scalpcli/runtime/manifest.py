"""The manifest of a tape: what it holds, what wrote it, and digests that show damage.

Decides the content of `manifest.json` and of the two digests. `files` carries the sha256 of each file's
bytes, and a CRC-32 of every mebibyte, which tells where bytes changed. `rows_digest` is taken from the
decoded rows, notes and instruments: it does not depend on compression, row groups or the order in which
JSON keys were written, so two tapes of one digest give one journal.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import COLUMNS, SCHEMA_VERSION
from scalpcli.runtime.tape_quality import QUALITY_SHAPE

MANIFEST_FILE: Final = "manifest.json"
ROWS_FILE: Final = "rows.parquet"
NOTES_FILE: Final = "notes.jsonl"
INSTRUMENTS_FILE: Final = "instruments.parquet"
DATA_FILES: Final = (ROWS_FILE, NOTES_FILE, INSTRUMENTS_FILE)
"""Files whose bytes the manifest vouches for."""

CHUNK_BYTES: Final = 1 << 20
"""Bytes one CRC-32 of a file stands for."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """Size and digests of one file's bytes; `chunk_crc32` has one number per `CHUNK_BYTES`."""

    bytes: int
    sha256: str
    chunk_crc32: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """Content of `manifest.json`.

    Args:
        schema_version: Version of the tape's layout, see `model/row.py`.
        symbol: The underlying.
        session: Day of the session in New York, `YYYY-MM-DD`.
        synthetic: Whether the rows were made, not recorded.
        feeds: Where stock and option rows come from.
        source: What the writer says about its input: importer, files, `recv_delay_ms`, command.
        rows: Rows in `rows.parquet`.
        counts: Rows by name of their kind.
        files: Size and digests by file name.
        rows_digest: sha256 over decoded rows, notes and instruments; the tape's identity.
        quality: What `tape_quality.py` measured.
        conditions: Raw texts of condition codes; number 0 is "none".
        exchanges: Texts of exchange codes; number 0 is "none".
        written_by: Version of scalpcli and of the libraries that wrote the files.
        row_group_rows: Rows of one row group of `rows.parquet`, so that damage can be told by its group.
    """

    schema_version: int
    symbol: str
    session: str
    synthetic: bool
    feeds: dict[str, str]
    source: dict[str, Any]
    rows: int
    counts: dict[str, int]
    files: dict[str, FileDigest]
    rows_digest: str
    quality: dict[str, Any]
    conditions: list[str]
    exchanges: list[str]
    written_by: dict[str, str]
    row_group_rows: int

    def to_json(self) -> str:
        """The manifest as text, in a fixed order of keys.

        Raises:
            DataError: `source` or `feeds` hold something JSON cannot write.
        """
        value = dataclasses.asdict(self)
        return json.dumps(json_value(value, "`source` of a tape's manifest"), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str, place: str) -> Manifest:
        """The manifest written in `text`.

        Args:
            text: Content of `manifest.json`.
            place: The file as errors name it.

        Raises:
            DataError: the text is no JSON object, misses a key, has one of another type, or was written
                by a newer version.
        """
        try:
            value = json.loads(text)
        except ValueError as error:
            raise DataError(f"the manifest is not JSON: {error}", place=place, hint=_REWRITE) from None
        if not isinstance(value, dict):
            raise DataError(f"the manifest is a JSON {type(value).__name__}, not an object", place=place, hint=_REWRITE)
        _check_version(value, place)
        for field, kind in _FIELD_TYPES.items():
            _check_field(value, field, kind, place)
        for field, kind in _ITEM_TYPES.items():
            _check_items(value[field], field, kind, place)
        _check_quality(value["quality"], QUALITY_SHAPE, "quality", place)
        files = {name: _file_digest(name, entry, place) for name, entry in value["files"].items()}
        missing = [name for name in DATA_FILES if name not in files]
        if missing:
            raise DataError(f"the manifest has no digest of `{missing[0]}`", place=place, hint=_REWRITE)
        return cls(**{name: value[name] for name in _FIELD_TYPES if name != "files"}, files=files)


_REWRITE: Final = "import or record the session again, or restore the folder from a copy"
_FIELD_TYPES: Final[dict[str, type]] = {
    "schema_version": int,
    "symbol": str,
    "session": str,
    "synthetic": bool,
    "feeds": dict,
    "source": dict,
    "rows": int,
    "counts": dict,
    "files": dict,
    "rows_digest": str,
    "quality": dict,
    "conditions": list,
    "exchanges": list,
    "written_by": dict,
    "row_group_rows": int,
}

_ITEM_TYPES: Final[dict[str, type]] = {
    "feeds": str,
    "counts": int,
    "conditions": str,
    "exchanges": str,
    "written_by": str,
}


def _check_version(value: Mapping[str, Any], place: str) -> None:
    version = value.get("schema_version")
    if version is None or not _is_a(version, int) or version < 1:
        found = "has no `schema_version`" if version is None else f"has `schema_version` {version!r}"
        raise DataError(f"the manifest {found}; a tape has a whole number", place=place, hint=_REWRITE)
    if version > SCHEMA_VERSION:
        raise DataError(
            f"the tape has schema version {version}; this scalpcli reads versions up to {SCHEMA_VERSION}",
            place=place,
            hint="install a newer scalpcli: `pip install --upgrade scalpcli`",
        )


def _check_field(value: Mapping[str, Any], field: str, kind: type, place: str) -> None:
    if field not in value:
        raise DataError(f"the manifest has no `{field}`", place=place, hint=_REWRITE)
    found = value[field]
    if not _is_a(found, kind) or (kind is int and found < 0):
        raise DataError(
            f"`{field}` of the manifest is {found!r:.60}, not of type {kind.__name__}", place=place, hint=_REWRITE
        )


def _check_items(values: Any, field: str, kind: type, place: str) -> None:
    for value in values.values() if isinstance(values, dict) else values:
        if not _is_a(value, kind):
            raise DataError(
                f"`{field}` of the manifest holds {value!r:.60}, not of type {kind.__name__}",
                place=place,
                hint=_REWRITE,
            )


def _check_quality(value: Any, shape: Mapping[str, Any], field: str, place: str) -> None:
    """Refuse figures that commands would miss; a figure that is unknown is null."""
    for name, kind in shape.items():
        found = value.get(name) if isinstance(value, dict) else None
        if isinstance(kind, Mapping):
            _check_quality(found, kind, f"{field}.{name}", place)
        elif not isinstance(found, kind):
            raise DataError(f"the manifest has no usable `{field}.{name}`", place=place, hint=_REWRITE)


def _is_a(value: Any, kind: type) -> bool:
    # A bool is an int to Python, but never a count.
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))


def _file_digest(name: str, entry: Any, place: str) -> FileDigest:
    if not isinstance(entry, dict) or not _is_a(entry.get("bytes"), int) or not isinstance(entry.get("sha256"), str):
        raise DataError(f"the manifest's digest of `{name}` is incomplete", place=place, hint=_REWRITE)
    chunks = entry.get("chunk_crc32")
    return FileDigest(entry["bytes"], entry["sha256"], tuple(chunks) if isinstance(chunks, list) else ())


def json_value(value: Any, place: str) -> Any:
    """`value` as plain JSON types.

    Raises:
        DataError: something in it has no JSON form, a NaN among them.
    """
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DataError(
            f"cannot be written as JSON: {error}", place=place, hint="use text, whole numbers, lists and objects"
        ) from None


def read_chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file, `CHUNK_BYTES` at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def digest_file(path: Path) -> FileDigest:
    """Size and digests of a file as it is now."""
    whole = hashlib.sha256()
    size = 0
    crcs = []
    for chunk in read_chunks(path):
        whole.update(chunk)
        size += len(chunk)
        crcs.append(zlib.crc32(chunk))
    return FileDigest(size, whole.hexdigest(), tuple(crcs))


class RowsDigest:
    """Digest of decoded rows, the same for every way of cutting them into blocks.

    Each column has a sha256 of its little-endian values in the tape's type; the notes have one of their
    canonical JSON lines.
    """

    def __init__(self) -> None:
        self._columns = {name: hashlib.sha256() for name in COLUMNS}
        self._notes = hashlib.sha256()

    def update(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Take in a block; `columns` holds every column in the tape's type."""
        for name, kind in COLUMNS.items():
            values = np.ascontiguousarray(columns[name], kind.newbyteorder("<"))
            self._columns[name].update(values.data)

    def update_note(self, seq: int, ts_recv_ns: int, kind: str, body: Mapping[str, Any]) -> None:
        """Take in the next note."""
        self._notes.update(canonical_json([seq, ts_recv_ns, kind, body]).encode() + b"\n")

    def result(
        self,
        symbol: str,
        session: str,
        instruments: Sequence[Instrument],
        conditions: Sequence[str],
        exchanges: Sequence[str],
    ) -> str:
        """The digest as hexadecimal text, over everything a replay reads."""
        content = {
            "schema_version": SCHEMA_VERSION,
            "symbol": symbol,
            "session": session,
            "columns": {name: digest.hexdigest() for name, digest in self._columns.items()},
            "notes": self._notes.hexdigest(),
            "instruments": [_plain_instrument(instrument) for instrument in instruments],
            "conditions": list(conditions),
            "exchanges": list(exchanges),
        }
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """`value` as one line with sorted keys and without blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _plain_instrument(instrument: Instrument) -> list[Any]:
    days = (instrument.expiry, instrument.open_interest_date)
    expiry, interest_date = (day.isoformat() if day else None for day in days)
    return [
        instrument.instrument_id,
        instrument.symbol,
        expiry,
        instrument.strike_e4,
        instrument.right,
        instrument.multiplier,
        str(instrument.tick_rule),
        instrument.open_interest,
        interest_date,
    ]
