"""What a client of a data stream subscribed to.

Decides which channels each feed has, what may be asked for, and what the acknowledgement lists: always the full
current set. Errors carry Alpaca's numbers and words.

Source: Alpaca, real-time market data and real-time option data.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from scalpcli.exchange.fault_script import Scope
from scalpcli.exchange.messages import Message
from scalpcli.exchange.plan import Plan
from scalpcli.model.instrument import Instrument
from scalpcli.model.row import OPTION_QUOTE, OPTION_TRADE, STATUS, STOCK_QUOTE, STOCK_TRADE

ERRORS: Final[Mapping[int, str]] = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    412: "option messages are only available in MsgPack",
    413: "star subscription not allowed for option quotes",
    500: "internal error",
}
"""Code -> words of an error message."""

_ASKED_CHANNELS: Final[Mapping[Scope, tuple[str, ...]]] = {
    Scope.STOCK: ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds"),
    Scope.OPTION: ("trades", "quotes"),
}
_FOLLOWING_CHANNELS: Final = ("corrections", "cancelErrors")
"""Come with the trades of a stock, unasked."""
_ALL_CHANNELS: Final = frozenset((*_ASKED_CHANNELS[Scope.STOCK], *_FOLLOWING_CHANNELS, "orderbooks", "news"))
_KINDS: Final[Mapping[Scope, Mapping[str, int]]] = {
    Scope.STOCK: {"trades": STOCK_TRADE, "quotes": STOCK_QUOTE, "statuses": STATUS},
    Scope.OPTION: {"trades": OPTION_TRADE, "quotes": OPTION_QUOTE},
}
_SYMBOL: Final = re.compile(r"^[A-Z][A-Z0-9./]{0,31}$", re.ASCII)
STAR: Final = "*"
_KEY_STEP: Final = 1 << 16


class Refused(Exception):
    """A message that is answered with an error.

    Args:
        code: One of `ERRORS`.
    """

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


def error_message(code: int) -> Message:
    """An error as the stream writes it."""
    return {"T": "error", "code": code, "msg": ERRORS[code]}


def row_key(kind: Any, instrument_id: Any) -> Any:
    """One number for a kind and an instrument; numbers or arrays."""
    return kind * _KEY_STEP + instrument_id


class Subscriptions:
    """The current set of one connection.

    Args:
        scope: Stock or option stream.
        plan: The data plan, with its limits.
        instruments: The tape's.

    Attributes:
        keys: `row_key` of every row the client wants.
    """

    def __init__(self, scope: Scope, plan: Plan, instruments: Iterable[Instrument]) -> None:
        self._scope, self._plan = scope, plan
        self._instruments = [item for item in instruments if item.is_option == (scope is Scope.OPTION)]
        self._sets: dict[str, set[str]] = {channel: set() for channel in _ASKED_CHANNELS[scope]}
        self.keys: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nothing is subscribed to."""
        return not any(self._sets.values())

    def change(self, request: Mapping[Any, Any], *, add: bool) -> None:
        """Subscribe to what a request names, or unsubscribe; all of it or nothing.

        Raises:
            Refused: 400 for what is no symbol, 405 above the plan's limit, 410 for a channel the feed lacks, 413.
        """
        wanted = {channel: _symbols(request[channel]) for channel in _ALL_CHANNELS if request.get(channel)}
        if any(channel not in self._sets for channel in wanted):
            raise Refused(410)
        if add and self._scope is Scope.OPTION and STAR in wanted.get("quotes", ()):
            raise Refused(413)
        new = {channel: set(symbols) for channel, symbols in self._sets.items()}
        for channel, symbols in wanted.items():
            new[channel] = new[channel] | symbols if add else new[channel] - symbols
        if add and self._exceeds_plan(new):
            raise Refused(405)
        self._sets = new
        self.keys = frozenset(self._row_keys())

    def message(self) -> Message:
        """The acknowledgement: every channel with its full current set."""
        lists = {channel: sorted(symbols) for channel, symbols in self._sets.items()}
        if self._scope is Scope.STOCK:
            lists |= dict.fromkeys(_FOLLOWING_CHANNELS, lists["trades"])
        return {"T": "subscription", **lists}

    def wants_status_of(self, symbol: str) -> bool:
        """Whether the trading status of a symbol goes to the client."""
        return bool({symbol, STAR} & self._sets.get("statuses", set()))

    def _exceeds_plan(self, sets: Mapping[str, set[str]]) -> bool:
        if self._scope is Scope.OPTION:
            return len(sets["quotes"]) > self._plan.option_quotes_max
        limit = self._plan.stock_symbols_max
        # A star counts as one symbol: the tape has one.
        return bool(limit) and len(sets["trades"] | sets["quotes"]) > limit

    def _row_keys(self) -> Iterable[int]:
        for channel, kind in _KINDS[self._scope].items():
            symbols = self._sets[channel]
            for instrument in self._instruments:
                if instrument.symbol in symbols or STAR in symbols:
                    yield row_key(kind, instrument.instrument_id)


def _symbols(value: Any) -> set[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise Refused(400)
    if not all(item == STAR or _SYMBOL.match(item) for item in value):
        raise Refused(400)
    return set(value)
