"""Entering the local exchange's streams by hand: keys, plans, subscriptions, errors, both encodings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.serving import ServingRules
from tests.exchange_samples import PACKED, client_of, make_tape, own_pair


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 1000)


def answers(tape: Path, path: str, *asked: dict[str, Any], enter: bool = True, **settings: Any) -> list[Any]:
    """What a client hears after each of its messages, on an exchange that serves nothing meanwhile."""

    async def talk() -> list[Any]:
        rules = ServingRules(wait_for=99)
        headers = settings.pop("headers", {})
        packed = settings.pop("packed", True)
        async with (
            LocalExchange(tape, serving=rules, **settings) as exchange,
            client_of(exchange.stream_url + path, enter=enter, headers=headers, packed=packed) as client,
        ):
            heard = [] if enter else [await client.hear()]
            for message in asked:
                await client.say(**message)
                heard.append(await client.hear())
            return heard

    return asyncio.run(talk())


def codes(heard: list[Any]) -> list[int]:
    return [messages[0].get("code", 0) for messages in heard]


def test_subscriptions_add_up_and_every_answer_lists_the_full_set(tape):
    """What a client compares with its wish is the whole set; corrections and cancels follow trades unasked."""
    heard = answers(
        tape,
        "/v2/sip",
        {"action": "subscribe", "trades": ["TSLA"]},
        {"action": "subscribe", "quotes": ["TSLA", "SPY"], "lulds": ["*"]},
        {"action": "unsubscribe", "quotes": ["SPY"], "trades": ["TSLA"]},
    )

    nothing = {"T": "subscription", "trades": [], "quotes": [], "bars": [], "updatedBars": [], "dailyBars": [], "statuses": [], "lulds": [], "corrections": [], "cancelErrors": []}  # fmt: skip
    following = {"trades": ["TSLA"], "corrections": ["TSLA"], "cancelErrors": ["TSLA"]}
    assert heard == [
        [nothing | following],
        [nothing | following | {"quotes": ["SPY", "TSLA"], "lulds": ["*"]}],
        [nothing | {"quotes": ["TSLA"], "lulds": ["*"]}],
    ]


OPTION_PATH = "/v1beta1/opra"
CONTRACTS = [f"TSLA261120C{strike:08d}" for strike in range(1_001)]


@pytest.mark.parametrize(
    ("path", "message", "code"),
    [
        ("/v2/sip", {"action": "subscribe", "trades": "TSLA"}, 400),
        ("/v2/sip", {"action": "subscribe", "trades": ["not a symbol"]}, 400),
        ("/v2/sip", {"action": "dance"}, 400),
        ("/v2/sip", {"action": "auth", **own_pair()}, 403),
        (OPTION_PATH, {"action": "subscribe", "quotes": CONTRACTS}, 405),
        (OPTION_PATH, {"action": "subscribe", "statuses": ["TSLA"]}, 410),
        (OPTION_PATH, {"action": "subscribe", "quotes": ["*"]}, 413),
    ],
    ids=["no list", "no symbol", "no action", "twice in", "too many", "no channel", "star"],
)
def test_a_wrong_request_is_answered_with_its_code_and_changes_nothing(tape, path, message, code):
    """The connection goes on and the set stays as it was."""
    good = {"action": "subscribe", "trades": [CONTRACTS[0] if path == OPTION_PATH else "TSLA"]}

    before, error, after = answers(tape, path, good, message, good)

    assert codes([error]) == [code]
    assert error[0]["T"] == "error"
    assert before == after


@pytest.mark.parametrize(
    ("path", "settings", "codes_heard"),
    [
        ("/v2/sip", {"plan": BASIC}, [0, 409]),
        (OPTION_PATH, {"plan": BASIC}, [0, 409]),
        ("/v2/sip", {"keys": ("one", "two")}, [0, 402]),
        ("/v2/iex", {"plan": BASIC}, [0, 0]),
    ],
    ids=["sip on basic", "opra on basic", "wrong keys", "iex on basic"],
)
def test_who_may_not_enter_is_told_so_at_the_door(tape, path, settings, codes_heard):
    """Wrong keys and a plan without the feed are told apart; the free feeds need no plan."""
    heard = answers(tape, path, {"action": "auth", **own_pair()}, enter=False, **settings)

    assert codes(heard) == codes_heard


def test_a_basic_plan_has_thirty_stock_symbols(tape):
    """The thirty-first is refused with all that came in the same message."""
    symbols = [f"A{chr(65 + number)}" for number in range(26)] + ["BA", "BB", "BC", "BD"]
    heard = answers(
        tape,
        "/v2/iex",
        {"action": "subscribe", "trades": symbols},
        {"action": "subscribe", "quotes": ["ZZ"], "trades": ["AA"]},
        plan=BASIC,
    )

    assert codes(heard) == [0, 405]


def test_before_authentication_nothing_else_is_answered(tape):
    """401 for anything but keys, and 404 to whoever lets the time pass."""
    heard = answers(tape, "/v2/sip", {"action": "subscribe", "trades": ["TSLA"]}, enter=False)
    assert codes(heard) == [0, 401]

    async def wait() -> list[Any]:
        async with (
            LocalExchange(tape, auth_timeout_s=0.05) as exchange,
            client_of(exchange.stream_url + "/v2/sip", enter=False) as client,
        ):
            return [await client.hear(), await client.hear()]

    assert codes(asyncio.run(wait())) == [0, 404]


def test_the_option_stream_speaks_msgpack_only(tape):
    """A client that asks for JSON is told 412."""

    async def listen() -> list[Any]:
        async with (
            LocalExchange(tape) as exchange,
            client_of(exchange.stream_url + OPTION_PATH, packed=False, enter=False) as client,
        ):
            return [await client.hear(), await client.hear()]

    assert codes(asyncio.run(listen())) == [0, 412]


def test_keys_in_the_headers_replace_the_message(tape):
    """Who brings them to the upgrade is authenticated without a word."""
    headers = {"APCA-API-KEY-ID": own_pair()["key"], "APCA-API-SECRET-KEY": own_pair()["secret"]}

    async def listen() -> list[Any]:
        async with (
            LocalExchange(tape) as exchange,
            client_of(exchange.stream_url + "/v2/sip", enter=False, headers=headers) as client,
        ):
            return [await client.hear(), await client.hear()]

    assert [messages[0]["msg"] for messages in asyncio.run(listen())] == ["connected", "authenticated"]


def test_one_connection_per_endpoint(tape):
    """The second gets 406 and is closed; another endpoint is free; after the first has left its place is."""

    async def talk() -> list[Any]:
        heard = []
        async with LocalExchange(tape) as exchange:
            url = exchange.stream_url
            async with client_of(url + "/v2/sip"):
                async with client_of(url + "/v2/sip", enter=False) as second:
                    await second.hear()
                    heard.append(await second.ask(action="auth", **own_pair()))
                    with pytest.raises(ConnectionClosed):
                        await second.hear()
                async with client_of(url + "/v2/iex"):
                    pass
            async with client_of(url + "/v2/sip"):
                return heard

    assert [message["code"] for message in asyncio.run(talk())] == [406]


def test_a_request_in_fragments_is_one_request(tape):
    """The SDK sends its subscriptions as a fragmented message."""

    async def talk() -> Any:
        async with (
            LocalExchange(tape, serving=ServingRules(wait_for=9)) as exchange,
            client_of(exchange.stream_url + "/v2/sip") as client,
        ):
            whole = msgpack.packb({"action": "subscribe", "trades": ["TSLA"]})
            await client.socket.send([whole[:3], whole[3:10], whole[10:]])
            return await client.hear()

    assert asyncio.run(talk())[0]["trades"] == ["TSLA"]


def test_an_unknown_path_is_not_found(tape):
    """No WebSocket begins there."""

    async def knock() -> int:
        async with LocalExchange(tape) as exchange:
            with pytest.raises(InvalidStatus) as refused:
                async with client_of(exchange.stream_url + "/v2/otc"):
                    pass
            return refused.value.response.status_code

    assert asyncio.run(knock()) == 404


@pytest.mark.parametrize("packed", [False, True], ids=["json", "msgpack"])
@pytest.mark.parametrize(
    "auth",
    [
        {"action": "auth", "key": "one", "secret": "two"},
        {"action": "authenticate", "data": {"key_id": "one", "secret_key": "two"}},
    ],
    ids=["new envelope", "old envelope"],
)
def test_the_trading_stream_takes_both_envelopes_and_both_encodings(tape, auth, packed):
    """JSON comes in binary frames; the answer to `listen` is the set listened to."""

    async def talk() -> list[Any]:
        headers = PACKED if packed else {}
        async with (
            LocalExchange(tape, keys=("one", "two")) as exchange,
            client_of(exchange.stream_url + "/stream", packed=packed, enter=False, headers=headers) as client,
        ):
            await client.say(**auth)
            first = await client.socket.recv()
            assert isinstance(first, bytes)
            await client.say(action="listen", data={"streams": ["trade_updates"]})
            heard = [await client.hear()]
            exchange.market.emit_order_event({"event": "new", "order": {"id": "1"}})
            return [*heard, await client.hear()]

    assert asyncio.run(talk()) == [
        {"stream": "listening", "data": {"streams": ["trade_updates"]}},
        {"stream": "trade_updates", "data": {"event": "new", "order": {"id": "1"}}},
    ]


def test_wrong_keys_are_unauthorized_on_the_trading_stream(tape):
    """It says so and closes."""

    async def talk() -> Any:
        async with (
            LocalExchange(tape, keys=("one", "two")) as exchange,
            client_of(exchange.stream_url + "/stream", packed=False, enter=False) as client,
        ):
            await client.say(action="auth", **own_pair())
            answer = await client.hear()
            with pytest.raises(ConnectionClosed):
                await client.hear()
            return answer

    assert asyncio.run(talk())["data"]["status"] == "unauthorized"
