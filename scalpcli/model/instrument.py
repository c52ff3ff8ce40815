"""Instruments and OCC symbols: what can be traded on a tape, and how its price may step.

Source of the symbol layout: OCC, Options Symbology Initiative (root up to 6 letters, yymmdd, C or P,
strike in 1/1000 USD as 8 digits). Source of the tick rules: Penny Interval Program, see `TickRule`.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scalpcli.errors import DataError, UsageError

STANDARD_MULTIPLIER: Final = 100
_UNDERLYING: Final = re.compile(r"[A-Z]{1,6}(?:[./][A-Z]{1,2})?", re.ASCII)
_OCC: Final = re.compile(r"^([A-Z]{1,6}) {0,5}(\d{2})(\d{2})(\d{2})([CP])(\d{8})$", re.ASCII)


class TickRule(StrEnum):
    """The grid a contract's price may stand on."""

    PENNY = "penny"
    """0.01 USD throughout (SPY, QQQ, IWM)."""
    PENNY_PROGRAM = "penny_program"
    """0.01 USD below 3.00, 0.05 at and above (classes of the Penny Interval Program, TSLA among them)."""
    NICKEL = "nickel"
    """0.05 USD below 3.00, 0.10 at and above (everything else)."""


_TICKS_E4: Final = {
    TickRule.PENNY: (100, 100),
    TickRule.PENNY_PROGRAM: (100, 500),
    TickRule.NICKEL: (500, 1_000),
}
_TICK_BREAK_E4: Final = 30_000


def check_underlying(symbol: str) -> None:
    """Refuse what no exchange lists, before it names a folder or is asked for.

    Raises:
        UsageError: it is not written as `TSLA` or `BRK.B` is.
    """
    if not _UNDERLYING.fullmatch(symbol):
        told = symbol.upper() if _UNDERLYING.fullmatch(symbol.upper()) else "TSLA"
        raise UsageError(
            f"`--symbol {symbol}` is no symbol of a stock", hint=f"write it in capitals, like `--symbol {told}`"
        )


def tick_e4(rule: TickRule, price_e4: int) -> int:
    """Smallest price step at `price_e4`, 1/10000 USD."""
    below, above = _TICKS_E4[rule]
    return below if price_e4 < _TICK_BREAK_E4 else above


def round_to_tick(rule: TickRule, price_e4: int, *, up: bool) -> int:
    """The nearest price on the grid at or above (`up`) or at or below `price_e4`."""
    step = tick_e4(rule, price_e4)
    floor = price_e4 // step * step
    return floor + step if up and floor < price_e4 else floor


@dataclass(frozen=True, slots=True)
class OccSymbol:
    """The parts of an option symbol."""

    root: str
    expiry: dt.date
    right: str
    strike_e4: int

    @property
    def compact(self) -> str:
        """The symbol without padding, as Alpaca and the tape write it: `TSLA261120C00400000`."""
        return f"{self.root}{self.expiry:%y%m%d}{self.right}{self.strike_e4 // 10:08d}"


def parse_occ(symbol: str) -> OccSymbol:
    """Parts of an OCC option symbol, padded (21 characters) or compact.

    Raises:
        DataError: the text is not an OCC symbol, or names a day that does not exist.
    """
    match = _OCC.match(symbol.strip())
    if match is None:
        raise DataError(
            f"`{symbol}` is not an OCC option symbol",
            hint="write root, yymmdd, C or P and the strike in 1/1000 USD, like TSLA261120C00400000",
        )
    root, year, month, day, right, strike = match.groups()
    try:
        expiry = dt.date(2000 + int(year), int(month), int(day))
    except ValueError:
        raise DataError(
            f"`{symbol}` names the day {year}-{month}-{day}, which does not exist",
            hint="the six digits after the root are yymmdd",
        ) from None
    return OccSymbol(root, expiry, right, int(strike) * 10)


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument of a tape; the underlying is number 0 and has no expiry."""

    instrument_id: int
    symbol: str
    expiry: dt.date | None = None
    strike_e4: int = 0
    right: str = ""
    multiplier: int = STANDARD_MULTIPLIER
    tick_rule: TickRule = TickRule.PENNY_PROGRAM
    open_interest: int | None = None
    open_interest_date: dt.date | None = None

    @property
    def is_option(self) -> bool:
        """Whether this is a contract rather than the underlying."""
        return self.expiry is not None
