"""The arithmetic of a scalp: moves, the part the spread takes, and odds against a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scalpcli.core.greeks import SECONDS_PER_YEAR, delta, spot_price
from scalpcli.core.odds import BARRIER_STEPS, Plan, barriers, first_passage, moves_of, odds_of, spot_for

HOUR = 3600.0 / SECONDS_PER_YEAR


def plan_of(hours=26.0, volatility=0.55, wanted_delta=0.35, is_call=True, spread_pct=5.0, minutes=15.0, **changes):
    """A contract of a 400-dollar stock with a given delta."""
    years = hours * HOUR
    low, high = 300.0, 520.0
    for _ in range(80):
        strike = 0.5 * (low + high)
        is_nearer = abs(delta(400.0, strike, years, volatility, 0.04, 0.0, is_call)) > wanted_delta
        if is_nearer == is_call:
            low = strike
        else:
            high = strike
    mid = spot_price(400.0, strike, years, volatility, 0.04, 0.0, is_call)
    half = mid * spread_pct / 200.0
    plan = Plan(
        400.0, strike, years, volatility, 0.04, is_call, mid - half, mid + half, 0.0009, 30.0, 15.0, minutes / 60 * HOUR
    )
    return plan._replace(**changes)


def test_the_traders_rule_of_thumb():
    """55 % volatility, delta 0.35, a 5 % spread: the target needs about +0.65 %, the stop stands about 0.25 % away."""
    moves = moves_of(plan_of(hours=28.0))

    assert moves.target_pct == pytest.approx(0.65, abs=0.03)
    assert moves.stop_pct == pytest.approx(-0.22, abs=0.04)
    assert 0.0 < moves.cost_pct < moves.target_pct


def test_a_put_needs_the_opposite_moves():
    """The stock falls to the target and rises to the stop."""
    moves = moves_of(plan_of(is_call=False))

    assert moves.target_pct < moves.cost_pct < 0.0 < moves.stop_pct


def test_waiting_makes_the_target_farther_and_the_stop_nearer():
    """Decay works against who holds."""
    for is_call in (True, False):
        moves = moves_of(plan_of(hours=2.0, is_call=is_call))

        assert abs(moves.target_late_pct) > abs(moves.target_pct)
        assert abs(moves.stop_late_pct) < abs(moves.stop_pct)


def test_a_spread_as_wide_as_the_stop_is_the_stop():
    """Bought at the ask, the bid already stands at the stop."""
    odds = odds_of([plan_of(spread_pct=18.0)])[0]

    assert odds == (0.0, 100.0, 0.0)


def test_an_impossible_price_has_no_move():
    """A put is never worth its strike: a target beyond it is reached by no move, and has no odds."""
    plan = plan_of(is_call=False, target_pct=100_000.0)

    assert math.isnan(moves_of(plan).target_pct)
    assert all(math.isnan(chance) for chance in odds_of([plan])[0])


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("price", [0.05, 1.3, 17.0, 120.0])
def test_the_spot_of_a_price_gives_the_price(price, is_call):
    """The inversion is exact far in, at and out of the money."""
    plan = plan_of(is_call=is_call)

    spot = spot_for(price, plan, plan.years)

    assert spot_price(spot, plan.strike, plan.years, 0.55, 0.04, 0.0, is_call) == pytest.approx(price, rel=1e-8)


def simulated(plan, paths=12_000, steps=300, seed=5):
    """Odds by simulation; a barrier crossed between two steps is met with the chance of a Brownian bridge."""
    target, stop = barriers(plan)
    upper, lower = (target, stop) if plan.is_call else (stop, target)
    times = np.linspace(0.0, 1.0, BARRIER_STEPS + 1)
    variance = plan.volatility**2 * plan.hold_years / steps
    rng = np.random.default_rng(seed)
    place, alive = np.zeros(paths), np.ones(paths, bool)
    up = down = 0
    for step in range(steps):
        above, below = (
            np.interp([step / steps, (step + 1) / steps], times, upper),
            np.interp([step / steps, (step + 1) / steps], times, lower),
        )
        following = place + rng.normal(0.0, math.sqrt(variance), paths) - variance / 2.0
        with np.errstate(over="ignore"):
            met_above = np.exp(np.minimum(0.0, -2.0 * (above[0] - place) * (above[1] - following) / variance))
            met_below = np.exp(np.minimum(0.0, -2.0 * (place - below[0]) * (following - below[1]) / variance))
        met_above, met_below = (
            np.where(following >= above[1], 1.0, met_above),
            np.where(following <= below[1], 1.0, met_below),
        )
        is_up = alive & (rng.random(paths) < met_above)
        is_down = alive & ~is_up & (rng.random(paths) < met_below)
        up, down = up + is_up.sum(), down + is_down.sum()
        alive &= ~(is_up | is_down)
        place = following
    first, second = (up, down) if plan.is_call else (down, up)
    return 100.0 * first / paths, 100.0 * second / paths


@pytest.mark.parametrize(
    "plan",
    [
        plan_of(),
        plan_of(hours=6.5, is_call=False),
        plan_of(hours=2.0, spread_pct=2.0),
        plan_of(hours=0.6, volatility=0.9, minutes=12.0, spread_pct=1.0),
        plan_of(hours=6.5, wanted_delta=0.5, minutes=60.0, spread_pct=1.0),
    ],
    ids=["next day", "put", "two hours", "last minutes", "an hour"],
)
def test_the_odds_agree_with_a_simulation(plan):
    """Within three standard errors of 12,000 paths and the grid's own 0.4 points."""
    odds = odds_of([plan])[0]
    target, stop = simulated(plan)

    assert odds.target_first_pct == pytest.approx(target, abs=0.4 + 3 * math.sqrt(target * (100 - target) / 12_000))
    assert odds.stop_first_pct == pytest.approx(stop, abs=0.4 + 3 * math.sqrt(stop * (100 - stop) / 12_000))


def test_the_barriers_are_the_premiums():
    """Repriced on whole paths instead of by barriers: the bid itself meets target and stop."""
    plan = plan_of(hours=3.0, spread_pct=1.0)
    half, steps, paths = (plan.ask - plan.bid) / 2.0, 300, 400
    rng = np.random.default_rng(11)
    sigma = plan.volatility * math.sqrt(plan.hold_years / steps)
    by_price, by_barrier = 0, 0
    target, stop = barriers(plan)
    times = np.linspace(0.0, 1.0, BARRIER_STEPS + 1)
    for _ in range(paths):
        path = np.cumsum(rng.normal(0.0, sigma, steps) - sigma * sigma / 2.0)
        above = np.interp(np.arange(1, steps + 1) / steps, times, target)
        below = np.interp(np.arange(1, steps + 1) / steps, times, stop)
        met = np.flatnonzero((path >= above) | (path <= below))
        by_barrier += bool(len(met) and path[met[0]] >= above[met[0]])
        for step in range(steps):
            years = plan.years - plan.hold_years * (step + 1) / steps
            spot = plan.spot * math.exp(path[step])
            bid = spot_price(spot, plan.strike, years, plan.volatility, plan.rate, 0.0, plan.is_call) - half
            if bid >= plan.ask * 1.30 or bid <= plan.ask * 0.85:
                by_price += bid >= plan.ask * 1.30
                break

    assert abs(by_price - by_barrier) <= 1


def test_two_still_barriers_have_a_known_answer():
    """Without drift and with much time, the chance of the upper one is the distance to the lower over both."""
    upper, lower = np.full((1, 9), 0.002), np.full((1, 9), -0.001)

    up, down = first_passage(upper, lower, np.array([1e-3]))

    assert up[0] == pytest.approx(1.0 / 3.0, abs=2e-3)
    assert up[0] + down[0] == pytest.approx(1.0, abs=1e-6)
