"""The transport that orders go over: where an answer ends, which connection is used again, what counts as sent."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scalpcli.adapters import lean_http
from scalpcli.adapters.lean_http import LeanTransport, _Connection, _exchange

HELLO = b'{"hello": 1}'
REQUEST = httpx.Request("POST", "http://broker.example/v2/orders?a=b%20c", headers={"X-Key": "k"}, content=b"{}")
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n" + HELLO,
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n" + HELLO[:5] + b"\r\n7\r\n" + HELLO[5:]
    + b"\r\n0\r\nTrailer: 1\r\n\r\n",
    "until closed": b"HTTP/1.1 200 OK\r\n\r\n" + HELLO,
    "after continue": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200\r\nContent-Length:12\r\n\r\n" + HELLO,
    "compressed": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    % len(gzip.compress(HELLO, mtime=0)) + gzip.compress(HELLO, mtime=0),
}  # fmt: skip


class Wire(asyncio.Transport):
    """The other end of a connection: keeps what was sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def abort(self) -> None:
        self.sent += b"<aborted>"


def heard(pieces: list[bytes]) -> tuple[httpx.Response, _Connection, bytes]:
    """What is read from an answer that comes in these pieces and then ends."""

    async def main() -> tuple[httpx.Response, _Connection, bytes]:
        connection, wire = _Connection(), Wire()
        connection.connection_made(wire)
        reading = asyncio.ensure_future(_exchange(connection, REQUEST, b"{}"))
        # The loop never hands over nothing.
        for piece in filter(None, pieces):
            await asyncio.sleep(0)
            connection.data_received(piece)
        await asyncio.sleep(0)
        connection.eof_received()
        return await reading, connection, wire.sent

    return asyncio.run(main())


def test_a_request_leaves_in_one_piece():
    """Path and query as they are, every header, the body."""
    _, _, sent = heard([ANSWERS["length"]])

    assert sent == (
        b"POST /v2/orders?a=b%20c HTTP/1.1\r\nHost: broker.example\r\nX-Key: k\r\nContent-Length: 2\r\n\r\n{}"
    )


@given(name=st.sampled_from(list(ANSWERS)), cuts=st.lists(st.integers(0, 200), max_size=5))
@settings(max_examples=150, deadline=None)
def test_an_answer_is_whole_however_it_comes(name, cuts):
    """By its length, in chunks, until the end, after a 100, compressed; cut anywhere."""
    whole = ANSWERS[name]
    places = sorted({0, len(whole), *(cut % len(whole) for cut in cuts)})

    response, connection, _ = heard([whole[a:b] for a, b in itertools.pairwise(places)])

    assert (response.status_code, response.content) == (200, HELLO)
    assert connection.is_kept == (name != "until closed")


@given(name=st.sampled_from(["length", "chunked", "after continue", "compressed"]), missing=st.integers(1, 300))
@settings(max_examples=100, deadline=None)
def test_an_answer_that_is_cut_off_is_none(name, missing):
    """Half of an order is not an order."""
    whole = ANSWERS[name]

    with pytest.raises(httpx.ReadError):
        heard([whole[: max(0, len(whole) - missing)]])


@given(st.binary(max_size=80) | st.binary(max_size=40).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
@settings(max_examples=150, deadline=None)
def test_any_bytes_are_an_answer_or_an_error_of_httpx(noise):
    """Nothing else is raised: what cannot be read is a request of unknown outcome."""
    with suppress(httpx.HTTPError):
        assert heard([noise]).__class__ is tuple


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
    ],
)
def test_what_is_no_http_is_refused(answer):
    """The connection is not used again."""
    with pytest.raises(httpx.RemoteProtocolError):
        heard([answer])


def test_an_answer_without_end_is_refused(monkeypatch):
    """It would fill the memory."""
    monkeypatch.setattr(lean_http, "_BODY_BYTES_MAX", len(HELLO) - 1)

    with pytest.raises(httpx.RemoteProtocolError):
        heard([ANSWERS["chunked"]])


# --- over sockets

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def over_socket(serve: Serve, act: Callable[[httpx.AsyncClient], Awaitable[Any]], **client: Any) -> tuple[Any, int]:
    """What `act` returns with a client of a server, and how many connections it took."""
    connections: list[asyncio.StreamWriter] = []
    serving: list[asyncio.Task[Any]] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer)
        task = asyncio.current_task()
        assert task is not None
        serving.append(task)
        with suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)

    async def main() -> Any:
        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            async with httpx.AsyncClient(transport=LeanTransport(), base_url=url, **client) as asking:
                return await act(asking)
        finally:
            # From Python 3.12 on a server's end waits for its connections; before, nobody waits for who serves them.
            for writer in connections:
                writer.close()
            await asyncio.gather(*serving, return_exceptions=True)
            server.close()

    return asyncio.run(main()), len(connections)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request of a connection."""
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(ANSWERS["length"])


async def answers_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request and close, without having said so."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(ANSWERS["length"])
    await writer.drain()
    writer.close()


async def says_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Read and be silent."""
    await reader.read()


def test_a_trace_tells_when_the_request_was_sent():
    """As httpx's own transport tells it; before the answer."""
    told: list[str] = []

    async def trace(event, _info):
        told.append(event)

    async def act(client):
        return await client.get("/", extensions={"trace": trace})

    over_socket(answers, act)

    assert told == ["http11.send_request_body.complete"]


def test_a_connection_is_used_again():
    """Requests one after the other need one; beside each other they need two."""

    async def act(client):
        for _ in range(3):
            await client.get("/")
        return await asyncio.gather(client.get("/"), client.get("/"))

    found, connections = over_socket(answers, act)

    assert [response.json() for response in found] == [{"hello": 1}] * 2
    assert connections == 2


def test_a_connection_that_ended_while_idle_is_not_used():
    """An order must not leave on it: its outcome would be unknown."""

    async def act(client):
        statuses = []
        for _ in range(3):
            statuses.append((await client.get("/")).status_code)
            await asyncio.sleep(0.02)
        return statuses

    assert over_socket(answers_once, act) == ([200] * 3, 3)


def test_a_late_answer_is_never_taken_for_the_next_ones():
    """After a time-out the connection is gone."""

    async def slow(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.15)
        writer.write(ANSWERS["length"].replace(b"1}", b"2}"))
        await answers(reader, writer)

    async def act(client):
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/", timeout=0.05)
        return (await client.get("/")).json()

    assert over_socket(slow, act) == ({"hello": 2}, 2)


def test_more_requests_than_connections_wait_their_turn_or_were_not_sent():
    """Eight are under way; the ninth says that no connection was free."""

    async def act(client):
        async def one():
            try:
                await client.get("/", timeout=httpx.Timeout(0.3, pool=0.05))
            except httpx.TimeoutException as error:
                return type(error)

        return await asyncio.gather(*(one() for _ in range(9)))

    found, connections = over_socket(says_nothing, act)

    assert sorted(kind.__name__ for kind in found) == ["PoolTimeout"] + ["ReadTimeout"] * 8
    assert connections == 8


def test_where_nobody_listens_nothing_was_sent():
    """The error says so, which lets the order be sent again without a look-up."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/"

        async def main():
            async with httpx.AsyncClient(transport=LeanTransport()) as client:
                await client.get(url)

        with pytest.raises(httpx.ConnectError):
            asyncio.run(main())


def test_a_broken_connection_is_one_of_unknown_outcome():
    """Cut after the request was read."""

    async def cuts(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async def act(client):
        with pytest.raises(httpx.ReadError):
            await client.post("/", content=b"{}")

    assert over_socket(cuts, act) == (None, 1)
