"""Laws of option prices, and the compiled functions against the interpreted ones."""

from __future__ import annotations

import importlib.util
import inspect
import math
from types import ModuleType

import numba
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scalpcli.core import greeks
from scalpcli.core.greeks import (
    SECONDS_PER_YEAR,
    VEGA_SHARE_MIN,
    black_price,
    delta,
    gamma,
    implied_volatility,
    normal_cdf,
    parity_forward,
    spot_price,
    theta,
    vega,
)

# From a same-day contract's last minute to two years; from calm to squeezed.
YEARS = st.floats(math.log(60 / SECONDS_PER_YEAR), math.log(2.0)).map(math.exp)
VOLATILITIES = st.floats(math.log(0.03), math.log(8.0)).map(math.exp)
PRICES = st.floats(5.0, 5_000.0)
MONEYNESS = st.floats(-0.5, 0.5)
RATES = st.floats(-0.02, 0.15)
RIGHTS = st.booleans()


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, RATES)
def test_calls_less_puts_are_the_discounted_forward_less_strike(forward, moneyness, years, volatility, rate):
    """Put-call parity, to rounding."""
    strike = forward * math.exp(moneyness)

    call = black_price(forward, strike, years, volatility, rate, True)
    put = black_price(forward, strike, years, volatility, rate, False)

    assert call - put == pytest.approx(math.exp(-rate * years) * (forward - strike), abs=1e-13 * (forward + strike))


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, RATES, RIGHTS)
def test_prices_stay_between_intrinsic_value_and_bound(forward, moneyness, years, volatility, rate, is_call):
    """Never below what exercise at expiry pays for sure, never above what it can pay at most."""
    strike = forward * math.exp(moneyness)
    discount = math.exp(-rate * years)

    price = black_price(forward, strike, years, volatility, rate, is_call)

    sure = discount * max(0.0, forward - strike if is_call else strike - forward)
    most = discount * (forward if is_call else strike)
    assert sure <= price <= most * (1 + 1e-15)


@given(PRICES, MONEYNESS, st.floats(1e-4, 0.2), YEARS, VOLATILITIES, RATES)
def test_a_higher_strike_makes_calls_cheaper_and_puts_dearer(forward, moneyness, width, years, volatility, rate):
    """A spread is worth no less than nothing and no more than its discounted width."""
    low = forward * math.exp(moneyness)
    high = low * (1 + width)
    rounding = 1e-13 * (forward + high)

    call_spread, put_spread = (
        sign
        * (
            black_price(forward, low, years, volatility, rate, right)
            - black_price(forward, high, years, volatility, rate, right)
        )
        for right, sign in ((True, 1.0), (False, -1.0))
    )

    most = math.exp(-rate * years) * (high - low)
    assert -rounding <= call_spread <= most + rounding
    assert -rounding <= put_spread <= most + rounding


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, st.floats(1e-3, 1.0), RIGHTS)
def test_more_volatility_never_makes_an_option_cheaper(forward, moneyness, years, volatility, more, is_call):
    """Price grows with volatility, to rounding."""
    strike = forward * math.exp(moneyness)

    calm = black_price(forward, strike, years, volatility, 0.04, is_call)
    wild = black_price(forward, strike, years, volatility + more, 0.04, is_call)

    assert wild - calm >= -1e-14 * (forward + strike)


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, RATES, RIGHTS)
def test_inversion_returns_the_volatility_or_says_unknown_for_want_of_vega(
    forward, moneyness, years, volatility, rate, is_call
):
    """Within 1e-8 wherever vega is not vanishing, unknown where it is; between the two it may be either."""
    strike = forward * math.exp(moneyness)
    own = (forward * math.exp(-rate * years), strike, years, volatility, rate, 0.0)
    share = math.exp(rate * years) * vega(*own) / max(forward, strike)
    price = black_price(forward, strike, years, volatility, rate, is_call)

    implied = implied_volatility(price, forward, strike, years, rate, is_call)

    assume(abs(share / VEGA_SHARE_MIN - 1) > 1e-3)
    if share > VEGA_SHARE_MIN:
        assert abs(implied - volatility) <= 1e-8
    else:
        assert math.isnan(implied)


@given(st.floats(0.5, 1_000.0), PRICES, MONEYNESS, YEARS, RATES, RIGHTS)
def test_a_known_volatility_explains_the_price_it_came_from(price, forward, moneyness, years, rate, is_call):
    """Any price at all: either the volatility gives it back, or there is none."""
    strike = forward * math.exp(moneyness)

    implied = implied_volatility(price, forward, strike, years, rate, is_call)

    assume(not math.isnan(implied))
    assert implied > 0.0
    assert black_price(forward, strike, years, implied, rate, is_call) == pytest.approx(
        price, abs=1e-12 * (forward + strike)
    )


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, RATES, st.floats(0.0, 0.1), RIGHTS)
def test_greeks_are_the_slopes_of_the_price(spot, moneyness, years, volatility, rate, carry, is_call):
    """Delta, gamma, vega and theta against central differences of the price itself."""
    strike = spot * math.exp(moneyness)
    total = volatility * math.sqrt(years)
    assume(0.002 < total < 2.0)
    own = (spot, strike, years, volatility, rate, carry)
    up, dv, dt = spot * total * 1e-3, volatility * 1e-4, years * 1e-4

    def price(spot: float, years: float, volatility: float) -> float:
        return spot_price(spot, strike, years, volatility, rate, carry, is_call)

    first = (price(spot + up, years, volatility) - price(spot - up, years, volatility)) / (2 * up)
    second = (delta(spot + up, *own[1:], is_call) - delta(spot - up, *own[1:], is_call)) / (2 * up)
    by_volatility = (price(spot, years, volatility + dv) - price(spot, years, volatility - dv)) / (2 * dv)
    by_time = (price(spot, years - dt, volatility) - price(spot, years + dt, volatility)) / (2 * dt)

    assert delta(*own, is_call) == pytest.approx(first, abs=1e-6)
    assert gamma(*own) * spot * total == pytest.approx(second * spot * total, abs=1e-6)
    assert vega(*own) / (spot * math.sqrt(years)) == pytest.approx(by_volatility / (spot * math.sqrt(years)), abs=1e-6)
    assert theta(*own, is_call) * years / spot == pytest.approx(by_time * years / spot, abs=1e-6)


@given(PRICES, MONEYNESS, YEARS, VOLATILITIES, RATES)
def test_call_and_put_delta_differ_by_one(spot, moneyness, years, volatility, rate):
    """Without a dividend the call's delta is N(d1), the put's N(d1) - 1."""
    own = (spot, spot * math.exp(moneyness), years, volatility, rate, 0.0)

    call, put = delta(*own, True), delta(*own, False)

    assert 0.0 <= call <= 1.0
    assert call - put == pytest.approx(1.0, abs=1e-15)


@given(
    quotes=st.lists(
        st.tuples(
            st.integers(380, 420),
            st.floats(0.0, 10.0),
            st.floats(0.0, 10.0),
            st.floats(0.0, 10.0),
            st.floats(0.0, 10.0),
        ),
        unique_by=lambda quote: quote[0],
        max_size=12,
    ),
    wanted=st.integers(1, 4),
    data=st.data(),
)
def test_the_forward_is_the_median_over_the_nearest_valid_strikes(quotes, wanted, data):
    """Recomputed by sorting, and the same in whatever order the contracts stand."""
    spot, years, rate = 400.0, 0.01, 0.04
    rows = [(bid, ask, float(strike), True) for strike, bid, ask, _, _ in quotes]
    rows += [(bid, ask, float(strike), False) for strike, _, _, bid, ask in quotes]
    shuffled = data.draw(st.permutations(rows))
    columns = [
        np.array([row[place] for row in shuffled], kind) for place, kind in enumerate((float, float, float, bool))
    ]

    forward = parity_forward(*columns, years, spot, rate, wanted, np.empty(wanted))

    growth = math.exp(rate * years)
    valid = sorted(
        (abs(strike - spot), strike, strike + growth * ((call_bid + call_ask) / 2 - (put_bid + put_ask) / 2))
        for strike, call_bid, call_ask, put_bid, put_ask in quotes
        if 0 < call_bid <= call_ask and 0 < put_bid <= put_ask
    )
    expected = np.median([each for _, _, each in valid[:wanted]]) if len(valid) >= wanted else spot * growth
    assert forward == pytest.approx(expected, rel=1e-14)


@pytest.fixture(scope="module")
def compiled() -> ModuleType:
    """A second copy of the module with every function compiled, as the kernel's compiler does it."""
    spec = importlib.util.spec_from_file_location("compiled_greeks", greeks.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, function in list(vars(module).items()):
        if inspect.isfunction(function) and function.__module__ == "compiled_greeks":
            setattr(module, name, numba.njit(error_model="numpy")(function))
    return module


def random_markets(count: int, seed: int) -> list[tuple[float, float, float, float, float, bool]]:
    """Forward, strike, years, volatility, rate, right; one in ten has a number that means nothing."""
    draw = np.random.default_rng(seed)
    forward = np.exp(draw.normal(5.0, 1.0, count))
    columns = [
        forward,
        forward * np.exp(draw.normal(0.0, 0.2, count)),
        np.exp(draw.uniform(math.log(1e-6), 1.0, count)),
        np.exp(draw.uniform(math.log(0.01), 2.0, count)),
        draw.uniform(-0.05, 0.2, count),
    ]
    for column in columns[:4]:
        hostile = draw.random(count) < 0.025
        column[hostile] = draw.choice([0.0, -1.0, math.nan, 1e-100, 1e100], hostile.sum())
    # Time stays within reason: growth beyond e^700 has no float.
    columns[2] = np.minimum(columns[2], 100.0)
    return list(zip(*(column.tolist() for column in columns), (draw.random(count) < 0.5).tolist(), strict=True))


def as_bytes(values: list[float]) -> bytes:
    return np.array(values).tobytes()


def evaluate(module: ModuleType, market: tuple[float, float, float, float, float, bool]) -> list[float]:
    forward, strike, years, volatility, rate, is_call = market
    price = module.black_price(forward, strike, years, volatility, rate, is_call)
    own = (forward, strike, years, volatility, rate, 0.01)
    return [
        price,
        module.implied_volatility(price, forward, strike, years, rate, is_call),
        module.implied_volatility(price * 1.3, forward, strike, years, rate, is_call),
        module.normal_cdf(rate * 100.0),
        module.delta(*own, is_call),
        module.gamma(*own),
        module.theta(*own, is_call),
        module.vega(*own),
    ]


def differing(module: ModuleType, count: int, seed: int) -> list[tuple[float, float, float, float, float, bool]]:
    markets = random_markets(count, seed)
    return [market for market in markets if as_bytes(evaluate(greeks, market)) != as_bytes(evaluate(module, market))]


def test_compiled_and_interpreted_values_are_equal_to_the_last_bit(compiled):
    """Twenty thousand markets, hostile ones among them, eight values each."""
    assert differing(compiled, 20_000, seed=9) == []


@pytest.mark.full
def test_a_million_compiled_and_interpreted_values_are_equal_to_the_last_bit(compiled):
    """The same over a million markets; takes a minute or two."""
    assert differing(compiled, 1_000_000, seed=10) == []


def test_most_random_markets_have_a_volatility():
    """The comparison above would prove little if nearly everything were unknown."""
    values = np.array([evaluate(greeks, market) for market in random_markets(5_000, seed=9)])

    known = 1 - np.isnan(values).mean(axis=0)

    assert known[1] > 0.3
    assert known[2] > 0.3
    assert known[0] > 0.9


def test_a_compiled_chain_equals_the_interpreted_one_to_the_last_bit(compiled):
    """120 contracts with absent, crossed and stale quotes, every output and the forward."""
    draw = np.random.default_rng(11)
    strike = np.repeat(400.0 + np.arange(-30, 30) * 2.5, 2)
    is_call = np.tile([True, False], 60)
    years, spot = 7_200.0 / SECONDS_PER_YEAR, 400.0
    mid = np.array(
        [black_price(400.2, k, years, 0.8, 0.04, bool(right)) for k, right in zip(strike, is_call, strict=True)]
    )
    bid, ask = np.maximum(0.0, np.floor(mid * 95) / 100), np.ceil(mid * 105) / 100
    bid[draw.integers(0, 120, 5)] = math.nan
    ask[draw.integers(0, 120, 5)] = 0.01

    def run(module: ModuleType) -> tuple[float, bytes, np.ndarray]:
        outs = np.empty((5, 120))
        forward = module.chain_greeks(bid, ask, strike, is_call, years, spot, 0.04, 3, np.empty(3), *outs)
        return forward, outs.tobytes(), outs

    forward, content, outs = run(greeks)

    assert run(compiled)[:2] == (forward, content)
    assert 40 < np.isnan(outs[0]).sum() < 100
    assert normal_cdf(0.0) == compiled.normal_cdf(0.0)
