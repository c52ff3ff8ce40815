"""What is said over a market data stream: authentication, subscriptions, data.

Decides what is subscribed, checks that exactly that was granted, and tells every symbol when the stream is blind
and when it sees again. Leaves connections to `alpaca_stream.py`, fields to `alpaca_wire.py` and gap rows to
`stream_gaps.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from scalpcli.adapters.alpaca_refusals import ALREADY_AUTHENTICATED, SYMBOL_LIMIT, refusal_of_code
from scalpcli.adapters.alpaca_wire import MarketDecoder, StreamError, Subscription, Success
from scalpcli.adapters.stream_gaps import StreamGaps
from scalpcli.adapters.symbol_router import SymbolRouter
from scalpcli.units import NS_PER_S

_ENCODE: Final = msgspec.msgpack.encode
_HEADERS: Final = {"Content-Type": "application/msgpack"}
_LATE_EVENT_NS_MAX: Final = 10 * NS_PER_S
Keys = tuple[str, str]


class MarketEndpoint:
    """One market data stream.

    Args:
        name: What it is called in messages.
        url: Its full address.
        keys: Key and secret.
        channels: Alpaca's names of what is subscribed for each symbol, like `trades`.
        decoder: Writes its rows.
        router: Stamps them.
        stale_s: Seconds of silence that are suspect now; infinity where silence is right.
        speed: Market seconds in one second.
    """

    def __init__(
        self,
        name: str,
        url: str,
        keys: Keys,
        *,
        channels: tuple[str, ...],
        decoder: MarketDecoder,
        router: SymbolRouter,
        stale_s: Callable[[], float],
        speed: float = 1.0,
    ) -> None:
        self.name = name
        self.url = url
        self.headers = dict(_HEADERS)
        self.stale_s = stale_s
        self.limited = 0
        """Changes of the subscription that the plan's limit refused; what was subscribed before goes on."""
        self.symbols: frozenset[str] = frozenset()
        """Symbols that are wanted."""
        self.granted: frozenset[str] = frozenset()
        """Symbols that the server says are subscribed."""
        self.gaps: list[StreamGaps] = []
        """Those of each symbol that is told of outages."""
        self.on_frame: Callable[[str, int, bytes], None] | None = None
        """Takes the name, the receive stamp and the bytes of each frame."""
        self._keys = keys
        self._channels = channels
        self._decoder = decoder
        self._router = router
        self._speed = speed
        self._is_wanted = asyncio.Event()
        self._connection: ClientConnection | None = None
        self._answer_s = 0.0
        self._owed_since_s: float | None = None
        self._last_frame_ns = 0
        self._is_granted_everywhere = False

    @property
    def seen_ns(self) -> int:
        """Event time of the message read last, UTC nanoseconds; 0 before the first."""
        return self._decoder.seen_ns

    @property
    def garbage(self) -> int:
        """Elements and frames that could not be read."""
        return self._decoder.garbage

    @property
    def unknown(self) -> dict[str, int]:
        """Messages of kinds that are not recorded."""
        return dict(self._decoder.unknown)

    # Wanted and granted.

    async def wanted(self) -> None:
        """Wait until there are symbols; the time from here on counts as blind when the stream fails."""
        await self._is_wanted.wait()
        if not self._last_frame_ns:
            self._last_frame_ns = self._router.stamp()
        for gaps in self.gaps:
            gaps.begin(self._router.stamp_ns)

    async def subscribe(self, symbols: Iterable[str]) -> None:
        """Make `symbols` the whole set; what is new is asked for and what is gone is given back."""
        wanted = frozenset(symbols)
        is_asked_already = self._owed_since_s is not None and wanted == self.symbols
        self.symbols = wanted
        if wanted:
            self._is_wanted.set()
        if self._connection is None or is_asked_already:
            return
        for action, changed in (
            ("subscribe", self.symbols - self.granted),
            ("unsubscribe", self.granted - self.symbols),
        ):
            if changed:
                self._owed_since_s = asyncio.get_running_loop().time()
                # A connection that is just being lost is made again, and then asked for the whole set.
                with contextlib.suppress(ConnectionClosed):
                    await self._connection.send(_ENCODE(self._request(action, changed)))

    def _request(self, action: str, symbols: Iterable[str]) -> dict[str, Any]:
        return {"action": action} | dict.fromkeys(self._channels, sorted(symbols))

    def overdue(self, now_s: float) -> str:
        """Whether the answer to a changed subscription is late."""
        late = self._owed_since_s is not None and now_s - self._owed_since_s > self._answer_s
        return "subscription not granted" if late else ""

    # Handshake.

    async def open(self, connection: ClientConnection, answer_s: float) -> None:
        """Greet, authenticate, subscribe; every step within `answer_s` seconds, the granted set checked."""
        self._answer_s = answer_s
        self._decoder.controls.clear()
        self.granted = frozenset()
        self._connection = None
        await self._success(connection, "connected", answer_s)
        key, secret = self._keys
        await connection.send(_ENCODE({"action": "auth", "key": key, "secret": secret}))
        await self._success(connection, "authenticated", answer_s)
        asked = self.symbols
        await connection.send(_ENCODE(self._request("subscribe", asked)))
        self._decoder.before_data = self._sees_again
        async with asyncio.timeout(answer_s):
            while not (self.granted == asked and self._is_granted_everywhere):
                control = await self._control(connection)
                if isinstance(control, Subscription):
                    self._grant(control)
        self._connection = connection
        self._owed_since_s = None
        if self.symbols != self.granted:
            # They changed during the handshake.
            await self.subscribe(self.symbols)

    async def _success(self, connection: ClientConnection, message: str, answer_s: float) -> None:
        async with asyncio.timeout(answer_s):
            while True:
                control = await self._control(connection)
                if isinstance(control, Success) and control.msg == message:
                    return

    async def _control(self, connection: ClientConnection) -> Any:
        controls = self._decoder.controls
        while not controls:
            frame: Any = await connection.recv(decode=False)
            self._decode(frame)
        control = controls.pop(0)
        if isinstance(control, StreamError) and control.code != ALREADY_AUTHENTICATED:
            raise refusal_of_code(control.code, self.name)
        return control

    def _grant(self, answer: Subscription) -> None:
        granted = [frozenset(getattr(answer, channel)) for channel in self._channels]
        self.granted = frozenset.intersection(*granted)
        self._is_granted_everywhere = all(symbols == self.granted for symbols in granted)

    # Data.

    def take(self, frame: bytes) -> bool:
        """Write a frame's rows; whether it held data."""
        has_data = self._decode(frame)
        if self._decoder.controls:
            self._take_controls()
        return has_data

    def _decode(self, frame: bytes) -> bool:
        stamp_ns = self._router.stamp()
        if self.on_frame is not None:
            self.on_frame(self.name, stamp_ns, frame)
        data = self._decoder.decode(frame)
        if data > 0:
            self._last_frame_ns = stamp_ns
        elif data < 0:
            self._lost_a_frame(stamp_ns)
        return data > 0

    def _take_controls(self) -> None:
        controls = self._decoder.controls
        while controls:
            control = controls.pop(0)
            if isinstance(control, Subscription):
                self._grant(control)
                if self.granted == self.symbols and self._is_granted_everywhere:
                    self._owed_since_s = None
            elif isinstance(control, StreamError):
                self._take_error(control.code)

    def _take_error(self, code: int) -> None:
        if code == ALREADY_AUTHENTICATED:
            return
        if code == SYMBOL_LIMIT and self.granted:
            # The old subscriptions stand. A recording goes on with what it has rather than end.
            self.limited += 1
            self.symbols = self.granted
            self._owed_since_s = None
            return
        raise refusal_of_code(code, self.name)

    # Gaps.

    def down(self, cause: str) -> None:
        """Every symbol is blind from the last data on."""
        self._connection = None
        self._owed_since_s = None
        self._decoder.before_data = None
        since_ns = self._since_ns()
        for gaps in self.gaps:
            gaps.down(since_ns, cause)

    def look(self) -> None:
        """Tell of gaps that became some because the market opened."""
        for gaps in self.gaps:
            gaps.look()

    def _sees_again(self) -> None:
        for gaps in self.gaps:
            gaps.sees_again()

    def _lost_a_frame(self, stamp_ns: int) -> None:
        # While it is down, or before the first data, a gap is open or begins anyway.
        if self._connection is not None:
            since_ns = self._since_ns()
            for gaps in self.gaps:
                gaps.lost_a_frame(since_ns)
            self._last_frame_ns = stamp_ns

    def _since_ns(self) -> int:
        """Last moment seen for certain: what was lost may be older than the receive stamp of what came last."""
        last_ns, seen_ns = self._last_frame_ns, self._decoder.seen_ns
        return seen_ns if last_ns - _LATE_EVENT_NS_MAX * self._speed < seen_ns < last_ns else last_ns
