"""Lines and heartbeats for the outside."""

from __future__ import annotations

import asyncio
import logging
import uuid

import pytest

from scalpcli.adapters.notify import Notifier, beat, check_url
from scalpcli.errors import UsageError


async def listening(answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n"):
    """A server on loopback and the requests it got."""
    got: list[tuple[str, bytes]] = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next((int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line), 0)
        got.append((head.split(" HTTP")[0], await reader.readexactly(length)))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", got


def test_lines_are_told_in_order():
    """Each is the body of a POST; `close` waits for the last."""

    async def play():
        server, url, got = await listening()
        notifier = Notifier(f"{url}/hook")
        for word in ("starts", "is blind", "ends"):
            notifier.say(word)
        await notifier.close()
        server.close()
        return got, notifier.told

    got, told = asyncio.run(play())

    assert got == [("POST /hook", b"starts"), ("POST /hook", b"is blind"), ("POST /hook", b"ends")]
    assert told == 3


def test_a_heartbeat_is_a_question():
    """What `hc-ping` and its like expect."""

    async def play():
        server, url, got = await listening()
        is_heard = await beat(f"{url}/ping")
        server.close()
        return is_heard, got

    assert asyncio.run(play()) == (True, [("GET /ping", b"")])


def test_nobody_who_listens_is_counted_and_forgotten():
    """A recording goes on without its watcher."""

    async def play():
        server, url, _ = await listening()
        server.close()
        await server.wait_closed()
        notifier = Notifier(url)
        notifier.say("starts")
        await notifier.close()
        return notifier.failed, await beat(url)

    assert asyncio.run(play()) == (1, False)


def test_without_a_url_nothing_is_told():
    """The default: nothing is sent, so nothing can fail."""

    async def play():
        notifier = Notifier("")
        notifier.say("starts")
        await notifier.close()
        return notifier.failed

    assert asyncio.run(play()) == 0


def test_a_url_of_no_kind_is_refused_without_showing_it():
    """What follows the scheme may be a token."""
    token = uuid.uuid4().hex

    with pytest.raises(UsageError) as caught:
        check_url(f"ftp://{token}", "--heartbeat-url")

    assert caught.value.found == "`--heartbeat-url` takes a web address; found one that begins with `ftp:`"
    assert token not in caught.value.render()


def test_a_text_that_is_no_address_is_told_so():
    """It has no beginning to show."""
    with pytest.raises(UsageError) as caught:
        check_url("hc-ping", "--notify")

    assert caught.value.found == "`--notify` takes a web address; found a text without `https://`"


def test_no_address_is_logged(caplog):
    """httpx logs each request's address at INFO, and with it the token."""
    caplog.set_level(logging.INFO)
    token = uuid.uuid4().hex

    async def tell():
        server, url, _ = await listening()
        async with server:
            return await beat(f"{url}/{token}")

    assert asyncio.run(tell())
    assert token not in caplog.text
