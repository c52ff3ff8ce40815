"""Proves that a live run decided what its own rows make the engine decide (design, law 4).

The run's rows are folded through the same runner and engine, in the run's mode, beside a broker that sends nothing:
what the real one answered are rows of the tape. Every decision must come out byte for byte. The same rows are then
played with the simulated broker, so that the difference in result can be split (`report/against.py`).

A journal may be cut short, where its process died or left the session to a later one: its lines must then be the first
of those that come out. The journal of a finished session must be equal whole.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from scalpcli import __version__
from scalpcli.core.engine import REPLAY, Engine, Setup
from scalpcli.core.executor import Command
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import Kernel, MarketState
from scalpcli.errors import DataError
from scalpcli.model.note import Note
from scalpcli.model.order import Reply
from scalpcli.model.params import Blackout
from scalpcli.model.row import RowBatch
from scalpcli.runtime.against_facts import LiveFacts, RunJournal, read_facts, read_journal
from scalpcli.runtime.against_tape import QuotesOf, RunTape, Windows, open_tape
from scalpcli.runtime.journal import SessionJournal
from scalpcli.runtime.replay import fee_schedule, read_latencies
from scalpcli.runtime.runner import Broker, Runner
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker

SHADOW: Final = "shadow"
IDLE: Final = "live did not trade"
"""Name of the windows in which the simulated trader makes no entries either."""


class SilentBroker:
    """Sends nothing: whatever the real broker did with these orders stands on the tape."""

    def send(self, command: Command, t_ns: int) -> None:
        """Leave the order where it is."""

    def next_ns(self) -> int:
        """Nothing ever happens here."""
        return NEVER_NS

    def run(self, t_ns: int) -> list[Reply]:
        """Nothing is learned here."""
        del t_ns
        return []

    def on_quote(self, instrument_id: int, t_ns: int) -> None:
        """No order works here."""

    def watched(self) -> set[int]:
        """No quote matters here."""
        return set()


@dataclass(frozen=True, slots=True)
class Difference:
    """The first decision that did not come out as the run wrote it.

    Attributes:
        number: Line of the journal, from 1.
        expected: As the run wrote it; nothing where it wrote no more.
        found: As it came out; nothing where no more came.
        before: The last lines both have.
    """

    number: int
    expected: bytes | None
    found: bytes | None
    before: tuple[bytes, ...] = ()

    @property
    def fields(self) -> list[tuple[str, Any, Any]]:
        """Fields in which the two differ: name, as written, as it came out."""
        if self.expected is None or self.found is None:
            return []
        was, now = json.loads(self.expected), json.loads(self.found)
        return [(name, was.get(name), now.get(name)) for name in {**was, **now} if was.get(name) != now.get(name)]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a run's rows.

    Attributes:
        lines: The decisions, as lines of a journal.
        gross_e4: Result of closed trades before fees, 1/10000 USD.
        fees_e4: Fees of every fill, as charged for the day.
        rows: Rows folded.
        is_flat: Whether nothing was held at the end.
    """

    lines: tuple[bytes, ...]
    gross_e4: int
    fees_e4: int
    rows: int
    is_flat: bool

    @property
    def net_e4(self) -> int:
        """Result after fees."""
        return self.gross_e4 - self.fees_e4


@dataclass(frozen=True, slots=True)
class Proof:
    """What holding a live run against its own rows found.

    Attributes:
        folder: The run.
        facts: What the run was played with.
        journal: What it wrote down.
        tape: What it recorded.
        played: What came out.
        difference: The first decision that differs; nothing where all are equal.
        idle: From and until when live made no entries, by the notes of its tape.
        quotes: Quotes of the contracts that live bought.
        until_ns: Up to when the rows were folded: the run's end, or what its last line tells.
        doubts: What differs between the scalpcli that wrote the run and this one, in words.
    """

    folder: Path
    facts: LiveFacts
    journal: RunJournal
    tape: RunTape
    played: Played
    difference: Difference | None
    idle: tuple[tuple[int, int], ...]
    quotes: QuotesOf
    until_ns: int
    doubts: tuple[str, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Whether the session was finished, so that its journal must be equal to the end."""
        return self.facts.finished_ns is not None

    @property
    def unwritten(self) -> int:
        """Decisions its rows make that no process wrote down any more."""
        return 0 if self.difference is not None else len(self.played.lines) - len(self.journal.lines)


def prove(folder: Path, hot: Kernel) -> Proof:
    """Fold a live run's rows again and hold what comes out against what it wrote.

    Args:
        folder: The run's folder, `OUT/MODE/SYMBOL/DATE`.
        hot: The compiled or the interpreted kernel.

    Raises:
        DataError: the folder is no live run, its tape is missing or damaged, or its settings are unknown here.
    """
    facts, journal = read_facts(folder), read_journal(folder)
    tape = open_tape(folder, facts.symbol, facts.session)
    windows = Windows()
    # A shadow's orders meet the simulated market, which knows receive times only; a real one tells its own.
    quotes = QuotesOf(_bought(journal.lines, tape), is_received=facts.mode == SHADOW)
    # A process that died had decided up to its last line at least, maybe in silence after its last row.
    until_ns = journal.last_ns if facts.finished_ns is None else facts.finished_ns
    setup = setup_of(facts, tape)
    session = _Session(tape, setup, hot, until_ns, is_finished=facts.finished_ns is not None)
    played = session.play(lambda _: SilentBroker(), quotes.take, windows.take)
    windows.close(facts.session.close_ns + 1)
    difference = first_difference(journal.lines, played.lines, is_whole=facts.finished_ns is not None)
    return Proof(
        folder, facts, journal, tape, played, difference, tuple(windows.idle), quotes, until_ns, _doubts(facts, setup)
    )


def _doubts(facts: LiveFacts, setup: Setup) -> tuple[str, ...]:
    found = []
    if facts.code_version and facts.code_version != __version__:
        found.append(f"scalpcli {facts.code_version} wrote the run, this is {__version__}")
    if setup.config_digest != facts.config_digest:
        found.append(
            f"the run's settings have the digest {setup.config_digest[:12]} here, the run says"
            f" {facts.config_digest[:12]}: another version reads them differently"
        )
    return tuple(found)


def simulate(proof: Proof, hot: Kernel) -> tuple[Played, tuple[str, ...]]:
    """Play the same rows with the simulated broker, up to where live ended.

    What the broker answered is no row of this play; an operator's commands and gaps act in it as in the live run.
    Entries are made in the same hours: before `live begins` and after `pauses` live could make none, which says
    nothing about how orders fill.

    Args:
        proof: The live run, read before.
        hot: The compiled or the interpreted kernel.

    Returns:
        What came out, and what a reader must know about it.

    Raises:
        DataError: the tape cannot be read again.
    """
    facts = proof.facts
    broker_params, notices = facts.params.simulated_broker, []
    try:
        drawn_ms = read_latencies(broker_params.latency_file)
    except DataError as error:
        drawn_ms = None
        notices.append(
            f"{error.found}: simulated with {broker_params.order_latency_ms:g} and"
            f" {broker_params.report_latency_ms:g} ms instead"
        )
    tape = open_tape(proof.folder, facts.symbol, facts.session)
    params = facts.params
    # What a blind feed does has a setting of its own where money is at stake.
    gaps = "flatten" if params.live.on_stall == "flatten" else "ignore"
    setup = dataclasses.replace(
        setup_of(facts, tape),
        params=dataclasses.replace(params, replay=dataclasses.replace(params.replay, gaps=gaps)),
        mode=REPLAY,
        blackouts=(*facts.blackouts, *(Blackout(IDLE, *window) for window in proof.idle)),
    )

    def broker_of(engine: Engine) -> Broker:
        return SimulatedBroker(broker_params, facts.session, engine.view, Latencies(broker_params, drawn_ms))

    session = _Session(tape, setup, hot, proof.until_ns, is_finished=proof.is_whole)
    played = session.play(broker_of, lambda _: None, lambda _: None)
    if not played.is_flat:
        notices.append("the simulated trader still held something when live ended; that position is not counted")
    return played, tuple(notices)


def setup_of(facts: LiveFacts, tape: RunTape) -> Setup:
    """What the engine of a live run was made with.

    Raises:
        DataError: no fees are known for its day.
    """
    return Setup(
        facts.params,
        facts.symbol,
        facts.session,
        tape.instruments,
        fee_schedule(facts.params, facts.session.date),
        facts.blackouts,
        mode=facts.mode,
        synthetic=tape.is_synthetic,
        latencies_digest=facts.latencies_digest,
    )


def first_difference(
    expected: Sequence[bytes], found: Sequence[bytes], *, is_whole: bool, context: int = 2
) -> Difference | None:
    """The first line in which two journals differ.

    Args:
        expected: As the run wrote it.
        found: As it came out.
        is_whole: Whether nothing may follow the written lines.
        context: Lines before it that are told too.
    """
    for number, line in enumerate(expected):
        now = found[number] if number < len(found) else None
        if line != now:
            return Difference(number + 1, line, now, tuple(expected[max(0, number - context) : number]))
    if is_whole and len(found) > len(expected):
        last = len(expected)
        return Difference(last + 1, None, found[last], tuple(expected[max(0, last - context) : last]))
    return None


def _bought(lines: Sequence[bytes], tape: RunTape) -> set[int]:
    """The contracts that the run had fills of."""
    symbols = {record["symbol"] for line in lines if (record := json.loads(line))["kind"] == "order"}
    return {each.instrument_id for each in tape.instruments if each.symbol in symbols}


@dataclass(slots=True)
class _Session:
    """One play of a run's rows."""

    tape: RunTape
    setup: Setup
    hot: Kernel
    until_ns: int
    is_finished: bool

    def play(
        self,
        broker_of: Callable[[Engine], Broker],
        on_batch: Callable[[RowBatch], None],
        on_note: Callable[[Note], None],
    ) -> Played:
        """Fold the rows up to the end of the run, or all of them where it did not end in order."""
        setup, params = self.setup, self.setup.params
        market = MarketState(params, setup.session, self.tape.instruments, self.hot, None)
        engine = Engine(setup, market, self.hot)
        journal = SessionJournal(engine, setup.session.date, setup.symbol)
        engine.start()
        runner = Runner(engine, market, broker_of(engine), self._notes(on_note), journal.step)
        runner.run(self._batches(on_batch), self.until_ns)
        if self.is_finished:
            engine.finish(min(self.until_ns, setup.session.close_ns))
            journal.step()
        return Played(
            tuple(journal.lines),
            engine.ledger.gross_e4,
            engine.ledger.fees.total_e4(),
            self.tape.rows,
            is_flat=all(scalp.held == 0 for scalp in engine.scalps),
        )

    def _batches(self, on_batch: Callable[[RowBatch], None]) -> Iterator[RowBatch]:
        for batch in self.tape.batches(self.setup.params.replay.batch_rows):
            stop = int(np.searchsorted(batch.ts_recv_ns, self.until_ns, side="right"))
            is_last = self.is_finished and stop < len(batch.ts_recv_ns)
            folded = batch.slice(0, stop) if is_last else batch
            on_batch(folded)
            yield folded
            if is_last:
                return

    def _notes(self, on_note: Callable[[Note], None]) -> Iterator[Note]:
        for note in self.tape.notes():
            on_note(note)
            yield note
