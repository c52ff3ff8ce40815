"""One call of `scalpcli record`, its symbols and how they stand.

Decides what the summary says. Leaves what happens when to `record_run.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scalpcli.adapters.notify import Notifier
from scalpcli.cli.alpaca_access import Access
from scalpcli.cli.record_feed import RecordedMarket
from scalpcli.errors import ScalpcliError
from scalpcli.model.params import Params
from scalpcli.runtime.raw_frames import RawFrames
from scalpcli.runtime.record_window import Window
from scalpcli.runtime.recorder import Recorder
from scalpcli.runtime.recorder_figures import LoopWatch
from scalpcli.runtime.recording import Begun, bytes_of
from scalpcli.runtime.tap import Tap

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What one call of `scalpcli record` does."""

    symbols: Sequence[str]
    params: Params
    access: Access
    root: Path
    until: str
    wait: bool
    say: Say


@dataclass(slots=True)
class Track:
    """One symbol being recorded."""

    symbol: str
    begun: Begun
    market: RecordedMarket
    recorder: Recorder
    tap: Tap
    raw: RawFrames | None
    tape: Path | None = None

    def end_words(self) -> str:
        """How it ended, for a person who is told."""
        failure = self.recorder.failure
        why = f"failed: {failure.found}" if failure else self.recorder.ended
        return f"scalpcli record, {self.symbol}: ended ({why}), {self.recorder.figures.rows:,} rows"

    def summary(self) -> dict[str, Any]:
        """What is printed of it at the end."""
        status = self.recorder.status()
        raw = {"raw_frames": self.raw.frames, "raw_frames_dropped": self.raw.dropped} if self.raw else {}
        return {
            "symbol": self.symbol,
            "tape": None if self.tape is None else str(self.tape),
            "feeds": self.begun.header["feeds"],
            "readers_dropped": self.tap.dropped,
            **raw,
            **status,
        }


@dataclass(slots=True)
class Session:
    """A session being recorded: what the screen and the heartbeat look at."""

    job: Job
    window: Window
    tracks: list[Track]
    watch: LoopWatch
    notifier: Notifier
    stopped: str = ""
    refused: dict[str, ScalpcliError] = field(default_factory=dict)
    """Symbols that could not be recorded beside the others, and why."""

    def stop(self, reason: str) -> None:
        """End it: the first reason stands."""
        self.stopped = self.stopped or reason
        for track in self.tracks:
            track.recorder.stop(reason)

    def saying(self, symbol: str) -> Say:
        """Takes words about a symbol, for the terminal and for who is told elsewhere."""

        def say(line: str) -> None:
            self.job.say(f"{symbol}: {line}")
            self.notifier.say(f"scalpcli record, {symbol}: {line}")

        return say

    def summary(self) -> dict[str, Any]:
        """What is printed at the end."""
        refused = {symbol: error.found for symbol, error in self.refused.items()}
        reasons = {track.recorder.ended for track in self.tracks}
        return {
            "session": self.window.session.date.isoformat(),
            "ended": reasons.pop() if len(reasons) == 1 else "mixed",
            "rehearsal": self.job.access.is_rehearsal,
            **{name: round(value, 2) for name, value in self.watch.figures().items()},
            "tapes": [track.summary() for track in self.tracks],
            **({"not_recorded": refused} if refused else {}),
        }


def disk_words(session: Session) -> dict[str, float]:
    """Megabytes recorded and gigabytes free, for the screen."""
    folder = session.tracks[0].begun.folder
    recorded = sum(bytes_of(track.begun.folder) for track in session.tracks)
    return {"recorded_mb": recorded / 1e6, "free_gb": shutil.disk_usage(folder).free / 1e9}
