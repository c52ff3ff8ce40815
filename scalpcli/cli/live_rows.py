"""Where a live session's rows come from: Alpaca's streams, or the tap of a running `record`.

Decides what the first rows of a run are: its nonce, from which its order ids are made, then what earlier sessions tell,
and beside a recorder everything since the morning, so that a start at 11:00 decides like one at 09:30.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from uuid import uuid4

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.cli.live_job import LiveJob
from scalpcli.cli.live_past import Earlier
from scalpcli.cli.live_tap import TappedMarket
from scalpcli.cli.record_feed import MarketPlan, RecordedMarket, market_streams, notes_from_bars
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.note import PREVIOUS_LEVELS, RUN
from scalpcli.runtime.recording import earlier_notes, head_block
from scalpcli.runtime.segment_format import Continuation

_NONCE_CHARACTERS: Final = 6
_CLOCK_LOOK_S: Final = 0.001


class Market(Protocol):
    """A source of rows whose contracts are numbered from the start."""

    listed: tuple[Instrument, ...]

    @property
    def aggregator(self) -> DataAggregator:
        """Makes cold rows, and gives stamps."""

    async def run(self) -> None:
        """Receive until cancelled."""

    def drain(self) -> Block:
        """Everything learned since the last call."""

    def status(self) -> dict[str, Any]:
        """Figures of it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """A source, and the rows that go before its own.

    Attributes:
        market: The source.
        head: Blocks before its first; none where the run goes on.
        nonce: The run's, in its first row; empty where the run goes on.
    """

    market: Market
    head: tuple[Block, ...]
    nonce: str


class Wake:
    """Tells the trader of each frame; it is made after the feed that calls this."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] = lambda: None

    def __call__(self, name: str, stamp_ns: int, frame: bytes) -> None:
        """A frame came."""
        del name, stamp_ns, frame
        self.tell()

    def soon(self) -> None:
        """Rows came."""
        self.tell()


async def open_rows(
    job: LiveJob, plan: MarketPlan, rest: AlpacaRest, continuation: Continuation | None, earlier: Earlier, wake: Wake
) -> Rows:
    """Make the source of a session's rows ready.

    Raises:
        ScalpcliError: Alpaca refuses, the recorder does not answer, or there is nothing to trade.
    """
    nonce = "" if continuation is not None else uuid4().hex[:_NONCE_CHARACTERS]
    if job.tapped is not None:
        return await _tapped(job, job.tapped, plan, rest, continuation, wake, nonce)
    notes = [] if continuation is not None else [(RUN, {"nonce": nonce}), *await _earlier_notes(job, plan, rest)]
    head = head_block(notes, job.reached.access.clock.now_ns())
    head_ns = max((int(block.columns["ts_recv_ns"][-1]) for block in head), default=0)
    market = RecordedMarket(
        plan,
        rest,
        market_streams(job.reached.access, plan.params, job.session),
        last_ns=max(continuation.last_ts_recv_ns if continuation is not None else 0, head_ns),
        continuation=continuation,
        on_frame=wake,
        say=job.say,
        close_e4=next((body["close_e4"] for kind, body in notes if kind == PREVIOUS_LEVELS), 0),
        kept=earlier.symbols,
    )
    await asyncio.to_thread(market.prepare)
    return Rows(market, head, nonce)


async def _tapped(
    job: LiveJob,
    root: Path,
    plan: MarketPlan,
    rest: AlpacaRest,
    continuation: Continuation | None,
    wake: Wake,
    nonce: str,
) -> Rows:
    market = TappedMarket(
        plan,
        root,
        last_ns=continuation.last_ts_recv_ns if continuation is not None else 0,
        continuation=continuation,
        wake=wake.soon,
        say=job.say,
    )
    await asyncio.to_thread(market.prepare, rest)
    before = await market.open()
    if continuation is not None:
        return Rows(market, (), "")
    morning = await asyncio.to_thread(lambda: list(market.morning(before)))
    rows = sum(block.rows for block in morning)
    clock = job.reached.access.clock
    first_ns = next((int(block.columns["ts_recv_ns"][0]) for block in morning if block.rows), clock.now_ns())
    last_ns = max((int(block.columns["ts_recv_ns"][-1]) for block in morning if block.rows), default=first_ns)
    while clock.now_ns() <= last_ns:  # noqa: ASYNC110 - two clocks of a rehearsal may differ by a moment
        await asyncio.sleep(_CLOCK_LOOK_S)
    job.say(f"takes the rows of a running recorder, {rows:,} since the morning")
    named = market.aggregator.drain()
    (run,) = head_block([(RUN, {"nonce": nonce})], first_ns)
    first = Block(run.columns, run.notes, named.instruments, named.conditions, named.exchanges)
    return Rows(market, (first, *morning), nonce)


async def _earlier_notes(job: LiveJob, plan: MarketPlan, rest: AlpacaRest) -> list[tuple[str, dict[str, Any]]]:
    """What earlier sessions tell: from tapes beside the recorder's, else from Alpaca's bars."""
    sessions_max = job.params.tape.profile_sessions_max
    if not job.reached.access.is_rehearsal:
        root = Path(job.params.record.out)
        found = await asyncio.to_thread(earlier_notes, root, job.symbol, job.session, sessions_max, job.say)
        if found:
            return found
    return await asyncio.to_thread(notes_from_bars, plan, rest, sessions_max, job.say)
