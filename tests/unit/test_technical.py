"""Technical analysis by hand: values of definitions sections 5 and 6."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hand_rows import KERNELS, MS, OPEN, SESSION, after, kernel

from scalpcli import PriceVelocityTracker, ScalpConfig, TechnicalScalper, VolumeAnalyzer
from scalpcli.core import technical
from scalpcli.errors import DataError, UsageError
from scalpcli.model.row import VOLUME

NO_VOLUME = ScalpConfig(volume_spike_ratio=0.0, vwap_volume_ratio=0.0)
"""No trigger asks for volume."""


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
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (240, 400.0, 1), hot=kernel("compiled"))
    levels = []

    for seconds in (299.8, 300.0):
        scalper.check_breakout(after(seconds))
        levels.append((scalper.resistance_levels, scalper.support_levels))

    assert levels == [([], []), ([402.0], [398.0])]


def test_the_sessions_extreme_becomes_a_level_when_it_has_stood():
    """A high of 310 s is a level at 610 s; levels come lowest first."""
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (310, 403.0, 1), hot=kernel("compiled"))
    levels = []

    for seconds in (609.8, 610.0):
        scalper.check_breakout(after(seconds))
        levels.append(scalper.resistance_levels)

    assert levels == [[402.0], [402.0, 403.0]]


# --- triggers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hot", KERNELS)
def test_a_burst_rises_at_the_instant_that_sees_the_move(hot):
    """402 at 29.9 s: the instant of 30.0 s is the first that knows a price 30 s ago, and it was 400."""
    scalper = fed((0, 400.0, 100), (24, 400.0, 10), (29.9, 402.0, 10), config=NO_VOLUME, hot=kernel(hot))

    burst = scalper.check_momentum_burst(after(30))

    assert burst == technical.Trigger(
        timestamp=after(30),
        symbol="TSLA",
        trigger="momentum_burst",
        side="call",
        price=402.0,
        velocity_pct=0.5,
        confirm_velocity_pct=0.5,
        threshold_pct=0.5,
        volume_ratio=None,
        required_ratio=0.0,
        vwap=pytest.approx(400.0 + 2.0 * 10 / 120),
        sigma=pytest.approx(math.sqrt(110 * 10) * 2.0 / 120),
        level=None,
        level_kind="",
    )


def test_a_burst_needs_volume_unless_none_is_asked_for():
    """Before the baseline is known, nothing is confirmed."""
    scalper = fed((0, 400.0, 100), (24, 400.0, 10), (29.9, 402.0, 10))

    burst = scalper.check_momentum_burst(after(31))

    assert burst is None


def test_a_breakout_rises_when_the_price_has_held_beyond_the_level():
    """402.13 is more than 0.03 percent beyond the opening range's 402; two seconds later it rises."""
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (370, 402.13, 1), config=NO_VOLUME, hot=kernel("compiled"))

    rises = [scalper.check_breakout(after(seconds)) for seconds in (371.8, 372)]

    assert rises[0] is None
    assert rises[1] is not None
    assert (rises[1].side, rises[1].level, rises[1].level_kind) == ("call", 402.0, "opening_range")
    assert (rises[1].timestamp, rises[1].price) == (after(372), 402.13)


def test_a_price_within_the_buffer_is_no_breakout():
    """402.12 is 0.12 beyond 402, and 0.03 percent of 402 is 0.1206."""
    scalper = fed((60, 402.0, 1), (120, 398.0, 1), (370, 402.12, 1), config=NO_VOLUME, hot=kernel("compiled"))

    rise = scalper.check_breakout(after(380))

    assert rise is None


def test_a_rejection_from_above_is_a_call():
    """VWAP 402, sigma 2: far above for minutes, within 0.2 of it at 960 s, 0.6 above at 970 s."""
    heavy = 1_000_000
    trades = ((1, 400.0, heavy), (2, 404.0, heavy), (960, 402.1, 1), (970, 402.6, 1))
    scalper = fed(*trades, config=NO_VOLUME, hot=kernel("compiled"))

    rises = [scalper.check_vwap_rejection(after(seconds)) for seconds in (970, 980)]

    assert rises[0] is not None
    assert (rises[0].trigger, rises[0].side, rises[0].timestamp) == ("vwap_rejection", "call", after(970))
    assert rises[1] is None


def test_an_instant_waits_until_everything_up_to_it_is_known():
    """Without `at` it takes a later trade; a trade at the instant itself may not be the last of its time."""
    scalper = fed((0, 400.0, 100), (24, 400.0, 10), (30, 402.0, 10), config=NO_VOLUME)
    before = scalper.check_momentum_burst()

    scalper.update(402.0, 10, after(30.1))

    assert before is None
    assert scalper.check_momentum_burst() is not None


def test_with_interval_zero_every_trade_is_an_instant():
    """The burst rises at the trade's own time."""
    config = ScalpConfig(eval_interval_ms=0, volume_spike_ratio=0.0)
    scalper = fed((0, 400.0, 100), (24.5, 400.0, 10), (30.123, 402.0, 10), config=config)

    burst = scalper.check_momentum_burst(after(30.123))

    assert burst is not None
    assert burst.timestamp == after(30.123)


def test_a_trigger_is_told_once_and_to_its_own_check():
    """Asking for other kinds takes nothing away."""
    scalper = fed((0, 400.0, 100), (24, 400.0, 10), (29.9, 402.0, 10), config=NO_VOLUME)

    others = (scalper.check_vwap_rejection(after(30)), scalper.check_breakout())
    bursts = (scalper.check_momentum_burst(), scalper.check_momentum_burst())

    assert others == (None, None)
    assert bursts[0] is not None
    assert bursts[1] is None


def test_triggers_nobody_asks_for_are_dropped_and_counted(monkeypatch):
    """Two bursts with room for one: the older goes."""
    monkeypatch.setattr(technical, "TRIGGERS_KEPT_MAX", 1)
    scalper = fed(
        (0, 400.0, 100), (24, 400.0, 10), (29.9, 402.0, 10), (60, 402.0, 10), (84, 402.0, 10), (90, 398.0, 10),
        config=NO_VOLUME,
    )  # fmt: skip

    bursts = (scalper.check_momentum_burst(after(90)), scalper.check_momentum_burst())

    assert bursts[0] is not None
    assert (bursts[0].side, bursts[1], scalper.triggers_dropped) == ("put", None, 1)


# --- the trackers beside it -------------------------------------------------------------------------------


def test_trackers_handed_in_are_fed_along():
    """The velocity tracker gets the price, the analyzer the volume under the symbol."""
    tracker, analyzer = PriceVelocityTracker("TSLA", (20,)), VolumeAnalyzer()
    trades = ((60, 400.0, 100), (550, 400.0, 100), (570, 401.0, 200))

    scalper = fed(*trades, velocity_tracker=tracker, volume_analyzer=analyzer, hot=kernel("compiled"))

    assert scalper.velocity_tracker.get_velocity(20).change_pct == 0.25
    assert scalper.volume_analyzer.get_volume_ratio("TSLA", 1) == (300 / 60) / (100 / 510)


def test_a_trade_that_a_tracker_would_refuse_is_taken_by_none():
    """The tracker knows a later price than the scalper."""
    scalper = fed((1, 400.0, 100))
    scalper.velocity_tracker.add_price(401.0, after(10))

    with pytest.raises(DataError):
        scalper.update(402.0, 100, after(9))

    assert (scalper.session_high, scalper.volume_analyzer.last_ns) == (400.0, SESSION.open_ns + 1000 * MS)


# --- what is refused ---------------------------------------------------------------------------------------

NAIVE = dt.datetime(2026, 11, 20, 14, 30)  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("price", "volume", "timestamp", "error", "found"),
    [
        (401.0, 1, NAIVE, UsageError, "the time stamp datetime.datetime(2026, 11, 20, 14, 30) has no time zone"),
        (
            401.0,
            1,
            after(9),
            DataError,
            "the time stamp 2026-11-20T14:30:09+00:00 lies before the last one, 2026-11-20T14:30:10+00:00",
        ),
        (
            401.0,
            1,
            after(11),
            UsageError,
            (
                "the time stamp 2026-11-20T14:30:11+00:00 is not after 2026-11-20T14:30:11+00:00, "
                "up to where instants are over"
            ),
        ),
        (
            401.0,
            1,
            after(3 * 86_400),
            DataError,
            "2026-11-23T14:30:00+00:00 belongs to 2026-11-23, the session served is that of 2026-11-20",
        ),
        (math.nan, 1, after(12), DataError, "the price is nan, outside its limits: 0.0001 to 900719925474 USD"),
        (401.0, -1, after(12), DataError, "the volume is -1, not a whole number from 0 to 2147483647"),
    ],
)
def test_what_is_no_trade_is_refused_and_changes_nothing(price, volume, timestamp, error, found):
    """The message says what was found; everything stands as before."""
    scalper = fed((10, 400.0, 100))
    scalper.check_breakout(after(11))

    with pytest.raises(error) as refused:
        scalper.update(price, volume, timestamp)

    assert refused.value.found == found
    assert refused.value.hint
    assert (scalper.vwap, scalper.session_high, scalper.velocity_tracker.last_price) == (400.0, 400.0, 400.0)


def test_time_does_not_run_backwards():
    """Instants that are over cannot be asked for again."""
    scalper = fed((10, 400.0, 100))
    scalper.check_breakout(after(20))

    with pytest.raises(UsageError) as refused:
        scalper.check_breakout(after(19))

    assert refused.value.found.startswith("asked about 2026-11-20T14:30:19+00:00, before the last time stamp")


@pytest.mark.parametrize(
    ("config", "found"),
    [
        (
            ScalpConfig(volume_source="both"),
            "`volume_source` is `both`; by hand only trades of the underlying come, so it must be `stock`",
        ),
        (
            ScalpConfig(price_source="mid"),
            "`price_source` is `mid`; by hand only trades of the underlying come, so it must be `trade`",
        ),
    ],
)
def test_a_configuration_that_needs_more_than_trades_is_refused(config, found):
    """Quotes and contracts come from tapes."""
    with pytest.raises(UsageError) as refused:
        TechnicalScalper("TSLA", config=config)

    assert refused.value.found == found
