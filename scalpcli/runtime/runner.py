"""The one loop that drives the engine, in replay as in live (design, section 3).

Decides the order of things at one time: rows first, then what happens at the broker and what we learn of
it, then deadlines, then the instant. Leaves where rows come from and where decisions go to its callers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from scalpcli.core.engine import Engine
from scalpcli.core.executor import Command
from scalpcli.core.layout import END, INSTANT, NEVER_NS, RARE, UNTIL, WATCH, WATCH_EVERY
from scalpcli.core.market_state import MarketState
from scalpcli.errors import DataError
from scalpcli.model.note import Note, body_fault
from scalpcli.model.order import Reply
from scalpcli.model.row import COLD, GAP, STATUS, RowBatch


class Broker(Protocol):
    """Where orders go: simulated, or the real one."""

    def send(self, command: Command, t_ns: int) -> None:
        """Take an order or a cancel decided at `t_ns`."""

    def next_ns(self) -> int:
        """When something happens next; `NEVER_NS` when nothing is due."""

    def run(self, t_ns: int) -> list[Reply]:
        """Let everything due at `t_ns` happen; what we learn at that time, in order."""

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """See a new quote of a contract in which an order works."""

    def watched(self) -> set[int]:
        """Contracts whose every quote the broker must see."""


class Runner:
    """Drives one session.

    Args:
        engine: What decides.
        market: What folds rows.
        broker: Where orders go.
        notes: Cold rows, in the order of their markers.
        on_step: Called after everything that may have decided something.
    """

    def __init__(
        self,
        engine: Engine,
        market: MarketState,
        broker: Broker,
        notes: Iterable[Note],
        on_step: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._market = market
        self._broker = broker
        self._notes: Iterator[Note] = iter(notes)
        self._on_step = on_step
        self._watching: dict[int, tuple[int, int, int]] = {}
        self._now_ns = 0

    def run(self, batches: Iterable[RowBatch], until_ns: int = NEVER_NS - 1) -> None:
        """Play every batch, then the rest of the session up to its close.

        Args:
            batches: Rows in tape order, none after `until_ns`; how they are cut changes nothing (law 1).
            until_ns: Where to stop: nothing is decided later.
        """
        self.begin()
        for batch in batches:
            if len(batch.ts_recv_ns):
                # Rows of the last receive time may go on in the next batch.
                self.feed(batch, int(batch.ts_recv_ns[-1]) - 1)
        self.feed(_EMPTY, until_ns)

    def begin(self) -> None:
        """Tell the market's state what to come back for, and write down what was decided; before the first batch."""
        self._settle()

    def feed(self, batch: RowBatch, known_ns: int) -> None:
        """Fold one batch; `begin` comes before the first.

        Args:
            batch: Rows not handed in before.
            known_ns: Every row received up to here has been handed in once this batch is folded.
        """
        following = 0
        while True:
            due_ns = min(self._broker.next_ns(), self._engine.deadline_ns())
            following, reason = self._market.advance(batch, following, due_ns, known_ns)
            if reason == END:
                return
            self._now_ns = due_ns if reason == UNTIL else int(self._market.tracker["now_ns"])
            if reason == UNTIL:
                self._at_time(due_ns)
            elif reason == INSTANT:
                self._engine.on_instant(self._now_ns)
            elif reason == WATCH:
                self._at_quote()
            elif reason == RARE:
                self._at_rare_row(batch)
            self._settle()

    def _at_time(self, t_ns: int) -> None:
        """What is due at `t_ns`, after every row received by then."""
        for reply in self._broker.run(t_ns):
            self._engine.on_reply(reply, t_ns)
        if self._engine.deadline_ns() <= t_ns:
            self._engine.on_deadline(t_ns)

    def _at_quote(self) -> None:
        instrument_id = int(self._market.tracker["watched_id"])
        if instrument_id in self._broker.watched():
            self._broker.on_quote(instrument_id, self._now_ns)
        self._engine.on_watch(instrument_id, self._now_ns)

    def _at_rare_row(self, batch: RowBatch) -> None:
        row = int(self._market.tracker["rare_row"])
        t_ns = int(batch.ts_recv_ns[row])
        kind, flags = int(batch.kind[row]), int(batch.flags[row])
        if kind == STATUS:
            self._engine.on_halt(int(batch.instrument_id[row]), flags, t_ns)
        elif kind == GAP:
            self._engine.on_gap(int(batch.size[row]), flags, int(batch.ts_event_ns[row]), t_ns)
        elif kind == COLD:
            self._engine.on_note(next_note(self._notes, t_ns))

    def _settle(self) -> None:
        """Send what was decided, then tell the market's state what to come back for."""
        for command in self._engine.take_commands():
            self._broker.send(command, self._now_ns)
        watches = self._engine.watches()
        for instrument_id in self._broker.watched():
            bits, low_e4, high_e4 = watches.get(instrument_id, (0, 0, 0))
            watches[instrument_id] = (bits | WATCH_EVERY, low_e4, high_e4)
        for instrument_id in self._watching.keys() - watches.keys():
            self._market.set_watch(instrument_id, 0, 0, 0)
        for instrument_id, watch in watches.items():
            if self._watching.get(instrument_id) != watch:
                self._market.set_watch(instrument_id, *watch)
        self._watching = watches
        tracker = self._market.tracker
        tracker["wake_ns"] = self._engine.wake_ns()
        tracker["report_instants"] = int(self._engine.wants_every_instant)
        self._on_step()


def next_note(notes: Iterator[Note], t_ns: int) -> Note:
    """The note of the cold row received at `t_ns`.

    Raises:
        DataError: there is none, it belongs to another row, or its body is not what its kind says.
    """
    note = next(notes, None)
    if note is None:
        found = "the tape has more cold rows than notes"
    elif note.ts_recv_ns != t_ns:
        found = f"note {note.seq} was received at {note.ts_recv_ns} ns, its row was not"
    else:
        found = body_fault(note)
        if not found:
            return note
    raise DataError(found, place=f"the row received at {t_ns} ns", hint="run `scalpcli tape verify` on the tape")


_EMPTY = RowBatch.empty()
