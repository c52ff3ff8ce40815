"""What the broker says of our orders, folded into replies: each fact once, in an order the engine can take.

The same facts reach us several times and in any order: as the answer to the order, as messages of the stream of
updates, and as look-ups. Decides what of them is news. The broker's cumulative figures say how much is filled;
executions, known by their ids, say at which prices. Nothing is sent from here and nothing is read.

What is always so, whatever came in whichever order: an order is accepted once and before its fills; its fills add up
to the contracts and the money the broker states; it ends once, after the fills that were stated with its end. A fill
that the broker tells after the end is told too: it is real.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import Answer, BrokerFill, BrokerOrder, BrokerUpdate, Outcome
from scalpcli.model.order import TERMINAL_REPLIES, Leg, OrderSide, Reply, ReplyKind

_E4_PER_CENT: Final = 100
_ENDS: Final = {
    "canceled": ReplyKind.CANCELLED,
    "replaced": ReplyKind.CANCELLED,
    "done_for_day": ReplyKind.EXPIRED,
    "expired": ReplyKind.EXPIRED,
    "rejected": ReplyKind.REJECTED,
}


@dataclass(slots=True)
class TrackedOrder:
    """One order of ours and what was told of it so far.

    Attributes:
        order: What was decided.
        decided_ns: When, engine time.
        sent_ns: When it was handed to the broker; 0 = not yet, or by an earlier process.
        broker_id: The broker's id; empty until it is told.
        status: The broker's last word.
        told_quantity: Contracts told as filled.
        told_sum_e4: Their prices added up.
        is_accepted: Whether it was told that the broker has it.
        is_unknown: Whether it is not certain that the broker has it.
        is_ended: Whether it was told that nothing more happens to it.
        is_cancelling: Whether it was asked for back.
        is_stray: Whether it works at the broker though we had given it up: it arrived after all.
        missed: Look-ups in a row for which the broker knew no such order.
    """

    order: ApprovedOrder
    decided_ns: int
    sent_ns: int = 0
    broker_id: str = ""
    status: str = ""
    told_quantity: int = 0
    told_sum_e4: int = 0
    is_accepted: bool = False
    is_unknown: bool = False
    is_ended: bool = False
    is_cancelling: bool = False
    is_stray: bool = False
    missed: int = 0
    _is_given_up: bool = False
    """Whether its end is our own conclusion, not the broker's word."""
    _is_whole: bool = True
    """Whether every execution since the beginning was told to this process."""
    _executions: dict[str, tuple[int, int]] = field(default_factory=dict)
    _stated: tuple[int, int] = (0, 0)
    """The most contracts the broker stated as filled, and their prices added up."""

    @property
    def order_id(self) -> str:
        """Our id."""
        return self.order.order_id

    @property
    def unfilled(self) -> int:
        """Contracts not filled as far as was told."""
        return self.order.quantity - self.told_quantity

    def take_answer(self, answer: Answer) -> list[Reply]:
        """What the answer to the order tells."""
        if answer.order is not None:
            return self.take_order(answer.order, answer.reason)
        if answer.outcome is Outcome.ACCEPTED:
            return self._accept(0)
        if answer.outcome is Outcome.UNKNOWN:
            return self.lose(answer.reason)
        # Whatever the answer says: an order of which fills or an acceptance were told is there.
        return [] if self.is_accepted else self.reject(answer.reason)

    def take_order(self, order: BrokerOrder, reason: str = "") -> list[Reply]:
        """What a look at the order tells."""
        self.missed = 0
        self.is_unknown = False
        self.broker_id = order.broker_id or self.broker_id
        self.is_stray = self._is_given_up and not order.is_ended
        self._is_given_up = self._is_given_up and not order.is_ended
        if not self.is_ended:
            self.status = order.status
        if order.filled > self._stated[0]:
            self._stated = (order.filled, _to_cents(order.filled_sum_e4))
        kind = _ENDS.get(order.status)
        replies = [] if kind is ReplyKind.REJECTED and not order.filled else self._accept(order.updated_ns)
        replies += self._fills(order.updated_ns)
        if order.is_ended and not self.is_ended:
            self.is_ended = True
            # A filled order has nothing to say but its fills; one that ended with fewer than ordered has.
            if kind is not None or self.told_quantity < self.order.quantity:
                end = kind or ReplyKind.EXPIRED
                words = reason or f"{order.status} at the broker"
                replies.append(Reply(end, self.order_id, order.updated_ns, reason=words))
        return replies

    def take_fill(self, fill: BrokerFill) -> list[Reply]:
        """What one execution tells; one that was told before tells nothing."""
        if fill.execution_id in self._executions:
            return []
        self._executions[fill.execution_id] = (fill.quantity, fill.quantity * fill.price_e4)
        self.broker_id = fill.broker_id or self.broker_id
        self.is_unknown = False
        return self._accept(fill.ts_market_ns) + self._fills(fill.ts_market_ns)

    def take_update(self, update: BrokerUpdate) -> list[Reply]:
        """What one message of the stream of updates tells."""
        # The execution first: its price is exact, the order's mean is not.
        replies = self.take_fill(update.fill) if update.fill is not None else []
        return replies + self.take_order(update.order)

    def lose(self, reason: str) -> list[Reply]:
        """Nobody knows whether the broker has it: it counts as working until a look-up tells."""
        if self.is_accepted or self.is_ended or self.is_unknown:
            return []
        self.is_unknown = True
        return [Reply(ReplyKind.UNKNOWN, self.order_id, 0, reason=reason)]

    def reject(self, reason: str) -> list[Reply]:
        """It was not sent, or the broker does not take it."""
        if self.is_ended:
            return []
        self.is_ended, self.is_unknown, self.status = True, False, "rejected"
        self._is_given_up = True
        return [Reply(ReplyKind.REJECTED, self.order_id, 0, reason=reason)]

    def withdraw(self, reason: str) -> list[Reply]:
        """It was taken back before it was sent."""
        if self.is_ended:
            return []
        self.is_ended, self.is_unknown, self.status = True, False, "canceled"
        return [Reply(ReplyKind.CANCELLED, self.order_id, 0, reason=reason)]

    def restore(self, reply: Reply) -> None:
        """Take in a reply that an earlier process told."""
        if reply.kind is ReplyKind.ACCEPTED:
            self.is_accepted, self.is_unknown = True, False
        elif reply.kind is ReplyKind.UNKNOWN:
            self.is_unknown = True
        elif reply.kind is ReplyKind.FILL:
            self.told_quantity += reply.quantity
            self.told_sum_e4 += reply.quantity * reply.price_e4
            # The ids of its executions are not in the rows: from here on the broker's sums tell what is missing.
            self._is_whole = False
            self.is_unknown = False
            self.is_ended = self.is_ended or self.told_quantity >= self.order.quantity
        elif reply.kind in TERMINAL_REPLIES:
            self.is_ended, self.is_unknown = True, False
            self._is_given_up = reply.kind is ReplyKind.REJECTED

    def _accept(self, ts_ns: int) -> list[Reply]:
        if self.is_accepted:
            return []
        self.is_accepted = True
        return [Reply(ReplyKind.ACCEPTED, self.order_id, ts_ns)]

    def _fills(self, ts_ns: int) -> list[Reply]:
        """Fills that were not told yet."""
        quantity, sum_e4 = self._stated
        known = sum(each[0] for each in self._executions.values())
        if self._is_whole and known >= quantity:
            quantity, sum_e4 = known, sum(each[1] for each in self._executions.values())
        missing, missing_e4 = quantity - self.told_quantity, sum_e4 - self.told_sum_e4
        if missing <= 0:
            return []
        if missing_e4 <= 0:
            # The broker tells how much and not for what: what we would pay at most, or take at least.
            missing_e4 = missing * max(self.order.limit_e4, 1)
        self.told_quantity += missing
        self.told_sum_e4 += missing_e4
        return [
            Reply(ReplyKind.FILL, self.order_id, ts_ns, part, price_e4)
            for part, price_e4 in split_sum(missing, missing_e4)
        ]


def split_sum(quantity: int, sum_e4: int) -> list[tuple[int, int]]:
    """Contracts and price of at most two fills that add up to `quantity` and `sum_e4`, in whole cents where it is."""
    unit = 1 if sum_e4 % _E4_PER_CENT else _E4_PER_CENT
    low_e4 = sum_e4 // unit // quantity * unit
    higher = (sum_e4 - low_e4 * quantity) // unit
    parts = [(quantity - higher, low_e4), (higher, low_e4 + unit)]
    return [(part, price_e4) for part, price_e4 in parts if part]


def _to_cents(sum_e4: int) -> int:
    """A sum of prices to the cent: contracts trade in cents, the broker's mean price is rounded."""
    return round(sum_e4 / _E4_PER_CENT) * _E4_PER_CENT


class OrderTracker:
    """Every order of this session, by our id."""

    def __init__(self) -> None:
        self.orders: dict[str, TrackedOrder] = {}
        self.working: dict[str, TrackedOrder] = {}
        """Orders of which something may still be learned, in the order they were decided."""
        self.moves = 0
        """Grows with all that may have moved a position: two looks with the same number must see the same."""

    def add(self, order: ApprovedOrder, decided_ns: int) -> TrackedOrder:
        """Begin to follow an order."""
        tracked = TrackedOrder(order, decided_ns)
        self.orders[order.order_id] = self.working[order.order_id] = tracked
        return tracked

    def find(self, order_id: str, broker_id: str = "") -> TrackedOrder | None:
        """The order of our id, else of the broker's."""
        if order_id:
            return self.orders.get(order_id)
        return next((each for each in self.orders.values() if broker_id and each.broker_id == broker_id), None)

    def is_held_back(self, symbol: str) -> int:
        """Contracts of one symbol that our working sells may still sell."""
        return sum(
            each.unfilled
            for each in self.orders.values()
            if (not each.is_ended or each.is_stray)
            and each.order.side is OrderSide.SELL
            and each.order.instrument.symbol == symbol
        )

    def net(self, symbol: str) -> int:
        """Contracts of one symbol that our orders bought and did not sell, as far as was told."""
        return sum(
            each.told_quantity if each.order.side is OrderSide.BUY else -each.told_quantity
            for each in self.orders.values()
            if each.order.instrument.symbol == symbol
        )

    def settle(self, tracked: TrackedOrder) -> None:
        """Count what was learned of an order, and let it go once it has ended."""
        self.moves += tracked.sent_ns > 0
        if tracked.is_ended:
            self.working.pop(tracked.order_id, None)

    @property
    def unknown(self) -> list[str]:
        """Orders of which nobody knows whether the broker has them."""
        return [each.order_id for each in self.working.values() if each.is_unknown]


def reply_body(reply: Reply) -> dict[str, Any]:
    """The body of a reply's row (`note.BROKER`)."""
    body: dict[str, Any] = {"reply": str(reply.kind), "order_id": reply.order_id, "ts_market_ns": reply.ts_market_ns}
    said = {name: getattr(reply, name) for name in ("quantity", "price_e4", "bid_e4", "ask_e4", "reason")}
    return body | {name: value for name, value in said.items() if value}


def reply_of(body: dict[str, Any]) -> Reply:
    """The reply that a row tells."""
    numbers = {name: int(body.get(name, 0)) for name in ("quantity", "price_e4", "bid_e4", "ask_e4")}
    kind = ReplyKind(body["reply"])
    return Reply(kind, str(body["order_id"]), int(body["ts_market_ns"]), **numbers, reason=str(body.get("reason", "")))


def is_entry(order: ApprovedOrder) -> bool:
    """Whether an order opens: only those may be given up for being late."""
    return order.leg is Leg.ENTRY
