"""A scripted price path: scenes that make bursts, rejections and breakouts, told as stock trades.

The director follows its own rough VWAP and extremes so that a scene can aim at them; it decides nothing
about what a tracker must answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

MS_PER_S = 1000
CENTRE_E4 = 4_000_000.0
STEP_MS = 100


class Leg(NamedTuple):
    """A stretch of path: go straight to `target` (1/10000 USD) in `seconds`; `pace` multiplies trades and sizes."""

    seconds: float
    target: float
    pace: float = 1.0
    noise: float = 60.0


class Tick(NamedTuple):
    """One print to be: milliseconds since the open, price in 1/10000 USD, shares."""

    at_ms: int
    price: int
    size: int


class Market:
    """Plays scenes one after another and remembers what they aim at."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.at_ms = 0
        self.price = CENTRE_E4
        self.high = self.low = CENTRE_E4
        self._weight = self._mean = self._squares = 0.0

    @property
    def vwap(self) -> float:
        """Mean price so far."""
        return self._mean or self.price

    @property
    def sigma(self) -> float:
        """Standard deviation so far, at least 0.06 percent of the price, so that scenes have room."""
        deviation = math.sqrt(self._squares / self._weight) if self._weight else 0.0
        return max(deviation, 0.0006 * self.price)

    def uniform(self, low: float, high: float) -> float:
        """A number between the two."""
        return low + (high - low) * self.rng.random()

    def play(self, leg: Leg) -> Iterator[Tick]:
        """Prints along a leg."""
        start, steps = self.price, max(1, round(leg.seconds * MS_PER_S / STEP_MS))
        chance = min(0.9, 0.2 * leg.pace)
        for k in range(1, steps + 1):
            self.price = start + (leg.target - start) * k / steps
            self.at_ms += STEP_MS
            if self.rng.random() < chance:
                yield self._print(leg)

    def silence(self, seconds: float) -> None:
        """Nothing trades for a while."""
        self.at_ms += round(seconds * 10) * STEP_MS

    def _print(self, leg: Leg) -> Tick:
        price = round((self.price + self.rng.normal(0.0, leg.noise)) / 100) * 100
        size = 1 + int(self.rng.exponential(120.0) * leg.pace)
        self._weight += size
        gap = price - self._mean
        self._mean += gap * size / self._weight
        self._squares += size * gap * (price - self._mean)
        self.high, self.low = max(self.high, price), min(self.low, price)
        return Tick(self.at_ms - int(self.rng.integers(0, STEP_MS)), price, size)


def calm(market: Market, _side: int) -> Iterator[Tick]:
    """Waves around the centre, whose tops and bottoms become swing levels."""
    height, period = market.uniform(0.0006, 0.0012) * market.price, market.uniform(60, 110)
    middle = CENTRE_E4 + 0.5 * (market.price - CENTRE_E4)
    for k in range(int(market.uniform(2, 4))):
        turn = 1 if k % 2 else -1
        yield from market.play(Leg(period / 2, middle + turn * height, 0.7))


def burst(market: Market, side: int) -> Iterator[Tick]:
    """A fast move on heavy volume that then stands, sometimes followed by a second one."""
    yield from market.play(Leg(market.uniform(10, 20), market.price, 0.6))
    for _ in range(1 + (market.rng.random() < 0.3)):
        far = side * market.uniform(0.0025, 0.0055) * market.price
        yield from market.play(Leg(market.uniform(6, 22), market.price + far, market.uniform(2.5, 6.0)))
        yield from market.play(Leg(market.uniform(3, 35), market.price, market.uniform(0.5, 1.5)))


def rejection(market: Market, side: int) -> Iterator[Tick]:
    """Away from VWAP, back to touch it, and off again; some fall through it instead."""
    yield from market.play(Leg(market.uniform(15, 25), market.vwap + side * 1.4 * market.sigma))
    yield from market.play(Leg(market.uniform(62, 85), market.vwap + side * market.uniform(1.0, 1.6) * market.sigma))
    falls_through = market.rng.random() < 0.15
    past = -side * 0.5 * market.sigma if falls_through else side * 0.02 * market.sigma
    yield from market.play(Leg(market.uniform(8, 20), market.vwap + past, 1.5, 30.0))
    away = side * market.uniform(0.7, 1.0) * market.sigma
    yield from market.play(Leg(market.uniform(15, 100), market.vwap + away, market.uniform(1.5, 4.0), 30.0))


def breakout(market: Market, side: int) -> Iterator[Tick]:
    """A rest short of the session's extreme, then through it on volume; some come straight back."""
    edge = market.high if side > 0 else market.low
    rest = edge - side * market.uniform(0.0007, 0.0014) * market.price
    yield from market.play(Leg(market.uniform(15, 25), rest))
    yield from market.play(Leg(market.uniform(64, 130), rest, 0.6))
    beyond = edge + side * market.uniform(0.0006, 0.0016) * market.price
    yield from market.play(Leg(market.uniform(3, 8), beyond, market.uniform(2.0, 7.0)))
    if market.rng.random() < 0.2:
        yield from market.play(Leg(2.0, rest, 2.0))
    else:
        yield from market.play(Leg(market.uniform(3, 14), beyond, market.uniform(1.0, 6.0)))


def fade(market: Market, _side: int) -> Iterator[Tick]:
    """Slowly back to the centre, so that the day does not run away from the strikes."""
    yield from market.play(Leg(market.uniform(30, 60), CENTRE_E4 + 0.2 * (market.price - CENTRE_E4), 0.8))


def lull(market: Market, _side: int) -> Iterator[Tick]:
    """Too few prints for the short windows, or none for the long ones."""
    market.silence(market.uniform(4, 70))
    yield from market.play(Leg(market.uniform(5, 15), market.price, 0.3))


SCENES = (burst, rejection, breakout)
BETWEEN = (calm, calm, fade, lull)


def stock_ticks(rng: np.random.Generator, seconds: int) -> list[Tick]:
    """Prints of `seconds` of session, every kind of scene on both sides in a random order, again and again."""
    market = Market(rng)
    ticks = list(calm(market, 0))
    queue: list[Any] = []
    while market.at_ms < seconds * MS_PER_S:
        if not queue:
            queue = [(scene, side) for scene in SCENES for side in (1, -1)]
            rng.shuffle(queue)
        scene, side = queue.pop()
        between = BETWEEN[int(rng.integers(len(BETWEEN)))]
        ticks += between(market, 0)
        ticks += scene(market, side)
    return sorted(tick for tick in ticks if tick.at_ms < seconds * MS_PER_S)
