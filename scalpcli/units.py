"""Conversions between what people write and what the engine computes with.

Decides how dollars become whole 1/10000 USD and how clock words become nanoseconds.
Leaves what a price may be (bounds, tick grid) to the model and the tape.
"""

from __future__ import annotations

from typing import Final

E4_PER_USD: Final = 10_000
"""Prices and money are whole 1/10000 USD inside, so differences are exact."""
NS_PER_US: Final = 1_000
NS_PER_MS: Final = 1_000_000
NS_PER_S: Final = 1_000_000_000
NS_PER_MIN: Final = 60 * NS_PER_S
NS_PER_DAY: Final = 86_400 * NS_PER_S


def usd_to_e4(usd: float) -> int:
    """Dollars as whole 1/10000 USD, rounded half to even (definitions, section 10)."""
    return round(usd * E4_PER_USD)


def e4_to_usd(price_e4: float) -> float:
    """Dollars of a price or an amount in 1/10000 USD; for output only."""
    return price_e4 / E4_PER_USD


def ms_to_ns(milliseconds: float) -> int:
    """Whole nanoseconds of a time in milliseconds."""
    return round(milliseconds * NS_PER_MS)


def s_to_ns(seconds: float) -> int:
    """Whole nanoseconds of a time in seconds."""
    return round(seconds * NS_PER_S)


def min_to_ns(minutes: float) -> int:
    """Whole nanoseconds of a time in minutes."""
    return round(minutes * NS_PER_MIN)
