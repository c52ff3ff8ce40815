"""The trading calendar: which days trade, and when."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.errors import DataError, UsageError
from scalpcli.model.session import (
    FIRST_DATE,
    LAST_DATE,
    NEW_YORK,
    at_ns,
    contract_close_ns,
    is_session,
    next_session,
    ns_to_new_york,
    ns_to_new_york_date,
    previous_session,
    session_of,
)
from scalpcli.units import NS_PER_MIN, NS_PER_S

NOVEMBER_20 = session_of(dt.date(2026, 11, 20))


def read(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "reference" / name).open(newline="") as lines:
        return list(csv.DictReader(lines))


def days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    return [first + dt.timedelta(days=number) for number in range((last - first).days + 1)]


def utc_ns(day: dt.date, clock: str) -> int:
    """Independent of the product: whole seconds since 1970 of a New York clock time."""
    moment = dt.datetime.combine(day, dt.time.fromisoformat(clock), tzinfo=NEW_YORK)
    return int(moment.timestamp()) * NS_PER_S


def test_every_open_and_close_equals_the_exchanges_table(shared):
    """4,499 sessions from 2010 to November 2027: open and close to the nanosecond."""
    expected = [
        (row["date"], utc_ns(day, row["open_et"]), utc_ns(day, row["close_et"]), row["close_et"] == "13:00")
        for row in read(shared, "xnys_sessions_2010_2027.csv")
        for day in [dt.date.fromisoformat(row["date"])]
    ]

    sessions = [session_of(dt.date.fromisoformat(date)) for date, *_ in expected]

    assert len(expected) == 4499
    assert [(s.date.isoformat(), s.open_ns, s.close_ns, s.is_early_close) for s in sessions] == expected


def test_no_day_beside_the_exchanges_table_is_a_session(shared):
    """A day the table leaves out is closed, and a closed weekday is one of its 168 holidays."""
    rows = read(shared, "xnys_sessions_2010_2027.csv")
    expected = [dt.date.fromisoformat(row["date"]) for row in rows]
    holidays = [dt.date.fromisoformat(row["date"]) for row in read(shared, "xnys_weekday_holidays.csv")]

    known = days_between(FIRST_DATE, expected[-1])
    closed_weekdays = [day for day in known if day.weekday() < 5 and not is_session(day)]

    assert [day for day in known if is_session(day)] == expected
    assert closed_weekdays == holidays


def test_early_closes_are_those_of_the_exchanges_table(shared):
    """36 half days until 2026; the table ends before that of 2027, which the calendar adds."""
    expected = [dt.date.fromisoformat(row["date"]) for row in read(shared, "xnys_early_closes.csv")]

    early = [day for day in days_between(FIRST_DATE, LAST_DATE) if is_session(day) and session_of(day).is_early_close]

    assert early == [*expected, dt.date(2027, 11, 26)]


def test_the_weeks_after_the_table_follow_the_published_holidays():
    """Thanksgiving and the observed Christmas of 2027 are closed, the Friday between is a half day."""
    weekdays = [day for day in days_between(dt.date(2027, 11, 23), LAST_DATE) if day.weekday() < 5]

    closed = [day for day in weekdays if not is_session(day)]

    assert closed == [dt.date(2027, 11, 25), dt.date(2027, 12, 24)]


def test_hours_move_with_daylight_saving():
    """The open is 14:30 UTC in winter and 13:30 in summer."""
    winter = session_of(dt.date(2026, 1, 5))
    summer = session_of(dt.date(2026, 7, 6))

    opens = [dt.datetime.fromtimestamp(s.open_ns // NS_PER_S, tz=dt.UTC).strftime("%H:%M") for s in (winter, summer)]

    assert opens == ["14:30", "13:30"]


def test_a_holiday_is_refused_with_its_neighbours():
    """Whoever asks for Thanksgiving learns which sessions stand next to it."""
    with pytest.raises(DataError) as caught:
        session_of(dt.date(2026, 11, 26))

    assert caught.value.exit_code == 4
    assert caught.value.render() == (
        "error: 2026-11-26 is a holiday: the New York Stock Exchange has no session that day\n"
        "\n"
        "hint: the session before it is 2026-11-25, the next one 2026-11-27"
    )


def test_a_weekend_is_refused_as_one():
    """A Saturday is not called a holiday."""
    with pytest.raises(DataError, match="2026-11-21 is a weekend"):
        session_of(dt.date(2026, 11, 21))


@pytest.mark.parametrize("day", [FIRST_DATE - dt.timedelta(days=1), LAST_DATE + dt.timedelta(days=1)])
def test_a_day_outside_the_calendar_is_refused_with_its_limits(day):
    """No guess beyond the table: the message names the days it covers."""
    with pytest.raises(DataError) as caught:
        session_of(day)

    assert caught.value.found == f"the trading calendar does not know {day}; it covers {FIRST_DATE} to {LAST_DATE}"


def test_neighbours_skip_weekends_holidays_and_storms():
    """The exchange was closed four days around hurricane Sandy."""
    after = next_session(dt.date(2012, 10, 26))
    before = previous_session(dt.date(2012, 10, 31))

    assert (before.date, after.date) == (dt.date(2012, 10, 26), dt.date(2012, 10, 31))


def test_the_calendar_s_first_session_has_none_before_it():
    """At the edge the calendar says that it ends; it does not invent a session."""
    with pytest.raises(DataError, match="does not know 2009-12-31"):
        previous_session(dt.date(2010, 1, 4))


@given(day=st.dates(dt.date(2010, 1, 5), dt.date(2027, 12, 30)))
def test_next_and_previous_enclose_every_day(day):
    """Between the session before a day and the one after it, only that day itself may trade."""
    before, after = previous_session(day).date, next_session(day).date

    inside = [date for date in days_between(before, after) if is_session(date)]

    assert inside == [before, *([day] if is_session(day) else []), after]


def test_a_contract_closes_with_the_session_of_its_expiry():
    """GOOG's same-day contracts of 2015-12-24 stopped at 13:00."""
    half_day = dt.date(2015, 12, 24)

    close_ns = contract_close_ns(half_day)

    assert close_ns == utc_ns(half_day, "13:00")


def test_a_contract_of_a_saturday_closes_on_the_friday():
    """Monthly contracts before 2015 named the Saturday and traded until the session before it."""
    assert contract_close_ns(dt.date(2013, 10, 19)) == utc_ns(dt.date(2013, 10, 18), "16:00")


@pytest.mark.parametrize("expiry", [dt.date(2026, 11, 26), dt.date(2026, 11, 22)])
def test_a_contract_cannot_expire_on_a_holiday_or_a_sunday(expiry):
    """Such a symbol is a mistake, not a contract of the next session."""
    with pytest.raises(DataError, match=str(expiry)):
        contract_close_ns(expiry)


@pytest.mark.parametrize(
    ("text", "after_open_ns"),
    [
        ("09:30", 0),
        ("9:30", 0),
        ("10:31:05", 61 * NS_PER_MIN + 5 * NS_PER_S),
        ("10:31:05.25", 61 * NS_PER_MIN + 5 * NS_PER_S + 250_000_000),
        ("09:30:00.000000001", 1),
        (" 09:00 ", -30 * NS_PER_MIN),
    ],
)
def test_clock_times_become_nanoseconds(text, after_open_ns):
    """Hours and minutes, with seconds and their decimals where needed."""
    assert at_ns(NOVEMBER_20, text) - NOVEMBER_20.open_ns == after_open_ns


@pytest.mark.parametrize(
    "text", ["", "10", "24:00", "10:60", "10:31:60", "10:31.5", "10:31:05.", "10:31pm", "\u0661\u0660:\u0663\u0661"]
)
def test_what_is_not_a_time_of_day_is_refused(text):
    """The message repeats the text and shows the form."""
    with pytest.raises(UsageError) as caught:
        at_ns(NOVEMBER_20, text)

    assert caught.value.found == f"`{text}` is not a time of day"
    assert "10:31:05.250" in caught.value.hint


@given(offset_ns=st.integers(0, 390 * NS_PER_MIN))
def test_formatting_and_parsing_agree_to_the_millisecond(offset_ns):
    """What is printed can be typed back; the digits below a millisecond are cut off, never rounded up."""
    moment_ns = NOVEMBER_20.open_ns + offset_ns

    text = ns_to_new_york(moment_ns)

    assert at_ns(NOVEMBER_20, text) == moment_ns - moment_ns % 1_000_000
    assert ns_to_new_york_date(moment_ns) == NOVEMBER_20.date


def test_the_day_in_new_york_is_not_the_day_in_greenwich():
    """01:00 UTC belongs to the evening before."""
    one_utc_ns = int(dt.datetime(2026, 11, 21, 1, tzinfo=dt.UTC).timestamp()) * NS_PER_S

    assert ns_to_new_york_date(one_utc_ns) == dt.date(2026, 11, 20)
    assert ns_to_new_york(one_utc_ns) == "20:00:00.000"
