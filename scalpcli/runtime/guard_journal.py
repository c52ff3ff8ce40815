"""What a run's journal says is held: read from outside, while the engine writes it, or after it died.

Decides how lines of `decisions.jsonl` become orders and positions. A line that is not whole yet is not read: whatever
an order needs was on disk before it was sent, so a torn line never reached the broker.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from scalpcli.model.order import OrderSide

JOURNAL_FILE: Final = "decisions.jsonl"
_READ_BYTES: Final = 1 << 20
_ENDS: Final = ("cancelled", "expired", "rejected")


@dataclass(slots=True)
class JournalOrder:
    """An order as the journal tells it.

    Attributes:
        order_id: Its id.
        signal: Number of its signal.
        symbol: The contract.
        is_buy: Whether it buys.
        quantity: Contracts ordered.
        filled: Contracts filled, as far as the engine learned.
        is_ended: Whether the engine learned of its end.
    """

    order_id: str
    signal: int
    symbol: str
    is_buy: bool
    quantity: int
    filled: int = 0
    is_ended: bool = False


@dataclass(slots=True)
class JournalBook:
    """Orders and positions of a run, from its journal; call `read` for what is new.

    Args:
        folder: The run's folder.
        close_ns: Close of the session, UTC nanoseconds, until the journal tells it; 0 = not known.

    Attributes:
        orders: All orders sent, by id, in the order of the journal.
        damaged: Whole lines that are no decisions.
        last_ns: When the last one was decided, engine time; 0 = none was.
    """

    folder: Path
    close_ns: int = 0
    orders: dict[str, JournalOrder] = field(default_factory=dict)
    damaged: int = 0
    last_ns: int = 0
    _held: dict[int, tuple[str, int]] = field(default_factory=dict)
    _offset: int = 0

    @property
    def prefix(self) -> str:
        """What every order id of the run begins with; empty where none was sent."""
        first = next(iter(self.orders), "")
        return f"{first.rsplit('-', 2)[0]}-" if first else ""

    @property
    def held(self) -> dict[str, int]:
        """Contracts held, as far as the engine learned."""
        result: dict[str, int] = {}
        for symbol, quantity in self._held.values():
            if quantity > 0:
                result[symbol] = result.get(symbol, 0) + quantity
        return result

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every contract the run ever ordered, in that order."""
        return tuple(dict.fromkeys(order.symbol for order in self.orders.values()))

    @property
    def open_order_ids(self) -> list[str]:
        """Orders whose end the engine never learned."""
        return [order.order_id for order in self.orders.values() if not order.is_ended]

    def signal_of(self, symbol: str) -> int:
        """Number of the latest signal in a contract: its position is the one that is out."""
        return max((order.signal for order in self.orders.values() if order.symbol == symbol), default=0)

    def read(self) -> None:
        """Take in what was written since the last call; nothing where there is no journal yet."""
        try:
            with (self.folder / JOURNAL_FILE).open("rb") as file:
                file.seek(self._offset)
                # What is after the last line's end is read again: an engine that is started anew cuts a torn line off.
                rest = b""
                while data := file.read(_READ_BYTES):
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        self._offset += len(line) + 1
                        self._take_line(line)
        except FileNotFoundError:
            return

    def _take_line(self, line: bytes) -> None:
        try:
            decision = json.loads(line)
            kind = decision["kind"]
        except (ValueError, KeyError, TypeError):
            self.damaged += 1
            return
        self.last_ns = int(decision.get("ts_ns", self.last_ns))
        if kind == "session":
            self.close_ns = int(decision["close_ns"])
        elif kind == "order":
            self._take_order(decision)
        elif kind == "fill":
            self._take_fill(decision)
        elif kind == "reconcile" and decision["action"] == "adopt" and decision["applied"]:
            self._adopt(str(decision["symbol"]), int(decision["broker"]))
        elif kind == "trade":
            # Closed, by whatever: a position that the broker or a guard took out has no fill of an order of ours.
            self._held.pop(int(decision["signal"]), None)
        elif kind in _ENDS and decision["order_id"] in self.orders:
            self.orders[decision["order_id"]].is_ended = True

    def _adopt(self, symbol: str, held: int) -> None:
        """The broker's word became the engine's: one position of a contract, whoever opened it."""
        for signal, (name, _) in list(self._held.items()):
            if name == symbol:
                del self._held[signal]
        self._held[self.signal_of(symbol)] = (symbol, held)

    def _take_order(self, decision: dict[str, Any]) -> None:
        order_id, is_buy = str(decision["order_id"]), decision["side"] == OrderSide.BUY
        order = JournalOrder(
            order_id, int(decision["signal"]), str(decision["symbol"]), is_buy, int(decision["quantity"])
        )
        self.orders[order_id] = order

    def _take_fill(self, decision: dict[str, Any]) -> None:
        order = self.orders.get(decision["order_id"])
        if order is not None:
            order.filled += int(decision["quantity"])
            order.is_ended = order.is_ended or order.filled >= order.quantity
            self._held[order.signal] = (order.symbol, int(decision["held"]))
