"""A recorder of several symbols against a service that lets one connection in at each endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
from websockets.exceptions import ConnectionClosed

from scalpcli.cli.alpaca_access import Access
from scalpcli.cli.record_run import run
from scalpcli.cli.record_session import Job, Session, Track
from scalpcli.model.params import AlpacaParams, Params, RecordParams
from scalpcli.model.row import COLUMNS, GAP
from scalpcli.runtime.clock import RehearsalClock
from scalpcli.runtime.recorder import TERMINATED
from scalpcli.runtime.tape import Tape
from tests import wire_messages
from tests.alpaca_day import DAY, OPEN_NS
from tests.alpaca_server import serving
from tests.simulation.scripted_server import ScriptedServer, grant, greet, refuse, say

STOCK, OPTION = "/v2/sip", "/v1beta1/opra"
PRICES = {"TSLA": 400.0, "SPY": 600.0}
"""A price tells whose row it is."""
STEPS = range(-3, 4)
EVERY_S = 0.01


def contract_of(symbol: str, step: int, right: str = "C") -> str:
    return f"{symbol}261120{right}{int((PRICES[symbol] + 5 * step) * 1000):08d}"


def owner_of(contract: str) -> str:
    return contract[: contract.index("2611")]


class Service:
    """Alpaca's streams: a second connection to an endpoint is refused with 406; what is subscribed is sent."""

    def __init__(self, clock: RehearsalClock) -> None:
        self.clock = clock
        self.open: Counter[str] = Counter()
        self.opened: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.asked: dict[str, list[str]] = {STOCK: [], OPTION: []}
        self.most: dict[str, list[str]] = {STOCK: [], OPTION: []}
        """The most that was subscribed at one time."""
        self.sent: dict[str, list[int]] = {symbol: [] for symbol in PRICES}
        """Numbers of the prints of each stock, as sent."""
        self.refusal = 0
        """Code with which the stock endpoint refuses whoever comes."""
        self.connections: dict[str, Any] = {}
        self._number = 0

    async def script(self, connection: Any) -> None:
        path = connection.request.path
        if self.refusal and path == STOCK:
            await refuse(self.refusal)(connection)
            return
        if self.open[path]:
            self.refused[path] += 1
            await refuse(406)(connection)
            return
        self.open[path] += 1
        self.opened[path] += 1
        try:
            self._subscribed(path, (await greet(connection))["quotes"])
            self.connections[path] = connection
            listener = asyncio.create_task(self._listen(path, connection))
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await self._talk(path, connection)
                    await asyncio.sleep(EVERY_S)
            listener.cancel()
        finally:
            self.open[path] -= 1

    async def _listen(self, path: str, connection: Any) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                message = await connection.scripted.hear(connection)
                changed = set(message["quotes"])
                before = set(self.asked[path])
                after = before | changed if message["action"] == "subscribe" else before - changed
                self._subscribed(path, sorted(after))
                channels = ("trades", "quotes", "statuses") if path == STOCK else ("trades", "quotes")
                await grant(connection, dict.fromkeys(channels, self.asked[path]))

    def _subscribed(self, path: str, symbols: list[str]) -> None:
        self.asked[path] = symbols
        self.most[path] = max(self.most[path], symbols, key=len)

    async def _talk(self, path: str, connection: Any) -> None:
        """One frame that holds something of every symbol, as the service packs them."""
        messages = []
        for symbol in self.asked[path]:
            self._number += 1
            common = {"S": symbol, "t": msgpack.Timestamp(*divmod(self.clock.now_ns(), 1_000_000_000))}
            if path == STOCK:
                self.sent[symbol].append(self._number)
                messages.append(wire_messages.trade(self._number, p=PRICES[symbol], **common))
            else:
                bid = PRICES[owner_of(symbol)] / 100
                messages.append(wire_messages.option_quote(self._number, bp=bid, ap=bid + 0.1, **common))
        if messages:
            await say(connection, *messages)

    def cut(self, path: str) -> None:
        self.connections[path].transport.abort()


def rest_routes(symbols: Sequence[str]) -> dict[str, Any]:
    """Contracts of `symbols`; of any other the service knows none. There is no history."""

    def contracts(query: dict[str, str]) -> dict[str, Any]:
        symbol = query["underlying_symbols"]
        listed = [contract_of(symbol, step, right) for step in STEPS for right in "CP"] if symbol in symbols else []
        return {"option_contracts": [{"symbol": each, "size": "100"} for each in listed], "next_page_token": None}

    empty = {"next_page_token": None}
    return {
        "/v2/options/contracts": contracts,
        "/v2/stocks/trades": empty,
        "/v2/stocks/quotes": empty,
        "/v2/stocks/bars": empty,
        "/v1beta1/options/trades": empty,
    } | {f"/v2/stocks/{symbol}/trades/latest": {"trade": {"p": PRICES[symbol]}} for symbol in symbols}


@dataclasses.dataclass
class Recorded:
    """What came of it."""

    service: Service
    session: Session
    said: list[str]
    requests: list[Any]


def record(
    folder: Path,
    symbols: Sequence[str],
    done: Callable[[Session, Service], bool],
    *,
    known: Sequence[str] = tuple(PRICES),
    start_s: float = 60.0,
    refusal: int = 0,
    routes: dict[str, Any] | None = None,
    **settings: Any,
) -> Recorded:
    """`scalpcli record` of `symbols` until `done`, then SIGTERM's way out."""
    said: list[str] = []
    params = dataclasses.replace(
        Params(),
        record=dataclasses.replace(
            RecordParams(dte=(0,), strikes=2, greeks_s=0.0, min_free_gb=0.0, recentre_s=0.2, flush_ms=40), **settings
        ),
    )

    async def play() -> Recorded:
        clock = RehearsalClock(OPEN_NS + int(start_s * 1e9), 1.0)
        service = Service(clock)
        service.refusal = refusal

        @contextlib.asynccontextmanager
        async def screen(session: Session) -> AsyncIterator[None]:
            ending = asyncio.create_task(end(session))
            yield
            ending.cancel()

        async def end(session: Session) -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(10.0):
                    while not done(session, service):  # noqa: ASYNC110 - figures of a recorder tell nobody of a change
                        await asyncio.sleep(0.01)
            session.stop(TERMINATED)

        with serving(rest_routes(known) | (routes or {})) as rest:
            async with ScriptedServer(service.script) as server:
                urls = AlpacaParams(
                    trading_url=rest.url, data_url=rest.url, stream_url=server.url, answer_s=1.0, stale_stock_s=5.0,
                    stale_option_s=5.0, backoff_first_s=0.02, backoff_slow_s=0.1, tries_max=1, history_wait_s=0.0,
                )  # fmt: skip
                access = Access(urls, uuid.uuid4().hex, uuid.uuid4().hex, clock, is_rehearsal=True, session=DAY)
                session = await run(Job(symbols, params, access, folder, "close", wait=False, say=said.append), screen)
                assert session is not None
                return Recorded(service, session, said, rest.seen)

    return asyncio.run(play())


def track_of(session: Session, symbol: str) -> Track:
    return next(track for track in session.tracks if track.symbol == symbol)


def rows_of(session: Session, symbol: str) -> int:
    """Rows of the market, recorded so far."""
    return track_of(session, symbol).recorder.figures.market_rows


def tape_of(session: Session, symbol: str) -> Tape:
    path = track_of(session, symbol).tape
    assert path is not None
    return Tape.open(path)


def columns_of(tape: Tape) -> dict[str, Any]:
    batches = list(tape.batches(columns=tuple(COLUMNS)))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in COLUMNS}


def gaps_of(tape: Tape) -> list[tuple[int, int, str]]:
    """Flags, channels and cause of each gap row."""
    columns = columns_of(tape)
    is_gap = columns["kind"] == GAP
    rows = zip(*(columns[name][is_gap].tolist() for name in ("flags", "size", "conditions")), strict=True)
    return [(flags, channels, tape.manifest.conditions[code]) for flags, channels, code in rows]
