"""Quotes that cannot be right: what no-arbitrage says of a chain.

Decides which quotes contradict each other, beyond a tolerance of one price step and of early exercise. Refuses
nothing: the engine's gates do that. A flag says that a number beside it (implied volatility, delta) is not to be
trusted. Two contracts that contradict each other are both flagged; which one is wrong is not known.

Source: Merton 1973 (bounds, order and convexity in the strike), Stoll 1969 (parity).
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]

FLAGS: Final = {
    "no_bid": "nobody bids",
    "no_ask": "nobody offers",
    "crossed": "the bid stands above the ask",
    "locked": "bid and ask are one price",
    "below_intrinsic": "offered below what exercise brings",
    "above_bound": "bid above the most it can be worth: a call the stock, a put the strike",
    "strike_order": "bid above the ask of a contract of this right that is worth at least as much",
    "vertical": "a spread of two strikes is bid above the distance of the strikes",
    "butterfly": "bid above what the two strikes beside it cost in its place",
    "parity": "call and put of this strike contradict the forward",
}
"""Flag -> meaning, in the order in which they are shown."""


def flags_of(
    bid: Floats, ask: Floats, strike: Floats, is_call: Marks, forward: float, discount: float, tick: Floats
) -> list[tuple[str, ...]]:
    """The flags of each contract of one expiry.

    Args:
        bid: Bids, shape `(n,)`, 1/10000 USD, 0 = none; quotes that are not fresh are left out of the comparisons by
            handing in `nan`.
        ask: Asks, likewise.
        strike: Strikes, likewise.
        is_call: Whether each is a call.
        forward: Forward of the expiry; `nan` = unknown.
        discount: `e^(-rT)`.
        tick: Price step of each contract.
    """
    marks = {name: np.zeros(len(bid), bool) for name in FLAGS}
    with np.errstate(invalid="ignore"):
        marks["no_bid"] = (bid <= 0) & ~np.isnan(bid)
        marks["no_ask"] = (ask <= 0) & ~np.isnan(ask)
        marks["crossed"] = (bid > ask) & (ask > 0)
        marks["locked"] = (bid == ask) & (ask > 0)
        # An absent side binds nobody: nothing can be sold at it, nothing bought.
        bid, ask = np.where(bid > 0, bid, -math.inf), np.where(ask > 0, ask, math.inf)
        if not math.isnan(forward):
            # Early exercise lets an American contract be worth more than a European one by the strike's interest.
            slack = tick + strike * (1.0 - discount)
            worth = discount * (forward - strike) * np.where(is_call, 1.0, -1.0)
            marks["below_intrinsic"] = ask < worth - slack
            marks["above_bound"] = bid > np.where(is_call, discount * forward, strike) + slack
            marks["parity"] = _parity(bid, ask, strike, is_call, discount * (forward - strike), slack)
        for side in (np.flatnonzero(is_call), np.flatnonzero(~is_call)):
            rows = side[np.argsort(strike[side], kind="stable")]
            # Walked from the dearest contract to the cheapest: calls up the strikes, puts down.
            rows = rows if len(rows) == 0 or is_call[rows[0]] else rows[::-1]
            _mark_pairs(marks, rows, bid, ask, strike, tick)
            _mark_butterflies(marks["butterfly"], rows, bid, ask, strike, tick)
    return [tuple(name for name in FLAGS if marks[name][row]) for row in range(len(bid))]


def _parity(bid: Floats, ask: Floats, strike: Floats, is_call: Marks, worth: Floats, slack: Floats) -> Marks:
    marks = np.zeros(len(bid), bool)
    puts = {float(strike[row]): int(row) for row in np.flatnonzero(~is_call)}
    for call in np.flatnonzero(is_call):
        put = puts.get(float(strike[call]))
        if put is None:
            continue
        over = bid[call] - ask[put] > worth[call] + slack[call]
        under = ask[call] - bid[put] < worth[call] - slack[call]
        marks[call] |= over | under
        marks[put] |= over | under
    return marks


def _mark_pairs(
    marks: dict[str, Marks], rows: NDArray[np.intp], bid: Floats, ask: Floats, strike: Floats, tick: Floats
) -> None:
    """Order and distance of every two strikes; `rows` from the dearest contract to the cheapest."""
    is_pair = np.triu(np.ones((len(rows), len(rows)), bool), 1)
    # Of each pair the first index is the dearer contract, the second the cheaper one.
    step, width = tick[rows][None, :], np.abs(strike[rows][:, None] - strike[rows][None, :])
    for name, breaks in (
        ("strike_order", bid[rows][None, :] > ask[rows][:, None] + step),
        ("vertical", bid[rows][:, None] - ask[rows][None, :] > width + step),
    ):
        both = is_pair & breaks
        marks[name][rows[both.any(axis=0) | both.any(axis=1)]] = True


def _mark_butterflies(
    marks: Marks, rows: NDArray[np.intp], bid: Floats, ask: Floats, strike: Floats, tick: Floats
) -> None:
    for left, middle, right in zip(rows, rows[1:], rows[2:], strict=False):
        width = strike[right] - strike[left]
        if width == 0:
            continue
        share = (strike[right] - strike[middle]) / width
        if bid[middle] > share * ask[left] + (1.0 - share) * ask[right] + tick[middle]:
            marks[middle] = True
