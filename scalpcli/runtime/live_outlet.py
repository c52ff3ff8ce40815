"""The way out: what was decided leaves only after it is written down.

Decides the order of rows, lines and orders: first every row that was decided on is with the operating system, then
the lines of the journal are on the disk itself, then the orders go. Lines without an order follow a little later, in
the same order. Where the disk refuses, entries are not sent; exits are, and loudly: one must be able to leave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from scalpcli.core.executor import Command
from scalpcli.errors import ScalpcliError
from scalpcli.runtime.live_ports import JournalStore, RowKeeper

Decided = tuple[Command, int]
"""A command and the engine time at which it was decided."""


class Outlet:
    """Writes a session's journal and lets its orders out.

    Args:
        keeper: Writes rows.
        store: Writes lines.
        lines: The journal, which grows.
        written: Lines of it that are on the disk already.
        send: Takes commands that may leave.
        refuse: Takes commands that were not written down, and why.
    """

    def __init__(
        self,
        keeper: RowKeeper,
        store: JournalStore,
        lines: Sequence[bytes],
        written: int,
        send: Callable[[Command, int], None],
        refuse: Callable[[Command, int, ScalpcliError], None],
    ) -> None:
        self.written = written
        self.failure: ScalpcliError | None = None
        """Why the disk refused last."""
        self._keeper = keeper
        self._store = store
        self._lines = lines
        self._send = send
        self._refuse = refuse
        self._waiting: list[Decided] = []
        self._task: asyncio.Task[None] | None = None
        self._committing: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether no command waits for the disk."""
        return not self._waiting and self._task is None

    def push(self, commands: Sequence[Decided]) -> None:
        """Let commands out, those that came before first.

        Where nobody writes just now all of it is done at once, in this thread: two changes of threads would take
        longer than the few rows and lines there are.
        """
        self._waiting += commands
        if not self._waiting or self._task is not None:
            return
        try:
            is_written = self._keeper.write_now()
        except ScalpcliError as error:
            self._give_up(len(self._waiting), error)
            return
        if is_written:
            self._let_out(len(self._lines), len(self._waiting))
        else:
            self._task = asyncio.create_task(self._let_out_later())

    async def commit(self) -> None:
        """Write the lines there are, after their rows; those of orders are synced besides.

        Raises:
            ScalpcliError: the disk refuses.
        """
        if self._task is not None:
            await asyncio.wait({self._task})
        count = len(self._lines)
        while self.written < count:
            if self._committing is None:
                self._committing = asyncio.create_task(self._commit())
            # Whoever waits may give up; what was begun is done all the same.
            await asyncio.shield(self._committing)

    async def _commit(self) -> None:
        try:
            count = len(self._lines)
            await self._keeper.written()
            self._append(count)
        finally:
            self._committing = None

    def sync(self) -> None:
        """Have every line written so far on the disk itself.

        Raises:
            ScalpcliError: the disk refuses.
        """
        self._store.sync()

    async def _let_out_later(self) -> None:
        try:
            while self._waiting:
                # What is decided while we wait needs rows that this does not wait for.
                lines, commands = len(self._lines), len(self._waiting)
                try:
                    await self._keeper.written()
                except ScalpcliError as error:
                    self._give_up(commands, error)
                else:
                    self._let_out(lines, commands)
        finally:
            self._task = None

    def _let_out(self, lines: int, commands: int) -> None:
        try:
            self._append(lines)
            self._store.sync()
        except ScalpcliError as error:
            self._give_up(commands, error)
            return
        going, self._waiting = self._waiting[:commands], self._waiting[commands:]
        for command, decided_ns in going:
            self._send(command, decided_ns)

    def _append(self, lines: int) -> None:
        if lines > self.written:
            self._store.append(b"".join(self._lines[self.written : lines]))
            self.written = lines

    def _give_up(self, commands: int, error: ScalpcliError) -> None:
        self.failure = error
        going, self._waiting = self._waiting[:commands], self._waiting[commands:]
        for command, decided_ns in going:
            self._refuse(command, decided_ns, error)
