"""Blackouts: dated windows without entries, from a TOML file of their own.

```toml
[[blackout]]
name = "FOMC decision"
date = 2026-12-09
from = "13:45"
to = "14:45"
```

Decides what the file may hold. `from` and `to` are New York times, the window is `from <= t < to`; without
both the whole day is meant. What a window refuses is decided in `core/gates.py`.
"""

from __future__ import annotations

import calendar
import datetime as dt
import difflib
import re
import zoneinfo
from typing import Any, Final

from scalpcli.config_fields import found_words
from scalpcli.config_toml import TomlFile, read_toml
from scalpcli.errors import ConfigError
from scalpcli.model.params import Blackout
from scalpcli.units import NS_PER_S

_TABLE: Final = "blackout"
_KEYS: Final = ("name", "date", "from", "to")
_CLOCK: Final = re.compile(r"^([01]?\d|2[0-3]):([0-5]\d)$")
_EXAMPLE: Final = 'write `[[blackout]]`, then `name = "FOMC decision"`, `date = 2026-12-09`, and for part of the day '
_EXAMPLE_HINT: Final = _EXAMPLE + '`from = "13:45"`, `to = "14:45"` (New York time)'


def read_blackouts(path: str, *, place: str) -> tuple[list[Blackout], list[ConfigError]]:
    """Windows of a blackout file by start, and everything that is wrong with it.

    Args:
        path: The file.
        place: Where its name was set, for the message when it cannot be read.
    """
    try:
        file = read_toml(path, place=place)
    except ConfigError as error:
        return [], [error]
    problems = [
        ConfigError(f"unknown table `{name}`", place=file.place(name), hint=_EXAMPLE_HINT)
        for name in file.data
        if name != _TABLE
    ]
    entries = file.data.get(_TABLE, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        found = "`blackout` is a single table, not a list of tables"
        return [], [*problems, ConfigError(found, place=file.place(_TABLE), hint=_EXAMPLE_HINT)]
    windows = []
    for index, entry in enumerate(entries):
        wrong = _problems(file, index, entry)
        problems += wrong
        if not wrong:
            windows.append(_window(entry))
    return sorted(windows, key=lambda window: (window.start_ns, window.end_ns, window.name)), problems


def _problems(file: TomlFile, index: int, entry: dict[str, Any]) -> list[ConfigError]:
    problems = []

    def wrong(found: str, key: str, hint: str = _EXAMPLE_HINT) -> None:
        problems.append(ConfigError(found, place=file.place(_TABLE, index, key), hint=hint))

    for key in entry:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, n=1)
            wrong(f"unknown key `{key}` of a blackout", key, f"the nearest is `{near[0]}`" if near else _EXAMPLE_HINT)
    for key in ("name", "date"):
        if key not in entry:
            wrong(f"a blackout has no `{key}`", key)
    if "name" in entry and not (isinstance(entry["name"], str) and entry["name"].strip()):
        wrong(f"`name` is {_shown(entry['name'])}, not the name of an event", "name")
    if "date" in entry and _day(entry["date"]) is None:
        wrong(f"`date` is {_shown(entry['date'])}, not a day", "date", "write a day, like `date = 2026-12-09`")
    if ("from" in entry) != ("to" in entry):
        given, missing = ("from", "to") if "from" in entry else ("to", "from")
        hint = f"write `{missing}` too, or leave out both for the whole day"
        wrong(f"a blackout has `{given}` and no `{missing}`", given, hint)
    times = [_clock(entry[key]) for key in ("from", "to") if key in entry]
    for key, time in zip([key for key in ("from", "to") if key in entry], times, strict=True):
        if time is None:
            hint = f'write hours and minutes in New York, like `{key} = "13:45"`'
            wrong(f"`{key}` is {_shown(entry[key])}, not a time of the day", key, hint)
    if len(times) == 2 and times[0] is not None and times[1] is not None and times[0] >= times[1]:
        wrong(f"a blackout ends at {times[1]:%H:%M}, not after its start: {times[0]:%H:%M}", "to")
    return problems


def _shown(value: Any) -> str:
    if isinstance(value, dt.date | dt.time):
        return str(value)
    return "empty" if value == "" else found_words(value)


def _day(value: Any) -> dt.date | None:
    """A TOML day, or text as YYYY-MM-DD."""
    if isinstance(value, dt.datetime):
        return None
    if isinstance(value, dt.date):
        return value
    try:
        return dt.date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _clock(value: Any) -> dt.time | None:
    """A TOML time, or text as HH:MM."""
    if isinstance(value, dt.time):
        return value
    match = _CLOCK.match(value) if isinstance(value, str) else None
    return dt.time(int(match[1]), int(match[2])) if match else None


def _window(entry: dict[str, Any]) -> Blackout:
    day = _day(entry["date"])
    start, end = (_clock(entry.get(key)) for key in ("from", "to"))
    assert day is not None
    begin = dt.datetime.combine(day, start or dt.time(0))
    finish = dt.datetime.combine(day, end) if end else dt.datetime.combine(day + dt.timedelta(days=1), dt.time(0))
    return Blackout(entry["name"].strip(), _new_york_ns(begin), _new_york_ns(finish))


def _new_york_ns(moment: dt.datetime) -> int:
    """UTC nanoseconds of a wall clock time in New York, whole seconds."""
    zoned = moment.replace(tzinfo=zoneinfo.ZoneInfo("America/New_York"))
    return calendar.timegm(zoned.utctimetuple()) * NS_PER_S
