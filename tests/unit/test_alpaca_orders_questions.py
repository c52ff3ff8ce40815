"""Questions to Alpaca about orders, positions and the account: what counts as an answer, and who steps back."""

from __future__ import annotations

import json
import logging

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_broker import (
    ERROR,
    KEY,
    KEYS_REFUSED,
    LOST,
    NO_CONNECTION,
    PARAMS,
    RESET,
    SECRET,
    START_NS,
    TAKEN_PAGE,
    TOO_MANY,
    URL,
    ScriptedBroker,
    an_order,
    at_desk,
)
from virtual_time import run_virtual

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.adapters.alpaca_orders_http import Need, RateBudget
from scalpcli.adapters.alpaca_orders_wire import Unreadable, broker_order, broker_update, usd_text
from scalpcli.adapters.alpaca_updates import decode_update
from scalpcli.errors import ConfigError, CredentialsError
from scalpcli.model.broker import (
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    BrokerSilent,
    BrokerUpdate,
    Outcome,
)
from scalpcli.model.order import Leg
from scalpcli.units import NS_PER_S

SYMBOL = "TSLA261120C00400000"
ORDER = {
    "id": "b1", "client_order_id": "o1", "symbol": SYMBOL, "side": "buy", "type": "limit", "status": "partially_filled",
    "qty": "3", "filled_qty": 2, "filled_avg_price": "2.045", "limit_price": 2.05, "updated_at": "2026-11-20T14:31:00Z",
    "legs": None, "something_new": {"a": 1},
}  # fmt: skip
AS_READ = BrokerOrder(
    "o1", "b1", SYMBOL, "buy", "limit", "partially_filled", 3, 2, 40_900, 20_500, 1_795_185_060 * NS_PER_S
)
POSITION = {"symbol": SYMBOL, "qty": "2", "qty_available": "0", "avg_entry_price": "2.045", "side": "long"}
ACCOUNT = {
    "account_number": "PA12345678", "status": "ACTIVE", "cash": "99590.5", "equity": "100000.25",
    "options_buying_power": "99590.5", "buying_power": "200000", "options_trading_level": 3, "trading_blocked": False,
}  # fmt: skip


def fill(number: int, broker_id: str = "b1") -> dict[str, str]:
    """An activity of type FILL."""
    return {
        "id": f"20261120143100000::x{number}", "activity_type": "FILL", "transaction_time": "2026-11-20T14:31:00.5Z",
        "price": "2.05", "qty": "1", "side": "buy", "symbol": SYMBOL, "order_id": broker_id, "cum_qty": str(number),
    }  # fmt: skip


def told(path: str, body: object, act, status: int = 200):
    """What the desk makes of an answer."""
    broker = ScriptedBroker()
    broker.fixed[path] = (status, body if isinstance(body, bytes) else json.dumps(body).encode())
    return at_desk(broker, act)[0]


def silent(broker: ScriptedBroker, act) -> BrokerSilent:
    """The silence that a question meets."""
    with pytest.raises(BrokerSilent) as raised:
        at_desk(broker, act)
    return raised.value


def test_an_order_is_read_exactly():
    """Texts or numbers, more fields than we know: the mean price times contracts is rounded once."""
    assert told("/v2/orders:by_client_order_id", ORDER, lambda desk: desk.order("o1")) == AS_READ


def test_an_order_nobody_knows_is_none():
    """Alpaca says so by status and number."""
    broker = ScriptedBroker()

    assert at_desk(broker, lambda desk: desk.order("o9"))[0] is None


@pytest.mark.parametrize("body", [b"<html>", b'{"message": "endpoint not found."}', b"[]", b""])
def test_a_404_of_somebody_else_is_no_word_of_the_broker(body):
    """A wrong address or a gateway must not look like an account that holds nothing."""
    with pytest.raises(BrokerSilent):
        told(f"/v2/positions/{SYMBOL}", body, lambda desk: desk.position(SYMBOL), 404)


@pytest.mark.parametrize("fault", [NO_CONNECTION, LOST, ERROR, TAKEN_PAGE])
def test_no_answer_is_not_flat(fault):
    """Nothing is known, and nothing about a key is told."""
    error = silent(ScriptedBroker(questions=[fault]), lambda desk: desk.position(SYMBOL))

    assert not error.is_refused
    assert KEY not in f"{error!r} {error.__cause__!r}"


def test_a_connection_that_broke_is_asked_once_more():
    """The broker closes connections that were idle; a question does no harm."""
    broker = ScriptedBroker(questions=[RESET])

    assert at_desk(broker, lambda desk: desk.position("TSLA"))[0] == 0
    assert len(broker.asked) == 2


def test_refused_keys_are_told_as_such():
    """Asking again changes nothing."""
    error = silent(ScriptedBroker(questions=[KEYS_REFUSED]), lambda desk: desk.positions())

    assert error.is_refused
    assert error.reason == "HTTP 401: unauthorized. *** ***"


def test_a_limit_says_how_long_to_wait():
    """And the next question is not even sent."""
    broker = ScriptedBroker(questions=[TOO_MANY], reset_s=20.0)

    async def twice(desk):
        waits = []
        for _ in range(2):
            with pytest.raises(BrokerSilent) as raised:
                await desk.positions()
            waits.append(raised.value.wait_s)
        return waits

    waits, _ = at_desk(broker, twice)

    assert len(broker.asked) == 1
    assert all(19.0 <= wait_s <= 20.0 for wait_s in waits)


def test_positions_are_read():
    """Shorts count below zero, and a fraction of a share is not nothing."""
    bodies = [POSITION, {"symbol": "F", "qty": "0.5"}, {"symbol": "X", "qty": "-2", "side": "short"}]

    assert told("/v2/positions", bodies, lambda desk: desk.positions()) == [
        BrokerPosition(SYMBOL, 2, 0, 20_450),
        BrokerPosition("F", 1, 1, 0),
        BrokerPosition("X", -2, -2, 0),
    ]
    assert told(f"/v2/positions/{SYMBOL}", POSITION, lambda desk: desk.position(SYMBOL)) == 2


@pytest.mark.parametrize(
    "body",
    [{}, [{}], [[]], [{"symbol": SYMBOL}], [{"symbol": SYMBOL, "qty": "many"}], [{"symbol": SYMBOL, "qty": True}]],
)
def test_one_unreadable_position_makes_all_unknown(body):
    """What is left out might be the one that is held."""
    with pytest.raises(BrokerSilent, match="cannot be read"):
        told("/v2/positions", body, lambda desk: desk.positions())


def test_the_position_of_another_symbol_is_no_answer():
    """It was not asked for."""
    with pytest.raises(BrokerSilent, match="another position"):
        told("/v2/positions/TSLA", POSITION, lambda desk: desk.position("TSLA"))


def test_the_account_is_read():
    """Options are bought for options buying power where it is told."""
    assert told("/v2/account", ACCOUNT, lambda desk: desk.account()) == BrokerAccount(
        "PA12345678", "ACTIVE", False, 3, 995_905_000, 995_905_000, 1_000_002_500
    )
    blocked = {**ACCOUNT, "account_blocked": True, "options_buying_power": None}
    account = told("/v2/account", blocked, lambda desk: desk.account())
    assert (account.is_blocked, account.buying_power_e4) == (True, 2_000_000_000)


def test_open_orders_are_all_or_unknown():
    """A list that is as long as an answer can be may be cut."""
    assert told("/v2/orders", [ORDER], lambda desk: desk.open_orders()) == [AS_READ]
    with pytest.raises(BrokerSilent, match="500 open orders"):
        told("/v2/orders", [ORDER] * 500, lambda desk: desk.open_orders())


def test_fractions_of_somebody_elses_shares_blind_nobody():
    """The account may hold and trade what we never would: dollars' worth, several legs, no quantity."""
    fraction = {**ORDER, "qty": "0.5", "filled_qty": "0.25", "filled_avg_price": "100"}
    legs = {"id": "b2", "status": "new", "symbol": None, "side": None, "qty": None, "legs": [{}]}

    orders = told("/v2/orders", [fraction, legs], lambda desk: desk.open_orders())

    assert [(order.quantity, order.filled, order.filled_sum_e4) for order in orders] == [(1, 1, 250_000), (0, 0, 0)]


def test_fills_come_in_pages_and_with_our_id_of_their_order():
    """The activity names the broker's order only; orders are listed once, and each is remembered."""
    broker = ScriptedBroker()
    pages = [[fill(number) for number in range(1, 101)], [fill(101), fill(1, "b2")]]
    asked: list[httpx.URL] = []

    async def handle(request):
        asked.append(request.url)
        if request.url.path.endswith("/FILL"):
            return httpx.Response(200, json=pages["page_token" in request.url.params])
        if request.url.path == "/v2/orders":
            return httpx.Response(200, json=[ORDER])
        return httpx.Response(404, json={"code": 40410000, "message": "order not found for b2"})

    broker.handle = handle

    async def twice(desk):
        await desk.fills(START_NS)
        return await desk.fills(START_NS)

    fills, _ = at_desk(broker, twice)

    assert len(fills) == 102
    assert fills[100] == BrokerFill("x101", "o1", "b1", SYMBOL, "buy", 1, 20_500, 101, 1_795_185_060_500_000_000)
    assert fills[101].order_id == ""
    assert asked[0].params["after"] == "2026-11-23T15:00:00.000000000Z"
    assert asked[1].params.get("page_token") == "20261120143100000::x100"
    assert [url.path for url in asked] == [
        *["/v2/account/activities/FILL"] * 2,
        "/v2/orders",
        "/v2/orders/b2",
        *["/v2/account/activities/FILL"] * 2,
    ]


# --- the stream's updates


def test_an_update_says_what_the_trader_needs():
    """The execution by itself, and the order as it stands after it."""
    order = {**ORDER, "filled_avg_price": "2.043333333"}
    data = {
        "event": "partial_fill", "execution_id": "x2", "timestamp": "2026-11-20T14:31:00.5Z", "price": "2.04",
        "qty": "1", "position_qty": "2", "order": {**order, "filled_qty": "3"},
    }  # fmt: skip

    update = broker_update(decode_update(data))

    at_ns = 1_795_185_060_500_000_000
    assert update == BrokerUpdate(
        "partial_fill",
        BrokerOrder("o1", "b1", SYMBOL, "buy", "limit", "partially_filled", 3, 3, 61_300, 20_500, at_ns),
        BrokerFill("x2", "o1", "b1", SYMBOL, "buy", 1, 20_400, 3, at_ns),
        2,
    )


def test_an_execution_without_an_id_is_told_by_what_was_filled():
    """And an event that is none has no fill, whatever else it says."""
    data = {"event": "fill", "price": "2.04", "qty": "1", "order": ORDER}

    assert broker_update(decode_update(data)).fill.execution_id == "b1:2"
    assert broker_update(decode_update({**data, "event": "canceled"})).fill is None


# --- numbers and nonsense


@pytest.mark.parametrize(
    ("price_e4", "text"), [(100, "0.01"), (20_500, "2.05"), (31_000, "3.10"), (1_234_500, "123.45"), (20_551, "2.0551")]
)
def test_prices_are_written_exactly(price_e4, text):
    """Cents, and no more places than they need."""
    assert usd_text(price_e4) == text


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none() | st.text() | st.integers() | st.booleans() | st.lists(st.integers()) | st.just(ORDER[name])
            for name in ORDER
        },
    )
)
@settings(max_examples=100, deadline=None)
def test_an_order_is_read_or_refused(data):
    """Nothing else is raised, and nothing is made up."""
    try:
        order = broker_order(data)
    except Unreadable:
        return
    assert order.broker_id == str(data["id"])
    assert order.status == str(data["status"])


@given(st.binary(max_size=60) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(repr).map(str.encode))
@settings(max_examples=60, deadline=None)
def test_any_bytes_are_an_answer_or_silence(body):
    """A gateway's page, a cut answer, a number: none of them is a position."""
    try:
        found = told("/v2/positions", body, lambda desk: desk.positions())
    except BrokerSilent:
        return
    assert found == []


# --- the minute's requests


def test_questions_step_back_first_and_exits_never():
    """Shares of the minute are kept: for entries, for look-ups, the last of them for whoever must leave."""
    now = [START_NS]
    budget = RateBudget(lambda: now[0])
    reset = str(START_NS // NS_PER_S + 30)

    def free(left: int) -> list[Need]:
        budget.hear(200, {"x-ratelimit-limit": "100", "x-ratelimit-remaining": str(left), "x-ratelimit-reset": reset})
        return [need for need in Need if not budget.wait_s(need)]

    assert free(31) == [Need.LEAVE, Need.LOOK_UP, Need.ENTRY, Need.QUESTION]
    assert free(30) == [Need.LEAVE, Need.LOOK_UP, Need.ENTRY]
    assert free(20) == [Need.LEAVE, Need.LOOK_UP]
    assert free(10) == free(0) == [Need.LEAVE]
    assert budget.wait_s(Need.QUESTION) == 30.0
    now[0] += 30 * NS_PER_S
    assert not budget.wait_s(Need.QUESTION)


def test_answers_that_overtake_each_other_only_lower_the_rest():
    """An older answer, heard later, tells more requests than are left."""
    budget = RateBudget(lambda: START_NS)
    reset = str(START_NS // NS_PER_S + 30)
    for left in ("50", "80"):
        budget.hear(200, {"x-ratelimit-remaining": left, "x-ratelimit-reset": reset})

    assert budget.left == 50


def test_without_the_brokers_numbers_our_own_count():
    """200 a minute, until it says something else."""
    budget = RateBudget(lambda: START_NS)
    for _ in range(140):
        budget.count()

    assert [need for need in Need if not budget.wait_s(need)] == [Need.LEAVE, Need.LOOK_UP, Need.ENTRY]


def test_an_entry_is_not_sent_while_the_rest_is_kept_for_exits():
    """A sell goes at the same moment."""
    broker = ScriptedBroker(questions=[TOO_MANY], reset_s=20.0)

    async def act(desk):
        with pytest.raises(BrokerSilent):
            await desk.positions()
        return await desk.submit(an_order()), await desk.submit(an_order(Leg.EXIT))

    (entry, leaving), _ = at_desk(broker, act)

    assert (entry.outcome, entry.tries) == (Outcome.REJECTED, 0)
    assert leaving.outcome is Outcome.ACCEPTED


# --- keys and addresses


def test_keys_travel_in_headers_alone(caplog):
    """Nobody logs an order's address or a key."""
    broker = ScriptedBroker()
    heard: list[httpx.Request] = []
    answer = broker.handle

    async def handle(request):
        heard.append(request)
        return await answer(request)

    broker.handle = handle
    with caplog.at_level(logging.DEBUG):
        at_desk(broker, lambda desk: desk.submit(an_order()))

    assert heard[0].headers["APCA-API-KEY-ID"] == KEY
    assert heard[0].headers["APCA-API-SECRET-KEY"] == SECRET
    assert KEY not in str(heard[0].url)
    assert [record for record in caplog.records if record.name.startswith("http")] == []


def test_an_address_without_encryption_is_refused():
    """Keys would be read on the way."""
    with pytest.raises(ConfigError, match="keys would not travel encrypted"):
        AlpacaDesk("http://paper-api.alpaca.markets", KEY, SECRET, PARAMS, now_ns=lambda: START_NS)
    with pytest.raises(CredentialsError):
        AlpacaDesk(URL, KEY, f"{SECRET}\n", PARAMS, now_ns=lambda: START_NS)


def test_a_redirect_is_not_followed():
    """The keys would go wherever it says; an order that met one is in doubt, and looked up."""
    asked: list[str] = []

    async def handle(request):
        asked.append(request.url.host)
        return httpx.Response(307, headers={"Location": "http://elsewhere.example/v2/orders"})

    async def main():
        desk = AlpacaDesk(URL, KEY, SECRET, PARAMS, transport=httpx.MockTransport(handle), now_ns=lambda: START_NS)
        answer = await desk.submit(an_order())
        await desk.close()
        return answer

    answer, _ = run_virtual(main())

    assert answer.outcome is Outcome.UNKNOWN
    assert set(asked) == {"127.0.0.1"}
