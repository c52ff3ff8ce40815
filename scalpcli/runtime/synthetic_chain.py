"""The option chain of a synthetic tape.

Decides which contracts exist and their open interest. Leaves their prices to `synthetic_options.py`.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.instrument import Instrument, OccSymbol, TickRule
from scalpcli.model.session import previous_session
from scalpcli.runtime.synthetic_path import Floats
from scalpcli.runtime.synthetic_plan import REGULAR_SESSION_S, Frame, Part, Streams, SyntheticSpec
from scalpcli.units import E4_PER_USD


@dataclass(frozen=True, slots=True)
class Chain:
    """Contracts as arrays, one element each, in order of `instrument_id`.

    Args:
        first_id: `instrument_id` of the first contract.
        strike_e4: Strikes, 1/10000 USD.
        is_call: Calls are true.
        later_s: Seconds of trading between the session's close and the contract's expiry, 0 = same day.
        instruments: The same contracts as the tape lists them.
    """

    first_id: int
    strike_e4: Floats
    is_call: NDArray[np.bool_]
    later_s: Floats
    instruments: tuple[Instrument, ...]


def build_chain(spec: SyntheticSpec, frame: Frame, streams: Streams) -> Chain:
    """Contracts around the spot: for each expiry as many calls as puts, strikes centred on the money."""
    rng = streams.of(Part.CHAIN)
    instruments: list[Instrument] = []
    later_s: list[float] = []
    for count, expiry, sessions in zip(
        (spec.contracts, spec.next_expiry), frame.expiries, frame.sessions_between, strict=True
    ):
        for strike_e4, right in _strikes(spec, count):
            instruments.append(_contract(spec, len(instruments) + 1, expiry, strike_e4, right, rng))
            later_s.append(float(sessions * REGULAR_SESSION_S))
    return Chain(
        first_id=1,
        strike_e4=np.array([one.strike_e4 for one in instruments], np.float64),
        is_call=np.array([one.right == "C" for one in instruments], np.bool_),
        later_s=np.array(later_s, np.float64),
        instruments=tuple(instruments),
    )


def _strikes(spec: SyntheticSpec, count: int) -> list[tuple[int, str]]:
    """Strike and right of `count` contracts, strike by strike; an odd one out is a call."""
    step_e4 = round(spec.strike_step * E4_PER_USD)
    levels = (count + 1) // 2
    middle = round(spec.spot * E4_PER_USD / step_e4)
    # Strikes stay above zero also where the chain is wider than the spot is high.
    lowest = max(1, middle - (levels - 1) // 2)
    chosen = [(strike * step_e4, right) for strike in range(lowest, lowest + levels) for right in ("C", "P")]
    return chosen[:count]


def _contract(
    spec: SyntheticSpec, instrument_id: int, expiry: dt.date, strike_e4: int, right: str, rng: np.random.Generator
) -> Instrument:
    # Interest gathers near the money and at round strikes; some away from it have hardly any.
    away = abs(strike_e4 / E4_PER_USD - spec.spot) / (0.025 * spec.spot)
    interest = 14_000.0 / (1.0 + away * away) * (0.3 + rng.random())
    if strike_e4 % (10 * E4_PER_USD) == 0:
        interest *= 1.4
    if rng.random() < 0.15 and away > 0.9:
        interest = 500.0 * rng.random()
    return Instrument(
        instrument_id=instrument_id,
        symbol=OccSymbol(spec.symbol, expiry, right, strike_e4).compact,
        expiry=expiry,
        strike_e4=strike_e4,
        right=right,
        tick_rule=TickRule.PENNY_PROGRAM,
        open_interest=min(20_000, int(interest)),
        open_interest_date=previous_session(spec.date).date,
    )
