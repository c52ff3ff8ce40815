"""Option quotes and trades of a synthetic tape, sweeps and quote flicker among them.

Decides which contract moves, its bid and ask, sizes and prints. Leaves the chain to `synthetic_chain.py`,
fair prices to `synthetic_pricing.py` and arrival to `synthetic_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.conditions import flags_of_opra
from scalpcli.model.row import OPTION_QUOTE, OPTION_TRADE
from scalpcli.runtime.synthetic_chain import Chain
from scalpcli.runtime.synthetic_path import Floats, Market
from scalpcli.runtime.synthetic_plan import PREMARKET_S, US_PER_S, Frame, Part, Streams, SyntheticSpec, pick
from scalpcli.runtime.synthetic_pricing import fair_prices, uncertainty
from scalpcli.runtime.synthetic_rows import EVENT_US, Columns, Ints, empty_columns, event_times

_CENT_E4: Final = 100
_NICKEL_E4: Final = 500
_BREAK_E4: Final = 30_000
_EMPTY_BID_E4: Final = 40
"""Below 0.4 cents nobody bids."""

EXCHANGES: Final = ("C", "N", "P", "X", "I", "Z", "T", "W", "M", "E", "B", "Q")
_EXCHANGE_WEIGHTS: Final = np.array([25.0, 16.0, 14.0, 12.0, 9.0, 6.0, 5.0, 4.0, 3.0, 3.0, 2.0, 1.0])

_CONDITIONS: Final = ("I", "S", "a", "f", "j", "D", "A")
"""Automatic, intermarket sweep, single-leg auction, multi-leg (electronic, against single legs), late, cancelled."""
_CONDITION_WEIGHTS: Final = np.array([560.0, 180.0, 110.0, 100.0, 40.0, 6.0, 0.6])

_QUOTE_SIZES: Final = np.array([1, 2, 5, 8, 10, 10, 12, 15, 18, 20, 25, 30, 35, 40, 50, 60, 75, 100, 150, 200])
_TRADE_SIZES: Final = np.array([1, 2, 3, 5, 10, 20, 25, 50, 100])
_TRADE_WEIGHTS: Final = np.array([45.0, 16.0, 8.0, 10.0, 10.0, 4.0, 2.0, 1.5, 0.5])

_SLOT_S: Final = 5
"""A contract's spread keeps its noise for so many seconds."""
_WIDE_SHARE: Final = 0.03
_FLICKER_SHARE: Final = 0.003
_FLICKER_US: Final = (40_000, 260_000)
_SWEEP_PRINTS: Final = 7
_SWEEP_SPACING_US: Final = 12_000


@dataclass(frozen=True, slots=True)
class Sweep:
    """One sweep to plant: when (seconds since the tape's start) and on which side of the market."""

    at_s: float
    right_up: bool


class OptionRows:
    """Makes the contracts' rows block by block."""

    def __init__(
        self,
        spec: SyntheticSpec,
        frame: Frame,
        market: Market,
        chain: Chain,
        streams: Streams,
        condition_code: Callable[[str], int],
        exchange_code: Callable[[str], int],
    ) -> None:
        self._spec = spec
        self._frame = frame
        self._market = market
        self._chain = chain
        self._streams = streams
        self._codes = np.array([condition_code(text) for text in _CONDITIONS], np.int16)
        self._flags = np.array([flags_of_opra([text]) for text in _CONDITIONS], np.int32)
        self._exchanges = np.array([exchange_code(text) for text in EXCHANGES], np.int16)
        self._close_us = (PREMARKET_S + frame.session_s) * US_PER_S

    def _fair(self, contract: NDArray[np.intp], us: Ints) -> tuple[Floats, Floats]:
        left_s = np.maximum(self._close_us - us, 0) / US_PER_S + self._chain.later_s[contract]
        deviation = uncertainty(self._spec.volatility, left_s)
        return fair_prices(
            self._market.mid_at(us), self._chain.strike_e4[contract], self._chain.is_call[contract], deviation
        )

    def _noise(self, block: int) -> Floats:
        """Spread noise of every contract in each slot of a block, mean about 1; a few are very wide."""
        rng = self._streams.of(Part.SPREADS, block + 1)
        draw = rng.random((self._chain.strike_e4.size, 60 // _SLOT_S + 1))
        return np.where(draw < _WIDE_SHARE, 2.6, 0.7 + 0.6 * draw)

    def _activity(self, begin_s: int) -> Floats:
        """How often each contract is quoted in a block: most at the money, little far away and later."""
        here = np.arange(self._chain.strike_e4.size)
        _, delta = self._fair(here, np.full(here.size, (begin_s + 30) * US_PER_S))
        activity: Floats = (0.12 + 4.0 * delta * (1.0 - delta)) * np.where(self._chain.later_s > 0, 0.35, 1.0)
        return activity

    def _bid_ask(self, contract: NDArray[np.intp], us: Ints, noise: Floats, begin_s: int) -> tuple[Ints, Ints]:
        """Bid and ask on the tick grid, 1/10000 USD; a bid of 0 is absent."""
        fair, _ = self._fair(contract, us)
        slot = np.clip((us // US_PER_S - begin_s) // _SLOT_S, 0, noise.shape[1] - 1)
        stress = self._market.stress_at(us)
        # Dear contracts and violent seconds are quoted wider.
        half = (45.0 + 0.0065 * fair) * noise[contract, slot] * (1.0 + 1.4 * stress)
        bid = _on_grid(fair - half)
        ask = np.maximum(_on_grid(fair + half), bid + _tick(bid))
        bid = np.where(fair < _EMPTY_BID_E4, 0, np.maximum(bid, 0))
        return bid, np.maximum(ask, _CENT_E4)

    def quotes(self, block: int, count: int, begin_s: int, rate: Floats) -> Columns:
        """Quotes of one block; a flicker takes two rows, its own and the one that ends it."""
        rng = self._streams.of(Part.OPTION_QUOTES, block)
        flickers = int(count * _FLICKER_SHARE)
        plain = count - flickers
        us = event_times(rng, plain, begin_s, rate, 3.5, 30)
        contract = pick(rng, self._activity(begin_s), plain)
        chosen = np.sort(rng.choice(plain, flickers, replace=False)) if flickers else np.zeros(0, np.int64)
        ends = us[chosen] + rng.integers(*_FLICKER_US, size=flickers)
        # A flicker must not end where the market is silent; then it lasts no time at all.
        silent = rate[np.clip(ends // US_PER_S - begin_s, 0, rate.size - 1)] <= 0.0
        ends = np.where(silent | (ends >= (begin_s + rate.size) * US_PER_S), us[chosen], ends)
        us, contract = np.concatenate([us, ends]), np.concatenate([contract, contract[chosen]])
        rows = empty_columns(count)
        rows[EVENT_US] = us
        bid, ask = self._bid_ask(contract, us, self._noise(block), begin_s)
        bid[chosen] = np.maximum(_on_grid(bid[chosen] * (0.7 + 0.1 * rng.random(flickers))), 0)
        odd = rng.random(count)
        bid = np.where((odd < 0.001) & (bid > 0), ask + np.where(odd < 0.0003, _tick(ask), 0), bid)
        rows["kind"][:] = OPTION_QUOTE
        rows["instrument_id"] = self._chain.first_id + contract
        rows["price_e4"], rows["ask_e4"] = bid, ask
        shown = _QUOTE_SIZES.size * (1.0 - 0.45 * self._market.stress_at(us))
        rows["size"] = np.where(bid > 0, self._sizes(rng, shown), 0)
        rows["ask_size"] = self._sizes(rng, shown)
        for column in ("exchange", "ask_exchange"):
            rows[column] = self._exchanges[pick(rng, _EXCHANGE_WEIGHTS, count)]
        rows["exchange"] = np.where(bid > 0, rows["exchange"], 0)
        return rows

    def _sizes(self, rng: np.random.Generator, shown: Floats) -> Ints:
        size: Ints = _QUOTE_SIZES[(rng.random(shown.size) * shown).astype(np.int64)]
        return size

    def trades(self, block: int, count: int, begin_s: int, rate: Floats, sweeps: Sequence[Sweep]) -> Columns:
        """Trades of one block; planted sweeps take at most half of them."""
        rng = self._streams.of(Part.OPTION_TRADES, block)
        swept = list(sweeps)[: count // (2 * _SWEEP_PRINTS)]
        plain = count - len(swept) * _SWEEP_PRINTS
        activity = self._activity(begin_s)
        noise = self._noise(block)
        us = event_times(rng, plain, begin_s, rate, 1.4, 300)
        contract = pick(rng, activity, plain)
        bid, ask = self._bid_ask(contract, us, noise, begin_s)
        draw = rng.random(plain)
        price = np.where((draw < 0.46) & (bid > 0), bid, ask)
        what = pick(rng, _CONDITION_WEIGHTS, plain)
        rows = empty_columns(plain)
        rows[EVENT_US] = us
        rows["instrument_id"] = self._chain.first_id + contract
        rows["price_e4"] = price
        rows["size"] = _TRADE_SIZES[pick(rng, _TRADE_WEIGHTS, plain)].astype(np.int32)
        rows["flags"], rows["conditions"] = self._flags[what], self._codes[what]
        rows["exchange"] = self._exchanges[pick(rng, _EXCHANGE_WEIGHTS, plain)]
        parts = [rows] + [self._sweep(rng, sweep, activity, noise, begin_s) for sweep in swept]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in rows}
        joined["kind"][:] = OPTION_TRADE
        return joined

    def _sweep(self, rng: np.random.Generator, sweep: Sweep, activity: Floats, noise: Floats, begin_s: int) -> Columns:
        """Prints of one buyer who lifts the offers of several exchanges within milliseconds."""
        side = np.where(self._chain.is_call == sweep.right_up, activity, 0.0)
        contract = np.full(_SWEEP_PRINTS, pick(rng, side, 1)[0] if side.any() else 0)
        us = int(sweep.at_s * US_PER_S) + np.cumsum(rng.integers(0, _SWEEP_SPACING_US, size=_SWEEP_PRINTS))
        _, ask = self._bid_ask(contract[:1], us[:1], noise, begin_s)
        rows = empty_columns(_SWEEP_PRINTS)
        rows[EVENT_US] = us
        rows["instrument_id"] = self._chain.first_id + contract
        # Each price level once or twice, upwards from one tick above the offer.
        rows["price_e4"] = _on_grid((ask + _tick(ask) * (1 + np.arange(_SWEEP_PRINTS) // 2)).astype(np.float64))
        rows["size"] = rng.integers(15, 61, size=_SWEEP_PRINTS)
        rows["flags"][:], rows["conditions"][:] = self._flags[1], self._codes[1]
        rows["exchange"] = self._exchanges[rng.permutation(self._exchanges.size)[:_SWEEP_PRINTS]]
        return rows


def _tick(price_e4: Ints) -> Ints:
    """Tick of the Penny Interval Program at each price (`model/instrument.py`, over arrays)."""
    return np.where(price_e4 < _BREAK_E4, _CENT_E4, _NICKEL_E4)


def _on_grid(price_e4: Floats) -> Ints:
    """The nearest price on the grid."""
    tick = np.where(price_e4 < _BREAK_E4, _CENT_E4, _NICKEL_E4)
    nearest: Ints = np.floor(price_e4 / tick + 0.5).astype(np.int64) * tick
    return nearest


def plan_sweeps(frame: Frame, market: Market, streams: Streams) -> list[Sweep]:
    """Sweeps of the session: most in bursts, on the side of the move, some at any time."""
    rng = streams.of(Part.EVENTS, 1)
    per_second = 0.004 + 0.06 * market.heat + 0.04 * market.stress
    per_second[: PREMARKET_S + 1] = 0.0
    hit = np.flatnonzero(rng.random(frame.total_s) < per_second)
    coin = rng.random(hit.size)
    offset = 0.85 * rng.random(hit.size)
    move = market.mid_at((hit + 1) * US_PER_S) - market.mid_at((hit - 4) * US_PER_S)
    ups = np.where(coin < 0.75, move >= 0, move < 0)
    return [
        Sweep(second + shift, bool(up))
        for second, shift, up in zip(hit.tolist(), offset.tolist(), ups.tolist(), strict=True)
    ]
