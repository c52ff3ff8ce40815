"""Stop orders, the broker's own sale, and what a script does to orders: each hits exactly what it names."""

from __future__ import annotations

import pytest
from exchange_rest_samples import CALL, Exchange, ask, exchange_of, option_quote
from tape_samples import SESSION, quote

from scalpcli.errors import UsageError
from scalpcli.exchange.account import SimulatedAccount
from scalpcli.exchange.fault_script import Fault, FaultName, Scope, read_script
from scalpcli.exchange.faults import FaultEngine
from scalpcli.exchange.order_faults import ScriptedOrders
from scalpcli.exchange.orders import parse_order, parse_replacement
from scalpcli.exchange.rest_answer import Refusal
from scalpcli.exchange.rest_faults import RestFaults
from scalpcli.exchange.serving_log import ServingLog

ORDER = {"symbol": CALL, "qty": "2", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "2.05"}


@pytest.fixture
def exchange(tmp_path) -> Exchange:
    """Bids of the call at 2.00, 2.10, 1.50 and none, 1.40; the first is served."""
    bids_e4 = (20_000, 21_000, 15_000, 0, 14_000)
    rows = [quote(0.5, 4_000_000, 4_000_100)]
    rows += [option_quote(second, bid_e4, bid_e4 + 500) for second, bid_e4 in enumerate(bids_e4, 1)]
    made = exchange_of(tmp_path, rows)
    made.serve(2)
    return made


def scripted(exchange: Exchange, *flags: str) -> tuple[FaultEngine, ServingLog]:
    """A running script over an exchange's orders."""
    log = ServingLog(lambda: 0.0, keep=True)
    engine = FaultEngine(read_script(None, flags, SESSION), log, lambda: 0.0)
    engine.start()
    exchange.account.faults = ScriptedOrders(engine, log)
    return engine, log


def bought_with_stop(exchange: Exchange, stop: str, **fields):
    """Two calls, and a stop order that would sell them."""
    exchange.order()
    return exchange.order(type="stop", side="sell", limit_price=None, stop_price=stop, **fields)


# --- stop orders


def test_a_stop_rests_until_the_bid_is_there_and_sells_at_any_price(exchange):
    """The bid falls from 2.10 through 1.80 to 1.50: that is what it gets."""
    stop = bought_with_stop(exchange, "1.80", client_order_id="s1")
    exchange.serve(1)
    assert (stop.status, stop.body()["type"], stop.body()["stop_price"], stop.body()["limit_price"]) == (
        "new",
        "stop",
        "1.8",
        None,
    )

    exchange.serve(1)

    assert (stop.status, stop.body()["filled_avg_price"]) == ("filled", "1.5")
    assert exchange.events == ["new", "fill", "new", "fill"]


def test_a_stop_at_the_bid_sells_at_once(exchange):
    """At or below: the market is there already."""
    assert bought_with_stop(exchange, "2.00").status == "filled"


def test_no_bid_wakes_no_stop(exchange):
    """A flicker without a bid is no price; 1.40 is one."""
    stop = bought_with_stop(exchange, "1.45")
    exchange.serve(3)
    assert stop.status == "new"

    exchange.serve(1)

    assert (stop.status, stop.cost_e4) == ("filled", 2 * 14_000)


def test_a_stop_to_buy_wakes_at_the_ask(exchange):
    """The other way round, and it pays the ask."""
    stop = exchange.order(type="stop", limit_price=None, stop_price="2.15")
    assert stop.status == "new"

    exchange.serve(1)

    assert (stop.status, stop.cost_e4) == ("filled", 2 * 21_500)


def test_a_resting_stop_holds_what_it_would_sell(exchange):
    """A second sell is refused until the stop has ended: every exit cancels it first."""
    stop = bought_with_stop(exchange, "1.00")
    with pytest.raises(Refusal, match=r"insufficient qty available for order \(requested: 2, available: 0\)"):
        exchange.order(side="sell", limit_price="2.00")

    exchange.account.cancel(stop)
    exchange.account.run_due()

    assert exchange.order(side="sell", limit_price="2.00").status == "filled"


def test_a_stop_is_replaced_by_one_at_another_price(exchange):
    """It is a new order; a limit it has none."""
    stop = bought_with_stop(exchange, "1.00")
    with pytest.raises(Refusal, match="stop orders have no limit_price"):
        parse_replacement({"limit_price": "1.10"}, stop)

    new = exchange.account.replace(stop, parse_replacement({"stop_price": "1.10"}, stop))

    assert (stop.status, new.replaces, new.request.stop_e4) == ("replaced", stop.order_id, 11_000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stop_price": None}, "stop_price is required"),
        ({"stop_price": "1.805"}, "invalid stop_price 1.805"),
        ({"stop_price": "0"}, "stop_price must be > 0"),
        ({"limit_price": "1.80"}, "stop orders require no limit_price"),
        ({"type": "limit", "limit_price": "1.80"}, "limit orders require no stop_price"),
    ],
)
def test_what_is_no_stop_is_refused(exchange, fields, message):
    """422 with the reason."""
    given = {**ORDER, "type": "stop", "side": "sell", "limit_price": None, "stop_price": "1.80", **fields}

    with pytest.raises(Refusal, match=message):
        parse_order(given, exchange.market.by_symbol)


# --- the broker's own sale, ids


def test_the_broker_sells_what_is_held_by_an_order_nobody_sent(exchange):
    """A resting exit is taken back first; the sale fills at the bid like any market order."""
    exchange.order()
    exit_ = exchange.order(side="sell", limit_price="3.00", client_order_id="x1")

    exchange.account.liquidate(1)

    assert exit_.status == "canceled"
    assert exchange.account.positions == {}
    assert exchange.events[-3:] == ["canceled", "new", "fill"]
    assert exchange.told[-1]["order"]["client_order_id"] not in ("", "x1")


def test_a_fill_and_its_activity_have_one_id(exchange):
    """Whoever missed the update knows the activity for what it is."""
    exchange.order()

    assert exchange.account.activities.entries[0]["id"].endswith(f"::{exchange.told[-1]['execution_id']}")


def test_a_seed_repeats_every_id(exchange):
    """Two runs of one script are equal to the byte."""
    first, second = (SimulatedAccount(exchange.market, seed=3) for _ in range(2))

    assert first.account_id == second.account_id
    assert first.account_id != SimulatedAccount(exchange.market).account_id


# --- scripts


def test_the_nth_order_is_rejected_at_the_market(exchange):
    """Buys are counted, sells are not."""
    scripted(exchange, "reject_late=rest,on=buy,nth=2")

    sides = (("buy", "2.05"), ("sell", "2.00"), ("buy", "2.05"), ("buy", "2.05"))
    statuses = [exchange.order(side=side, limit_price=limit).status for side, limit in sides]

    assert statuses == ["filled", "filled", "rejected", "filled"]


def test_an_order_fills_in_slices(exchange):
    """One contract a quote, until the order is whole; the next order is not hit."""
    scripted(exchange, "slice=rest,on=sell,contracts=1")
    exchange.order()

    sliced = exchange.order(side="sell", limit_price="1.00")
    assert (sliced.filled, sliced.status) == (1, "partially_filled")
    exchange.serve(1)

    assert sliced.status == "filled"
    assert exchange.events == ["new", "fill", "new", "partial_fill", "fill"]


def test_an_order_fills_after_its_end_was_asked_for(exchange):
    """The cancel was accepted and comes too late: the whole of it, at its limit."""
    scripted(exchange, "fill_on_cancel=rest")
    order = exchange.order(limit_price="1.00")

    exchange.account.cancel(order)
    exchange.account.run_due()

    assert (order.status, order.cost_e4) == ("filled", 2 * 10_000)


def test_a_fault_is_added_while_the_script_runs(exchange):
    """It counts from there: the third order is the first it sees."""
    engine, _ = scripted(exchange)
    before = exchange.order(qty="1").status

    engine.add(Fault(FaultName.REJECT_LATE, Scope.REST, on="order"))

    assert [before, exchange.order(qty="1").status, exchange.order(qty="1").status] == ["filled", "rejected", "filled"]


def requests(exchange: Exchange, flags: list[str], count: int, *, body=ORDER, method="POST", path="/v2/orders"):
    """Answers to equal requests, under a script."""
    engine, log = scripted(exchange, *flags)
    faults = RestFaults(engine, log, exchange.market.now_ns)
    return [ask(exchange, method, path, body=body, faults=faults) for _ in range(count)], log


@pytest.mark.parametrize(("code", "number"), [(403, 40310000), (422, 42210000)])
def test_the_nth_order_is_refused_with_alpacas_words(exchange, code, number):
    """It is not carried out; those before and after are."""
    answers, log = requests(exchange, [f"reject=rest,on=buy,nth=2,code={code}"], 3)

    assert [answer.status_code for answer in answers] == [200, code, 200]
    assert answers[1].json()["code"] == number
    assert len(exchange.account.orders) == 2
    assert [event["event"] for event in log.events if event["event"] != "request"] == [
        "fault",
        "fault_end",
        "order_rejected",
    ]


def test_the_answer_to_the_nth_order_is_lost(exchange):
    """504, although it works."""
    answers, _ = requests(exchange, ["lose_answer=rest,on=order,nth=2"], 2)

    assert [answer.status_code for answer in answers] == [200, 504]
    assert len(exchange.account.orders) == 2


def test_an_answer_is_held_back(exchange):
    """The order is taken; the client waits, and gives up."""
    engine, log = scripted(exchange, "hang=rest,on=order,duration_s=0.01")
    faults = RestFaults(engine, log, exchange.market.now_ns)

    assert ask(exchange, "POST", "/v2/orders", body=ORDER, faults=faults).status_code == 200
    assert [event["seconds"] for event in log.events if event["event"] == "answer_held"] == [0.01]


def test_too_many_requests_say_when_the_minute_is_over(exchange):
    """None left, and a whole second of the market's clock, the fault's seconds from now."""
    answers, _ = requests(
        exchange, ["refuse=rest,on=question,code=429,duration_s=7"], 2, method="GET", path="/v2/account"
    )

    assert [answer.status_code for answer in answers] == [429, 200]
    assert answers[0].headers["X-RateLimit-Remaining"] == "0"
    assert int(answers[0].headers["X-RateLimit-Reset"]) == -(-exchange.market.now_ns() // 10**9) + 7
    assert answers[1].headers["X-RateLimit-Remaining"] == "199"


def test_a_cancel_can_be_meant(exchange):
    """And nothing else."""
    order = exchange.order(limit_price="1.00")
    path = f"/v2/orders/{order.order_id}"
    engine, log = scripted(exchange, "refuse=rest,on=cancel,code=500")
    faults = RestFaults(engine, log, exchange.market.now_ns)

    answers = [ask(exchange, method, path, faults=faults).status_code for method in ("GET", "DELETE", "DELETE")]

    assert answers == [200, 500, 204]


@pytest.mark.parametrize(
    ("flag", "found"),
    [
        ("reject=rest,code=500", "`rest` cannot reject with 500"),
        ("reject=rest,on=fill", "`on` is `fill`"),
        ("lose_update=trading,on=sell", "`on` is `sell`"),
        ("drop=stock,on=sell", "`on` is `sell`"),
        ("slice=rest,nth=0", "`nth` is `0`"),
        ("slice=trading", "`slice` cannot befall `trading`"),
    ],
)
def test_a_fault_of_orders_that_cannot_be_meant_is_refused(flag, found):
    """The message names what was found; the hint what may stand there."""
    with pytest.raises(UsageError) as error:
        read_script(None, [flag], SESSION)

    assert error.value.found == found
    assert error.value.hint


def test_what_is_not_to_be_exercised_is_noted(exchange):
    """The request stands in the log, and the position keeps it until the close."""
    exchange.order()

    answers, log = requests(exchange, [], 1, body=None, path=f"/v2/positions/{CALL}/do-not-exercise")

    assert answers[0].status_code == 200
    assert exchange.account.positions[1].is_abandoned
    assert [event["path"] for event in log.events if event["event"] == "request"] == [
        f"/v2/positions/{CALL}/do-not-exercise"
    ]
