"""How fast the price moves (definitions, section 3).

Decides what a velocity is and when it is unknown. Leaves thresholds to `triggers`.
The functions are compiled into the kernel and also run as they stand; `PriceVelocityTracker` is a view
over the same arrays and the same functions.
"""

from __future__ import annotations

import math
from typing import Any

Record = Any
"""One element of a record array of `layout`."""
Records = Any
"""A record array of `layout`."""


def push_print(tracker: Record, prints: Records, ts_ns: int) -> None:
    """Remember price and volume as they stand after the prints received at `ts_ns`.

    Prints of one receive time share one entry: only the last of them can be seen (definitions, 1).
    """
    head = tracker.prints_head
    if head > 0 and prints[(head - 1) & tracker.prints_mask].ts_ns == ts_ns:
        head -= 1
    entry = prints[head & tracker.prints_mask]
    entry.ts_ns = ts_ns
    entry.price = tracker.price
    entry.price_ns = tracker.price_ns
    entry.volume = tracker.volume
    tracker.prints_head = head + 1


def slide_window(window: Record, tracker: Record, prints: Records, t_ns: int) -> None:
    """Move the window's start to `t_ns - window_ns`."""
    start_ns = t_ns - window.window_ns
    tail = window.tail
    while tail + 1 < tracker.prints_head and prints[(tail + 1) & tracker.prints_mask].ts_ns <= start_ns:
        tail += 1
    window.tail = tail


def velocity_pct(
    price: float, price_ns: int, then: float, then_ns: int, t_ns: int, window_ns: int, blind: bool
) -> float:
    """Percent the price moved in the window that ends at `t_ns`; nan = unknown.

    Args:
        price: `P(t)`, any unit; nan when there is none.
        price_ns: When it printed; unknown when that is more than `window_ns` before `t_ns`.
        then: `P(t - w)`, same unit.
        then_ns: When that printed; unknown when more than `window_ns` before `t - w`.
        t_ns: The instant, UTC nanoseconds.
        window_ns: Length of the window.
        blind: Whether a gap of the price's channel overlaps the window.

    Source: definitions, section 3; the order of operations is part of the definition.
    """
    if blind or math.isnan(price) or math.isnan(then):
        return math.nan
    if t_ns - price_ns > window_ns or t_ns - window_ns - then_ns > window_ns:
        return math.nan
    return (price - then) * 100.0 / then


def measure_window(window: Record, tracker: Record, prints: Records, t_ns: int, gap_end_ns: int) -> None:
    """Slide one window to `t_ns` and store its velocity.

    Args:
        window: The window's record.
        tracker: The session's record.
        prints: Ring of prints.
        t_ns: The instant.
        gap_end_ns: End of the latest gap of the price's channel; `NEVER_NS` while it is blind.
    """
    slide_window(window, tracker, prints, t_ns)
    then = math.nan
    then_ns = 0
    if window.tail >= 0:
        entry = prints[window.tail & tracker.prints_mask]
        then = entry.price
        then_ns = entry.price_ns
    blind = gap_end_ns > t_ns - window.window_ns
    window.velocity_pct = velocity_pct(tracker.price, tracker.price_ns, then, then_ns, t_ns, window.window_ns, blind)
