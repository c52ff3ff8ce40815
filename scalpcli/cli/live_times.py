"""Times of a session as people give them: `15:10`, `close`, `close-50m`.

Decides what they mean for one session, half days included, and which settings they take the place of.
"""

from __future__ import annotations

import re
from typing import Final

from scalpcli.config import Flag
from scalpcli.errors import OutsideSession, UsageError
from scalpcli.model.session import Session, at_ns, ns_to_new_york
from scalpcli.units import NS_PER_S, min_to_ns

CLOSE: Final = "close"
_BEFORE_CLOSE: Final = re.compile(r"close-(?:(\d{1,2})h)?(?:(\d{1,4})m)?", re.ASCII)
_DURATION: Final = re.compile(r"(?:(\d{1,2})h)?(?:(\d{1,4})m)?(?:(\d{1,5})s)?", re.ASCII)
_MINUTES_PER_HOUR: Final = 60
_NS_PER_MIN: Final = min_to_ns(1.0)


def time_ns(flag: str, text: str, session: Session) -> int:
    """A moment of a session, UTC nanoseconds.

    Args:
        flag: The flag it was given by, for the message.
        text: `HH:MM` in New York, `close`, or `close-50m`, `close-1h10m`.
        session: The session.

    Raises:
        UsageError: `text` is none of these, or lies outside the session.
    """
    if text == CLOSE:
        return session.close_ns
    match = _BEFORE_CLOSE.fullmatch(text)
    if match is not None and any(match.groups()):
        hours, minutes = (int(part or 0) for part in match.groups())
        result_ns = session.close_ns - (hours * _MINUTES_PER_HOUR + minutes) * _NS_PER_MIN
    else:
        try:
            result_ns = at_ns(session, text)
        except UsageError:
            raise UsageError(
                f"`{flag} {text}` is no time of the session", hint="write one like 15:10, close or close-50m"
            ) from None
    if not session.open_ns <= result_ns <= session.close_ns:
        raise UsageError(
            f"`{flag} {text}` lies outside the session of {session.date}",
            hint=f"it lasts from {ns_to_new_york(session.open_ns)[:5]} to {ns_to_new_york(session.close_ns)[:5]}",
        )
    return result_ns


def until_ns(text: str, session: Session, now_ns: int) -> int:
    """When a run ends: a moment as `time_ns` takes it, or a duration from now like `20m`; never after the close.

    Raises:
        UsageError: `text` is none of these.
        OutsideSession: that moment has passed.
    """
    match = _DURATION.fullmatch(text)
    if match is not None and text:
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        duration_s = (hours * _MINUTES_PER_HOUR + minutes) * 60 + seconds
        if not duration_s:
            raise UsageError(f"`--until {text}` is no time at all", hint="write one like 20m, 1h30m or close")
        return min(now_ns + duration_s * NS_PER_S, session.close_ns)
    result_ns = time_ns("--until", text, session)
    if result_ns <= now_ns:
        # Not a usage error: a unit that fires late is no fault of whoever wrote it.
        raise OutsideSession(
            f"`--until {text}` has passed: it is {ns_to_new_york(now_ns)[:5]} in New York",
            hint="name a later time, or leave it out to trade until the close",
        )
    return result_ns


def before_close_flags(no_entry_after: str, flatten_at: str, session: Session) -> dict[str, Flag]:
    """`--no-entry-after` and `--flatten-at` as the settings they take the place of, minutes before the close.

    Raises:
        UsageError: one is no time of the session.
    """
    given = {
        "gates.last_entry_before_close_minutes": ("--no-entry-after", no_entry_after),
        "exits.flatten_before_close_minutes": ("--flatten-at", flatten_at),
    }
    return {
        key: Flag(flag, (session.close_ns - time_ns(flag, text, session)) / _NS_PER_MIN)
        for key, (flag, text) in given.items()
        if text
    }
