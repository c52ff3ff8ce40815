"""The recorder: takes what a source learned, has it written, and hands it to whoever listens.

Decides when rows are taken, when they are with the operating system and when the disk is waited for, and what ends
a recording. Leaves the market to the source, bytes to the log, and how a day's recording begins and is sealed to
`recording.py`. Writing runs in one thread of its own, so the event loop that reads the sockets never waits for a disk;
only before an order leaves are its last rows written at once (`write_now`), because two changes of threads take longer.

A row is with the operating system `flush_ms` after it was received: it waits for at most half of that to be taken,
and the other half is left for writing it. Readers of the tap get rows every `TAP_MS`, before they are on disk.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from scalpcli.errors import DataError, ScalpcliError
from scalpcli.model.block import Block
from scalpcli.model.params import RecordParams
from scalpcli.model.row import COLUMNS
from scalpcli.runtime.clock import MarketClock
from scalpcli.runtime.recorder_figures import RecordingFigures, summary_of
from scalpcli.runtime.seal_room import SealRoom

_ROWS_NOW_MAX: Final = 2_000
"""Rows that are written at once: about a millisecond's work."""
TAP_MS: Final = 20
"""How often rows are handed to readers of the tap, while there are any."""
DISK_LOOK_S: Final = 1.0
"""Seconds between two looks at the free space."""
_GB: Final = 1e9

UNTIL: Final = "until"
"""The time to record is over."""
TERMINATED: Final = "terminated"
"""SIGTERM."""
INTERRUPTED: Final = "interrupted"
"""SIGINT."""
FAILED: Final = "failed"
"""The source or the disk gave up; `failure` says why."""


class Source(Protocol):
    """Where rows come from."""

    async def run(self) -> None:
        """Receive until cancelled; ends by itself only with an error that no new try can heal."""

    def drain(self) -> Block:
        """Everything learned since the last call, in the tape's order."""

    def status(self) -> dict[str, Any]:
        """Figures of the source: connections, duplicates, drops."""


class Log(Protocol):
    """Where rows go; called from one thread at a time."""

    def append(self, block: Block) -> object:
        """Take a block in."""

    def flush(self) -> object:
        """Return when every row taken in is with the operating system; waits for the disk as `fsync` says."""

    def hand_over(self) -> object:
        """As `flush`, and never wait for the disk."""

    def sync(self) -> object:
        """Return when every row taken in is on the disk."""

    def close(self, summary: Mapping[str, Any] | None = None) -> object:
        """Flush, sync and let go; `summary` is what was counted."""


class Readers(Protocol):
    """Who listens to the rows."""

    @property
    def count(self) -> int:
        """How many."""

    def publish(self, block: Block) -> None:
        """Hand a block to all of them, without waiting for any."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a recording ends by itself.

    Attributes:
        until_ns: Time at the market, UTC nanoseconds.
        folder: Where the free space is looked at.
        free_bytes: Gives the free space of a folder.
    """

    until_ns: int
    folder: Path
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


class Recorder:
    """Records one symbol from one source into one log.

    Args:
        source: Where rows come from.
        log: Where they go.
        params: `[record]`.
        clock: Time at the market.
        limits: When it ends.
        head: Blocks that go before the source's first.
        figures: Takes every block in, for screens and summaries.
        readers: Who listens besides.
        room: Holds a place on the disk for the tape.
    """

    def __init__(
        self,
        source: Source,
        log: Log,
        *,
        params: RecordParams,
        clock: MarketClock,
        limits: Limits,
        head: tuple[Block, ...] = (),
        figures: RecordingFigures | None = None,
        readers: Readers | None = None,
        room: SealRoom | None = None,
    ) -> None:
        self.figures = figures or RecordingFigures()
        self.failure: ScalpcliError | None = None
        self.ended = ""
        self.write_ms = 0.0
        self.write_ms_max = 0.0
        self._source = source
        self._log = log
        self._params = params
        self._clock = clock
        self._limits = limits
        self._readers = readers
        self._room = room
        self._head = head
        self._waiting: list[Block] = []
        self._untold: list[Block] = []
        self._listener: Callable[[Block], None] | None = None
        self._writing = asyncio.Lock()
        self._stop = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="recorder")
        self._due_s = self._disk_due_s = self._written_s = 0.0

    async def run(self) -> str:
        """Record until something ends it; every row is written and the log is closed afterwards.

        Returns:
            `UNTIL`, `TERMINATED`, `INTERRUPTED` or `FAILED`; for the last, `failure` says why.
        """
        for block in self._head:
            self._accept(block)
        feed = asyncio.create_task(self._source.run())
        self._written_s = asyncio.get_running_loop().time()
        try:
            while not self.ended:
                await self._pause(feed)
                await self._try(self._step)
                self._look_at_the_end(feed)
        finally:
            feed.cancel()
            await asyncio.wait({feed})
            await self._finish()
        return self.ended

    def stop(self, reason: str) -> None:
        """End the recording soon; the first reason given stands."""
        self.ended = self.ended or reason
        self._stop.set()

    def listen(self, listener: Callable[[Block], None]) -> None:
        """Hand every block to `listener` in the moment it is taken; figures and readers get it a little later."""
        self._listener = listener

    def take(self) -> None:
        """Take what the source learned now; whoever listens gets it before this returns."""
        self._take()

    def write_now(self) -> bool:
        """Have every row taken so far with the operating system when this returns; it holds up the event loop.

        Returns:
            Whether it was done; not where the writing thread is at work: then wait for `written`.

        Raises:
            DataError: it could not be written; the recording ends.
        """
        if self._writing.locked() or sum(block.rows for block in self._waiting) > _ROWS_NOW_MAX:
            return False
        blocks, self._waiting = self._waiting, []
        try:
            self._put(blocks, self._log.hand_over)
        except ScalpcliError as error:
            self._fail(error)
            raise
        return True

    async def written(self, *, durable: bool = False) -> None:
        """Wait until every row learned up to now is with the operating system.

        Args:
            durable: Wait for the disk itself, which also a power cut does not undo.

        Raises:
            DataError: it could not be written; the recording ends.
        """
        await self._write(durable=durable)

    def is_alive(self, silent_s_max: float) -> bool:
        """Whether the last write ended no longer than `silent_s_max` seconds ago: what a heartbeat vouches for."""
        return not self.ended and asyncio.get_running_loop().time() - self._written_s <= silent_s_max

    def status(self) -> dict[str, Any]:
        """Figures for the screen and the summary."""
        return {
            **summary_of(self.figures),
            "write_ms": round(self.write_ms, 3),
            "write_ms_max": round(self.write_ms_max, 3),
            "readers": self._readers.count if self._readers else 0,
            "source": self._source.status(),
        }

    async def _pause(self, feed: asyncio.Task[None]) -> None:
        has_readers = self._readers is not None and self._readers.count > 0
        pause_s = min(self._params.flush_ms / 2, TAP_MS if has_readers else self._params.flush_ms / 2) / 1e3
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({feed, stop}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()

    async def _step(self) -> None:
        now_s = asyncio.get_running_loop().time()
        # A pause is a little longer than asked for: what is due within half of the shortest one is due now.
        if now_s >= self._due_s - TAP_MS / 2e3:
            self._due_s = now_s + self._params.flush_ms / 2e3
            await self._write(durable=False)
            await self._look_at_the_disk(now_s)
        else:
            self._take()
            self._tell()

    def _take(self) -> None:
        """Take what the source learned: readers get it now, the log at the next write."""
        block = self._source.drain()
        if not (block.rows or block.instruments or block.conditions or block.exchanges):
            return
        self._accept(block)

    def _accept(self, block: Block) -> None:
        self._waiting.append(block)
        self._untold.append(block)
        if self._listener is not None:
            # Whoever trades on it comes first; the others are told when the next piece of work is due.
            self._listener(block)
        else:
            self._tell()

    def _tell(self) -> None:
        """Tell figures and readers of the rows taken, many small blocks as one."""
        if not self._untold:
            return
        block, self._untold = merged(self._untold), []
        self.figures.take(block)
        if self._readers is not None:
            self._readers.publish(block)

    async def _write(self, *, durable: bool) -> None:
        async with self._writing:
            self._take()
            self._tell()
            blocks, self._waiting = self._waiting, []
            loop = asyncio.get_running_loop()
            started_s = loop.time()
            # Without new rows too: the log may still have to wait for the disk. Shielded: whoever waited may
            # give up, the rows that were taken are written all the same.
            last = self._log.sync if durable else self._log.flush
            await asyncio.shield(loop.run_in_executor(self._worker, self._put, blocks, last))
            self._written_s = loop.time()
            if blocks:
                self.write_ms = (self._written_s - started_s) * 1e3
                self.write_ms_max = max(self.write_ms_max, self.write_ms)

    def _put(self, blocks: list[Block], last: Callable[[], object]) -> None:
        """Have blocks written; `last` says how safely."""
        try:
            if blocks:
                self._log.append(merged(blocks))
            last()
        except OSError as error:
            raise _disk_refused(self._limits.folder, error) from None

    async def _look_at_the_disk(self, now_s: float) -> None:
        if now_s < self._disk_due_s:
            return
        self._disk_due_s = now_s + DISK_LOOK_S
        loop = asyncio.get_running_loop()
        free = await loop.run_in_executor(self._worker, self._limits.free_bytes, self._limits.folder)
        check_room(free, self._params.min_free_gb, self._limits.folder)
        if self._room is not None:
            await loop.run_in_executor(self._worker, self._room.hold)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        try:
            await step()
        except ScalpcliError as error:
            self._fail(error)

    def _fail(self, error: ScalpcliError) -> None:
        self.failure = self.failure or error
        self.stop(FAILED)

    def _look_at_the_end(self, feed: asyncio.Task[None]) -> None:
        if feed.done() and not feed.cancelled():
            error = feed.exception()
            if isinstance(error, ScalpcliError):
                self._fail(error)
            elif error is not None:
                # A fault of ours: the rows are written first, then it is told as one.
                self.stop(FAILED)
                raise error
            else:
                self.stop(UNTIL)
        elif self._clock.now_ns() >= self._limits.until_ns:
            self.stop(UNTIL)

    async def _finish(self) -> None:
        """Write the last rows and close the log, whatever ended the recording."""
        if self._room is not None:
            await asyncio.get_running_loop().run_in_executor(self._worker, self._room.release)
        await self._try(lambda: self._write(durable=False))
        await self._try(self._close)
        self._worker.shutdown()

    async def _close(self) -> None:
        try:
            counted = {name: value for name, value in self._source.status().items() if type(value) is int}
            await asyncio.get_running_loop().run_in_executor(self._worker, self._log.close, counted)
        except OSError as error:
            raise _disk_refused(self._limits.folder, error) from None


def merged(blocks: Sequence[Block]) -> Block:
    """Blocks that follow each other as one: a frame per row would be all frames.

    Args:
        blocks: At least one.
    """
    if len(blocks) == 1:
        return blocks[0]
    columns = {name: np.concatenate([block.columns[name] for block in blocks]) for name in COLUMNS}
    lists = (
        tuple(chain.from_iterable(getattr(block, name) for block in blocks))
        for name in ("notes", "instruments", "conditions", "exchanges")
    )
    return Block(columns, *lists)


def check_room(free_bytes: int, min_free_gb: float, folder: Path) -> None:
    """Refuse to fill a disk: sealing needs room too.

    Raises:
        DataError: less than `min_free_gb` is free.
    """
    if free_bytes < min_free_gb * _GB:
        raise DataError(
            f"{free_bytes / _GB:.2f} GB of disk are free, below the limit: {min_free_gb:g} GB",
            place=f"`{folder}`",
            hint="make room (`scalpcli tape prune --keep` removes old tapes), name another folder with `--out`, "
            "or lower `--min-free-gb`",
        )


def _disk_refused(folder: Path, error: OSError) -> DataError:
    return DataError(
        f"rows cannot be written: {(error.strerror or str(error)).lower()}",
        place=f"`{folder}`",
        hint="what was written before is safe; make room, then `scalpcli record repair` seals it",
    )
