"""The contracts of one expiry at an instant, as rows.

Decides what each field holds. Verdicts, deltas and sizes are the engine's own; what is computed here is for people.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from scalpcli.core.gates import Refused
from scalpcli.core.greeks import SECONDS_PER_YEAR, theta_per_minute
from scalpcli.core.layout import NO_TIME_NS
from scalpcli.core.odds import Plan
from scalpcli.core.option_selection import PASSED, Expiry, GateVerdict, Judgement
from scalpcli.core.risk import Sized, size_entry
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument, tick_e4
from scalpcli.scan.checks import flags_of
from scalpcli.scan.fields import PASS, ROW_FIELDS
from scalpcli.scan.moment import Moment, Told
from scalpcli.scan.reasons import reason_of
from scalpcli.units import E4_PER_USD, NS_PER_MIN, NS_PER_S, min_to_ns

_TICK_BREAK_E4: Final = 30_000


def known(value: float | None, digits: int = 12) -> float | None:
    """A number to show; `None` where it is unknown."""
    return None if value is None or not math.isfinite(value) else round(float(value), digits)


@dataclass(frozen=True, slots=True)
class ExtraLimits:
    """Limits a user sets beyond the engine's gates; `None` is none."""

    max_spread_ticks: float | None = None
    min_open_interest: int | None = None
    """Asked besides today's volume, which the engine takes instead."""
    expiry: GateVerdict | None = None
    """Why the engine would trade nothing of this expiry."""


@dataclass(slots=True)
class ExpiryTable:
    """One expiry, judged; arrays are copies, so that several can stand side by side.

    Args:
        moment: The instant.
        expiry: Which contracts.
        limits: Limits beyond the engine's.
    """

    moment: Moment
    expiry: Expiry
    limits: ExtraLimits
    judged: Judgement
    computed_delta: Any
    gamma: Any
    vega: Any
    flags: list[tuple[str, ...]]

    @classmethod
    def of(cls, moment: Moment, expiry: Expiry, limits: ExtraLimits) -> ExpiryTable:
        """Judge one expiry."""
        judged = moment.selector.judge(expiry, moment.feed.t_ns, moment.view)
        iv, delta, gamma, theta, vega = (values.copy() for values in expiry.outputs)
        judged = dataclasses.replace(judged, iv=iv, theta=theta)
        stale = judged.failures["option_quote_age"]
        rate = moment.params.selection.risk_free_rate
        flags = flags_of(
            np.where(stale, math.nan, judged.quotes.bid_e4.astype(np.float64)),
            np.where(stale, math.nan, judged.quotes.ask_e4.astype(np.float64)),
            expiry.strike,
            expiry.is_call.astype(bool),
            judged.forward_e4,
            math.exp(-rate * judged.years),
            np.array([tick_e4(moment.feed.instruments[number].tick_rule, 0) for number in expiry.ids], np.float64),
        )
        return cls(moment, expiry, limits, judged, delta, gamma, vega, flags)

    def instrument(self, row: int) -> Instrument:
        """The contract of a row."""
        return self.moment.feed.instruments[int(self.expiry.ids[row])]

    def gates(self, row: int) -> list[GateVerdict]:
        """Every gate's word, the engine's first; those of limits beyond it only where they are set."""
        found = self.moment.selector.explain(self.judged, row)
        if int(self.judged.quotes[row].quote_ns) <= NO_TIME_NS:
            # What was never quoted has no age.
            found = [
                dataclasses.replace(each, value=None) if each.gate == "option_quote_age" else each for each in found
            ]
        extra = [] if self.limits.expiry is None else [self.limits.expiry]
        if self.limits.min_open_interest is not None:
            interest = float(self.expiry.open_interest[row])
            least = float(self.limits.min_open_interest)
            extra.append(GateVerdict("open_interest", known(interest), least, interest >= least))
            found = [gate for gate in found if gate.gate != "open_interest"]
        if self.limits.max_spread_ticks is not None:
            ticks = self.spread_ticks(row)
            most = self.limits.max_spread_ticks
            extra.append(GateVerdict("spread_ticks", ticks, most, ticks is not None and ticks <= most))
        first = 0 if self.limits.expiry is None else 1
        return [*extra[:first], *found, *extra[first:], *self._after_selection(row)]

    def _after_selection(self, row: int) -> list[GateVerdict]:
        """Gates the engine asks of the contract it has chosen; where they refuse, it takes no other."""
        gates: list[GateVerdict] = []
        ask_e4 = int(self.judged.quotes[row].ask_e4)
        limit = self.moment.params.gates.theta_hold_pct_max
        if limit > 0.0 and ask_e4 > 0:
            decay_e4 = -theta_per_minute(float(self.judged.theta[row])) * self.moment.params.scalp.max_hold_minutes
            decay_pct = decay_e4 * 100.0 / ask_e4
            gates.append(GateVerdict("theta", known(decay_pct), limit, decay_pct <= limit))
        sized = self._sized(row)
        if sized is not None:
            quantity = sized.quantity if isinstance(sized, Sized) else 0
            gates.append(GateVerdict("size_zero", float(quantity), 1.0, quantity >= 1))
        return gates

    def _sized(self, row: int) -> Sized | Refused | None:
        """The size the engine would take; `None` where nobody offers."""
        if int(self.judged.quotes[row].ask_e4) <= 0:
            return None
        selector, params = self.moment.selector, self.moment.params
        return size_entry(selector.selection_of(self.judged, row, 1), params, self.moment.engine.ledger)

    def has_passed(self, row: int) -> bool:
        """Whether every gate lets the contract be chosen."""
        if self.judged.verdict[row] != PASSED:
            return False
        limits = self.limits
        if limits.expiry is None and limits.min_open_interest is None and limits.max_spread_ticks is None:
            return True
        after = len(self._after_selection(row))
        gates = self.gates(row)
        return all(gate.passed for gate in gates[: len(gates) - after])

    def spread_ticks(self, row: int) -> float | None:
        """Ask less bid in steps of the contract's grid, which changes at 3.00; `None` without both sides."""
        quote, rule = self.judged.quotes[row], self.instrument(row).tick_rule
        bid, ask = int(quote.bid_e4), int(quote.ask_e4)
        if bid <= 0 or ask <= 0:
            return None
        below = min(ask, _TICK_BREAK_E4) - min(bid, _TICK_BREAK_E4)
        above = max(ask, _TICK_BREAK_E4) - max(bid, _TICK_BREAK_E4)
        return below / tick_e4(rule, 0) + above / tick_e4(rule, _TICK_BREAK_E4)

    def row(self, row: int, *, explain: bool = False) -> dict[str, Any]:
        """A contract's fields; those that cost time are null (see `add_arithmetic`)."""
        gates = self.gates(row)
        refused = [gate for gate in gates if not gate.passed]
        fields = dict.fromkeys(ROW_FIELDS) | self._contract(row) | self._quote(row) | self._greeks(row)
        fields |= self._interest(row) | self._money(row)
        fields |= {
            "verdict": refused[0].gate if refused else PASS,
            "reasons": [reason_of(gate, self.judged.quotes[row]) for gate in refused],
            "flags": list(self.flags[row]),
        }
        if explain:
            fields["gates"] = [
                {"gate": gate.gate, "value": known(gate.value), "limit": known(gate.limit), "passed": bool(gate.passed)}
                for gate in gates
            ]
        return fields

    def _contract(self, row: int) -> dict[str, Any]:
        instrument = self.instrument(row)
        left_ns = max(0, self.expiry.close_ns - self.moment.feed.t_ns)
        return {
            "contract": instrument.symbol,
            "strike": instrument.strike_e4 / E4_PER_USD,
            "right": "call" if instrument.right == "C" else "put",
            "expiry": str(instrument.expiry),
            "dte": self.expiry.dte,
            "minutes_left": round(left_ns / NS_PER_MIN, 4),
        }

    def _quote(self, row: int) -> dict[str, Any]:
        quote = self.judged.quotes[row]
        bid, ask = int(quote.bid_e4), int(quote.ask_e4)
        both = bid > 0 and ask > 0
        was_quoted = int(quote.quote_ns) > NO_TIME_NS
        return {
            "bid": bid / E4_PER_USD if bid > 0 else None,
            "bid_size": int(quote.bid_size),
            "ask": ask / E4_PER_USD if ask > 0 else None,
            "ask_size": int(quote.ask_size),
            "mid": (bid + ask) / 2 / E4_PER_USD if both and ask >= bid else None,
            "spread_cents": (ask - bid) / 100 if both else None,
            "spread_pct": known(float(self.judged.spread_pct[row]), 6),
            "spread_ticks": self.spread_ticks(row),
            "quote_age_s": known(float(self.judged.age_ns[row]) / NS_PER_S, 6) if was_quoted else None,
        }

    def _greeks(self, row: int) -> dict[str, Any]:
        judged = self.judged
        iv, delta = known(float(judged.iv[row])), known(float(self.computed_delta[row]))
        used = known(float(judged.delta[row]))
        fields: dict[str, Any] = {
            "iv": iv,
            "delta": used,
            "delta_source": None if used is None else "tape" if judged.is_tape_delta[row] else "computed",
            # Prices are in 1/10000 USD inside, and so are their derivatives.
            "gamma": known(float(self.gamma[row]) * E4_PER_USD),
            "theta_per_minute_usd": known(theta_per_minute(float(judged.theta[row])) * _CONTRACT_USD),
            "vega_usd": known(float(self.vega[row]) * _CONTRACT_USD / 100.0),
            "computed_delta": delta,
        }
        told = self.moment.heard.greeks.get(self.instrument(row).symbol)
        return fields | (_told_fields(told, self.moment.feed.t_ns, iv, delta) if told is not None else {})

    def _interest(self, row: int) -> dict[str, Any]:
        instrument, interest = self.instrument(row), float(self.expiry.open_interest[row])
        date = self.moment.heard.interest_dates.get(instrument.symbol, instrument.open_interest_date)
        return {
            "open_interest": None if math.isnan(interest) else int(interest),
            "open_interest_date": None if math.isnan(interest) or date is None else str(date),
            "volume": int(self.judged.quotes[row].volume_today),
        }

    def _money(self, row: int) -> dict[str, Any]:
        quote = self.judged.quotes[row]
        bid, ask = int(quote.bid_e4), int(quote.ask_e4)
        if ask <= 0:
            return {}
        fees = self.fees_usd(ask)
        fields: dict[str, Any] = {
            "premium_usd": ask * _CONTRACT_USD,
            "fees_usd": known(fees, 6),
            "contracts": 0,
        }
        sized = self._sized(row)
        if isinstance(sized, Sized):
            fields |= {"contracts": sized.quantity, "size_capped_by": sized.capped_by}
        elif sized is not None:
            # Words of `risk`: the contract, the cap that allows none, and at what cost.
            fields["size_capped_by"] = sized.detail.partition(": ")[2].partition(" ")[0]
        if 0 < bid <= ask:
            spread = (ask - bid) * _CONTRACT_USD
            stop_pct = self.moment.params.scalp.stop_loss_pct
            fields |= {
                "spread_cost_usd": round(spread, 6),
                "round_trip_usd": known(spread + fees, 6),
                "stop_taken_pct": round((ask - bid) * 100.0 / ask / stop_pct * 100.0, 6),
            }
        return fields

    def fees_usd(self, ask_e4: int) -> float:
        """Fees of one contract's round trip before the day's rounding, USD; nan where the day's are unknown."""
        fees = self.moment.fees
        return math.nan if fees is None else fees.estimate_e4(1, ask_e4) / E4_PER_USD

    def plan(self, row: int) -> Plan | None:
        """How the contract would be traded; `None` without both sides of the quote or its volatility."""
        quote, params = self.judged.quotes[row], self.moment.params
        bid, ask, iv = int(quote.bid_e4), int(quote.ask_e4), float(self.judged.iv[row])
        if not 0 < bid <= ask or math.isnan(iv) or math.isnan(self.judged.forward_e4):
            return None
        fees = self.fees_usd(ask)
        rate = params.selection.risk_free_rate
        return Plan(
            spot=self.judged.forward_e4 * math.exp(-rate * self.judged.years),
            strike=float(self.expiry.strike[row]),
            years=self.judged.years,
            volatility=iv,
            rate=rate,
            is_call=bool(self.expiry.is_call[row]),
            bid=float(bid),
            ask=float(ask),
            fees=0.0 if math.isnan(fees) else fees * E4_PER_USD / STANDARD_MULTIPLIER,
            target_pct=params.scalp.take_profit_pct,
            stop_pct=params.scalp.stop_loss_pct,
            hold_years=hold_minutes(self.moment, self.expiry) * 60.0 / SECONDS_PER_YEAR,
        )


_CONTRACT_USD: Final = STANDARD_MULTIPLIER / E4_PER_USD
"""Dollars of one contract per 1/10000 USD of a share."""


def hold_minutes(moment: Moment, expiry: Expiry) -> float:
    """How long a position may last: the holding time, cut by the flatten time or the contract's close."""
    params, t_ns = moment.params, moment.feed.t_ns
    flatten_ns = moment.feed.session.close_ns - min_to_ns(params.exits.flatten_before_close_minutes)
    end_ns = flatten_ns if t_ns < flatten_ns else expiry.close_ns
    left = max(1.0, (min(end_ns, expiry.close_ns) - t_ns) / NS_PER_MIN)
    return min(params.scalp.max_hold_minutes, left)


def _told_fields(told: Told, t_ns: int, iv: float | None, delta: float | None) -> dict[str, Any]:
    return {
        "feed_delta": told.delta,
        "delta_difference": None if told.delta is None or delta is None else round(told.delta - delta, 12),
        "feed_iv": told.iv,
        "iv_difference": None if told.iv is None or iv is None else round(told.iv - iv, 12),
        "feed_source": told.source,
        "feed_age_s": round((t_ns - told.ts_ns) / NS_PER_S, 6),
    }
