"""Room on the disk: how much is free, how long it lasts, and which old tapes could go.

Decides what a session costs, from the tapes and recordings that are there, and which tapes a rule keeps. Nothing is
removed but by `prune`, and never a recording.
"""

from __future__ import annotations

import datetime as dt
import re
import shutil
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scalpcli.errors import DataError, UsageError
from scalpcli.model.block import Block
from scalpcli.model.session import session_of
from scalpcli.runtime.seal import find_recordings
from scalpcli.runtime.segment_file import refused
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tape import find_tapes
from scalpcli.units import NS_PER_MIN

BYTES_PER_GB: Final = 1e9
_SESSIONS_LOOKED_AT: Final = 10
"""Latest tapes of a symbol that say what its next session costs."""
_SPAN_NS_MIN: Final = NS_PER_MIN
"""A recording younger than this says nothing about a session."""
_PRUNED_SUFFIX: Final = ".pruned"
_KEEP: Final = re.compile(r"(\d{1,5})(d?)", re.ASCII)


@dataclass(frozen=True, slots=True)
class TapeSize:
    """A tape in `ROOT/SYMBOL/YYYY-MM-DD`.

    Attributes:
        path: Its folder.
        symbol: Name of the folder above it.
        date: Its session.
        bytes: What its files take.
    """

    path: Path
    symbol: str
    date: dt.date
    bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long the disk lasts.

    Attributes:
        free_bytes: Free now, to whoever runs this.
        session_bytes: What one session of all symbols takes when sealed; `None` where nothing tells.
        sealing_bytes: Room that sealing the recordings there are needs beside them, at most.
        sessions_left: Sessions that fit before less than `reserve_bytes` would be free; `None` where nothing tells.
        sessions_seen: Tapes it was told from.
    """

    free_bytes: int
    session_bytes: int | None
    sealing_bytes: int
    sessions_left: int | None
    sessions_seen: int


@dataclass(frozen=True, slots=True)
class Keep:
    """Which tapes stay: the latest `tapes` of each symbol, or those of the last `days` days.

    Attributes:
        tapes: Tapes of each symbol; `None` where days are told.
        days: Calendar days back from today, today among them; `None` where tapes are told.
    """

    tapes: int | None = None
    days: int | None = None

    def holds(self, rank: int, age_days: int) -> bool:
        """Whether the `rank`-latest tape of a symbol stays, `age_days` old; the latest has rank 1."""
        if self.tapes is not None:
            return rank <= self.tapes
        return self.days is not None and age_days < self.days


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What `prune` would do.

    Attributes:
        kept: Tapes that stay, by symbol and day.
        removed: Tapes that go, likewise.
    """

    kept: tuple[TapeSize, ...]
    removed: tuple[TapeSize, ...]

    @property
    def freed_bytes(self) -> int:
        """Bytes that become free."""
        return sum(tape.bytes for tape in self.removed)


def free_bytes(folder: Path) -> int:
    """Free bytes where `folder` is, or will be, to whoever runs this.

    Raises:
        DataError: the disk does not say.
    """
    present = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    try:
        return shutil.disk_usage(present).free
    except OSError as error:
        raise refused(error, present) from None


def tape_sizes(root: Path, symbols: Sequence[str] = ()) -> list[TapeSize]:
    """Tapes at `ROOT/SYMBOL/YYYY-MM-DD`, by symbol and day; other folders are nobody's to count or remove.

    Args:
        root: Folder of tapes.
        symbols: Only these; none are all.
    """
    found = []
    for path in find_tapes(root):
        symbol = path.parent.name
        try:
            date = dt.date.fromisoformat(path.name)
        except ValueError:
            continue
        if path.parent.parent == root and path.name == date.isoformat() and (not symbols or symbol in symbols):
            found.append(TapeSize(path, symbol, date, _bytes_of(path.iterdir())))
    return sorted(found, key=_order)


def forecast(root: Path, *, reserve_bytes: int = 0) -> Forecast:
    """How many sessions still fit.

    A symbol's session is taken to cost the median of its latest tapes, and while it is recorded its log as well: a
    log and its tape take about the same, and both are there until the tape was checked. On the first day of a
    symbol its recording tells, by the rate at which it grew so far.

    Args:
        root: Folder of tapes.
        reserve_bytes: What must stay free, `record.min_free_gb`.
    """
    by_symbol: dict[str, list[int]] = {}
    for tape in tape_sizes(root):
        by_symbol.setdefault(tape.symbol, []).append(tape.bytes)
    latest = {symbol: sizes[-_SESSIONS_LOOKED_AT:] for symbol, sizes in by_symbol.items()}
    costs = [round(statistics.median(sizes)) for sizes in latest.values()]
    recordings = find_recordings(root)
    costs += [cost for folder in recordings if folder.parent.name not in latest and (cost := _at_this_rate(folder))]
    session_bytes = sum(costs) if costs else None
    sealing_bytes = sum(_bytes_of(folder.glob("*.log")) for folder in recordings)
    free = free_bytes(root)
    sessions_left = None
    if session_bytes:
        # The last of them is a log and a tape at once.
        room = free - reserve_bytes - sealing_bytes - session_bytes
        sessions_left = max(0, room // session_bytes)
    return Forecast(free, session_bytes, sealing_bytes, sessions_left, sum(map(len, latest.values())))


def _at_this_rate(recording: Path) -> int | None:
    """What a recording takes when the session is over, if it goes on as it went; `None` where it does not tell."""
    try:
        reader = SegmentReader(recording)
        session = session_of(dt.date.fromisoformat(reader.header["session"]))
        first = next((item for item in reader.blocks() if isinstance(item, Block)), None)
    except (DataError, KeyError, ValueError):
        return None
    if first is None:
        return None
    span_ns = reader.last_ts_recv_ns - int(first.columns["ts_recv_ns"][0])
    if span_ns < _SPAN_NS_MIN:
        return None
    recorded = _bytes_of(reader.segments)
    return max(recorded, round(recorded * (session.close_ns - session.open_ns) / span_ns))


def parse_keep(text: str) -> Keep:
    """What `--keep` says: `30d` are days, `30` are tapes.

    Raises:
        UsageError: it is neither, or would keep nothing.
    """
    match = _KEEP.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise UsageError(
            f"`--keep {text}` is neither a number of tapes nor of days, from 1 on",
            hint="write `--keep 20` for the latest 20 tapes of each symbol, `--keep 30d` for the last 30 days",
        )
    number = int(match[1])
    return Keep(days=number) if match[2] else Keep(tapes=number)


def plan_prune(tapes: Sequence[TapeSize], keep: Keep, today: dt.date) -> PrunePlan:
    """Which tapes stay and which go.

    Args:
        tapes: Tapes, in any order.
        keep: The rule.
        today: Today in New York; days are counted back from it, and a tape of a later day stays.
    """
    by_symbol: dict[str, list[TapeSize]] = {}
    for tape in sorted(tapes, key=_order):
        by_symbol.setdefault(tape.symbol, []).append(tape)
    kept: list[TapeSize] = []
    removed: list[TapeSize] = []
    for own in by_symbol.values():
        for rank, tape in enumerate(reversed(own), 1):
            (kept if keep.holds(rank, (today - tape.date).days) else removed).append(tape)
    return PrunePlan(tuple(sorted(kept, key=_order)), tuple(sorted(removed, key=_order)))


def prune(plan: PrunePlan) -> None:
    """Remove the tapes of a plan: each disappears from its place at once, and then from the disk.

    Raises:
        DataError: one cannot be removed; those before it are gone.
    """
    for tape in plan.removed:
        aside = tape.path.with_name(f".{tape.path.name}{_PRUNED_SUFFIX}")
        try:
            if aside.exists():
                shutil.rmtree(aside)
            tape.path.rename(aside)
            shutil.rmtree(aside)
        except OSError as error:
            raise refused(error, tape.path) from None


def _bytes_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.is_file())


def _order(tape: TapeSize) -> tuple[str, dt.date]:
    return tape.symbol, tape.date
