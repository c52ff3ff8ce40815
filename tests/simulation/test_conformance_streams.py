"""The unmodified SDK's streams, and a client that speaks by hand, against the local exchange."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgpack
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from scalpcli.exchange.fault_script import FaultScript
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.serving import ServingRules
from tests.exchange_samples import (
    ALL_STOCK,
    OPTION_KINDS,
    PACKED,
    STOCK_KINDS,
    client_of,
    expected,
    make_tape,
    own_pair,
    rows_of,
)

WAIT_S = 20.0
ROWS = 3000


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), ROWS)


@contextmanager
def running(stream: Any) -> Iterator[None]:
    """One of the SDK's streams in a thread, as its own `run()` does it."""
    thread = threading.Thread(target=stream.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stream.stop()


def wait_until(is_true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < end_s, "nothing came in time"
        time.sleep(0.01)


def collector(found: list[Any]) -> Callable[[Any], Any]:
    async def take(message: Any) -> None:
        found.append(message)

    return take


def pair() -> tuple[str, str]:
    made = own_pair()
    return made["key"], made["secret"]


@pytest.mark.parametrize("deflate", [True, False], ids=["deflated", "plain"])
def test_the_sdks_stock_stream_gets_every_row_of_the_tape(tape, deflate):
    """StockDataStream, unmodified: trades, quotes and statuses, every field, in the tape's order, compressed or not."""
    from alpaca.data.live import StockDataStream

    found: list[Any] = []
    wanted = expected(tape, STOCK_KINDS)
    with exchange_thread(tape, speed=0, deflate=deflate) as exchange:
        stream = StockDataStream(*pair(), raw_data=True, url_override=exchange.exchange.stream_url + "/v2/sip")
        for subscribe in (stream.subscribe_trades, stream.subscribe_quotes, stream.subscribe_trading_statuses):
            subscribe(collector(found), "TSLA")
        with running(stream):
            wait_until(lambda: len(found) >= len(wanted))

    assert [{**message, "t": message["t"].to_unix_nano()} for message in found] == wanted


def test_the_sdks_stock_models_can_be_built_from_every_row(tape):
    """With raw_data off the SDK checks each message with its own models; none is refused and none is altered."""
    from alpaca.data.live import StockDataStream

    found: list[Any] = []
    wanted = expected(tape, STOCK_KINDS)
    with exchange_thread(tape, speed=0) as exchange:
        stream = StockDataStream(*pair(), url_override=exchange.exchange.stream_url + "/v2/sip")
        for subscribe in (stream.subscribe_trades, stream.subscribe_quotes, stream.subscribe_trading_statuses):
            subscribe(collector(found), "TSLA")
        with running(stream):
            wait_until(lambda: len(found) >= len(wanted))

    assert [moment_us(model.timestamp) for model in found] == [message["t"] // 1000 for message in wanted]
    assert [type(model).__name__ for model in found] == [
        {"t": "Trade", "q": "Quote", "s": "TradingStatus"}[message["T"]] for message in wanted
    ]
    trades = [(model.id, model.price, model.size, model.conditions) for model in found if hasattr(model, "price")]
    assert trades == [(item["i"], item["p"], item["s"], item["c"]) for item in wanted if item["T"] == "t"]


@pytest.mark.parametrize("raw_data", [True, False], ids=["raw", "models"])
def test_the_sdks_option_stream_gets_every_row_of_the_tape(tape, raw_data):
    """OptionDataStream, unmodified: trades of all contracts by a star, quotes by name, because a star is refused."""
    from alpaca.data.live import OptionDataStream

    found: list[Any] = []
    wanted = expected(tape, OPTION_KINDS)
    contracts = sorted({message["S"] for message in wanted})
    with exchange_thread(tape, speed=0) as exchange:
        url = exchange.exchange.stream_url + "/v1beta1/opra"
        stream = OptionDataStream(*pair(), raw_data=raw_data, url_override=url)
        stream.subscribe_trades(collector(found), "*")
        stream.subscribe_quotes(collector(found), *contracts)
        with running(stream):
            wait_until(lambda: len(found) >= len(wanted))

    if raw_data:
        assert [{**message, "t": message["t"].to_unix_nano()} for message in found] == wanted
    else:
        got = [(model.symbol, moment_us(model.timestamp), model.conditions) for model in found]
        assert got == [(message["S"], message["t"] // 1000, message["c"]) for message in wanted]


def test_the_sdks_trading_stream_hears_of_an_order_sent_by_the_sdks_client(tape):
    """TradingStream authenticates in its old envelope, listens, and reads `new` and what follows it as its models."""
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest
    from alpaca.trading.stream import TradingStream

    found: list[Any] = []
    with exchange_thread(tape, speed=0, serving=ServingRules(wait_for=0)) as exchange:
        exchange.ended.wait(WAIT_S)
        contract = exchange.exchange.market.instruments[1].symbol
        stream = TradingStream(*pair(), url_override=exchange.exchange.stream_url + "/stream")
        stream.subscribe_trade_updates(collector(found))
        with running(stream):
            wait_until(lambda: any(event["event"] == "listening" for event in exchange.exchange.log.events))
            client = TradingClient(*pair(), url_override=exchange.exchange.rest_url)
            order = client.submit_order(
                LimitOrderRequest(
                    symbol=contract, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=0.01,
                    client_order_id="conformance-1",
                )
            )  # fmt: skip
            wait_until(lambda: bool(found))

    assert found[0].event == "new"
    assert found[0].order.id == order.id
    assert found[0].order.client_order_id == "conformance-1"


def test_json_and_msgpack_carry_the_same_messages(tape):
    """The encoding is the client's choice and changes no value: nine decimals of a second come through as text too."""

    async def both() -> list[list[Any]]:
        found = []
        for packed in (False, True):
            async with (
                LocalExchange(tape, speed=0) as exchange,
                client_of(exchange.stream_url + "/v2/iex", packed=packed) as client,
            ):
                await client.ask(**ALL_STOCK)
                found.append(await client.hear_all(len(rows_of(tape, STOCK_KINDS))))
        return found

    as_json, as_msgpack = asyncio.run(both())

    assert as_json == as_msgpack == expected(tape, STOCK_KINDS)


@pytest.mark.parametrize("frame_messages", [1, 20])
def test_frames_hold_as_many_messages_as_was_said(tape, frame_messages):
    """One message a frame is what stresses a client most; larger ones are what Alpaca sends a slow one."""

    wanted = len(rows_of(tape, STOCK_KINDS))

    async def sizes() -> list[int]:
        async with (
            LocalExchange(tape, speed=0, frame_messages=frame_messages) as exchange,
            client_of(exchange.stream_url + "/v2/sip") as client,
        ):
            await client.ask(**ALL_STOCK)
            found: list[int] = []
            while sum(found) < wanted:
                found.append(len(await client.hear()))
            return found

    assert max(asyncio.run(sizes())) == frame_messages


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


def test_messages_go_out_at_their_time(tape):
    """At 600 times real time a tape of 100 minutes takes ten seconds; in the first second a tenth of it comes."""

    async def count(seconds: float) -> tuple[int, int, int]:
        async with LocalExchange(tape, speed=600.0) as exchange, client_of(exchange.stream_url + "/v2/sip") as client:
            await client.ask(**ALL_STOCK)
            await asyncio.sleep(seconds)
            market = exchange.market
            known = int((market.rows["ts_recv_ns"] <= market.now_ns()).sum())
            return market.known, known, exchange.log.totals["sent"]

    served, due, sent = asyncio.run(count(1.0))

    assert 0 < sent <= served < ROWS
    assert due * 0.9 - 50 <= served <= due + 50


def test_a_start_makes_the_rows_before_it_history(tape):
    """They are known to whoever asks and go out on no stream; an end leaves out what comes after."""
    from scalpcli.model.session import at_ns
    from scalpcli.runtime.tape import Tape

    session = Tape.open(tape).session
    rules = ServingRules(at_ns(session, "10:00"), at_ns(session, "10:30"))

    async def listen() -> tuple[list[int], list[int], int]:
        async with (
            LocalExchange(tape, speed=0, serving=rules) as exchange,
            client_of(exchange.stream_url + "/v2/sip") as client,
        ):
            await client.ask(**ALL_STOCK)
            await exchange.wait_end()
            times = exchange.market.rows["ts_recv_ns"]
            return sorted(exchange.log.all_sent()), rows_within(times), exchange.market.known

    def rows_within(times: Any) -> list[int]:
        return [row for row in rows_of(tape, STOCK_KINDS) if rules.start_ns <= times[row] <= rules.until_ns]

    sent, wanted, known = asyncio.run(listen())

    assert sent == wanted
    assert known > max(wanted)


def moment_us(moment: Any) -> int:
    """Microseconds of a model's time."""
    return round(moment.timestamp() * 1e6)


def test_a_closed_exchange_leaves_nothing_running(tape):
    """Open clients, a waiting pump and REST end with it; a client sees the connection go."""

    async def talk() -> int:
        exchange = LocalExchange(tape, faults=FaultScript())
        async with exchange:
            waiting = client_of(exchange.stream_url + "/v2/sip")
            client = await waiting.__aenter__()
        with pytest.raises(ConnectionClosed):
            await client.hear()
        await waiting.__aexit__(None, None, None)
        return len([task for task in asyncio.all_tasks() if task is not asyncio.current_task()])

    assert asyncio.run(talk()) == 0
