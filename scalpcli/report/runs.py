"""Run folders: which ones are meant, and what their manifests say.

Decides how paths, globs and roots become runs, and what a manifest must hold to be reported. Leaves what
the runs did to `load.py`.
"""

from __future__ import annotations

import datetime as dt
import glob
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli.errors import DataError, UsageError

LIVE_MODES: Final = ("shadow", "paper", "live")
MANIFEST_FILE: Final = "manifest.json"
JOURNAL_FILE: Final = "decisions.jsonl"
RUN_SCHEMA_VERSION: Final = 1
"""Newest layout of a run folder this report reads."""
_MANIFEST_FIELDS: Final[dict[str, type]] = {
    "mode": str,
    "config_digest": str,
    "code_version": str,
    "sessions": list,
    "created_utc": str,
}
_SESSION_FIELDS: Final[dict[str, type]] = {"symbol": str, "session": str, "tape_digest": str, "synthetic": bool}
AGAIN: Final = "replay the tape again, or restore the folder from a copy"


@dataclass(frozen=True, slots=True)
class Run:
    """One run folder.

    Args:
        path: The folder.
        manifest: Content of its `manifest.json`.
    """

    path: Path
    manifest: dict[str, Any]

    @property
    def is_live(self) -> bool:
        """Whether an account, or a shadow of one, was traded."""
        return self.manifest["mode"] in LIVE_MODES

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name


@dataclass(frozen=True, slots=True)
class Days:
    """A range of days, ISO, both ends in it; an end that was left open is the calendar's."""

    first: str
    last: str

    @property
    def words(self) -> str:
        """The range as people say it."""
        if self.first == self.last:
            return f"on {self.first}"
        begin = f"from {self.first}" if self.first != str(dt.date.min) else ""
        end = f"to {self.last}" if self.last != str(dt.date.max) else ""
        return " ".join(filter(None, (begin, end)))

    def holds(self, day: str) -> bool:
        """Whether a day, ISO, lies in the range."""
        return self.first <= day <= self.last


def parse_days(text: str) -> Days:
    """The days of `--timerange`: `2026-11-01..2026-11-30`, `20261101-20261130`, one day, or with an end left open.

    Raises:
        UsageError: It is no range of days.
    """
    one = text.strip()
    match = _RANGE.match(f"{one}..{one}" if _DAY.match(one) else one)
    ends = [match["first"], match["last"]] if match else []
    try:
        days = [dt.date.fromisoformat(end) if end else None for end in ends]
    except ValueError:
        days = []
    if not any(days) or (all(days) and days[0] > days[1]):  # type: ignore[operator]
        raise UsageError(
            f"`{text:.40}` is no day and no range of days",
            place="`--timerange`",
            hint="write 2026-11-20, 2026-11-01..2026-11-30, 20261101-20261130, or leave one end out: 2026-11-01..",
        )
    return Days(str(days[0] or dt.date.min), str(days[1] or dt.date.max))


_ISO_DAY: Final = r"\d{4}-\d{2}-\d{2}"
_DAY: Final = re.compile(rf"^(?:{_ISO_DAY}|\d{{8}})$", re.ASCII)
_RANGE: Final = re.compile(
    rf"^(?P<first>{_ISO_DAY}|\d{{8}}|)(?:\.\.|(?<!-\d\d)-)(?P<last>{_ISO_DAY}|\d{{8}}|)$", re.ASCII
)


def find_runs(patterns: Sequence[str], root: str = "runs") -> list[Path]:
    """The run folders meant by paths and globs, each once.

    Args:
        patterns: Run folders, folders that hold runs, or globs of either. Empty: the latest run of `root`.
        root: Where runs are looked for without a pattern.

    Returns:
        Folders in the order given; those of one root by name, which is by time.

    Raises:
        DataError: A pattern names no run.
    """
    if not patterns:
        runs = _runs_in(Path(root)) if Path(root).is_dir() else []
        if not runs:
            raise DataError(f"there is no run in `{root}`", hint=f"name a run folder, or write one: {_REPLAY}")
        return [max(runs, key=lambda path: (_created(path), path.name))]
    found: dict[Path, Path] = {}
    for pattern in patterns:
        for path in _matches(pattern):
            for run in [path] if (path / MANIFEST_FILE).exists() else _runs_in(path):
                found.setdefault(run.resolve(), run)
    return list(found.values())


_REPLAY: Final = "`scalpcli replay TAPE`"


def _matches(pattern: str) -> list[Path]:
    """Folders a path or a glob names, each a run or a root that holds one."""
    path = Path(pattern)
    # Path.glob takes no absolute pattern.
    paths = [path] if path.exists() else [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207
    if not paths:
        raise DataError(
            f"no run at `{pattern}`", hint=f"`scalpcli report` alone shows the latest run; {_REPLAY} writes one"
        )
    folders = [each for each in paths if (each / MANIFEST_FILE).exists() or _runs_in(each)]
    if not folders:
        what = "is a file, not a run folder" if path.is_file() else "holds no run"
        raise DataError(
            f"`{pattern}` {what}",
            hint=f"a run is a folder with {MANIFEST_FILE} and {JOURNAL_FILE}, finished by {_REPLAY}",
        )
    return folders


def _runs_in(root: Path) -> list[Path]:
    """Finished runs directly inside a folder; one that is being written has a name with a dot before it."""
    folders = (path.parent for path in root.glob(f"*/{MANIFEST_FILE}"))
    return sorted(path for path in folders if not path.name.startswith(".") and (path / JOURNAL_FILE).exists())


def _created(path: Path) -> str:
    """When a run was made, empty where its manifest cannot be read."""
    try:
        return str(json.loads((path / MANIFEST_FILE).read_bytes()).get("created_utc", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def open_run(path: Path) -> Run:
    """Read and check a run's manifest.

    Raises:
        DataError: It is missing, damaged, or of a newer version.
    """
    file = path / MANIFEST_FILE
    place = f"`{file}`"
    try:
        manifest = json.loads(file.read_bytes())
    except OSError as error:
        raise DataError(f"the run's manifest cannot be read: {error.strerror}", place=place, hint=AGAIN) from None
    except ValueError as error:
        raise DataError(f"the run's manifest is not JSON: {error}", place=place, hint=AGAIN) from None
    if not isinstance(manifest, dict) or not isinstance(version := manifest.get("schema_version"), int):
        raise DataError("the run's manifest has no `schema_version`", place=place, hint=AGAIN)
    if version > RUN_SCHEMA_VERSION:
        raise DataError(
            f"the run has schema version {version}; this scalpcli reads versions up to {RUN_SCHEMA_VERSION}",
            place=place,
            hint="install a newer scalpcli, or replay the tape with this one",
        )
    _check_fields(manifest, _MANIFEST_FIELDS, place, "the run's manifest")
    if not manifest["sessions"]:
        raise DataError("the run's manifest names no session", place=place, hint=AGAIN)
    for session in manifest["sessions"]:
        if not isinstance(session, dict):
            raise DataError("a session of the run's manifest is no object", place=place, hint=AGAIN)
        _check_fields(session, _SESSION_FIELDS, place, "a session of the run's manifest")
        _day(session["session"], place)
    return Run(path, manifest)


def _check_fields(value: dict[str, Any], fields: dict[str, type], place: str, what: str) -> None:
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            found = f"is {value[name]!r:.60}, not of type {kind.__name__}" if name in value else "is missing"
            raise DataError(f"`{name}` of {what} {found}", place=place, hint=AGAIN)


def _day(text: str, place: str) -> dt.date:
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise DataError(f"`{text:.40}` is no day of a session", place=place, hint=AGAIN) from None
