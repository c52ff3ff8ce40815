"""The unmodified SDK's streams, and a client that speaks by hand, against the local exchange."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from scalpcli.exchange.fault_script import FaultScript
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.serving import ServingRules
from tests.exchange_samples import (
    ALL_STOCK,
    OPTION_KINDS,
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


def test_the_sdks_trading_stream_hears_of_a_fill(tape):
    """An order above the ask meets the quotes that are served after it: `new`, then executions up to its quantity."""
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import LimitOrderRequest
    from alpaca.trading.stream import TradingStream

    found: list[Any] = []
    with exchange_thread(tape, speed=1500.0, serving=ServingRules(wait_for=0)) as exchange:
        market = exchange.exchange.market
        stream = TradingStream(*pair(), url_override=exchange.exchange.stream_url + "/stream")
        stream.subscribe_trade_updates(collector(found))
        with running(stream):
            wait_until(lambda: any(event["event"] == "listening" for event in exchange.exchange.log.events))
            wait_until(lambda: market.quote(1).ask_e4 > 0)
            limit = market.quote(1).ask_e4 / 10_000 + 20
            client = TradingClient(*pair(), url_override=exchange.exchange.rest_url)
            client.submit_order(
                LimitOrderRequest(
                    symbol=market.instruments[1].symbol, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY,
                    limit_price=round(limit),
                )
            )  # fmt: skip
            wait_until(lambda: any(update.event == "fill" for update in found))
            positions = client.get_all_positions()

    assert [update.event for update in found] == ["new", "fill"]
    assert (found[-1].qty, found[-1].position_qty) == (1.0, 1.0)
    assert [position.symbol for position in positions] == [market.instruments[1].symbol]


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
