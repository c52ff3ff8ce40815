"""The unmodified alpaca-py clients against the exchange's REST side: they are the referee of the protocol."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pytest
import requests
from alpaca.common.exceptions import APIError
from alpaca.data.historical import NewsClient, OptionHistoricalDataClient, StockHistoricalDataClient
from alpaca.data.requests import (
    NewsRequest,
    OptionBarsRequest,
    OptionChainRequest,
    OptionLatestQuoteRequest,
    OptionLatestTradeRequest,
    OptionSnapshotRequest,
    OptionTradesRequest,
    StockBarsRequest,
    StockLatestBarRequest,
    StockLatestQuoteRequest,
    StockLatestTradeRequest,
    StockQuotesRequest,
    StockSnapshotRequest,
    StockTradesRequest,
)
from alpaca.data.timeframe import TimeFrame
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AccountStatus,
    OrderSide,
    OrderStatus,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
    TradeEvent,
)
from alpaca.trading.models import TradeUpdate
from alpaca.trading.requests import (
    ClosePositionRequest,
    GetCalendarRequest,
    GetOptionContractsRequest,
    GetOrdersRequest,
    LimitOrderRequest,
    MarketOrderRequest,
    ReplaceOrderRequest,
)
from exchange_rest_samples import EXAMPLE_TAPES, ServedExchange

from scalpcli.exchange.rest_answer import time_text
from scalpcli.model.row import OPTION_TRADE, STOCK_QUOTE, STOCK_TRADE
from scalpcli.units import NS_PER_S

KEYS = ("any", "pair")
DAY = dt.datetime(2026, 11, 20, tzinfo=dt.UTC)
SERVED_ROWS = 60_000


@pytest.fixture(scope="module")
def served() -> Iterator[ServedExchange]:
    """The example tape, half of it served; nobody trades on it."""
    exchange = ServedExchange(EXAMPLE_TAPES)
    exchange.at_exchange(exchange.serve, SERVED_ROWS)
    yield exchange
    exchange.close()


@pytest.fixture
def traded() -> Iterator[ServedExchange]:
    """The same, for one test's orders."""
    exchange = ServedExchange(EXAMPLE_TAPES)
    exchange.at_exchange(exchange.serve, SERVED_ROWS)
    yield exchange
    exchange.close()


@pytest.fixture
def trading(traded) -> Iterator[TradingClient]:
    """A trading client of `traded`."""
    client = TradingClient(*KEYS, url_override=traded.url)
    yield client
    client._session.close()


@pytest.fixture
def asking(served) -> Iterator[TradingClient]:
    """A trading client of `served`, which only asks."""
    client = TradingClient(*KEYS, url_override=served.url)
    yield client
    client._session.close()


@pytest.fixture
def stocks(served) -> Iterator[StockHistoricalDataClient]:
    """A stock client that answers in Alpaca's own words."""
    client = StockHistoricalDataClient(*KEYS, url_override=served.url, raw_data=True)
    yield client
    client._session.close()


@pytest.fixture
def options(served) -> Iterator[OptionHistoricalDataClient]:
    """An option client that answers in its models."""
    client = OptionHistoricalDataClient(*KEYS, url_override=served.url)
    yield client
    client._session.close()


def limit_order(exchange: ServedExchange, quantity: int, limit: float, **changes) -> LimitOrderRequest:
    """A buy of the second contract, to open."""
    fields = {
        "symbol": exchange.market.instruments[2].symbol,
        "qty": quantity,
        "side": OrderSide.BUY,
        "time_in_force": TimeInForce.DAY,
        "limit_price": limit,
        "position_intent": PositionIntent.BUY_TO_OPEN,
    }
    return LimitOrderRequest(**{**fields, **changes})


def ask_usd(exchange: ServedExchange) -> float:
    """Ask of the second contract."""
    return exchange.market.quote(2).ask_e4 / 10_000


# --- account, clock, calendar, contracts


def test_account_and_clock_are_understood(asking):
    """The SDK's models take them; the exchange's clock shows the session, not the machine's day."""
    account, clock = asking.get_account(), asking.get_clock()

    assert (account.status, account.equity, account.options_trading_level) == (AccountStatus.ACTIVE, "100000", 3)
    assert account.options_buying_power == "100000"
    assert clock.is_open
    assert clock.timestamp.date() == dt.date(2026, 11, 20)
    assert clock.next_close.isoformat() == "2026-11-20T16:00:00-05:00"
    assert clock.next_open.isoformat() == "2026-11-23T09:30:00-05:00"


def test_settings_and_curve_are_understood(asking):
    """Nothing may be sold short; the curve has the start and now."""
    history = asking.get_portfolio_history()

    assert asking.get_account_configurations().no_shorting
    assert (history.base_value, history.equity) == (100_000.0, [100_000.0, 100_000.0])


def test_the_calendar_knows_half_days_and_holidays(asking):
    """Thanksgiving is missing, the day after it closes at 13:00."""
    days = asking.get_calendar(GetCalendarRequest(start=dt.date(2026, 11, 25), end=dt.date(2026, 11, 30)))

    assert [(day.date.day, day.close.hour) for day in days] == [(25, 16), (27, 13), (30, 16)]


def test_contracts_come_in_pages(served, asking):
    """The SDK does not page by itself: the token leads through all of them."""
    found, token = [], None
    while True:
        page = asking.get_option_contracts(
            GetOptionContractsRequest(underlying_symbols=["TSLA"], limit=5, page_token=token)
        )
        found += page.option_contracts
        token = page.next_page_token
        if token is None:
            break

    tape = {instrument.symbol: instrument for instrument in served.market.instruments[1:]}
    assert [contract.symbol for contract in found] == sorted(tape)
    for contract in found:
        instrument = tape[contract.symbol]
        assert contract.strike_price * 10_000 == instrument.strike_e4
        assert contract.expiration_date == instrument.expiry
        assert int(contract.open_interest) == instrument.open_interest
    assert asking.get_option_contract(found[0].symbol).id == found[0].id
    assert asking.get_asset("TSLA").tradable


# --- data


@pytest.mark.parametrize(("kind", "name"), [(STOCK_TRADE, "trades"), (STOCK_QUOTE, "quotes")])
def test_stock_history_is_the_tape(served, stocks, kind, name):
    """Every row served, in order of exchange time, and nothing else; over several pages."""
    request = {"symbol_or_symbols": "TSLA", "start": DAY, "end": DAY + dt.timedelta(days=1)}
    if name == "trades":
        found = stocks.get_stock_trades(StockTradesRequest(**request))["TSLA"]
    else:
        found = stocks.get_stock_quotes(StockQuotesRequest(**request))["TSLA"]

    columns = {name: column[:SERVED_ROWS] for name, column in served.market.rows.items()}
    rows = np.flatnonzero(columns["kind"] == kind)
    rows = rows[np.argsort(columns["ts_event_ns"][rows], kind="stable")]
    assert [row["t"] for row in found] == [time_text(int(ns)) for ns in columns["ts_event_ns"][rows]]
    prices, sizes = ("p", "s") if name == "trades" else ("bp", "bs")
    assert [round(row[prices] * 10_000) for row in found] == columns["price_e4"][rows].tolist()
    assert [row[sizes] for row in found] == columns["size"][rows].tolist()
    texts = served.market.conditions
    assert ["".join(row["c"]) for row in found] == [texts[code] for code in columns["conditions"][rows]]
    if name == "trades":
        assert [row["i"] for row in found] == columns["trade_id"][rows].tolist()
    else:
        assert [round(row["ap"] * 10_000) for row in found] == columns["ask_e4"][rows].tolist()


def test_option_prints_are_the_tapes(served, options):
    """All contracts at once, as the SDK pages them."""
    symbols = [instrument.symbol for instrument in served.market.instruments[1:]]

    found = options.get_option_trades(OptionTradesRequest(symbol_or_symbols=symbols, start=DAY, limit=None)).data

    columns = {name: column[:SERVED_ROWS] for name, column in served.market.rows.items()}
    for instrument in served.market.instruments[1:]:
        rows = np.flatnonzero(
            (columns["kind"] == OPTION_TRADE) & (columns["instrument_id"] == instrument.instrument_id)
        )
        rows = rows[np.argsort(columns["ts_event_ns"][rows], kind="stable")]
        prints = found[instrument.symbol]
        assert [round(row.price * 10_000) for row in prints] == columns["price_e4"][rows].tolist()
        assert [row.conditions for row in prints] == [
            served.market.conditions[code] for code in columns["conditions"][rows]
        ]


def test_the_chain_is_as_it_stands(served, options):
    """Every contract with its last quote and print; greeks are absent, as the tape has none."""
    chain = options.get_option_chain(OptionChainRequest(underlying_symbol="TSLA"))
    symbol = served.market.instruments[1].symbol

    assert sorted(chain) == sorted(instrument.symbol for instrument in served.market.instruments[1:])
    quote = served.market.quote(1)
    assert chain[symbol].latest_quote.bid_price == quote.bid_e4 / 10_000
    assert chain[symbol].latest_quote.ask_size == quote.ask_size
    assert chain[symbol].greeks is None
    assert options.get_option_snapshot(OptionSnapshotRequest(symbol_or_symbols=symbol))[symbol] == chain[symbol]
    latest = options.get_option_latest_quote(OptionLatestQuoteRequest(symbol_or_symbols=[symbol]))
    assert latest[symbol] == chain[symbol].latest_quote
    latest = options.get_option_latest_trade(OptionLatestTradeRequest(symbol_or_symbols=[symbol]))
    assert latest[symbol] == chain[symbol].latest_trade
    calls = options.get_option_chain(OptionChainRequest(underlying_symbol="TSLA", type="call", strike_price_gte=400))
    assert all("C004" in contract for contract in calls)
    assert "W" in options.get_option_exchange_codes()


def test_the_stock_as_it_stands_and_its_bars(served):
    """Latest values, snapshot, minute bars, and the day before from the tape's head rows; in the SDK's models."""
    client = StockHistoricalDataClient(*KEYS, url_override=served.url)
    quote = client.get_stock_latest_quote(StockLatestQuoteRequest(symbol_or_symbols="TSLA"))["TSLA"]
    trade = client.get_stock_latest_trade(StockLatestTradeRequest(symbol_or_symbols="TSLA"))["TSLA"]
    bar = client.get_stock_latest_bar(StockLatestBarRequest(symbol_or_symbols="TSLA"))["TSLA"]
    snapshot = client.get_stock_snapshot(StockSnapshotRequest(symbol_or_symbols="TSLA"))["TSLA"]
    days = client.get_stock_bars(
        StockBarsRequest(symbol_or_symbols="TSLA", start=DAY - dt.timedelta(days=3), timeframe=TimeFrame.Day)
    )["TSLA"]
    minutes = client.get_stock_bars(StockBarsRequest(symbol_or_symbols="TSLA", start=DAY, timeframe=TimeFrame.Minute))
    client._session.close()

    assert quote.bid_price == served.market.quote(0).bid_e4 / 10_000
    assert (snapshot.latest_quote, snapshot.latest_trade, snapshot.minute_bar) == (quote, trade, bar)
    assert (days[0].high, days[0].low, days[0].close) == (403.0, 394.85, 399.11)
    assert snapshot.previous_daily_bar == days[0]
    assert minutes["TSLA"][-1] == bar
    assert max(minute.high for minute in minutes["TSLA"]) == days[1].high


def test_option_bars_and_news(served, options):
    """Bars of a contract are made of its prints; there are no news on a tape."""
    symbol = served.market.instruments[1].symbol

    bars = options.get_option_bars(
        OptionBarsRequest(symbol_or_symbols=symbol, start=DAY, timeframe=TimeFrame.Hour)
    ).data[symbol]
    news = NewsClient(*KEYS, url_override=served.url)
    found = news.get_news(NewsRequest(symbols="TSLA"))
    news._session.close()

    assert bars[0].timestamp == dt.datetime(2026, 11, 20, 14, tzinfo=dt.UTC)
    assert found.data == {"news": []}


# --- orders


def test_an_order_fills_becomes_a_position_and_is_closed(traded, trading):
    """Accepted pending; filled at the ask; held; sold at the bid; the account and the activities agree."""
    ask = ask_usd(traded)
    bid = traded.market.quote(2).bid_e4 / 10_000
    taken = trading.submit_order(limit_order(traded, 2, ask, client_order_id="mine"))
    order = trading.get_order_by_client_id("mine")
    position = trading.get_open_position(taken.symbol)
    held = trading.get_account()
    closing = trading.close_position(taken.symbol)

    assert taken.status is OrderStatus.PENDING_NEW
    assert (order.id, order.status, float(order.filled_avg_price)) == (taken.id, OrderStatus.FILLED, ask)
    assert (position.qty, float(position.cost_basis)) == ("2", pytest.approx(200 * ask))
    assert float(held.cash) == pytest.approx(100_000 - 200 * ask)
    assert trading.get_order_by_id(closing.id).status is OrderStatus.FILLED
    assert trading.get_all_positions() == []
    assert float(trading.get_account().equity) == pytest.approx(100_000 - 200 * (ask - bid))
    activities = trading.get("/account/activities/FILL")
    assert [(entry["side"], entry["qty"]) for entry in activities] == [("sell", "2"), ("buy", "2")]
    assert traded.events == ["new", "fill", "new", "fill"]
    told = TradeUpdate(**traded.told[1])
    assert (told.event, told.qty, told.position_qty, told.order.id) == (TradeEvent.FILL, 2.0, 2.0, taken.id)


def test_a_resting_order_is_replaced_and_cancelled(traded, trading):
    """A replacement has a new id; a cancelled one cannot be cancelled again."""
    order = trading.submit_order(limit_order(traded, 1, 0.05))
    new = trading.replace_order_by_id(order.id, ReplaceOrderRequest(qty=2, limit_price=0.10))
    old = trading.get_order_by_id(order.id)
    trading.cancel_order_by_id(new.id)

    assert (old.status, old.replaced_by, new.replaces) == (OrderStatus.REPLACED, new.id, order.id)
    assert trading.get_order_by_id(new.id).status is OrderStatus.CANCELED
    with pytest.raises(APIError) as refused:
        trading.cancel_order_by_id(new.id)
    assert (refused.value.status_code, refused.value.code) == (422, 42210000)
    assert traded.events == ["new", "replaced", "new", "canceled"]


def test_all_is_cancelled_and_closed(traded, trading):
    """Both bulk calls answer 207 with one entry each."""
    trading.submit_order(limit_order(traded, 2, ask_usd(traded)))
    resting = trading.submit_order(limit_order(traded, 1, 0.05))

    assert [order.id for order in trading.get_orders()] == [resting.id]
    assert [(answer.id, answer.status) for answer in trading.cancel_orders()] == [(resting.id, 200)]
    assert trading.get_orders(GetOrdersRequest(status=QueryOrderStatus.OPEN)) == []
    closed = trading.close_all_positions(cancel_orders=True)
    assert [(answer.status, answer.body.side) for answer in closed] == [(200, OrderSide.SELL)]
    assert trading.get_all_positions() == []


def test_part_of_a_position_is_closed_and_the_rest_exercised(traded, trading):
    """One of two is sold; what is left may be exercised."""
    symbol = trading.submit_order(limit_order(traded, 2, ask_usd(traded))).symbol
    trading.close_position(symbol, ClosePositionRequest(qty="1"))

    trading.exercise_options_position(symbol)

    assert trading.get_open_position(symbol).qty == "1"
    assert traded.account.positions[2].is_exercised


def test_a_served_quote_fills_a_resting_order(traded, trading):
    """An order at the bid rests until the market comes to it."""
    market = traded.market
    bid = market.quote(2).bid_e4 / 10_000
    order = trading.submit_order(limit_order(traded, 1, bid))
    assert trading.get_order_by_id(order.id).status is OrderStatus.NEW

    for _ in range(200):
        traded.at_exchange(traded.serve, 50)
        if traded.events[-1] == "fill":
            break

    filled = trading.get_order_by_id(order.id)
    assert filled.status is OrderStatus.FILLED
    assert float(filled.filled_avg_price) <= bid
    assert filled.filled_at.timestamp() <= market.served_ns / NS_PER_S + 1


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"limit_price": 2.055}, 422, 42210000),
        ({"qty": 100_000}, 403, 40310000),
        ({"side": OrderSide.SELL, "position_intent": PositionIntent.SELL_TO_CLOSE}, 403, 40310000),
        ({"symbol": "TSLA261120C00990000"}, 422, 42210000),
        ({"client_order_id": "used"}, 422, 40010001),
    ],
)
def test_refusals_reach_the_client_with_their_code(traded, trading, changes, status, code):
    """The SDK reads status and code from the body."""
    trading.submit_order(limit_order(traded, 1, 0.05, client_order_id="used"))

    with pytest.raises(APIError) as refused:
        trading.submit_order(limit_order(traded, 1, 2.05, **changes))

    assert (refused.value.status_code, refused.value.code) == (status, code)


def test_a_market_order_has_no_limit(traded, trading):
    """It is taken in market hours and fills."""
    symbol = traded.market.instruments[2].symbol
    order = trading.submit_order(MarketOrderRequest(symbol=symbol, qty=1, side="buy", time_in_force="day"))

    assert trading.get_order_by_id(order.id).status is OrderStatus.FILLED


def test_missing_keys_are_unauthorized(served):
    """401, and a body without a code: asking the SDK for one raises, which a caller must survive."""
    response = requests.get(f"{served.url}/v2/account", timeout=5)

    assert (response.status_code, response.json()) == (401, {"message": "unauthorized."})
    assert response.headers["X-Request-ID"]
