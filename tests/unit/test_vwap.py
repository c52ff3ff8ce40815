"""VWAP and its deviation against values that others computed, and against the plain sums."""

from __future__ import annotations

import csv
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scalpcli.core.layout import TRACKER
from scalpcli.core.vwap import add_to_vwap, measure_vwap


def new_tracker() -> Any:
    """A session's record before its first print."""
    tracker = np.zeros(1, TRACKER).view(np.recarray)[0]
    tracker.vwap = math.nan
    tracker.sigma = math.nan
    return tracker


@pytest.mark.parametrize(("name", "first"), [("expected_from_start", 0), ("expected_anchored_1000", 30)])
def test_vwap_agrees_with_its_reference(shared, name, first):
    """One-minute bars of SPY, typical price by volume, as Stock.Indicators gives it, to four decimals."""
    expected = json.loads((shared / "reference" / "vwap_intraday_expected.json").read_text())
    with (shared / "reference" / "vwap_intraday_bars.csv").open() as file:
        bars = list(csv.DictReader(file))
    tracker = new_tracker()

    found = {}
    for number, bar in enumerate(bars[first:], start=first):
        typical = (float(bar["high"]) + float(bar["low"]) + float(bar["close"])) / 3.0
        add_to_vwap(tracker, typical, float(bar["volume"]))
        measure_vwap(tracker)
        found[str(number)] = float(tracker.vwap)

    wanted = {number: value for number, value in expected[name].items() if value is not None}
    assert len(wanted) >= 3
    assert {number: found[number] for number in wanted} == pytest.approx(wanted, abs=expected["tolerance"])


def test_vwap_is_unknown_before_the_first_print():
    """Nothing printed is nan, never zero; a print of size 0 changes nothing."""
    tracker = new_tracker()

    add_to_vwap(tracker, 4_000_000.0, 0.0)
    measure_vwap(tracker)

    assert math.isnan(tracker.vwap)
    assert math.isnan(tracker.sigma)


@given(st.lists(st.tuples(st.integers(3_900_000, 4_100_000), st.integers(1, 100_000)), min_size=1, max_size=200))
def test_vwap_and_sigma_equal_the_plain_sums(prints):
    """West's update gives the weighted mean and variance that two passes give."""
    prices, sizes = (np.array(column, np.float64) for column in zip(*prints, strict=True))
    tracker = new_tracker()

    for price, size in prints:
        add_to_vwap(tracker, float(price), float(size))
    measure_vwap(tracker)

    mean = np.average(prices, weights=sizes)
    assert float(tracker.vwap) == pytest.approx(mean, rel=1e-12)
    assert float(tracker.sigma) == pytest.approx(math.sqrt(np.average((prices - mean) ** 2, weights=sizes)), abs=1e-3)
