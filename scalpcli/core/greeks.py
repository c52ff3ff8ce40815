"""Prices, implied volatility and greeks of European options (definitions, section 8).

Decides what a contract is worth, what volatility its quote implies and how it moves. Leaves which quotes
are fresh, and where the rates come from, to its callers. American exercise is left out on purpose: for
contracts that expire within days it moves delta by less than 0.0005 up to 0.94.

Everything is a plain function of numbers and arrays: compiled into the kernel and run as it stands, with
results equal to the last bit. Hence no exceptions (while rate x time stays below 700 and no price is 1e300
times another), no allocation, only IEEE operations and the C library's `exp`, `log`, `sqrt` and `erfc`.
Unknown is `nan`. Prices may be in dollars or in 1/10000 USD; gamma, theta and vega come in the same unit.

Source: Black 1976 on the forward; Black and Scholes 1973 in the spot; the normalised price and its turning
point follow Jaeckel, "Let's Be Rational", 2015. Checked against Haug 1998 and vollib.
"""

from __future__ import annotations

import math
from typing import Any, Final

Array = Any
"""One-dimensional NumPy array; untyped because the compiler and the interpreter index it alike."""

SECONDS_PER_YEAR: Final = 365.0 * 86_400.0
MINUTES_PER_YEAR: Final = 365.0 * 1_440.0
ITERATIONS_MAX: Final = 64
"""Steps of one inversion at most; most take 4 to 8, the hardest of 200,000 random ones took 27."""
TOLERANCE: Final = 1e-12
"""An inversion ends when the volatility moves by less than this share of itself."""
VEGA_SHARE_MIN: Final = 1e-6
"""Vega vanishes below this share of the larger of forward and strike, per 1.00 of volatility: the rounding
of the price alone would then move the volatility by about 1e-9."""

_NAN: Final = math.nan
_SQRT_HALF: Final = 0.7071067811865476
_DENSITY_AT_ZERO: Final = 0.3989422804014327
_TOTAL_VOLATILITY_MAX: Final = 64.0
_LOG_MONEYNESS_MAX: Final = 700.0


def years_to_close(now_ns: int, close_ns: int, seconds_min: float) -> float:
    """Time to a contract's last moment in years of 365 days, at least `seconds_min` (60 by default)."""
    seconds = (close_ns - now_ns) * 1e-9
    seconds = max(seconds, seconds_min)
    return seconds / SECONDS_PER_YEAR


def normal_cdf(x: float) -> float:
    """Standard normal distribution function, accurate in both tails."""
    return 0.5 * math.erfc(-x * _SQRT_HALF)


def normal_density(x: float) -> float:
    """Standard normal density."""
    return _DENSITY_AT_ZERO * math.exp(-0.5 * x * x)


def forward_price(spot: float, years: float, rate: float, dividend_yield: float) -> float:
    """Forward of a stock that pays a continuous yield."""
    return spot * math.exp((rate - dividend_yield) * years)


def black_price(forward: float, strike: float, years: float, volatility: float, rate: float, is_call: bool) -> float:
    """Price of a European option on a forward; its discounted intrinsic value where nothing can move.

    Args:
        forward: Price agreed today for delivery at expiry, above 0.
        strike: Above 0.
        years: Time to expiry, years of 365 days.
        volatility: Standard deviation per square root of a year; 0.5 is 50 percent.
        rate: Continuous interest per year.
        is_call: Whether it is a call.

    Returns:
        Price in the unit of forward and strike; `nan` where one of those is not above 0.
    """
    if not (forward > 0.0 and strike > 0.0):
        return _NAN
    undiscounted = _intrinsic(forward, strike, is_call)
    total = _total(volatility, years)
    if total > 0.0:
        log_moneyness = -abs(math.log(forward / strike))
        undiscounted += math.sqrt(forward * strike) * normalised_price(log_moneyness, total)
    return math.exp(-rate * years) * undiscounted


def normalised_price(log_moneyness: float, total: float) -> float:
    """Undiscounted price of the out-of-the-money option over sqrt(forward x strike).

    Call and put of one strike share it: above the intrinsic value both are worth the same.

    Args:
        log_moneyness: `-abs(log(forward / strike))`, at most 0.
        total: Volatility times the square root of time, above 0.
    """
    if log_moneyness < -_LOG_MONEYNESS_MAX:
        return 0.0
    ratio = log_moneyness / total
    half = 0.5 * total
    root = math.exp(0.5 * log_moneyness)
    value = root * normal_cdf(ratio + half) - normal_cdf(ratio - half) / root
    # The two terms cancel far from the money; what is left of zero then is rounding.
    return max(0.0, value)


def normalised_vega(log_moneyness: float, total: float) -> float:
    """Derivative of `normalised_price` by `total`."""
    ratio = log_moneyness / total
    return _DENSITY_AT_ZERO * math.exp(-0.5 * (ratio * ratio + 0.25 * total * total))


def implied_volatility(price: float, forward: float, strike: float, years: float, rate: float, is_call: bool) -> float:
    """The volatility at which `black_price` gives `price`; arguments as there.

    Returns:
        Volatility per square root of a year, within 1e-8 of the exact one; `nan` = unknown: an argument is
        missing, the price is at or below the discounted intrinsic value or not below its upper bound, or
        vega vanishes (`VEGA_SHARE_MIN`).
    """
    if not (price > 0.0 and forward > 0.0 and strike > 0.0 and years > 0.0):
        return _NAN
    time_value = price * math.exp(rate * years) - _intrinsic(forward, strike, is_call)
    smaller = min(strike, forward)
    larger = max(forward, strike)
    if not 0.0 < time_value < smaller:
        return _NAN
    scale = math.sqrt(forward * strike)
    log_moneyness = -abs(math.log(forward / strike))
    root_years = math.sqrt(years)
    total = _total_volatility(log_moneyness, time_value / scale)
    if not scale * normalised_vega(log_moneyness, total) * root_years > VEGA_SHARE_MIN * larger:
        return _NAN
    return total / root_years


def _total_volatility(log_moneyness: float, target: float) -> float:
    """Solve `normalised_price(log_moneyness, v) = target` for `v`; `nan` where it has no solution.

    The price is convex in `v` up to the turning point `sqrt(2 |log_moneyness|)` and concave beyond. Above
    it, Newton's steps from there climb to the solution. Below it, the logarithm of the price is nearly
    straight in `1 / v^2`, and Newton's steps are taken in those terms. A step that leaves the bracket is
    replaced by half of the bracket.
    """
    turning = math.sqrt(-2.0 * log_moneyness)
    is_low = turning > 0.0 and target < normalised_price(log_moneyness, turning)
    low = 0.0
    high = turning if is_low else _TOTAL_VOLATILITY_MAX
    total = turning if turning > 0.0 else target / _DENSITY_AT_ZERO
    for _ in range(ITERATIONS_MAX):
        price = normalised_price(log_moneyness, total)
        if price < target:
            low = total
        else:
            high = total
        step = _newton_step(price, normalised_vega(log_moneyness, total), target, total, is_low)
        if not low < total + step < high and abs(step) > TOLERANCE * total:
            step = 0.5 * (low + high) - total
        total += step
        if abs(step) <= TOLERANCE * total:
            return total
    return _NAN


def _newton_step(price: float, vega: float, target: float, total: float, is_low: bool) -> float:
    """Change of `total` that Newton's method proposes; one that leaves every bracket where it has none."""
    slope = vega * total
    if not (price > 0.0 and slope > 0.0):
        return -2.0 * total
    if not is_low:
        return (target - price) / vega
    inverse_square = 1.0 + 2.0 * math.log(price / target) * price / slope
    if not inverse_square > 0.0:
        return -2.0 * total
    return total / math.sqrt(inverse_square) - total


def _total(volatility: float, years: float) -> float:
    """Volatility over the whole time; 0 where nothing can move."""
    return volatility * math.sqrt(years) if years > 0.0 and volatility > 0.0 else 0.0


def _intrinsic(forward: float, strike: float, is_call: bool) -> float:
    value = forward - strike if is_call else strike - forward
    return max(0.0, value)


def spot_price(
    spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float, is_call: bool
) -> float:
    """`black_price` on the forward of a stock; see `forward_price`."""
    return black_price(forward_price(spot, years, rate, dividend_yield), strike, years, volatility, rate, is_call)


def d_one(spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float) -> float:
    """The `d1` of Black and Scholes; `nan` where price, time or volatility is not above 0."""
    total = _total(volatility, years)
    if not (spot > 0.0 and strike > 0.0 and total > 0.0):
        return _NAN
    return (math.log(spot / strike) + (rate - dividend_yield) * years) / total + 0.5 * total


def delta(
    spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float, is_call: bool
) -> float:
    """Change of the price per change of the spot: 0 to 1 for calls, -1 to 0 for puts."""
    d1 = d_one(spot, strike, years, volatility, rate, dividend_yield)
    if math.isnan(d1):
        return _NAN
    carry = math.exp(-dividend_yield * years)
    return carry * normal_cdf(d1) if is_call else -carry * normal_cdf(-d1)


def gamma(spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float) -> float:
    """Change of delta per change of the spot; the same for call and put."""
    d1 = d_one(spot, strike, years, volatility, rate, dividend_yield)
    if math.isnan(d1):
        return _NAN
    return math.exp(-dividend_yield * years) * normal_density(d1) / _total(volatility, years) / spot


def vega(spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float) -> float:
    """Change of the price per 1.00 of volatility; the same for call and put."""
    d1 = d_one(spot, strike, years, volatility, rate, dividend_yield)
    if math.isnan(d1):
        return _NAN
    return spot * math.exp(-dividend_yield * years) * normal_density(d1) * math.sqrt(years)


def theta(
    spot: float, strike: float, years: float, volatility: float, rate: float, dividend_yield: float, is_call: bool
) -> float:
    """Change of the price per year that passes, mostly negative; see `theta_per_minute`."""
    d1 = d_one(spot, strike, years, volatility, rate, dividend_yield)
    if math.isnan(d1):
        return _NAN
    sign = 1.0 if is_call else -1.0
    carried = spot * math.exp(-dividend_yield * years)
    discounted = strike * math.exp(-rate * years)
    root_years = math.sqrt(years)
    decay = carried * normal_density(d1) * volatility / (2.0 * root_years)
    interest = rate * discounted * normal_cdf(sign * (d1 - volatility * root_years))
    income = dividend_yield * carried * normal_cdf(sign * d1)
    return sign * (income - interest) - decay


def theta_per_minute(theta_per_year: float) -> float:
    """Decay per minute of a theta per year; years have 365 days of 24 hours."""
    return theta_per_year / MINUTES_PER_YEAR


def mid_of_valid(bid: float, ask: float) -> float:
    """Mid price of a two-sided, uncrossed quote; else `nan`. An absent side is 0 or `nan`."""
    if bid > 0.0 and ask >= bid:
        return 0.5 * (bid + ask)
    return _NAN


def parity_forward(
    bid: Array,
    ask: Array,
    strike: Array,
    is_call: Array,
    years: float,
    spot: float,
    rate: float,
    strikes_for_forward: int,
    scratch: Array,
) -> float:
    """Forward of one expiry from put-call parity: the median of `K + e^(rT) (C - P)` near the money.

    Taken over the `strikes_for_forward` strikes nearest to `spot` (ties: the lower strike) that have a
    valid call and a valid put. Where fewer have both, one bad quote could no longer be outvoted, and the
    forward is `spot e^(rT)`.

    Args:
        bid: Bids of the expiry's contracts, shape `(n,)`; a quote that is not fresh is handed in as `nan`.
        ask: Asks, likewise.
        strike: Strikes, likewise, in any order.
        is_call: Whether each is a call.
        years: Time to expiry.
        spot: Price of the underlying, in the unit of the strikes.
        rate: Continuous interest per year.
        strikes_for_forward: At least 1.
        scratch: Room for as many numbers, float64; overwritten.

    Returns:
        The forward; `nan` where `spot` is unknown (`nan` or 0).
    """
    if not spot > 0.0:
        return _NAN
    growth = math.exp(rate * years)
    last_distance = -1.0
    last_strike = 0.0
    for rank in range(strikes_for_forward):
        nearest_distance = math.inf
        nearest_strike = 0.0
        difference = 0.0
        for call in range(len(strike)):
            at = float(strike[call])
            distance = abs(at - spot)
            is_behind = distance > last_distance or (distance == last_distance and at > last_strike)
            is_nearer = distance < nearest_distance or (distance == nearest_distance and at < nearest_strike)
            if is_call[call] and is_behind and is_nearer:
                gap = _call_less_put(bid, ask, strike, is_call, call)
                if not math.isnan(gap):
                    nearest_distance = distance
                    nearest_strike = at
                    difference = gap
        if nearest_distance == math.inf:
            return spot * growth
        last_distance = nearest_distance
        last_strike = nearest_strike
        _insert_sorted(scratch, rank, nearest_strike + growth * difference)
    return _median_of_sorted(scratch, strikes_for_forward)


def _call_less_put(bid: Array, ask: Array, strike: Array, is_call: Array, call: int) -> float:
    """Mid of a call less the mid of the first valid put of its strike; `nan` where either is missing."""
    call_mid = mid_of_valid(float(bid[call]), float(ask[call]))
    if math.isnan(call_mid):
        return _NAN
    for put in range(len(strike)):
        if strike[put] == strike[call] and not is_call[put]:
            put_mid = mid_of_valid(float(bid[put]), float(ask[put]))
            if not math.isnan(put_mid):
                return call_mid - put_mid
    return _NAN


def _insert_sorted(values: Array, count: int, value: float) -> None:
    """Put `value` in its place among the first `count` values, which ascend."""
    place = count
    while place > 0 and values[place - 1] > value:
        values[place] = values[place - 1]
        place -= 1
    values[place] = value


def _median_of_sorted(values: Array, count: int) -> float:
    middle = count // 2
    if count - 2 * middle == 1:
        return float(values[middle])
    return 0.5 * (float(values[middle - 1]) + float(values[middle]))


def chain_greeks(
    bid: Array,
    ask: Array,
    strike: Array,
    is_call: Array,
    years: float,
    spot: float,
    rate: float,
    strikes_for_forward: int,
    scratch: Array,
    out_iv: Array,
    out_delta: Array,
    out_gamma: Array,
    out_theta: Array,
    out_vega: Array,
) -> float:
    """Implied volatilities and greeks of the contracts of one expiry.

    The volatility comes from the mid of each valid quote and the chain's forward `F`; the greeks are those
    of Black and Scholes at the spot that `F` implies, `F e^(-rT)`, so the call delta is `N(d1)`.

    Args:
        bid: As in `parity_forward`, shape `(n,)`.
        ask: As there.
        strike: As there.
        is_call: As there.
        years: As there.
        spot: As there.
        rate: As there.
        strikes_for_forward: As there.
        scratch: As there.
        out_iv: Filled with volatilities, shape `(n,)`, float64, `nan` where unknown.
        out_delta: Filled likewise.
        out_gamma: Filled likewise.
        out_theta: Filled likewise, per year.
        out_vega: Filled likewise, per 1.00 of volatility.

    Returns:
        The forward.
    """
    forward = parity_forward(bid, ask, strike, is_call, years, spot, rate, strikes_for_forward, scratch)
    implied_spot = forward * math.exp(-rate * years)
    for index in range(len(strike)):
        at = float(strike[index])
        call = bool(is_call[index])
        mid = mid_of_valid(float(bid[index]), float(ask[index]))
        volatility = implied_volatility(mid, forward, at, years, rate, call)
        out_iv[index] = volatility
        out_delta[index] = delta(implied_spot, at, years, volatility, rate, 0.0, call)
        out_gamma[index] = gamma(implied_spot, at, years, volatility, rate, 0.0)
        out_theta[index] = theta(implied_spot, at, years, volatility, rate, 0.0, call)
        out_vega[index] = vega(implied_spot, at, years, volatility, rate, 0.0)
    return forward
