"""The files of a live run: facts, journal, and at the end what `report` reads.

Decides how they survive: `live.json` is replaced whole, `decisions.jsonl` only grows and is cut back to its last whole
line before it does, and the tables and the manifest are written when the session is over. Leaves what stands in them
to the trader.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from scalpcli import __version__
from scalpcli.core.engine import Setup
from scalpcli.errors import DataError
from scalpcli.runtime import clock
from scalpcli.runtime.against_facts import FACTS_FILE, JOURNAL_FILE
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.manifest import MANIFEST_FILE, Manifest
from scalpcli.runtime.replay import SessionResult
from scalpcli.runtime.run_folder import replace_file, run_manifest

_TOKENS: Final = (("live", "notify"), ("live", "heartbeat_url"), ("record", "notify"), ("record", "heartbeat_url"))
"""Addresses that may hold a token: kept in `live.json`, which its user alone reads, and nowhere else."""
TELEMETRY_FILE: Final = "telemetry.jsonl"
TAPE_FOLDER: Final = "tape"


class JournalFile:
    """`decisions.jsonl`, which only ever grows by whole lines.

    Args:
        folder: The run's folder.

    Attributes:
        before: What earlier processes wrote, whole lines.

    Raises:
        DataError: it cannot be opened.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL_FILE
        try:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            written = self._path.read_bytes()
            self.before = written[: written.rfind(b"\n") + 1]
            if len(self.before) != len(written):
                # A line that a killed process tore was never acted on.
                os.ftruncate(self._descriptor, len(self.before))
            self._length = len(self.before)
            self.sync()
            _sync_folder(folder)
        except OSError as error:
            raise self._refused(error) from None

    def append(self, data: bytes) -> None:
        """Add whole lines; they survive the death of this process when it returns.

        Raises:
            DataError: it could not be written; nothing of it stays.
        """
        try:
            left = data
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._length += len(data)
        except OSError as error:
            # A part of a line must not stand before the next one.
            os.ftruncate(self._descriptor, self._length)
            raise self._refused(error) from None

    def sync(self) -> None:
        """Return when every line is on the disk itself.

        Raises:
            DataError: the disk refuses.
        """
        try:
            os.fdatasync(self._descriptor)
        except OSError as error:
            raise self._refused(error) from None

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._descriptor)

    def _refused(self, error: OSError) -> DataError:
        return DataError(
            f"the journal cannot be written: {(error.strerror or str(error)).lower()}",
            place=f"`{self._path}`",
            hint="make room on the disk; what is held can be sold with `scalpcli live flatten`",
        )


class RunFacts:
    """`live.json`: everything `replay --against` and the commands from other shells need to know of a run.

    Args:
        folder: The run's folder.
        facts: What it says at the start.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        self._folder = folder
        self._facts = dict(facts)
        self.tell()

    def tell(self, **more: Any) -> None:
        """Write it down with `more`; it is on the disk when this returns.

        Raises:
            DataError: the disk refuses; what stood there stands.
        """
        self._facts |= more
        path = self._folder / FACTS_FILE
        work = path.with_name(f".{FACTS_FILE}.new")
        with _written(path):
            descriptor = os.open(work, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(self._facts, indent=2, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            work.replace(path)
            _sync_folder(self._folder)


def facts_of(setup: Setup, **more: Any) -> dict[str, Any]:
    """What `live.json` says of a session at its start.

    Args:
        setup: What it is played with.
        more: `rehearse`, `enabled_in`, `account_last4`, `kill_file`, `feeds`, `nonce` and the like.
    """
    return {
        "mode": setup.mode,
        "symbol": setup.symbol,
        "session": setup.session.date.isoformat(),
        "config": dataclasses.asdict(setup.params),
        "blackouts": [dataclasses.asdict(blackout) for blackout in setup.blackouts],
        "config_digest": setup.config_digest,
        "latencies_digest": setup.latencies_digest,
        "code_version": __version__,
        **more,
    }


def read_run_facts(folder: Path) -> dict[str, Any]:
    """`live.json` of a run; empty where there is none.

    Raises:
        DataError: there is one that cannot be read.
    """
    path = folder / FACTS_FILE
    try:
        facts = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        facts = None
    if not isinstance(facts, dict):
        raise DataError(f"`{FACTS_FILE}` cannot be read", place=f"`{path}`", hint="restore the folder from a copy")
    return facts


def write_results(
    folder: Path, live: LiveEngine, tape: Path | None, told: Manifest | None, facts: Mapping[str, Any]
) -> dict[str, Any]:
    """Write what `report` reads of a run: manifest, trades, equity.

    Args:
        folder: The run's folder.
        live: The engine after its last row.
        tape: The sealed tape; nothing where there is none.
        told: Its manifest.
        facts: `mode`, `command`, `timings_s` and the like.

    Returns:
        The manifest.

    Raises:
        DataError: the disk refuses.
    """
    setup, journal = live.setup, live.journal
    result = SessionResult(
        symbol=setup.symbol,
        session=setup.session.date,
        tape="" if tape is None else str(tape),
        tape_digest=told.rows_digest if told is not None else "",
        config_digest=setup.config_digest,
        rows=live.rows,
        synthetic=setup.synthetic,
        feeds=dict(told.feeds) if told is not None else {},
        quality=dict(told.quality) if told is not None else {},
        decisions=b"".join(journal.lines),
        counts=journal.counts,
        ends=journal.ends,
        trades=journal.trades(),
        equity=journal.equity(),
    )
    manifest = run_manifest([result], setup.params, dict(facts))
    for section, name in _TOKENS:
        if manifest["config"][section][name]:
            manifest["config"][section][name] = "***"
    text = json.dumps(manifest, indent=2) + "\n"
    with _written(folder):
        replace_file(folder / "trades.parquet", result.trades.write_parquet)
        replace_file(folder / "equity.parquet", result.equity.write_parquet)
        replace_file(folder / MANIFEST_FILE, lambda path: path.write_text(text, encoding="utf-8"))
    return manifest


def append_telemetry(folder: Path, told: Mapping[str, Any]) -> None:
    """Add one line to `telemetry.jsonl`: how late, how fast; nothing that decides.

    Raises:
        DataError: the disk refuses.
    """
    line = json.dumps({"at_utc": clock.utc_now().isoformat(timespec="seconds"), **told}, ensure_ascii=False)
    path = folder / TELEMETRY_FILE
    with _written(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def set_aside(folder: Path) -> Path:
    """Give an earlier run of the day another name, so that a new one may begin.

    Returns:
        Where it lies now: `DATE.1`, `DATE.2`, ...
    """
    number = 1
    while (target := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    return folder.rename(target)


@contextlib.contextmanager
def _written(path: Path) -> Iterator[None]:
    """Tell what the disk refuses as an error with its place.

    Raises:
        DataError: it does.
    """
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the run's files cannot be written: {(error.strerror or str(error)).lower()}",
            place=f"`{path}`",
            hint="make room on the disk; the journal and the tape's rows so far are kept",
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
