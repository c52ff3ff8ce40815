"""Stock trades and quotes of a synthetic tape.

Decides prices, sizes, conditions and exchanges of the underlying's rows. Leaves their path to
`synthetic_path.py` and their arrival to `synthetic_rows.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.conditions import flags_of_sip
from scalpcli.model.row import STOCK_QUOTE, STOCK_TRADE
from scalpcli.runtime.synthetic_path import Floats, Market
from scalpcli.runtime.synthetic_plan import PREMARKET_S, US_PER_S, Frame, Part, Streams, pick
from scalpcli.runtime.synthetic_rows import EVENT_US, LAG_US, Columns, Ints, empty_columns, event_times

CENT_E4: Final = 100
_HALF_CENT_E4: Final = 50

EXCHANGES: Final = ("D", "Q", "P", "Z", "K", "V", "N", "J", "Y", "U")
"""FINRA's reporting facility first: about 40 percent of prints happen off exchange."""
_TRADE_WEIGHTS: Final = np.array([40.0, 20.0, 12.0, 9.0, 6.0, 5.0, 3.0, 2.0, 2.0, 1.0])
_QUOTE_WEIGHTS: Final = np.array([0.0, 40.0, 25.0, 14.0, 8.0, 5.0, 3.0, 2.0, 2.0, 1.0])

# Conditions of prints in the session and their weights. The last code is known to no table.
_CONDITIONS: Final = ("@", "@F", "@I", "@FI", "@X", "@4", "@Z", "@W", "@P", "@V", "@q")
_CONDITION_WEIGHTS: Final = np.array([400.0, 190.0, 300.0, 95.0, 3.0, 2.0, 2.0, 1.5, 1.0, 1.0, 0.2])
_BEFORE_OPEN: Final = ("@T", "@TI", "@U")
_BEFORE_OPEN_WEIGHTS: Final = np.array([10.0, 10.0, 1.0])
_OPENING, _CLOSING, _OFFICIAL, _REOPENING = "@O", "@6", "@M", "@5"

_ODD_SIZES: Final = np.array([1, 2, 3, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 75, 90, 99])
_ODD_WEIGHTS: Final = np.array([20, 10, 6, 10, 5, 12, 5, 8, 7, 3, 3, 6, 2, 2, 1, 1], dtype=np.float64)
_ROUND_SIZES: Final = np.array([100, 200, 300, 400, 500, 700, 1_000, 2_000])
_ROUND_WEIGHTS: Final = np.array([70, 12, 6, 3, 4, 1, 2, 0.6])
_QUOTE_SIZES: Final = np.array([1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12, 20]) * 100
_AUCTION_SHARES_S: Final = 40
"""An auction prints about as much as so many seconds of the session."""

_ODD_MEAN: Final = float((_ODD_SIZES * _ODD_WEIGHTS).sum() / _ODD_WEIGHTS.sum())
_ROUND_MEAN: Final = float((_ROUND_SIZES * _ROUND_WEIGHTS).sum() / _ROUND_WEIGHTS.sum())
_ODD_SHARE: Final = float(_CONDITION_WEIGHTS[2:4].sum() / _CONDITION_WEIGHTS.sum())
MEAN_SHARES: Final = _ODD_SHARE * _ODD_MEAN + (1.0 - _ODD_SHARE) * _ROUND_MEAN
"""Mean size of a print, auctions apart."""

Coder = Callable[[str], int]


class StockRows:
    """Makes the underlying's rows block by block.

    Args:
        condition_code: Code of a text of conditions on this tape.
        exchange_code: Code of an exchange on this tape.
        reopening_s: Seconds at which trading opens again after a pause.
    """

    def __init__(
        self,
        frame: Frame,
        market: Market,
        streams: Streams,
        condition_code: Coder,
        exchange_code: Coder,
        reopening_s: tuple[int, ...] = (),
    ) -> None:
        self._frame = frame
        self._market = market
        self._streams = streams
        texts = (*_CONDITIONS, *_BEFORE_OPEN, _OPENING, _CLOSING, _OFFICIAL, _REOPENING)
        self._codes = np.array([condition_code(text) for text in texts], np.int16)
        self._flags = np.array([flags_of_sip(list(text)) for text in texts], np.int32)
        self._is_odd = np.array(["I" in text for text in texts])
        self._text_index = {text: index for index, text in enumerate(texts)}
        self._exchanges = np.array([exchange_code(text) for text in EXCHANGES], np.int16)
        self._spread_cents = self._draw_spreads()
        self._auctions = {PREMARKET_S: _OPENING, **dict.fromkeys(reopening_s, _REOPENING)}

    def _draw_spreads(self) -> Ints:
        """Quoted spread of every second, cents: 1 to 3, wider in a violent market."""
        rng = self._streams.of(Part.SPREADS)
        draw = rng.random(self._market.stress.size)
        spread: Ints = (
            1
            + (draw < 0.4).astype(np.int64)
            + (draw < 0.1)
            + np.rint(3.0 * self._market.stress * draw).astype(np.int64)
        )
        return spread

    def _bid_ask(self, us: Ints) -> tuple[Ints, Ints]:
        """The stock's bid and ask at the given moments, 1/10000 USD."""
        spread = self._spread_cents[np.clip(us // US_PER_S, 0, self._spread_cents.size - 1)] * CENT_E4
        bid = np.floor((self._market.mid_at(us) - spread / 2.0) / CENT_E4 + 0.5).astype(np.int64) * CENT_E4
        return bid, bid + spread

    def quotes(self, block: int, count: int, begin_s: int, rate: Floats) -> Columns:
        """Quotes of one block, in order of their events."""
        rng = self._streams.of(Part.STOCK_QUOTES, block)
        rows = empty_columns(count)
        rows[EVENT_US] = us = event_times(rng, count, begin_s, rate, 1.6, 40)
        bid, ask = self._bid_ask(us)
        # Locked for an instant; once in a while crossed, when one exchange is late.
        odd = rng.random(count)
        bid = np.where(odd < 0.001, ask + np.where(odd < 0.0004, CENT_E4, 0), bid)
        rows["kind"][:] = STOCK_QUOTE
        rows["price_e4"], rows["ask_e4"] = bid, ask
        shown = _QUOTE_SIZES.size * (1.0 - 0.6 * self._market.stress_at(us))
        for column in ("size", "ask_size"):
            rows[column] = _QUOTE_SIZES[(rng.random(count) * shown).astype(np.int64)].astype(np.int32)
        for column in ("exchange", "ask_exchange"):
            rows[column] = self._exchanges[pick(rng, _QUOTE_WEIGHTS, count)]
        return rows

    def trades(self, block: int, count: int, begin_s: int, rate: Floats) -> Columns:
        """Trades of one block, in order of their events."""
        rng = self._streams.of(Part.STOCK_TRADES, block)
        rows = empty_columns(count)
        us = event_times(rng, count, begin_s, rate, 1.8, 60)
        what = self._conditions(rng, us)
        volume_per_s = count / max(1, int(np.count_nonzero(rate))) * MEAN_SHARES
        auctions = self._place_auctions(us, what, begin_s)
        # Sold out of sequence: a price of some seconds ago, reported now.
        late = (what == self._text_index["@Z"]) & (us > (PREMARKET_S + 5) * US_PER_S)
        rows[LAG_US][late] = 1_000_000 + rng.integers(0, 4_000_000, size=np.count_nonzero(late))
        rows[EVENT_US] = us
        rows["kind"][:] = STOCK_TRADE
        rows["price_e4"] = self._prices(rng, us - rows[LAG_US], what)
        rows["size"] = self._sizes(rng, us, what)
        rows["size"][auctions] = max(100, int(volume_per_s * _AUCTION_SHARES_S) // 100 * 100)
        rows["flags"] = self._flags[what]
        rows["conditions"] = self._codes[what]
        rows["exchange"] = self._exchanges[pick(rng, _TRADE_WEIGHTS, count)]
        return rows

    def _conditions(self, rng: np.random.Generator, us: Ints) -> NDArray[np.intp]:
        regular = pick(rng, _CONDITION_WEIGHTS, us.size)
        early = len(_CONDITIONS) + pick(rng, _BEFORE_OPEN_WEIGHTS, us.size)
        return np.where(us < PREMARKET_S * US_PER_S, early, regular)

    def _place_auctions(self, us: Ints, what: NDArray[np.intp], begin_s: int) -> Ints:
        """Make the first print after an opening, and the last two of the session, those of its auction."""
        end_s = self._frame.total_s
        placed: list[int] = []
        for second, text in self._auctions.items():
            at = int(np.searchsorted(us, second * US_PER_S))
            if begin_s <= second < begin_s + 60 and at < us.size:
                what[at] = self._text_index[text]
                placed.append(at)
        if begin_s + 60 >= end_s and self._frame.window_s == self._frame.session_s and us.size > 2:
            us[-2:] = end_s * US_PER_S - np.array([900, 300])
            what[-2:] = self._text_index[_CLOSING], self._text_index[_OFFICIAL]
            placed += [us.size - 2, us.size - 1]
        return np.array(placed, np.int64)

    def _prices(self, rng: np.random.Generator, us: Ints, what: NDArray[np.intp]) -> Ints:
        """Prices at the bid or the ask, some between; average-price and prior-reference prints far away."""
        bid, ask = self._bid_ask(us)
        draw = rng.random(us.size)
        price = np.where(draw < 0.47, bid, ask)
        between = (draw > 0.94) & (ask > bid)
        price = np.where(between, (bid + ask) // 2 // _HALF_CENT_E4 * _HALF_CENT_E4, price)
        far = (what == self._text_index["@W"]) | (what == self._text_index["@P"])
        away = np.rint((bid * (0.004 + 0.016 * rng.random(us.size))) / CENT_E4).astype(np.int64) * CENT_E4
        return np.where(far, price + np.where(draw < 0.5, away, -away), price)

    def _sizes(self, rng: np.random.Generator, us: Ints, what: NDArray[np.intp]) -> NDArray[np.int32]:
        odd = _ODD_SIZES[pick(rng, _ODD_WEIGHTS, us.size)]
        lots = _ROUND_SIZES[pick(rng, _ROUND_WEIGHTS, us.size)]
        size = np.where(self._is_odd[what], odd, lots)
        # An average-price print stands for a large order worked over hours.
        size = np.where(what == self._text_index["@W"], size * 20, size)
        return size.astype(np.int32)
