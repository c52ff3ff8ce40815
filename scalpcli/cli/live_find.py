"""Finds the run that a command from another shell means: the one that trades now, else the latest.

Decides where runs lie (`OUT/MODE/SYMBOL/DATE`, a rehearsal's below `OUT/rehearsal`) and which one is meant where
several are there. Reads files alone; asks no process and no broker.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scalpcli.cli.live_mode import Mode
from scalpcli.errors import DataError, UsageError
from scalpcli.runtime.against_facts import FACTS_FILE
from scalpcli.runtime.run_lock import RunOwner, is_run_held, read_run_owner

REHEARSAL_FOLDER: Final = "rehearsal"
KILL_FILE: Final = "KILL"
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run on disk.

    Attributes:
        folder: `OUT/MODE/SYMBOL/DATE`.
        facts: Its `live.json`; empty where it cannot be read.
        owner: Who says that it trades it.
        is_held: Whether somebody may send its orders now: the engine, or the guard.
    """

    folder: Path
    facts: dict[str, Any]
    owner: RunOwner
    is_held: bool

    @property
    def mark(self) -> str:
        """SHADOW, PAPER or LIVE, as the run says, else as its folder does."""
        told = str(self.facts.get("mode") or self.folder.parent.parent.name)
        return told.upper() if told in set(Mode) else "UNKNOWN MODE"

    @property
    def kill_file(self) -> Path:
        """The file that stops it while it exists."""
        told = self.facts.get("kill_file")
        # OUT/MODE/SYMBOL/DATE: beside the modes.
        return Path(told) if told else self.folder.parents[2] / KILL_FILE

    @property
    def control(self) -> str:
        """The running process's socket; empty where none runs."""
        return self.owner.control if self.is_held else ""


def run_folder(root: Path, mode: Mode, symbol: str, date: str) -> Path:
    """The folder of one mode, symbol and day."""
    return root / mode.value / symbol.replace("/", ".") / date


def runs_root(out: Path, *, is_rehearsal: bool) -> Path:
    """Where runs lie; a rehearsal's must not stand where the market's belong."""
    return out / REHEARSAL_FOLDER if is_rehearsal else out


def look_at(folder: Path) -> FoundRun:
    """A run as its files tell it."""
    return FoundRun(folder.resolve(), _facts(folder), read_run_owner(folder), is_run_held(folder))


def find_run(out: Path, run: Path | None, symbol: str = "") -> FoundRun:
    """The run that is meant.

    Args:
        out: Folder of runs, where `run` is not given.
        run: A run's own folder.
        symbol: Only runs of this underlying; empty = of any.

    Raises:
        DataError: there is none.
        UsageError: several trade now.
    """
    if run is not None:
        found = look_at(run)
        if not found.facts and not found.is_held:
            raise DataError(
                "the folder is no run of `live`", place=f"`{run}`", hint="name one like live/paper/TSLA/2026-11-20"
            )
        return found
    every = [look_at(folder) for folder in _folders(out, symbol)]
    # A start that was refused leaves a lock and no facts.
    found_runs = [each for each in every if each.is_held or (each.folder / FACTS_FILE).exists()]
    held = [each for each in found_runs if each.is_held]
    if len(held) > 1:
        names = ", ".join(f"`--run {each.folder}`" for each in held)
        raise UsageError(f"{len(held)} runs trade now: say which one is meant", place=f"`{out}`", hint=f"add {names}")
    if held:
        return held[0]
    if not found_runs:
        raise DataError(
            f"no run{f' of {symbol}' if symbol else ''} is there",
            place=f"`{out}`",
            hint="begin one with `scalpcli live run`, or name its folder with `--out` or `--run`",
        )
    return max(found_runs, key=lambda each: (each.folder.name, str(each.facts.get("started_utc", ""))))


def _folders(out: Path, symbol: str) -> list[Path]:
    wanted = symbol.replace("/", ".") or "*"
    found = []
    for root in (out, out / REHEARSAL_FOLDER):
        for mode in Mode:
            found += [
                folder
                for folder in sorted(root.glob(f"{mode.value}/{wanted}/*"))
                if _DATE.fullmatch(folder.name) and folder.is_dir()
            ]
    return found


def _facts(folder: Path) -> dict[str, Any]:
    try:
        facts = json.loads((folder / FACTS_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
