"""Order updates: what is read of them, and the stream that brings them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_server import ScriptedServer, for_ever

from scalpcli.adapters.alpaca_stream import Stream
from scalpcli.adapters.alpaca_updates import TradeUpdate, UpdatesEndpoint, decode_update
from scalpcli.errors import CredentialsError, DataError
from scalpcli.model.params import AlpacaParams

PARAMS = AlpacaParams(answer_s=0.3, backoff_first_s=0.02, backoff_max_s=0.1)
FILL = {
    "event": "partial_fill",
    "execution_id": "e1",
    "timestamp": "2026-11-23T15:00:01.123456789Z",
    "price": "3.10",
    "qty": "1",
    "position_qty": "1",
    "order": {
        "id": "o1",
        "client_order_id": "scalp-1",
        "symbol": "TSLA261123C00400000",
        "side": "buy",
        "status": "partially_filled",
        "qty": "2",
        "filled_qty": "1",
        "filled_avg_price": "3.1",
    },
}


def update(data: Any) -> bytes:
    return json.dumps({"stream": "trade_updates", "data": data}).encode()


def test_a_fill_is_read_whole():
    """Numbers come as texts; times to the nanosecond."""
    assert decode_update(FILL) == TradeUpdate(
        event="partial_fill",
        event_ns=1_795_446_001_123_456_789,
        order_id="o1",
        client_order_id="scalp-1",
        symbol="TSLA261123C00400000",
        side="buy",
        status="partially_filled",
        order_quantity=2,
        filled_quantity=1,
        filled_price_e4=31_000,
        execution_id="e1",
        quantity=1,
        price_e4=31_000,
        position_quantity=1,
        filled_sum_e4=31_000,
    )


def test_an_unknown_event_is_kept_and_absent_fields_are_empty():
    """Alpaca adds events; the order's status says enough."""
    found = decode_update({"event": "held", "order": {"id": "o1", "filled_avg_price": None}})

    assert (found.event, found.event_ns, found.price_e4, found.position_quantity) == ("held", 0, 0, None)


@given(data=st.dictionaries(st.sampled_from(list(FILL)), st.none() | st.text() | st.floats() | st.just(FILL["order"])))
@settings(max_examples=200, deadline=None)
def test_an_update_is_read_or_refused(data):
    """Nothing else is raised."""
    with contextlib.suppress(DataError):
        assert decode_update(data).order_id


class Heard:
    """What an endpoint told."""

    def __init__(self) -> None:
        self.updates: list[TradeUpdate] = []
        self.states: list[str] = []

    async def play(self, *scripts: Any, updates: int) -> UpdatesEndpoint:
        async with ScriptedServer(*scripts) as server:
            endpoint = UpdatesEndpoint(
                f"{server.url}/stream",
                (uuid.uuid4().hex, uuid.uuid4().hex),
                on_update=self.updates.append,
                on_ready=lambda: self.states.append("ready"),
                on_down=self.states.append,
            )
            task = asyncio.create_task(Stream(endpoint, PARAMS).run())
            try:
                async with asyncio.timeout(5):
                    while len(self.updates) < updates and not task.done():  # noqa: ASYNC110 - it may also fail
                        await asyncio.sleep(0.01)
                if task.done():
                    task.result()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            return endpoint


async def listen(connection: Any) -> None:
    asked = json.loads(await connection.recv())
    assert asked["action"] == "auth"
    answer = {"stream": "authorization", "data": {"status": "authorized", "action": "authenticate"}}
    await connection.send(json.dumps(answer).encode())
    assert json.loads(await connection.recv()) == {"action": "listen", "data": {"streams": ["trade_updates"]}}
    await connection.send(json.dumps({"stream": "listening", "data": {"streams": ["trade_updates"]}}).encode())


def then(*frames: bytes | str, after: Any = for_ever) -> Any:
    async def script(connection: Any) -> None:
        await listen(connection)
        for frame in frames:
            await connection.send(frame)
        await after(connection)

    return script


async def cut(connection: Any) -> None:
    await asyncio.sleep(0.05)
    connection.transport.abort()


def test_updates_come_in_binary_and_text_frames_and_garbage_is_counted():
    """Whoever counts on updates asks the account when one could not be read."""
    heard = Heard()

    endpoint = asyncio.run(
        heard.play(then(update(FILL), b"\xff{", b"[1]", update({}), update(FILL).decode()), updates=2)
    )

    assert len(heard.updates) == 2
    assert endpoint.unreadable == 3


def test_a_reconnect_is_said_so_that_the_account_is_asked():
    """Nothing is replayed."""
    heard = Heard()

    asyncio.run(heard.play(then(update(FILL), after=cut), then(update(FILL)), updates=2))

    assert heard.states == ["ready", "connection lost", "ready"]


def test_an_error_ends_the_connection_and_comes_back():
    """It arrives in an envelope of its own."""
    heard = Heard()
    error = json.dumps({"action": "error", "data": {"error_message": "x"}})

    asyncio.run(heard.play(then(error), then(update(FILL)), updates=1))

    assert heard.states == ["ready", "refused", "ready"]


def test_refused_keys_end_the_stream():
    """No second try with the same keys."""

    async def no(connection: Any) -> None:
        await connection.recv()
        await connection.send(json.dumps({"stream": "authorization", "data": {"status": "unauthorized"}}))
        await for_ever(connection)

    with pytest.raises(CredentialsError):
        asyncio.run(Heard().play(no, updates=1))
