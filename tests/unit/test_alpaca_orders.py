"""Orders and cancels at Alpaca: what became of each, whatever goes wrong on the way, and never two of one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_broker import (
    CALL,
    ERROR,
    FAULTS_OF_ORDERS,
    FAULTS_OF_QUESTIONS,
    KEY,
    KEYS_REFUSED,
    LOST,
    NO_CONNECTION,
    OK,
    REFUSED,
    RESET,
    SECRET,
    TAKEN_504,
    TAKEN_LATE,
    TAKEN_PAGE,
    TAKEN_RESET,
    TAKEN_SILENCE,
    TOO_MANY,
    ScriptedBroker,
    an_order,
    at_desk,
)

from scalpcli.adapters.alpaca_orders_wire import order_body
from scalpcli.core.risk import approve
from scalpcli.model.broker import Answer, Outcome
from scalpcli.model.order import Leg, OrderKind

FOR_EVER = 50


def submitted(broker: ScriptedBroker, leg: Leg = Leg.ENTRY, **params) -> tuple[Answer, float]:
    """The answer to one order, and the seconds it took."""
    return at_desk(broker, lambda desk: desk.submit(an_order(leg)), **params)


def posts(broker: ScriptedBroker) -> int:
    """How often the order was sent."""
    return len(broker.bodies)


def test_an_order_says_all_that_alpaca_asks_for():
    """A limit to the cent, good for the day, with its intent: a plain sell could open a short position."""
    broker = ScriptedBroker()

    answer, _ = submitted(broker, Leg.EXIT)

    assert broker.bodies == [
        {
            "symbol": "TSLA261120C00400000",
            "qty": "2",
            "side": "sell",
            "type": "limit",
            "time_in_force": "day",
            "limit_price": "2.05",
            "position_intent": "sell_to_close",
            "client_order_id": "test-20261120-n-0007-x1",
        }
    ]
    assert answer.outcome is Outcome.ACCEPTED
    assert (answer.order.broker_id, answer.order.limit_e4, answer.order.quantity) == ("b1", 20_500, 2)


@pytest.mark.parametrize(
    ("leg", "kind", "price_e4", "priced"),
    [
        (Leg.EXIT, OrderKind.MARKET, 0, {"type": "market"}),
        (Leg.PROTECT, OrderKind.STOP, 9_500, {"type": "stop", "stop_price": "0.95"}),
        (Leg.GUARD, OrderKind.LIMIT, 100, {"type": "limit", "limit_price": "0.01"}),
    ],
)
def test_each_kind_of_order_has_its_own_price_and_no_other(leg, kind, price_e4, priced):
    """Alpaca refuses a market order with a limit; every leg but the entry sells."""
    order = approve("n", 7, leg, 1, CALL, 2, price_e4, kind)

    body = order_body(order)

    assert {name: body[name] for name in body if name == "type" or name.endswith("_price")} == priced
    assert (body["side"], body["position_intent"]) == ("sell", "sell_to_close")


@pytest.mark.parametrize("fault", [TAKEN_SILENCE, TAKEN_RESET, TAKEN_504, TAKEN_PAGE])
def test_what_was_taken_without_a_word_is_found(fault):
    """One look-up tells; the order is never sent a second time."""
    broker = ScriptedBroker([fault])

    answer, _ = submitted(broker)

    assert (answer.outcome, answer.order.broker_id, answer.tries) == (Outcome.ACCEPTED, "b1", 2)
    assert posts(broker) == len(broker.orders) == 1


@pytest.mark.parametrize("fault", [LOST, RESET, ERROR])
def test_what_was_lost_is_sent_again_under_its_id_once_it_was_not_found(fault):
    """For all of `look_up_s`: a broker may take an order long after it stopped answering."""
    broker = ScriptedBroker([fault])

    answer, took_s = submitted(broker)

    assert answer.outcome is Outcome.ACCEPTED
    assert posts(broker) == 2
    assert broker.bodies[0] == broker.bodies[1]
    assert took_s >= 5.0


def test_what_is_taken_late_is_found_late():
    """The look-ups go on until it is there."""
    broker = ScriptedBroker([TAKEN_LATE])

    answer, took_s = submitted(broker)

    assert (answer.outcome, posts(broker)) == (Outcome.ACCEPTED, 1)
    assert 4.0 <= took_s <= 5.0


def test_an_id_that_is_used_is_looked_up():
    """The order stands since an earlier process sent it: it is ours, not refused."""
    broker = ScriptedBroker([OK, OK])

    async def twice(desk):
        return await desk.submit(an_order()), await desk.submit(an_order())

    (first, second), _ = at_desk(broker, twice)

    assert (second.outcome, second.order) == (Outcome.ACCEPTED, first.order)
    assert len(broker.orders) == 1


def test_an_id_that_another_order_has_is_refused():
    """What the broker has is not what we wanted, ours does not exist, and nobody is to take the one for the other."""
    broker = ScriptedBroker()

    async def twice(desk):
        await desk.submit(an_order(quantity=1))
        return await desk.submit(an_order(quantity=2))

    answer, _ = at_desk(broker, twice)

    assert (answer.outcome, answer.order) == (Outcome.REJECTED, None)
    assert answer.reason == "the broker has another order under this id"


def test_a_refusal_is_final_and_says_why():
    """Status, number and words, without the key that the words hold; nothing is looked up."""
    broker = ScriptedBroker([REFUSED])

    answer, took_s = submitted(broker)

    assert answer == Answer(
        Outcome.REJECTED, None, "HTTP 403: insufficient buying power ***", status=403, code=40310000, tries=1
    )
    assert took_s == 0.0


def test_a_badly_formed_order_is_refused_after_one_look():
    """Its number is that of a used id as well; the words tell the two apart, a look-up makes it sure."""
    broker = ScriptedBroker()
    broker.fixed["/v2/orders"] = (422, b'{"code": 40010001, "message": "side is required"}')

    answer, took_s = submitted(broker)

    assert (answer.outcome, answer.tries, took_s) == (Outcome.REJECTED, 2, 0.0)


def test_a_used_id_that_is_not_found_is_not_certain():
    """The broker contradicts itself; it has the order as far as anybody knows."""
    broker = ScriptedBroker()
    broker.fixed["/v2/orders"] = (422, b'{"code": 40010001, "message": "client_order_id must be unique"}')

    answer, _ = submitted(broker)

    assert answer.outcome is Outcome.UNKNOWN


def test_a_refusal_after_a_doubt_is_believed_only_when_nothing_is_found():
    """The second try is refused for the money that the first one holds."""
    broker = ScriptedBroker([TAKEN_LATE, REFUSED])

    answer, _ = submitted(broker, look_up_s=2.5)

    assert (answer.outcome, len(broker.orders)) == (Outcome.ACCEPTED, 1)


def test_a_refusal_after_a_doubt_stands_when_nothing_is_found():
    """It was looked up for the whole time, twice."""
    broker = ScriptedBroker([LOST, REFUSED])

    answer, _ = submitted(broker)

    assert (answer.outcome, answer.status, posts(broker)) == (Outcome.REJECTED, 403, 2)


def test_without_a_connection_nothing_was_sent():
    """It is tried again at once, and then refused: there is no doubt about an order that never left."""
    broker = ScriptedBroker([NO_CONNECTION] * FOR_EVER)

    answer, took_s = submitted(broker, submit_repeats_max=2)

    assert (answer.outcome, answer.status, answer.tries) == (Outcome.REJECTED, 0, 3)
    assert answer.reason == "no connection to the broker (ConnectError); nothing was sent"
    assert took_s < 1.0


@pytest.mark.parametrize("fault", [NO_CONNECTION, LOST, RESET, ERROR, TAKEN_PAGE, KEYS_REFUSED, TOO_MANY])
def test_when_nobody_says_it_stays_unknown(fault):
    """Neither order nor look-up is answered: it counts as accepted until somebody knows."""
    broker = ScriptedBroker([TAKEN_SILENCE], [fault] * FOR_EVER)

    answer, _ = submitted(broker)

    assert answer.outcome is Outcome.UNKNOWN
    assert posts(broker) == len(broker.orders) == 1
    assert KEY not in answer.reason
    assert SECRET not in answer.reason


def test_what_is_lost_every_time_stays_unknown():
    """Nobody can say that none of the tries will still arrive."""
    broker = ScriptedBroker([LOST] * FOR_EVER)

    answer, _ = submitted(broker, submit_repeats_max=2)

    assert (answer.outcome, posts(broker)) == (Outcome.UNKNOWN, 3)


def test_a_sell_waits_for_the_end_of_the_minute():
    """429 means not taken: the same id goes again when the broker's minute is over, however long that is."""
    broker = ScriptedBroker([TOO_MANY, TOO_MANY], reset_s=20.0)

    answer, took_s = submitted(broker, Leg.EXIT)

    assert (answer.outcome, posts(broker)) == (Outcome.ACCEPTED, 3)
    assert 38.0 <= took_s <= 42.0


def test_an_entry_does_not_wait_longer_than_it_may_be_late():
    """What was decided then is not worth the same price now."""
    broker = ScriptedBroker([TOO_MANY] * FOR_EVER, reset_s=20.0)

    answer, took_s = submitted(broker, late_entry_ms_max=2_000)

    assert (answer.outcome, answer.status, broker.orders) == (Outcome.REJECTED, 429, {})
    assert took_s <= 2.5


@given(
    orders=st.lists(st.sampled_from(FAULTS_OF_ORDERS), max_size=6),
    questions=st.lists(st.sampled_from(FAULTS_OF_QUESTIONS), max_size=8),
    leg=st.sampled_from([Leg.ENTRY, Leg.EXIT]),
)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_there_is_one_order_at_most_and_no_answer_is_false(orders, questions, leg):
    """Accepted is there, refused is not there, and neither keys nor a second order appear anywhere."""
    broker = ScriptedBroker(orders, questions)

    answer, _ = submitted(broker, leg)

    assert len(broker.orders) <= 1
    assert (answer.outcome is Outcome.ACCEPTED) <= (len(broker.orders) == 1)
    assert (answer.outcome is Outcome.REJECTED) <= (not broker.orders)
    assert all(body == broker.bodies[0] for body in broker.bodies)
    assert posts(broker) - orders.count(TOO_MANY) <= 3
    assert KEY not in repr(answer)
    assert SECRET not in repr(answer)


# --- cancels


def cancelled(broker: ScriptedBroker, **params) -> Answer:
    """The answer to taking back an order that was accepted without a fault."""

    async def act(desk):
        accepted = await desk.submit(an_order())
        return await desk.cancel(accepted.order.broker_id)

    return at_desk(broker, act, **params)[0]


def test_a_cancel_is_asked_for():
    """The order's end is told later."""
    broker = ScriptedBroker()

    assert cancelled(broker) == Answer(Outcome.ACCEPTED, status=204)


@pytest.mark.parametrize("fault", [TAKEN_SILENCE, TAKEN_RESET, TAKEN_504])
def test_a_cancel_without_an_answer_is_settled_by_the_order(fault):
    """It has ended, so there is nothing to take back any more."""
    broker = ScriptedBroker([OK, fault])

    answer = cancelled(broker)

    assert (answer.outcome, answer.order.status) == (Outcome.REJECTED, "canceled")


@pytest.mark.parametrize("fault", [LOST, RESET, ERROR, NO_CONNECTION])
def test_a_cancel_that_was_lost_is_asked_again(fault):
    """Taking back twice does no harm."""
    broker = ScriptedBroker([OK, fault])

    answer = cancelled(broker)

    assert answer.outcome is Outcome.ACCEPTED
    assert [order["status"] for order in broker.orders.values()] == ["canceled"]


def test_a_cancel_of_an_ended_order_tells_the_order():
    """It filled before: 422, and the order says how much."""
    broker = ScriptedBroker()

    async def act(desk):
        accepted = await desk.submit(an_order())
        broker.orders[an_order().order_id] |= {"status": "filled", "filled_qty": "2", "filled_avg_price": "2.045"}
        return await desk.cancel(accepted.order.broker_id)

    answer, _ = at_desk(broker, act)

    assert (answer.outcome, answer.status, answer.code) == (Outcome.REJECTED, 422, 42210000)
    assert (answer.order.filled, answer.order.filled_sum_e4) == (2, 40_900)


def test_a_cancel_of_an_order_nobody_knows_is_refused():
    """404 by the broker's own number."""
    answer, _ = at_desk(ScriptedBroker(), lambda desk: desk.cancel("b9"))

    assert (answer.outcome, answer.order, answer.status) == (Outcome.REJECTED, None, 404)


def test_a_cancel_refused_while_the_order_still_works_is_not_certain():
    """Nobody may conclude that the order has ended."""
    broker = ScriptedBroker()

    async def act(desk):
        accepted = await desk.submit(an_order())
        broker.orders[an_order().order_id]["status"] = "pending_replace"
        return await desk.cancel(accepted.order.broker_id)

    answer, _ = at_desk(broker, act)

    assert (answer.outcome, answer.order.status) == (Outcome.UNKNOWN, "pending_replace")


@pytest.mark.parametrize("fault", [KEYS_REFUSED, LOST])
def test_a_cancel_that_is_never_answered_is_unknown(fault):
    """The order may still work."""
    broker = ScriptedBroker([OK] + [fault] * FOR_EVER, [LOST] * FOR_EVER)

    assert cancelled(broker).outcome is Outcome.UNKNOWN


def test_a_cancel_waits_for_the_end_of_the_minute():
    """As a sell does."""
    broker = ScriptedBroker([OK, TOO_MANY])

    assert cancelled(broker).outcome is Outcome.ACCEPTED


def test_letting_expire_is_asked_until_it_is_answered():
    """Twice does no harm."""
    broker = ScriptedBroker([ERROR, LOST])
    broker.fixed["/v2/positions/TSLA261120C00400000/do-not-exercise"] = (200, b"")

    answer, _ = at_desk(broker, lambda desk: desk.do_not_exercise("TSLA261120C00400000"))

    assert (answer.outcome, answer.tries) == (Outcome.ACCEPTED, 3)


def test_letting_expire_may_be_refused():
    """There is nothing held."""
    broker = ScriptedBroker()
    path = "/v2/positions/TSLA261120C00400000/do-not-exercise"
    broker.fixed[path] = (403, b'{"code": 40310000, "message": "no available position found"}')

    answer, _ = at_desk(broker, lambda desk: desk.do_not_exercise("TSLA261120C00400000"))

    assert (answer.outcome, answer.reason) == (Outcome.REJECTED, "HTTP 403: no available position found")
