"""One call of `scalpcli live run`: what it was asked for, and what it says at the end.

Decides the mark on every line and the exit code of what happened. Leaves what happens when to `live_run.py`.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalpcli.cli.live_access import Reached
from scalpcli.cli.live_find import run_folder
from scalpcli.cli.live_mode import Mode
from scalpcli.cli.live_watch_lines import Lines
from scalpcli.errors import DataError, Interrupted, NotFlat, ScalpcliError, StoppedByProtection
from scalpcli.model.params import Blackout, Params
from scalpcli.model.session import Session
from scalpcli.runtime.live_ports import LiveEnd
from scalpcli.runtime.recorder import FAILED, INTERRUPTED
from scalpcli.runtime.trader import LEFT


@dataclass(frozen=True, slots=True)
class LiveJob:
    """What one call of `scalpcli live run` does.

    Attributes:
        reached: Mode, addresses, keys and clock.
        params: Settings, with the times of the flags in them.
        blackouts: Dated windows without entries.
        symbol: The underlying.
        session: The session.
        until_ns: When it ends, UTC nanoseconds.
        root: Folder of runs.
        tapped: Folder of tapes of a recorder whose rows are taken; nothing where the connections are our own.
        kill_file: The file that stops it while it exists.
        is_resumed: Whether it goes on with an earlier run of the day.
        is_watched: Whether a screen is opened beside it.
        is_told: Whether lines are printed.
        command: The call, for the manifest.
        environ: The environment, for children.
        config_files: Settings files, for the guard.
        out: Takes lines for people; keeps them while a screen has the terminal.
    """

    reached: Reached
    params: Params
    blackouts: tuple[Blackout, ...]
    symbol: str
    session: Session
    until_ns: int
    root: Path
    tapped: Path | None
    kill_file: Path
    is_resumed: bool
    is_watched: bool
    command: str
    environ: Mapping[str, str]
    out: Lines = field(repr=False)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return run_folder(self.root, self.reached.mode, self.symbol, self.session.date.isoformat())

    def say(self, words: str) -> None:
        """Words for people, with the mode on every line."""
        for line in words.splitlines() or [""]:
            self.out(f"{self.reached.mark} {line}")


@dataclass(slots=True)
class Outcome:
    """How a run ended, all of it.

    Attributes:
        folder: The run's folder.
        end: How trading ended.
        failure: What failed beside it; nothing where nothing did.
        tape: The sealed tape; nothing where there is none.
        manifest: What was written down for `report`.
        result: Money, as `Trader.state` tells it.
    """

    folder: Path
    end: LiveEnd
    failure: ScalpcliError | None = None
    tape: Path | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)


def summary(job: LiveJob, outcome: Outcome) -> dict[str, Any]:
    """What is printed at the end."""
    end, counts = outcome.end, outcome.manifest.get("counts", {})
    return {
        "mode": job.reached.mark,
        "symbol": job.symbol,
        "session": job.session.date.isoformat(),
        "ended": end.ended,
        "flat": end.is_flat,
        "held": end.held,
        "protection": end.protection,
        "rehearsal": job.reached.access.is_rehearsal,
        **{name: counts.get(name, 0) for name in ("rows", "triggers", "signals", "orders", "fills", "trades")},
        **{name: value for name, value in outcome.result.items() if name != "trades"},
        "run": str(outcome.folder),
        "tape": None if outcome.tape is None else str(outcome.tape),
    }


def leave(job: LiveJob, outcome: Outcome) -> None:
    """Leave with the exit code of what ended the run; nothing where it ended as it should.

    Raises:
        NotFlat: something is still held.
        ScalpcliError: something failed.
        StoppedByProtection: a protection ended trading.
        Interrupted: Ctrl-C.
    """
    end = outcome.end
    if not end.is_flat and job.reached.mode is not Mode.SHADOW:
        raise NotFlat(_held_words(job, end), place=f"`{outcome.folder}`", hint=_ways_out(job, outcome.folder, end))
    if outcome.failure is not None:
        raise outcome.failure
    if end.failure or end.ended == FAILED:
        raise DataError(end.failure or "trading failed", place=f"`{outcome.folder}`")
    if end.protection:
        raise StoppedByProtection(
            f"{job.reached.mark}: stopped by a protection: {end.protection}",
            place=f"`{outcome.folder}`",
            hint="what it counts is in `[gates]` and `[risk]`; `scalpcli report` shows the session",
        )
    if end.ended in (INTERRUPTED, LEFT):
        raise Interrupted(f"{job.reached.mark}: interrupted: nothing is held, everything is written")


def _held_words(job: LiveJob, end: LiveEnd) -> str:
    held = ", ".join(f"{quantity} {symbol}" for symbol, quantity in end.held.items())
    return f"{job.reached.mark}: still held at the end ({end.ended}): {held or 'unknown'}"


def _ways_out(job: LiveJob, folder: Path, end: LiveEnd) -> str:
    from scalpcli.cli.live_status import ways_out

    sides = [{"symbol": symbol, "quantity": quantity} for symbol, quantity in end.held.items()]
    told = ways_out({"mode": job.reached.mode.value, "positions": sides}, "")
    here = shlex.quote(str(folder))
    first = (
        f"`scalpcli live flatten --run {here}` sells at the broker now; `scalpcli live run` goes on with the session"
    )
    by_hand = told[told.index(next(line for line in told if line.startswith("by hand"))) :]
    return "\n".join([first, *by_hand])
