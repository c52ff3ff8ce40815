"""Which contract to buy (definitions, section 7; design, section 6).

Decides every contract's verdict and which passes first. Leaves how much of it to `risk`. The same judgement
serves the engine and `scan-options`: what the one shows for an instant the other picks there.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.core.gates import Refused
from scalpcli.core.greeks import theta_per_minute, years_to_close
from scalpcli.core.layout import CALL, NO_TIME_NS
from scalpcli.core.market_state import Kernel
from scalpcli.core.view import MarketView, Quote, side_name
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument
from scalpcli.model.params import Params
from scalpcli.model.session import Session, contract_close_ns
from scalpcli.units import E4_PER_USD, NS_PER_MS, ms_to_ns, s_to_ns

PASSED: Final = ""
GATE_ORDER: Final = (
    "option_quote",
    "option_quote_age",
    "option_halt",
    "spread",
    "ask_size",
    "open_interest",
    "volume_today",
    "price",
    "delta",
)
"""Verdicts in the order they are looked at; the first that applies is the contract's."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The contract chosen and what was known of it."""

    instrument: Instrument
    quote: Quote
    dte: int
    delta: float
    delta_source: str
    iv: float
    theta_per_minute_e4: float
    open_interest: int | None
    eligible: int


@dataclass(slots=True)
class Expiry:
    """The contracts of one expiry as columns, shape ``(n,)``, ordered by symbol."""

    date: dt.date
    dte: int
    close_ns: int
    ids: NDArray[np.int64]
    strike: NDArray[np.float64]
    is_call: NDArray[np.int8]
    open_interest: NDArray[np.float64]
    """nan where unknown."""
    tape_delta: NDArray[np.float64]
    tape_delta_ns: NDArray[np.int64]
    scratch: NDArray[np.float64]
    outputs: tuple[NDArray[np.float64], ...]


@dataclass(frozen=True, slots=True)
class Priced:
    """Every contract of one expiry at one instant before any limit is held against it; shape ``(n,)``."""

    quotes: Any
    age_ns: NDArray[np.int64]
    is_fresh: NDArray[np.bool_]
    is_valid: NDArray[np.bool_]
    spread_pct: NDArray[np.float64]
    iv: NDArray[np.float64]
    delta: NDArray[np.float64]
    theta: NDArray[np.float64]
    """Per year, 1/10000 USD a share."""
    forward_e4: float
    years: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every contract of one expiry at one instant; arrays of shape ``(n,)`` in the expiry's order."""

    expiry: Expiry
    verdict: NDArray[Any]
    """First gate that refuses, `PASSED` when none does."""
    quotes: Any
    spread_pct: NDArray[np.float64]
    age_ns: NDArray[np.int64]
    iv: NDArray[np.float64]
    delta: NDArray[np.float64]
    is_tape_delta: NDArray[np.bool_]
    theta: NDArray[np.float64]
    """Per year, 1/10000 USD a share."""
    failures: Mapping[str, NDArray[np.bool_]]
    """By gate, in `GATE_ORDER`: which contracts it refuses, whatever the gates before it say."""
    forward_e4: float
    """Forward of the expiry; nan without a price of the underlying."""
    years: float
    """Time to the contracts' close."""


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """One gate's word on one contract; value and limit in the unit of the gate's setting, `None` = unknown."""

    gate: str
    value: float | None
    limit: float
    passed: bool


@dataclass(slots=True)
class OptionSelector:
    """Judges the chain of one session.

    Args:
        params: All settings.
        session: Today.
        instruments: By `instrument_id`, the underlying first.
        hot: Prices the chain.
    """

    params: Params
    session: Session
    instruments: tuple[Instrument, ...]
    hot: Kernel
    expiries: list[Expiry] = field(init=False)

    def __post_init__(self) -> None:
        self.expiries = _expiries(self.params, self.session, self.instruments)

    def set_greeks(self, deltas: dict[str, float], ts_ns: int) -> None:
        """Let recorded deltas stand (a cold row)."""
        self._set_by_symbol(deltas, "tape_delta", ts_ns)

    def set_open_interest(self, contracts: dict[str, int], ts_ns: int) -> None:
        """Let another open interest stand (a cold row)."""
        self._set_by_symbol(contracts, "open_interest", ts_ns)

    def _set_by_symbol(self, values: dict[str, Any], column: str, ts_ns: int) -> None:
        for expiry in self.expiries:
            for row, instrument_id in enumerate(expiry.ids):
                value = values.get(self.instruments[instrument_id].symbol)
                if value is not None:
                    getattr(expiry, column)[row] = value
                    if column == "tape_delta":
                        expiry.tape_delta_ns[row] = ts_ns

    def price(self, expiry: Expiry, t_ns: int, view: MarketView) -> Priced:
        """Quotes of one expiry at `t_ns` and the greeks they give, both rights."""
        quotes = view.book_columns(expiry.ids)
        bid = quotes.bid_e4.astype(np.float64)
        ask = quotes.ask_e4.astype(np.float64)
        age_ns = t_ns - quotes.quote_ns
        # A quote from before a gap ended says nothing of now, however young it is (law 7).
        seen_since = quotes.quote_ns >= view.sees_options_since_ns()
        is_fresh = (age_ns <= ms_to_ns(self.params.gates.option_quote_age_ms_max)) & seen_since
        is_valid = (bid > 0) & (ask > bid)
        # A locked quote still says what a contract is worth (definitions, 8); it only is no quote to buy at.
        priced = is_fresh & (bid > 0) & (ask >= bid)
        with np.errstate(divide="ignore", invalid="ignore"):
            spread_pct = np.where(is_valid, (ask - bid) * 200.0 / (ask + bid), math.nan)
        iv, delta, _, theta, _ = expiry.outputs
        years = years_to_close(t_ns, expiry.close_ns, self.params.selection.time_to_expiry_s_min)
        forward_e4 = self.hot.chain_greeks(
            np.where(priced, bid, math.nan),
            np.where(priced, ask, math.nan),
            expiry.strike,
            expiry.is_call,
            years,
            view.spot_e4,
            self.params.selection.risk_free_rate,
            self.params.selection.forward_strikes,
            expiry.scratch,
            *expiry.outputs,
        )
        return Priced(quotes, age_ns, is_fresh, is_valid, spread_pct, iv, delta, theta, forward_e4, years)

    def judge(self, expiry: Expiry, t_ns: int, view: MarketView) -> Judgement:
        """The verdict on every contract of one expiry at `t_ns`, both rights."""
        priced = self.price(expiry, t_ns, view)
        used_delta, is_tape = self._deltas(expiry, priced.delta, t_ns)
        failures = self._failures(expiry, priced, used_delta)
        verdict = np.select([failures[gate] for gate in GATE_ORDER], GATE_ORDER, PASSED)
        return Judgement(
            expiry,
            verdict,
            priced.quotes,
            priced.spread_pct,
            priced.age_ns,
            priced.iv,
            used_delta,
            is_tape,
            priced.theta,
            failures,
            priced.forward_e4,
            priced.years,
        )

    def _deltas(
        self, expiry: Expiry, computed: NDArray[np.float64], t_ns: int
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        source = self.params.selection.greeks_source
        is_tape = t_ns - expiry.tape_delta_ns <= s_to_ns(self.params.selection.greeks_age_s_max)
        if source == "computed":
            is_tape = np.zeros_like(is_tape)
        missing = math.nan if source == "tape" else computed
        return np.where(is_tape, expiry.tape_delta, missing), is_tape

    def _failures(self, expiry: Expiry, priced: Priced, delta: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
        scalp, gates, selection = self.params.scalp, self.params.gates, self.params.selection
        quotes = priced.quotes
        by_volume = selection.min_volume_today > 0
        # Unknown (nan) fails every comparison below, so it never passes.
        with np.errstate(invalid="ignore"):
            return {
                "option_quote": ~priced.is_valid,
                "option_quote_age": ~priced.is_fresh,
                "option_halt": quotes.halted != 0,
                "spread": ~(priced.spread_pct <= scalp.max_spread_pct),
                "ask_size": quotes.ask_size < gates.ask_size_min,
                "open_interest": ~(expiry.open_interest >= scalp.min_open_interest) & (not by_volume),
                "volume_today": (quotes.volume_today < selection.min_volume_today) & by_volume,
                "price": quotes.ask_e4 > round(scalp.max_contract_price * E4_PER_USD),
                "delta": ~((np.abs(delta) >= selection.delta_min) & (np.abs(delta) <= selection.delta_max)),
            }

    def explain(self, judged: Judgement, row: int) -> list[GateVerdict]:
        """Every gate's word on one contract, in `GATE_ORDER`."""
        return [
            GateVerdict(gate, *self._numbers(judged, row, gate), not judged.failures[gate][row]) for gate in GATE_ORDER
        ]

    def select(self, right: int, t_ns: int, view: MarketView) -> Selection | Refused:
        """The contract of one side to buy at `t_ns`, or what keeps the nearest one out.

        Expiries are looked at in the configured order; within one, least distance to the target delta
        comes first, then narrower spread, more open interest, symbol.
        """
        nearest: Refused | None = None
        for expiry in self.expiries:
            judged = self.judge(expiry, t_ns, view)
            of_side = judged.expiry.is_call == (1 if right == CALL else 0)
            passed = np.flatnonzero(of_side & (judged.verdict == PASSED))
            if len(passed):
                return self._chosen(judged, passed)
            nearest = nearest or self._nearest_miss(judged, np.flatnonzero(of_side), view.spot_e4)
        detail = f"no {side_name(right)} within {self.params.selection.max_dte} days to expiry"
        return nearest or Refused("no_contract", False, 0.0, 1.0, detail)

    def _chosen(self, judged: Judgement, passed: NDArray[np.intp]) -> Selection:
        rows = sorted(passed, key=lambda row: self.rank(judged, int(row)))
        return self.selection_of(judged, int(rows[0]), len(passed))

    def selection_of(self, judged: Judgement, row: int, eligible: int) -> Selection:
        """One contract and what is known of it, as if it were chosen among `eligible` ones."""
        instrument = self.instruments[int(judged.expiry.ids[row])]
        quote = judged.quotes[row]
        interest = judged.expiry.open_interest[row]
        return Selection(
            instrument=instrument,
            quote=Quote(
                int(quote.bid_e4), int(quote.ask_e4), int(quote.bid_size), int(quote.ask_size), int(quote.quote_ns)
            ),
            dte=judged.expiry.dte,
            delta=float(judged.delta[row]),
            delta_source="tape" if judged.is_tape_delta[row] else "computed",
            iv=float(judged.iv[row]),
            theta_per_minute_e4=theta_per_minute(float(judged.theta[row])),
            open_interest=None if math.isnan(interest) else int(interest),
            eligible=eligible,
        )

    def rank(self, judged: Judgement, row: int) -> tuple[float, float, float, str]:
        """Sort key of one contract within its expiry: the least comes first; nan where its delta is unknown."""
        interest = float(judged.expiry.open_interest[row])
        return (
            abs(abs(float(judged.delta[row])) - self.params.scalp.target_delta),
            float(judged.spread_pct[row]),
            0.0 if math.isnan(interest) else -interest,
            self.instruments[int(judged.expiry.ids[row])].symbol,
        )

    def _nearest_miss(self, judged: Judgement, rows: NDArray[np.intp], spot_e4: float) -> Refused | None:
        """The gate that keeps out the contract nearest the target delta, with its two numbers.

        Where no contract has a delta (a whole chain without fresh quotes), the one nearest the money speaks.
        """
        known = [int(row) for row in rows if not math.isnan(judged.delta[row])]
        if not len(rows):
            return None
        if known:
            row = min(known, key=lambda candidate: self.rank(judged, candidate))
        elif spot_e4 > 0.0:
            row = min((int(row) for row in rows), key=lambda each: abs(float(judged.expiry.strike[each]) - spot_e4))
        else:
            return Refused("no_contract", False, 0.0, 1.0, "the underlying has no price")
        gate = str(judged.verdict[row])
        value, limit = self._numbers(judged, row, gate)
        return Refused(gate, False, value, limit, self.instruments[int(judged.expiry.ids[row])].symbol)

    def _numbers(self, judged: Judgement, row: int, gate: str) -> tuple[float | None, float]:
        scalp, gates, selection = self.params.scalp, self.params.gates, self.params.selection
        quote = judged.quotes[row]
        delta = abs(float(judged.delta[row]))
        interest = float(judged.expiry.open_interest[row])
        compared: dict[str, tuple[float | None, float]] = {
            "option_quote": (float(quote.bid_e4) / E4_PER_USD, float(quote.ask_e4) / E4_PER_USD),
            "option_quote_age": (float(judged.age_ns[row]) / NS_PER_MS, float(gates.option_quote_age_ms_max)),
            "option_halt": (float(quote.halted != 0), 0.0),
            "spread": (float(judged.spread_pct[row]), scalp.max_spread_pct),
            "ask_size": (float(quote.ask_size), float(gates.ask_size_min)),
            "open_interest": (None if math.isnan(interest) else interest, float(scalp.min_open_interest)),
            "volume_today": (float(quote.volume_today), float(selection.min_volume_today)),
            "price": (float(quote.ask_e4) / E4_PER_USD, scalp.max_contract_price),
            "delta": (
                None if math.isnan(delta) else delta,
                selection.delta_max if delta > selection.delta_max else selection.delta_min,
            ),
        }
        return compared[gate]


def _expiries(params: Params, session: Session, instruments: tuple[Instrument, ...]) -> list[Expiry]:
    """Columns of every allowed expiry, in the order they are looked at."""
    chains: dict[dt.date, list[Instrument]] = {}
    for instrument in instruments:
        if instrument.expiry is not None and instrument.multiplier == STANDARD_MULTIPLIER:
            chains.setdefault(instrument.expiry, []).append(instrument)
    selection = params.selection
    allowed = [day for day in chains if selection.min_dte <= (day - session.date).days <= selection.max_dte]
    allowed.sort(key=lambda day: _turn((day - session.date).days, params))
    return [_expiry(day, session, sorted(chains[day], key=lambda each: each.symbol), params) for day in allowed]


def _turn(dte: int, params: Params) -> tuple[int, int]:
    """When an expiry is looked at: nearest to the preferred days first, then the nearer one."""
    if params.selection.preferred_dte >= 0:
        return (abs(dte - params.selection.preferred_dte), dte)
    # Without a number: the nearest; with `prefer_0dte` off, today's after all others.
    return (int(dte == 0 and not params.scalp.prefer_0dte), dte)


def _expiry(day: dt.date, session: Session, chain: list[Instrument], params: Params) -> Expiry:
    count = len(chain)
    interest = [math.nan if each.open_interest is None else float(each.open_interest) for each in chain]
    return Expiry(
        date=day,
        dte=(day - session.date).days,
        close_ns=contract_close_ns(day),
        ids=np.array([each.instrument_id for each in chain], np.int64),
        strike=np.array([each.strike_e4 for each in chain], np.float64),
        is_call=np.array([each.right == "C" for each in chain], np.int8),
        open_interest=np.array(interest, np.float64),
        tape_delta=np.full(count, math.nan),
        tape_delta_ns=np.full(count, NO_TIME_NS, np.int64),
        scratch=np.zeros(params.selection.forward_strikes + 1),
        outputs=tuple(np.full(count, math.nan) for _ in range(5)),
    )
