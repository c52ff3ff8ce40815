"""One robust consumer for every stream: stock data, option data, order updates.

Decides when to connect, how long each step may take, when a living connection counts as mute, and how long
to wait before the next try. Leaves what is said over the connection to an endpoint.

A connection that is "up" and says nothing is the known fault of this service (alpaca-py issue 740), so
the watchdog looks at data, not at pings. The reader never awaits anything but the next frame.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from typing import Any, Final, NoReturn, Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException

from scalpcli.adapters.alpaca_refusals import Refused, refusal_of_status
from scalpcli.errors import UpstreamUnavailable
from scalpcli.model.params import AlpacaParams

_FRAME_BYTES_MAX: Final = 16 << 20
_FRAMES_WAITING_MAX: Final = 1024
"""Frames parsed ahead of the reader; then the socket is not read. At 15 us each the reader is done in 15 ms."""
_READS_IN_A_ROW_MAX: Final = 512
"""Messages after which other tasks get their turn: a full queue never suspends the reader by itself."""
_CLOSE_S: Final = 1.0
_LOOKS_PER_STALE: Final = 8
_LOOK_S_MAX: Final = 0.25
_HALTED_PER_STALE: Final = 4
"""A look so late (a quarter of the patience) says that this process stood still, not the stream."""


class Endpoint(Protocol):
    """What is said over a connection, and what becomes of it."""

    name: str
    url: str
    headers: dict[str, str]

    async def wanted(self) -> None:
        """Wait until there is something to ask for."""

    async def open(self, connection: ClientConnection, answer_s: float) -> None:
        """Authenticate and subscribe, and check what was granted.

        Raises:
            Refused: the server refuses, or grants something else.
            TimeoutError: a step took longer than `answer_s` seconds.
        """

    def take(self, frame: bytes) -> bool:
        """Take a frame, never raising for its content; whether it held data.

        Raises:
            Refused: the server ends the stream.
        """

    def down(self, cause: str) -> None:
        """The connection is lost, refused or mute; `cause` in few words."""

    def stale_s(self) -> float:
        """Seconds without data after which the stream counts as mute; infinity where silence is right."""

    def overdue(self, now_s: float) -> str:
        """What the server still owes at `now_s` of the loop's clock, or nothing."""


class Stream:
    """Keeps one endpoint connected until cancelled or fatally refused.

    Args:
        endpoint: What is said.
        params: Time-outs and back-off.
        tries_max: Failed tries in a row after which it is given up; 0 = never.
        jitter: Numbers in [0, 1) that spread the tries of several clients.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        params: AlpacaParams,
        *,
        tries_max: int = 0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.connection: ClientConnection | None = None
        """The connection, once it is verified; none while it is down."""
        self.connects = 0
        """Verified connections so far."""
        self.downs = 0
        """Connections lost or refused so far."""
        self.last_cause = ""
        """Why it was down last."""
        self._endpoint = endpoint
        self._params = params
        self._tries_max = tries_max
        self._jitter = jitter
        self._failed = 0
        self._failed_slow = 0
        self._last_data_s = 0.0
        self._abort_cause = ""

    async def run(self) -> None:
        """Connect, read, connect again; ends by cancellation or with an error.

        Raises:
            ScalpcliError: the server refused for good (`alpaca_refusals.py`).
            UpstreamUnavailable: `tries_max` tries in a row failed.
        """
        while True:
            await self._endpoint.wanted()
            refused = await self._live_once()
            self.downs += 1
            self.last_cause = refused.cause
            self._endpoint.down(refused.cause)
            if refused.fatal is not None:
                raise refused.fatal
            self._failed += 1
            self._failed_slow += refused.is_slow
            if self._tries_max and self._failed >= self._tries_max:
                raise UpstreamUnavailable(
                    f"the stream did not come about in {self._failed} tries; the last: {refused.cause}",
                    place=self._endpoint.name,
                    hint="is the network up? `scalpcli doctor` looks at each part",
                )
            await asyncio.sleep(self._backoff_s(is_slow=refused.is_slow))

    def _backoff_s(self, *, is_slow: bool) -> float:
        params = self._params
        first_s, failed = (
            (params.backoff_slow_s, self._failed_slow) if is_slow else (params.backoff_first_s, self._failed)
        )
        # 2 to the 30th is beyond every limit; more would overflow.
        full_s = min(first_s * 2.0 ** min(failed - 1, 30), max(params.backoff_max_s, first_s))
        return full_s * (0.5 + 0.5 * self._jitter())

    async def _live_once(self) -> Refused:
        """One connection from its begin to its end, and why it ended."""
        try:
            connection = await self._connect()
        except InvalidStatus as error:
            return refusal_of_status(error.response.status_code, self._endpoint.name)
        except TimeoutError:
            return Refused("connection timed out")
        except (OSError, WebSocketException, EOFError):
            return Refused("connection failed")
        self._abort_cause = ""
        step = "handshake"
        watchdog: asyncio.Task[None] | None = None
        try:
            await self._endpoint.open(connection, self._params.answer_s)
            step = "connection"
            self.connects += 1
            self.connection = connection
            self._last_data_s = asyncio.get_running_loop().time()
            watchdog = asyncio.create_task(self._watch(connection))
            await self._read(connection)
        except Refused as refused:
            return refused
        except TimeoutError:
            return Refused(f"{step} timed out")
        except ConnectionClosed:
            return Refused(self._abort_cause or f"{step} lost")
        finally:
            self.connection = None
            if watchdog is not None:
                watchdog.cancel()
            await _end(connection)

    async def _connect(self) -> ClientConnection:
        params = self._params
        # At DEBUG websockets logs every frame, and with it the keys.
        logging.getLogger("websockets.client").setLevel(logging.INFO)
        return await _Connect(
            self._endpoint.url,
            additional_headers=self._endpoint.headers,
            open_timeout=params.connect_s,
            ping_interval=params.ping_s,
            ping_timeout=params.ping_s,
            close_timeout=_CLOSE_S,
            max_size=_FRAME_BYTES_MAX,
            max_queue=_FRAMES_WAITING_MAX,
            # Inflating costs three times what reading does; the feed of one stock is small.
            compression=None,
            proxy=None,
        )

    async def _read(self, connection: ClientConnection) -> NoReturn:
        loop_s = asyncio.get_running_loop().time
        receive, take = connection.recv, self._endpoint.take
        while True:
            for _ in range(_READS_IN_A_ROW_MAX):
                # `recv` returns bytes with decode=False, whatever the frame's type.
                frame: Any = await receive(decode=False)
                if take(frame):
                    self._last_data_s = loop_s()
                    self._failed = self._failed_slow = 0
            await asyncio.sleep(0)

    async def _watch(self, connection: ClientConnection) -> None:
        """Abort the connection when data is late. A process that was itself halted looks again first."""
        loop_s = asyncio.get_running_loop().time
        armed_s = loop_s()
        while True:
            stale_s = self._endpoint.stale_s()
            pause_s = min(_LOOK_S_MAX, stale_s / _LOOKS_PER_STALE)
            due_s = loop_s() + pause_s
            await asyncio.sleep(pause_s)
            now_s = loop_s()
            if now_s - due_s > stale_s / _HALTED_PER_STALE or self._endpoint.stale_s() == float("inf"):
                armed_s = now_s
            cause = self._endpoint.overdue(now_s)
            if not cause and now_s - max(self._last_data_s, armed_s) > stale_s:
                cause = "mute"
            if cause:
                self._abort_cause = cause
                connection.transport.abort()
                return

    def abort(self, cause: str) -> None:
        """End the connection, if there is one; it is made again at once."""
        if self.connection is not None:
            self._abort_cause = cause
            self.connection.transport.abort()


class _Connect(connect):
    """Connects to the address named and nowhere else: keys are sent there."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """A redirection is a refusal."""
        return exc


async def _end(connection: ClientConnection) -> None:
    # A server counts a half-dead connection for a while; a proper end frees the place at once.
    with contextlib.suppress(WebSocketException, OSError, TimeoutError):
        await connection.close()
