"""The two market data connections of a process: one for stocks, one for options, whatever it records.

Alpaca lets a user have one connection to each endpoint, so every symbol of a process takes a seat at the same two.
Decides what is subscribed for all of them together, when silence is suspect, and when the connections begin and end.
Leaves each connection to `alpaca_stream.py`, whose a message is to `symbol_router.py`, and a symbol's history,
greeks and rows to its feed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.alpaca_market import Keys, MarketEndpoint
from scalpcli.adapters.alpaca_refusals import NOT_ENTITLED
from scalpcli.adapters.alpaca_stream import Stream
from scalpcli.adapters.alpaca_wire import OptionDecoder, StockDecoder
from scalpcli.adapters.stream_gaps import StreamGaps
from scalpcli.adapters.symbol_router import SymbolRouter
from scalpcli.errors import CredentialsError
from scalpcli.model.note import GAP_CAUSE
from scalpcli.model.params import AlpacaParams

_LOOK_S: Final = 0.25
_HALTED_PATIENCE: Final = 8.0
"""During a halt the stock hardly speaks; a stream that is mute for so many times longer is still suspect."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One symbol's place at the streams.

    Attributes:
        aggregator: Takes its rows.
        stock_gaps: Its gaps on the stock stream.
        option_gaps: Its gaps on the option stream.
        on_frame: Takes the stream's name, the receive stamp and the bytes of every frame, whosever rows it holds.
        say: Takes words for people.
    """

    aggregator: DataAggregator
    stock_gaps: StreamGaps
    option_gaps: StreamGaps
    on_frame: Callable[[str, int, bytes], None] | None
    say: Callable[[str], None]


class AlpacaStreams:
    """One stock and one option connection for any number of symbols.

    Args:
        keys: Key and secret.
        params: Addresses, time-outs and back-off.
        now_ns: Market clock, UTC nanoseconds.
        is_expected: Whether data is expected at a moment, UTC nanoseconds: the session is open.
        feed: `sip` or `iex`.
        option_feed: `opra` or `indicative`.
        may_fall_back: Whether a plan without OPRA is given the indicative feed, which is said aloud.
        speed: Market seconds in one second.
        tries_max: Failed tries in a row of a stream after which it is given up; 0 = never.
    """

    def __init__(
        self,
        keys: Keys,
        params: AlpacaParams,
        *,
        now_ns: Callable[[], int],
        is_expected: Callable[[int], bool],
        feed: str = "sip",
        option_feed: str = "opra",
        may_fall_back: bool = False,
        speed: float = 1.0,
        tries_max: int = 0,
    ) -> None:
        self.params = params
        self.now_ns = now_ns
        self.speed = speed
        self.option_feed = option_feed
        """The option feed in use; `indicative` is not the NBBO."""
        self._expects = is_expected
        self._may_fall_back = may_fall_back
        self._seats: list[Seat] = []
        self._contracts: dict[str, frozenset[str]] = {}
        self._running: asyncio.Task[None] | None = None
        self._router = SymbolRouter()
        self._stock = MarketEndpoint(
            "stock stream",
            f"{params.stream_url.rstrip('/')}/v2/{feed}",
            keys,
            channels=("trades", "quotes", "statuses"),
            decoder=StockDecoder(self._router),
            router=self._router,
            stale_s=lambda: self._patience_s(params.stale_stock_s),
            speed=speed,
        )
        self._option = MarketEndpoint(
            "option stream",
            self._option_url(),
            keys,
            channels=("trades", "quotes"),
            decoder=OptionDecoder(self._router),
            router=self._router,
            stale_s=lambda: self._patience_s(params.stale_option_s),
            speed=speed,
        )
        self._stock_stream = Stream(self._stock, params, tries_max=tries_max)
        self._option_stream = Stream(self._option, params, tries_max=tries_max)

    def is_expected(self) -> bool:
        """Whether data is expected now."""
        return self._expects(self.now_ns())

    def _option_url(self) -> str:
        return f"{self.params.stream_url.rstrip('/')}/v1beta1/{self.option_feed}"

    def _patience_s(self, stale_s: float) -> float:
        if not self.is_expected():
            return math.inf
        return stale_s * _HALTED_PATIENCE if self._router.is_halted else stale_s

    @property
    def seen_ns(self) -> int:
        """Event time of the message read last, UTC nanoseconds; 0 before the first."""
        return max(self._stock.seen_ns, self._option.seen_ns)

    # What is streamed.

    async def set_contracts(self, aggregator: DataAggregator, contracts: Iterable[str]) -> None:
        """Make `contracts` the whole set of the aggregator's symbol; those of the others stay."""
        wanted = frozenset(contracts)
        self._contracts[aggregator.symbol] = wanted
        self._router.own(aggregator, wanted)
        await self._subscribe_contracts()

    async def _subscribe_contracts(self) -> None:
        await self._option.subscribe(frozenset().union(*self._contracts.values()))

    def granted(self, symbol: str) -> frozenset[str]:
        """Contracts of `symbol` that the server says are streamed."""
        return self._option.granted & self._contracts.get(symbol, frozenset())

    # Running.

    async def run(self, seat: Seat) -> None:
        """Stream to a seat until cancelled. The first to come connects; the last to go ends the connections.

        Raises:
            ScalpcliError: a stream was refused for good; every seat hears of it.
        """
        self._sit_down(seat)
        try:
            await self._stock.subscribe(self._router.stocks)
            if self._running is None:
                self._running = asyncio.create_task(self._run())
            await asyncio.wait({self._running})
            self._running.result()
        finally:
            await self._leave(seat)

    def _sit_down(self, seat: Seat) -> None:
        self._seats.append(seat)
        self._router.join(seat.aggregator)
        self._stock.gaps.append(seat.stock_gaps)
        self._option.gaps.append(seat.option_gaps)
        self._choose_listeners()

    async def _leave(self, seat: Seat) -> None:
        """The others are not disturbed: what was the seat's alone is given back on the living connections."""
        self._seats.remove(seat)
        self._router.leave(seat.aggregator)
        self._stock.gaps.remove(seat.stock_gaps)
        self._option.gaps.remove(seat.option_gaps)
        self._choose_listeners()
        running = self._running
        if self._seats:
            self._contracts.pop(seat.aggregator.symbol, None)
            await self._stock.subscribe(self._router.stocks)
            await self._subscribe_contracts()
        elif running is not None:
            self._running = None
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _choose_listeners(self) -> None:
        listeners = [seat.on_frame for seat in self._seats if seat.on_frame is not None]
        on_frame = _to_all(listeners) if len(listeners) > 1 else next(iter(listeners), None)
        self._stock.on_frame = self._option.on_frame = on_frame

    async def _run(self) -> None:
        jobs = (self._stock_stream.run(), self._run_options(), self._look())
        tasks = [asyncio.create_task(job) for job in jobs]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _run_options(self) -> None:
        try:
            await self._option_stream.run()
        except CredentialsError:
            refused = self._option_stream.last_cause.endswith(str(NOT_ENTITLED))
            if not (self._may_fall_back and refused and self.option_feed == "opra"):
                raise
        self.option_feed = "indicative"
        self._option.url = self._option_url()
        words = "the plan has no OPRA: option quotes are indicative from here on, not the NBBO"
        for seat in self._seats:
            seat.aggregator.note(GAP_CAUSE, {"cause": words})
            seat.say(words)
        await self._option_stream.run()

    async def _look(self) -> None:
        while True:
            self._stock.look()
            self._option.look()
            await asyncio.sleep(_LOOK_S)

    # For the live screen.

    def status(self, symbol: str, stock_gaps: StreamGaps, option_gaps: StreamGaps) -> dict[str, Any]:
        """Both connections, with the symbol's own gaps and subscriptions."""
        stocks = len(self._stock.granted & {symbol})
        return {
            "stock": _status(self._stock, self._stock_stream, stock_gaps, stocks),
            "option": _status(self._option, self._option_stream, option_gaps, len(self.granted(symbol))),
        }


def _to_all(listeners: list[Callable[[str, int, bytes], None]]) -> Callable[[str, int, bytes], None]:
    def tell(name: str, stamp_ns: int, frame: bytes) -> None:
        for listener in listeners:
            listener(name, stamp_ns, frame)

    return tell


def _status(endpoint: MarketEndpoint, stream: Stream, gaps: StreamGaps, symbols: int) -> dict[str, Any]:
    return {
        "is_up": stream.connection is not None,
        "connects": stream.connects,
        "downs": stream.downs,
        "last_cause": stream.last_cause,
        "last_gap": gaps.last,
        "short_gaps": gaps.short,
        "limited": endpoint.limited,
        "symbols": symbols,
        "garbage": endpoint.garbage,
        "unknown": endpoint.unknown,
    }
