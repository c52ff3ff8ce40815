"""What the REST side tells of the market: contracts, chain, history, in pages; nothing that was not served."""

from __future__ import annotations

import json

import pytest
from exchange_rest_samples import CALL, EXAMPLE_TAPES, PUT, Exchange, ask, exchange_of, option_quote
from tape_samples import OPEN, one, quote, small_tape, trade, write

from scalpcli.exchange.plan import BASIC
from scalpcli.exchange.rest_answer import time_ns, time_text
from scalpcli.exchange.rest_history import PAGE_ROWS_MAX
from scalpcli.model.row import CANCELLED, CORRECTED, OPTION_TRADE, STOCK_TRADE
from scalpcli.units import NS_PER_S


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
