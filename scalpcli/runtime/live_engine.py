"""One session's engine with its runner and its journal, driven by blocks of rows as they come.

Decides how a block becomes what the runner takes, and when something happens next. Resuming and trading use it alike,
so that a run that is folded again decides what it decided. Leaves disks and brokers to others: orders are handed out.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.core.position import Scalp
from scalpcli.model.block import Block
from scalpcli.model.note import Note
from scalpcli.model.order import Reply
from scalpcli.model.row import COLD, COLUMNS, ENGINE_COLUMNS, RowBatch
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker

SHADOW: Final = "shadow"


class Outbox:
    """Where the engine's orders go first: they are kept until they are on the disk. Nothing comes back this way.

    With a simulated broker inside (shadow mode) it is the market that answers; its replies are kept like the orders,
    for they become rows before the engine learns of them.
    """

    def __init__(self) -> None:
        self.commands: list[tuple[Command, int]] = []
        """What was decided, with its time."""
        self.replies: list[Reply] = []
        self.simulated: SimulatedBroker | None = None

    def send(self, command: Command, t_ns: int) -> None:
        """Keep an order or a cancel."""
        self.commands.append((command, t_ns))
        if self.simulated is not None:
            self.simulated.send(command, t_ns)

    def next_ns(self) -> int:
        """When something happens at the simulated market."""
        return self.simulated.next_ns() if self.simulated is not None else NEVER_NS

    def run(self, t_ns: int) -> list[Reply]:
        """Let it happen; the engine learns of it by rows alone."""
        if self.simulated is not None:
            self.replies += self.simulated.run(t_ns)
        return []

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """Show the simulated market a quote."""
        if self.simulated is not None:
            self.simulated.on_quote(instrument_id, t_ns)

    def watched(self) -> set[int]:
        """Contracts whose every quote it must see."""
        return self.simulated.watched() if self.simulated is not None else set()


class LiveEngine:
    """The engine of one live session.

    Args:
        setup: What it is played with.
        hot: The kernel.

    Attributes:
        engine: The engine.
        journal: Its decisions as lines.
        outbox: Its orders.
        known_ns: Every row received up to here was folded, and every instant decided.
    """

    def __init__(self, setup: Setup, hot: Kernel) -> None:
        self.setup = setup
        self.market = MarketState(setup.params, setup.session, setup.instruments, hot)
        self.engine = Engine(setup, self.market, hot)
        self.journal = SessionJournal(self.engine, setup.session.date, setup.symbol)
        self.outbox = Outbox()
        if setup.mode == SHADOW:
            params = setup.params.simulated_broker
            latencies = Latencies(params, None)
            self.outbox.simulated = SimulatedBroker(params, setup.session, self.engine.view, latencies)
        self.known_ns = 0
        self.rows = 0
        self._interval_ns = int(self.market.tracker["interval_ns"])
        self._notes: deque[Note] = deque()
        self._seq = 0
        self._few = _FewRows()
        self._runner = Runner(self.engine, self.market, self.outbox, _Queue(self._notes), self.journal.step)
        self.engine.start()
        self._runner.begin()

    @property
    def lines(self) -> list[bytes]:
        """The journal so far."""
        return self.journal.lines

    @property
    def scalps(self) -> Sequence[Scalp]:
        """Scalps whose entry works or of which contracts are held."""
        return self.engine.scalps

    def held(self) -> dict[str, int]:
        """Contracts we believe are held, by symbol; what expired in our hands was never got rid of."""
        held = dict(self.engine.expired)
        for scalp in self.scalps:
            if scalp.held:
                held[scalp.instrument.symbol] = held.get(scalp.instrument.symbol, 0) + scalp.held
        return held

    def feed(self, blocks: Sequence[Block], known_ns: int) -> None:
        """Fold blocks in their order.

        Args:
            blocks: Rows not handed in before.
            known_ns: Every row received up to here is in them or was before.
        """
        known_ns = max(known_ns, self.known_ns)
        for block in blocks[:-1]:
            if block.rows:
                self._fold(block, int(block.columns["ts_recv_ns"][-1]) - 1)
        if blocks:
            self._fold(blocks[-1], known_ns)
        else:
            self._runner.feed(_EMPTY, known_ns)
        self.known_ns = known_ns

    def _fold(self, block: Block, known_ns: int) -> None:
        columns = block.columns
        if block.notes:
            times = columns["ts_recv_ns"][columns["kind"] == COLD]
            for time_ns, (kind, body) in zip(times.tolist(), block.notes, strict=True):
                self._notes.append(Note(self._seq, time_ns, kind, body))
                self._seq += 1
        self.rows += block.rows
        self._runner.feed(self._few.of(columns) or RowBatch.from_columns(dict(columns)), known_ns)

    def next_ns(self) -> int:
        """When something must be decided though no row comes: an instant, a deadline, the simulated market."""
        instant_ns = int(self.market.tracker["next_instant_ns"])
        return min(instant_ns, self.engine.deadline_ns(), self.outbox.next_ns())

    @property
    def needs_every_row(self) -> bool:
        """Whether rows are decided on as they come, not at the next instant of the grid."""
        return self._interval_ns == 0 or bool(self.scalps) or bool(self.outbox.watched())

    def finish(self) -> None:
        """End the session where it stands."""
        self.engine.finish(min(self.known_ns, self.setup.session.close_ns))
        self.journal.step()


def decision_of(line: bytes) -> dict[str, Any]:
    """A line of the journal as it was decided, without its number."""
    decision: dict[str, Any] = json.loads(line)
    del decision["n"]
    return decision


class _FewRows:
    """Arrays that stay, for blocks of a few rows: after every frame, new ones would take half of the time."""

    def __init__(self) -> None:
        arrays = RowBatch(*(np.zeros(_FEW_ROWS, COLUMNS[name]) for name in ENGINE_COLUMNS))
        self._views = [arrays.slice(0, rows) for rows in range(_FEW_ROWS + 1)]

    def of(self, columns: Mapping[str, NDArray[Any]]) -> RowBatch | None:
        """The rows as a batch, until the next call; nothing where they are more than a few."""
        rows = len(columns["kind"])
        if rows > _FEW_ROWS:
            return None
        batch = self._views[rows]
        for array, name in zip(batch, ENGINE_COLUMNS, strict=True):
            array[:] = columns[name]
        return batch


_FEW_ROWS: Final = 32


class _Queue:
    """Notes that wait for their rows; unlike a generator it goes on after it was empty."""

    def __init__(self, notes: deque[Note]) -> None:
        self._notes = notes

    def __iter__(self) -> Iterator[Note]:
        return self

    def __next__(self) -> Note:
        if not self._notes:
            raise StopIteration
        return self._notes.popleft()


_EMPTY: Final = RowBatch.empty()
