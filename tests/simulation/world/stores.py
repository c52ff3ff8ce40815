"""What a process keeps on disk, held in memory: rows and journal, of which a killed process leaves what was written.

A crash may come in the middle of writing: then a part of the bytes is there, as the operating system would leave it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.model.block import Block
from tests.simulation.world.loop import Killed, process_now

FLUSH_S = 0.4


@dataclass(slots=True)
class Disk:
    """Everything that outlives a process.

    Attributes:
        folder: Folder of the run, in memory; the journal and what the guard reads and writes lie there.
        blocks: Rows that were written.
        synced: The journal as far as the disk was waited for.
        dies_in: Writes until the writing process is killed in the middle of one; 0 = none.
    """

    folder: Path
    blocks: list[Block] = field(default_factory=list)
    synced: bytes = b""
    dies_in: int = 0

    @property
    def journal_path(self) -> Path:
        """Where the journal lies."""
        return self.folder / "decisions.jsonl"

    def journal(self) -> bytes:
        """The journal as it lies there."""
        return self.journal_path.read_bytes() if self.journal_path.exists() else b""

    def point(self, leave: Callable[[], None] = lambda: None) -> None:
        """A place at which a process may die while it writes; `leave` is what it leaves then.

        Raises:
            Killed: it does, or it is dead already.
        """
        process = process_now()
        if process is not None and not process.is_alive:
            raise Killed
        if self.dies_in and process is not None:
            self.dies_in -= 1
            if not self.dies_in:
                leave()
                process.kill()
                raise Killed


class MemoryJournal:
    """`decisions.jsonl` of a run.

    Args:
        disk: Where it lies.
    """

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        journal = disk.journal()
        whole = journal[: journal.rfind(b"\n") + 1]
        if whole != journal:
            # A line that a killed process tore was never acted on.
            disk.journal_path.write_bytes(whole)

    def append(self, data: bytes) -> None:
        """Add whole lines."""
        self._disk.point(lambda: self._write(data[: len(data) // 2]))
        self._write(data)
        self._disk.point()

    def sync(self) -> None:
        """Wait for the disk."""
        self._disk.point()
        self._disk.synced = self._disk.journal()

    def _write(self, data: bytes) -> None:
        with self._disk.journal_path.open("ab") as file:
            file.write(data)


class MemoryKeeper:
    """Takes rows from the aggregator to the disk and to whoever listens, as a recorder does.

    Args:
        maker: Where rows come from.
        disk: Where they go.
    """

    def __init__(self, maker: DataAggregator, disk: Disk) -> None:
        self._maker, self._disk = maker, disk
        self._waiting: list[Block] = []
        self._listeners: list[Callable[[Block], None]] = []
        self._writing: asyncio.Lock = asyncio.Lock()

    def listen(self, listener: Callable[[Block], None]) -> None:
        """Hand every block to `listener`."""
        self._listeners.append(listener)

    def take(self) -> None:
        """Take what the source learned."""
        if not self._maker.waiting:
            return
        block = self._maker.drain()
        self._waiting.append(block)
        for listener in self._listeners:
            listener(block)

    def write_now(self) -> bool:
        """Have everything written, unless somebody writes just now."""
        if self._writing.locked():
            return False
        if self._waiting:
            self._put(self._waiting)
            self._waiting = []
        return True

    async def written(self, *, durable: bool = False) -> None:
        """Wait until everything learned so far is written."""
        del durable
        async with self._writing:
            self.take()
            blocks, self._waiting = self._waiting, []
            if not blocks:
                return
            # Whoever waited may give up; the rows that were taken are written all the same.
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._put, blocks))

    async def run(self) -> None:
        """Write what came, again and again."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.written()

    def _put(self, blocks: list[Block]) -> None:
        self._disk.point(lambda: self._disk.blocks.extend(blocks[: len(blocks) // 2]))
        self._disk.blocks.extend(blocks)
        self._disk.point()
