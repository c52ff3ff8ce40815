"""Sessions of the New York Stock Exchange: which days trade, and when they open and close.

Decides what a session is and turns New York clock times into UTC nanoseconds and back.
Leaves what happens inside a session (entry windows, flatten time) to the engine.

Source: exchange_calendars 4.13.2, calendar XNYS (Apache-2.0). Equity options trade on the same days at
the same hours. Unplanned closings (2012-10-29 and 30, 2018-12-05, 2025-01-09) are among the holidays; one
that comes after the table was made is not.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from scalpcli.errors import DataError, UsageError
from scalpcli.units import NS_PER_DAY, NS_PER_MS, NS_PER_S, NS_PER_US

NEW_YORK: Final = ZoneInfo("America/New_York")
FIRST_DATE: Final = dt.date(2010, 1, 1)
"""First day the calendar knows."""
LAST_DATE: Final = dt.date(2027, 12, 31)
"""Last day the calendar knows."""

_OPEN: Final = dt.time(9, 30)
_CLOSE: Final = dt.time(16, 0)
_EARLY_CLOSE: Final = dt.time(13, 0)
_SATURDAY: Final = 5
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_CLOCK: Final = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?$", re.ASCII)

# Weekdays without a session, month and day.
_HOLIDAYS: Final = {
    2010: "0101 0118 0215 0402 0531 0705 0906 1125 1224",
    2011: "0117 0221 0422 0530 0704 0905 1124 1226",
    2012: "0102 0116 0220 0406 0528 0704 0903 1029 1030 1122 1225",
    2013: "0101 0121 0218 0329 0527 0704 0902 1128 1225",
    2014: "0101 0120 0217 0418 0526 0704 0901 1127 1225",
    2015: "0101 0119 0216 0403 0525 0703 0907 1126 1225",
    2016: "0101 0118 0215 0325 0530 0704 0905 1124 1226",
    2017: "0102 0116 0220 0414 0529 0704 0904 1123 1225",
    2018: "0101 0115 0219 0330 0528 0704 0903 1122 1205 1225",
    2019: "0101 0121 0218 0419 0527 0704 0902 1128 1225",
    2020: "0101 0120 0217 0410 0525 0703 0907 1126 1225",
    2021: "0101 0118 0215 0402 0531 0705 0906 1125 1224",
    2022: "0117 0221 0415 0530 0620 0704 0905 1124 1226",
    2023: "0102 0116 0220 0407 0529 0619 0704 0904 1123 1225",
    2024: "0101 0115 0219 0329 0527 0619 0704 0902 1128 1225",
    2025: "0101 0109 0120 0217 0418 0526 0619 0704 0901 1127 1225",
    2026: "0101 0119 0216 0403 0525 0619 0703 0907 1126 1225",
    2027: "0101 0118 0215 0326 0531 0618 0705 0906 1125 1224",
}
# Sessions that close at 13:00 New York.
_EARLY_CLOSES: Final = {
    2010: "1126",
    2011: "1125",
    2012: "0703 1123 1224",
    2013: "0703 1129 1224",
    2014: "0703 1128 1224",
    2015: "1127 1224",
    2016: "1125",
    2017: "0703 1124",
    2018: "0703 1123 1224",
    2019: "0703 1129 1224",
    2020: "1127 1224",
    2021: "1126",
    2022: "1125",
    2023: "0703 1124",
    2024: "0703 1129 1224",
    2025: "0703 1128 1224",
    2026: "1127 1224",
    2027: "1126",
}


def _days(table: dict[int, str]) -> frozenset[dt.date]:
    return frozenset(dt.date(year, int(day[:2]), int(day[2:])) for year, days in table.items() for day in days.split())


_HOLIDAY_DATES: Final = _days(_HOLIDAYS)
_EARLY_CLOSE_DATES: Final = _days(_EARLY_CLOSES)


@dataclass(frozen=True, slots=True)
class Session:
    """One regular session: its day in New York, open and close in UTC nanoseconds."""

    date: dt.date
    open_ns: int
    close_ns: int
    is_early_close: bool


def is_session(date: dt.date) -> bool:
    """Whether the exchange trades on `date`.

    Raises:
        DataError: `date` lies outside the calendar.
    """
    _check_known(date)
    return date.weekday() < _SATURDAY and date not in _HOLIDAY_DATES


def session_of(date: dt.date) -> Session:
    """The session of a day in New York.

    Raises:
        DataError: `date` lies outside the calendar, or the exchange is closed that day; the message
            names the sessions before and after.
    """
    if not is_session(date):
        why = "a weekend" if date.weekday() >= _SATURDAY else "a holiday"
        raise DataError(
            f"{date} is {why}: the New York Stock Exchange has no session that day",
            hint=f"the session before it is {_neighbour(date, -1)}, the next one {_neighbour(date, 1)}",
        )
    return _session(date)


def next_session(date: dt.date) -> Session:
    """The first session after `date`, which need not be one itself.

    Raises:
        DataError: that session, or `date`, lies outside the calendar.
    """
    return _session(_step(date, 1))


def previous_session(date: dt.date) -> Session:
    """The last session before `date`, which need not be one itself.

    Raises:
        DataError: that session, or `date`, lies outside the calendar.
    """
    return _session(_step(date, -1))


def contract_close_ns(expiry: dt.date) -> int:
    """Last moment a contract that expires on `expiry` trades, UTC nanoseconds: that session's close.

    Monthly contracts listed before 2015 expired on a Saturday (OCC moved them to the Friday from
    2015-02-01); their trading ended with the last session before it.

    Raises:
        DataError: `expiry` lies outside the calendar, or is neither a session nor a Saturday.
    """
    _check_known(expiry)
    last = previous_session(expiry) if expiry.weekday() == _SATURDAY else session_of(expiry)
    return last.close_ns


def at_ns(session: Session, text: str) -> int:
    """The moment `HH:MM[:SS[.fff]]`, New York time on the session's day, in UTC nanoseconds.

    Up to nine decimals of a second; the moment may lie outside the session's hours.

    Raises:
        UsageError: `text` is not such a time of day.
    """
    match = _CLOCK.match(text.strip())
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3)) if match else (24, 60, 60)
    if match is None or hour > 23 or minute > 59 or second > 59:
        raise UsageError(
            f"`{text}` is not a time of day",
            hint="write New York time as HH:MM, HH:MM:SS or HH:MM:SS.fff, like 10:31:05.250",
        )
    fraction_ns = int((match.group(4) or "").ljust(9, "0"))
    return _clock_ns(session.date, dt.time(hour, minute, second)) + fraction_ns


def ns_to_new_york(ns: int) -> str:
    """Clock time in New York with milliseconds, `10:31:05.250`; finer digits are cut off."""
    return f"{_new_york(ns):%H:%M:%S}.{ns % NS_PER_S // NS_PER_MS:03d}"


def ns_to_new_york_date(ns: int) -> dt.date:
    """Day in New York of a moment in UTC nanoseconds."""
    return _new_york(ns).date()


def _new_york(ns: int) -> dt.datetime:
    days, rest = divmod(ns, NS_PER_DAY)
    return (_EPOCH + dt.timedelta(days=days, microseconds=rest // NS_PER_US)).astimezone(NEW_YORK)


@lru_cache(maxsize=512)
def _session(date: dt.date) -> Session:
    is_early = date in _EARLY_CLOSE_DATES
    close = _EARLY_CLOSE if is_early else _CLOSE
    return Session(date, _clock_ns(date, _OPEN), _clock_ns(date, close), is_early)


def _clock_ns(date: dt.date, clock: dt.time) -> int:
    moment = dt.datetime.combine(date, clock, tzinfo=NEW_YORK)
    return (moment - _EPOCH) // _MICROSECOND * NS_PER_US


def _step(date: dt.date, days: int) -> dt.date:
    # At most five steps: the longest closing of the table took four days (2012-10-27 to 30), and the edge raises.
    day = date + dt.timedelta(days=days)
    while not is_session(day):
        day += dt.timedelta(days=days)
    return day


def _neighbour(date: dt.date, days: int) -> str:
    try:
        return _step(date, days).isoformat()
    except DataError:
        return "outside the calendar"


def _check_known(date: dt.date) -> None:
    if not FIRST_DATE <= date <= LAST_DATE:
        raise DataError(
            f"the trading calendar does not know {date}; it covers {FIRST_DATE} to {LAST_DATE}",
            hint="check the date; for later sessions install a newer scalpcli",
        )
