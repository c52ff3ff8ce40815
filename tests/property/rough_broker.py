"""A broker that is true to itself and rough to us: news comes late, in any order, and some orders are lost for a while.

It holds contracts, refuses to sell more than it holds and no other sell claims, and never says a thing twice: who
stands between it and the engine leaves repetitions out. All chance comes from one generator, so that a number names
a whole story.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from scalpcli.core.executor import Command
from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.order import CancelRequest, DoNotExercise, Leg, OrderKind, OrderSide, Reply, ReplyKind

MS = 1_000_000


@dataclass(slots=True)
class Resting:
    """An order at the broker."""

    order: ApprovedOrder
    filled: int = 0
    is_open: bool = True


@dataclass(slots=True)
class RoughBroker:
    """The broker of one story.

    Attributes:
        chance: Where everything random comes from.
        is_orderly: Whether news of one order comes in the order in which it happened.
        price_e4: What a contract trades at now.
        held: Contracts of each symbol.
        cash_e4: Premium got less premium paid, a share counted a hundred times.
        bought: Contracts bought by each signal.
    """

    chance: random.Random
    is_orderly: bool
    price_e4: int = 14_000
    held: dict[str, int] = field(default_factory=dict)
    cash_e4: int = 0
    bought: dict[int, int] = field(default_factory=dict)
    fills: int = 0
    orders: dict[str, Resting] = field(default_factory=dict)
    _due: list[tuple[int, int, Callable[[int], None]]] = field(default_factory=list)
    _news: list[tuple[int, int, Reply]] = field(default_factory=list)
    _number: int = 0
    _last_news_ns: dict[str, int] = field(default_factory=dict)

    def send(self, command: Command, t_ns: int) -> None:
        """Take a command on its way; one in ten orders is of unknown outcome, and half of those never arrive."""
        if isinstance(command, DoNotExercise):
            return
        delay_ns = self.chance.randrange(1, 400) * MS
        if isinstance(command, CancelRequest):
            self._at(t_ns + delay_ns, lambda now_ns: self._cancel(command.order_id, now_ns))
            return
        resting = Resting(command)
        if self.chance.random() < 0.1:
            self._tell(ReplyKind.UNKNOWN, command.order_id, t_ns, delay_ms=5)
            if self.chance.random() < 0.5:
                resting.is_open = False
                self.orders[command.order_id] = resting
                self._at(t_ns + 3000 * MS, lambda now_ns: self._tell(ReplyKind.REJECTED, command.order_id, now_ns))
                return
            delay_ns += 1000 * MS
        self._at(t_ns + delay_ns, lambda now_ns: self._arrive(resting, now_ns))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is under way in either direction."""
        return not self._due and not self._news

    def run(self, t_ns: int) -> list[Reply]:
        """Let everything due happen; what we learn."""
        while self._due and self._due[0][0] <= t_ns:
            at_ns, _, act = heapq.heappop(self._due)
            act(at_ns)
        learned = []
        while self._news and self._news[0][0] <= t_ns:
            learned.append(heapq.heappop(self._news)[2])
        return learned

    def trade(self, t_ns: int) -> None:
        """Let open orders meet the market as it stands, in parts as it comes."""
        for resting in list(self.orders.values()):
            if resting.is_open and self._is_met(resting.order) and self.chance.random() < 0.7:
                self._fill(resting, self.chance.randint(1, resting.order.quantity - resting.filled), t_ns)

    def sell_by_hand(self, symbol: str) -> None:
        """Somebody else sells what no order of ours claims."""
        quantity = self.held.get(symbol, 0) - self._claimed(symbol)
        if quantity > 0:
            self._move(symbol, -quantity)

    def _is_met(self, order: ApprovedOrder) -> bool:
        if order.kind is OrderKind.MARKET:
            return True
        if order.kind is OrderKind.STOP:
            return self.price_e4 <= order.stop_e4
        is_buy = order.side is OrderSide.BUY
        return self.price_e4 <= order.limit_e4 if is_buy else self.price_e4 >= order.limit_e4

    def _arrive(self, resting: Resting, t_ns: int) -> None:
        order = resting.order
        self.orders[order.order_id] = resting
        free = self.held.get(order.instrument.symbol, 0) - self._claimed(order.instrument.symbol, resting)
        if self.chance.random() < 0.05 or (order.side is OrderSide.SELL and order.quantity > free):
            resting.is_open = False
            self._tell(ReplyKind.REJECTED, order.order_id, t_ns)
        else:
            self._tell(ReplyKind.ACCEPTED, order.order_id, t_ns)

    def _claimed(self, symbol: str, besides: Resting | None = None) -> int:
        return sum(
            each.order.quantity - each.filled
            for each in self.orders.values()
            if each.is_open
            and each is not besides
            and each.order.side is OrderSide.SELL
            and each.order.instrument.symbol == symbol
        )

    def _fill(self, resting: Resting, quantity: int, t_ns: int) -> None:
        order = resting.order
        is_buy = order.side is OrderSide.BUY
        resting.filled += quantity
        resting.is_open = resting.filled < order.quantity
        self._move(order.instrument.symbol, quantity if is_buy else -quantity)
        if order.leg is Leg.ENTRY:
            self.bought[order.signal] = self.bought.get(order.signal, 0) + quantity
        self.fills += 1
        self._tell(ReplyKind.FILL, order.order_id, t_ns, quantity=quantity)

    def _move(self, symbol: str, quantity: int) -> None:
        self.held[symbol] = self.held.get(symbol, 0) + quantity
        assert self.held[symbol] >= 0
        self.cash_e4 -= quantity * self.price_e4 * 100

    def _cancel(self, order_id: str, t_ns: int) -> None:
        resting = self.orders.get(order_id)
        if resting is None:
            # It has not arrived: the cancel waits for it.
            self._at(t_ns + 500 * MS, lambda now_ns: self._cancel(order_id, now_ns))
        elif resting.is_open:
            resting.is_open = False
            self._tell(ReplyKind.CANCELLED, order_id, t_ns)

    def _at(self, ts_ns: int, act: Callable[[int], None]) -> None:
        self._number += 1
        heapq.heappush(self._due, (ts_ns, self._number, act))

    def _tell(self, kind: ReplyKind, order_id: str, t_ns: int, *, quantity: int = 0, delay_ms: int = 0) -> None:
        at_ns = t_ns + (delay_ms or self.chance.randrange(1, 600)) * MS
        if self.is_orderly:
            at_ns = self._last_news_ns[order_id] = max(at_ns, self._last_news_ns.get(order_id, 0))
        self._number += 1
        price_e4 = self.price_e4 if quantity else 0
        heapq.heappush(self._news, (at_ns, self._number, Reply(kind, order_id, t_ns, quantity, price_e4)))
