"""Market data as Alpaca's streams write it, decoded into calls of the aggregators.

Decides which message becomes which call, and what happens to frames that are not what they should be: an
element that cannot be read is counted, a frame that cannot be read at all may have hidden rows and is told
to the caller. Control messages are handed out. Leaves connections to `alpaca_stream.py`.

Source: Alpaca, "Real-time Stock Data" and "Real-time Option Data" (message fields, msgpack timestamps).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct, field
from msgspec.msgpack import Decoder, Ext

from scalpcli.adapters.aggregator import DataAggregator
from scalpcli.adapters.symbol_router import SymbolRouter
from scalpcli.units import NS_PER_S

_TIMESTAMP: Final = -1
_SECONDS_MASK: Final = (1 << 34) - 1
_SECONDS_BITS: Final = 34


class _Message(Struct, gc=False, tag_field="T"):
    """Fields of one message; prices and sizes are floats, because Alpaca writes either."""


class _StockTrade(_Message, tag="t"):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    price: float = field(name="p")
    size: float = field(name="s")
    exchange: str = field(name="x")
    trade_id: int = field(name="i", default=0)
    conditions: tuple[str, ...] | None = field(name="c", default=())


class _Quote(_Message):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    bid: float = field(name="bp")
    bid_size: float = field(name="bs")
    ask: float = field(name="ap")
    ask_size: float = field(name="as")
    bid_exchange: str = field(name="bx", default="")
    ask_exchange: str = field(name="ax", default="")


class _StockQuote(_Quote, tag="q"):
    conditions: tuple[str, ...] | None = field(name="c", default=())


class _OptionTrade(_Message, tag="t"):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    price: float = field(name="p")
    size: float = field(name="s")
    exchange: str = field(name="x", default="")
    conditions: str = field(name="c", default="")


class _OptionQuote(_Quote, tag="q"):
    conditions: str = field(name="c", default="")


class _Status(_Message, tag="s"):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    status_code: str = field(name="sc")
    reason_code: str = field(name="rc", default="")


class _Correction(_Message, tag="c"):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    exchange: str = field(name="x")
    trade_id: int = field(name="oi")
    price: float = field(name="cp")
    size: float = field(name="cs")
    conditions: tuple[str, ...] | None = field(name="cc", default=())


class _Cancel(_Message, tag="x"):
    symbol: str = field(name="S")
    time: Ext = field(name="t")
    exchange: str = field(name="x")
    trade_id: int = field(name="i")
    price: float = field(name="p")
    size: float = field(name="s")


class StreamError(_Message, tag="error"):
    """The server refuses something; its codes are those of `alpaca_refusals.py`."""

    code: int = 0
    msg: str = ""


class Success(_Message, tag="success"):
    """`connected` or `authenticated`."""

    msg: str = ""


class Subscription(_Message, tag="subscription"):
    """The whole set subscribed now."""

    trades: list[str] = field(default_factory=list)
    quotes: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)


Control: TypeAlias = StreamError | Success | Subscription
_StockMessage: TypeAlias = _StockTrade | _StockQuote | _Status | _Correction | _Cancel | Control
_OptionMessage: TypeAlias = _OptionTrade | _OptionQuote | Control
_CONTROLS: Final = (StreamError, Success, Subscription)


class MarketDecoder(ABC):
    """Frames of one market data stream -> calls of the aggregators.

    Args:
        router: Knows whose a message is.
        messages: Union of the stream's messages.
    """

    def __init__(self, router: SymbolRouter, messages: Any) -> None:
        self.controls: list[Control] = []
        """Control messages not looked at yet."""
        self.before_data: Callable[[], None] | None = None
        """Called once, before the first data message becomes a row; then forgotten."""
        self.seen_ns = 0
        """Event time of the data message read last, UTC nanoseconds; 0 before the first."""
        self.unknown: Counter[str] = Counter()
        """Messages of kinds that are not recorded, by kind."""
        self.garbage = 0
        """Elements and frames that could not be read."""
        self._router = router
        self._frame = Decoder(list[messages])
        self._element = Decoder(messages)
        self._any_element = Decoder(dict[str, Any])
        self._elements = Decoder(list[msgspec.Raw])

    def decode(self, frame: bytes) -> int:
        """Write a frame's messages as rows; the router has been stamped.

        Returns:
            Data messages in it, those that repeat or cannot be rows among them; -1 for a frame that cannot be
            read, in which rows may have been lost.
        """
        try:
            messages = self._frame.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError):
            # The type error of one element fails the whole frame; the others are still good.
            try:
                messages = self._one_by_one(frame)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self.garbage += 1
                return -1
        if self.before_data is not None and any(not isinstance(message, _CONTROLS) for message in messages):
            before_data, self.before_data = self.before_data, None
            before_data()
        return self._write(messages)

    def _one_by_one(self, frame: bytes) -> list[Any]:
        messages = []
        for raw in self._elements.decode(frame):
            try:
                messages.append(self._element.decode(raw))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._count_unreadable(raw)
        return messages

    def _count_unreadable(self, raw: msgspec.Raw) -> None:
        try:
            kind = self._any_element.decode(raw).get("T")
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
            kind = None
        if isinstance(kind, str) and kind in _OTHER_KINDS:
            self.unknown[kind] += 1
        elif isinstance(kind, str) and kind not in _RECORDED_KINDS:
            self.unknown["other"] += 1
        else:
            self.garbage += 1

    @abstractmethod
    def _write(self, messages: list[Any]) -> int:
        """Make rows of a frame's messages; how many were data."""


_OTHER_KINDS: Final = frozenset({"b", "u", "d", "l", "i", "n"})
_RECORDED_KINDS: Final = frozenset({"t", "q", "s", "c", "x", "error", "success", "subscription"})


class StockDecoder(MarketDecoder):
    """Frames of the stock stream."""

    def __init__(self, router: SymbolRouter) -> None:
        super().__init__(router, _StockMessage)

    def _write(self, messages: list[Any]) -> int:
        stocks = self._router.stocks
        data = len(messages)
        for message in messages:
            kind = type(message)
            if kind in _CONTROLS:
                self.controls.append(message)
                data -= 1
                continue
            event_ns = timestamp_ns(message.time)
            aggregator = stocks.get(message.symbol)
            if aggregator is None:
                self._router.refused["stock message: unknown symbol"] += 1
                continue
            self.seen_ns = event_ns
            if kind is _StockQuote:
                aggregator.stock_quote(
                    event_ns,
                    message.bid,
                    message.bid_size,
                    message.bid_exchange,
                    message.ask,
                    message.ask_size,
                    message.ask_exchange,
                    message.conditions or (),
                )
            elif kind is _StockTrade:
                aggregator.stock_trade(
                    event_ns, message.price, message.size, message.exchange, message.conditions or (), message.trade_id
                )
            else:
                _write_rare(aggregator, event_ns, message)
        return data


class OptionDecoder(MarketDecoder):
    """Frames of the option stream."""

    def __init__(self, router: SymbolRouter) -> None:
        super().__init__(router, _OptionMessage)

    def _write(self, messages: list[Any]) -> int:
        router = self._router
        data = len(messages)
        for message in messages:
            kind = type(message)
            if kind is _OptionQuote:
                event_ns = timestamp_ns(message.time)
                router.option_quote(
                    message.symbol,
                    event_ns,
                    message.bid,
                    message.bid_size,
                    message.bid_exchange,
                    message.ask,
                    message.ask_size,
                    message.ask_exchange,
                    tuple(message.conditions),
                )
            elif kind is _OptionTrade:
                event_ns = timestamp_ns(message.time)
                router.option_trade(
                    message.symbol,
                    event_ns,
                    message.price,
                    message.size,
                    message.exchange,
                    tuple(message.conditions),
                )
            else:
                self.controls.append(message)
                data -= 1
                continue
            self.seen_ns = event_ns
        return data


def _write_rare(aggregator: DataAggregator, event_ns: int, message: _Status | _Correction | _Cancel) -> None:
    if isinstance(message, _Status):
        aggregator.status(event_ns, message.status_code, message.reason_code)
    elif isinstance(message, _Correction):
        aggregator.correction(
            event_ns, message.price, message.size, message.exchange, message.conditions or (), message.trade_id
        )
    else:
        aggregator.cancel(event_ns, message.price, message.size, message.exchange, message.trade_id)


def timestamp_ns(time: Ext) -> int:
    """UTC nanoseconds of a msgpack timestamp of 4, 8 or 12 bytes; -1 for anything else, which no row takes."""
    data = bytes(time.data)
    length = len(data)
    if time.code != _TIMESTAMP:
        return -1
    if length == 8:
        packed = int.from_bytes(data, "big")
        return (packed & _SECONDS_MASK) * NS_PER_S + (packed >> _SECONDS_BITS)
    if length == 4:
        return int.from_bytes(data, "big") * NS_PER_S
    if length == 12:
        return int.from_bytes(data[4:], "big", signed=True) * NS_PER_S + int.from_bytes(data[:4], "big")
    return -1
