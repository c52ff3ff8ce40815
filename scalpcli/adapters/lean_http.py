"""HTTP/1.1 over connections that stay open, as a transport of httpx: an order's bytes leave in one write.

httpx's own transport works half a millisecond of processor time before the first byte leaves and as long again on
the answer, most of what a decision takes (measured: 550 us with it, 180 us with this one). Decides which connection a
request takes and what is a broken one; `h11`, which httpx rests on too, decides what is HTTP. Nothing is repeated
here. A connection on which anything came while it was idle, its end above all, is never used again, so that an order
does not leave on a dead one.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

import h11
import httpx

_CONNECTIONS_MAX: Final = 8
_HEAD_BYTES_MAX: Final = 1 << 16
_BODY_BYTES_MAX: Final = 1 << 26
_SECOND_ADDRESS_S: Final = 0.25
"""After which a second address of a host is tried beside the first (RFC 8305)."""

T = TypeVar("T")
Headers = list[tuple[bytes, bytes]]
_Origin = tuple[str, str, int]
"""Scheme, host, port."""


class LeanTransport(httpx.AsyncBaseTransport):
    """Requests over at most eight connections, each kept until the other side closes it."""

    def __init__(self) -> None:
        self._idle: dict[_Origin, deque[_Connection]] = {}
        self._free = asyncio.Semaphore(_CONNECTIONS_MAX)
        self._context: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and read its whole answer.

        Raises:
            httpx.PoolTimeout: Every connection is in use.
            httpx.ConnectTimeout: No connection opened in time: nothing was sent.
            httpx.ConnectError: No connection can be opened: nothing was sent.
            httpx.ReadTimeout: The answer was not whole in time.
            httpx.ReadError: The connection broke.
            httpx.RemoteProtocolError: What came is no answer of HTTP.
        """
        limits = request.extensions.get("timeout", {})
        body = await request.aread()
        await _within(self._free.acquire(), limits.get("pool"), httpx.PoolTimeout("no connection is free"))
        try:
            origin = _origin(request.url)
            connection = self._kept(origin) or await self._open(origin, limits.get("connect"))
            try:
                late = httpx.ReadTimeout("the answer is late")
                response = await _within(_exchange(connection, request, body), limits.get("read"), late)
            except BaseException:
                # Whatever comes on it later would be taken for the answer to another request.
                connection.abort()
                raise
            if connection.is_kept:
                self._idle.setdefault(origin, deque()).append(connection)
            else:
                connection.abort()
            return response
        finally:
            self._free.release()

    async def aclose(self) -> None:
        """End the connections."""
        for connections in self._idle.values():
            for connection in connections:
                connection.abort()
        self._idle.clear()
        # The loop closes their sockets at its next turn.
        await asyncio.sleep(0)

    def _kept(self, origin: _Origin) -> _Connection | None:
        kept = self._idle.get(origin, deque())
        while kept:
            # In turn: one that is never used is closed by the other side.
            connection = kept.popleft()
            if connection.is_quiet:
                return connection
            connection.abort()
        return None

    async def _open(self, origin: _Origin, connect_s: float | None) -> _Connection:
        scheme, host, port = origin
        context = self._tls() if scheme == "https" else None
        opening = asyncio.get_running_loop().create_connection(
            _Connection,
            host,
            port,
            ssl=context,
            server_hostname=host if context else None,
            happy_eyeballs_delay=_SECOND_ADDRESS_S,
        )
        try:
            late = httpx.ConnectTimeout("no connection opened in time")
            _, connection = await _within(opening, connect_s, late)
        except OSError as error:
            raise httpx.ConnectError(error.strerror or type(error).__name__) from None
        return connection

    def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            self._context = httpx.create_ssl_context()
            self._context.set_alpn_protocols(["http/1.1"])
        return self._context


class _Connection(asyncio.Protocol):
    """One connection, and where its conversation stands."""

    def __init__(self) -> None:
        self.is_kept = True
        self.is_over = False
        self.http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_BYTES_MAX)
        self._waiting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.http.receive_data(data)
        self._wake()

    def eof_received(self) -> None:
        self._end()

    def connection_lost(self, _error: Exception | None) -> None:
        self._end()

    def _end(self) -> None:
        if not self.is_over:
            self.is_over = True
            self.http.receive_data(b"")
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # What a request asks for.

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came and nothing ended since the last answer."""
        return not self.is_over and not self.http.trailing_data[0] and self._transport is not None

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send; what is sent on a connection that has ended is lost, which the answer's absence tells."""
        if self._transport is not None:
            self._transport.write(data)

    async def event(self) -> Any:
        """The next part of the answer."""
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        return event

    def go_on(self) -> None:
        """Be ready for another request, where the answer was whole and the other side does not close."""
        is_whole = self.http.our_state is h11.DONE and self.http.their_state is h11.DONE
        self.is_kept = is_whole and not self.is_over
        if self.is_kept:
            self.http.start_next_cycle()


async def _exchange(connection: _Connection, request: httpx.Request, body: bytes) -> httpx.Response:
    """Send a request and read its answer."""
    try:
        _send(connection, request, body)
        trace = request.extensions.get("trace")
        if trace is not None:
            # The same word as from httpx's own transport: whoever measures sees both alike.
            await trace("http11.send_request_body.complete", {})
        return await _answer(connection, request)
    except h11.LocalProtocolError as error:
        raise httpx.LocalProtocolError(str(error)) from None
    except h11.RemoteProtocolError:
        if connection.is_over:
            raise httpx.ReadError("the connection was closed") from None
        raise httpx.RemoteProtocolError("the answer is not HTTP") from None


def _send(connection: _Connection, request: httpx.Request, body: bytes) -> None:
    """Let the whole request leave in one write."""
    http = connection.http
    head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
    events = (head, h11.Data(body), h11.EndOfMessage()) if body else (head, h11.EndOfMessage())
    connection.write(b"".join(http.send(event) or b"" for event in events))


async def _answer(connection: _Connection, request: httpx.Request) -> httpx.Response:
    status, headers, parts, size = 0, Headers(), list[bytes](), 0
    while True:
        event = await connection.event()
        if isinstance(event, h11.Response):
            status, headers = event.status_code, list(event.headers)
        elif isinstance(event, h11.Data):
            size += len(event.data)
            if size > _BODY_BYTES_MAX:
                raise httpx.RemoteProtocolError("the answer is too long")
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            break
        elif isinstance(event, h11.ConnectionClosed):
            raise httpx.ReadError("the connection was closed")
    connection.go_on()
    return httpx.Response(status, headers=headers, content=b"".join(parts), request=request)


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


async def _within(work: Awaitable[T], seconds: float | None, late: httpx.TimeoutException) -> T:
    """What `work` returns, or `late` raised when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise late from None
