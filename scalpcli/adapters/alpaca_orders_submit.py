"""The way of one order to Alpaca: sent once, looked up when its outcome is unknown, never sent blindly again.

Decides when an order is accepted, refused, or not known to be either. The order's id is the client's own and the
same in every try, so that the broker refuses a second order of it. As a machine:

1. POST. A readable order comes back: accepted. No connection was made: nothing was sent, the POST is repeated.
2. Outcome unknown (no answer in time, connection broken, 5xx, 408, an answer that cannot be read): the order is looked
   up for `look_up_s`. Found: accepted. Not found at the end: the POST is repeated, at most `submit_repeats_max` times.
   No answer to the look-ups: unknown.
3. 422 with "client_order_id must be unique": as found or unknown, never as refused.
4. 429: it waits for the end of the minute; an entry only while it would still be sent (`late_entry_ms_max`).
5. Any other 4xx: refused. After a try of unknown outcome only when it is not found for another `look_up_s`: the broker
   may refuse the repetition for what the first one holds.

Source: `../shared/facts/alpaca.md`, section 3.5; alpaca-py would send one order twice after a 504.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Final

from scalpcli.adapters.alpaca_orders_http import Heard, Line
from scalpcli.adapters.alpaca_orders_wire import Unreadable, broker_order, order_body
from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import Answer, BrokerOrder, Outcome
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import OrderSide
from scalpcli.units import NS_PER_MS, NS_PER_S

ORDERS: Final = "/v2/orders"
BY_CLIENT_ID: Final = "/v2/orders:by_client_order_id"
PAUSE_FIRST_S: Final = 0.1
PAUSE_MAX_S: Final = 1.0
_LIMIT_WAIT_S: Final = 65.0
"""How long a sell or a cancel waits for the broker's next minute."""
_LIMIT_STEP_S: Final = 0.25
"""Between two looks at the market's clock, which may run faster than ours in a rehearsal."""
_NOT_UNIQUE_CODE: Final = 40010001
_MOMENT_S: Final = 0.001

Sleep = Callable[[float], Awaitable[None]]


class NotFound(Enum):
    """Why a look-up brought no order."""

    ABSENT = auto()
    """The broker knows none."""
    SILENT = auto()
    """The broker did not say."""


class Submission:
    """One order on its way.

    Args:
        line: Where it goes.
        order: What is sent.
        params: How long and how often.
        sleep: Waits so many seconds.
    """

    def __init__(self, line: Line, order: ApprovedOrder, params: LiveParams, sleep: Sleep) -> None:
        self._line, self._order, self._params, self._sleep = line, order, params, sleep
        self._body = order_body(order)
        self._tries = 0
        self._is_in_doubt = False
        """Whether a try of unknown outcome may have reached the broker."""

    async def run(self) -> Answer:
        """Send it and find out what became of it."""
        is_entry = self._order.side is OrderSide.BUY
        patience_s = self._params.late_entry_ms_max * NS_PER_MS / NS_PER_S if is_entry else _LIMIT_WAIT_S
        heard = Heard(0)
        for repeat in range(self._params.submit_repeats_max + 1):
            if repeat:
                await self._sleep(PAUSE_FIRST_S)
            heard = await self._send(patience_s)
            answer = await self._judge(heard)
            if answer is not None:
                return answer
        if self._is_in_doubt:
            return self._answer(
                Outcome.UNKNOWN, heard, f"{heard.reason}; it was not found, and sending it again failed"
            )
        return self._answer(Outcome.REJECTED, heard, f"{heard.reason}; nothing was sent")

    async def _send(self, patience_s: float) -> Heard:
        async def post() -> Heard:
            self._tries += 1
            return await self._line.ask("POST", ORDERS, body=self._body)

        return await within_limit(post, self._line, self._sleep, patience_s)

    async def _judge(self, heard: Heard) -> Answer | None:
        """What a POST's answer says; nothing = the broker does not have the order, it may be sent again."""
        if heard.is_done:
            try:
                order = broker_order(heard.body)
            except Unreadable:
                order = None
            if order is not None and self._is_same(order):
                return self._answer(Outcome.ACCEPTED, heard, order=order)
        if not heard.was_sent:
            return None
        if heard.is_refused or heard.status == 429:
            return await self._judge_refusal(heard)
        self._is_in_doubt = True
        found = await self._look_up(self._params.look_up_s)
        if found is NotFound.ABSENT:
            return None
        return self._found(found, heard)

    async def _judge_refusal(self, heard: Heard) -> Answer:
        is_used = (heard.status, heard.code) == (422, _NOT_UNIQUE_CODE)
        if not is_used and not self._is_in_doubt:
            return self._answer(Outcome.REJECTED, heard)
        # The same number stands for requests that are badly formed; then there is nothing to wait for.
        says_unique = is_used and "unique" in heard.reason.lower()
        found = await self._look_up(self._params.look_up_s if says_unique or self._is_in_doubt else 0.0)
        if found is NotFound.ABSENT and not says_unique:
            return self._answer(Outcome.REJECTED, heard)
        return self._found(found, heard)

    def _found(self, found: BrokerOrder | NotFound, heard: Heard) -> Answer:
        if isinstance(found, NotFound):
            return self._answer(Outcome.UNKNOWN, heard, f"{heard.reason}; it could not be looked up")
        if not self._is_same(found):
            # Not handed on: whoever reads it would take it for ours.
            return self._answer(Outcome.REJECTED, heard, "the broker has another order under this id")
        return self._answer(Outcome.ACCEPTED, heard, order=found)

    async def _look_up(self, window_s: float) -> BrokerOrder | NotFound:
        """The order as the broker has it, asked for until it is found or `window_s` are over."""
        clock = asyncio.get_running_loop().time
        end_s, pause_s = clock() + window_s, PAUSE_FIRST_S
        result = NotFound.SILENT
        while True:
            self._tries += 1
            heard = await self._line.ask("GET", BY_CLIENT_ID, query={"client_order_id": self._order.order_id})
            found = order_of(heard, self._order.order_id)
            if found is not None:
                return found
            if heard.is_absent:
                result = NotFound.ABSENT
            left_s = end_s - clock()
            if left_s < _MOMENT_S or heard.are_keys_refused:
                return result
            await self._sleep(min(pause_s, left_s))
            pause_s = min(2.0 * pause_s, PAUSE_MAX_S)

    def _is_same(self, order: BrokerOrder) -> bool:
        """Whether it is our order and not one that an earlier run gave the same id."""
        ours = self._order
        return (order.order_id, order.symbol, order.side, order.quantity) == (
            ours.order_id,
            ours.instrument.symbol,
            ours.side.value,
            ours.quantity,
        )

    def _answer(self, outcome: Outcome, heard: Heard, reason: str = "", order: BrokerOrder | None = None) -> Answer:
        said = "" if outcome is Outcome.ACCEPTED else reason or heard.reason
        return Answer(outcome, order, said, heard.status, heard.code, self._tries)


def order_of(heard: Heard, order_id: str) -> BrokerOrder | None:
    """The order an answer holds, where it holds the one of this client id."""
    if not heard.is_done:
        return None
    try:
        order = broker_order(heard.body)
    except Unreadable:
        return None
    return order if order.order_id == order_id else None


async def within_limit(ask: Callable[[], Awaitable[Heard]], line: Line, sleep: Sleep, patience_s: float) -> Heard:
    """Ask, and while the answer is 429 wait for the broker's next minute and ask again, `patience_s` at most.

    What is answered with 429 was not done, so asking again does nothing twice.
    """
    clock = asyncio.get_running_loop().time
    end_s, pause_s = clock() + patience_s, _LIMIT_STEP_S
    while True:
        heard = await ask()
        if heard.status != 429:
            return heard
        # One pause at least: where clocks differ, the minute may seem over already.
        rest_s = pause_s
        while rest_s > 0 and clock() < end_s:
            await sleep(min(rest_s, _LIMIT_STEP_S))
            rest_s = max(line.budget.rest_s(), rest_s - _LIMIT_STEP_S)
        if clock() >= end_s:
            return heard
        pause_s *= 2.0
