"""When a session is recorded: from some minutes before its open until some minutes after its close.

Decides whether there is anything to record now, when there will be, and what `--until` means. Days and hours come from
the exchange's calendar, half days and holidays included; time is the market's, which a rehearsal may speed up.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Final

from scalpcli.errors import OutsideSession, UsageError
from scalpcli.model.params import RecordParams
from scalpcli.model.session import (
    Session,
    at_ns,
    is_session,
    next_session,
    ns_to_new_york,
    ns_to_new_york_date,
    session_of,
)
from scalpcli.units import NS_PER_S, min_to_ns

CLOSE: Final = "close"
_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_HINT: Final = "write close, a New York time like 15:30, or a duration like 90s, 20m or 1h30m"


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which a session is recorded, UTC nanoseconds."""

    session: Session
    start_ns: int
    end_ns: int


def window_at(now_ns: int, params: RecordParams) -> Window:
    """The window that `now_ns` lies in.

    Raises:
        OutsideSession: it lies in none; the message names the next one.
        DataError: the calendar does not know the day.
    """
    window = next_window(now_ns, params)
    if now_ns >= window.start_ns:
        return window
    date = ns_to_new_york_date(now_ns)
    start = f"{ns_to_new_york_date(window.start_ns)} {ns_to_new_york(window.start_ns)[:5]}"
    raise OutsideSession(
        f"it is {date} {ns_to_new_york(now_ns)[:5]} in New York: outside the session",
        hint=f"the next recording begins {start} New York time; `--wait` waits for it",
    )


def next_window(now_ns: int, params: RecordParams) -> Window:
    """The first window that is not over at `now_ns`.

    Raises:
        DataError: the calendar does not know the day.
    """
    date = ns_to_new_york_date(now_ns)
    session = session_of(date) if is_session(date) else next_session(date)
    window = _window(session, params)
    return window if now_ns < window.end_ns else _window(next_session(date), params)


def _window(session: Session, params: RecordParams) -> Window:
    before_ns = min_to_ns(params.start_before_open_minutes)
    after_ns = min_to_ns(params.stop_after_close_minutes)
    return Window(session, session.open_ns - before_ns, session.close_ns + after_ns)


def parse_until(text: str) -> int:
    """Nanoseconds of a duration; 0 where `text` is `close` or a time of day.

    Raises:
        UsageError: it is neither.
    """
    if text == CLOSE:
        return 0
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        # The day does not matter: only the form is checked.
        try:
            at_ns(session_of(dt.date(2026, 11, 20)), text)
        except UsageError:
            raise UsageError(f"`--until {text}` is no time to stop at", hint=_HINT) from None
        return 0
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    duration_ns = (hours * 3600 + minutes * 60 + seconds) * NS_PER_S
    if not duration_ns:
        raise UsageError(f"`--until {text}` is no time at all", hint=_HINT)
    return duration_ns


def until_ns(text: str, window: Window, now_ns: int) -> int:
    """When a recording that begins at `now_ns` ends: never after its window.

    Args:
        text: `close`, `HH:MM` in New York, or a duration.
        window: The session's.
        now_ns: Time at the market, UTC nanoseconds.

    Raises:
        UsageError: `text` is none of these.
        OutsideSession: that time of day has passed.
    """
    duration_ns = parse_until(text)
    if duration_ns:
        return min(now_ns + duration_ns, window.end_ns)
    if text == CLOSE:
        return window.end_ns
    end_ns = at_ns(window.session, text)
    if end_ns <= now_ns:
        # Not a usage error: a crontab fires on, long after the time that was asked for.
        raise OutsideSession(
            f"`--until {text}` has passed: it is {ns_to_new_york(now_ns)[:5]} in New York",
            hint="name a later time, or leave it out to record until the close",
        )
    return min(end_ns, window.end_ns)
