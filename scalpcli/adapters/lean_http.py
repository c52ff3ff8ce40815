"""HTTP/1.1 over connections that stay open, as a transport of httpx: an order's bytes leave in one write.

httpx's own transport works half a millisecond of processor time before the first byte leaves and as long again on
the answer (measured; this one 30 us), most of what a decision takes. Decides which connection a request takes, where an
answer ends, and what is a broken connection. Nothing is repeated here. A connection on which anything came while it
was idle, its end above all, is never used again, so that an order does not leave on a dead one.

Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Awaitable
from typing import Final, TypeVar

import httpx

_CONNECTIONS_MAX: Final = 8
_HEAD_BYTES_MAX: Final = 1 << 16
_BODY_BYTES_MAX: Final = 1 << 26
_END_OF_HEAD: Final = b"\r\n\r\n"
_SECOND_ADDRESS_S: Final = 0.25
"""After which a second address of a host is tried beside the first (RFC 8305)."""
_CONTINUE: Final = 100
_OK: Final = 200
_NO_BODY: Final = (204, 304)

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
    """One connection: what was received and not yet read, and whether more can come."""

    def __init__(self) -> None:
        self.is_kept = True
        self._buffer = bytearray()
        self._is_over = False
        self._waiting: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._wake()

    def eof_received(self) -> None:
        self._is_over = True
        self._wake()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # What a request asks for.

    @property
    def is_quiet(self) -> bool:
        """Whether nothing came and nothing ended since the last answer."""
        return not self._is_over and not self._buffer and self._transport is not None

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()

    def write(self, data: bytes) -> None:
        """Send; what is sent on a connection that has ended is lost, which the answer's absence tells."""
        if self._transport is not None:
            self._transport.write(data)

    async def until(self, mark: bytes, bytes_max: int) -> bytes:
        """What comes up to a mark, without it."""
        seen = 0
        while True:
            end = self._buffer.find(mark, seen)
            if end >= 0:
                return self._take(end + len(mark))[:end]
            seen = max(0, len(self._buffer) - len(mark) + 1)
            if len(self._buffer) > bytes_max:
                raise httpx.RemoteProtocolError("the answer does not end")
            await self._more()

    async def exactly(self, count: int) -> bytes:
        """So many bytes."""
        while len(self._buffer) < count:
            await self._more()
        return self._take(count)

    async def rest(self) -> bytes:
        """Everything until the other side closes."""
        while not self._is_over:
            if len(self._buffer) > _BODY_BYTES_MAX:
                raise httpx.RemoteProtocolError("the answer does not end")
            await self._more()
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def _more(self) -> None:
        if self._is_over:
            raise httpx.ReadError("the connection was closed")
        self._waiting = asyncio.get_running_loop().create_future()
        await self._waiting


async def _exchange(connection: _Connection, request: httpx.Request, body: bytes) -> httpx.Response:
    """Send a request and read its answer."""
    lines = [b"%s %s HTTP/1.1" % (request.method.encode(), request.url.raw_path)]
    lines += [b"%s: %s" % header for header in request.headers.raw]
    connection.write(b"\r\n".join(lines) + _END_OF_HEAD + body)
    trace = request.extensions.get("trace")
    if trace is not None:
        # The same word as from httpx's own transport: whoever measures sees both alike.
        await trace("http11.send_request_body.complete", {})
    status, headers, is_kept = _CONTINUE, list[tuple[bytes, bytes]](), True
    while _CONTINUE <= status < _OK:
        status, headers, is_kept = _head(await connection.until(_END_OF_HEAD, _HEAD_BYTES_MAX))
    content = b"" if status in _NO_BODY else await _content(connection, headers)
    connection.is_kept = connection.is_kept and is_kept
    return httpx.Response(status, headers=headers, content=content, request=request)


def _head(head: bytes) -> tuple[int, Headers, bool]:
    """Status, headers, and whether the connection stays open after the answer."""
    first, *lines = head.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status = rest[:3]
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not status.isdigit() or rest[3:4] not in (b"", b" "):
        raise httpx.RemoteProtocolError("the answer is not HTTP")
    headers: Headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise httpx.RemoteProtocolError("a header of the answer cannot be read")
        headers.append((name.lower(), value.strip()))
    says_close = b"close" in _value(headers, b"connection").lower()
    return int(status), headers, version == b"HTTP/1.1" and not says_close


async def _content(connection: _Connection, headers: Headers) -> bytes:
    """The body, as long as its headers say."""
    if b"chunked" in _value(headers, b"transfer-encoding").lower():
        return await _chunks(connection)
    said = _value(headers, b"content-length")
    if not said:
        connection.is_kept = False
        return await connection.rest()
    return await connection.exactly(_length(said, 10))


async def _chunks(connection: _Connection) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        line = await connection.until(b"\r\n", _HEAD_BYTES_MAX)
        count = _length(line.partition(b";")[0].strip(), 16)
        if not count:
            break
        size += count
        if size > _BODY_BYTES_MAX:
            raise httpx.RemoteProtocolError("the answer is too long")
        parts.append(await connection.exactly(count))
        if await connection.exactly(2) != b"\r\n":
            raise httpx.RemoteProtocolError("a part of the answer has no end")
    while await connection.until(b"\r\n", _HEAD_BYTES_MAX):
        # Trailing headers say nothing that is asked for.
        continue
    return b"".join(parts)


def _length(text: bytes, base: int) -> int:
    digits = text.decode("ascii", "replace")
    if not digits.isalnum():
        raise httpx.RemoteProtocolError("the answer's length cannot be read")
    try:
        length = int(digits, base)
    except ValueError:
        raise httpx.RemoteProtocolError("the answer's length cannot be read") from None
    if length > _BODY_BYTES_MAX:
        raise httpx.RemoteProtocolError("the answer is too long")
    return length


def _value(headers: Headers, name: bytes) -> bytes:
    return b",".join(value for key, value in headers if key == name)


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


async def _within(work: Awaitable[T], seconds: float | None, late: httpx.TimeoutException) -> T:
    """What `work` returns, or `late` raised when it takes longer."""
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise late from None
