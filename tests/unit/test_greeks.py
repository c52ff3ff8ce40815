"""Prices and greeks against published values, and the parity forward."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest

from scalpcli.core.greeks import (
    SECONDS_PER_YEAR,
    black_price,
    chain_greeks,
    delta,
    forward_price,
    gamma,
    implied_volatility,
    mid_of_valid,
    normal_cdf,
    parity_forward,
    spot_price,
    theta,
    theta_per_minute,
    vega,
    years_to_close,
)
from scalpcli.units import NS_PER_MIN, NS_PER_S

TWO_HOURS = 7_200.0 / SECONDS_PER_YEAR
RATE = 0.04


def read(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "reference" / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def chain(forward: float, strikes: list[float], volatility: float = 0.6, half_spread: float = 0.05):
    """Quotes of calls and puts, in dollars, whose mids agree with one forward."""
    rows = []
    for strike in strikes:
        for is_call in (True, False):
            mid = black_price(forward, strike, TWO_HOURS, volatility, RATE, is_call)
            rows.append((mid - half_spread, mid + half_spread, strike, is_call))
    bid, ask, strike, is_call = (np.array(column) for column in zip(*rows, strict=True))
    return bid, ask, strike, is_call.astype(bool)


def forward_of(quotes, spot: float, strikes_for_forward: int = 3) -> float:
    scratch = np.empty(strikes_for_forward)
    return parity_forward(*quotes, TWO_HOURS, spot, RATE, strikes_for_forward, scratch)


def greeks_of(quotes, spot: float):
    outs = {name: np.empty(len(quotes[0])) for name in ("iv", "delta", "gamma", "theta", "vega")}
    forward = chain_greeks(*quotes, TWO_HOURS, spot, RATE, 3, np.empty(3), *outs.values())
    return forward, outs


def test_prices_equal_haug(shared):
    """43 Black-Scholes-Merton prices of Haug 1998, to the four digits he prints."""
    rows = read(shared, "bs_european_haug.csv")

    errors = [
        abs(
            spot_price(*(float(row[name]) for name in ("spot", "strike", "t", "vol", "r", "q")), row["type"] == "Call")
            - float(row["value"])
        )
        for row in rows
    ]

    assert len(rows) == 43
    assert max(errors) <= 1e-4


def slope(function, at: float, step: float) -> float:
    """Central difference, for the sensitivities the product does not compute itself."""
    return (function(at + step) - function(at - step)) / (2 * step)


def haug_greek(row: dict[str, str]) -> float:
    spot, strike, years, volatility, rate, carry = (
        float(row[name]) for name in ("spot", "strike", "t", "vol", "r", "q")
    )
    is_call = row["type"] == "Call"
    own = (spot, strike, years, volatility, rate, carry)
    return {
        "delta": lambda: delta(*own, is_call),
        "elasticity": lambda: delta(*own, is_call) * spot / spot_price(*own, is_call),
        "gamma": lambda: gamma(*own),
        "vega": lambda: vega(*own),
        "theta": lambda: theta(*own, is_call),
        "theta per day": lambda: theta(*own, is_call) / 365,
        "rho": lambda: slope(lambda x: spot_price(spot, strike, years, volatility, x, carry, is_call), rate, 1e-5),
        "dividendRho": lambda: slope(lambda x: spot_price(*own[:5], x, is_call), carry, 1e-5),
    }[row["greek"]]()


def test_greeks_equal_haug(shared):
    """11 greeks of Haug 1998; the two rhos are slopes of our price, which the product does not offer."""
    rows = read(shared, "bs_greeks_haug.csv")

    errors = {row["greek"]: abs(haug_greek(row) - float(row["value"])) for row in rows}

    assert len(rows) == 11
    assert {name: error for name, error in errors.items() if error > 1e-4} == {}


def test_prices_and_greeks_equal_vollib(shared):
    """101 rows from deep out of to deep in the money; theta per year, vega per 1.00 of volatility."""
    worst = dict.fromkeys(["bs_call", "bs_put", "CD", "CG", "CT", "CV", "CR", "PD", "PG", "PT", "PV", "PR"], 0.0)
    rows = read(shared, "bs_vollib_benchmark.csv")

    for row in rows:
        spot, strike, rate, years, volatility = (float(row[name]) for name in ("S", "K", "R", "t", "v"))
        own = (spot, strike, years, volatility, rate, 0.0)
        ours = {"CG": gamma(*own), "PG": gamma(*own), "CV": vega(*own), "PV": vega(*own)}
        for letter, price, is_call in (("C", "bs_call", True), ("P", "bs_put", False)):
            ours[price] = spot_price(*own, is_call)
            ours[letter + "D"] = delta(*own, is_call)
            ours[letter + "T"] = theta(*own, is_call)
            ours[letter + "R"] = slope(
                lambda x, own=own, is_call=is_call: spot_price(*own[:4], x, 0.0, is_call), rate, 1e-5
            )
        worst = {name: max(error, abs(ours[name] - float(row[name]))) for name, error in worst.items()}

    assert len(rows) == 101
    assert {name: error for name, error in worst.items() if error > 1e-6} == {}


def test_far_tails_of_the_normal_distribution_keep_their_digits():
    """N(-10) is 7.6e-24; computed as 1 - N(10) it would be 0."""
    assert normal_cdf(-10.0) == pytest.approx(7.619853024160527e-24, rel=1e-13)
    assert normal_cdf(0.0) == 0.5
    assert normal_cdf(1.96) == pytest.approx(0.9750021048517795, rel=1e-15)


def test_without_time_or_volatility_an_option_is_worth_its_intrinsic_value():
    """Where nothing can move, the price is the discounted difference."""
    worth = [
        black_price(410.0, 400.0, 0.0, 0.5, RATE, True),
        black_price(410.0, 400.0, 1.0, 0.0, RATE, True),
        black_price(410.0, 400.0, 1.0, 0.0, RATE, False),
    ]

    assert worth == [10.0, 10.0 * math.exp(-RATE), 0.0]


@pytest.mark.parametrize(
    ("price", "forward", "strike", "years"),
    [
        (math.nan, 400.0, 400.0, TWO_HOURS),
        (0.0, 400.0, 400.0, TWO_HOURS),
        (5.0, math.nan, 400.0, TWO_HOURS),
        (5.0, 400.0, 0.0, TWO_HOURS),
        (5.0, 400.0, 400.0, 0.0),
        (9.99, 410.0, 400.0, TWO_HOURS),
        (400.01, 400.0, 420.0, TWO_HOURS),
        (1e-7, 400.0, 420.0, TWO_HOURS),
    ],
    ids=["no price", "price 0", "no forward", "strike 0", "expired", "below intrinsic", "above bound", "no vega"],
)
def test_where_no_volatility_explains_the_price_it_is_unknown(price, forward, strike, years):
    """Unknown is nan; it is never 0, and never the edge of a search interval."""
    assert math.isnan(implied_volatility(price, forward, strike, years, RATE, True))


def test_greeks_of_an_unknown_volatility_are_unknown():
    """A contract without a valid quote passes no gate on delta."""
    own = (400.0, 400.0, TWO_HOURS, math.nan, RATE, 0.0)

    values = [delta(*own, True), delta(*own, False), gamma(*own), vega(*own), theta(*own, True)]

    assert [math.isnan(value) for value in values] == [True] * 5


def test_theta_per_minute_adds_up_to_theta_per_year():
    """525,600 minutes are a year of 365 days."""
    assert theta_per_minute(-525_600.0) == -1.0


@pytest.mark.parametrize(("minutes", "seconds"), [(390, 23_400.0), (2, 120.0), (0.5, 60.0), (-5, 60.0)])
def test_time_to_close_has_a_floor_of_a_minute(minutes, seconds):
    """In the last minute, and after the close, the formula uses 60 s."""
    close_ns = 1_795_208_400 * NS_PER_S
    now_ns = close_ns - round(minutes * NS_PER_MIN)

    assert years_to_close(now_ns, close_ns, 60.0) == pytest.approx(seconds / (365 * 86_400), rel=1e-15)


@pytest.mark.parametrize(
    ("bid", "ask", "mid"),
    [(1.0, 1.1, 1.05), (1.0, 1.0, 1.0), (1.1, 1.0, None), (0.0, 1.0, None), (1.0, 0.0, None), (math.nan, 1.0, None)],
)
def test_only_two_sided_uncrossed_quotes_have_a_mid(bid, ask, mid):
    """Locked is allowed, crossed and one-sided are not."""
    value = mid_of_valid(bid, ask)

    assert math.isnan(value) if mid is None else value == mid


def test_parity_finds_the_forward_behind_a_chain():
    """The spot on the tape may be stale: the chain knows better."""
    quotes = chain(401.3, [395.0, 397.5, 400.0, 402.5, 405.0])

    assert forward_of(quotes, spot=400.0) == pytest.approx(401.3, abs=1e-10)


def test_one_bad_quote_near_the_money_does_not_move_the_forward():
    """The median of three outvotes a call that is two dollars off."""
    bid, ask, strike, is_call = chain(401.3, [395.0, 397.5, 400.0, 402.5, 405.0])
    bid[4] += 2.0
    ask[4] += 2.0

    assert (strike[4], bool(is_call[4])) == (400.0, True)
    assert forward_of((bid, ask, strike, is_call), spot=400.0) == pytest.approx(401.3, abs=1e-10)


def test_of_two_strikes_equally_near_the_lower_one_counts():
    """At 400 the strikes 399 and 401 are equally near; with one strike asked for, 399 gives the forward."""
    bid, ask, strike, is_call = chain(400.0, [401.0, 399.0])
    bid[2] += 0.5
    ask[2] += 0.5

    forward = forward_of((bid, ask, strike, is_call), spot=400.0, strikes_for_forward=1)

    assert forward == pytest.approx(400.0 + 0.5 * math.exp(RATE * TWO_HOURS), abs=1e-10)


def test_an_even_number_of_strikes_takes_the_middle_of_the_middle_two():
    """Four strikes, forwards 400, 400, 401 and 402: 400.5."""
    bid, ask, strike, is_call = chain(400.0, [399.0, 400.0, 401.0, 402.0])
    growth = math.exp(RATE * TWO_HOURS)
    for row, shift in ((4, 1.0), (6, 2.0)):
        bid[row] += shift / growth
        ask[row] += shift / growth

    assert forward_of((bid, ask, strike, is_call), 400.0, strikes_for_forward=4) == pytest.approx(400.5, abs=1e-10)


@pytest.mark.parametrize("fault", ["absent bid", "crossed", "stale"])
def test_strikes_without_two_valid_quotes_do_not_vote(fault):
    """The next nearest strikes take their place."""
    bid, ask, strike, is_call = chain(401.3, [392.5, 395.0, 397.5, 400.0, 402.5])
    bid[6] = {"absent bid": 0.0, "crossed": ask[6] + 5.0, "stale": math.nan}[fault]
    # Were the put of the strike left to vote alone, the forward would be off by the call's price.

    assert strike[6] == 400.0
    assert forward_of((bid, ask, strike, is_call), spot=400.0) == pytest.approx(401.3, abs=1e-10)


def test_with_too_few_strikes_the_spot_gives_the_forward():
    """Two strikes cannot outvote a bad quote: S e^(rT), although both agree on 401.3."""
    quotes = chain(401.3, [397.5, 400.0])

    assert forward_of(quotes, spot=400.0) == forward_price(400.0, TWO_HOURS, RATE, 0.0)


def test_an_empty_chain_and_an_unknown_spot_are_answered():
    """No contracts: the spot's forward; no spot either: unknown."""
    nothing = (np.empty(0), np.empty(0), np.empty(0), np.empty(0, bool))

    assert forward_of(nothing, spot=400.0) == 400.0 * math.exp(RATE * TWO_HOURS)
    assert all(math.isnan(forward_of(chain(401.3, [395.0, 400.0, 405.0]), spot)) for spot in (math.nan, 0.0))


def test_a_chain_gets_the_volatility_it_was_priced_with():
    """Contract by contract: 60 percent comes back, with the greeks of that volatility at the implied spot."""
    quotes = chain(401.3, [395.0, 397.5, 400.0, 402.5, 405.0])

    forward, outs = greeks_of(quotes, spot=400.0)

    implied_spot = forward * math.exp(-RATE * TWO_HOURS)
    own = (implied_spot, 400.0, TWO_HOURS, outs["iv"][4], RATE, 0.0)
    assert outs["iv"] == pytest.approx(np.full(10, 0.6), abs=1e-8)
    assert [outs[name][4] for name in ("delta", "gamma", "theta", "vega")] == [
        delta(*own, True),
        gamma(*own),
        theta(*own, True),
        vega(*own),
    ]
    assert outs["delta"][0::2] - outs["delta"][1::2] == pytest.approx(np.ones(5), abs=1e-8)


def test_invalid_quotes_have_no_greeks_and_disturb_no_other():
    """A crossed, a one-sided and a stale quote are unknown; their neighbours keep their values."""
    bid, ask, strike, is_call = chain(401.3, [395.0, 397.5, 400.0, 402.5, 405.0, 407.5], half_spread=0.02)
    _, before = greeks_of((bid, ask, strike, is_call), spot=400.0)
    bid[0], bid[3], ask[10] = 0.0, ask[3] + 0.01, math.nan

    _, after = greeks_of((bid, ask, strike, is_call), spot=400.0)

    for name, values in after.items():
        unknown = np.flatnonzero(np.isnan(values))
        known = np.flatnonzero(~np.isnan(values))
        assert unknown.tolist() == [0, 3, 10]
        # The forward may move by rounding when other strikes vote.
        assert values[known] == pytest.approx(before[name][known], rel=1e-9)


def test_units_do_not_change_volatility_or_delta():
    """In 1/10000 USD the engine sees the same market as in dollars."""
    bid, ask, strike, is_call = chain(401.3, [395.0, 397.5, 400.0, 402.5, 405.0])

    _, in_dollars = greeks_of((bid, ask, strike, is_call), spot=400.0)
    _, in_e4 = greeks_of((bid * 10_000, ask * 10_000, strike * 10_000, is_call), spot=4_000_000.0)

    assert in_e4["iv"] == pytest.approx(in_dollars["iv"], rel=1e-9)
    assert in_e4["delta"] == pytest.approx(in_dollars["delta"], rel=1e-9)
    assert in_e4["theta"] == pytest.approx(in_dollars["theta"] * 10_000, rel=1e-9)
