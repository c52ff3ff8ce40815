"""Order updates as Alpaca's trading stream writes them, decoded into `TradeUpdate`.

Decides which fields of an update are read. A hint with low latency and no more: nothing is replayed after a
reconnect, so whoever listens asks the account again whenever the stream is ready (`on_ready`).

Source: Alpaca, "Websocket Streaming" of the trading API; JSON in binary or text frames.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from websockets.asyncio.client import ClientConnection

from scalpcli.adapters.alpaca_refusals import Refused, refusal_of_code
from scalpcli.adapters.alpaca_time import iso_to_ns
from scalpcli.errors import DataError
from scalpcli.units import E4_PER_USD

_STREAM: Final = "trade_updates"
_UNAUTHORISED: Final = 402


@dataclass(frozen=True, slots=True)
class TradeUpdate:
    """One event of one order.

    Attributes:
        event: Alpaca's word, `fill`, `partial_fill`, `canceled`, ...; words not known are kept.
        event_ns: When it happened, UTC nanoseconds; 0 where it is not said.
        order_id: Alpaca's id of the order.
        client_order_id: Our id of it.
        symbol: What is traded.
        side: `buy` or `sell`.
        status: The order's status after the event.
        order_quantity: Contracts ordered.
        filled_quantity: Contracts filled so far, all executions together.
        filled_price_e4: Mean price of them, 1/10000 USD; 0 before the first.
        execution_id: Id of the execution; "" where the event is none.
        quantity: Contracts of this execution; 0 where it is none.
        price_e4: Price of this execution, 1/10000 USD; 0 where it is none.
        position_quantity: Contracts held after it; none where it is not said.
        kind: `limit`, `market`, `stop`, ... of the order.
        limit_e4: The order's limit, 1/10000 USD; 0 where it has none.
        filled_sum_e4: Prices of what is filled added up: mean price times contracts, rounded once.
    """

    event: str
    event_ns: int
    order_id: str
    client_order_id: str
    symbol: str
    side: str
    status: str
    order_quantity: int
    filled_quantity: int
    filled_price_e4: int
    execution_id: str
    quantity: int
    price_e4: int
    position_quantity: int | None
    kind: str = ""
    limit_e4: int = 0
    filled_sum_e4: int = 0


def decode_update(data: Mapping[str, Any]) -> TradeUpdate:
    """A `TradeUpdate` from the `data` of a `trade_updates` message.

    Raises:
        DataError: the message has no event or no order, or a number cannot be read.
    """
    try:
        order = data["order"]
        position = data.get("position_qty")
        return TradeUpdate(
            event=str(data["event"]),
            event_ns=_time_ns(data.get("timestamp") or data.get("at")),
            order_id=str(order["id"]),
            client_order_id=str(order.get("client_order_id") or ""),
            symbol=str(order.get("symbol") or ""),
            side=str(order.get("side") or ""),
            status=str(order.get("status") or ""),
            order_quantity=_quantity(order.get("qty")),
            filled_quantity=_quantity(order.get("filled_qty")),
            filled_price_e4=_price_e4(order.get("filled_avg_price")),
            execution_id=str(data.get("execution_id") or ""),
            quantity=_quantity(data.get("qty")),
            price_e4=_price_e4(data.get("price")),
            position_quantity=None if position is None else _quantity(position),
            kind=str(order.get("type") or order.get("order_type") or ""),
            limit_e4=_price_e4(order.get("limit_price")),
            filled_sum_e4=_price_e4(order.get("filled_avg_price"), _quantity(order.get("filled_qty"))),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise DataError("an order update cannot be read", hint="ask the account for its orders instead") from None


def _time_ns(text: Any) -> int:
    return iso_to_ns(text) if text else 0


def _quantity(value: Any) -> int:
    return round(float(value)) if value else 0


def _price_e4(value: Any, times: int = 1) -> int:
    return round(float(value) * E4_PER_USD * times) if value else 0


class UpdatesEndpoint:
    """The trading stream: authentication, listening, updates.

    Args:
        url: Its full address.
        keys: Key and secret.
        on_update: Takes each update.
        on_ready: Called when the stream listens again; what happened before is to be asked for.
        on_down: Called with the cause when it does not.
    """

    def __init__(
        self,
        url: str,
        keys: tuple[str, str],
        *,
        on_update: Callable[[TradeUpdate], None],
        on_ready: Callable[[], None],
        on_down: Callable[[str], None],
    ) -> None:
        self.name = _STREAM
        self.url = url
        self.headers: dict[str, str] = {}
        self.is_ready = False
        """Whether the stream listens: only then may entries rely on it."""
        self.unreadable = 0
        """Messages that could not be read; the account has to be asked."""
        self._keys = keys
        self._on_update = on_update
        self._on_ready = on_ready
        self._on_down = on_down

    async def wanted(self) -> None:
        """Updates are always wanted."""

    async def open(self, connection: ClientConnection, answer_s: float) -> None:
        """Authenticate and listen, each within `answer_s` seconds, and check that it is granted."""
        key, secret = self._keys
        await connection.send(json.dumps({"action": "auth", "key": key, "secret": secret}))
        answer = await self._answer(connection, "authorization", answer_s)
        if answer.get("status") != "authorized":
            raise refusal_of_code(_UNAUTHORISED, self.name)
        await connection.send(json.dumps({"action": "listen", "data": {"streams": [_STREAM]}}))
        answer = await self._answer(connection, "listening", answer_s)
        if answer.get("streams") != [_STREAM]:
            raise Refused("subscription not granted")
        self.is_ready = True
        self._on_ready()

    async def _answer(self, connection: ClientConnection, stream: str, answer_s: float) -> dict[str, Any]:
        async with asyncio.timeout(answer_s):
            while True:
                frame: Any = await connection.recv(decode=False)
                for message in self._messages(frame):
                    _raise_error(message, self.name)
                    if message.get("stream") == stream and isinstance(message.get("data"), dict):
                        return dict(message["data"])
                    self._take_message(message)

    def take(self, frame: bytes) -> bool:
        """Hand on a frame's updates; whether there were any."""
        taken = False
        for message in self._messages(frame):
            _raise_error(message, self.name)
            taken |= self._take_message(message)
        return taken

    def _messages(self, frame: bytes) -> list[dict[str, Any]]:
        try:
            found = json.loads(frame)
        except (ValueError, RecursionError):
            self.unreadable += 1
            return []
        messages = found if isinstance(found, list) else [found]
        objects = [message for message in messages if isinstance(message, dict)]
        self.unreadable += len(messages) - len(objects)
        return objects

    def _take_message(self, message: dict[str, Any]) -> bool:
        if message.get("stream") != _STREAM:
            return False
        try:
            update = decode_update(message["data"])
        except (DataError, KeyError, TypeError):
            self.unreadable += 1
            return False
        self._on_update(update)
        return True

    def down(self, cause: str) -> None:
        """The stream does not listen any more."""
        self.is_ready = False
        self._on_down(cause)

    def stale_s(self) -> float:
        """Silence is right: nothing is said while no order changes. Pings find a dead connection."""
        return float("inf")

    def overdue(self, now_s: float) -> str:  # noqa: ARG002 - the protocol's signature
        """Nothing is owed."""
        return ""


def _raise_error(message: dict[str, Any], name: str) -> None:
    """End the connection at an error in either of the two forms seen."""
    data = message.get("data")
    if message.get("T") == "error" or message.get("action") == "error":
        code = message.get("code") or (data.get("code") if isinstance(data, dict) else 0)
        raise refusal_of_code(code if isinstance(code, int) else 0, name)
