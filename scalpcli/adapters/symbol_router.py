"""Gives every message of a shared stream to the aggregator of its symbol.

Decides whose a message is. Leaves rows to the aggregators. With one symbol its aggregator is called directly, so
recording one symbol costs nothing more; with several, each frame is stamped for every one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from scalpcli.adapters.aggregator import DataAggregator


class SymbolRouter:
    """The aggregators that share a stream.

    Args:
        aggregators: The first ones; more may join.
    """

    def __init__(self, *aggregators: DataAggregator) -> None:
        self.stocks: dict[str, DataAggregator] = {}
        """Underlying -> its aggregator."""
        self.refused: Counter[str] = Counter()
        """Where messages that are nobody's are counted: with the first symbol."""
        self.stamp: Callable[[], int] = self._stamp_all
        """Take the receive stamp of what is written next, UTC nanoseconds; the latest of all."""
        self.option_trade: Callable[..., None] = self._option_trade
        """A print of a contract, as `DataAggregator.option_trade`."""
        self.option_quote: Callable[..., None] = self._option_quote
        """Best bid and ask of a contract, as `DataAggregator.option_quote`."""
        self._owners: dict[str, DataAggregator] = {}
        self._stamps: list[Callable[[], int]] = []
        for aggregator in aggregators:
            self.join(aggregator)

    def join(self, aggregator: DataAggregator) -> None:
        """Give it what is its symbol's from now on."""
        self.stocks[aggregator.symbol] = aggregator
        self._choose_the_way()

    def leave(self, aggregator: DataAggregator) -> None:
        """Give it nothing any more."""
        self.stocks.pop(aggregator.symbol, None)
        self._owners = {symbol: owner for symbol, owner in self._owners.items() if owner is not aggregator}
        self._choose_the_way()

    def own(self, aggregator: DataAggregator, contracts: Iterable[str]) -> None:
        """Give it what is told of `contracts` too."""
        self._owners.update(dict.fromkeys(contracts, aggregator))

    @property
    def stamp_ns(self) -> int:
        """The receive stamp taken last, UTC nanoseconds."""
        return max((aggregator.stamp_ns for aggregator in self.stocks.values()), default=0)

    @property
    def is_halted(self) -> bool:
        """Whether every underlying is halted, so that hardly anything is said."""
        return bool(self.stocks) and all(aggregator.is_halted for aggregator in self.stocks.values())

    def _choose_the_way(self) -> None:
        self._stamps = [aggregator.stamp for aggregator in self.stocks.values()]
        first = next(iter(self.stocks.values()), None)
        if first is not None:
            self.refused = first.refused
        if first is not None and len(self.stocks) == 1:
            self.stamp, self.option_trade, self.option_quote = first.stamp, first.option_trade, first.option_quote
        else:
            self.stamp, self.option_trade, self.option_quote = self._stamp_all, self._option_trade, self._option_quote

    def _stamp_all(self) -> int:
        return max([stamp() for stamp in self._stamps], default=0)

    def _option_trade(self, symbol: str, *told: Any) -> None:
        owner = self._owners.get(symbol)
        if owner is None:
            self.refused["option_trade: unknown symbol"] += 1
        else:
            owner.option_trade(symbol, *told)

    def _option_quote(self, symbol: str, *told: Any) -> None:
        owner = self._owners.get(symbol)
        if owner is None:
            self.refused["option_quote: unknown symbol"] += 1
        else:
            owner.option_quote(symbol, *told)
