"""What a broker tells about orders, fills, positions and the account: plain values of every adapter.

They cross between the adapter that speaks a broker's protocol (`adapters/alpaca_orders.py`) and the trader that
keeps our view equal to it (`runtime/trader.py`). Prices are 1/10000 USD a share, money is 1/10000 USD.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced", "done_for_day"})
"""States of an order after which nothing more happens to it; Alpaca's words."""


@dataclass(frozen=True, slots=True)
class BrokerFill:
    """One execution.

    Attributes:
        execution_id: The broker's id of it; what tells a fill from its repetition.
        order_id: Our id of the order; empty where it is none of ours.
        broker_id: The broker's id of the order.
        symbol: The contract.
        side: `buy` or `sell`.
        quantity: Contracts of this execution.
        price_e4: Its price.
        filled: Contracts of the order filled with this execution included; 0 where it is not said.
        ts_market_ns: When it happened, UTC nanoseconds; 0 where it is not said.
    """

    execution_id: str
    order_id: str
    broker_id: str
    symbol: str
    side: str
    quantity: int
    price_e4: int
    filled: int
    ts_market_ns: int


@dataclass(frozen=True, slots=True)
class BrokerOrder:
    """An order as the broker sees it.

    Attributes:
        order_id: Our id of it; empty where it is none of ours.
        broker_id: The broker's id.
        symbol: The contract.
        side: `buy` or `sell`.
        kind: `limit`, `market`, `stop`, ...
        status: The broker's word.
        quantity: Contracts ordered.
        filled: Contracts filled so far.
        filled_sum_e4: Their prices added up: mean price times contracts, rounded once.
        limit_e4: Its limit; 0 where it has none.
        updated_ns: When it last changed, UTC nanoseconds; 0 where it is not said.
    """

    order_id: str
    broker_id: str
    symbol: str
    side: str
    kind: str
    status: str
    quantity: int
    filled: int
    filled_sum_e4: int
    limit_e4: int
    updated_ns: int

    @property
    def is_ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self.status in ENDED


@dataclass(frozen=True, slots=True)
class BrokerUpdate:
    """Something that happened to an order, as the broker's stream tells it.

    Attributes:
        event: The broker's word, `fill`, `partial_fill`, `canceled`, ...
        order: The order after it.
        fill: The execution, where it is one.
        position_quantity: Contracts held after it; nothing where it is not said.
    """

    event: str
    order: BrokerOrder
    fill: BrokerFill | None
    position_quantity: int | None


@dataclass(frozen=True, slots=True)
class BrokerPosition:
    """What the account holds of one symbol.

    Attributes:
        symbol: The contract, or a stock.
        quantity: Contracts; below zero where it is short.
        available: Contracts that no working order holds.
        average_e4: Mean price paid.
    """

    symbol: str
    quantity: int
    available: int
    average_e4: int


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """The account.

    Attributes:
        number: Its number, of which people are shown the last four characters alone.
        status: The broker's word; `ACTIVE` may trade.
        is_blocked: Whether trading is blocked or suspended.
        options_level: From 2 on options may be bought.
        buying_power_e4: What options may be bought for.
        cash_e4: Cash.
        equity_e4: Equity.
    """

    number: str
    status: str
    is_blocked: bool
    options_level: int
    buying_power_e4: int
    cash_e4: int
    equity_e4: int


class Outcome(StrEnum):
    """What became of a request that moves money."""

    ACCEPTED = "accepted"
    """The broker has it; for a cancel: it will be looked at."""
    REJECTED = "rejected"
    """The broker refuses it for good; for a cancel: the order has ended or is not known."""
    UNKNOWN = "unknown"
    """Neither is certain. It counts as accepted until a look-up tells."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The broker's answer to an order or a cancel.

    Attributes:
        outcome: What became of it.
        order: The order, where the broker told it.
        reason: Why it was refused or is not certain, in words for people; never a key in it.
        status: Status of the HTTP answer; 0 where there was none.
        code: The broker's own number of the error; 0 where it gave none.
        tries: Requests it took, look-ups included.
    """

    outcome: Outcome
    order: BrokerOrder | None = None
    reason: str = ""
    status: int = 0
    code: int = 0
    tries: int = 1


class BrokerSilent(Exception):
    """The broker did not answer a question, or not in a way that can be read: nothing is known, least of all "flat".

    Args:
        reason: What happened, in words; never a key in it.
        is_refused: Whether it refused our keys (401 or 403): asking again changes nothing.
        wait_s: Seconds it asks to wait; 0 where it does not say.
    """

    def __init__(self, reason: str, *, is_refused: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_refused = is_refused
        self.wait_s = wait_s
