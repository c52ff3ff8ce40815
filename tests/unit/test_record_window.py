"""When a session is recorded."""

from __future__ import annotations

import datetime as dt

import pytest

from scalpcli.errors import OutsideSession, UsageError
from scalpcli.model.params import RecordParams
from scalpcli.model.session import at_ns, ns_to_new_york, session_of
from scalpcli.runtime.record_window import next_window, parse_until, until_ns, window_at
from scalpcli.units import NS_PER_DAY, NS_PER_S

PARAMS = RecordParams()
FRIDAY = session_of(dt.date(2026, 11, 20))
HALF_DAY = session_of(dt.date(2026, 11, 27))


def at(text, session=FRIDAY) -> int:
    return at_ns(session, text)


@pytest.mark.parametrize("clock", ["09:25", "09:30", "15:59", "16:00:59"])
def test_it_begins_before_the_open_and_ends_after_the_close(clock):
    """Five minutes before, for the contracts; one after, for late prints."""
    window = window_at(at(clock), PARAMS)

    assert (ns_to_new_york(window.start_ns)[:5], ns_to_new_york(window.end_ns)[:5]) == ("09:25", "16:01")


def test_half_days_end_at_one():
    """From the calendar, as everything about days."""
    assert ns_to_new_york(window_at(at("10:00", HALF_DAY), PARAMS).end_ns)[:5] == "13:01"


@pytest.mark.parametrize(
    ("now_ns", "words", "begins"),
    [
        (at("09:24"), "2026-11-20 09:24", "2026-11-20 09:25"),
        (at("16:01"), "2026-11-20 16:01", "2026-11-23 09:25"),
        (at("12:00") + NS_PER_DAY, "2026-11-21 12:00", "2026-11-23 09:25"),
        (at("12:00") + 6 * NS_PER_DAY, "2026-11-26 12:00", "2026-11-27 09:25"),
    ],
)
def test_outside_it_is_told_when_the_next_one_begins(now_ns, words, begins):
    """Before, after, on a weekend, on Thanksgiving: exit 75, so that cron may try again."""
    with pytest.raises(OutsideSession) as caught:
        window_at(now_ns, PARAMS)

    assert caught.value.found == f"it is {words} in New York: outside the session"
    assert caught.value.hint == f"the next recording begins {begins} New York time; `--wait` waits for it"
    assert caught.value.exit_code == 75


def test_the_clock_change_moves_nothing():
    """On the Monday after 2026-11-01 the open is an hour later in UTC, and the window with it."""
    before, after = (next_window(at("12:00", session_of(day)), PARAMS) for day in DST)

    assert after.start_ns - before.start_ns == 3 * NS_PER_DAY + 3600 * NS_PER_S


DST = (dt.date(2026, 10, 30), dt.date(2026, 11, 2))


@pytest.mark.parametrize(
    ("text", "ends"),
    [("close", "16:01:00"), ("15:30", "15:30:00"), ("20m", "10:20:00"), ("1h30m", "11:30:00"), ("90s", "10:01:30"),
     ("12h", "16:01:00"), ("17:00", "16:01:00")],
)  # fmt: skip
def test_until_is_a_time_or_a_duration_and_never_after_the_window(text, ends):
    """A recorder that was meant to stop must not run into the night."""
    window = window_at(at("10:00"), PARAMS)

    assert ns_to_new_york(until_ns(text, window, at("10:00")))[:8] == ends


@pytest.mark.parametrize("text", ["", "noon", "0m", "25:00", "m", "5"])
def test_anything_else_is_refused(text):
    """Exit code 2, before anything is asked of Alpaca."""
    with pytest.raises(UsageError):
        parse_until(text)


def test_a_time_that_has_passed_is_outside_the_session():
    """A crontab fires on after the time that was asked for."""
    window = window_at(at("15:00"), PARAMS)

    with pytest.raises(OutsideSession, match="`--until 11:00` has passed: it is 15:00 in New York"):
        until_ns("11:00", window, at("15:00"))
