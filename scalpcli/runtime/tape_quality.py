"""How good a tape is, measured while its rows are written.

Decides the `quality` of the manifest. Everything is folded block by block into a few numbers and one
histogram, so memory does not grow with the session; only gaps are kept one by one, and there are few.

Market rows are the kinds 1 to 5; status, gap and cold rows are ours. The session is `[O, C]`.

- `coverage_pct`: share of the session between its first and last market row that no gap of any channel
  covers. A tape that starts an hour late or ends an hour early has lost that hour.
- `gaps`: stretches without sight of at least one channel, overlapping ones counted as one, clipped to the session.
- `stock_quotes`, `option_quotes`: quotes with both sides, with one or none, and how many of the two-sided
  ones were crossed (bid above ask) or locked (equal).
- `stale_pct`: by channel that has rows, the share of the session in which its last row was older than 5 s
  (before the first row: than 5 s after the open).
- `out_of_order`: market rows whose `ts_event_ns` lies below the largest seen of their kind.
- `unknown_conditions`, `backfilled`: rows with that flag.
- `clock_skew_ms`: `ts_recv_ns - ts_event_ns` of market rows that are not backfilled: median and 99th
  percentile from a histogram (within 0.8 %), minimum and maximum exactly, and how many were negative.
- `outside_session`: market rows received before the open or after the close.
- `prices_rounded`: prices finer than 1/10000 USD, as the importer counted them.
- `first_ts_ns`, `last_ts_ns`: receive times of the first and the last market row.
"""

from __future__ import annotations

from types import NoneType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scalpcli.model.row import (
    BACKFILLED,
    CHANNEL_NAMES,
    GAP,
    GAP_BEGIN,
    GAP_END,
    KIND_NAMES,
    OPTION_QUOTE,
    OPTION_TRADE,
    PRICE_ONLY,
    STOCK_QUOTE,
    STOCK_TRADE,
    UNKNOWN_CONDITION,
)
from scalpcli.model.session import Session
from scalpcli.runtime.tape_rules import Columns
from scalpcli.units import NS_PER_MS, NS_PER_S

STALE_AFTER_NS: Final = 5 * NS_PER_S
_CHANNELS: Final = {
    STOCK_TRADE: "stock_trades",
    STOCK_QUOTE: "stock_quotes",
    OPTION_TRADE: "option_trades",
    OPTION_QUOTE: "option_quotes",
    PRICE_ONLY: "price_only",
}
_PCT_DIGITS: Final = 4
_GAPS_KEPT_MAX: Final = 10_000
"""Gaps held before overlapping ones are merged."""

_NUMBER: Final = (int, float)
_NUMBER_OR_NULL: Final = (int, float, NoneType)
_QUOTE_SHAPE: Final = {
    "two_sided": int,
    "one_sided": int,
    "crossed": int,
    "locked": int,
    "crossed_pct": _NUMBER,
    "locked_pct": _NUMBER,
}
QUALITY_SHAPE: Final[dict[str, Any]] = {
    "coverage_pct": _NUMBER,
    "first_ts_ns": (int, NoneType),
    "last_ts_ns": (int, NoneType),
    "gaps": {"count": int, "seconds": _NUMBER, "longest_s": _NUMBER},
    "stock_quotes": _QUOTE_SHAPE,
    "option_quotes": _QUOTE_SHAPE,
    "stale_pct": dict,
    "out_of_order": int,
    "unknown_conditions": int,
    "clock_skew_ms": {
        "median": _NUMBER_OR_NULL,
        "p99": _NUMBER_OR_NULL,
        "min": _NUMBER_OR_NULL,
        "max": _NUMBER_OR_NULL,
        "negative": int,
    },
    "backfilled": int,
    "outside_session": int,
    "prices_rounded": int,
}
"""Figure -> its types, as the manifest is checked for when it is read."""


class TapeQuality:
    """Folds blocks of rows into the figures of the module's docstring."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.counts = dict.fromkeys(KIND_NAMES.values(), 0)
        self._blind = Blindness()
        self._skew = SkewHistogram()
        self._last_recv_ns = dict.fromkeys(_CHANNELS, session.open_ns)
        self._newest_event_ns = dict.fromkeys(_CHANNELS, 0)
        self._stale_ns = dict.fromkeys(_CHANNELS, 0)
        self._quotes = {kind: dict.fromkeys(_QUOTE_COUNTS, 0) for kind in (STOCK_QUOTE, OPTION_QUOTE)}
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._out_of_order = 0
        self._outside = 0
        self._unknown_conditions = 0
        self._backfilled = 0

    def update(self, columns: Columns) -> None:
        """Fold the next block, whose rows follow the last one's."""
        kind, ts_recv_ns, flags = columns["kind"], columns["ts_recv_ns"], columns["flags"]
        for number, count in enumerate(np.bincount(kind, minlength=len(KIND_NAMES) + 1)):
            if count:
                self.counts[KIND_NAMES[number]] += int(count)
        is_backfilled = flags & BACKFILLED != 0
        self._backfilled += int(is_backfilled.sum())
        self._unknown_conditions += int((flags & UNKNOWN_CONDITION != 0).sum())
        is_market = kind <= PRICE_ONLY
        market_ns = ts_recv_ns[is_market]
        if len(market_ns):
            self._first_ns = int(market_ns[0]) if self._first_ns is None else self._first_ns
            self._last_ns = int(market_ns[-1])
            self._outside += _count_outside(market_ns, self._session)
        on_time = is_market & ~is_backfilled
        self._skew.add(ts_recv_ns[on_time] - columns["ts_event_ns"][on_time])
        for channel in _CHANNELS:
            rows = np.flatnonzero(kind == channel)
            if len(rows):
                self._fold_channel(channel, ts_recv_ns[rows], columns["ts_event_ns"][rows])
                if channel in self._quotes:
                    self._fold_quotes(channel, columns["price_e4"][rows], columns["ask_e4"][rows])
        if self.counts[KIND_NAMES[GAP]]:
            self._blind.update(columns)

    def _fold_channel(self, channel: int, ts_recv_ns: NDArray[Any], ts_event_ns: NDArray[Any]) -> None:
        session = self._session
        newest = np.maximum.accumulate(ts_event_ns)
        before = np.maximum(np.concatenate(([0], newest[:-1])), self._newest_event_ns[channel])
        self._out_of_order += int((ts_event_ns < before).sum())
        self._newest_event_ns[channel] = max(self._newest_event_ns[channel], int(newest[-1]))
        inside = np.clip(ts_recv_ns, session.open_ns, session.close_ns)
        silence = np.diff(inside, prepend=self._last_recv_ns[channel]) - STALE_AFTER_NS
        self._stale_ns[channel] += int(silence[silence > 0].sum())
        self._last_recv_ns[channel] = int(inside[-1])

    def _fold_quotes(self, channel: int, bid_e4: NDArray[Any], ask_e4: NDArray[Any]) -> None:
        counts = self._quotes[channel]
        is_whole = (bid_e4 > 0) & (ask_e4 > 0)
        whole = int(is_whole.sum())
        counts["two_sided"] += whole
        counts["one_sided"] += len(bid_e4) - whole
        counts["crossed"] += int((is_whole & (bid_e4 > ask_e4)).sum())
        counts["locked"] += int((is_whole & (bid_e4 == ask_e4)).sum())

    def summary(self, prices_rounded: int = 0) -> dict[str, Any]:
        """The figures so far, as the manifest holds them."""
        session = self._session
        length_ns = session.close_ns - session.open_ns
        gaps = self._blind.stretches(session.open_ns, session.close_ns)
        stale = {
            name: _pct(self._stale_to_close(channel), length_ns)
            for channel, name in _CHANNELS.items()
            if self.counts[KIND_NAMES[channel]]
        }
        return {
            "coverage_pct": _pct(self._seen_ns(), length_ns),
            "first_ts_ns": self._first_ns,
            "last_ts_ns": self._last_ns,
            "gaps": {
                "count": len(gaps),
                "seconds": sum(end - begin for begin, end in gaps) / NS_PER_S,
                "longest_s": max((end - begin for begin, end in gaps), default=0) / NS_PER_S,
            },
            **{_CHANNELS[kind]: _with_shares(counts) for kind, counts in self._quotes.items()},
            "stale_pct": stale,
            "out_of_order": self._out_of_order,
            "unknown_conditions": self._unknown_conditions,
            "clock_skew_ms": self._skew.summary(),
            "backfilled": self._backfilled,
            "outside_session": self._outside,
            "prices_rounded": prices_rounded,
        }

    def _stale_to_close(self, channel: int) -> int:
        last_silence = self._session.close_ns - self._last_recv_ns[channel] - STALE_AFTER_NS
        return self._stale_ns[channel] + max(0, last_silence)

    def _seen_ns(self) -> int:
        if self._first_ns is None or self._last_ns is None:
            return 0
        begin = max(self._first_ns, self._session.open_ns)
        end = min(self._last_ns, self._session.close_ns)
        blind = sum(stop - start for start, stop in self._blind.stretches(begin, end))
        return max(0, end - begin - blind)


_QUOTE_COUNTS: Final = ("two_sided", "one_sided", "crossed", "locked")


def _with_shares(counts: dict[str, int]) -> dict[str, Any]:
    shares = {f"{name}_pct": _pct(counts[name], counts["two_sided"]) for name in ("crossed", "locked")}
    return {**counts, **shares}


def _pct(part: float, whole: float) -> float:
    return round(part * 100.0 / whole, _PCT_DIGITS) if whole else 0.0


def _count_outside(ts_recv_ns: NDArray[Any], session: Session) -> int:
    # Rows are in order of receipt: two searches instead of two comparisons a row.
    begin, end = np.searchsorted(ts_recv_ns, [session.open_ns, session.close_ns + 1])
    return int(begin + len(ts_recv_ns) - end)


class Blindness:
    """Stretches in which at least one channel was not seen, from gap rows (see the flags in `model/row.py`)."""

    def __init__(self) -> None:
        self._begun: dict[int, int] = {}
        self._closed: list[tuple[int, int]] = []

    def update(self, columns: Columns) -> None:
        """Take in the gap rows of a block."""
        for row in np.flatnonzero(columns["kind"] == GAP):
            begin_ns, now_ns = int(columns["ts_event_ns"][row]), int(columns["ts_recv_ns"][row])
            flags, channels = int(columns["flags"][row]), int(columns["size"][row])
            for channel in CHANNEL_NAMES:
                if channels & channel:
                    self._take(channel, flags, begin_ns, now_ns)
        if len(self._closed) > _GAPS_KEPT_MAX:
            self._closed = _merged(self._closed)

    def _take(self, channel: int, flags: int, begin_ns: int, now_ns: int) -> None:
        if flags & GAP_BEGIN and flags & GAP_END:
            self._closed.append((begin_ns, now_ns))
        elif flags & GAP_BEGIN:
            # A second BEGIN does not end the first: it was blind all along.
            self._begun[channel] = min(begin_ns, self._begun.get(channel, begin_ns))
        elif channel in self._begun:
            self._closed.append((self._begun.pop(channel), now_ns))

    def stretches(self, begin_ns: int, end_ns: int) -> list[tuple[int, int]]:
        """The stretches inside `[begin_ns, end_ns]`, merged and sorted; what is still blind lasts to the end."""
        open_ended = [(start, end_ns) for start in self._begun.values()]
        clipped = [(max(start, begin_ns), min(stop, end_ns)) for start, stop in self._closed + open_ended]
        return _merged([(start, stop) for start, stop in clipped if start < stop])


def _merged(stretches: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result: list[tuple[int, int]] = []
    for start, stop in sorted(stretches):
        if result and start <= result[-1][1]:
            result[-1] = (result[-1][0], max(stop, result[-1][1]))
        else:
            result.append((start, stop))
    return result


class SkewHistogram:
    """Quantiles of time differences in bounded memory: 64 bins for each doubling, so within 0.8 percent."""

    # The top bits of a float64 are its exponent and the first digits of its mantissa: a logarithm for free.
    _SHIFT: Final = 46
    _FIRST: Final = int(np.float64(1.0).view(np.int64)) >> _SHIFT
    _BINS: Final = 64 * 64

    def __init__(self) -> None:
        self._bins = np.zeros(self._BINS, np.int64)
        self._at_most_zero = 0
        self._negative = 0
        self._min_ns: int | None = None
        self._max_ns: int | None = None

    def add(self, skew_ns: NDArray[Any]) -> None:
        """Count differences in nanoseconds."""
        if not len(skew_ns):
            return
        low, high = int(skew_ns.min()), int(skew_ns.max())
        self._min_ns = low if self._min_ns is None else min(low, self._min_ns)
        self._max_ns = high if self._max_ns is None else max(high, self._max_ns)
        if low <= 0:
            self._negative += int((skew_ns < 0).sum())
            self._at_most_zero += int((skew_ns <= 0).sum())
            skew_ns = skew_ns[skew_ns > 0]
        bins = (skew_ns.astype(np.float64).view(np.int64) >> self._SHIFT) - self._FIRST
        self._bins += np.bincount(bins, minlength=self._BINS)

    def summary(self) -> dict[str, Any]:
        """Median, 99th percentile, least and largest in milliseconds, and the count below zero."""
        return {
            "median": self._quantile_ms(0.5),
            "p99": self._quantile_ms(0.99),
            "min": _as_ms(self._min_ns),
            "max": _as_ms(self._max_ns),
            "negative": self._negative,
        }

    def _quantile_ms(self, share: float) -> float | None:
        if self._min_ns is None or self._max_ns is None:
            return None
        wanted = share * (self._at_most_zero + int(self._bins.sum()))
        if wanted <= self._at_most_zero:
            return _as_ms(min(0, self._max_ns))
        bin_ = int(np.searchsorted(np.cumsum(self._bins), wanted - self._at_most_zero))
        edges = np.array([bin_ + self._FIRST, bin_ + self._FIRST + 1], np.int64) << self._SHIFT
        middle_ns = int(edges.view(np.float64).mean())
        # The exact ends make a constant delay come out exactly.
        return _as_ms(min(max(middle_ns, self._min_ns), self._max_ns))


def _as_ms(ns: int | None) -> float | None:
    return None if ns is None else ns / NS_PER_MS
