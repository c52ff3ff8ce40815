"""Times as Alpaca's JSON writes them: RFC 3339 with up to nine decimals, trailing zeros cut off.

Decides how they become UTC nanoseconds and back, without a float between.
"""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import Final

from scalpcli.errors import DataError
from scalpcli.units import NS_PER_S

_SECOND_CHARACTERS: Final = 19
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_SECOND: Final = dt.timedelta(seconds=1)


def iso_to_ns(text: str) -> int:
    """UTC nanoseconds of a time like `2026-11-23T15:00:00.152687113Z` or with an offset like `-05:00`.

    Raises:
        DataError: the text is not such a time.
    """
    try:
        second, rest = text[:_SECOND_CHARACTERS], text[_SECOND_CHARACTERS:]
        digits = ""
        if rest[:1] == ".":
            digits = rest[1:].rstrip("Zz") if rest[-1] in "Zz" else rest[1:].partition("+")[0].partition("-")[0]
            rest = rest[1 + len(digits) :]
        return _second_ns(second, rest) + (int(digits.ljust(9, "0")[:9]) if digits else 0)
    except (IndexError, TypeError, ValueError):
        # The text is not shown: what a service sends in the place of a time may be anything.
        raise DataError("a time cannot be read", hint="Alpaca writes 2026-11-23T15:00:00.152687113Z") from None


def ns_to_iso(ns: int) -> str:
    """A moment as Alpaca reads it, with nine decimals."""
    seconds, fraction_ns = divmod(ns, NS_PER_S)
    return f"{_EPOCH + seconds * _SECOND:%Y-%m-%dT%H:%M:%S}.{fraction_ns:09d}Z"


# Prints come in order: a few seconds are alive at a time.
@lru_cache(maxsize=1024)
def _second_ns(second: str, zone: str) -> int:
    moment = dt.datetime.fromisoformat(second + (zone or "?"))
    return (moment - _EPOCH) // _SECOND * NS_PER_S
