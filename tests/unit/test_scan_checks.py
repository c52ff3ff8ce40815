"""Quotes that contradict each other, or what they could be worth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from scalpcli.scan.checks import FLAGS, flags_of

STRIKES = (395.0, 400.0, 405.0)
CALLS = {395.0: (5.9, 6.0), 400.0: (2.5, 2.6), 405.0: (0.8, 0.9)}
PUTS = {395.0: (0.8, 0.9), 400.0: (2.4, 2.5), 405.0: (5.7, 5.8)}


def flags(calls=None, puts=None, forward=400.1):
    """Flags by right and strike of a sound chain with some quotes changed; prices in dollars."""
    quotes = [("C", strike, {**CALLS, **(calls or {})}[strike]) for strike in STRIKES]
    quotes += [("P", strike, {**PUTS, **(puts or {})}[strike]) for strike in STRIKES]
    found = flags_of(
        np.array([quote[0] for *_, quote in quotes]) * 1e4,
        np.array([quote[1] for *_, quote in quotes]) * 1e4,
        np.array([strike for _, strike, _ in quotes]) * 1e4,
        np.array([right == "C" for right, *_ in quotes]),
        forward * 1e4,
        0.99997,
        np.full(len(quotes), 100.0),
    )
    return {f"{strike:g}{right}": set(marks) for (right, strike, _), marks in zip(quotes, found, strict=True) if marks}


def test_a_sound_chain_has_no_flags():
    """The sample every case below changes in one place."""
    assert flags() == {}


@pytest.mark.parametrize(
    ("quote", "flag"),
    [((0.0, 0.9), "no_bid"), ((0.8, 0.0), "no_ask"), ((0.9, 0.8), "crossed"), ((0.85, 0.85), "locked")],
)
def test_a_quote_by_itself(quote, flag):
    """One side missing, crossed, or both sides one price."""
    assert flag in flags(calls={405.0: quote})["405C"]


def test_an_offer_below_exercise():
    """A call on 395 of a stock at 400.1 is worth 5.1 by exercise alone."""
    assert "below_intrinsic" in flags(calls={395.0: (4.5, 4.9)})["395C"]
    assert "below_intrinsic" in flags(puts={405.0: (4.5, 4.7)})["405P"]


def test_a_bid_above_the_most_it_can_be_worth():
    """A call is never worth more than the stock, a put never more than its strike."""
    assert "above_bound" in flags(calls={395.0: (401.0, 402.0)})["395C"]
    assert "above_bound" in flags(puts={395.0: (395.5, 396.0)})["395P"]


def test_strikes_in_the_wrong_order():
    """A call on a higher strike bid above the offer of a lower one: both are flagged."""
    found = flags(calls={405.0: (2.7, 2.8)})

    assert "strike_order" in found["405C"]
    assert "strike_order" in found["400C"]
    assert "strike_order" in flags(puts={395.0: (2.6, 2.7)})["395P"]


def test_a_vertical_worth_more_than_its_width():
    """Selling the 400 call and buying the 405 brings more than the 5 dollars it can cost."""
    found = flags(calls={400.0: (6.2, 6.3), 395.0: (9.0, 9.1)})

    assert "vertical" in found["400C"]
    assert "vertical" in found["405C"]
    assert "vertical" in flags(puts={400.0: (6.2, 6.3), 405.0: (9.0, 9.1)})["400P"]


def test_a_bulge_between_two_strikes():
    """The middle one is bid above the two beside it."""
    assert flags(calls={400.0: (3.6, 3.7)})["400C"] >= {"butterfly"}


def test_call_and_put_against_the_forward():
    """Both of the strike are flagged; which one is wrong is not known."""
    found = flags(calls={400.0: (2.9, 2.95)})

    assert "parity" in found["400C"]
    assert "parity" in found["400P"]


def test_quotes_that_are_not_fresh_are_left_out():
    """`nan` accuses nobody, and is accused of nothing."""
    assert flags(calls={400.0: (math.nan, math.nan)}) == {}


def test_without_a_forward_only_quotes_are_compared():
    """Bounds and parity need one."""
    assert flags(calls={395.0: (4.5, 4.9)}, forward=math.nan) == {}
    assert "crossed" in flags(calls={405.0: (0.9, 0.8)}, forward=math.nan)["405C"]


def test_every_flag_has_its_words():
    """What `--schema` and the table's legend print."""
    assert all(FLAGS.values())


def test_every_contract_of_a_contradicting_pair_is_flagged():
    """Whatever else stands between two contracts that contradict each other, both are named."""
    rng = np.random.default_rng(3)
    strike = np.arange(380.0, 420.0, 2.5) * 10_000
    for _ in range(60):
        fair = np.maximum(400e4 - strike, 0.0) + 30_000 * np.exp(-(((strike - 400e4) / 80e4) ** 2))
        bid, ask = fair - 500 + rng.normal(0.0, 9_000, len(fair)), fair + 500 + rng.normal(0.0, 9_000, len(fair))
        tick = np.full(len(fair), 500.0)

        flags = flags_of(bid, ask, strike, np.ones(len(fair), bool), math.nan, 1.0, tick)

        for name, breaks in (
            ("strike_order", lambda i, j, b=bid, a=ask: a[i] > 0 and b[j] > 0 and b[j] > a[i] + 500),
            (
                "vertical",
                lambda i, j, b=bid, a=ask: a[j] > 0 and b[i] > 0 and b[i] - a[j] > strike[j] - strike[i] + 500,
            ),
        ):
            pairs = [(i, j) for i in range(len(fair)) for j in range(i + 1, len(fair)) if breaks(i, j)]
            assert {row for pair in pairs for row in pair} == {row for row, named in enumerate(flags) if name in named}
