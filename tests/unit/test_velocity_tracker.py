"""Price velocity by hand: values of definitions section 3."""

from __future__ import annotations

import datetime as dt
import math

import pytest
from hand_rows import KERNELS, MS, OPEN, SESSION, after, kernel

from scalpcli import PriceVelocity, PriceVelocityTracker, SpikeSignal
from scalpcli.errors import DataError, UsageError

UNKNOWN = PriceVelocity(30, None, "unknown", None)
WINDOWS = (5, 15, 30, 60)


def tracker(*prices: tuple[float, float], hot: str = "interpreted") -> PriceVelocityTracker:
    """A tracker of the default windows, fed with (seconds after the open, price)."""
    made = PriceVelocityTracker("TSLA", hot=kernel(hot))
    for seconds, price in prices:
        made.add_price(price, after(seconds))
    return made


@pytest.mark.parametrize("hot", KERNELS)
def test_velocity_is_the_percent_since_the_price_that_stood_a_window_ago(hot):
    """From 400 to 402 is 2 in 400: half a percent, in 30 seconds a sixtieth of a percent per second."""
    fed = tracker((0, 400.0), (12, 400.5), (30, 402.0), hot=hot)

    velocity = fed.get_velocity(30)

    assert velocity == PriceVelocity(30, 0.5, "up", 0.5 / 30)


def test_velocity_downwards_is_negative():
    """From 400 to 399 is a quarter of a percent down."""
    fed = tracker((0, 400.0), (5, 399.0))

    velocity = fed.get_velocity(5)

    assert velocity == PriceVelocity(5, -0.25, "down", -0.05)


def test_a_price_that_stands_is_flat_and_not_unknown():
    """Zero is a number: the price was known at both ends."""
    fed = tracker((0, 400.0), (5, 401.0), (15, 400.0))

    velocity = fed.get_velocity(15)

    assert velocity == PriceVelocity(15, 0.0, "flat", 0.0)


def test_velocity_before_the_first_price_is_unknown():
    """Unknown is never zero."""
    fed = tracker()

    velocity = fed.get_velocity(30)

    assert velocity == UNKNOWN


def test_velocity_is_unknown_where_the_window_reaches_back_before_the_first_price():
    """At 29 s no price stood 30 s ago; at 30 s one did."""
    early, due = tracker((0, 400.0), (29, 402.0)), tracker((0, 400.0), (30, 402.0))

    velocities = early.get_velocity(30), due.get_velocity(30).change_pct

    assert velocities == (UNKNOWN, 0.5)


def test_velocity_is_unknown_when_the_last_price_is_older_than_the_window():
    """At exactly the window's age it is known; a microsecond later it is not."""
    fed = tracker((0, 400.0), (30, 402.0))

    at_the_limit = fed.get_velocity(30, after(60)).change_pct
    beyond = fed.get_velocity(30, after(60.000001))

    assert at_the_limit == 0.0
    assert beyond == UNKNOWN


def test_velocity_is_unknown_when_the_older_price_was_too_old_itself():
    """A price of 0 s is 30 s old at 30 s, the start of the window that ends at 60 s."""
    known, stale = tracker((0, 400.0), (60, 402.0)), tracker((0, 400.0), (60.000001, 402.0))

    velocities = known.get_velocity(30).change_pct, stale.get_velocity(30)

    assert velocities == (0.5, UNKNOWN)


def test_of_prices_with_one_time_stamp_the_last_counts():
    """Both as the price now and as the price then."""
    fed = tracker((0, 390.0), (0, 400.0), (5, 410.0), (5, 404.0))

    velocity = fed.get_velocity(5)

    assert velocity.change_pct == 1.0


def test_windows_slide_on_while_nothing_trades():
    """At 40 s the 30 s window begins at 10 s, where 401 stood."""
    fed = tracker((0, 400.0), (10, 401.0), (30, 402.0))

    velocity = fed.get_velocity(30, after(40))

    assert velocity.change_pct == (4_020_000 - 4_010_000) * 100.0 / 4_010_000


def test_a_question_about_later_changes_no_answer():
    """Asking about the next minute first, then about now, is asking about now."""
    asked, plain = tracker((0, 400.0), (30, 402.0)), tracker((0, 400.0), (30, 402.0))

    asked.get_velocity(30, after(90))
    asked.get_velocity(7, after(35))

    assert [asked.get_velocity(window) for window in WINDOWS] == [plain.get_velocity(window) for window in WINDOWS]


def test_any_window_up_to_the_longest_may_be_asked_for():
    """A window that is not followed finds its start by a search and gives the same."""
    fed = tracker((0, 400.0), (10, 402.0), (30, 406.02))

    velocity = fed.get_velocity(20)

    assert velocity.change_pct == 1.0


def test_prices_are_rounded_to_ten_thousandths_of_a_dollar():
    """Half to even: 400.00005 is 400.0000 and 400.00015 is 400.0002."""
    fed = tracker((0, 400.00005), (5, 400.00015))

    velocity = fed.get_velocity(5)

    assert velocity.change_pct == 2 * 100.0 / 4_000_000


@pytest.mark.parametrize("hot", KERNELS)
def test_a_spike_is_a_move_of_the_threshold_or_more(hot):
    """Half a percent in 30 s by default; the signal carries what it saw."""
    fed = tracker((0, 400.0), (30, 402.0), hot=hot)

    spike = fed.detect_spike()

    assert spike == SpikeSignal("TSLA", after(30), "up", 0.5, 0.5, 30, 0.5 / 30, 402.0)


def test_a_spike_downwards_is_one_too():
    """The threshold counts in either direction."""
    fed = tracker((0, 400.0), (5, 396.0))

    spike = fed.detect_spike(1.0, 5)

    assert spike is not None
    assert (spike.direction, spike.change_pct) == ("down", -1.0)


def test_less_than_the_threshold_is_no_spike():
    """401.99 is 0.4975 percent above 400."""
    fed = tracker((0, 400.0), (30, 401.99))

    spike = fed.detect_spike()

    assert spike is None


def test_what_is_unknown_is_no_spike():
    """A jump whose window has no older price confirms nothing."""
    fed = tracker((0, 400.0), (29, 440.0))

    spike = fed.detect_spike()

    assert spike is None


def test_a_spike_is_looked_for_at_the_moment_asked_about():
    """At 45 s the 30 s window begins at 15 s, after the jump."""
    fed = tracker((0, 400.0), (10, 402.0), (30, 402.0))

    spikes = fed.detect_spike(), fed.detect_spike(at=after(45))

    assert spikes[0] is not None
    assert spikes[1] is None


def test_the_ring_lets_go_of_what_no_window_needs():
    """Of ten thousand prices, 100 a second, a window of 5 s needs 501: the next power of two is 512."""
    fed = PriceVelocityTracker("TSLA", (5,), hot=kernel("compiled"))

    for number in range(10_000):
        fed.add_price(400.0 + number % 7, OPEN + dt.timedelta(milliseconds=10 * number))

    assert len(fed._feed._market.state.prints) == 512
    assert fed.get_velocity(5).change_pct == ((9_999 % 7) - (9_499 % 7)) * 100.0 / (400.0 + 9_499 % 7)


def test_the_ring_grows_when_a_window_needs_it():
    """Ten thousand prices within the window all stay."""
    fed = PriceVelocityTracker("TSLA", (5,), hot=kernel("compiled"))

    fed.add_price(400.0, OPEN)
    for number in range(10_000):
        fed.add_price(404.0, OPEN + dt.timedelta(microseconds=1 + number))

    assert len(fed._feed._market.state.prints) > 10_000
    assert fed.get_velocity(5, after(5)).change_pct == 1.0


NAIVE = dt.datetime(2026, 11, 20, 14, 30)  # noqa: DTZ001 - what is refused


@pytest.mark.parametrize(
    ("price", "timestamp", "error", "found"),
    [
        (401.0, NAIVE, UsageError, "the time stamp datetime.datetime(2026, 11, 20, 14, 30) has no time zone"),
        (401.0, 1_763_649_000, UsageError, "the time stamp 1763649000 has no time zone"),
        (
            401.0,
            after(9),
            DataError,
            "the time stamp 2026-11-20T14:30:09+00:00 lies before the last one, 2026-11-20T14:30:10+00:00",
        ),
        (math.nan, after(11), DataError, "the price is nan, outside its limits: 0.0001 to 900719925474 USD"),
        (math.inf, after(11), DataError, "the price is inf, outside its limits: 0.0001 to 900719925474 USD"),
        (0.0, after(11), DataError, "the price is 0.0, outside its limits: 0.0001 to 900719925474 USD"),
        (-1.0, after(11), DataError, "the price is -1.0, outside its limits: 0.0001 to 900719925474 USD"),
        (0.00001, after(11), DataError, "the price is 1e-05, outside its limits: 0.0001 to 900719925474 USD"),
    ],
)
def test_what_is_no_price_is_refused_and_changes_nothing(price, timestamp, error, found):
    """The message says what was found; the price before it stands."""
    fed = tracker((10, 400.0))

    with pytest.raises(error) as refused:
        fed.add_price(price, timestamp)

    assert refused.value.found == found
    assert refused.value.hint
    assert (fed.last_price, fed.last_ns) == (400.0, SESSION.open_ns + 10_000 * MS)


def test_a_question_about_the_past_is_refused():
    """What stood before the last price is not kept."""
    fed = tracker((0, 400.0), (10, 401.0))

    with pytest.raises(UsageError) as refused:
        fed.get_velocity(5, after(9))

    assert refused.value.found == (
        "asked about 2026-11-20T14:30:09+00:00, before the last time stamp, 2026-11-20T14:30:10+00:00"
    )


@pytest.mark.parametrize("window", [0, -5, 61, 2.5, math.nan])
def test_a_window_that_is_not_followed_is_refused(window):
    """Longer than the longest, shorter than a second, or no whole number."""
    fed = tracker((0, 400.0))

    with pytest.raises(UsageError) as refused:
        fed.get_velocity(window)

    assert refused.value.found == f"the window is {window} s, not a whole number from 1 to 60"
    assert "windows=(30, 120)" in refused.value.hint


@pytest.mark.parametrize("windows", [(), (0,), (5, 7201)])
def test_a_tracker_without_a_proper_window_is_refused(windows):
    """It could answer nothing."""
    with pytest.raises(UsageError) as refused:
        PriceVelocityTracker("TSLA", windows)

    assert refused.value.found.endswith("not a whole number from 1 to 7200")


@pytest.mark.parametrize("threshold", [0.0, -0.5, math.nan])
def test_a_threshold_that_everything_meets_is_refused(threshold):
    """At 0 a standing price would be a spike."""
    fed = tracker((0, 400.0))

    with pytest.raises(UsageError) as refused:
        fed.detect_spike(threshold)

    assert refused.value.found == f"the threshold is {threshold}, not above its limit: 0.0"
