"""The account behind the exchange: what is taken, how it fills, how it ends."""

from __future__ import annotations

import pytest
from exchange_rest_samples import CALL, Exchange, exchange_of, option_quote
from tape_samples import CLOSE, OPEN, gap, one, quote, trade

from scalpcli.exchange.checks import AccountRules
from scalpcli.exchange.orders import parse_replacement
from scalpcli.exchange.rest_answer import Refusal
from scalpcli.model.row import GAP_BEGIN, HALT_BEGIN, HALT_END, STATUS
from scalpcli.units import NS_PER_S


@pytest.fixture
def exchange(tmp_path) -> Exchange:
    """Quotes of the call at 2.00 to 2.05 after one second, at 2.10 to 2.15 after three; the first is served."""
    rows = [
        quote(0.5, 4_000_000, 4_000_100),
        option_quote(1, 20_000, 20_500),
        option_quote(2, 20_000, 20_500),
        option_quote(3, 21_000, 21_500),
        trade(4, 4_050_000),
    ]
    made = exchange_of(tmp_path, rows)
    made.serve(2)
    return made


def refusal_of(exchange: Exchange, **fields) -> tuple[int, int, str]:
    """Status, code and message with which an order is refused."""
    with pytest.raises(Refusal) as refused:
        exchange.order(**fields)
    return refused.value.status, refused.value.body["code"], refused.value.body["message"]


# --- fills


def test_a_marketable_order_fills_at_the_shown_price(exchange):
    """A buy above the ask pays the ask and no more; updates come in order, with price, quantity and holding."""
    order = exchange.order(limit_price="2.10")

    assert order.status == "filled"
    assert exchange.events == ["new", "fill"]
    fill = exchange.told[1]
    assert (fill["price"], fill["qty"], fill["position_qty"]) == ("2.05", "2", "2")
    assert fill["order"]["filled_avg_price"] == "2.05"
    assert exchange.account.cash_e4 == 1_000_000_000 - 2 * 100 * 20_500


def test_no_more_than_shown_fills_and_never_twice(exchange):
    """Ten are shown: the rest waits, an unchanged quote gives nothing, another price is other size."""
    order = exchange.order(qty="12", limit_price="2.15")
    assert (order.filled, order.status) == (10, "partially_filled")

    exchange.serve(1)
    assert order.filled == 10

    exchange.serve(1)
    assert order.status == "filled"
    assert exchange.events == ["new", "partial_fill", "fill"]
    assert exchange.told[2]["order"]["filled_avg_price"] == "2.0667"


def test_the_split_of_served_rows_decides_nothing(tmp_path):
    """Rows served one by one or in one block fill the same."""
    rows = [option_quote(second, 20_000, 20_500 + 500 * (second % 3)) for second in range(1, 30)]
    filled = []
    for number, step in enumerate((1, 7, 29)):
        exchange = exchange_of(tmp_path / str(number), rows)
        exchange.serve(1)
        order = exchange.order(qty="45", limit_price="2.05")
        for _ in range(0, 28, step):
            exchange.serve(step)
        filled.append((order.filled, order.cost_e4, [told["timestamp"] for told in exchange.told]))

    assert filled[0] == filled[1] == filled[2]
    assert filled[0][0] == 45


def test_a_market_order_takes_any_price(exchange):
    """It fills at the ask, and a market sell at the bid."""
    bought = exchange.order(type="market", qty="3")
    sold = exchange.order(type="market", qty="3", side="sell")

    assert (bought.cost_e4, sold.cost_e4) == (3 * 20_500, 3 * 20_000)
    assert exchange.account.positions == {}


@pytest.mark.parametrize(
    "row",
    [
        one(STATUS, 1.5, flags=HALT_BEGIN),
        one(STATUS, 1.5, flags=HALT_BEGIN, instrument_id=1),
        gap(1.2, 1.5),
        one(STATUS, 1.5, flags=HALT_END),
        {**gap(1.2, 1.5), "flags": GAP_BEGIN},
        option_quote(1.5, 21_000, 20_500),
        quote(120, 4_000_000, 4_000_100),
    ],
    ids=["underlying halted", "contract halted", "after a gap", "after a halt", "in a gap", "crossed", "stale"],
)
def test_nothing_fills_where_replay_fills_nothing(tmp_path, row):
    """The exchange asks the same rule as replay: halts, gaps, crossed and stale quotes fill nothing."""
    exchange = exchange_of(tmp_path, [option_quote(1, 20_000, 20_500), row, option_quote(200, 20_000, 20_500)])
    exchange.serve(2)

    order = exchange.order()

    assert (order.status, order.filled) == ("new", 0)


def test_a_limit_off_the_grid_is_rejected_on_arrival(exchange):
    """Above 3.00 the call steps by 0.05: the order is taken and then rejected, as replay rejects it."""
    order = exchange.order(limit_price="3.07")

    assert order.status == "rejected"
    assert exchange.events == ["rejected"]
    assert order.body()["failed_at"]


# --- ends


def test_a_cancelled_order_gives_its_cash_back(exchange):
    """What worked is taken back, and a second cancel is refused."""
    order = exchange.order(limit_price="1.00")
    assert exchange.account.buying_power_e4 == 1_000_000_000 - 2 * 100 * 10_000

    exchange.account.cancel(order)
    assert order.status == "pending_cancel"
    exchange.account.run_due()

    assert order.status == "canceled"
    assert exchange.account.buying_power_e4 == 1_000_000_000
    with pytest.raises(Refusal, match='order is already in "canceled" state') as refused:
        exchange.account.cancel(order)
    assert (refused.value.status, refused.value.body["code"]) == (422, 42210000)


def test_a_replacement_is_a_new_order_for_the_rest(exchange):
    """Ten of twelve filled; with a higher limit the new order works for two and names the old one."""
    order = exchange.order(qty="12")

    new = exchange.account.replace(order, parse_replacement({"limit_price": "2.15"}, order))
    exchange.account.run_due()
    exchange.serve(2)

    assert (order.status, order.replaced_by, new.replaces) == ("replaced", new.order_id, order.order_id)
    assert (new.request.quantity, new.status) == (2, "filled")
    assert exchange.events == ["new", "partial_fill", "replaced", "new", "fill"]


def test_a_pending_order_cannot_be_replaced(exchange):
    """Before it reaches the market there is nothing to replace."""
    order = exchange.order(limit_price="1.00")
    order.status = "pending_new"

    with pytest.raises(Refusal, match="cannot replace order in pending_new status"):
        exchange.account.replace(order, parse_replacement({"qty": "1"}, order))


@pytest.mark.parametrize(
    ("body", "message"),
    [({"qty": "12"}, "not changed"), ({"qty": "10"}, "qty must be > filled_qty"), ({"qty": "1.5"}, "integer")],
)
def test_a_replacement_must_change_something_that_can_change(exchange, body, message):
    """Twelve ordered, ten filled."""
    order = exchange.order(qty="12")

    with pytest.raises(Refusal, match=message):
        parse_replacement(body, order)


def test_everything_ends_at_the_close(tmp_path):
    """Working orders expire with the session, and what is held is settled at its value over the last print."""
    after_s = (CLOSE - OPEN) / NS_PER_S
    rows = [option_quote(1, 20_000, 20_500), trade(2, 4_050_000), quote(after_s + 1, 4_000_000, 4_000_100)]
    exchange = exchange_of(tmp_path, rows)
    exchange.serve(1)
    exchange.order()
    waiting = exchange.order(limit_price="1.00", client_order_id="waits")

    exchange.serve_all()

    assert waiting.status == "expired"
    assert exchange.events == ["new", "fill", "new", "expired"]
    assert exchange.account.positions == {}
    assert exchange.account.cash_e4 == 1_000_000_000 - 2 * 100 * 20_500 + 2 * 100 * 50_000
    assert exchange.account.activities.entries[-1]["activity_type"] == "OPEXC"


def test_what_is_not_to_be_exercised_expires_worthless(tmp_path):
    """A do-not-exercise gives up the value."""
    rows = [option_quote(1, 20_000, 20_500), trade(2, 4_050_000), quote(23_500, 4_000_000, 4_000_100)]
    exchange = exchange_of(tmp_path, rows)
    exchange.serve(1)
    exchange.order()
    exchange.account.positions[1].is_abandoned = True

    exchange.serve_all()

    assert exchange.account.cash_e4 == 1_000_000_000 - 2 * 100 * 20_500
    assert exchange.account.activities.entries[-1]["activity_type"] == "OPEXP"


# --- what is refused


def test_a_client_order_id_serves_once(exchange):
    """The second order with one id is refused, whatever became of the first."""
    exchange.order(client_order_id="mine")

    assert refusal_of(exchange, client_order_id="mine") == (422, 40010001, "client_order_id must be unique")


def test_the_buying_power_counts_working_orders(tmp_path):
    """1,000 USD: one order holds 820, the next one of 410 is too much."""
    exchange = exchange_of(tmp_path, [option_quote(1, 19_000, 21_500)], AccountRules(cash_usd=1_000))
    exchange.serve(1)
    exchange.order(qty="4")

    status, code, message = refusal_of(exchange, qty="2")

    assert (status, code) == (403, 40310000)
    assert message == "insufficient options buying power for cost basis (required: 410, available: 180)"


@pytest.mark.parametrize(
    ("fields", "status", "code", "message"),
    [
        ({"side": "sell"}, 403, 40310000, "account not eligible to trade uncovered option contracts"),
        ({"symbol": "NONE"}, 422, 42210000, 'asset "NONE" not found'),
        ({"qty": "0.5"}, 422, 42210000, "qty must be integer"),
        ({"qty": None}, 422, 42210000, "qty is required"),
        ({"limit_price": "2.055"}, 422, 42210000, "invalid limit_price 2.055. sub-penny"),
        ({"limit_price": "nan"}, 422, 42210000, "invalid limit_price: nan"),
        ({"type": "stop_limit"}, 422, 42210000, 'invalid order type "stop_limit"'),
        ({"time_in_force": "ioc"}, 422, 42210000, 'invalid time_in_force "ioc"'),
        ({"extended_hours": True}, 422, 42210000, "extended hours orders are not supported"),
        ({"order_class": "bracket"}, 422, 42210000, "complex orders not supported for options trading"),
        ({"position_intent": "sell_to_close"}, 422, 42210000, "position intent mismatch"),
        ({"position_intent": "buy_to_close"}, 422, 42210000, "position intent mismatch"),
        ({"client_order_id": "x" * 129}, 422, 40010001, "client_order_id must be no more than 128 characters"),
    ],
)
def test_what_is_no_order_is_refused_with_alpacas_code(exchange, fields, status, code, message):
    """Nothing is told, nothing is held."""
    found = refusal_of(exchange, **fields)

    assert found[:2] == (status, code)
    assert found[2].startswith(message)
    assert exchange.events == []


def test_a_resting_sell_holds_what_it_sells(exchange):
    """Of two held, one rests in an order: two cannot be sold."""
    exchange.order()
    exchange.order(side="sell", qty="1", limit_price="2.50")

    status, code, message = refusal_of(exchange, side="sell", qty="2", limit_price="2.50")

    assert (status, code) == (403, 40310000)
    assert message == "insufficient qty available for order (requested: 2, available: 1)"


def test_an_order_may_not_meet_ones_own(exchange):
    """A buy that works and a sell of the same contract are a wash trade."""
    exchange.order()
    exchange.order(limit_price="1.00")

    status, code, message = refusal_of(exchange, side="sell", limit_price="2.50")

    assert (status, code) == (403, 40310000)
    assert message.startswith("potential wash trade detected")


def test_contracts_of_the_day_are_not_opened_near_the_close(tmp_path):
    """From 45 minutes before the close a buy is refused; a sell is not."""
    near_s = (CLOSE - OPEN) / NS_PER_S - 44 * 60
    exchange = exchange_of(tmp_path, [option_quote(1, 20_000, 20_500), option_quote(near_s, 20_000, 20_500)])
    exchange.serve(1)
    exchange.order()
    exchange.serve(1)

    status, code, message = refusal_of(exchange)

    assert (status, code) == (422, 42210000)
    assert message == f'contract "{CALL}" expires soon, unable to open new positions'
    assert exchange.order(side="sell", limit_price="2.00").status == "filled"


def test_market_orders_only_in_market_hours(tmp_path):
    """Before the open the exchange takes limits only."""
    exchange = exchange_of(tmp_path, [option_quote(-60, 20_000, 20_500)])
    exchange.market.set_clock(OPEN - NS_PER_S)

    assert refusal_of(exchange, type="market")[2] == "options market orders are only allowed during market hours"


def test_without_the_level_no_options(tmp_path):
    """Level 1 may not buy calls."""
    exchange = exchange_of(tmp_path, [option_quote(1, 20_000, 20_500)], AccountRules(options_level=1))

    assert refusal_of(exchange) == (403, 40310000, "account not eligible to trade options")
