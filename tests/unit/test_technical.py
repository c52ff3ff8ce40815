"""Technical analysis by hand: values of definitions sections 5 and 6, and the engine's own triggers."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hand_rows import KERNELS, OPEN, after, kernel

from scalpcli import ScalpConfig, TechnicalScalper
from scalpcli.core import technical
from scalpcli.model.row import VOLUME

QUICK = ScalpConfig(
    eval_interval_ms=500,
    momentum_threshold_pct=0.3,
    volume_spike_ratio=1.2,
    volume_baseline_min_s=60,
    opening_range_minutes=2,
    level_min_age_s=120,
    vwap_first_minutes=3,
)
"""Thresholds at which a quarter of an hour of scripted market shows every trigger."""
NO_VOLUME = ScalpConfig(volume_spike_ratio=0.0, vwap_volume_ratio=0.0)
"""No trigger asks for volume."""
CHECKS = ("check_momentum_burst", "check_vwap_rejection", "check_breakout")


def fed(*trades: tuple[float, float, int], config: ScalpConfig | None = None, **arguments) -> TechnicalScalper:
    """A scalper fed with (seconds after the open, price, shares)."""
    made = TechnicalScalper("TSLA", config=config, **arguments)
    for seconds, price, shares in trades:
        made.update(price, shares, after(seconds))
    return made


# --- what stands -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", KERNELS)
def test_vwap_and_its_bands_weigh_prices_by_volume(hot):
    """100 shares at 400 and 300 at 404: mean 403, variance (100 * 9 + 300 * 1) / 400 = 3."""
    scalper = fed((1, 400.0, 100), (2, 404.0, 300), hot=kernel(hot))

    bands = (scalper.vwap_lower, scalper.vwap, scalper.vwap_upper)

    assert bands == pytest.approx((403 - math.sqrt(3), 403.0, 403 + math.sqrt(3)), rel=1e-15)
    assert scalper.sigma == pytest.approx(math.sqrt(3), rel=1e-15)


def test_high_and_low_are_the_sessions():
    """Of everything handed in, the last trade among it."""
    scalper = fed((1, 400.0, 100), (2, 404.25, 1), (3, 398.5, 1))

    extremes = (scalper.session_high, scalper.session_low)

    assert extremes == (404.25, 398.5)


def test_before_the_first_trade_everything_is_unknown():
    """Unknown is never zero, and a session without trades has no levels."""
    scalper = fed()

    known = (scalper.vwap, scalper.sigma, scalper.vwap_upper, scalper.vwap_lower)

    assert known == (None, None, None, None)
    assert (scalper.session_high, scalper.session_low) == (None, None)
    assert (scalper.resistance_levels, scalper.support_levels) == ([], [])


def test_a_trade_moves_what_its_flags_allow():
    """An average-price print of a million shares moves neither price, high nor VWAP."""
    scalper = fed((1, 400.0, 100))

    scalper.update(500.0, 1_000_000, after(2), flags=VOLUME)

    assert (scalper.vwap, scalper.session_high, scalper.velocity_tracker.last_price) == (400.0, 400.0, 400.0)


def test_a_trade_outside_the_session_moves_nothing():
    """The price before the open is not the price of the session."""
    scalper = fed()

    scalper.update(410.0, 100, OPEN - dt.timedelta(seconds=1))

    assert (scalper.vwap, scalper.session_high, scalper.velocity_tracker.last_price) == (None, None, None)


def test_the_opening_range_becomes_levels_when_it_has_ended():
    """Its high resists and its low supports from the instant at its end on."""
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (240, 400.0, 1))
    levels = []

    for seconds in (299.8, 300.0):
        scalper.check_breakout(after(seconds))
        levels.append((scalper.resistance_levels, scalper.support_levels))

    assert levels == [([], []), ([402.0], [398.0])]


def test_the_sessions_extreme_becomes_a_level_when_it_has_stood():
    """A high of 310 s is a level at 610 s; levels come lowest first."""
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (310, 403.0, 1))
    levels = []

    for seconds in (609.8, 610.0):
        scalper.check_breakout(after(seconds))
        levels.append(scalper.resistance_levels)

    assert levels == [[402.0], [402.0, 403.0]]


# --- triggers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", KERNELS)
def test_a_burst_rises_at_the_instant_that_sees_the_move(hot):
    """From 400 to 402 in 30 s at 29.9 s: the instant of 30.0 s is the first with a price 30 s before."""
    scalper = fed((0, 400.0, 100), (26, 400.0, 10), (29.9, 402.0, 10), config=NO_VOLUME, hot=kernel(hot))

    burst = scalper.check_momentum_burst(after(30))

    assert burst == technical.Trigger(
        timestamp=after(30),
        symbol="TSLA",
        trigger="momentum_burst",
        side="call",
        price=402.0,
        velocity_pct=0.5,
        confirm_velocity_pct=None,
        threshold_pct=0.5,
        volume_ratio=None,
        required_ratio=0.0,
        vwap=pytest.approx(400.0 + 2.0 * 10 / 120),
        sigma=pytest.approx(math.sqrt(110 * 10) * 2.0 / 120),
        level=None,
        level_kind="",
    )
