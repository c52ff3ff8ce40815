"""Faults of the local exchange over real sockets: what a client hears is what the log says was sent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from scalpcli.exchange.fault_script import read_script
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.orders import parse_order
from scalpcli.exchange.serving import ServingRules
from scalpcli.exchange.serving_log import ServingLog
from tests.exchange_samples import ALL_STOCK, STOCK_KINDS, Client, client_of, expected, make_tape, own_pair, rows_of
from tests.tape_samples import SESSION

REST_EVENTS = ("answer_lost", "request_refused")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 3000)


async def hear_until_end(exchange: LocalExchange, connections: list[list[Any]]) -> None:
    """A plain client that comes back whenever it is cut; what it heard, per connection."""
    while not exchange._serving.ended.is_set():
        try:
            async with client_of(exchange.stream_url + "/v2/sip") as client:
                await client.ask(**ALL_STOCK)
                connections.append([])
                await hear_quietly(exchange, client, connections[-1])
        except (ConnectionClosed, InvalidHandshake, OSError):
            await asyncio.sleep(0.01)


async def hear_quietly(exchange: LocalExchange, client: Client, heard: list[Any]) -> None:
    while True:
        try:
            async with asyncio.timeout(0.3):
                while True:
                    heard += await client.hear()
        except TimeoutError:
            if exchange._serving.ended.is_set():
                return


@pytest.mark.parametrize(
    "flag",
    [
        "drop=stock,after_messages=300,count=2",
        "drop=stock,at_s=0.2,duration_s=0.1",
        "stall=stock,after_messages=300,duration_s=0.2",
        "half_close=stock,after_messages=300",
        "refuse=stock,code=407,after_messages=300",
    ],
)
def test_what_a_client_hears_is_what_the_log_says_was_sent(tape, flag):
    """Row by row and connection by connection; a cut may take the last ones before it. Something really is lost."""
    wanted = dict(zip(rows_of(tape, STOCK_KINDS), expected(tape, STOCK_KINDS), strict=True))

    async def run() -> tuple[list[list[Any]], ServingLog]:
        connections: list[list[Any]] = []
        script = read_script(None, [flag], SESSION)
        async with LocalExchange(tape, speed=12_000.0, faults=script) as exchange:
            await hear_until_end(exchange, connections)
            return connections, exchange.log

    connections, log = asyncio.run(run())

    sent = [[wanted[row] for row in rows] for rows in log.sent.values()]
    heard = [[message for message in messages if message["T"] != "error"] for messages in connections]
    heard = [messages for messages in heard if messages]
    assert len(heard) == len(sent)
    for got, out in zip(heard, sent, strict=True):
        assert got == out[: len(got)]
    assert len(log.all_sent()) < len(wanted)
    assert heard[-1] == sent[-1]


@pytest.mark.parametrize("code", [402, 406, 409])
def test_a_refusal_at_the_door_comes_as_an_error(tape, code):
    """Once, and then the client is let in."""
    script = read_script(None, [f"refuse=stock,code={code}"], SESSION)

    async def knock() -> list[int]:
        found = []
        async with LocalExchange(tape, faults=script) as exchange:
            for _ in range(2):
                async with client_of(exchange.stream_url + "/v2/sip", enter=False) as client:
                    await client.hear()
                    found.append((await client.ask(action="auth", **own_pair())).get("code", 0))
        return found

    assert asyncio.run(knock()) == [code, 0]


@pytest.mark.parametrize("code", [429, 503])
def test_an_upgrade_is_refused_by_http(tape, code):
    """No WebSocket begins; the second attempt gets one."""
    script = read_script(None, [f"refuse=stock,code={code}"], SESSION)

    async def knock() -> int:
        async with LocalExchange(tape, faults=script) as exchange:
            with pytest.raises(InvalidStatus) as refused:
                async with client_of(exchange.stream_url + "/v2/sip"):
                    pass
            async with client_of(exchange.stream_url + "/v2/sip"):
                return refused.value.response.status_code

    assert asyncio.run(knock()) == code


def test_a_cut_connection_may_still_count_as_open(tape):
    """For `hold_s` the next one gets 406, as when Alpaca has not noticed yet."""
    script = read_script(None, ["drop=stock,after_messages=5,hold_s=0.2"], SESSION)

    async def talk() -> list[int]:
        found = []
        async with LocalExchange(tape, speed=12_000.0, faults=script) as exchange:
            async with client_of(exchange.stream_url + "/v2/sip") as client:
                await client.ask(**ALL_STOCK)
                with pytest.raises(ConnectionClosed):
                    await client.hear_all(10_000)
            for wait_s in (0.0, 0.3):
                await asyncio.sleep(wait_s)
                async with client_of(exchange.stream_url + "/v2/sip", enter=False) as client:
                    await client.hear()
                    found.append((await client.ask(action="auth", **own_pair())).get("code", 0))
        return found

    assert asyncio.run(talk()) == [406, 0]


def test_a_halt_is_announced_and_its_trades_are_lost(tape):
    """Quotes go on; the log has the status that was put in and each trade left out."""
    script = read_script(None, ["halt=stock,after_messages=200,duration_s=0.2"], SESSION)

    async def listen() -> tuple[list[Any], ServingLog]:
        async with LocalExchange(tape, speed=12_000.0, faults=script) as exchange:
            connections: list[list[Any]] = []
            await hear_until_end(exchange, connections)
            return connections[0], exchange.log

    heard, log = asyncio.run(listen())

    statuses = [(message["sc"], message["rc"]) for message in heard if message["T"] == "s"]
    begin = statuses.index(("H", "LUDP"))
    assert ("T", "") in statuses[begin:]
    assert {why for _, why in log.lost[1]} == {"halt"}


def test_a_lost_update_is_lost_and_the_next_one_comes(tape):
    """The stream of trade updates has no memory."""
    script = read_script(None, ["lose_update=trading,messages=1"], SESSION)

    async def listen() -> Any:
        async with LocalExchange(tape, faults=script, speed=0) as exchange:
            async with client_of(exchange.stream_url + "/v2/sip") as data:
                await data.ask(**ALL_STOCK)
                await exchange.wait_end()
            async with client_of(exchange.stream_url + "/stream", packed=False, enter=False) as client:
                await client.say(action="auth", **own_pair())
                await client.hear()
                await client.say(action="listen", data={"streams": ["trade_updates"]})
                await client.hear()
                for event in ("new", "fill"):
                    exchange.market.emit_order_event({"event": event, "order": {"id": "1"}})
                return await client.hear()

    assert asyncio.run(listen())["data"]["event"] == "fill"


def test_updates_come_late_or_twice(tape):
    """`new` is overtaken by the fill, which is told again later: a client must know it by its execution id."""
    flags = ["late_update=trading,on=new,delay_ms=60", "repeat_update=trading,on=fill,delay_ms=120"]
    script = read_script(None, flags, SESSION)

    async def listen() -> list[Any]:
        async with LocalExchange(tape, faults=script, speed=0) as exchange:
            async with client_of(exchange.stream_url + "/v2/sip") as data:
                await data.ask(**ALL_STOCK)
                await exchange.wait_end()
            async with client_of(exchange.stream_url + "/stream", packed=False, enter=False) as client:
                await client.say(action="auth", **own_pair())
                await client.hear()
                await client.say(action="listen", data={"streams": ["trade_updates"]})
                await client.hear()
                for event in ("new", "fill"):
                    exchange.market.emit_order_event({"event": event, "order": {"id": "1"}})
                return [(await client.hear())["data"]["event"] for _ in range(3)]

    assert asyncio.run(listen()) == ["fill", "new", "fill"]


def test_the_broker_sells_after_the_fill_that_was_named(tape):
    """The client hears of an order it never sent; the exchange holds nothing any more."""
    script = read_script(None, ["liquidate=trading,on=fill,nth=1"], SESSION)

    async def trade() -> tuple[list[str], dict[int, Any]]:
        async with LocalExchange(tape, faults=script, speed=0) as exchange:
            async with client_of(exchange.stream_url + "/v2/sip") as data:
                await data.ask(**ALL_STOCK)
                await exchange.wait_end()
            told: list[str] = []
            exchange.market.on_order_event(lambda event: told.append(f"{event['event']} {event['order']['side']}"))
            symbol = exchange.market.instruments[1].symbol
            body = {"symbol": symbol, "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
            exchange.account.submit(parse_order(body, exchange.market.by_symbol))
            exchange.account.run_due()
            await asyncio.sleep(0)
            return told, exchange.account.positions

    told, positions = asyncio.run(trade())

    assert told == ["new buy", "fill buy", "new sell", "fill sell"]
    assert positions == {}


def test_an_order_is_accepted_although_its_answer_is_lost(tape):
    """504 comes back, the order is there; a request that is refused before is not carried out."""
    script = read_script(None, ["lose_answer=rest", "refuse=rest,code=429,path=/v2/clock"], SESSION)
    rules = ServingRules(wait_for=0)

    async def ask() -> tuple[list[int], list[str]]:
        async with LocalExchange(tape, faults=script, speed=0, serving=rules) as exchange:
            await exchange.wait_end()
            headers = {"APCA-API-KEY-ID": own_pair()["key"], "APCA-API-SECRET-KEY": own_pair()["secret"]}
            async with httpx.AsyncClient(base_url=exchange.rest_url, headers=headers, trust_env=False) as client:
                order = {"symbol": exchange.market.instruments[1].symbol, "qty": "1", "side": "buy", "type": "limit"}
                order |= {"time_in_force": "day", "limit_price": "0.01", "client_order_id": "lost-1"}
                answers = [await client.post("/v2/orders", json=order)]
                answers += [await client.get("/v2/clock") for _ in range(2)]
                found = await client.get("/v2/orders:by_client_order_id", params={"client_order_id": "lost-1"})
                events = [event["event"] for event in exchange.log.events if event["event"] in REST_EVENTS]
                return [answer.status_code for answer in (*answers, found)], events

    assert asyncio.run(ask()) == ([504, 429, 200, 200], ["answer_lost", "request_refused"])


def test_a_stepped_clock_shows_in_event_times_and_in_the_log(tape):
    """From the row the log names on, every `t` is ahead by what it says; nothing is lost."""
    script = read_script(None, ["clock_step=stock,after_messages=100,delay_ms=2000"], SESSION)

    async def listen() -> tuple[list[Any], dict[str, Any]]:
        async with LocalExchange(tape, speed=0, faults=script) as exchange:
            connections: list[list[Any]] = []
            await hear_until_end(exchange, connections)
            (step,) = [event for event in exchange.log.events if event["event"] == "clock_shift"]
            return connections[0], step

    heard, step = asyncio.run(listen())

    rows = rows_of(tape, STOCK_KINDS)
    ahead_ns = [got["t"] - due["t"] for got, due in zip(heard, expected(tape, STOCK_KINDS), strict=True)]
    assert step["from_row"] == rows[100]
    assert ahead_ns == [step["shift_ns"] * (row >= step["from_row"]) for row in rows]
