"""Fair prices of a synthetic chain: Black-Scholes on arrays, with a smile.

Decides what a made-up contract is worth. Makes data, not decisions: the engine's own prices and greeks
stand in `core/greeks.py` and share nothing with this file.

Uncertainty is the standard deviation of the logarithm of the price until expiry, counted in trading time:
``volatility * sqrt(seconds of trading left / (252 * 23400))``. A formula in calendar time, such as the
engine's, sees a higher volatility in the same price, because no calendar night is left in it.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.runtime.synthetic_path import Floats
from scalpcli.runtime.synthetic_plan import REGULAR_SESSION_S, SESSIONS_PER_YEAR

_STEPS_PER_UNIT: Final = 1_024
_REACH: Final = 8.0
_SKEW: Final = -0.02
_CURVATURE: Final = 0.012
_SMILE_REACH: Final = 5.0
_TRADING_YEAR_S: Final = SESSIONS_PER_YEAR * REGULAR_SESSION_S


def _normal_table() -> Floats:
    count = int(2 * _REACH * _STEPS_PER_UNIT) + 2
    return np.array([0.5 * math.erfc(-(i / _STEPS_PER_UNIT - _REACH) / math.sqrt(2.0)) for i in range(count)])


_NORMAL: Final = _normal_table()


def normal_cdf(x: Floats) -> Floats:
    """The standard normal distribution function, to 1e-7, by table: NumPy has none."""
    position = (np.clip(x, -_REACH, _REACH) + _REACH) * _STEPS_PER_UNIT
    index = position.astype(np.int64)
    below = _NORMAL[index]
    value: Floats = below + (_NORMAL[index + 1] - below) * (position - index)
    return value


def uncertainty(volatility: float, trading_s_left: Floats) -> Floats:
    """Standard deviation of the logarithm of the price at expiry; at least one second is left."""
    deviation: Floats = volatility * np.sqrt(np.maximum(trading_s_left, 1.0) / _TRADING_YEAR_S)
    return deviation


def fair_prices(
    forward: Floats, strike: Floats, is_call: NDArray[np.bool_], deviation: Floats
) -> tuple[Floats, Floats]:
    """Price and absolute delta of contracts, in the unit of `forward`; discounting within days is left out.

    Source: Black 1976; the smile is a parabola in standard deviations from the money.
    """
    log_money = np.log(forward / strike)
    distance = np.clip(-log_money / deviation, -_SMILE_REACH, _SMILE_REACH)
    smiled = deviation * (1.0 + _SKEW * distance + _CURVATURE * distance * distance)
    d1 = log_money / smiled + 0.5 * smiled
    cdf = normal_cdf(d1)
    call = np.maximum(forward * cdf - strike * normal_cdf(d1 - smiled), 0.0)
    # Parity gives the put, so that calls and puts of a strike never disagree about the stock.
    price = np.where(is_call, call, np.maximum(call - (forward - strike), 0.0))
    return price, np.where(is_call, cdf, 1.0 - cdf)
