"""Live runs made of a tape without any broker: what the simulated one answers becomes rows, as a live run's do."""

from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from scalpcli.core.engine import Engine, Setup
from scalpcli.core.layout import NEVER_NS
from scalpcli.core.market_state import MarketState
from scalpcli.model.note import BROKER, LIVE
from scalpcli.model.order import Reply
from scalpcli.model.params import Blackout, Params, RecordParams, TapeParams
from scalpcli.model.row import COLD, COLUMNS, RowBatch
from scalpcli.runtime.compiler import load_kernel
from scalpcli.runtime.live_engine import LiveEngine
from scalpcli.runtime.replay import fee_schedule
from scalpcli.runtime.run_files import RunFacts, facts_of, write_results
from scalpcli.runtime.runner import Runner
from scalpcli.runtime.seal import recording_folder
from scalpcli.runtime.segment_log import SegmentWriter
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.simulated_broker import Latencies, SimulatedBroker
from scalpcli.runtime.tape import Tape
from scalpcli.runtime.tape_writer import TapeWriter
from tests.segment_samples import HEADER, blocks_of

Event = tuple[int, str, dict[str, Any]]
"""When a note is learned, its kind and its body."""
Change = Callable[[dict[str, Any]], None]
"""Changes the columns of a tape."""


def demo() -> Params:
    """Settings that trade often on the example tape; entries are switched on."""
    params = Params()
    scalp = dataclasses.replace(params.scalp, enabled=True, max_daily_scalps=20, cooldown_after_loss_minutes=1.0)
    return dataclasses.replace(params, scalp=scalp)


class _Noting(SimulatedBroker):
    """Notes every reply with the time at which it was learned."""

    replies: list[tuple[int, Reply]]

    def run(self, t_ns: int) -> list[Reply]:
        learned = super().run(t_ns)
        self.replies += [(t_ns, reply) for reply in learned]
        return learned


def replies_on(path: Path, params: Params, latency_ms: float | None, begins_ns: int) -> list[tuple[int, Reply]]:
    """What the simulated broker answers on a tape, each reply with the time at which it was learned."""
    tape, hot = Tape.open(path), load_kernel()
    broker_params = params.simulated_broker
    if latency_ms is not None:
        broker_params = dataclasses.replace(broker_params, order_latency_ms=latency_ms)
    blackouts = (Blackout("not begun", 0, begins_ns),)
    fees = fee_schedule(params, tape.session.date)
    setup = Setup(params, tape.manifest.symbol, tape.session, tape.instruments, fees, blackouts)
    market = MarketState(params, tape.session, tape.instruments, hot, None)
    engine = Engine(setup, market, hot)
    broker = _Noting(broker_params, tape.session, engine.view, Latencies(broker_params, None))
    broker.replies = []
    engine.start()
    runner = Runner(engine, market, broker, tape.notes(), lambda: None)
    runner.run((RowBatch.from_columns(columns) for columns in tape.batches()), NEVER_NS - 1)
    return broker.replies


def body_of(reply: Reply) -> dict[str, Any]:
    """A reply as its row tells it: a real broker says nothing of the quotes its fills met."""
    said = {"quantity": reply.quantity, "price_e4": reply.price_e4, "reason": reply.reason}
    head = {"reply": str(reply.kind), "order_id": reply.order_id, "ts_market_ns": reply.ts_market_ns}
    return head | {name: value for name, value in said.items() if value}


def with_notes(path: Path, out: Path, events: Sequence[Event] = (), change: Change = lambda _: None) -> Path:
    """A copy of a tape with more notes, each after every row of its time, and its columns changed before."""
    tape = Tape.open(path)
    rows = pl.read_parquet(path / "rows.parquet")
    columns: dict[str, Any] = {name: rows[name].to_numpy().astype(kind) for name, kind in COLUMNS.items()}
    change(columns)
    events = sorted(events, key=lambda event: event[0])
    places = np.searchsorted(columns["ts_recv_ns"], [event[0] for event in events], side="right")
    more = {name: np.zeros(len(events), kind) for name, kind in COLUMNS.items()}
    more["kind"][:] = COLD
    more["ts_recv_ns"][:] = more["ts_event_ns"][:] = [event[0] for event in events]
    own = np.flatnonzero(columns["kind"] == COLD)
    noted = [(int(at), 0, (note.kind, note.body)) for at, note in zip(own, tape.notes(), strict=True)]
    # A row inserted at a place stands before the one that was there.
    noted += [(int(at), -1, event[1:]) for at, event in zip(places, events, strict=True)]
    notes = [note for _, _, note in sorted(noted, key=lambda each: each[:2])]
    whole = {name: np.insert(columns[name], places, more[name]) for name in COLUMNS}
    with TapeWriter(
        out, tape.manifest.symbol, tape.session.date, params=TapeParams(), synthetic=True, feeds={}, source={}
    ) as writer:
        writer.add_instruments(tape.instruments[1:])
        for text in tape.manifest.conditions[1:]:
            writer.condition_code(text)
        for text in tape.manifest.exchanges[1:]:
            writer.exchange_code(text)
        writer.append(whole, notes)
        return writer.seal()


@dataclass
class Made:
    """How a live run is to be made."""

    params: Params = field(default_factory=demo)
    mode: str = "paper"
    begins_ns: int = 0
    """When entries begin; 0 = with the session."""
    latency_ms: float | None = None
    """Latency of live orders; that of the settings where not given."""
    change: Callable[[list[dict[str, Any]]], None] = lambda _: None
    """Changes the replies before they become rows."""
    more: Sequence[Event] = ()
    finished_ns: int | None = None
    """Where the run ended; its close where not given."""
    chunk_rows: int = 997
    """Rows that reach the engine at one time."""


def live_run(folder: Path, path: Path, made: Made | None = None) -> Path:
    """A live run's folder: the tape with the broker's replies on it, what it was played with, what it decided."""
    made = made or Made()
    session = Tape.open(path).session
    begins_ns = made.begins_ns or session.open_ns - 1
    replies = replies_on(path, made.params, made.latency_ms, begins_ns)
    events: list[Event] = [(begins_ns, LIVE, {"phase": "begins", "reason": "reconciled"})]
    bodies = [body_of(reply) for _, reply in replies]
    made.change(bodies)
    events += [(ts_ns, BROKER, body) for (ts_ns, _), body in zip(replies, bodies, strict=True)]
    tape = Tape.open(with_notes(path, folder / "tape", [*events, *made.more]))
    finished_ns = made.finished_ns or session.close_ns
    fees = fee_schedule(made.params, session.date)
    symbol = tape.manifest.symbol
    setup = Setup(made.params, symbol, session, tape.instruments, fees, mode=made.mode, synthetic=True)
    live = decided(tape, setup, finished_ns, made.chunk_rows)
    (folder / "decisions.jsonl").write_bytes(b"".join(live.lines))
    RunFacts(folder, facts_of(setup)).tell(finished_ns=finished_ns)
    about = {"mode": made.mode, "command": ["scalpcli", "live"], "timings_s": {"total": 1.0}, "peak_rss_mb": 1.0}
    write_results(folder, live, tape.path, tape.manifest, about)
    return folder


def decided(tape: Tape, setup: Setup, finished_ns: int, chunk_rows: int) -> LiveEngine:
    """The engine of a live run after a tape's rows reached it in small pieces."""
    live = LiveEngine(setup, load_kernel())
    columns = next(tape.batches(1 << 30, tuple(COLUMNS)))
    known = int(np.searchsorted(columns["ts_recv_ns"], finished_ns, side="right"))
    columns = {name: values[:known] for name, values in columns.items()}
    for block in blocks_of(columns, chunk_rows, [(note.kind, note.body) for note in tape.notes()], {}):
        live.feed([block], int(block.columns["ts_recv_ns"][-1]) - 1)
    live.feed([], finished_ns)
    live.finish()
    return live


def records_of(folder: Path) -> list[dict[str, Any]]:
    """The decisions of a run."""
    return [json.loads(line) for line in (folder / "decisions.jsonl").read_bytes().splitlines()]


def tape_of(folder: Path) -> Path:
    """The tape of a run."""
    return next((folder / "tape").glob("*/*/manifest.json")).parent


def retell(folder: Path, **facts: Any) -> None:
    """Change what a run says about itself."""
    path = folder / "live.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def replace_tape(folder: Path, change: Change) -> None:
    """Let a run have another tape than it recorded, sound in itself."""
    tape = tape_of(folder)
    moved = tape.rename(folder / "moved")
    with_notes(moved, folder / "tape", change=change)
    shutil.rmtree(moved)


def unseal(folder: Path, cuts: Sequence[int] = ()) -> Path:
    """Put the recording in the place of a run's tape: as processes left it that ended after those rows."""
    tape = Tape.open(tape_of(folder))
    columns = next(tape.batches(1 << 30, tuple(COLUMNS)))
    notes = [(note.kind, note.body) for note in tape.notes()]
    names = {
        "instruments": tape.instruments[1:],
        "conditions": tuple(tape.manifest.conditions[1:]),
        "exchanges": tuple(tape.manifest.exchanges[1:]),
    }
    blocks = blocks_of(columns, 5_000, notes, names)
    target = recording_folder(folder / "tape", tape.manifest.symbol, tape.session.date)
    header = HEADER | {"source": {"made_by": "live"}}
    for begin, end in itertools.pairwise([0, *cuts, len(blocks)]):
        before = SegmentReader(target).continuation() if begin else None
        writer = SegmentWriter(target, RecordParams(), header, continuation=before)
        for block in blocks[begin:end]:
            writer.append(block)
        writer.flush()
        writer.abandon()
    shutil.rmtree(tape.path)
    return target
