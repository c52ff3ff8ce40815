"""Our desk at the local exchange over real sockets, while a script spoils its requests: each fault is met as it should."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from scalpcli.adapters.alpaca_orders import AlpacaDesk
from scalpcli.core.risk import ApprovedOrder, approve
from scalpcli.exchange.fault_script import Fault, FaultName, Scope, read_script
from scalpcli.exchange.local import LocalExchange
from scalpcli.exchange.serving import ServingRules
from scalpcli.model.broker import BrokerSilent, Outcome
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import Leg, OrderKind
from tests.exchange_samples import make_tape
from tests.tape_samples import SESSION

QUICK = LiveParams(order_connect_s=1.0, order_answer_s=0.4, look_up_s=0.4)
T = TypeVar("T")


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tape(tmp_path_factory.mktemp("tapes"), 3000)


def order(exchange: LocalExchange, number: int, leg: Leg, kind: OrderKind = OrderKind.LIMIT) -> ApprovedOrder:
    """One contract: bought at the ask that stands, sold at the market."""
    contract = exchange.market.instruments[1]
    price_e4 = exchange.market.quote(1).ask_e4 if kind is OrderKind.LIMIT else 0
    return approve("desk", number, leg, 1, contract, 1, price_e4, kind)


def traded(
    tape: Path, flags: list[str], act: Callable[[LocalExchange, AlpacaDesk], Awaitable[T]], params: LiveParams = QUICK
) -> tuple[T, LocalExchange]:
    """What `act` returns at an exchange that served its whole tape, under a script."""
    script = read_script(None, flags, SESSION)

    async def main() -> tuple[T, LocalExchange]:
        rules = ServingRules(wait_for=0)
        async with LocalExchange(tape, faults=script, speed=0, serving=rules) as exchange:
            await exchange.wait_end()
            desk = AlpacaDesk(exchange.rest_url, "any", "pair", params, now_ns=exchange.market.now_ns)
            try:
                return await act(exchange, desk), exchange
            finally:
                await desk.close()

    return asyncio.run(main())


async def round_trip(exchange: LocalExchange, desk: AlpacaDesk) -> list[Any]:
    """Buy one and sell it: both answers and what is held in the end."""
    bought = await desk.submit(order(exchange, 1, Leg.ENTRY))
    sold = await desk.submit(order(exchange, 1, Leg.EXIT, OrderKind.MARKET))
    return [bought.outcome, sold.outcome, await desk.position(exchange.market.instruments[1].symbol)]


@pytest.mark.parametrize(
    "fault",
    [
        "lose_answer=rest,on=buy",
        "lose_answer=rest,on=sell",
        "hang=rest,on=sell,duration_s=5",
        "refuse=rest,on=order,code=503",
        "refuse=rest,on=sell,code=429,duration_s=1",
        "refuse=rest,on=question,code=500,count=2",
    ],
)
def test_a_round_trip_is_made_once_whatever_happens_to_its_requests(tape, fault):
    """Bought once, sold once, flat; however often the requests went."""
    script = [fault, "lose_answer=rest,on=order,nth=2"]

    found, exchange = traded(tape, script, round_trip)

    assert found == [Outcome.ACCEPTED, Outcome.ACCEPTED, 0]
    assert [entry["side"] for entry in exchange.account.activities.entries] == ["buy", "sell"]
    assert len(exchange.account.orders) == 2


def test_a_rejection_of_the_second_order_leaves_the_first(tape):
    """The sell is refused with Alpaca's words, and the contract is still held."""
    found, _ = traded(tape, ["reject=rest,on=sell,code=422"], round_trip)

    assert found == [Outcome.ACCEPTED, Outcome.REJECTED, 1]


def test_an_order_rejected_at_the_market_was_accepted_first(tape):
    """The answer says accepted; the look-up, and the stream, say what became of it."""

    async def act(exchange, desk):
        answer = await desk.submit(order(exchange, 1, Leg.ENTRY))
        return answer.outcome, (await desk.order("desk-0001-e1")).status

    assert traded(tape, ["reject_late=rest"], act)[0] == (Outcome.ACCEPTED, "rejected")


def test_a_cancel_may_end_in_a_fill(tape):
    """Accepted means asked for: the order is looked at afterwards."""

    async def act(exchange, desk):
        resting = approve("desk", 1, Leg.ENTRY, 1, exchange.market.instruments[1], 2, 100)
        accepted = await desk.submit(resting)
        answer = await desk.cancel(accepted.order.broker_id)
        found = await desk.order(resting.order_id)
        return answer.outcome, found.status, found.filled_sum_e4

    assert traded(tape, ["fill_on_cancel=rest"], act)[0] == (Outcome.ACCEPTED, "filled", 200)


def test_an_exchange_that_is_gone_is_silent(tape):
    """Not flat, not refused: nothing was sent, and nothing is known."""

    async def act(exchange, desk):
        bought = await desk.submit(order(exchange, 1, Leg.ENTRY))
        await exchange.__aexit__(None, None, None)
        sold = await desk.submit(order(exchange, 1, Leg.EXIT, OrderKind.MARKET))
        with pytest.raises(BrokerSilent):
            await desk.position(exchange.market.instruments[1].symbol)
        return bought.outcome, sold.outcome, sold.reason

    assert traded(tape, [], act)[0] == (
        Outcome.ACCEPTED,
        Outcome.REJECTED,
        "no connection to the broker (ConnectError); nothing was sent",
    )


async def ask_until_silent(desk: AlpacaDesk) -> tuple[int, str]:
    """How many questions are answered one after the other, and why no more are."""
    for asked in range(200):
        try:
            await desk.account()
        except BrokerSilent as silent:
            return asked, silent.reason
    raise AssertionError("no question was held back")


def test_the_limit_of_a_minute_is_kept_for_exits(tape):
    """Questions stop before the limit is reached; an exit still goes."""

    async def act(exchange, desk):
        bought = await desk.submit(order(exchange, 1, Leg.ENTRY))
        asked = await ask_until_silent(desk)
        sold = await desk.submit(order(exchange, 1, Leg.EXIT, OrderKind.MARKET))
        return bought.outcome, sold.outcome, *asked

    (bought, sold, asked, reason), _ = traded(tape, [], act)

    assert (bought, sold) == (Outcome.ACCEPTED, Outcome.ACCEPTED)
    assert reason == "the requests left of this minute are kept for orders"
    assert 130 <= asked <= 140


def test_a_fault_is_injected_at_the_moment_that_a_test_wants(tape):
    """The next sell is refused, whatever went before."""

    async def act(exchange, desk):
        bought = await desk.submit(order(exchange, 1, Leg.ENTRY))
        exchange.inject(Fault(FaultName.REJECT, Scope.REST, on="sell", code=403))
        answers = [await desk.submit(order(exchange, number, Leg.EXIT, OrderKind.MARKET)) for number in (1, 2)]
        return [bought.outcome, *(answer.outcome for answer in answers)]

    assert traded(tape, [], act)[0] == [Outcome.ACCEPTED, Outcome.REJECTED, Outcome.ACCEPTED]
