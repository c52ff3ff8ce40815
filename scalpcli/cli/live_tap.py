"""The market of a session from a running `record`: its tap, and before it what it recorded since the morning.

Alpaca lets one connection in at each endpoint, so a trader beside a recorder takes the recorder's rows. Decides how
they become rows of the run's own tape: contracts, conditions and exchanges get the run's numbers, and a row that comes
after a stamp was taken is stamped then, because that is when the trader learned it. When the recorder is gone the
trader is blind, says so, and takes up the tap again as soon as there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_feed import OPTION_CHANNELS, STOCK_CHANNELS
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.contracts import fetch_contracts, look_ahead_days, numbered
from scalpcli.cli.record_feed import MarketPlan
from scalpcli.errors import DataError, UpstreamUnavailable
from scalpcli.model.block import Block
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import UNDERLYING_ID
from scalpcli.runtime import clock
from scalpcli.runtime.lock import is_held, read_owner
from scalpcli.runtime.recorder import merged
from scalpcli.runtime.recording import symbol_folder
from scalpcli.runtime.seal import recording_folder
from scalpcli.runtime.segment_format import Continuation, Names
from scalpcli.runtime.segment_read import SegmentReader
from scalpcli.runtime.tap import TapReader
from scalpcli.runtime.tap_rows import first_rows, gaps_after, has_market_rows, renumbered, rows_by_kind, stamped

LOST: Final = "the recorder is gone"
_ALL: Final = STOCK_CHANNELS | OPTION_CHANNELS
_AGAIN_S: Final = 0.5
_ON_DISK_S: Final = 10.0
"""Seconds within which the recorder has written what it had before the tap was opened."""

Say = Callable[[str], None]


def has_tap(root: Path, symbol: str, feed: str) -> bool:
    """Whether a recorder of the symbol offers its rows now."""
    folder = symbol_folder(root, symbol)
    return is_held(folder, feed) and bool(read_owner(folder, feed).tap)


class TappedMarket:
    """A source for the run's recorder: rows of another recorder.

    Args:
        plan: What is traded.
        root: Folder of tapes of the recorder.
        last_ns: Receive stamp of the head rows; no row may lie before it.
        continuation: Where the run's own recording ended before.
        wake: Called for every block of rows.
        say: Takes words for people.
    """

    def __init__(
        self,
        plan: MarketPlan,
        root: Path,
        *,
        last_ns: int,
        continuation: Continuation | None,
        wake: Callable[[], None],
        say: Say,
    ) -> None:
        self.listed: tuple[Instrument, ...] = continuation.instruments if continuation else ()
        """Contracts that have a number from the start, number 1 first."""
        self.aggregator = DataAggregator(
            plan.symbol,
            now_ns=plan.access.clock.now_ns,
            rows_waiting_max=plan.access.params.rows_waiting_max,
            instruments=self.listed,
            conditions=continuation.conditions if continuation else (),
            exchanges=continuation.exchanges if continuation else (),
            last_ns=last_ns,
            monotonic_s=clock.seconds,
            speed=plan.access.clock.speed,
        )
        """Makes cold rows, and gives stamps and numbers."""
        self._plan = plan
        self._root = root
        self._wake = wake
        self._say = say
        self._reader: TapReader | None = None
        self._waiting: list[Block] = []
        self._rows: Counter[str] = Counter()
        self._left_out = 0
        self._downs = 0
        self._ids: dict[str, int] = {}
        self._own_gap = 0
        """Channels that this run is blind in by itself, whatever the recorder sees."""
        if continuation is not None and continuation.last_ts_recv_ns:
            self.aggregator.remember(continuation.tail, is_whole=continuation.is_tail_whole)
            self._go_blind(continuation.last_ts_recv_ns, "this process was down")

    def prepare(self, rest: AlpacaRest) -> None:
        """Number every contract listed for the wanted days; blocks, so call it off the event loop.

        Raises:
            ScalpcliError: Alpaca refuses.
        """
        plan = self._plan
        days = plan.params.dte
        if self.listed:
            self._ids = {each.symbol: each.instrument_id for each in self.listed}
            return
        found = fetch_contracts(rest, plan.symbol, plan.session.date, look_ahead_days(days))
        wanted = [each for each in found if each.expiry and (each.expiry - plan.session.date).days in set(days)]
        self.listed = tuple(numbered(wanted))
        self.aggregator.add_contracts(self.listed)
        self._ids = {each.symbol: each.instrument_id for each in self.listed}

    async def open(self) -> int:
        """Connect; the rows the recorder had before.

        Raises:
            UpstreamUnavailable: there is no recorder, or it does not answer.
            DataError: it records another session.
        """
        params, symbol = self._plan.params, self._plan.symbol
        folder = symbol_folder(self._root, symbol)
        owner = read_owner(folder, params.feed)
        if not owner.tap or not is_held(folder, params.feed):
            raise UpstreamUnavailable(f"no recorder of {symbol} from {params.feed} is running", place=f"`{folder}`")
        reader = await TapReader.open(owner.tap)
        session = self._plan.session.date.isoformat()
        if reader.header.get("session") != session:
            await reader.close()
            raise DataError(f"the recorder records {reader.header.get('session')}, not {session}", place=f"`{folder}`")
        self._reader = reader
        return reader.rows

    def morning(self, rows: int) -> Iterator[Block]:
        """The first `rows` rows of the recording, with the run's numbers; blocks, so call it off the event loop.

        Raises:
            DataError: they are not on the disk in time, or cannot be read.
        """
        folder = recording_folder(self._root, self._plan.symbol, self._plan.session.date)
        deadline_s = clock.seconds() + _ON_DISK_S
        reader = SegmentReader(folder)
        while reader.rows < rows:
            if clock.seconds() >= deadline_s:
                raise DataError(f"the recorder has not written its first {rows:,} rows", place=f"`{folder}`")
            reader = SegmentReader(folder)
        left = rows
        for block in reader.blocks():
            if isinstance(block, Block) and left > 0:
                part = first_rows(block, left)
                left -= part.rows
                translated = self._translated(part, reader.names)
                self.aggregator.open_gaps = gaps_after(translated, self.aggregator.open_gaps)
                yield translated

    async def run(self) -> None:
        """Take rows until cancelled; a recorder that is gone is waited for."""
        try:
            await self._run()
        finally:
            await self.close()

    async def close(self) -> None:
        """Leave the tap."""
        if self._reader is not None:
            await self._reader.close()

    async def _run(self) -> None:
        while True:
            if self._reader is not None:
                await self._take_all(self._reader)
                self._downs += 1
                self._go_blind(self.aggregator.stamp_ns, LOST)
                self._say(f"{LOST}: blind until one is there again")
                self._wake()
            self._reader = None
            with contextlib.suppress(UpstreamUnavailable, DataError):
                await self.open()
                # What came between the two is not known to this run: the gap tells it.
                self._say("takes the recorder's rows again")
                continue
            await asyncio.sleep(_AGAIN_S)

    async def _take_all(self, reader: TapReader) -> None:
        with contextlib.suppress(UpstreamUnavailable):
            async for block in reader.blocks():
                self._take(block, reader.names)
                self._wake()

    def _take(self, block: Block, names: Names) -> None:
        before_ns = self.aggregator.stamp_ns
        now_ns = self.aggregator.stamp()
        if self._own_gap and has_market_rows(block):
            # The recorder's own gaps are rows among these.
            self.aggregator.end_gap(self._own_gap)
            self._own_gap = 0
            before_ns = now_ns = self.aggregator.stamp_ns
        # Learned now: a stamp that was taken before says that all earlier rows had come.
        translated = stamped(self._translated(block, names), before_ns, now_ns)
        self._waiting += [self.aggregator.drain(), translated]
        self.aggregator.open_gaps = gaps_after(translated, self.aggregator.open_gaps)

    def _go_blind(self, since_ns: int, cause: str) -> None:
        self._own_gap = _ALL & ~self.aggregator.open_gaps
        self.aggregator.begin_gap(_ALL, since_ns, cause)

    def _translated(self, block: Block, names: Names) -> Block:
        """A block with the run's numbers; rows of contracts that are not listed here are left out."""
        conditions, exchanges = self.aggregator.conditions, self.aggregator.exchanges
        translated = renumbered(
            block,
            lambda number: self._own_id(names, number),
            lambda code: conditions[names.conditions.get(code, "")],
            lambda code: exchanges[names.exchanges.get(code, "")],
        )
        self._left_out += block.rows - translated.rows
        self._rows.update(rows_by_kind(translated))
        return translated

    def _own_id(self, names: Names, number: int) -> int:
        if number == UNDERLYING_ID:
            return UNDERLYING_ID
        contract = names.instruments.get(number)
        return -1 if contract is None else self._ids.get(contract.symbol, -1)

    def drain(self) -> Block:
        """Everything learned since the last call, in the tape's order."""
        blocks, self._waiting = [*self._waiting, self.aggregator.drain()], []
        return merged(blocks)

    def status(self) -> dict[str, Any]:
        """Figures of the source."""
        return {
            "rows": dict(self._rows),
            "open_gaps": self.aggregator.open_gaps,
            "downs": self._downs,
            "left_out": self._left_out,
            "option_feed": self._plan.params.option_feed,
        }
