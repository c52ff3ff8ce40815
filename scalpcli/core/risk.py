"""How much, and whether an order may leave (definitions, section 7; design, section 6).

Only this file makes an `ApprovedOrder`, and a broker accepts nothing else. It also keeps the session's
money: every session starts at the configured equity, in cash.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

from scalpcli.core.gates import Refused
from scalpcli.core.option_selection import Selection
from scalpcli.core.view import Quote
from scalpcli.model.fees import BUY, SELL, DayFees, FeeFill, FeeSchedule
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, round_to_tick, tick_e4
from scalpcli.model.order import Leg, OrderKind, OrderSide
from scalpcli.model.params import Params
from scalpcli.model.trade_params import RiskParams
from scalpcli.units import e4_to_usd, usd_to_e4

_SEAL = object()
_LEG_LETTERS: Final = {Leg.ENTRY: "e", Leg.EXIT: "x", Leg.PROTECT: "s", Leg.GUARD: "g"}


@dataclass(frozen=True, slots=True)
class ApprovedOrder:
    """An order that passed risk; whole contracts, prices on the tick grid, good for the day.

    `limit_e4` is 0 unless `kind` is limit, `stop_e4` is 0 unless it is stop. One that `is_passive` wants its own price
    and not the market's: it waits inside the spread.

    Raises:
        ValueError: made anywhere but here.
    """

    order_id: str
    signal: int
    leg: Leg
    attempt: int
    instrument: Instrument
    side: OrderSide
    quantity: int
    limit_e4: int
    kind: OrderKind
    stop_e4: int
    is_passive: bool
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise ValueError("an ApprovedOrder is made by core/risk.py alone")


@dataclass(frozen=True, slots=True)
class Sized:
    """Whole contracts, and which cap decided them."""

    quantity: int
    capped_by: str


class Ledger:
    """Cash, fees and result of one session.

    Args:
        starting_equity_e4: Where the session starts, 1/10000 USD.
        schedule: The day's fees.
    """

    def __init__(self, starting_equity_e4: int, schedule: FeeSchedule) -> None:
        self.starting_equity_e4 = starting_equity_e4
        self.schedule = schedule
        self.cash_e4 = starting_equity_e4
        self.committed_e4 = 0
        """Premium of entry orders that work: bought as far as buying power is concerned."""
        self.realised_e4 = 0
        """Result of closed trades, each after its unrounded fees."""
        self.gross_e4 = 0
        self.open_premium_e4 = 0
        """Premium paid for everything that is not closed, whatever was sold of it."""
        self.unmatched_e4 = 0
        """Premium got for contracts sold that were not held; cash that belongs to no trade."""
        self.fees = DayFees(schedule)

    @property
    def equity_e4(self) -> int:
        """Starting equity plus the realised result of the session (definitions, section 7)."""
        return self.starting_equity_e4 + self.realised_e4

    @property
    def buying_power_e4(self) -> int:
        """Cash that no working entry has claimed."""
        return self.cash_e4 - self.committed_e4

    def add_fill(self, side: OrderSide, quantity: int, price_e4: int, signal: int) -> FeeFill:
        """Book one fill; what its fees are computed from."""
        premium_e4 = price_e4 * quantity * STANDARD_MULTIPLIER
        self.cash_e4 += premium_e4 if side is OrderSide.SELL else -premium_e4
        fill = FeeFill(BUY if side is OrderSide.BUY else SELL, quantity, premium_e4)
        self.fees.add(fill.side, quantity, premium_e4, signal)
        return fill

    def close_trade(self, gross_e4: int, fills: list[FeeFill]) -> int:
        """Book a closed trade; its fees before the day's rounding, rounded up to 1/10000 USD."""
        fees_e4 = math.ceil(self.schedule.unrounded_e4(fills))
        self.gross_e4 += gross_e4
        self.realised_e4 += gross_e4 - fees_e4
        return fees_e4


def size_entry(selection: Selection, params: Params, ledger: Ledger) -> Sized | Refused:
    """Contracts to buy: the share of equity, then every cap; the cap that decided is named.

    Source: definitions, section 7, size.
    """
    scalp, risk = params.scalp, params.risk
    ask_e4 = selection.quote.ask_e4
    fees_e4 = ledger.schedule.estimate_e4(1, ask_e4)
    cost_e4 = STANDARD_MULTIPLIER * ask_e4 + fees_e4
    # What the dearest try may pay: hard limits of money hold for that, not for the ask.
    last_limit_e4 = entry_limit_e4(selection, risk.entry_reprices_max + 1, params)
    dearest_e4 = STANDARD_MULTIPLIER * max(ask_e4, last_limit_e4)
    budget_e4 = scalp.scalp_position_size_pct * ledger.equity_e4 / 100.0
    caps = {
        "equity_share": math.floor(budget_e4 / cost_e4),
        "contracts_max": risk.contracts_max,
        "order_value": usd_to_e4(risk.order_value_usd_max) // dearest_e4,
        "displayed_size": math.floor(selection.quote.ask_size * risk.displayed_size_share_pct / 100.0),
        "buying_power": max(0, ledger.buying_power_e4) // (dearest_e4 + fees_e4),
    }
    if risk.open_premium_usd_max > 0:
        free_e4 = usd_to_e4(risk.open_premium_usd_max) - ledger.open_premium_e4 - ledger.committed_e4
        caps["open_premium"] = max(0, free_e4) // dearest_e4
    capped_by = min(caps, key=lambda name: caps[name])
    if caps[capped_by] < 1:
        detail = f"{selection.instrument.symbol}: {capped_by} allows none at {e4_to_usd(cost_e4):.2f} USD a contract"
        return Refused("size_zero", False, float(caps[capped_by]), 1.0, detail)
    return Sized(caps[capped_by], capped_by)


def entry_limit_e4(selection: Selection, attempt: int, params: Params) -> int:
    """Limit of an entry, one step a try.

    Marketable: the budget above the ask that was decided on is walked in equal steps. Worked: the way from the mid
    to the ask is, both as they were decided on; the last of several tries stands at the ask.

    Args:
        selection: Contract and quote that were decided on.
        attempt: 1-based.
        params: Style, slippage budget, tries and the price cap.
    """
    risk, instrument, quote = params.risk, selection.instrument, selection.quote
    if risk.entry_style == "worked":
        limit_e4 = _worked_limit_e4(instrument, quote, attempt, risk)
    else:
        share = attempt / (risk.entry_reprices_max + 1)
        budget_e4 = math.floor(quote.ask_e4 * (1.0 + risk.slippage_budget_pct * share / 100.0))
        limit_e4 = max(
            round_to_tick(instrument.tick_rule, budget_e4, up=False),
            round_to_tick(instrument.tick_rule, quote.ask_e4, up=True),
        )
    cap_e4 = round_to_tick(instrument.tick_rule, usd_to_e4(params.scalp.max_contract_price), up=False)
    return min(limit_e4, cap_e4)


def is_passive_try(attempt: int, risk: RiskParams) -> bool:
    """Whether a try of an entry waits inside the spread: all of a worked one but the last of several."""
    return risk.entry_style == "worked" and not attempt > risk.entry_reprices_max > 0


def _worked_limit_e4(instrument: Instrument, quote: Quote, attempt: int, risk: RiskParams) -> int:
    if not is_passive_try(attempt, risk):
        return round_to_tick(instrument.tick_rule, quote.ask_e4, up=True)
    middle_e4 = (quote.bid_e4 + quote.ask_e4) / 2.0
    share = (attempt - 1) / max(1, risk.entry_reprices_max)
    limit_e4 = math.floor(middle_e4 + (quote.ask_e4 - middle_e4) * share)
    # Down to the grid: a passive price that is rounded up is none any more.
    return max(round_to_tick(instrument.tick_rule, limit_e4, up=False), tick_e4(instrument.tick_rule, 0))


def protective_stop_e4(scalp_average_e4: float, instrument: Instrument, stop_pct: float) -> int:
    """Stop price of a protective stop: so many percent below the premium paid, down to the grid, one tick at least."""
    stop_e4 = math.floor(scalp_average_e4 * (1.0 - stop_pct / 100.0))
    return max(round_to_tick(instrument.tick_rule, stop_e4, up=False), tick_e4(instrument.tick_rule, 0))


def exit_limit_e4(instrument: Instrument, bid_e4: int, attempt: int, risk: RiskParams) -> int:
    """Limit of an exit: at the bid; after half of the tries through it; the last one at any price, one tick."""
    if attempt > risk.exit_reprices_max:
        # Whoever could not sell for so long (a halt, a gap, a thin bid) must not be left with a limit out of reach.
        return tick_e4(instrument.tick_rule, 0)
    limit_e4 = round_to_tick(instrument.tick_rule, bid_e4, up=False)
    if attempt > max(1, risk.exit_reprices_max // 2):
        limit_e4 -= risk.exit_through_ticks * tick_e4(instrument.tick_rule, limit_e4)
        limit_e4 = round_to_tick(instrument.tick_rule, limit_e4, up=False)
    return max(limit_e4, tick_e4(instrument.tick_rule, 0))


def approve(
    order_prefix: str,
    signal: int,
    leg: Leg,
    attempt: int,
    instrument: Instrument,
    quantity: int,
    price_e4: int,
    kind: OrderKind = OrderKind.LIMIT,
    *,
    is_passive: bool = False,
) -> ApprovedOrder:
    """An order that may be sent.

    The id is a pure function of session, run nonce (both in the prefix), signal number, leg and try
    (law 8), so that a retry is recognised and a second run never adopts an earlier one's order.

    Args:
        order_prefix: Session and run nonce.
        signal: Number of the signal.
        leg: What it is for; an entry buys, all else sells.
        attempt: 1-based.
        instrument: The contract.
        quantity: Contracts.
        price_e4: The limit, or the stop price; 0 for a market order.
        kind: At what price it may trade.
        is_passive: Whether it waits for the market to come to it.

    Raises:
        ValueError: no whole contract, a price that is off the grid or not above zero, or an entry at any price.
    """
    is_priced = price_e4 >= 1 and round_to_tick(instrument.tick_rule, price_e4, up=False) == price_e4
    is_right = leg is not Leg.ENTRY and price_e4 == 0 if kind is OrderKind.MARKET else is_priced
    if quantity < 1 or not is_right or (leg is Leg.ENTRY and kind is not OrderKind.LIMIT):
        raise ValueError(f"not an order: {quantity} x {instrument.symbol} at {price_e4} e4 ({kind}, {leg})")
    return ApprovedOrder(
        order_id=f"{order_prefix}-{signal:04d}-{_LEG_LETTERS[leg]}{attempt}",
        signal=signal,
        leg=leg,
        attempt=attempt,
        instrument=instrument,
        side=OrderSide.BUY if leg is Leg.ENTRY else OrderSide.SELL,
        quantity=quantity,
        limit_e4=price_e4 if kind is OrderKind.LIMIT else 0,
        kind=kind,
        stop_e4=price_e4 if kind is OrderKind.STOP else 0,
        is_passive=is_passive,
        seal=_SEAL,
    )
