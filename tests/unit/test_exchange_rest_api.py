"""What the REST side answers, as bytes: keys, limits, errors, pages."""

from __future__ import annotations

import asyncio
import json
import socket

import httpx
import pytest
from exchange_rest_samples import CALL, EXAMPLE_TAPES, Exchange, exchange_of, option_quote
from starlette.responses import PlainTextResponse
from tape_samples import OPEN, PUT, one, quote, small_tape, trade, write

from scalpcli.errors import DataError, UsageError
from scalpcli.exchange.app import rest_app
from scalpcli.exchange.http_server import LOOPBACK, check_loopback, serve_rest
from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.rest_answer import Refusal, money_text, time_ns, time_text
from scalpcli.exchange.rest_history import PAGE_ROWS_MAX
from scalpcli.model.row import CANCELLED, CORRECTED, OPTION_TRADE, STOCK_TRADE
from scalpcli.units import NS_PER_S

KEYS = {"APCA-API-KEY-ID": "any", "APCA-API-SECRET-KEY": "pair"}


def ask(exchange: Exchange, method: str, path: str, *, headers=None, body=None, **app) -> httpx.Response:
    """One request, answered by the app itself."""

    async def answer() -> httpx.Response:
        transport = httpx.ASGITransport(rest_app(exchange.market, exchange.account, **app))
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange") as client:
            response = await client.request(method, path, headers=KEYS if headers is None else headers, json=body)
            await asyncio.sleep(0)
            return response

    return asyncio.run(answer())


@pytest.fixture
def exchange(tmp_path) -> Exchange:
    """A small session of which half was served."""
    made = Exchange(small_tape(tmp_path))
    made.serve(1500)
    return made


@pytest.fixture(scope="module")
def example() -> Exchange:
    """The example tape, served whole; nobody trades on it."""
    made = Exchange(EXAMPLE_TAPES)
    made.serve_all()
    return made


# --- who may ask, how often


@pytest.mark.parametrize("headers", [{}, {"APCA-API-KEY-ID": "any"}, {**KEYS, "APCA-API-SECRET-KEY": ""}])
def test_without_a_pair_of_keys_nothing_is_told(exchange, headers):
    """The body has no code, as Alpaca's."""
    response = ask(exchange, "GET", "/v2/account", headers=headers)

    assert (response.status_code, response.json()) == (401, {"message": "unauthorized."})


def test_named_keys_are_the_only_ones(exchange):
    """Where the exchange was given a pair, no other is let in."""
    pair = ("right", "one")

    wrong = ask(exchange, "GET", "/v2/clock", keys=pair)
    right = ask(
        exchange, "GET", "/v2/clock", keys=pair, headers={"APCA-API-KEY-ID": "right", "APCA-API-SECRET-KEY": "one"}
    )

    assert (wrong.status_code, right.status_code) == (401, 200)


def test_answers_count_down_the_limit(exchange):
    """Every answer tells the limit, what is left and when it starts anew, and carries an id of its own."""
    response = ask(exchange, "GET", "/v2/clock")

    assert response.headers["x-ratelimit-limit"] == "200"
    assert response.headers["x-ratelimit-remaining"] == "199"
    assert int(response.headers["x-ratelimit-reset"]) == OPEN // NS_PER_S + 60
    assert len(response.headers["x-request-id"]) == 32


def test_too_many_requests_are_refused_until_the_next_minute(exchange):
    """The 201st of a minute; a minute later the first one is let in again."""

    async def answers() -> list[int]:
        transport = httpx.ASGITransport(rest_app(exchange.market, exchange.account))
        async with httpx.AsyncClient(transport=transport, base_url="http://exchange", headers=KEYS) as client:
            codes = [(await client.get("/v2/clock")).status_code for _ in range(201)]
            exchange.clock_s = 60.0
            return [codes[0], codes[199], codes[200], (await client.get("/v2/clock")).status_code]

    assert asyncio.run(answers()) == [200, 200, 429, 200]


def test_an_unknown_path_is_told_in_json(exchange):
    """Not a page."""
    response = ask(exchange, "GET", "/v2/nothing")

    assert (response.status_code, response.json()) == (404, {"message": "endpoint not found."})


def test_the_rehearsal_needs_no_keys(exchange):
    """A client learns the clock before it has any."""
    response = ask(exchange, "GET", "/rehearsal", headers={}, stream_url="ws://127.0.0.1:18081")

    assert response.json() == {
        "now_ns": OPEN,
        "speed": 1.0,
        "session": "2026-11-20",
        "symbol": "TSLA",
        "stream_url": "ws://127.0.0.1:18081",
    }


# --- faults


class Spoil:
    """Answers in place of the exchange, before or after."""

    def __init__(self, *, before: bool) -> None:
        self._is_before = before

    async def before(self, _request):
        return PlainTextResponse("busy", status_code=503) if self._is_before else None

    async def after(self, _request, response):
        return response if self._is_before else PlainTextResponse("too late", status_code=504)


@pytest.mark.parametrize(("before", "orders", "code"), [(True, 0, 503), (False, 1, 504)])
def test_a_fault_refuses_before_or_loses_the_answer_after(exchange, before, orders, code):
    """A 504 after the order was taken: the order lives."""
    body = {"symbol": CALL, "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "1"}

    response = ask(exchange, "POST", "/v2/orders", body=body, faults=Spoil(before=before))

    assert response.status_code == code
    assert len(exchange.account.orders) == orders


# --- orders over HTTP


def test_an_order_is_pending_in_its_answer_and_works_right_after(exchange):
    """The answer shows what was taken; the market acts after it."""
    body = {
        "symbol": CALL, "qty": "1", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "1.10",
        "client_order_id": "mine",
    }  # fmt: skip

    response = ask(exchange, "POST", "/v2/orders", body=body)

    assert response.status_code == 200
    assert response.json()["status"] == "pending_new"
    assert response.json()["limit_price"] == "1.1"
    assert exchange.events == ["new"]
    found = ask(exchange, "GET", "/v2/orders:by_client_order_id?client_order_id=mine").json()
    assert (found["id"], found["status"]) == (response.json()["id"], "new")


def test_a_body_that_is_no_json_is_a_bad_request(exchange):
    """Not a server error."""
    response = ask(exchange, "POST", "/v2/orders", body=[1])

    assert (response.status_code, response.json()["code"]) == (400, 40010000)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/orders/none"),
        ("DELETE", "/v2/orders/none"),
        ("GET", "/v2/orders:by_client_order_id?client_order_id=none"),
        ("GET", f"/v2/positions/{CALL}"),
        ("DELETE", f"/v2/positions/{CALL}"),
        ("GET", "/v2/options/contracts/TSLA261120C00990000"),
        ("GET", "/v2/assets/NONE"),
    ],
)
def test_what_is_not_there_is_404_with_its_code(exchange, method, path):
    """Nothing there."""
    response = ask(exchange, method, path)

    assert (response.status_code, response.json()["code"]) == (404, 40410000)


def test_lists_of_orders_are_filtered(exchange):
    """Open ones by default, newest first; closed or all on request."""
    first = exchange.order(limit_price="1.00", client_order_id="a")
    exchange.order(limit_price="1.05", client_order_id="b")
    exchange.account.cancel(first)

    def ids(query: str) -> list[str]:
        return [order["client_order_id"] for order in ask(exchange, "GET", f"/v2/orders?{query}").json()]

    assert ids("") == ["b"]
    assert ids("status=closed") == ["a"]
    assert ids("status=all&direction=asc") == ["a", "b"]
    assert ids(f"status=all&symbols={PUT}") == []
    assert ids("status=all&limit=1") == ["b"]
    assert ids("status=all&side=sell") == []


def test_all_orders_are_cancelled_at_once(exchange):
    """A multi-status answer with one entry an order."""
    order = exchange.order(limit_price="1.00")

    response = ask(exchange, "DELETE", "/v2/orders")

    assert (response.status_code, response.json()) == (207, [{"id": order.order_id, "status": 200}])
    assert order.status == "canceled"


@pytest.mark.parametrize(
    ("query", "sold", "status"),
    [("", 4, 200), ("?qty=1", 1, 200), ("?percentage=50", 2, 200), ("?qty=9", 0, 403), ("?percentage=0", 0, 422)],
)
def test_a_position_is_closed_in_whole_or_in_part(tmp_path, query, sold, status):
    """Four held; contracts are sold whole, at the market."""
    exchange = exchange_of(tmp_path, [option_quote(1, 20_000, 20_500)])
    exchange.serve_all()
    exchange.order(qty="4")

    response = ask(exchange, "DELETE", f"/v2/positions/{CALL}{query}")

    assert response.status_code == status
    position = exchange.account.positions.get(1)
    assert 4 - (position.quantity if position else 0) == sold


def test_exercise_needs_a_position(exchange):
    """Without one 403; an unknown contract is 422."""
    assert ask(exchange, "POST", f"/v2/positions/{CALL}/exercise").status_code == 403
    assert ask(exchange, "POST", "/v2/positions/NONE/do-not-exercise").status_code == 422


def test_activities_are_filtered_and_paged(tmp_path):
    """Newest first; a page continues after the entry its token names."""
    exchange = exchange_of(tmp_path, [option_quote(1, 20_000, 20_500)])
    exchange.serve_all()
    for number in range(3):
        exchange.order(qty=str(number + 1), client_order_id=str(number))

    def quantities(query: str) -> list[str]:
        return [entry["qty"] for entry in ask(exchange, "GET", f"/v2/account/activities{query}").json()]

    first = ask(exchange, "GET", "/v2/account/activities?page_size=1").json()[0]
    assert quantities("") == ["3", "2", "1"]
    assert quantities("?direction=asc") == ["1", "2", "3"]
    assert quantities(f"?page_size=1&page_token={first['id']}") == ["2"]
    assert quantities("/FILL?date=2026-11-20") == ["3", "2", "1"]
    assert quantities("?activity_types=OPEXP,OPASN") == []
    assert quantities("?after=2026-11-21") == []
    assert ask(exchange, "GET", "/v2/account/activities?page_token=none").status_code == 422


def test_the_clock_before_the_open_and_on_a_day_without_session(exchange):
    """Closed, with the next opening and closing."""
    exchange.market.set_clock(OPEN - NS_PER_S)
    before = ask(exchange, "GET", "/v2/clock").json()
    exchange.market.set_clock(OPEN + 24 * 3600 * NS_PER_S)
    saturday = ask(exchange, "GET", "/v2/clock").json()

    assert before == {
        "timestamp": "2026-11-20T09:29:59-05:00",
        "is_open": False,
        "next_open": "2026-11-20T09:30:00-05:00",
        "next_close": "2026-11-20T16:00:00-05:00",
    }
    assert (saturday["is_open"], saturday["next_open"]) == (False, "2026-11-23T09:30:00-05:00")
    assert saturday["next_close"] == "2026-11-23T16:00:00-05:00"


# --- contracts and chain


def symbols_of(exchange: Exchange, query: str) -> list[str]:
    body = ask(exchange, "GET", f"/v2/options/contracts?{query}").json()
    return [contract["symbol"] for contract in body["option_contracts"]]


def test_contracts_are_filtered_and_paged(example):
    """Pages follow one another without a contract lost or doubled."""
    wanted = sorted(instrument.symbol for instrument in example.market.instruments[1:])
    found, token = [], ""
    while True:
        query = f"limit=5{token and f'&page_token={token}'}"
        body = ask(example, "GET", f"/v2/options/contracts?{query}").json()
        found += [contract["symbol"] for contract in body["option_contracts"]]
        token = body["next_page_token"]
        if token is None:
            break

    assert found == wanted
    assert all("C00" in symbol for symbol in symbols_of(example, "type=call"))
    assert symbols_of(example, "strike_price_gte=400&strike_price_lte=400") == [CALL, PUT]
    assert symbols_of(example, "expiration_date_gte=2026-11-21") == []
    assert symbols_of(example, "status=inactive") == []
    assert symbols_of(example, "underlying_symbols=SPY") == []
    assert symbols_of(example, "root_symbol=TSLA1") == []


def test_greeks_come_from_the_tape_or_not_at_all(tmp_path):
    """A contract the notes name has greeks, once they were served; nothing is computed."""
    greeks = {
        "source": "made",
        "contracts": {CALL: {"delta": 0.5, "gamma": 0.01, "theta": -1.0, "vega": 0.1, "iv": 0.6}},
    }
    rows = [option_quote(1, 20_000, 20_500), one(8, 2), option_quote(3, 20_000, 20_500, instrument_id=2)]
    exchange = Exchange(write(tmp_path, rows, [("greeks", greeks)]))
    exchange.serve(1)
    before = ask(exchange, "GET", "/v1beta1/options/snapshots/TSLA").json()["snapshots"]
    exchange.serve(2)

    after = ask(exchange, "GET", "/v1beta1/options/snapshots/TSLA").json()["snapshots"]

    assert "greeks" not in before[CALL]
    assert before[PUT] == {}
    assert after[CALL]["greeks"] == {"delta": 0.5, "gamma": 0.01, "theta": -1.0, "vega": 0.1}
    assert after[CALL]["impliedVolatility"] == 0.6
    assert set(after[PUT]) == {"latestQuote"}


# --- history


def pages(exchange: Exchange, path: str) -> list[dict]:
    """Every page, following the token as a client must."""
    found, token = [], None
    while not found or token is not None:
        body = ask(exchange, "GET", path + (f"&page_token={token}" if token else "")).json()
        found.append(body)
        token = body["next_page_token"]
    return found


@pytest.mark.parametrize("limit", [1, 7, 10_000])
@pytest.mark.parametrize("sort", ["asc", "desc"])
def test_pages_of_any_length_hold_the_same_rows(tmp_path, limit, sort):
    """Three prints of one moment, one out of order: each is on one page, in order of exchange time."""
    times = (1, 2, 2, 2, 3, 2.5, 9, 8, 10)
    rows = [trade(second, trade_id=number + 1) for number, second in enumerate(sorted(times))]
    for row, second in zip(rows, times, strict=True):
        row["ts_event_ns"] = OPEN + round(second * NS_PER_S)
    exchange = exchange_of(tmp_path, rows)
    exchange.serve_all()
    path = f"/v2/stocks/trades?symbols=TSLA&start=2026-11-20&limit={limit}&sort={sort}"

    found = [row["i"] for page in pages(exchange, path) for row in page["trades"].get("TSLA", [])]

    order = sorted(range(9), key=lambda number: (times[number], number), reverse=sort == "desc")
    assert found == [number + 1 for number in order]


def test_a_page_may_be_shorter_than_asked(example):
    """10,000 asked, 5,000 given and a token: whoever stops there misses rows."""
    found = pages(example, "/v2/stocks/quotes?symbols=TSLA&start=2026-11-20&limit=10000")

    counts = [len(page["quotes"].get("TSLA", [])) for page in found]
    assert counts[0] == PAGE_ROWS_MAX
    assert sum(counts) == 23_997


def test_several_symbols_follow_one_another(example):
    """Sorted by symbol, then by time; a page may end inside of one."""
    symbols = [instrument.symbol for instrument in example.market.instruments[1:]]
    path = f"/v1beta1/options/trades?symbols={','.join(symbols)}&start=2026-11-20&limit=1000"

    found = [symbol for page in pages(example, path) for symbol, rows in page["trades"].items() for _ in rows]

    assert found == sorted(found)
    assert len(found) == 5999


def test_history_holds_nothing_that_was_not_served(exchange):
    """Half of the session was served: latest values and history end there."""
    body = ask(exchange, "GET", "/v2/stocks/TSLA/trades?start=2026-11-20&limit=10000").json()
    latest = ask(exchange, "GET", "/v2/stocks/TSLA/trades/latest").json()["trade"]

    assert len(body["trades"]) == sum(exchange.market.rows["kind"][:1500] == STOCK_TRADE)
    assert body["trades"][-1] == latest
    assert time_ns(latest["t"], "t") <= exchange.market.served_ns


def test_cancelled_and_corrected_prints_say_so(tmp_path):
    """The print that was wrong is marked; what it should have been follows it."""
    rows = [
        trade(1, trade_id=1),
        trade(2, trade_id=2),
        trade(3, 4_000_000, trade_id=1, flags=CANCELLED),
        trade(4, 4_010_000, trade_id=2, flags=CORRECTED),
    ]
    exchange = exchange_of(tmp_path, rows)
    exchange.serve(2)
    before = ask(exchange, "GET", "/v2/stocks/TSLA/trades?start=2026-11-20").json()["trades"]
    exchange.serve(2)

    after = ask(exchange, "GET", "/v2/stocks/TSLA/trades?start=2026-11-20").json()["trades"]

    assert [row.get("u") for row in before] == [None, None]
    assert [(row["i"], row["p"], row.get("u")) for row in after] == [
        (1, 400.0, "canceled"),
        (2, 400.0, "incorrect"),
        (2, 401.0, "corrected"),
    ]


def test_minute_bars_count_what_conditions_allow(tmp_path):
    """An odd print moves neither range nor close; its volume counts where it may."""
    rows = [trade(1, 4_000_000, 100), trade(2, 4_100_000, 50, flags=8), trade(30, 4_020_000, 300), trade(61, 4_030_000)]
    exchange = exchange_of(tmp_path, rows)
    exchange.serve_all()

    bars = ask(exchange, "GET", "/v2/stocks/TSLA/bars?timeframe=1Min&start=2026-11-20").json()["bars"]

    assert bars[0] == {
        "t": "2026-11-20T14:30:00Z", "o": 400.0, "h": 402.0, "l": 400.0, "c": 402.0, "v": 450, "n": 3, "vw": 401.5,
    }  # fmt: skip
    assert [bar["t"] for bar in bars] == ["2026-11-20T14:30:00Z", "2026-11-20T14:31:00Z"]


def test_the_day_before_is_what_the_head_rows_tell(exchange):
    """High, low and close of the previous session; its open is not known, so the close stands in."""
    bars = ask(exchange, "GET", "/v2/stocks/TSLA/bars?timeframe=1Day&start=2026-11-18").json()["bars"]

    assert bars[0] == {
        "t": "2026-11-19T05:00:00Z", "o": 400.0, "h": 410.0, "l": 390.0, "c": 400.0, "v": 0, "n": 0, "vw": 400.0,
    }  # fmt: skip
    assert bars[1]["t"] == "2026-11-20T05:00:00Z"


def test_the_basic_plan_sees_no_recent_prints_of_all_exchanges(exchange):
    """The last 15 minutes of `sip` are refused when asked for, and left out when not; `iex` is served."""
    end = time_text(exchange.market.served_ns)
    path = "/v2/stocks/TSLA/trades?start=2026-11-20&limit=10000"

    refused = ask(exchange, "GET", f"{path}&end={end}", plan=BASIC)
    left_out = ask(exchange, "GET", path, plan=BASIC).json()["trades"]
    served = ask(exchange, "GET", f"{path}&end={end}&feed=iex", plan=BASIC).json()["trades"]

    assert refused.status_code == 403
    assert refused.json() == {"message": "subscription does not permit querying recent SIP data"}
    assert time_ns(left_out[-1]["t"], "t") <= exchange.market.served_ns - 900 * NS_PER_S
    assert len(served) > len(left_out)
    assert ask(exchange, "GET", "/v1beta1/options/snapshots/TSLA?feed=opra", plan=BASIC).status_code == 403


def test_the_basic_plan_sees_prints_of_contracts_late(exchange):
    """15 minutes, without being told."""
    path = f"/v1beta1/options/trades?symbols={CALL}&start=2026-11-20&limit=10000"

    basic = ask(exchange, "GET", path, plan=BASIC).json()["trades"][CALL]
    plus = ask(exchange, "GET", path).json()["trades"][CALL]

    assert 0 < len(basic) < len(plus)
    assert time_ns(basic[-1]["t"], "t") <= exchange.market.served_ns - 900 * NS_PER_S


@pytest.mark.parametrize(
    "path",
    [
        "/v2/stocks/trades",
        "/v2/stocks/TSLA/trades?start=yesterday",
        "/v2/stocks/TSLA/trades?limit=10001",
        "/v2/stocks/TSLA/trades?limit=x",
        "/v2/stocks/TSLA/trades?page_token=zzz",
        "/v2/stocks/TSLA/trades?feed=none",
        "/v2/stocks/TSLA/trades?sort=up",
        "/v2/stocks/TSLA/trades?start=2026-11-20&end=2026-11-19",
        "/v2/stocks/TSLA/bars?timeframe=1Week",
        "/v1beta1/options/snapshots?symbols=" + ",".join(f"S{number}" for number in range(101)),
        "/v1beta1/options/meta/conditions/none",
    ],
)
def test_what_cannot_be_meant_is_a_bad_request(exchange, path):
    """The data API's errors have a message and no code."""
    response = ask(exchange, "GET", path)

    assert response.status_code == 400
    assert set(response.json()) == {"message"}


def test_there_is_no_history_of_option_quotes(exchange):
    """As at Alpaca."""
    assert ask(exchange, "GET", f"/v1beta1/options/quotes?symbols={CALL}").status_code == 404


def test_there_are_no_news_on_a_tape(exchange):
    """An empty page, not an error."""
    assert ask(exchange, "GET", "/v1beta1/news?symbols=TSLA").json() == {"news": [], "next_page_token": None}


def test_every_column_of_a_print_crosses(tmp_path):
    """Stock and option prints and quotes carry what the tape has of them."""
    rows = [
        trade(1, 4_000_100, 7, conditions=2, exchange=1, trade_id=9),
        quote(2, 4_000_000, 0, exchange=1, ask_exchange=2, conditions=1),
        one(OPTION_TRADE, 3, instrument_id=1, price_e4=20_500, size=3, conditions=1, exchange=2),
        option_quote(4, 20_000, 20_500, exchange=2, ask_exchange=1),
    ]
    exchange = exchange_of(tmp_path, rows)
    exchange.serve_all()

    stock = ask(exchange, "GET", "/v2/stocks/TSLA/snapshot").json()
    option = ask(exchange, "GET", f"/v1beta1/options/snapshots?symbols={CALL}").json()["snapshots"][CALL]

    assert json.dumps(stock["latestTrade"], sort_keys=True) == json.dumps(
        {"c": ["@", "F"], "i": 9, "p": 400.01, "s": 7, "t": "2026-11-20T14:30:00.998Z", "x": "Q", "z": "C"}
    )
    assert stock["latestQuote"]["ap"] == 0
    assert (stock["latestQuote"]["bx"], stock["latestQuote"]["ax"], stock["latestQuote"]["bs"]) == ("Q", "N", 100)
    assert option["latestTrade"] == {"t": "2026-11-20T14:30:02.998Z", "x": "N", "p": 2.05, "s": 3, "c": "@"}
    assert (option["latestQuote"]["bx"], option["latestQuote"]["as"]) == ("N", 10)


# --- spelling, ports


@pytest.mark.parametrize("text", ["2026-11-20T14:30:00.123456789Z", "2026-11-20T14:30:00.5Z", "2026-11-20T14:30:00Z"])
def test_times_keep_every_nanosecond(text):
    """There and back."""
    assert time_text(time_ns(text, "start")) == text


def test_a_day_as_an_end_means_its_last_moment():
    """As a start it means the first one."""
    assert time_ns("2026-11-20", "end", is_end=True) - time_ns("2026-11-20", "start") == 86_400 * NS_PER_S - 1


def test_an_offset_survives_a_query_that_lost_its_plus():
    """`+01:00` unescaped arrives as a blank."""
    assert time_ns("2026-11-20T15:30:00 01:00", "start") == OPEN
    with pytest.raises(Refusal, match="invalid start"):
        time_ns("2026-13-20", "start")


@pytest.mark.parametrize(
    ("e4", "text"), [(31_000, "3.1"), (0, "0"), (-0.2, "0"), (-12_345, "-1.2345"), (1_000_000, "100")]
)
def test_money_is_text_without_superfluous_zeros(e4, text):
    """As the trading API writes it."""
    assert money_text(e4) == text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "example.org", "::"])  # noqa: S104
def test_it_listens_on_loopback_alone(host):
    """Nothing behind it is protected."""
    with pytest.raises(UsageError, match="listens on loopback only"):
        check_loopback(host)


def test_a_port_in_use_is_named(exchange):
    """With what to do about it."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(DataError, match=f"port {port} cannot be used"):
            asyncio.run(serve_rest(rest_app(exchange.market, exchange.account), LOOPBACK, port))
