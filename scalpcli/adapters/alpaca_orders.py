"""The desk at Alpaca: orders, cancels and questions about them, each with an answer that can be relied on.

Decides what counts as an answer: "none" is said by the broker or not at all, and whatever cannot be read is silence,
never "flat". Leaves the way of an order to `alpaca_orders_submit.py`, requests to `alpaca_orders_http.py` and
spelling to `alpaca_orders_wire.py`. It waits only by `sleep` and by the loop's clock, so that it also runs in virtual
time over a transport in memory.

Source: `../shared/facts/alpaca.md`, sections 3.3 to 3.7.
"""

from __future__ import annotations

import asyncio
import dataclasses
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import httpx

from scalpcli.adapters.alpaca_orders_http import Heard, Line, Need
from scalpcli.adapters.alpaca_orders_submit import (
    BY_CLIENT_ID,
    ORDERS,
    PAUSE_FIRST_S,
    PAUSE_MAX_S,
    Sleep,
    Submission,
    within_limit,
)
from scalpcli.adapters.alpaca_orders_wire import (
    Unreadable,
    broker_account,
    broker_fill,
    broker_order,
    broker_position,
)
from scalpcli.adapters.alpaca_time import ns_to_iso
from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import (
    Answer,
    BrokerAccount,
    BrokerFill,
    BrokerOrder,
    BrokerPosition,
    BrokerSilent,
    Outcome,
)
from scalpcli.model.live_params import LiveParams
from scalpcli.model.order import OrderSide

_POSITIONS: Final = "/v2/positions"
_FILLS: Final = "/v2/account/activities/FILL"
_ORDERS_MAX: Final = 500
"""Orders of one list; the service's own limit."""
_ACTIVITIES_MAX: Final = 100
"""Entries of one page of activities; the service's own limit."""
_PAGES_MAX: Final = 1_000
_CANCEL_WAIT_S: Final = 65.0
_PENDING_CANCEL: Final = "pending_cancel"

_T = TypeVar("_T")


class AlpacaDesk:
    """Alpaca's trading API for one account.

    Args:
        trading_url: Its host, like `https://paper-api.alpaca.markets`.
        key: Key of the account.
        secret: Its secret.
        params: `[live]`: time-outs, look-ups and repetitions.
        transport: In place of the network.
        sleep: Waits so many seconds.
        now_ns: Time at the market, UTC nanoseconds; the broker's limit of requests runs by it.

    Raises:
        ConfigError: The address would send keys unencrypted over a network.
        CredentialsError: A key holds a character that no key has.
    """

    def __init__(
        self,
        trading_url: str,
        key: str,
        secret: str,
        params: LiveParams,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Sleep = asyncio.sleep,
        now_ns: Callable[[], int],
    ) -> None:
        self._line = Line(trading_url, key, secret, params, now_ns, transport)
        self._params, self._sleep = params, sleep
        self._order_ids: dict[str, str] = {}
        """Broker's id -> client's id of every order seen; as many as the account has in a session."""

    async def close(self) -> None:
        """End the connections."""
        await self._line.close()

    async def warm(self) -> None:
        """Open two connections, so that neither an order nor the question beside it waits for a handshake.

        Raises:
            BrokerSilent: The broker does not answer.
        """
        await asyncio.gather(self._ask("/v2/clock", Need.LOOK_UP), self._ask("/v2/clock", Need.LOOK_UP))

    # What changes something.

    async def submit(self, order: ApprovedOrder) -> Answer:
        """Send an order and find out what became of it (`alpaca_orders_submit.py`); never two of one id.

        Returns:
            ACCEPTED with the order as the broker has it, which may have ended already; REJECTED when the broker has
            none and will not; UNKNOWN when neither is certain.
        """
        if order.side is OrderSide.BUY and self._line.budget.wait_s(Need.ENTRY):
            return Answer(Outcome.REJECTED, reason="the requests left of this minute are kept for exits", tries=0)
        answer = await Submission(self._line, order, self._params, self._sleep).run()
        if answer.order is not None:
            self._note(answer.order)
        return answer

    async def cancel(self, broker_id: str) -> Answer:
        """Ask for an order back.

        Returns:
            ACCEPTED: it was asked for, the order's end is told later and may be a fill. REJECTED: the order has
            ended or the broker knows none, with the order where it can be looked up. UNKNOWN: neither is certain.
        """
        path = f"{ORDERS}/{_in_path(broker_id)}"
        tries, heard, order = 0, Heard(0), None

        async def delete() -> Heard:
            return await self._line.ask("DELETE", path)

        for repeat in range(self._params.submit_repeats_max + 1):
            if repeat:
                await self._sleep(min(PAUSE_FIRST_S * 2.0**repeat, PAUSE_MAX_S))
            heard = await within_limit(delete, self._line, self._sleep, _CANCEL_WAIT_S)
            tries += 1
            if heard.is_done:
                return Answer(Outcome.ACCEPTED, status=heard.status, tries=tries)
            if heard.are_keys_refused:
                break
            order = await self._seen(path)
            tries += 1
            is_known_to_end = order.is_ended if order is not None else heard.is_absent or heard.status == 422
            if is_known_to_end:
                return Answer(Outcome.REJECTED, order, heard.reason, heard.status, heard.code, tries)
            if order is not None and order.status == _PENDING_CANCEL:
                return Answer(Outcome.ACCEPTED, order, status=heard.status, tries=tries)
        return Answer(Outcome.UNKNOWN, order, heard.reason, heard.status, heard.code, tries)

    async def do_not_exercise(self, symbol: str) -> Answer:
        """Let what is held of a contract expire, whatever it is worth; asking twice does no harm."""
        path = f"{_POSITIONS}/{_in_path(symbol)}/do-not-exercise"
        heard = Heard(0)

        async def post() -> Heard:
            return await self._line.ask("POST", path)

        for repeat in range(self._params.submit_repeats_max + 1):
            if repeat:
                await self._sleep(min(PAUSE_FIRST_S * 2.0**repeat, PAUSE_MAX_S))
            heard = await within_limit(post, self._line, self._sleep, _CANCEL_WAIT_S)
            if heard.is_done:
                return Answer(Outcome.ACCEPTED, status=heard.status, tries=repeat + 1)
            if heard.is_refused:
                return Answer(Outcome.REJECTED, None, heard.reason, heard.status, heard.code, repeat + 1)
        tries = self._params.submit_repeats_max + 1
        return Answer(Outcome.UNKNOWN, None, heard.reason, heard.status, heard.code, tries)

    # Questions.

    async def order(self, order_id: str) -> BrokerOrder | None:
        """An order by the client's id; nothing = the broker knows none.

        Raises:
            BrokerSilent: The broker did not say.
        """
        heard = await self._ask(BY_CLIENT_ID, Need.LOOK_UP, {"client_order_id": order_id})
        if heard.is_absent:
            return None
        found = self._note(_read(broker_order, heard.body))
        if found.order_id != order_id:
            raise BrokerSilent("the broker told another order than the one asked for")
        return found

    async def open_orders(self) -> list[BrokerOrder]:
        """Every order of the account that has not ended, ours or not, oldest first; `order_id` is the client's id.

        Raises:
            BrokerSilent: The broker did not say, or there are more than it tells at once.
        """
        query = {"status": "open", "limit": str(_ORDERS_MAX), "direction": "asc"}
        orders = _each(broker_order, await self._told(ORDERS, Need.LOOK_UP, query))
        if len(orders) >= _ORDERS_MAX:
            raise BrokerSilent(f"the account has {_ORDERS_MAX} open orders or more, which one answer does not hold")
        return [self._note(order) for order in orders]

    async def positions(self) -> list[BrokerPosition]:
        """What the account holds, of whatever.

        Raises:
            BrokerSilent: The broker did not say.
        """
        return _each(broker_position, await self._told(_POSITIONS, Need.QUESTION))

    async def position(self, symbol: str) -> int:
        """Contracts held of one symbol; 0 = the broker says that there are none.

        Raises:
            BrokerSilent: The broker did not say, which does not mean flat.
        """
        # Asked before each sell: it is not held back either.
        heard = await self._ask(f"{_POSITIONS}/{_in_path(symbol)}", Need.LEAVE)
        if heard.is_absent:
            return 0
        found = _read(broker_position, heard.body)
        if found.symbol != symbol:
            raise BrokerSilent("the broker told another position than the one asked for")
        return found.quantity

    async def account(self) -> BrokerAccount:
        """Cash, equity and what the account may do.

        Raises:
            BrokerSilent: The broker did not say.
        """
        return _read(broker_account, await self._told("/v2/account", Need.QUESTION))

    async def fills(self, since_ns: int) -> list[BrokerFill]:
        """Executions of the account after `since_ns` (UTC nanoseconds), oldest first, ours or not.

        The execution's id is the one of the trading stream as far as is known; where in doubt, `broker_id` and
        `filled` together tell one execution from another as well.

        Raises:
            BrokerSilent: The broker did not say.
        """
        query = {"after": ns_to_iso(since_ns), "direction": "asc", "page_size": str(_ACTIVITIES_MAX)}
        entries: list[Any] = []
        for _ in range(_PAGES_MAX):
            page = await self._told(_FILLS, Need.QUESTION, query)
            if not isinstance(page, list):
                raise BrokerSilent("the broker's answer cannot be read")
            entries += page
            if len(page) < _ACTIVITIES_MAX:
                break
            query["page_token"] = _last_id(page)
        fills = _each(broker_fill, entries)
        await self._learn_ids({fill.broker_id for fill in fills})
        return [dataclasses.replace(fill, order_id=self._order_ids[fill.broker_id]) for fill in fills]

    # What answers are made of.

    def _note(self, order: BrokerOrder) -> BrokerOrder:
        self._order_ids[order.broker_id] = order.order_id
        return order

    async def _learn_ids(self, broker_ids: set[str]) -> None:
        """Find the client's ids of orders: by one list of the newest, then one by one."""
        if broker_ids - self._order_ids.keys():
            query = {"status": "all", "limit": str(_ORDERS_MAX), "direction": "desc"}
            for order in _each(broker_order, await self._told(ORDERS, Need.QUESTION, query)):
                self._note(order)
        for broker_id in sorted(broker_ids - self._order_ids.keys()):
            heard = await self._ask(f"{ORDERS}/{_in_path(broker_id)}", Need.QUESTION)
            # What the broker knows a fill but no order of, it did itself.
            self._order_ids[broker_id] = "" if heard.is_absent else _read(broker_order, heard.body).order_id

    async def _seen(self, path: str) -> BrokerOrder | None:
        """An order by its path, where the broker tells it."""
        try:
            return self._note(_read(broker_order, await self._told(path, Need.LEAVE)))
        except BrokerSilent:
            return None

    async def _told(self, path: str, need: Need, query: Mapping[str, str] | None = None) -> Any:
        """The body of an answer to a question that always has one."""
        heard = await self._ask(path, need, query)
        if heard.is_absent:
            raise BrokerSilent(heard.reason)
        return heard.body

    async def _ask(self, path: str, need: Need, query: Mapping[str, str] | None = None) -> Heard:
        """An answer that was done or says that there is nothing."""
        wait_s = self._line.budget.wait_s(need)
        if wait_s:
            raise BrokerSilent("the requests left of this minute are kept for orders", wait_s=wait_s)
        heard = await self._line.ask("GET", path, query=query)
        if heard.is_broken:
            # The broker may have closed a connection that was idle; a question may be asked twice.
            heard = await self._line.ask("GET", path, query=query)
        if heard.is_absent or (heard.is_done and heard.body is not None):
            return heard
        if heard.is_done:
            raise BrokerSilent("the broker's answer cannot be read")
        wait_s = max(0.0, self._line.budget.rest_s()) if heard.status == 429 else 0.0
        raise BrokerSilent(heard.reason, is_refused=heard.are_keys_refused, wait_s=wait_s)


def _read(reader: Callable[[Any], _T], data: Any) -> _T:
    try:
        return reader(data)
    except Unreadable:
        raise BrokerSilent("the broker's answer cannot be read") from None


def _each(reader: Callable[[Any], _T], data: Any) -> list[_T]:
    """Every entry of a list; one that cannot be read makes the whole of it unknown."""
    if not isinstance(data, list):
        raise BrokerSilent("the broker's answer cannot be read")
    return [_read(reader, entry) for entry in data]


def _last_id(page: list[Any]) -> str:
    last = page[-1]
    return str(last.get("id", "")) if isinstance(last, dict) else ""


def _in_path(text: str) -> str:
    return urllib.parse.quote(text, safe="")
