"""Volume-weighted average price and its standard deviation (definitions, section 5; West 1979)."""

from __future__ import annotations

import math
from typing import Any


def add_to_vwap(tracker: Any, price: float, size: float) -> None:
    """Take one vwap-eligible regular print into mean and variance.

    Args:
        tracker: The session's record (`layout.TRACKER`).
        price: 1/10000 USD.
        size: Shares.

    Source: D. H. D. West, Updating mean and variance estimates, Communications of the ACM 22 (1979).
    """
    weight = tracker.vwap_weight + size
    if weight <= 0.0:
        return
    difference = price - tracker.vwap_mean
    mean = tracker.vwap_mean + difference * size / weight
    tracker.vwap_m2 = tracker.vwap_m2 + size * difference * (price - mean)
    tracker.vwap_mean = mean
    tracker.vwap_weight = weight


def measure_vwap(tracker: Any) -> None:
    """Store VWAP and sigma as they stand, 1/10000 USD; nan before the first print."""
    if tracker.vwap_weight > 0.0:
        tracker.vwap = tracker.vwap_mean
        # Rounding may leave a sum of squares a hair below zero.
        tracker.sigma = math.sqrt(max(tracker.vwap_m2, 0.0) / tracker.vwap_weight)
