"""Turns the option symbols of a file into the instruments of a tape.

Decides which symbols belong to the session's underlying, which are refused and why, and the tick rule of a
class where the user names none. Leaves the layout of a symbol to `model/instrument.py`.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from scalpcli.errors import DataError
from scalpcli.model.instrument import Instrument, OccSymbol, TickRule, parse_occ
from scalpcli.model.row import INSTRUMENT_ID_MAX

_ADJUSTED: Final = re.compile(r"^[A-Z]{1,5}\d\d{6}[CP]\d{8}$")
"""OCC appends a digit to the root of a contract whose deliverable a corporate action has changed."""

# Weekly and end-of-month classes of cash-settled indices trade under a root of their own.
_ROOTS: Final[Mapping[str, tuple[str, ...]]] = {
    "SPX": ("SPX", "SPXW"),
    "NDX": ("NDX", "NDXP"),
    "RUT": ("RUT", "RUTW"),
    "VIX": ("VIX", "VIXW"),
    "DJX": ("DJX",),
    "OEX": ("OEX",),
}
_PENNY: Final = ("SPY", "QQQ", "IWM")
_PENNY_PROGRAM_SINCE: Final[Mapping[str, dt.date]] = {
    # Every quote of 2015-12-24 stands on 0.05 and 0.10; the permanent program reviewed its classes in 2020.
    "GOOG": dt.date(2020, 7, 1),
    "GOOGL": dt.date(2020, 7, 1),
}


def default_tick_rule(underlying: str, session: dt.date) -> TickRule:
    """The tick rule of a class on a day, where nobody says otherwise.

    Source: Penny Interval Program (permanent since 2020-07-01): SPY, QQQ and IWM a penny throughout, its
    other classes 0.01 below 3.00 and 0.05 above. Broad index options of Cboe: 0.05 and 0.10. A class that
    stands in neither list is taken for one of the program, as the busy ones are.
    """
    if underlying in _PENNY:
        return TickRule.PENNY
    if underlying in _ROOTS or session < _PENNY_PROGRAM_SINCE.get(underlying, dt.date.min):
        return TickRule.NICKEL
    return TickRule.PENNY_PROGRAM


@dataclass(frozen=True, slots=True)
class ContractRules:
    """Which contracts a tape takes.

    Args:
        underlying: Symbol of the stock or index.
        session: Day of the session.
        tick_rule: Grid of the class's prices.
        days_max: Calendar days to expiry at most; `None` is no limit.
        strike_range_pct: Distance of the strike from `spot_e4` at most, percent; `None` is no limit.
        spot_e4: First price of the underlying, 1/10000 USD; needed for a strike range.
    """

    underlying: str
    session: dt.date
    tick_rule: TickRule
    days_max: int | None = None
    strike_range_pct: float | None = None
    spot_e4: int | None = None


@dataclass(frozen=True, slots=True)
class Contracts:
    """What became of every option symbol."""

    ids: dict[str, int] = field(default_factory=dict)
    """Symbol as the file writes it -> instrument id."""
    refused: dict[str, str] = field(default_factory=dict)
    """Symbol -> reason, a key of `import_read.PROBLEMS`."""
    left_out: frozenset[str] = frozenset()
    """Symbols outside the asked expiries and strikes."""
    parts: tuple[OccSymbol, ...] = ()
    """Parts of instrument 1, 2, and so on."""

    def instruments(
        self, rules: ContractRules, open_interest: Mapping[int, tuple[int, dt.date | None]]
    ) -> list[Instrument]:
        """The contracts of the tape; `open_interest`: id -> contracts and the day it was told."""
        result = []
        for number, occ in enumerate(self.parts, start=1):
            contracts, told = open_interest.get(number, (None, None))
            result.append(
                Instrument(
                    number,
                    occ.compact,
                    occ.expiry,
                    occ.strike_e4,
                    occ.right,
                    tick_rule=rules.tick_rule,
                    open_interest=contracts,
                    open_interest_date=told,
                )
            )
        return result


def _refusal(symbol: str, rules: ContractRules) -> str | OccSymbol:
    try:
        occ = parse_occ(symbol)
    except DataError:
        return "adjusted_deliverable" if _ADJUSTED.match(symbol) else "symbol_unreadable"
    if occ.strike_e4 == 0:
        return "symbol_unreadable"
    own = re.sub(r"[^A-Z]", "", rules.underlying)
    if occ.root not in _ROOTS.get(rules.underlying, (own,)):
        return "symbol_other_root"
    return "contract_expired" if occ.expiry < rules.session else occ


def _is_wanted(occ: OccSymbol, rules: ContractRules) -> bool:
    if rules.days_max is not None and (occ.expiry - rules.session).days > rules.days_max:
        return False
    if rules.strike_range_pct is None or rules.spot_e4 is None:
        return True
    return abs(occ.strike_e4 - rules.spot_e4) <= rules.strike_range_pct * rules.spot_e4 / 100.0


def classify(symbols: Iterable[str], traded: Iterable[str], rules: ContractRules) -> Contracts:
    """Number the contracts of an import by expiry, strike and right, and say why the others are refused.

    Args:
        symbols: Every option symbol of the files.
        traded: Those with trades, quotes or snapshots; a contract that only open interest names gets no number.
        rules: Which contracts the tape takes.

    Raises:
        DataError: more contracts than a tape can number.
    """
    parsed: dict[str, OccSymbol] = {}
    refused: dict[str, str] = {}
    for symbol in sorted(set(symbols)):
        found = _refusal(symbol, rules)
        if isinstance(found, OccSymbol):
            parsed[symbol] = found
        else:
            refused[symbol] = found
    wanted = {symbol for symbol in set(traded) & parsed.keys() if _is_wanted(parsed[symbol], rules)}
    parts = sorted(
        {parsed[symbol] for symbol in wanted}, key=lambda occ: (occ.expiry, occ.strike_e4, occ.right, occ.root)
    )
    if len(parts) > INSTRUMENT_ID_MAX:
        raise DataError(
            f"{len(parts):,} contracts, above the limit of a tape: {INSTRUMENT_ID_MAX:,}",
            hint="take fewer: `--expiries-max-days 7`, `--strike-range-pct 10`",
        )
    number = {occ: position for position, occ in enumerate(parts, start=1)}
    ids = {symbol: number[occ] for symbol, occ in parsed.items() if occ in number}
    return Contracts(ids, refused, frozenset(parsed.keys() - ids.keys()), tuple(parts))


def underlying_of(root: str) -> str:
    """The underlying of a contract's root: `SPXW` is of `SPX`; most roots are the underlying itself."""
    return next((name for name, roots in _ROOTS.items() if root in roots), root)
