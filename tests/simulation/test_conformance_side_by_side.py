"""The unmodified SDK and our own adapters on one served stream: both receive the same messages."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from test_feed_against_exchange import received

from scalpcli.adapters.aggregator_codes import PastQuote, PastTrade
from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.alpaca_stream import Stream
from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.adapters.alpaca_updates import TradeUpdate, UpdatesEndpoint
from scalpcli.exchange.local_thread import exchange_thread
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.params import AlpacaParams
from scalpcli.model.row import OPTION_QUOTE, OPTION_TRADE, STATUS, STOCK_QUOTE, STOCK_TRADE
from scalpcli.runtime.tape import Tape
from tests.exchange_samples import OPTION_KINDS, STOCK_KINDS, make_tape, own_pair, rows_of

WAIT_S = 20.0
Message = tuple[Any, ...]


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 2000)


def pair() -> tuple[str, str]:
    made = own_pair()
    return made["key"], made["secret"]


@contextmanager
def in_thread(run: Callable[[], Any]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield thread


def wait_until(is_true: Callable[[], bool]) -> None:
    end_s = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < end_s, "nothing came in time"
        time.sleep(0.01)


def collector(found: list[Any]) -> Callable[[Any], Any]:
    async def take(message: Any) -> None:
        found.append(message)

    return take


def of_sdk(message: dict[str, Any]) -> Message:
    """What a message says, in the order of `of_row`."""
    kind, symbol, time_ns = message["T"], message["S"], message["t"].to_unix_nano()
    if kind == "s":
        return (kind, symbol, time_ns, message["rc"] or message["sc"])
    text = "".join(message["c"])
    if kind == "q":
        sides = [(message[f"{side}x"], message[f"{side}p"], message[f"{side}s"]) for side in "ba"]
        return (kind, symbol, time_ns, text, *sides)
    return (kind, symbol, time_ns, text, message["x"], message["p"], message["s"], message.get("i", 0))


def of_row(row: tuple[Any, ...], names: list[str]) -> Message:
    """The same of a row of ours, as `received` gives it."""
    (time_ns, kind, number, price_e4, ask_e4, size, ask_size, _, text, exchange, ask_exchange, trade_id) = row
    common = (names[number], time_ns, text)
    bid_or_price = (exchange, price_e4 / 10_000, size)
    if kind == STATUS:
        return ("s", *common)
    if kind in (STOCK_QUOTE, OPTION_QUOTE):
        return ("q", *common, bid_or_price, (ask_exchange, ask_e4 / 10_000, ask_size))
    assert kind in (STOCK_TRADE, OPTION_TRADE), row
    return ("t", *common, *bid_or_price, trade_id)


def test_the_sdks_data_streams_and_our_feed_receive_the_same(tape):
    """One exchange serves StockDataStream, OptionDataStream and our feed at once; each on a path of its own."""
    from alpaca.data.live import OptionDataStream, StockDataStream

    opened = Tape.open(tape)
    contracts = [item.symbol for item in opened.instruments if item.is_option]
    stock_rows, option_rows = len(rows_of(tape, STOCK_KINDS)), len(rows_of(tape, OPTION_KINDS))
    theirs: dict[str, list[Any]] = {"stock": [], "option": []}
    with exchange_thread(tape, speed=0, serving=ServingRules(wait_for=4)) as exchange:
        url = exchange.exchange.stream_url
        stock = StockDataStream(*pair(), raw_data=True, url_override=f"{url}/v2/iex")
        for subscribe in (stock.subscribe_trades, stock.subscribe_quotes, stock.subscribe_trading_statuses):
            subscribe(collector(theirs["stock"]), "TSLA")
        option = OptionDataStream(*pair(), raw_data=True, url_override=f"{url}/v1beta1/indicative")
        for subscribe in (option.subscribe_trades, option.subscribe_quotes):
            subscribe(collector(theirs["option"]), *contracts)
        with in_thread(stock.run), in_thread(option.run):
            rows, _ = asyncio.run(received(url, opened, stock_rows + option_rows))
            wait_until(lambda: (len(theirs["stock"]), len(theirs["option"])) == (stock_rows, option_rows))
            stock.stop()
            option.stop()

    ours = [of_row(row, [item.symbol for item in opened.instruments]) for row in rows]
    assert [message for message in ours if message[1] == "TSLA"] == [of_sdk(message) for message in theirs["stock"]]
    assert [message for message in ours if message[1] != "TSLA"] == [of_sdk(message) for message in theirs["option"]]


def test_the_sdks_trading_stream_and_ours_hear_the_same_of_an_order(tape):
    """New, filled: the same events, ids, quantities and prices, of an order that the SDK's client sent."""
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import MarketOrderRequest
    from alpaca.trading.stream import TradingStream

    theirs: list[Any] = []
    ours: list[TradeUpdate] = []
    is_ready = threading.Event()
    with exchange_thread(tape, speed=1500.0, serving=ServingRules(wait_for=0)) as exchange:
        served = exchange.exchange
        updates = UpdatesEndpoint(
            f"{served.stream_url}/stream", pair(), on_update=ours.append, on_ready=is_ready.set, on_down=lambda _: None
        )
        stream = TradingStream(*pair(), url_override=f"{served.stream_url}/stream")
        stream.subscribe_trade_updates(collector(theirs))
        loop = asyncio.new_event_loop()
        task = loop.create_task(Stream(updates, AlpacaParams()).run())
        with in_thread(stream.run), in_thread(lambda: loop.run_until_complete(asyncio.wait([task]))) as own:
            wait_until(is_ready.is_set)
            wait_until(lambda: sum(event["event"] == "listening" for event in served.log.events) == 2)
            wait_until(lambda: served.market.quote(1).ask_e4 > 0)
            TradingClient(*pair(), url_override=served.rest_url).submit_order(
                MarketOrderRequest(
                    symbol=served.market.instruments[1].symbol, qty=1, side=OrderSide.BUY,
                    time_in_force=TimeInForce.DAY, client_order_id="side-by-side",
                )
            )  # fmt: skip
            wait_until(lambda: [found[-1].event if found else "" for found in (theirs, ours)] == ["fill", "fill"])
            stream.stop()
            loop.call_soon_threadsafe(task.cancel)
            own.join(WAIT_S)
        loop.close()

    assert [one.event for one in ours] == ["new", "fill"]
    assert [
        (
            one.event, one.order_id, one.client_order_id, one.symbol, one.status, one.order_quantity,
            one.filled_quantity, one.filled_price_e4, one.quantity, one.price_e4, one.position_quantity,
        )
        for one in ours
    ] == [
        (
            str(one.event.value if hasattr(one.event, "value") else one.event), str(one.order.id),
            one.order.client_order_id, one.order.symbol, one.order.status.value, int(one.order.qty),
            int(one.order.filled_qty), e4(one.order.filled_avg_price), int(one.qty or 0), e4(one.price),
            None if one.position_qty is None else int(one.position_qty),
        )
        for one in theirs
    ]  # fmt: skip


def e4(price: Any) -> int:
    """A price of the SDK's models, 1/10000 USD; 0 where there is none."""
    return round(float(price) * 10_000) if price else 0


def test_the_sdks_historical_clients_and_our_requests_read_the_same(tape):
    """Stock prints, stock quotes and option prints of the whole day, over pages, from the same exchange."""
    from alpaca.data.historical import OptionHistoricalDataClient, StockHistoricalDataClient
    from alpaca.data.requests import OptionTradesRequest, StockQuotesRequest, StockTradesRequest

    from scalpcli.adapters.alpaca_history import option_trades, stock_quotes, stock_trades

    opened = Tape.open(tape)
    contracts = [item.symbol for item in opened.instruments if item.is_option]
    begin_ns, end_ns = opened.session.open_ns - 600 * 10**9, opened.session.close_ns
    begin, end = (at_moment(stamp) for stamp in (begin_ns, end_ns))
    with exchange_thread(tape, speed=0, serving=ServingRules(wait_for=0)) as exchange:
        exchange.ended.wait(WAIT_S)
        url = exchange.exchange.rest_url
        stocks = StockHistoricalDataClient(*pair(), raw_data=True, url_override=url)
        options = OptionHistoricalDataClient(*pair(), raw_data=True, url_override=url)
        asked = {"start": begin, "end": end}
        theirs = [
            stocks.get_stock_trades(StockTradesRequest(symbol_or_symbols="TSLA", **asked)),
            stocks.get_stock_quotes(StockQuotesRequest(symbol_or_symbols="TSLA", **asked)),
            options.get_option_trades(OptionTradesRequest(symbol_or_symbols=contracts, **asked)),
        ]
        rest = AlpacaRest(AlpacaParams(trading_url=url, data_url=url), *pair())
        ours = [
            [row for page in stock_trades(rest, "TSLA", begin_ns, end_ns, "sip") for row in page],
            [row for page in stock_quotes(rest, "TSLA", begin_ns, end_ns, "sip") for row in page],
            [row for page in option_trades(rest, contracts, begin_ns, end_ns) for row in page],
        ]
        rest.close()

    for answer, rows in zip(theirs, ours, strict=True):
        told = [{"S": symbol, **item} for symbol, items in answer.items() for item in items]
        assert sorted(map(of_past, rows)) == sorted(map(of_told, told))
        assert rows


def of_past(row: PastTrade | PastQuote) -> Message:
    """A row of history as our requests read it."""
    if isinstance(row, PastTrade):
        return (row.symbol, row.event_ns, "".join(row.conditions), row.exchange, row.price, row.size, row.trade_id)
    sides = ((row.bid_exchange, row.bid, row.bid_size), (row.ask_exchange, row.ask, row.ask_size))
    return (row.symbol, row.event_ns, "".join(row.conditions), *sides)


def of_told(item: dict[str, Any]) -> Message:
    """The same of what the SDK got."""
    common = (item["S"], iso_to_ns(item["t"]), "".join(item["c"]))
    if "ap" in item:
        return (*common, *((item[f"{side}x"], item[f"{side}p"], item[f"{side}s"]) for side in "ba"))
    return (*common, item["x"], item["p"], item["s"], item.get("i", 0))


def at_moment(stamp_ns: int) -> Any:
    """A moment of the SDK's requests."""
    import datetime as dt

    return dt.datetime.fromtimestamp(stamp_ns / 1e9, dt.UTC)
