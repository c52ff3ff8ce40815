"""Which expiry is looked at, and what is said where the wished one does not exist.

Expiries are those the chain lists, never computed from the weekday: no same-day contract on a Tuesday, before
earnings or a holiday is a fact of the list.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from scalpcli.core.gates import Refused
from scalpcli.errors import UsageError
from scalpcli.model.instrument import STANDARD_MULTIPLIER, Instrument
from scalpcli.model.params import Params

_DAYS: Final = re.compile(r"^(\d{1,3})dte$", re.ASCII)


@dataclass(frozen=True, slots=True)
class Expiries:
    """What is looked at.

    Attributes:
        params: The settings, with the days to expiry that are looked at.
        refused: Why the engine would trade none of it; `None` where it would.
        notices: What a reader must know.
        dates: The days, nearest first.
    """

    params: Params
    refused: Refused | None
    notices: tuple[str, ...]
    dates: tuple[dt.date, ...]


def wished_date(text: str, today: dt.date) -> dt.date | None:
    """The day `0dte`, `1dte` (calendar days, as everywhere) or an ISO day names; `None` for no wish.

    Raises:
        UsageError: the text is neither.
    """
    if not text:
        return None
    days = _DAYS.match(text.strip().lower())
    if days is not None:
        return today + dt.timedelta(days=int(days.group(1)))
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"`--expiry {text}` is no expiry", hint="write 0dte, 1dte or a day like 2026-11-27") from None


def listed_expiries(instruments: Sequence[Instrument], today: dt.date) -> list[dt.date]:
    """Days on which a standard contract expires, from today on, in order."""
    return sorted(
        {
            each.expiry
            for each in instruments
            if each.expiry is not None and each.expiry >= today and each.multiplier == STANDARD_MULTIPLIER
        }
    )


def choose_expiries(params: Params, instruments: Sequence[Instrument], today: dt.date, wish: str) -> Expiries:
    """Which expiries to look at: the wished one, else those the settings allow, else the next one there is."""
    listed = listed_expiries(instruments, today)
    wanted = wished_date(wish, today)
    if not listed:
        return Expiries(params, None, ("no contract is listed",), ())
    days = {date: (date - today).days for date in listed}
    allowed = [date for date in listed if params.selection.min_dte <= days[date] <= params.selection.max_dte]
    if wanted is not None:
        if wanted in days:
            return Expiries(_only(params, days[wanted]), None, (), (wanted,))
        following = next((date for date in listed if date > wanted), listed[-1])
        notice = f"no contract expires on {_day(wanted, today)}; shown is {_day(following, today)}"
        return _instead(params, following, days[following], notice)
    if allowed:
        is_without_today = params.selection.min_dte == 0 and today not in days
        told = f"no contract expires today ({today}); the next expiry is {_day(listed[0], today)}"
        return Expiries(params, None, (told,) if is_without_today else (), tuple(allowed))
    selection = params.selection
    span = f"within {selection.min_dte} to {selection.max_dte} days"
    following = next((date for date in listed if days[date] > selection.max_dte), listed[-1])
    return _instead(
        params, following, days[following], f"no contract expires {span}; shown is {_day(following, today)}"
    )


def _instead(params: Params, date: dt.date, days: int, notice: str) -> Expiries:
    selection = params.selection
    refused = None
    if not selection.min_dte <= days <= selection.max_dte:
        limit = selection.max_dte if days > selection.max_dte else selection.min_dte
        refused = Refused("expiry", True, float(days), float(limit), "days to expiry")
    return Expiries(_only(params, days), refused, (notice,), (date,))


def _only(params: Params, days: int) -> Params:
    return dataclasses.replace(params, selection=dataclasses.replace(params.selection, min_dte=days, max_dte=days))


def _day(date: dt.date, today: dt.date) -> str:
    days = (date - today).days
    away = "today" if days == 0 else "1 day" if days == 1 else f"{days} days"
    return f"{date:%a} {date} ({away})"
