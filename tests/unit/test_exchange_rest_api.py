"""What the REST side answers, as bytes: keys, limits, errors, pages."""

from __future__ import annotations

import asyncio
import socket

import httpx
import pytest
from exchange_rest_samples import CALL, KEYS, PUT, Exchange, ask, exchange_of, option_quote
from starlette.responses import PlainTextResponse
from tape_samples import OPEN, small_tape

from scalpcli.errors import DataError, UsageError
from scalpcli.exchange.app import rest_app
from scalpcli.exchange.http_server import LOOPBACK, check_loopback, serve_rest
from scalpcli.exchange.rest_answer import Refusal, money_text, time_ns, time_text
from scalpcli.units import NS_PER_S


@pytest.fixture
def exchange(tmp_path) -> Exchange:
    """A small session of which half was served."""
    made = Exchange(small_tape(tmp_path))
    made.serve(1500)
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
