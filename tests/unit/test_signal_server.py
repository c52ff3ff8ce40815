"""Signals out: who may listen, what is told, and what happens to those who cannot keep up."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import stat
import uuid

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scalpcli.adapters.signal_feed import ACCESS_FILE, SignalFeed, offered_signals
from scalpcli.adapters.signal_server import CLIENTS_MAX, SignalServer
from scalpcli.adapters.signals_schema import signals_schema
from scalpcli.errors import DataError
from tests.json_schema import schema_faults
from tests.live_samples import FILL, NOW_NS, SIGNAL, live_state

TOKEN = uuid.uuid4().hex
DEADLINE_S = 20.0


def play(story):
    """Run a story against an open server."""

    async def whole():
        server = SignalServer(0, TOKEN, ["http://localhost:3000"])
        await server.open()
        try:
            return await asyncio.wait_for(story(server), DEADLINE_S)
        finally:
            await server.close()

    return asyncio.run(whole())


async def until(condition):
    """Wait for a condition; the story's deadline ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await asyncio.sleep(0.002)


@contextlib.asynccontextmanager
async def client(server, **extra):
    """A client that is listening."""
    before = server.count
    extra.setdefault("additional_headers", {"Authorization": f"Bearer {TOKEN}"})
    async with connect(server.url, proxy=None, **extra) as connection:
        await until(lambda: server.count == before + 1)
        yield connection


async def status(server, path="", **extra) -> int:
    """How a request is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{server.url}{path}", proxy=None, **extra):
            pass
    return refused.value.response.status_code


@pytest.mark.parametrize("way", ["header", "query", "first message"])
def test_whoever_knows_the_token_is_told(way):
    """Programs set a header; browsers cannot, and put it into the query or the first message."""

    async def story(server):
        url = server.url + (f"?token={TOKEN}" if way == "query" else "")
        headers = {"Authorization": f"Bearer {TOKEN}"} if way == "header" else {}
        async with connect(url, proxy=None, additional_headers=headers) as connection:
            if way == "first message":
                await connection.send(json.dumps({"token": TOKEN}))
            await until(lambda: server.count == 1)
            server.publish({"type": "alarm"})
            return json.loads(await connection.recv())

    assert play(story) == {"type": "alarm"}


@pytest.mark.parametrize("wrong", ["", "x", uuid.uuid4().hex, "\ud800"], ids=["none", "short", "other", "no text"])
def test_a_wrong_token_is_told_nothing(wrong):
    """By header and query the request is refused, as a first message the connection ends."""

    async def story(server):
        headers = {"Authorization": f"Bearer {wrong}"} if wrong.isascii() else {"Authorization": f"Basic {TOKEN}"}
        by_header = await status(server, additional_headers=headers)
        by_query = await status(server, f"?token={wrong if wrong.isascii() and wrong else 'y'}")
        async with connect(server.url, proxy=None) as connection:
            await connection.send(json.dumps({"token": wrong}))
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
        return by_header, by_query, closed.value.rcvd.code, server.count, server.refused

    assert play(story) == (401, 401, 1008, 0, 3)


@pytest.mark.parametrize("first", ["[]", "no json", '"x"', '{"token": 1}', "[" * 900, b"\xff"])
def test_a_first_message_that_is_no_token_ends_the_connection(first):
    """Whatever it is; nothing of it is answered but the close code."""

    async def story(server):
        async with connect(server.url, proxy=None) as connection:
            await connection.send(first)
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
        return closed.value.rcvd.code

    assert play(story) == 1008


def test_pages_of_foreign_origins_are_refused():
    """A page somebody reads in the browser of this machine must not listen, token or not; one that was allowed may."""

    async def story(server):
        foreign = await status(server, f"?token={TOKEN}", origin="https://example.com")
        other_port = await status(server, f"?token={TOKEN}", origin="http://localhost:3001")
        opaque = await status(server, f"?token={TOKEN}", origin="null")
        async with client(server, origin="http://localhost:3000"):
            return foreign, other_port, opaque, server.count

    assert play(story) == (403, 403, 403, 1)


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"])
def test_names_that_are_not_this_machines_are_refused(host):
    """DNS rebinding: a page's own name may point to loopback, its Host header still tells the name."""

    async def story(server):
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        return await status_of(port, f"GET /?token={TOKEN} HTTP/1.1\r\nHost: {host}\r\n")

    assert play(story) == b"400"


@pytest.mark.parametrize("heads", ["", "Host: localhost\r\nHost: evil.example\r\n"], ids=["none", "two"])
def test_a_request_names_one_host(heads):
    """None, or two of them, is a trick."""

    async def story(server):
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        return await status_of(port, f"GET /?token={TOKEN} HTTP/1.1\r\n{heads}")

    assert play(story) == b"400"


async def status_of(port: int, head: str) -> bytes:
    """Status of a handwritten upgrade."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write((head + upgrade).encode())
    line = await reader.readline()
    writer.close()
    return line.split()[1]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\r\n\r\n",
        b"GET //[ HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/1.1\r\nA" * 9_000,
        b"\xff" * 70_000,
    ],
    ids=["nothing", "empty lines", "no address", "TLS", "endless heads", "no text"],
)
def test_what_is_no_request_hurts_nobody(said):
    """Whoever sends it is cut; whoever listens goes on listening."""

    async def story(server):
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        async with client(server) as listening:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                writer.write(said)
                await writer.drain()
                writer.write_eof()
                await reader.read()
            writer.close()
            server.publish({"type": "alarm"})
            return json.loads(await listening.recv()), server.count

    assert play(story) == ({"type": "alarm"}, 1)


def test_no_log_holds_the_token(caplog):
    """A library that logs requests at DEBUG would write it down."""
    caplog.set_level(logging.DEBUG)

    async def story(server):
        async with connect(f"{server.url}?token={TOKEN}", proxy=None, logger=logging.getLogger("quiet")):
            await until(lambda: server.count == 1)
        await status(server, f"?token={TOKEN}x", logger=logging.getLogger("quiet"))

    logging.getLogger("quiet").disabled = True
    play(story)

    assert TOKEN not in caplog.text


def test_other_paths_do_not_exist():
    """One door is enough."""

    async def story(server):
        return await status(server, f"orders?token={TOKEN}")

    assert play(story) == 404


@pytest.mark.parametrize(("said", "code"), [("stop", 1008), ("{}", 1008), ("x" * 5_000, 1009)])
def test_nothing_is_taken_from_clients(said, code):
    """The socket is read only: a client that speaks is cut, a long message before it is read."""

    async def story(server):
        async with client(server) as connection:
            await connection.send(said)
            with pytest.raises(ConnectionClosed) as closed:
                await connection.recv()
            await until(lambda: server.count == 0)
            return closed.value.rcvd.code

    assert play(story) == code


def test_a_slow_reader_is_dropped_and_the_others_hear_everything():
    """The trading loop waits for no one; who is too far behind is cut and counted."""

    async def story(server):
        server._waiting_bytes_max = 1 << 16
        message = {"type": "state", "data": "x" * 500_000}
        async with client(server, max_queue=1) as slow, client(server) as quick:
            slow.transport.pause_reading()
            heard = 0
            while not server.dropped:
                server.publish(message)
                await quick.recv()
                heard += 1
            slow.transport.abort()
            return server.dropped, server.count, heard > 0

    assert play(story) == (1, 1, True)


def test_more_clients_than_allowed_are_refused():
    """Each costs the trading process time and a descriptor."""

    async def story(server):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(CLIENTS_MAX):
                await stack.enter_async_context(client(server))
            code = await status(server, f"?token={TOKEN}")
        await until(lambda: server.count == 0)
        async with client(server):
            return code, server.count

    assert play(story) == (503, 1)


def test_strangers_cannot_exhaust_the_process():
    """Connections that never say anything are cut as soon as they are too many."""

    async def story(server):
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        pairs = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        await until(lambda: len(server._open_connections) <= 32)
        for _, writer in pairs:
            writer.close()
        await until(lambda: len(server._open_connections) == 0)
        async with client(server):
            return server.count

    assert play(story) == 1


def test_nothing_is_made_where_nobody_listens():
    """The trading loop pays for signals only while somebody hears them."""

    async def story(server):
        feed = SignalFeed(server, "TSLA", "paper", lambda: NOW_NS)
        feed.event(SIGNAL)
        feed.state(live_state())
        return len(server._waiting)

    assert play(story) == 0


def test_what_is_too_much_for_one_write_is_lost_and_counted():
    """A list without a bound would grow for as long as the loop is busy."""

    async def story(server):
        async with client(server):
            for number in range(1_030):
                server.publish({"n": number})
            return server.lost

    assert play(story) == 6


def test_a_port_that_is_taken_is_named():
    """The setting to change is in the message."""

    async def story(server):
        taken = SignalServer(int(server.url.rsplit(":", 1)[1].strip("/")), TOKEN)
        with pytest.raises(DataError) as error:
            await taken.open()
        return error.value.place, taken.url

    assert play(story) == ("`live.signals_port`", "")


def told_by_a_session(tmp_path) -> list[dict]:
    """Every message of a short session, as a client reads it."""

    async def story():
        async with offered_signals(tmp_path, 0, symbol="TSLA", mode="paper", now_ns=lambda: NOW_NS) as feed:
            access = json.loads((tmp_path / ACCESS_FILE).read_text())
            async with connect(access["url"], proxy=None) as connection:
                await connection.send(json.dumps({"token": access["token"]}))
                told = [json.loads(await connection.recv())]
                await until(lambda: feed.server.count == 1)
                feed.event(SIGNAL)
                feed.event({"kind": "trigger", "ts_ns": NOW_NS})
                feed.event(FILL)
                feed.event({"kind": "alarm", "ts_ns": NOW_NS, "text": "held at the close", "about": "", "value": 1})
                feed.event({"kind": "alarm", "text": "held at the close"})
                feed.state(live_state())
                told += [json.loads(await connection.recv()) for _ in range(5)]
                return told

    return asyncio.run(asyncio.wait_for(story(), DEADLINE_S))


def test_every_message_is_as_the_schema_says(tmp_path):
    """The schema is published; each type was told at least once, and each matches exactly its own."""
    schemas = {schema["title"]: schema for schema in signals_schema()["oneOf"]}

    told = told_by_a_session(tmp_path)

    assert {message["type"] for message in told} == set(schemas)
    assert [fault for message in told for fault in schema_faults(message, schemas[message["type"]])] == []
    assert {message["mode"] for message in told} == {"PAPER"}


def test_a_signal_has_the_fields_of_the_original_design(tmp_path):
    """Names and units of `ScalpSignal`: dollars, percents, minutes, an ISO time."""
    signal = next(message for message in told_by_a_session(tmp_path) if message["type"] == "scalp_signal")

    assert signal["data"] == {
        "id": "20251125-7f3a-1",
        "timestamp": "2025-11-25T15:29:14.200000+00:00",
        "symbol": "TSLA",
        "signal_type": "SCALP_CALL",
        "trigger": "momentum_burst",
        "underlying_price": 419.31,
        "entry_price_target": 1.2,
        "option_symbol": "TSLA251125C00420000",
        "strike": 420.0,
        "expiry": "2025-11-25",
        "delta": 0.36,
        "take_profit_pct": 30.0,
        "stop_loss_pct": 15.0,
        "max_hold_minutes": 15.0,
        "confidence": 78,
        "suggested_contracts": 3,
    }


def test_the_token_is_the_owners_alone_and_another_in_every_run(tmp_path):
    """It stands in a file of mode 0600 while the process runs; a leftover of another mode is replaced."""
    path = tmp_path / ACCESS_FILE
    path.write_text("left by a run that was killed")
    path.chmod(0o644)

    async def story():
        async with offered_signals(tmp_path, 0, symbol="TSLA", mode="paper", now_ns=lambda: NOW_NS):
            return json.loads(path.read_text()), stat.S_IMODE(path.stat().st_mode)

    (first, mode), (second, _) = asyncio.run(story()), asyncio.run(story())

    assert mode == 0o600
    assert first["token"] != second["token"]
    assert len(first["token"]) >= 43
    assert not path.exists()
