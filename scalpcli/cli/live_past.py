"""What earlier processes of a run left, and whether this one may go on with it.

Decides that a run goes on with the settings it began with, under its own order ids, that one which ended stays ended,
and that none is set aside while the broker holds something of it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalpcli.cli.live_guard import Bids, GuardTime, rules_of
from scalpcli.cli.live_job import LiveJob
from scalpcli.core.engine import Setup
from scalpcli.errors import ConfigError, DataError, UpstreamUnavailable, UsageError
from scalpcli.model.block import Block
from scalpcli.model.broker import BrokerSilent
from scalpcli.runtime.desk import Desk
from scalpcli.runtime.guard_fence import FenceKeeper, read_fence
from scalpcli.runtime.guard_journal import JournalBook
from scalpcli.runtime.guard_sale import Evacuation
from scalpcli.runtime.live_ports import Past
from scalpcli.runtime.run_files import TAPE_FOLDER, read_run_facts
from scalpcli.runtime.seal import recording_folder
from scalpcli.runtime.segment_file import list_segments
from scalpcli.runtime.segment_read import SegmentReader


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier process's part of a run.

    Attributes:
        facts: `live.json`; empty where the run begins now.
        reader: Its rows; nothing where there are none.
        symbols: Contracts it ordered, which must be streamed again.
    """

    facts: dict[str, Any]
    reader: SegmentReader | None
    symbols: frozenset[str] = frozenset()

    def past(self, folder: Path, journal: bytes) -> Past:
        """What the trader folds before it goes on.

        Raises:
            DataError: the guard's fence is there and cannot be read.
        """
        fence = read_fence(folder)
        return Past(self._blocks(), journal, fence.at_ns if fence is not None else 0)

    def _blocks(self) -> Iterator[Block]:
        if self.reader is None:
            return
        for block in self.reader.blocks():
            if isinstance(block, Block):
                yield block


def look_back(folder: Path, symbol: str, day: dt.date) -> Earlier:
    """What is there of the day's run.

    Raises:
        UsageError: the run of the day has ended.
        DataError: it cannot be read.
    """
    facts = read_run_facts(folder)
    if facts.get("ended"):
        raise UsageError(
            "the run of this session has ended",
            place=f"`{folder}`",
            hint=f"look at it with `scalpcli report {folder}`, or begin another with `--no-resume`",
        )
    recording = recording_folder(folder / TAPE_FOLDER, symbol, day)
    has_rows = recording.is_dir() and bool(list_segments(recording))
    if not has_rows and _lines(folder):
        raise DataError(
            "the run has decisions and no rows that they were decided on",
            place=f"`{recording}`",
            hint="restore the run's folder from a copy, or begin another run with `--no-resume`",
        )
    return Earlier(facts, SegmentReader(recording) if has_rows else None, _ordered(folder))


async def check_flat(job: LiveJob, desk: Desk) -> None:
    """Refuse to set an earlier run aside that left something: neither its guard nor the next run would mind it.

    Raises:
        UsageError: contracts of it are held, or orders of it work.
        UpstreamUnavailable: the broker does not say.
        DataError: what its guard sold cannot be read.
    """
    book = JournalBook(job.folder, close_ns=job.session.close_ns)
    book.read()
    if not book.orders:
        return
    reached = job.reached
    time = GuardTime(reached.access.clock)
    keeper, rules = FenceKeeper(job.folder, job.say), rules_of(job.params)
    out = Evacuation(book, keeper, desk, Bids(reached, job.params), time, rules, job.say)
    try:
        stake = await out.stake()
    except BrokerSilent as silent:
        raise UpstreamUnavailable(f"the broker does not tell what the earlier run left: {silent.reason}") from None
    if stake:
        raise UsageError(
            f"the earlier run of the day has {stake} at the broker: set aside, nobody would mind it",
            place=f"`{job.folder}`",
            hint=f"go on with it without `--no-resume`, or sell first: `scalpcli live flatten --run {job.folder}`",
        )


def check_same(earlier: Earlier, setup: Setup, folder: Path) -> None:
    """Refuse to go on with other settings than those the run began with.

    Raises:
        ConfigError: a setting that can change a decision is another one.
    """
    digest = earlier.facts.get("config_digest")
    if earlier.reader is None or digest in (None, setup.config_digest):
        return
    raise ConfigError(
        "the settings are not those this run began with",
        place=f"`{folder}`",
        hint="give the same `-c`, `-p` and times, or begin another run with `--no-resume` once this one holds nothing",
    )


def _lines(folder: Path) -> list[bytes]:
    try:
        return (folder / "decisions.jsonl").read_bytes().splitlines()
    except OSError:
        return []


def _ordered(folder: Path) -> frozenset[str]:
    found = set()
    for line in _lines(folder):
        if b'"kind":"order"' in line:
            try:
                found.add(str(json.loads(line)["symbol"]))
            except (ValueError, KeyError):
                # The torn last line of a killed process: its order was not sent.
                continue
    return frozenset(found)
