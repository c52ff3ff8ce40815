"""What trading options costs beside the spread: the dated fee table and the bill of a day.

Decides each fee's rate, its rounding and which trade bears how much of it. Leaves who pays when to the
ledger. Computes in whole pico-USD (1e-12 USD), in which every rate of the table is an integer, so no sum
depends on the order of its parts; results are whole 1/10000 USD or exact fractions of it.

The rule (definitions, section 8; Alpaca's page "Regulatory Fees"): each fee type is summed over the day
and rounded up to the cent once, then shared to the trades that caused it by largest remainder.

The table covers the days for which every fee type has a rate with a stated date. Rates of ORF and CAT
before Alpaca's schedule of 2026-07-20 are known only roughly (ORF 0.02685 in 2024-25, CAT 0.000046 to
0.000053 per share), so those days are refused rather than guessed. The table ends with 2026: FINRA moves
its rates on 2027-01-01. Two rates may move earlier: exchanges re-file their ORF, and the SEC's rate of
fiscal 2027 takes effect 60 days after that year's appropriation; neither had been announced when the
table was made. Commission is 0 for equity and ETF options of retail accounts; index options, which cost
0.50 USD a contract, are not covered.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Final

from scalpcli.errors import DataError, UsageError
from scalpcli.model.instrument import STANDARD_MULTIPLIER
from scalpcli.units import E4_PER_USD

_PICO_PER_USD: Final = 10**12
_PICO_PER_E4: Final = _PICO_PER_USD // E4_PER_USD
_PICO_PER_CENT: Final = _PICO_PER_USD // 100
_E4_PER_CENT: Final = E4_PER_USD // 100

BUY: Final = "buy"
SELL: Final = "sell"


class FeeType(StrEnum):
    """Who is paid; in the order of statements and sums."""

    ORF = "orf"
    """Options Regulatory Fee of the exchanges, per contract."""
    OCC = "occ"
    """Clearing fee of the Options Clearing Corporation, per contract."""
    CAT = "cat"
    """Consolidated Audit Trail, per executed equivalent share: 100 a contract."""
    TAF = "taf"
    """FINRA Trading Activity Fee, per contract sold."""
    SEC = "sec"
    """Section 31 fee, per USD of premium sold."""


class Basis(StrEnum):
    """What a rate is multiplied with."""

    CONTRACT = "contract"
    SHARE = "share"
    PREMIUM_USD = "premium_usd"


@dataclass(frozen=True, slots=True)
class FeeRate:
    """One line of the table: `usd` per `basis` from `first` to `last`, both included."""

    fee: FeeType
    usd: str
    basis: Basis
    first: dt.date
    last: dt.date
    source: str
    sells_only: bool = False

    def pico_usd(self, side: str, quantity: int, premium_e4_total: int) -> int:
        """The unrounded fee of one fill, exact."""
        if self.sells_only and side != SELL:
            return 0
        rate = int(Decimal(self.usd) * _PICO_PER_USD)
        if self.basis is Basis.PREMIUM_USD:
            # Exact: the finest rate of the table is 1e-7 USD a USD, which is 10 pico-USD per 1/10000 USD.
            return rate * premium_e4_total // E4_PER_USD
        return rate * quantity * (STANDARD_MULTIPLIER if self.basis is Basis.SHARE else 1)


_END: Final = dt.date(2026, 12, 31)
_SCHEDULE: Final = "Alpaca Securities Brokerage Fee Schedule, revisions of 2026-07-20 and 2026-09-01"
_SEC_ORDER: Final = "SEC Rel. 34-104909 of 2026-02-27, 91 FR 10643"

RATES: Final = (
    FeeRate(FeeType.ORF, "0.015", Basis.CONTRACT, dt.date(2026, 7, 20), _END, _SCHEDULE + " (blended figure)"),
    FeeRate(FeeType.OCC, "0.025", Basis.CONTRACT, dt.date(2025, 2, 14), _END, "90 FR 10544; " + _SCHEDULE),
    FeeRate(FeeType.CAT, "0.000003", Basis.SHARE, dt.date(2026, 7, 20), _END, _SCHEDULE),
    FeeRate(
        FeeType.TAF,
        "0.00279",
        Basis.CONTRACT,
        dt.date(2025, 1, 1),
        dt.date(2025, 12, 31),
        "SR-FINRA-2024-019",
        sells_only=True,
    ),
    FeeRate(FeeType.TAF, "0.00329", Basis.CONTRACT, dt.date(2026, 1, 1), _END, "SR-FINRA-2024-019", sells_only=True),
    FeeRate(
        FeeType.SEC,
        "0",
        Basis.PREMIUM_USD,
        dt.date(2025, 5, 14),
        dt.date(2026, 4, 3),
        "SEC announcement of 2025-04-08: the appropriation was collected",
        sells_only=True,
    ),
    FeeRate(FeeType.SEC, "0.0000206", Basis.PREMIUM_USD, dt.date(2026, 4, 4), _END, _SEC_ORDER, sells_only=True),
)
"""Every rate known with its dates. Caps do not bind: OCC's (55 USD an order) was dropped on 2025-02-14."""


@dataclass(frozen=True, slots=True)
class FeeFill:
    """What fees are computed from: one fill.

    Args:
        side: `buy` or `sell`.
        quantity: Contracts.
        premium_e4_total: Premium of all of them, 1/10000 USD: price x 100 x contracts.
    """

    side: str
    quantity: int
    premium_e4_total: int

    def __post_init__(self) -> None:
        if self.side not in (BUY, SELL) or self.quantity < 0 or self.premium_e4_total < 0:
            raise ValueError(f"not a fill: {self.side} of {self.quantity} contracts for {self.premium_e4_total} e4")


@dataclass(frozen=True, slots=True)
class FeeSchedule:
    """The rates of one day, one line per fee type; none at all for the schedule `none`."""

    name: str
    rates: tuple[FeeRate, ...]

    def fees_pico_usd(self, fill: FeeFill) -> dict[FeeType, int]:
        """Unrounded fees of one fill by type, pico-USD (1e-12 USD)."""
        return {rate.fee: rate.pico_usd(fill.side, fill.quantity, fill.premium_e4_total) for rate in self.rates}

    def unrounded_e4(self, fills: Iterable[FeeFill]) -> Fraction:
        """Fees that `fills` cause, before the day's rounding, exact 1/10000 USD.

        Whoever must judge a trade in mid-day (cooldown after a loss) asks this: it depends on the trade's
        own fills alone, while its share of the bill is known only when the day is over and may differ by up
        to a cent per fee type. Compare it as it is; `float()` is for showing.
        """
        total = sum(sum(self.fees_pico_usd(fill).values()) for fill in fills)
        return Fraction(total, _PICO_PER_E4)

    def estimate_e4(self, quantity: int, price_e4: int, sides: Iterable[str] = (BUY, SELL)) -> int:
        """Expected fees of trading `quantity` contracts once on each of `sides`, for sizing.

        Not rounded to the cent, which happens once a day, but up to the whole 1/10000 USD.

        Args:
            quantity: Contracts.
            price_e4: Price per share on every side, 1/10000 USD.
            sides: `("buy", "sell")` is a round trip.
        """
        premium_e4 = price_e4 * quantity * STANDARD_MULTIPLIER
        exact = self.unrounded_e4(FeeFill(side, quantity, premium_e4) for side in sides)
        return -(-exact.numerator // exact.denominator)


def covered_days() -> tuple[dt.date, dt.date]:
    """First and last day for which the table has a rate of every fee type."""
    lines = [[rate for rate in RATES if rate.fee is fee] for fee in FeeType]
    return max(min(r.first for r in rates) for rates in lines), min(max(r.last for r in rates) for rates in lines)


def schedule_for(day: dt.date, name: str = "alpaca", as_of: dt.date | None = None) -> FeeSchedule:
    """The fees of a session.

    Args:
        day: The session.
        name: `alpaca`, or `none` for no fees at all (as Alpaca's paper accounts charge).
        as_of: Take this day's rates instead of the session's.

    Raises:
        UsageError: `name` is neither.
        DataError: a fee type has no rate for the day.
    """
    if name == "none":
        return FeeSchedule(name, ())
    if name != "alpaca":
        raise UsageError(f"`{name}` is no fee schedule", place="`--fees`", hint="write `alpaca` or `none`")
    wanted = day if as_of is None else as_of
    rates = tuple(rate for rate in RATES if rate.first <= wanted <= rate.last)
    missing = [fee.name for fee in FeeType if fee not in {rate.fee for rate in rates}]
    if missing:
        first, last = covered_days()
        what = "rates" if not rates else f"rate of {', '.join(missing)}"
        raise DataError(
            f"the fee table has no {what} for {wanted}; it covers {first} to {last}",
            place=f"fees of the session {day}" if as_of is None else "`--fees-as-of`",
            hint=f"replay without fees (`--fees none`) or with the rates of a covered day (`--fees-as-of {first}`)",
        )
    return FeeSchedule(name, rates)


class DayFees:
    """The bill of one session, built fill by fill.

    Args:
        schedule: The rates of the day.
    """

    def __init__(self, schedule: FeeSchedule) -> None:
        self._schedule = schedule
        # Fee type -> trade -> unrounded pico-USD; trades in the order of their first fills. A session makes
        # a few fills a trade and a few trades, so nothing here grows beyond the day's orders.
        self._pico: dict[FeeType, dict[Hashable, int]] = {rate.fee: {} for rate in schedule.rates}
        self._keys: dict[Hashable, None] = {}

    def add(self, side: str, quantity: int, premium_e4_total: int, key: Hashable) -> None:
        """Count one fill of the trade `key`; for the arguments see `FeeFill`."""
        self._keys[key] = None
        for fee, pico in self._schedule.fees_pico_usd(FeeFill(side, quantity, premium_e4_total)).items():
            by_trade = self._pico[fee]
            by_trade[key] = by_trade.get(key, 0) + pico

    def by_type_e4(self) -> dict[FeeType, int]:
        """The bill so far by fee type, each rounded up to the cent, 1/10000 USD."""
        return {fee: _cents(sum(by_trade.values())) * _E4_PER_CENT for fee, by_trade in self._pico.items()}

    def total_e4(self) -> int:
        """The bill so far, whole cents in 1/10000 USD."""
        return sum(self.by_type_e4().values())

    def shares_e4(self) -> dict[Hashable, int]:
        """What each trade bears of the bill, whole cents in 1/10000 USD; the sum is `total_e4()`.

        Each fee type's cents are shared in proportion to the unrounded fees of that type: whole cents
        first, the rest one each by largest remainder, on equal remainders to the trade that filled first.
        """
        shares = dict.fromkeys(self._keys, 0)
        for by_trade in self._pico.values():
            for key, cents in _largest_remainder(by_trade, _cents(sum(by_trade.values()))).items():
                shares[key] += cents * _E4_PER_CENT
        return shares


def _cents(pico: int) -> int:
    return -(-pico // _PICO_PER_CENT)


def _largest_remainder(weights: Mapping[Hashable, int], units: int) -> dict[Hashable, int]:
    """`units` shared in proportion to `weights` (Hamilton's method); ties go to the earlier key."""
    total = sum(weights.values())
    if total == 0:
        return dict.fromkeys(weights, 0)
    shares = {key: units * weight // total for key, weight in weights.items()}
    remainders = {key: units * weight % total for key, weight in weights.items()}
    # `sorted` is stable, so equal remainders keep the order of the fills.
    by_remainder = sorted(remainders, key=lambda key: -remainders[key])
    for key in by_remainder[: units - sum(shares.values())]:
        shares[key] += 1
    return shares
