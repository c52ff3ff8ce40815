"""Times of a session as people give them, on whole and half days."""

from __future__ import annotations

import datetime as dt

import pytest

from scalpcli.cli.live_times import before_close_flags, time_ns, until_ns
from scalpcli.errors import OutsideSession, UsageError
from scalpcli.model.session import at_ns, session_of

DAY = session_of(dt.date(2026, 11, 20))
HALF = session_of(dt.date(2026, 11, 27))


@pytest.mark.parametrize(
    ("text", "day", "clock"),
    [
        ("close", DAY, "16:00"),
        ("close-50m", DAY, "15:10"),
        ("close-1h10m", DAY, "14:50"),
        ("close-50m", HALF, "12:10"),
        ("15:10", DAY, "15:10"),
        ("12:30:15", HALF, "12:30:15"),
    ],
)
def test_a_time_may_count_from_the_close(text, day, clock):
    """So that one line of a unit file is right on half days too."""
    assert time_ns("--flatten-at", text, day) == at_ns(day, clock)


@pytest.mark.parametrize("text", ["", "noon", "close-", "close+5m", "close-50", "25:00", "close-99h", "09:00", "16:01"])
def test_what_is_no_time_of_the_session_is_refused(text):
    """With what to write instead."""
    with pytest.raises(UsageError, match="--flatten-at") as refused:
        time_ns("--flatten-at", text, DAY)

    assert refused.value.hint


def test_a_time_after_a_half_days_close_is_refused():
    """15:10 sells nothing on a day that ends at 13:00."""
    with pytest.raises(UsageError, match="outside the session of 2026-11-27"):
        time_ns("--flatten-at", "15:10", HALF)


def test_times_take_the_place_of_minutes_before_the_close():
    """The settings know no clock times: half days move them."""
    flags = before_close_flags("close-1h15m", "12:05", HALF)

    assert {key: (flag.name, flag.value) for key, flag in flags.items()} == {
        "gates.last_entry_before_close_minutes": ("--no-entry-after", 75.0),
        "exits.flatten_before_close_minutes": ("--flatten-at", 55.0),
    }
    assert before_close_flags("", "", HALF) == {}


def test_a_run_ends_at_the_close_at_the_latest():
    """A duration is cut there."""
    now_ns = at_ns(DAY, "15:30")

    assert until_ns("20m", DAY, now_ns) == at_ns(DAY, "15:50")
    assert until_ns("2h", DAY, now_ns) == DAY.close_ns
    assert until_ns("close", DAY, now_ns) == DAY.close_ns
    assert until_ns("close-10m", DAY, now_ns) == at_ns(DAY, "15:50")


def test_an_end_that_has_passed_is_outside_the_session():
    """A unit that fires late is no fault of whoever wrote it: exit 75."""
    with pytest.raises(OutsideSession, match="has passed: it is 15:30"):
        until_ns("15:00", DAY, at_ns(DAY, "15:30"))
