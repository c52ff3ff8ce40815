"""What a trader and a guard ask of a broker: the one door through which orders leave.

Decides nothing. `adapters/alpaca_orders.py` speaks it with Alpaca, tests with a broker of their own.
"""

from __future__ import annotations

from typing import Protocol

from scalpcli.core.risk import ApprovedOrder
from scalpcli.model.broker import Answer, BrokerAccount, BrokerFill, BrokerOrder, BrokerPosition


class Desk(Protocol):
    """A broker. Whatever asks may raise `BrokerSilent`: then nothing is known, least of all "flat"."""

    async def submit(self, order: ApprovedOrder) -> Answer:
        """Send an order once; of unknown outcome it is looked up, and never resent blindly."""

    async def cancel(self, broker_id: str) -> Answer:
        """Ask for an order back. Accepted = asked; rejected = it has ended or is not known."""

    async def order(self, order_id: str) -> BrokerOrder | None:
        """The order of our id; nothing where the broker knows none.

        Raises:
            BrokerSilent: no answer.
        """

    async def open_orders(self) -> list[BrokerOrder]:
        """Orders that work now, whoever sent them.

        Raises:
            BrokerSilent: no answer.
        """

    async def positions(self) -> list[BrokerPosition]:
        """What the account holds.

        Raises:
            BrokerSilent: no answer.
        """

    async def position(self, symbol: str) -> int:
        """Contracts held of one symbol; 0 where the broker says that there are none.

        Raises:
            BrokerSilent: no answer.
        """

    async def account(self) -> BrokerAccount:
        """The account.

        Raises:
            BrokerSilent: no answer.
        """

    async def fills(self, since_ns: int) -> list[BrokerFill]:
        """Executions of the account since a time, UTC nanoseconds.

        Raises:
            BrokerSilent: no answer.
        """

    async def do_not_exercise(self, symbol: str) -> Answer:
        """Let contracts still held expire rather than become shares."""

    async def close(self) -> None:
        """Let go of the connections."""
