"""Plays a tape to the streams: each row at its receive time, in the tape's order, at a chosen speed.

Decides when serving begins, which row is due, and what a turn of the event loop sends. Leaves frames to `outlet.py`.

Time at the exchange stands still until a first client shows up, by a request or a connection; from then on the clock
runs. Messages begin once `wait_for` data connections have subscribed. Rows whose time came while the exchange waited
go out at once then, none is skipped; rows before `start_ns` are history and go out on no stream. As fast as possible,
rows go out when the slowest client has room; otherwise a slow client gets larger frames and in the end is let go.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.exchange.fault_script import STREAMS, Scope
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.market import AS_FAST_AS_POSSIBLE, ServedMarket
from scalpcli.exchange.messages import Encoder, RowMessages, Wire, served_kinds, status_fields
from scalpcli.exchange.outlet import NO_ROW, Item
from scalpcli.exchange.serving_log import ServingLog
from scalpcli.exchange.streams import DataConnection, DataStreams
from scalpcli.exchange.subscriptions import row_key
from scalpcli.model.row import HALT_BEGIN, HALT_END, OPTION_TRADE, STOCK_TRADE, UNDERLYING_ID
from scalpcli.units import NS_PER_S

BLOCK_ROWS: Final = 8192
TURN_ROWS: Final = 256
"""Rows of one turn at most: what comes in from clients is looked at between two turns."""
_SLEEP_MAX_S: Final = 0.02
_STUCK_S: Final = 30.0
"""How long one client may hold up all when rows go out as fast as possible."""
HALT_TEXT: Final = "LUDP"
"""Reason of a halt that a fault makes: a volatility pause."""
_NO_KEY: Final = -1


@dataclass(frozen=True, slots=True)
class ServingRules:
    """What is served and when.

    Args:
        start_ns: First receive time to serve, UTC nanoseconds; 0 = the tape's first.
        until_ns: Receive time at which serving ends; 0 = after the tape's last.
        wait_for: Data connections that must have subscribed before messages begin; 0 = none.
    """

    start_ns: int = 0
    until_ns: int = 0
    wait_for: int = 1


class Serving:
    """The pump between a tape and its subscribers.

    Args:
        market: What is served.
        streams: Who gets it.
        faults: What goes wrong.
        log: Where rows sent and lost are noted.
        rules: What and when.
        changed: Set by the streams when a subscription changed.

    Attributes:
        ended: Set when the last row was served and left for every client.
    """

    def __init__(
        self,
        market: ServedMarket,
        streams: DataStreams,
        faults: FaultEngine,
        log: ServingLog,
        rules: ServingRules,
        changed: asyncio.Event,
    ) -> None:
        self._market, self._streams, self._faults, self._log, self._rules = market, streams, faults, log, rules
        self._changed = changed
        self.ended = asyncio.Event()
        self._encoder = Encoder()
        self._shifts_ns = dict.fromkeys(STREAMS, 0)
        self._has_contact = False
        self._is_unpaced = market.speed == AS_FAST_AS_POSSIBLE
        self._start_ns = max(rules.start_ns, market.start_ns)
        faults.on_halt = self._tell_halt

    def contact(self) -> None:
        """A client showed up: time begins to run."""
        if not self._has_contact:
            self._has_contact = True
            self._market.set_clock(self._market.session.open_ns if self._is_unpaced else self._start_ns)
            self._log.event("first_contact")

    async def run(self) -> None:
        """Serve the tape, then keep what is under way going until cancelled."""
        while self._streams.subscribed < self._rules.wait_for:
            self._changed.clear()
            await self._changed.wait()
        self.contact()
        self._log.event("serving", rows=len(self._market.rows["kind"]))
        self._faults.start()
        done = 0
        for columns in self._market.blocks(BLOCK_ROWS):
            if not await self._serve_block(columns, done):
                break
            done += len(columns["kind"])
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + _STUCK_S
        while True:
            self._tick()
            self._log.flush()
            if not self.ended.is_set() and (not self._is_under_way() or loop.time() > give_up_s):
                self._log.event("end", rows=self._market.known)
                self.ended.set()
            await asyncio.sleep(_SLEEP_MAX_S)

    def _is_under_way(self) -> bool:
        return any(client.is_open and client.outlet.is_busy for client in self._streams.connections.values())

    async def _serve_block(self, columns: dict[str, NDArray[Any]], first: int) -> bool:
        """Serve a block whose first row is number `first`; whether to go on."""
        times = columns["ts_recv_ns"]
        rows = int(np.searchsorted(times, self._rules.until_ns, "right")) if self._rules.until_ns else len(times)
        at = int(np.searchsorted(times, self._start_ns))
        self._market.fold(columns, 0, at)
        market = self._market
        messages = RowMessages(columns, market.instruments, market.conditions, market.exchanges)
        keys = row_key(columns["kind"].astype(np.int64), columns["instrument_id"])
        keys[~served_kinds(columns["kind"])] = _NO_KEY
        block = _Block(messages, keys.tolist(), columns["kind"].tolist(), first)
        while at < rows:
            self._tick()
            stop = min(at + TURN_ROWS, rows)
            if not self._is_unpaced:
                stop = min(stop, int(np.searchsorted(times, market.now_ns(), "right")))
                if stop <= at:
                    await self._sleep_until(int(times[at]))
                    continue
            market.fold(columns, at, stop)
            self._publish(block, at, stop)
            at = stop
            await self._give_way()
        return rows == len(times)

    async def _sleep_until(self, ts_ns: int) -> None:
        self._log.flush()
        wait_s = (ts_ns - self._market.now_ns()) / NS_PER_S / self._market.clock_speed
        await asyncio.sleep(min(max(wait_s, 0.0), _SLEEP_MAX_S))

    async def _give_way(self) -> None:
        """Let the loop do what else is due; as fast as possible, wait for room at every client as well."""
        await asyncio.sleep(0)
        if not self._is_unpaced:
            return
        for client in [client for client in self._streams.connections.values() if client.is_open]:
            try:
                async with asyncio.timeout(_STUCK_S):
                    await client.connection.drain()
            except TimeoutError:
                client.fail_slow()
            except OSError:
                # It was cut while it was waited for; its handler says so.
                continue

    def _tick(self) -> None:
        market = self._market
        self._faults.tick(market.served_ns if self._is_unpaced else market.now_ns())
        for client in self._streams.connections.values():
            if client.is_open:
                client.outlet.tick()

    def _publish(self, block: _Block, start: int, stop: int) -> None:
        for scope in STREAMS:
            clients = self._clients(scope)
            if not clients:
                continue
            wanted = frozenset(itertools.chain.from_iterable(client.subscriptions.keys for client in clients))
            keys = block.keys
            rows = [row for row in range(start, stop) if keys[row] in wanted]
            at = 0
            while at < len(rows) and clients:
                part = rows[at : at + self._faults.room(scope)]
                self._offer(block, scope, clients, part)
                self._faults.passed(scope, len(part))
                at += len(part)
                clients = self._clients(scope)

    def _clients(self, scope: Scope) -> list[DataConnection]:
        return [client for client in self._streams.of_scope(scope) if client.subscriptions.keys]

    def _offer(self, block: _Block, scope: Scope, clients: Sequence[DataConnection], rows: list[int]) -> None:
        """Hand rows to the clients of a stream, each row encoded once per encoding."""
        is_halted = self._faults.is_halted()
        shift_ns = self._shift_ns(scope, block.first + rows[0])
        body, message = self._encoder.body, block.messages.message
        bodies: dict[Wire, dict[int, bytes]] = {}
        for client in clients:
            keys = client.subscriptions.keys
            wanted = [row for row in rows if block.keys[row] in keys]
            if is_halted:
                halted = [row for row in wanted if block.kinds[row] in (STOCK_TRADE, OPTION_TRADE)]
                self._log.rows_lost(client.number, [block.first + row for row in halted], "halt")
                wanted = [row for row in wanted if block.kinds[row] not in (STOCK_TRADE, OPTION_TRADE)]
            known = bodies.setdefault(client.wire, {})
            for row in wanted:
                if row not in known:
                    known[row] = body(client.wire, message(row), shift_ns)
            items: list[Item] = [(block.first + row, known[row]) for row in wanted]
            if items:
                client.outlet.offer(items)

    def _shift_ns(self, scope: Scope, row: int) -> int:
        """How far event times are ahead from `row` on; a change is noted, so that a tape can be held against it."""
        shift_ns = self._faults.shift_ns(scope)
        if shift_ns != self._shifts_ns[scope]:
            self._shifts_ns[scope] = shift_ns
            self._log.event("clock_shift", scope=scope.value, from_row=row, shift_ns=shift_ns)
        return shift_ns

    def _tell_halt(self, begins: bool) -> None:
        """Send the status that begins or ends a halt of the underlying."""
        market = self._market
        symbol = market.instruments[UNDERLYING_ID].symbol
        now_ns = max(market.now_ns(), market.served_ns) if not self._is_unpaced else market.served_ns
        fields = status_fields(HALT_BEGIN, HALT_TEXT) if begins else status_fields(HALT_END, "T")
        message = {"S": symbol, **fields, "t": now_ns, "z": "C"}
        self._log.event("injected", message=message)
        for client in self._clients(Scope.STOCK):
            if client.subscriptions.wants_status_of(symbol):
                client.outlet.offer([(NO_ROW, self._encoder.body(client.wire, message))])


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of rows as it is published: its messages, `row_key` and kind of each row, number of the first."""

    messages: RowMessages
    keys: list[int]
    kinds: list[int]
    first: int
