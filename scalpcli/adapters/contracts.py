"""Which contracts are recorded: discovered from Alpaca's list, never computed from the weekday.

Decides the expiries, the strikes about the money, what fits the plan's budget and what is added as the stock
moves. A contract once chosen stays for the session, unless the budget shrinks. Leaves numbers of instruments to the
tape's writer.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from scalpcli.adapters.alpaca_rest import AlpacaRest
from scalpcli.adapters.import_contracts import default_tick_rule
from scalpcli.errors import DataError
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, TickRule, parse_occ
from scalpcli.units import e4_to_usd

SUBSCRIPTIONS_MAX: Final[Mapping[str, int]] = {"indicative": 200, "opra": 1000}
"""Option feed -> contracts whose quotes a plan gives at one time (Alpaca, August 2026)."""
_UNNUMBERED: Final = 0
_LOOK_AHEAD_DAYS: Final = 14
"""Days of expiries looked at where the wished ones do not exist, to name those that do."""


def fetch_contracts(
    rest: AlpacaRest, symbol: str, session: dt.date, days_max: int, *, is_past: bool = False
) -> list[Instrument]:
    """The contracts of `symbol` that expire within `days_max` days, by expiry, strike, calls first.

    Contracts that deliver something other than 100 shares are left out. Open interest is taken only where it was
    told before the session.

    Args:
        rest: Where to ask.
        symbol: The underlying.
        session: Day of the session.
        days_max: Calendar days to expiry at most.
        is_past: Whether the session is over: then expired contracts are asked for too.

    Returns:
        Instruments without numbers.
    """
    last = session + dt.timedelta(days=days_max)
    found: dict[str, Instrument] = {}
    # Contracts that have expired may still be called active, so both lists are read.
    for status in ("active", "inactive") if is_past else ("active",):
        for told in rest.contracts(symbol, session, last, status=status):
            instrument = _instrument(told, symbol, session)
            if instrument is not None and session <= _expiry(instrument) <= last:
                found.setdefault(instrument.symbol, instrument)
    return sorted(found.values(), key=_order)


def _expiry(contract: Instrument) -> dt.date:
    assert contract.expiry is not None
    return contract.expiry


def _order(contract: Instrument) -> tuple[dt.date, int, str]:
    return (_expiry(contract), contract.strike_e4, contract.right)


def _instrument(told: Mapping[str, Any], symbol: str, session: dt.date) -> Instrument | None:
    """A contract as the tape keeps it; `None` where it is no plain contract of the underlying."""
    try:
        occ = parse_occ(str(told.get("symbol", "")))
    except DataError:
        return None
    delivers = {str(told.get(name) or STANDARD_MULTIPLIER) for name in ("multiplier", "size")}
    if occ.root != symbol.replace(".", "").replace("/", "") or delivers != {str(STANDARD_MULTIPLIER)}:
        return None
    rule = default_tick_rule(symbol, session)
    if told.get("ppind") is False and rule is TickRule.PENNY_PROGRAM:
        rule = TickRule.NICKEL
    interest, interest_date = _open_interest(told, session)
    return Instrument(
        _UNNUMBERED,
        occ.compact,
        occ.expiry,
        occ.strike_e4,
        occ.right,
        tick_rule=rule,
        open_interest=interest,
        open_interest_date=interest_date,
    )


def _open_interest(told: Mapping[str, Any], session: dt.date) -> tuple[int | None, dt.date | None]:
    try:
        interest = int(told["open_interest"])
        date = dt.date.fromisoformat(told["open_interest_date"])
    except (KeyError, TypeError, ValueError):
        return None, None
    # What was counted at this session's close was not known in it.
    return (interest, date) if interest >= 0 and date < session else (None, None)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is recorded from now on.

    Attributes:
        add: Contracts to add, by expiry, strike, calls first.
        left_out: Contracts that are wanted and do not fit the budget.
    """

    add: tuple[Instrument, ...]
    left_out: tuple[Instrument, ...] = ()


@dataclass(slots=True)
class ContractsPlan:
    """The contracts of one session, chosen at the start and added to as the stock moves.

    Args:
        symbol: The underlying.
        session: Day of the session.
        available: Contracts that exist, of `fetch_contracts`.
        dte: Calendar days to expiry that are wanted.
        strikes: Strikes on each side of the money.
        atm_pct: Strikes within so many percent of the money instead; 0 is off.
        contracts_max: Budget: contracts at most.

    Raises:
        DataError: No contract expires on a wanted day; the message names the days that exist.
    """

    symbol: str
    session: dt.date
    available: Sequence[Instrument]
    dte: Collection[int]
    strikes: int
    atm_pct: float
    contracts_max: int
    chosen: dict[str, Instrument] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.expiries:
            raise no_expiry(self.symbol, self.session, self.dte, self.available)

    @property
    def expiries(self) -> list[dt.date]:
        """Wanted days on which contracts expire, in order."""
        wanted = {self.session + dt.timedelta(days=days) for days in self.dte}
        return sorted(wanted & {_expiry(contract) for contract in self.available})

    @property
    def missing_dte(self) -> list[int]:
        """Wanted days to expiry on which nothing expires; `0` there means no contract expires today."""
        held = {(expiry - self.session).days for expiry in self.expiries}
        return sorted(set(self.dte) - held)

    def choose(self, spot_e4: int) -> Choice:
        """What to add now that the stock stands at `spot_e4`; those chosen before stay.

        The nearest strikes go first, at one distance the earlier expiry; what exceeds the budget is named.
        """
        wanted = [contract for contract in self._about(spot_e4) if contract.symbol not in self.chosen]
        wanted.sort(key=_nearest_to(spot_e4))
        room = max(self.contracts_max - len(self.chosen), 0)
        added = sorted(wanted[:room], key=_order)
        self.chosen.update((contract.symbol, contract) for contract in added)
        return Choice(tuple(added), tuple(sorted(wanted[room:], key=_order)))

    def limit(self, contracts_max: int, spot_e4: int) -> list[Instrument]:
        """Make the budget `contracts_max`. Where more were chosen before, those nearest the money stay.

        Returns:
            Contracts given up, by expiry, strike, calls first.
        """
        self.contracts_max = contracts_max
        given_up = sorted(self.chosen.values(), key=_nearest_to(spot_e4))[contracts_max:]
        for contract in given_up:
            del self.chosen[contract.symbol]
        return sorted(given_up, key=_order)

    def _about(self, spot_e4: int) -> Iterable[Instrument]:
        for expiry in self.expiries:
            contracts = [contract for contract in self.available if contract.expiry == expiry]
            near = self._near({contract.strike_e4 for contract in contracts}, spot_e4)
            yield from (contract for contract in contracts if contract.strike_e4 in near)

    def _near(self, strikes: Collection[int], spot_e4: int) -> set[int]:
        if self.atm_pct > 0:
            return {strike for strike in strikes if abs(strike - spot_e4) <= self.atm_pct * spot_e4 / 100.0}
        below = sorted((strike for strike in strikes if strike <= spot_e4), reverse=True)
        above = sorted(strike for strike in strikes if strike > spot_e4)
        return {*below[: self.strikes], *above[: self.strikes]}


def _nearest_to(spot_e4: int) -> Callable[[Instrument], tuple[int, tuple[dt.date, int, str]]]:
    return lambda contract: (abs(contract.strike_e4 - spot_e4), _order(contract))


def numbered(contracts: Iterable[Instrument], first: int = 1) -> list[Instrument]:
    """Contracts with the numbers of a tape, from `first` on."""
    return [
        dataclasses.replace(contract, instrument_id=number) for number, contract in enumerate(contracts, start=first)
    ]


def no_expiry(symbol: str, session: dt.date, dte: Collection[int], available: Sequence[Instrument]) -> DataError:
    """The error of a session on which nothing wanted expires."""
    days = sorted(set(dte))
    later = sorted({(_expiry(contract) - session).days for contract in available} - set(days))
    wanted = " or ".join(str(number) for number in days)
    hint = (
        f"the next expiries are in {', '.join(map(str, later[:3]))} days: `--dte {later[0]}`"
        if later
        else (
            f"{symbol} may have no options, or none are listed for these days: take a later one, like `--dte 0,1,2,3`"
        )
    )
    what = "today" if days == [0] else f"in {wanted} days"
    return DataError(f"no contract of {symbol} expires {what}", place=f"session {session}", hint=hint)


def look_ahead_days(dte: Collection[int]) -> int:
    """Days of expiries to ask for, so that a message can name those that exist."""
    return max(max(dte, default=0), _LOOK_AHEAD_DAYS)


def option_budget(feed: str, contracts_max: int) -> int:
    """Contracts that may be subscribed: the smaller of the setting and of what the feed's plan gives."""
    return min(contracts_max, SUBSCRIPTIONS_MAX.get(feed, contracts_max))


def fair_shares(budget: int, count: int) -> list[int]:
    """`budget` contracts divided among `count` symbols; the first get one more where it does not divide evenly."""
    share, left = divmod(budget, count)
    return [share + (place < left) for place in range(count)]


def describe_left_out(choice: Choice) -> str:
    """Words for contracts that do not fit the budget; empty where all do."""
    if not choice.left_out:
        return ""
    strikes = sorted({contract.strike_e4 for contract in choice.left_out})
    return (
        f"{len(choice.left_out)} contracts are not recorded: the budget is full "
        f"(strikes {e4_to_usd(strikes[0]):g} to {e4_to_usd(strikes[-1]):g})"
    )
